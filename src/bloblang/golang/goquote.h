/*
 * goquote: Go's quoted strings.
 *
 * What it is: strconv.Quote and strconv.Unquote, and the quoting of package time.
 * Promises: 6. What it makes goes to a struct text, whose arena has the limit.
 * Owner: the caller owns the struct text.
 * Thread: any; nothing is shared.
 * Fails: go_unquote() gives false when the text is no quoted string; the text may hold a part of it then.
 * Does not: JSON's escapes: value/json.h.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_GOQUOTE_H
#define KSPOOL_BLOBLANG_GOLANG_GOQUOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"

/* "..." with Go's escapes; only_ascii escapes everything beyond ASCII. */
void go_quote(struct text *out, const char *s, size_t length, bool only_ascii);
/* 'x' for one code point. */
void go_quote_rune(struct text *out, uint32_t c, bool only_ascii);
/* Double, single or back quotes; false when s is not a quoted string. */
bool go_unquote(struct text *out, const char *s, size_t length);
/* Go's unicode.IsPrint. */
bool go_is_print(uint32_t c);

#endif
