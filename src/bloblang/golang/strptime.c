/*
 * strptime as the reference has it: out-of-range days overflow, the default is 1900-01-01 in UTC.
 *
 * Invariants:
 * 1. p only goes forward, and never past end.
 * 2. What was not given is -1 (century, year_day, weeks, iso_year, weekday) until all is read, and only then settled.
 * 3. A false answer has error set.
 */
#include <string.h>
#include <strings.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/golang/gotime.h"

struct strptime_reader {
	struct arena *arena;
	const char *p;
	const char *end;
	const char *error;
	int64_t year, month, day, hour, minute, second;
	int32_t nanoseconds;
	int64_t century, year_day;           /* -1: not given */
	int64_t sunday_week, monday_week;    /* -1: not given */
	int64_t iso_year, iso_week, weekday; /* -1: not given; weekday 0: Sunday */
	int half;                            /* 1: AM, 2: PM */
	bool has_epoch;
	int64_t epoch_s;
	int32_t offset_s;
	const char *zone; /* "UTC", null or "=EST" */
};

static bool bad(struct strptime_reader *r, char letter)
{
	r->error = arena_format(r->arena, "cannot parse \"%%%c\"", letter);
	return false;
}

static bool take_number(struct strptime_reader *r, char letter, int digits_max, int64_t *ret)
{
	int digits = 0;

	*ret = 0;
	for (; digits < digits_max && r->p < r->end && *r->p >= '0' && *r->p <= '9'; digits++)
		*ret = *ret * 10 + (*r->p++ - '0');
	return digits > 0 || bad(r, letter);
}

static bool take_ranged(struct strptime_reader *r, char letter, int digits_max, int64_t low, int64_t high, int64_t *ret)
{
	return take_number(r, letter, digits_max, ret) && ((*ret >= low && *ret <= high) || bad(r, letter));
}

static bool take_padded(struct strptime_reader *r, char letter, int64_t low, int64_t high, int64_t *ret)
{
	if (r->p < r->end && *r->p == ' ')
		r->p++;
	return take_ranged(r, letter, 2, low, high, ret);
}

static bool take_name(struct strptime_reader *r, char letter, const char *const *names, int count, bool brief,
                      int64_t *ret)
{
	for (int i = 0; i < count; i++) {
		size_t n = brief ? 3 : strlen(names[i]);

		if ((size_t)(r->end - r->p) >= n && strncasecmp(r->p, names[i], n) == 0) {
			r->p += n;
			*ret = i;
			return true;
		}
	}
	return bad(r, letter);
}

static bool take_half(struct strptime_reader *r)
{
	if (r->end - r->p < 2 || (strncasecmp(r->p, "am", 2) != 0 && strncasecmp(r->p, "pm", 2) != 0))
		return bad(r, 'p');
	r->half = *r->p == 'p' || *r->p == 'P' ? 2 : 1;
	r->p += 2;
	return true;
}

static bool take_micro(struct strptime_reader *r)
{
	const char *start = r->p;
	int64_t value;

	if (!take_number(r, 'f', 6, &value))
		return false;
	r->nanoseconds = (int32_t)value * NS_PER_US;
	for (int64_t n = r->p - start; n < 6; n++)
		r->nanoseconds *= 10;
	return true;
}

static bool take_epoch(struct strptime_reader *r)
{
	bool negative = r->p < r->end && *r->p == '-';

	r->p += negative;
	if (!take_number(r, 's', 18, &r->epoch_s))
		return false;
	if (negative)
		r->epoch_s = -r->epoch_s;
	r->has_epoch = true;
	return true;
}

/* Z, +hh, +hhmm, +hh:mm */
static bool take_offset(struct strptime_reader *r)
{
	int64_t hours, minutes = 0;
	const char *start;
	bool negative;

	if (r->p < r->end && *r->p == 'Z') {
		r->p++;
		r->offset_s = 0;
		r->zone = "UTC";
		return true;
	}
	if (r->p == r->end || (*r->p != '+' && *r->p != '-'))
		return bad(r, 'z');
	negative = *r->p++ == '-';
	start = r->p;
	if (!take_number(r, 'z', 2, &hours) || r->p - start != 2)
		return bad(r, 'z');
	if (r->p < r->end && *r->p == ':')
		r->p++;
	start = r->p;
	if (r->p < r->end && *r->p >= '0' && *r->p <= '9' && (!take_number(r, 'z', 2, &minutes) || r->p - start != 2))
		return bad(r, 'z');
	if (r->p == start && start[-1] == ':')
		return bad(r, 'z');
	r->offset_s = (int32_t)((hours * 60 + minutes) * 60) * (negative ? -1 : 1);
	r->zone = r->offset_s == 0 ? "UTC" : NULL;
	return true;
}

