/*
 * strptime as the reference has it (timefmt-go 0.1.8): out-of-range days overflow, the default is 1900-01-01 in UTC.
 *
 * Invariants:
 * 1. p only goes forward, and never past end.
 * 2. What was not given is 0 (day, year_day, weekday: 1 is Sunday), or -1 (century, week_start), until all is read.
 * 3. A false answer has error set.
 */
#include <string.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/golang/gotime.h"

enum { ANY_COLONS = 4, MONDAY = 1, THURSDAY = 4 };

struct strptime_reader {
	struct arena *arena;
	const char *p;
	const char *end;
	const char *error;
	int64_t year, month, day, hour, minute, second, micro;
	int64_t century, year_day, week, weekday;
	int week_start; /* of %U, %W and %V, which is Thursday; -1: none given */
	bool afternoon, iso_year, has_offset, has_zone;
	int32_t offset_s;
	const char *zone; /* "UTC", null or "=EST" */
};

static bool bad(struct strptime_reader *r, char letter)
{
	r->error = arena_format(r->arena, "cannot parse \"%%%c\"", letter);
	return false;
}

static bool take_number(struct strptime_reader *r, char letter, int digits_max, int64_t low, int64_t high, int64_t *ret)
{
	const char *start = r->p;
	uint64_t n = 0;

	while (r->p < r->end && r->p - start < digits_max && *r->p >= '0' && *r->p <= '9')
		n = n * 10 + (uint64_t)(*r->p++ - '0');
	*ret = (int64_t)n;
	return (r->p > start && *ret >= low && *ret <= high) || bad(r, letter);
}

static int64_t take_sign(struct strptime_reader *r)
{
	if (r->p == r->end || *r->p != '-')
		return 1;
	r->p++;
	return -1;
}

static bool take_padded(struct strptime_reader *r, char letter, int64_t low, int64_t high, int64_t *ret)
{
	if (r->p < r->end && *r->p == ' ')
		r->p++;
	return take_number(r, letter, 2, low, high, ret);
}

/* One of the names, by its first `cut` letters (0: all of them), without regard to case; from 1. */
static bool take_name(struct strptime_reader *r, char letter, const char *const *names, int count, size_t cut,
                      int64_t *ret)
{
	for (int i = 0; i < count; i++) {
		size_t n = cut ? cut : strlen(names[i]), k = 0;

		while (k < n && r->p + k < r->end && (names[i][k] | 0x20) == (r->p[k] | 0x20))
			k++;
		if (k < n)
			continue;
		r->p += n;
		*ret = i + 1;
		return true;
	}
	return bad(r, letter);
}

static bool take_literal(struct strptime_reader *r, char c)
{
	struct text t;

	if (r->p < r->end && *r->p == c) {
		r->p++;
		return true;
	}
	text_init(&t, r->arena);
	text_add_string(&t, "expected ");
	go_quote_rune(&t, (unsigned char)c, false);
	r->error = text_end(&t);
	return false;
}

static bool take_year(struct strptime_reader *r, char letter)
{
	int64_t sign;

	r->iso_year |= letter == 'G' || letter == 'g';
	if (letter == 'Y' || letter == 'G') {
		sign = take_sign(r);
		if (!take_number(r, letter, 4, 0, 9999, &r->year))
			return false;
		r->year *= sign;
		return true;
	}
	if (!take_number(r, letter, 2, 0, 99, &r->year))
		return false;
	r->year += r->year < 69 ? 2000 : 1900;
	return true;
}

static bool take_century(struct strptime_reader *r)
{
	if (take_sign(r) < 0) {
		r->error = "negative century is not supported for \"%C\"";
		return false;
	}
	return take_number(r, 'C', 2, 0, 99, &r->century);
}

static bool take_week(struct strptime_reader *r, char letter)
{
	if (!take_number(r, letter, 2, letter == 'V', 53, &r->week))
		return false;
	r->week_start = letter == 'U' ? 0 : letter == 'W' ? MONDAY : THURSDAY;
	if (r->weekday == 0)
		r->weekday = letter == 'U' ? 1 : 2;
	return true;
}

