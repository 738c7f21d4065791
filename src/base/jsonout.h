/*
 * jsonout: JSON text, member by member, for answers whose shape the program decides.
 *
 * What it is: a writer that keeps track of commas and nesting. Strings are escaped; bytes that are not UTF-8 become
 * U+FFFD.
 * Promises: 11 (what a stranger wrote cannot break the text around it).
 * Owner: the caller owns the struct and the buf.
 * Thread: any, one at a time.
 * Fails: overflow shows in the buf.
 * Does not: check that objects and arrays are closed, or write dynamic values (value/json.h does).
 */
#ifndef KSPOOL_BASE_JSONOUT_H
#define KSPOOL_BASE_JSONOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct jsonout {
	struct buf *out;
	bool comma;
};

void jsonout_init(struct jsonout *j, struct buf *out);
/* key is null inside arrays and at the top. */
void jsonout_object(struct jsonout *j, const char *key);
void jsonout_object_end(struct jsonout *j);
void jsonout_array(struct jsonout *j, const char *key);
void jsonout_array_end(struct jsonout *j);
void jsonout_text(struct jsonout *j, const char *key, const char *text); /* null text writes null */
void jsonout_text_n(struct jsonout *j, const char *key, const char *text, size_t length);
void jsonout_int(struct jsonout *j, const char *key, int64_t value);
void jsonout_uint(struct jsonout *j, const char *key, uint64_t value);
/* With three digits that count, or one after the point. */
void jsonout_real(struct jsonout *j, const char *key, double value);
void jsonout_bool(struct jsonout *j, const char *key, bool value);
void jsonout_null(struct jsonout *j, const char *key);
/* RFC 3339 in UTC with milliseconds; null for 0. */
void jsonout_time_ms(struct jsonout *j, const char *key, int64_t wall_ms);

/* For bytes that need not be text; the key says so, as body_base64. */
void jsonout_base64(struct jsonout *j, const char *key, const void *bytes, size_t length);

/* A quoted JSON string. */
void jsonout_quote(struct buf *out, const char *text, size_t length);

#endif
