/*
 * expand: environment variables put into the text of a configuration, before it is YAML.
 *
 * What it is: ${NAME}, ${NAME:default}, either followed by |base64decode inside the braces, and ${{NAME}} which becomes
 * ${NAME}. The default serves for an unset or empty variable. Line ends in a value become the two characters \n.
 * ${! is left alone. It also checks that the text is UTF-8 without NUL or control characters, and remembers where each
 * character came from, so that later faults name places of the file the user sees.
 * Promises: 11: the time is linear in the text, and what it grows to is bounded by EXPAND_TEXT_MAX.
 * Owner: the caller, who keeps the input alive. Thread: any.
 * Fails: faults only; an unset name leaves its own name as the text, marked.
 * Does not: look into a default: a ${...} inside it is plain text.
 */
#ifndef KSPOOL_CONFIG_EXPAND_H
#define KSPOOL_CONFIG_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct expansion_edit {
	size_t in_start, in_end; /* characters of the input */
	size_t out_start, out_end;
	bool unset;
	bool escape; /* ${{NAME}} */
};

struct expansion_line {
	size_t first_char;
	size_t first_byte;
};

struct expansion {
	const char *input;
	size_t input_bytes;
	char *text;
	size_t text_bytes;
	struct expansion_edit *edits;
	size_t edit_count;
	struct expansion_line *lines;
	size_t line_count;
};

enum { EXPAND_TEXT_MAX = 4 << 20 };

/* False when the text is unusable (a fault says why). Call expansion_fini in any case. */
bool expand(struct expansion *x, const char *input, size_t bytes, bool skip_env_check, struct config_faults *faults);
void expansion_fini(struct expansion *x);
/* The place in the input of a character of the text; counted from 1. */
void expansion_place(const struct expansion *x, size_t index, int *ret_line, int *ret_column);
/* Whether text characters [start, end) hold an unset variable, or anything of a variable or its default. */
void expansion_origin(const struct expansion *x, size_t start, size_t end, bool *ret_unset, bool *ret_from_env);
/* Blanks at the front of the first non-blank line from `line` on, plus one: where a block of text begins. */
int expansion_indent(const struct expansion *x, int line);

#endif