static bool take_micro(struct strptime_reader *r)
{
	const char *start = r->p;

	if (!take_number(r, 'f', 6, 0, 999999, &r->micro))
		return false;
	for (int64_t n = r->p - start; n < 6; n++)
		r->micro *= 10;
	return true;
}

/* Seconds since 1970 stand for their fields in UTC, which others may still replace. */
static bool take_epoch(struct strptime_reader *r)
{
	int64_t sign = take_sign(r), seconds, days, rest;
	int month, day;

	if (!take_number(r, 's', 19, INT64_MIN, INT64_MAX, &seconds))
		return false;
	seconds = (int64_t)((uint64_t)sign * (uint64_t)seconds);
	days = seconds / 86400 - (seconds % 86400 < 0);
	rest = (seconds % 86400 + 86400) % 86400;
	calendar_date(days, &r->year, &month, &day);
	r->month = month;
	r->day = day;
	r->hour = rest / 3600;
	r->minute = rest / 60 % 60;
	r->second = rest % 60;
	return true;
}

/* "%z", with up to three colons before the z. */
static bool bad_offset(struct strptime_reader *r, int colons, const char *what)
{
	r->error = arena_format(r->arena, "%s \"%%%.*sz\"", what, colons, ":::");
	return false;
}

static bool two_digits(struct strptime_reader *r, int64_t high, int64_t *ret)
{
	const char *start = r->p;

	if (take_number(r, 'z', 2, 0, high, ret) && r->p - start == 2)
		return true;
	r->p = start;
	*ret = 0;
	return false;
}

/* What follows the hours of an offset. colons: how many %z had, ANY_COLONS when it had none and the text has one. */
static bool take_offset_rest(struct strptime_reader *r, int colons, int64_t *minutes, int64_t *seconds)
{
	bool colon = r->p < r->end && *r->p == ':';

	if (!colon && colons > 0 && colons < 3)
		return bad_offset(r, colons, "expected ':' for");
	if (colon) {
		r->p++;
		colons = colons == 0 ? ANY_COLONS : colons;
	}
	if (!two_digits(r, 59, minutes))
		return colons == 0 || colons == 3 || bad_offset(r, colons & 3, "cannot parse");
	if (colons <= 1)
		return true;
	if (r->p == r->end || *r->p != ':')
		return colons >= 3 || bad_offset(r, colons, "expected ':' for");
	r->p++;
	if (two_digits(r, 59, seconds))
		return true;
	r->p--;
	return colons >= 3 || bad_offset(r, colons, "cannot parse");
}

static bool take_offset(struct strptime_reader *r, int colons)
{
	int64_t hours, minutes = 0, seconds = 0;
	bool negative;

	if (r->p < r->end && *r->p == 'Z') {
		r->p++;
		r->offset_s = 0;
		r->zone = "UTC";
		return true;
	}
	if (r->p == r->end || (*r->p != '+' && *r->p != '-'))
		return bad_offset(r, colons, "cannot parse");
	negative = *r->p++ == '-';
	if (!two_digits(r, 23, &hours))
		return bad_offset(r, colons, "cannot parse");
	if (!take_offset_rest(r, colons, &minutes, &seconds))
		return false;
	r->offset_s = (int32_t)((hours * 60 + minutes) * 60 + seconds) * (negative ? -1 : 1);
	if (!r->has_zone || !r->zone || r->zone[0] != '=')
		r->zone = r->offset_s == 0 ? "UTC" : NULL;
	r->has_offset = true;
	return true;
}

static bool take_zone(struct strptime_reader *r)
{
	const char *start = r->p, *error;
	struct value_time t;
	struct text why;

	while (r->p < r->end && *r->p >= 'A' && *r->p <= 'Z')
		r->p++;
	if (!gotime_parse(r->arena, "MST", 3, start, (size_t)(r->p - start), &t, &error)) {
		text_init(&why, r->arena);
		text_add_string(&why, "cannot parse ");
		go_quote(&why, start, (size_t)(r->p - start), false);
		text_add_string(&why, " with \"%Z\"");
		r->error = text_end(&why);
		return false;
	}
	if (!r->has_offset)
		r->offset_s = t.offset_s;
	r->zone = t.zone;
	r->has_zone = true;
	return true;
}

