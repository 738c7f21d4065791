/*
 * period: ISO 8601 periods and Go duration text.
 *
 * What it is: "P3Y6M4DT12H30M5.3S" with the liberties of the reference's library: a sign in front, weeks mixed with
 *     other fields, fields in any order, a fraction (point or comma) in the last one. Years are 365.2425 days on
 *     average, months a twelfth of that.
 * Promises: none of its own.
 * Owner: the caller owns a period, which is plain data.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: check for overflow where the reference wraps.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_PERIOD_H
#define KSPOOL_BLOBLANG_GOLANG_PERIOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bloblang/golang/gotime.h"

enum period_field {
	PERIOD_YEARS,
	PERIOD_MONTHS,
	PERIOD_WEEKS,
	PERIOD_DAYS,
	PERIOD_HOURS,
	PERIOD_MINUTES,
	PERIOD_SECONDS,
	PERIOD_FIELDS
};

/* coefficient / 10^scale of each field. */
struct period {
	bool negative;
	int64_t coefficient[PERIOD_FIELDS];
	int scale[PERIOD_FIELDS];
};

bool period_parse(struct arena *a, const char *text, size_t length, struct period *ret, const char **ret_error);
/* On average lengths. */
int64_t period_ns(const struct period *p);
/* By calendar when the calendar fields are whole, else by average lengths. */
struct value_time period_add(const struct period *p, const struct value_time *t, bool subtract);

/* Go's ParseDuration: "1h2m3.5s". */
bool period_parse_duration(struct arena *a, const char *text, size_t length, int64_t *ret_ns, const char **ret_error);

#endif
