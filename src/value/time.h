/*
 * time: instants as the reference prints and reads them by default (RFC 3339).
 *
 * What it is: what values need to be printed, compared and coerced.
 * Promises: none of its own.
 * Owner: the caller; zone names point to static text or to zones, which live for ever.
 * Thread: any; time_local() reads the process's TZ.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: layouts, strftime or named zones: bloblang/golang/.
 */
#ifndef KSPOOL_VALUE_TIME_H
#define KSPOOL_VALUE_TIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

enum { TIME_TEXT_MAX = 64 };

/* "2020-08-14T11:45:26.371Z": trailing zeros of the fraction trimmed. At most TIME_TEXT_MAX bytes; returns the length.
 */
size_t time_print(char *out, const struct value_time *t);
/* As the reference quotes in errors of times: bytes beyond ASCII and controls as \xNN. */
void time_quote(struct text *out, const char *s, size_t length);
/* Strict RFC 3339, fraction optional. On false *ret_error is the reference's sentence ("parsing time ..."). */
bool time_parse(struct arena *a, const char *text, size_t length, struct value_time *ret, const char **ret_error);
/* Seconds and nanoseconds shown in the process's local zone. */
struct value_time time_local(int64_t seconds, int32_t nanoseconds);
/* Timestamp as is, number as unix seconds, text as RFC 3339. *ret_error is null when the type is wrong. */
bool time_from_value(struct arena *a, struct value v, struct value_time *ret, const char **ret_error);

#endif