static bool take_space(struct strptime_reader *r, char letter)
{
	const char *start = r->p;

	while (r->p < r->end && *r->p && strchr(" \t\n\v\f\r", *r->p))
		r->p++;
	if (r->p > start)
		return true;
	r->error = arena_format(r->arena, "expected a space for \"%%%c\"", letter);
	return false;
}

static bool take_weekday(struct strptime_reader *r, char letter)
{
	if (letter == 'A' || letter == 'a')
		return take_name(r, letter, gotime_weekdays, 7, letter == 'a' ? 3 : 0, &r->weekday);
	if (!take_number(r, letter, 1, letter == 'u', letter == 'u' ? 7 : 6, &r->weekday))
		return false;
	r->weekday = (letter == 'u' ? r->weekday % 7 : r->weekday) + 1;
	return true;
}

static bool take_date(struct strptime_reader *r, char letter, bool *ret_known)
{
	*ret_known = true;
	switch (letter) {
	case 'Y':
	case 'y':
	case 'G':
	case 'g':
		return take_year(r, letter);
	case 'C':
		return take_century(r);
	case 'm':
		return take_number(r, 'm', 2, 1, 12, &r->month);
	case 'B':
	case 'b':
	case 'h':
		return take_name(r, letter, gotime_months, 12, letter == 'B' ? 0 : 3, &r->month);
	case 'd':
		return take_number(r, 'd', 2, 1, 31, &r->day);
	case 'e':
		return take_padded(r, 'e', 1, 31, &r->day);
	case 'j':
		return take_number(r, 'j', 3, 1, 366, &r->year_day);
	case 'U':
	case 'W':
	case 'V':
		return take_week(r, letter);
	case 'A':
	case 'a':
	case 'w':
	case 'u':
		return take_weekday(r, letter);
	default:
		*ret_known = false;
		return false;
	}
}

static bool take_half(struct strptime_reader *r, char letter)
{
	static const char *const halves[] = {"AM", "PM"};
	int64_t half;

	if (!take_name(r, letter, halves, 2, 0, &half))
		return false;
	r->afternoon = half == 2;
	return true;
}

static bool take_clock(struct strptime_reader *r, char letter, bool *ret_known)
{
	bool ok;

	*ret_known = true;
	switch (letter) {
	case 'H':
		return take_number(r, 'H', 2, 0, 23, &r->hour);
	case 'k':
		return take_padded(r, 'k', 0, 23, &r->hour);
	case 'I':
	case 'l':
		ok = letter == 'I' ? take_number(r, 'I', 2, 1, 12, &r->hour) : take_padded(r, 'l', 1, 12, &r->hour);
		r->hour = r->hour == 12 ? 0 : r->hour;
		return ok;
	case 'M':
		return take_number(r, 'M', 2, 0, 59, &r->minute);
	case 'S':
		return take_number(r, 'S', 2, 0, 60, &r->second);
	case 'p':
	case 'P':
		return take_half(r, letter);
	case 'f':
		return take_micro(r);
	case 's':
		return take_epoch(r);
	case 'z':
		return take_offset(r, 0);
	case 'Z':
		return take_zone(r);
	case 'n':
	case 't':
		return take_space(r, letter);
	case '%':
		return take_literal(r, '%');
	default:
		*ret_known = false;
		return false;
	}
}

/* What a letter is short for: letters, and what stands between them. */
static const char *composite(char letter)
{
	switch (letter) {
	case 'D':
	case 'x':
		return "m/d/y";
	case 'F':
		return "Y-m-d";
	case 'T':
	case 'X':
		return "H:M:S";
	case 'R':
		return "H:M";
	case 'r':
		return "I:M:S p";
	case 'v':
		return "e-b-Y";
	case 'c':
		return "a b e H:M:S Y";
	case '+':
		return "a b e H:M:S Z Y";
	default:
		return NULL;
	}
}

