/*
 * json: reading and writing documents.
 *
 * What it is: kspool's own reader, because the source text of every number must survive to the output, because a path
 *     into a document must be reached without building a tree, and because values must land in an arena; no library in
 *     Debian does these three. Grammar: RFC 8259 exactly; any value is a document; of equal keys the last wins; invalid
 *     UTF-8 and lone surrogates become U+FFFD.
 * Promises: 6 and 11. Depth is limited to JSON_DEPTH_MAX, and neither reader nor printer recurses.
 * Owner: the arena; strings without escapes and numbers point into the text given, which must outlive the values.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: keep the order of keys, or the blanks of the source.
 */
#ifndef KSPOOL_VALUE_JSON_H
#define KSPOOL_VALUE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "value/arena.h"
#include "value/value.h"

enum { JSON_DEPTH_MAX = 10000 };

/* One whole document; *ret_error (never null on false) in the reference's wording. */
bool json_parse(struct arena *a, const char *text, size_t length, struct value *ret, const char **ret_error);
/* The first value of the text; *ret_end is where it stops. */
bool json_parse_first(struct arena *a, const char *text, size_t length, struct value *ret, size_t *ret_end,
                      const char **ret_error);

/* One step of a path, as text: object key or decimal array index. */
struct json_step {
	const char *text;
	uint32_t length;
};

/*
 * Walks the text to the value at a path without building the rest, validating the whole document. *ret is null when
 * the path leads nowhere. Not for steps "*" (json_parse and value_path_get know those).
 */
bool json_seek(struct arena *a, const char *text, size_t length, const struct json_step *steps, size_t count,
               struct value *ret, const char **ret_error);

struct json_style {
	bool escape_html;   /* < > & as six characters */
	const char *indent; /* null: compact; else the text per level */
	bool literal_null;  /* an empty array literal prints null */
};

/*
 * Prints v. False when it is no JSON (a float is not finite) or too deep, or there is no room: *ret_error says so in
 * the reference's wording, and what was printed is of no use.
 */
bool json_print(struct text *out, struct value v, const struct json_style *style, const char **ret_error) MUST_CHECK;
/* A quoted JSON string of any bytes. */
void json_print_string(struct text *out, const char *text, size_t length, bool escape_html);

#endif
