/* regex_parser: the state of the pattern parser, shared by regex_syntax.c and regex_class.c. Internal to regex. */
#ifndef KSPOOL_BLOBLANG_GOLANG_REGEX_INTERNAL_H
#define KSPOOL_BLOBLANG_GOLANG_REGEX_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bloblang/golang/regex.h"

enum {
	REPEAT_MAX = 1000, /* RE2's bound on a count and on the product of nested counts */
	DEPTH_MAX = 250,
	PATTERN_MAX = 1 << 20,
	RUNE_MAX = 0x10ffff,
};

enum { FOLD = 1, MULTILINE = 2, DOT_NEWLINE = 4, LAZY = 8 };

/* One open parenthesis (level 0: the whole pattern). */
struct level {
	size_t start;   /* where its text begins in the output */
	unsigned flags; /* flags to restore at its end */
	bool fold;      /* PCRE2's case state to restore */
	int worst;      /* largest product of repeat counts of what it holds */
};

struct parser {
	const char *p;
	const char *end;
	const char *whole;
	char *fault;
	struct regex_syntax *out;
	unsigned flags;
	bool fold;          /* the case state PCRE2 is in at the end of the output */
	size_t atom;        /* where the last atom starts in the output, SIZE_MAX: none to repeat */
	int atom_worst;     /* its product of repeat counts */
	bool atom_repeated; /* the atom already carries a repeat operator */
	const char *last_repeat;
	int depth;
	struct level levels[DEPTH_MAX + 1];
};

/* "error parsing regexp: <what>: `<text between>`"; returns false. */
bool regex_fail(struct parser *s, const char *what, const char *from, const char *to);
void regex_emit(struct parser *s, const char *text);
void regex_emit_rune(struct parser *s, uint32_t c);
void regex_begin_atom(struct parser *s);
void regex_end_atom(struct parser *s);
bool regex_next_rune(struct parser *s, const char **p, uint32_t *ret);
/* A backslash escape that stands for one rune; *p is at the backslash. */
bool regex_take_escape(struct parser *s, const char **p, uint32_t *ret);

/* regex_class.c. \pL and \p{Greek} in PCRE2's spelling; *p is at the backslash. */
bool regex_take_property(struct parser *s, const char **p, char name[64]);
/* \d \D \s \S \w \W as the inside of a PCRE2 class; null when p is at none of them. */
const char *regex_perl_class(const struct parser *s, const char *p);
/* [...] at s->p. */
bool regex_parse_class(struct parser *s);

#endif