static bool take_letter(struct strptime_reader *r, char letter, bool within)
{
	bool known, ok = take_date(r, letter, &known);
	char utf8[4];

	if (!known)
		ok = take_clock(r, letter, &known);
	if (known)
		return ok;
	if (within)
		return take_literal(r, letter);
	r->error =
	    arena_format(r->arena, "unexpected format \"%%%.*s\"", (int)utf8_encode(utf8, (unsigned char)letter), utf8);
	return false;
}

static bool take_composite(struct strptime_reader *r, const char *letters)
{
	for (; *letters; letters++)
		if (!take_letter(r, *letters, true))
			return false;
	return true;
}

/* "%:z", "%::z", "%:::z"; *i is at the first colon, and then at the z. */
static bool take_colons(struct strptime_reader *r, const char *format, size_t length, size_t *i)
{
	int colons = 1;

	for (; ++*i < length && format[*i] == ':' && colons < 3; colons++)
		;
	if (*i < length && format[*i] == 'z')
		return take_offset(r, colons);
	r->error = arena_format(r->arena, "expected 'z' after \"%%%.*s\"", colons, ":::");
	return false;
}

static bool run(struct strptime_reader *r, const char *format, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const char *letters;
		bool ok;

		if (format[i] != '%') {
			ok = take_literal(r, format[i]);
		} else if (++i == length) {
			r->error = "stray \"%\"";
			return false;
		} else if (format[i] == ':') {
			ok = take_colons(r, format, length, &i);
		} else {
			letters = composite(format[i]);
			ok = letters ? take_composite(r, letters) : take_letter(r, format[i], false);
		}
		if (!ok)
			return false;
	}
	return true;
}

/* Month and day of what was given as a week or a day of the year. */
static bool settle_day(struct strptime_reader *r)
{
	int64_t first;

	if (r->century >= 0)
		r->year = r->century * 100 + r->year % 100;
	if (r->day != 0)
		return true;
	r->day = 1;
	if (r->year_day > 0) {
		r->error = "use \"%Y\" to parse non-ISO year for \"%j\"";
		r->month = 1;
		r->day = r->year_day;
		return !r->iso_year;
	}
	if (r->week_start < 0)
		return true;
	r->error = r->week_start == THURSDAY ? "use \"%G\" to parse ISO year for \"%V\""
	                                     : "use \"%Y\" to parse non-ISO year for \"%U\" or \"%W\"";
	if (r->iso_year != (r->week_start == THURSDAY))
		return false;
	if (r->week_start > 0 && r->weekday == 1)
		r->week++;
	first = calendar_days(r->year, 1, 1) - r->week_start - 1;
	r->month = 1;
	r->day = -r->week_start + r->week * 7 - ((first + 4) % 7 + 7) % 7 + r->weekday - 1;
	return true;
}

static const char *describe(struct arena *a, const char *value, size_t value_length, const char *format,
                            size_t format_length, const char *what)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, "failed to parse ");
	go_quote(&t, value, value_length, false);
	text_add_string(&t, " with ");
	go_quote(&t, format, format_length, false);
	text_add_string(&t, ": ");
	text_add_string(&t, what);
	return text_end(&t);
}

static bool reached_end(struct strptime_reader *r)
{
	struct text t;

	if (r->p == r->end)
		return true;
	text_init(&t, r->arena);
	text_add_string(&t, "unparsed string ");
	go_quote(&t, r->p, (size_t)(r->end - r->p), false);
	r->error = text_end(&t);
	return false;
}

bool gotime_strptime(struct arena *a, const char *format, size_t format_length, const char *value, size_t value_length,
                     struct value_time *ret, const char **ret_error)
{
	struct strptime_reader r = {.arena = a,
	                            .p = value,
	                            .end = value + value_length,
	                            .year = 1900,
	                            .month = 1,
	                            .century = -1,
	                            .week_start = -1,
	                            .zone = "UTC"};

	if (!run(&r, format, format_length) || !reached_end(&r) || !settle_day(&r)) {
		*ret_error = describe(a, value, value_length, format, format_length, r.error);
		return false;
	}
	*ret = gotime_date(r.year, r.month, r.day, r.hour + (r.afternoon ? 12 : 0), r.minute, r.second,
	                   (int32_t)r.micro * NS_PER_US, NULL, r.offset_s);
	ret->zone = r.zone;
	return true;
}