static bool take_zone(struct strptime_reader *r)
{
	const char *start = r->p;
	struct value_time t;

	while (r->p < r->end && *r->p >= 'A' && *r->p <= 'Z')
		r->p++;
	if (!gotime_parse(r->arena, "MST", 3, start, (size_t)(r->p - start), &t, &r->error))
		return false;
	r->offset_s = t.offset_s;
	r->zone = t.zone;
	return true;
}

static bool take_space(struct strptime_reader *r, char letter)
{
	const char *start = r->p;

	while (r->p < r->end && strchr(" \t\n\v\f\r", *r->p) && *r->p)
		r->p++;
	return r->p > start || bad(r, letter);
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

static bool run(struct strptime_reader *r, const char *format, size_t length);

static bool take_date(struct strptime_reader *r, char letter, bool *ret_known)
{
	*ret_known = true;
	switch (letter) {
	case 'Y':
		return take_number(r, 'Y', 4, &r->year);
	case 'y':
		if (!take_number(r, 'y', 2, &r->year))
			return false;
		r->year += r->year < 69 ? 2000 : 1900;
		return true;
	case 'C':
		return take_number(r, 'C', 2, &r->century);
	case 'm':
		return take_ranged(r, 'm', 2, 1, 12, &r->month);
	case 'B':
	case 'b':
	case 'h':
		if (!take_name(r, letter, gotime_months, 12, letter != 'B', &r->month))
			return false;
		r->month++;
		return true;
	case 'd':
		return take_ranged(r, 'd', 2, 1, 31, &r->day);
	case 'e':
		return take_padded(r, 'e', 1, 31, &r->day);
	case 'j':
		return take_ranged(r, 'j', 3, 1, 366, &r->year_day);
	case 'U':
		return take_ranged(r, 'U', 2, 0, 53, &r->sunday_week);
	case 'W':
		return take_ranged(r, 'W', 2, 0, 53, &r->monday_week);
	case 'G':
		return take_number(r, 'G', 4, &r->iso_year);
	case 'g':
		if (!take_number(r, 'g', 2, &r->iso_year))
			return false;
		r->iso_year += r->iso_year < 69 ? 2000 : 1900;
		return true;
	case 'V':
		return take_ranged(r, 'V', 2, 1, 53, &r->iso_week);
	case 'A':
	case 'a':
		return take_name(r, letter, gotime_weekdays, 7, letter == 'a', &r->weekday);
	case 'w':
		return take_ranged(r, 'w', 1, 0, 6, &r->weekday);
	case 'u':
		if (!take_ranged(r, 'u', 1, 1, 7, &r->weekday))
			return false;
		r->weekday %= 7;
		return true;
	default:
		*ret_known = false;
		return false;
	}
}

static bool take_clock(struct strptime_reader *r, char letter, bool *ret_known)
{
	*ret_known = true;
	switch (letter) {
	case 'H':
		return take_ranged(r, 'H', 2, 0, 23, &r->hour);
	case 'k':
		return take_padded(r, 'k', 0, 23, &r->hour);
	case 'I':
		return take_ranged(r, 'I', 2, 1, 12, &r->hour);
	case 'l':
		return take_padded(r, 'l', 1, 12, &r->hour);
	case 'M':
		return take_ranged(r, 'M', 2, 0, 59, &r->minute);
	case 'S':
		return take_ranged(r, 'S', 2, 0, 60, &r->second);
	case 'p':
	case 'P':
		return take_half(r);
	case 'f':
		return take_micro(r);
	case 's':
		return take_epoch(r);
	case 'z':
		return take_offset(r);
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

static const char *composite(char letter)
{
	switch (letter) {
	case 'D':
	case 'x':
		return "%m/%d/%y";
	case 'F':
		return "%Y-%m-%d";
	case 'T':
	case 'X':
		return "%H:%M:%S";
	case 'R':
		return "%H:%M";
	case 'r':
		return "%I:%M:%S %p";
	case 'v':
		return "%e-%b-%Y";
	case 'c':
		return "%a %b %e %H:%M:%S %Y";
	case '+':
		return "%a %b %e %H:%M:%S %Z %Y";
	default:
		return NULL;
	}
}

static bool run_spec(struct strptime_reader *r, char letter)
{
	const char *whole = composite(letter);
	bool known, ok;

	if (whole)
		return run(r, whole, strlen(whole));
	ok = take_date(r, letter, &known);
	if (known)
		return ok;
	ok = take_clock(r, letter, &known);
	if (known)
		return ok;
	r->error = arena_format(r->arena, "unexpected format \"%%%c\"", letter);
	return false;
}

static bool run(struct strptime_reader *r, const char *format, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (format[i] != '%') {
			if (!take_literal(r, format[i]))
				return false;
			continue;
		}
		i++;
		while (i < length && strchr("-_0^#:", format[i]) && format[i])
			i++;
		if (i == length) {
			r->error = "stray \"%\"";
			return false;
		}
		if (!run_spec(r, format[i]))
			return false;
	}
	return true;
}

/* Month and day of what was given as a week or a day of the year. */
static void settle_day(struct strptime_reader *r)
{
	int64_t first, weekday = r->weekday;

	if (r->century >= 0)
		r->year = r->century * 100 + r->year % 100;
	if (r->year_day > 0) {
		r->month = 1;
		r->day = r->year_day;
	} else if (r->iso_week > 0) {
		int64_t year = r->iso_year >= 0 ? r->iso_year : r->year;

		first = calendar_days(year, 1, 4);  /* always in week 1 */
		first -= ((first + 3) % 7 + 7) % 7; /* its Monday */
		r->year = 1970;
		r->month = 1;
		r->day = first + (r->iso_week - 1) * 7 + (weekday < 0 ? 0 : (weekday + 6) % 7) + 1;
	} else if ((r->sunday_week >= 0 || r->monday_week >= 0) && weekday >= 0) {
		int64_t start_day = ((calendar_days(r->year, 1, 1) + 4) % 7 + 7) % 7;

		r->month = 1;
		if (r->sunday_week >= 0)
			r->day = 1 + (7 - start_day) % 7 + (r->sunday_week - 1) * 7 + weekday;
		else
			r->day = 1 + (8 - start_day) % 7 + (r->monday_week - 1) * 7 + (weekday + 6) % 7;
	}
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

static const char *unparsed(struct strptime_reader *r)
{
	struct text t;

	text_init(&t, r->arena);
	text_add_string(&t, "unparsed string ");
	go_quote(&t, r->p, (size_t)(r->end - r->p), false);
	return text_end(&t);
}

bool gotime_strptime(struct arena *a, const char *format, size_t format_length, const char *value, size_t value_length,
                     struct value_time *ret, const char **ret_error)
{
	struct strptime_reader r = {.arena = a,
	                            .p = value,
	                            .end = value + value_length,
	                            .year = 1900,
	                            .month = 1,
	                            .day = 1,
	                            .century = -1,
	                            .year_day = -1,
	                            .sunday_week = -1,
	                            .monday_week = -1,
	                            .iso_year = -1,
	                            .iso_week = -1,
	                            .weekday = -1,
	                            .zone = "UTC"};

	if (!run(&r, format, format_length)) {
		*ret_error = describe(a, value, value_length, format, format_length, r.error);
		return false;
	}
	if (r.p < r.end) {
		*ret_error = describe(a, value, value_length, format, format_length, unparsed(&r));
		return false;
	}
	settle_day(&r);
	if (r.half == 2 && r.hour < 12)
		r.hour += 12;
	else if (r.half == 1 && r.hour == 12)
		r.hour = 0;
	*ret = gotime_date(r.year, r.month, r.day, r.hour, r.minute, r.second, r.nanoseconds, NULL, r.offset_s);
	if (r.has_epoch)
		ret->seconds = r.epoch_s;
	ret->zone = r.zone;
	return true;
}
