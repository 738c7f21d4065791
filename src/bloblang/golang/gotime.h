/*
 * gotime: calendar time as Go's package time sees it.
 *
 * What it is: layouts by example instant (format and parse), zones, calendar arithmetic with overflow, rounding, and
 *     strftime and strptime as the reference has them. Instants are struct value_time (value.h); its zone is an IANA
 *     name, "UTC", "Local", null for a bare offset, or "=ABC" for an offset with an abbreviation of its own.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the arena owns what is parsed; zones live for ever.
 * Thread: any.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: leap seconds; the C library's locale.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_GOTIME_H
#define KSPOOL_BLOBLANG_GOLANG_GOTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"
#include "bloblang/golang/zone.h"

#define GOTIME_RFC3339_NANO "2006-01-02T15:04:05.999999999Z07:00"

struct civil {
	int64_t year;
	int month; /* 1..12 */
	int day;
	int hour;
	int minute;
	int second;
	int weekday;  /* 0: Sunday */
	int year_day; /* 1..366 */
};

/* The wall clock of an instant in its zone. */
struct civil gotime_civil(const struct value_time *t);
/*
 * The instant of a wall clock reading; fields out of range overflow into the next (Go's Date). zone: null for a fixed
 * offset.
 */
struct value_time gotime_date(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, int64_t second,
                              int32_t nanoseconds, const struct zone *zone, int32_t offset_s);
/* The same instant shown in a zone. */
struct value_time gotime_in_zone(const struct value_time *t, const struct zone *zone);
/* "CEST", or "" for a bare offset. buffer may be used. */
const char *gotime_abbreviation(const struct value_time *t, char buffer[ZONE_ABBREVIATION_MAX]);
int gotime_days_in_month(int64_t year, int month);
/* ISO 8601 week of a date. */
void gotime_iso_week(const struct civil *c, int64_t *ret_year, int *ret_week);

struct value_time gotime_add_date(const struct value_time *t, int64_t years, int64_t months, int64_t days);
struct value_time gotime_add_ns(const struct value_time *t, int64_t ns);
/* To a multiple of unit_ns since year 1, half up; unchanged when unit_ns <= 0. */
struct value_time gotime_round(const struct value_time *t, int64_t unit_ns);
/* a - b, saturating. */
int64_t gotime_sub_ns(const struct value_time *a, const struct value_time *b);

/* The pieces of a layout. */
enum gotime_piece {
	PIECE_END,
	PIECE_LONG_MONTH,
	PIECE_MONTH,
	PIECE_NUM_MONTH,
	PIECE_ZERO_MONTH,
	PIECE_LONG_WEEKDAY,
	PIECE_WEEKDAY,
	PIECE_DAY,
	PIECE_UNDER_DAY,
	PIECE_ZERO_DAY,
	PIECE_UNDER_YEAR_DAY,
	PIECE_ZERO_YEAR_DAY,
	PIECE_HOUR,
	PIECE_HOUR12,
	PIECE_ZERO_HOUR12,
	PIECE_MINUTE,
	PIECE_ZERO_MINUTE,
	PIECE_SECOND,
	PIECE_ZERO_SECOND,
	PIECE_LONG_YEAR,
	PIECE_YEAR,
	PIECE_PM,
	PIECE_LOWER_PM,
	PIECE_ABBREVIATION,
	PIECE_OFFSET, /* -0700 and its variants: see struct gotime_chunk */
	PIECE_FRACTION_0,
	PIECE_FRACTION_9,
};

struct gotime_chunk {
	enum gotime_piece piece;
	size_t start; /* of the piece, in the layout; what lies before it is literal */
	size_t end;
	bool z;          /* offset: Z for UTC */
	bool colon;      /* offset: hh:mm */
	bool no_minutes; /* offset: hh only */
	bool seconds;    /* offset: with seconds */
};

/* The next piece at or after `from`. */
struct gotime_chunk gotime_next_chunk(const char *layout, size_t length, size_t from);

extern const char *const gotime_months[12];
extern const char *const gotime_weekdays[7];

void gotime_format(struct text *out, const struct value_time *t, const char *layout, size_t length);
bool gotime_parse(struct arena *a, const char *layout, size_t layout_length, const char *value, size_t value_length,
                  struct value_time *ret, const char **ret_error);

/* strftime.c, strptime.c */
void gotime_strftime(struct text *out, const struct value_time *t, const char *format, size_t length);
bool gotime_strptime(struct arena *a, const char *format, size_t format_length, const char *value, size_t value_length,
                     struct value_time *ret, const char **ret_error);

#endif
