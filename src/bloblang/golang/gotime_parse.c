/*
 * Reading a time by a Go layout; errors in the words of Go's time.ParseError.
 *
 * Invariants:
 * 1. p only goes forward, and never past end.
 * 2. month, day and year_day are -1 until they are read; settle_date() leaves month and day in range or says what is
 *    wrong.
 * 3. range names a number that was out of its range; while it is set no date is made.
 */
#include "bloblang/golang/gotime.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"

enum { ABBREVIATION_LONGEST = 6 };

struct layout_reader {
	struct arena *arena;
	const char *p; /* what is left of the value */
	const char *end;
	const char *range;                  /* "month": a number was out of its range */
	int64_t year, month, day, year_day; /* month, day, year_day: -1 when not given */
	int64_t hour, minute, second;
	int32_t nanoseconds;
	bool pm, am, utc, has_offset;
	int32_t offset_s;
	const char *abbreviation;
	size_t abbreviation_length;
};

static bool is_digit(const struct layout_reader *r, size_t i)
{
	return (size_t)(r->end - r->p) > i && r->p[i] >= '0' && r->p[i] <= '9';
}

/* One or two digits; exactly two when fixed. */
static bool take_two(struct layout_reader *r, bool fixed, int64_t *ret)
{
	if (!is_digit(r, 0) || (fixed && !is_digit(r, 1)))
		return false;
	*ret = *r->p++ - '0';
	if (is_digit(r, 0))
		*ret = *ret * 10 + (*r->p++ - '0');
	return true;
}

static bool take_ranged(struct layout_reader *r, bool fixed, int64_t *ret, int64_t low, int64_t high, const char *what)
{
	if (!take_two(r, fixed, ret))
		return false;
	if (*ret < low || *ret > high)
		r->range = what;
	return true;
}

static bool take_name(struct layout_reader *r, const char *const *names, int count, bool brief, int64_t *ret)
{
	for (int i = 0; i < count; i++) {
		size_t n = brief ? 3 : strlen(names[i]);

		if ((size_t)(r->end - r->p) >= n && strncasecmp(r->p, names[i], n) == 0) {
			r->p += n;
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool take_year(struct layout_reader *r, bool brief)
{
	size_t n = brief ? 2 : 4;
	int64_t year = 0;

	if ((size_t)(r->end - r->p) < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(r, i))
			return false;
		year = year * 10 + (r->p[i] - '0');
	}
	r->p += n;
	r->year = brief ? year + (year >= 69 ? 1900 : 2000) : year;
	return true;
}

static bool take_year_day(struct layout_reader *r, bool fixed)
{
	int digits = 0;

	for (int i = 0; i < 2 && !fixed && r->p < r->end && *r->p == ' '; i++)
		r->p++;
	r->year_day = 0;
	for (; digits < 3 && is_digit(r, 0); digits++)
		r->year_day = r->year_day * 10 + (*r->p++ - '0');
	return digits > 0 && (!fixed || digits == 3);
}

/* n: bytes with the point. */
static bool take_fraction(struct layout_reader *r, size_t n)
{
	int32_t value = 0;
	int digits = 0;

	if ((size_t)(r->end - r->p) < n || (*r->p != '.' && *r->p != ','))
		return false;
	for (size_t i = 1; i < n; i++) {
		if (!is_digit(r, i))
			return false;
		if (digits < 9) {
			value = value * 10 + (r->p[i] - '0');
			digits++;
		}
	}
	for (; digits < 9; digits++)
		value *= 10;
	r->nanoseconds = value;
	r->p += n;
	return true;
}

static size_t fraction_length(const struct layout_reader *r)
{
	size_t n = 1;

	if (r->end - r->p < 2 || (*r->p != '.' && *r->p != ',') || !is_digit(r, 1))
		return 0;
	while (is_digit(r, n))
		n++;
	return n;
}

static bool take_marker(struct layout_reader *r, const char *pm, const char *am)
{
	if (r->end - r->p < 2)
		return false;
	if (memcmp(r->p, pm, 2) == 0)
		r->pm = true;
	else if (memcmp(r->p, am, 2) == 0)
		r->am = true;
	else
		return false;
	r->p += 2;
	return true;
}

static bool take_offset_part(struct layout_reader *r, bool colon, int64_t *ret)
{
	if (colon) {
		if (r->p == r->end || *r->p != ':')
			return false;
		r->p++;
	}
	return take_two(r, true, ret);
}

static bool take_offset(struct layout_reader *r, const struct gotime_chunk *k)
{
	int64_t hours, minutes = 0, seconds = 0;
	bool negative;

	if (k->z && r->p < r->end && *r->p == 'Z') {
		r->p++;
		r->utc = true;
		return true;
	}
	if (r->p == r->end || (*r->p != '+' && *r->p != '-'))
		return false;
	negative = *r->p++ == '-';
	if (!take_two(r, true, &hours) || (!k->no_minutes && !take_offset_part(r, k->colon, &minutes)) ||
	    (k->seconds && !take_offset_part(r, k->colon, &seconds)))
		return false;
	if (hours > 24)
		r->range = "time zone offset hour";
	else if (minutes > 60)
		r->range = "time zone offset minute";
	else if (seconds > 60)
		r->range = "time zone offset second";
	r->offset_s = (int32_t)((hours * 60 + minutes) * 60 + seconds) * (negative ? -1 : 1);
	r->has_offset = true;
	return true;
}

/* "+3", "-11" after GMT or alone: its length, 0 when there is none. */
static size_t signed_offset_length(const char *p, size_t n)
{
	size_t i = 1;
	int value = 0;

	if (n < 2 || (*p != '+' && *p != '-'))
		return 0;
	for (; i < n && p[i] >= '0' && p[i] <= '9' && value < 1000; i++)
		value = value * 10 + (p[i] - '0');
	return i == 1 || value > 23 ? 0 : i;
}

static size_t abbreviation_length(const char *p, size_t n)
{
	size_t upper = 0;

	if (n < 3)
		return 0;
	if (n >= 4 && (memcmp(p, "ChST", 4) == 0 || memcmp(p, "MeST", 4) == 0))
		return 4;
	if (memcmp(p, "GMT", 3) == 0)
		return 3 + signed_offset_length(p + 3, n - 3);
	if (*p == '+' || *p == '-')
		return signed_offset_length(p, n);
	while (upper < n && upper < ABBREVIATION_LONGEST && p[upper] >= 'A' && p[upper] <= 'Z')
		upper++;
	if (upper == 3 || (upper == 5 && p[4] == 'T'))
		return upper;
	return upper == 4 && (p[3] == 'T' || memcmp(p, "WITA", 4) == 0) ? 4 : 0;
}

static bool take_abbreviation(struct layout_reader *r)
{
	size_t n = (size_t)(r->end - r->p);

	if (n >= 3 && memcmp(r->p, "UTC", 3) == 0) {
		r->p += 3;
		r->utc = true;
		return true;
	}
	r->abbreviation = r->p;
	r->abbreviation_length = abbreviation_length(r->p, n);
	r->p += r->abbreviation_length;
	return r->abbreviation_length > 0;
}

static bool take_second(struct layout_reader *r, bool fixed, enum gotime_piece next)
{
	size_t fraction;

	if (!take_ranged(r, fixed, &r->second, 0, 59, "second"))
		return false;
	fraction = r->range ? 0 : fraction_length(r);
	if (fraction > 0 && next != PIECE_FRACTION_0 && next != PIECE_FRACTION_9)
		return take_fraction(r, fraction);
	return true;
}

static bool take_date_piece(struct layout_reader *r, const struct gotime_chunk *k)
{
	int64_t ignored;

	switch (k->piece) {
	case PIECE_YEAR:
	case PIECE_LONG_YEAR:
		return take_year(r, k->piece == PIECE_YEAR);
	case PIECE_MONTH:
	case PIECE_LONG_MONTH:
		if (!take_name(r, gotime_months, 12, k->piece == PIECE_MONTH, &r->month))
			return false;
		r->month++;
		return true;
	case PIECE_NUM_MONTH:
	case PIECE_ZERO_MONTH:
		return take_ranged(r, k->piece == PIECE_ZERO_MONTH, &r->month, 1, 12, "month");
	case PIECE_WEEKDAY:
	case PIECE_LONG_WEEKDAY:
		return take_name(r, gotime_weekdays, 7, k->piece == PIECE_WEEKDAY, &ignored);
	case PIECE_UNDER_DAY:
		if (r->p < r->end && *r->p == ' ')
			r->p++;
		return take_two(r, false, &r->day);
	case PIECE_DAY:
	case PIECE_ZERO_DAY:
		return take_two(r, k->piece == PIECE_ZERO_DAY, &r->day);
	default:
		return take_year_day(r, k->piece == PIECE_ZERO_YEAR_DAY);
	}
}

static bool take_piece(struct layout_reader *r, const struct gotime_chunk *k, enum gotime_piece next,
                       size_t piece_length)
{
	switch (k->piece) {
	case PIECE_HOUR:
		return take_ranged(r, false, &r->hour, 0, 23, "hour");
	case PIECE_HOUR12:
	case PIECE_ZERO_HOUR12:
		return take_ranged(r, k->piece == PIECE_ZERO_HOUR12, &r->hour, 0, 12, "hour");
	case PIECE_MINUTE:
	case PIECE_ZERO_MINUTE:
		return take_ranged(r, k->piece == PIECE_ZERO_MINUTE, &r->minute, 0, 59, "minute");
	case PIECE_SECOND:
	case PIECE_ZERO_SECOND:
		return take_second(r, k->piece == PIECE_ZERO_SECOND, next);
	case PIECE_PM:
		return take_marker(r, "PM", "AM");
	case PIECE_LOWER_PM:
		return take_marker(r, "pm", "am");
	case PIECE_OFFSET:
		return take_offset(r, k);
	case PIECE_ABBREVIATION:
		return take_abbreviation(r);
	case PIECE_FRACTION_0:
		return take_fraction(r, piece_length);
	case PIECE_FRACTION_9:
		return fraction_length(r) == 0 || take_fraction(r, fraction_length(r));
	default:
		return take_date_piece(r, k);
	}
}

/* Literal text: blanks match any run of blanks. On false *p is where it stopped matching. */
static bool skip_literal(struct layout_reader *r, const char **p, const char *end)
{
	while (*p < end) {
		if (**p == ' ') {
			if (r->p < r->end && *r->p != ' ')
				return false;
			while (*p < end && **p == ' ')
				++*p;
			while (r->p < r->end && *r->p == ' ')
				r->p++;
			continue;
		}
		if (r->p == r->end || *r->p != **p)
			return false;
		++*p;
		r->p++;
	}
	return true;
}

/* The day of the year as month and day. Null, or what is wrong. */
static const char *settle_year_day(struct layout_reader *r)
{
	int64_t day = r->year_day;
	int month = 1;

	if (day < 1 || day > 337 + gotime_days_in_month(r->year, 2))
		return "day-of-year out of range";
	while (day > gotime_days_in_month(r->year, month))
		day -= gotime_days_in_month(r->year, month++);
	if (r->month >= 0 && r->month != month)
		return "day-of-year does not match month";
	if (r->day >= 0 && r->day != day)
		return "day-of-year does not match day";
	r->month = month;
	r->day = day;
	return NULL;
}

static const char *settle_date(struct layout_reader *r)
{
	if (r->pm && r->hour < 12)
		r->hour += 12;
	else if (r->am && r->hour == 12)
		r->hour = 0;
	if (r->year_day >= 0) {
		const char *wrong = settle_year_day(r);

		if (wrong)
			return wrong;
	}
	if (r->month < 0)
		r->month = 1;
	if (r->day < 0)
		r->day = 1;
	if (r->day < 1 || r->day > gotime_days_in_month(r->year, (int)r->month))
		return "day out of range";
	return NULL;
}

/* "+3", "-11" */
static int hours_of(const char *p, size_t n)
{
	int hours = 0;

	for (size_t i = 1; i < n; i++)
		hours = hours * 10 + (p[i] - '0');
	return *p == '-' ? -hours : hours;
}

static bool abbreviation_is(const struct layout_reader *r, const struct zone_period *p)
{
	return strlen(p->abbreviation) == r->abbreviation_length &&
	       memcmp(p->abbreviation, r->abbreviation, r->abbreviation_length) == 0;
}

static void settle_zone(const struct layout_reader *r, struct value_time *t)
{
	const struct zone *local = zone_find("Local", 5);
	struct zone_period p;
	bool local_fits;

	if (r->has_offset) {
		t->seconds -= r->offset_s;
		zone_lookup(local, t->seconds, &p);
		t->offset_s = r->offset_s;
		local_fits = p.offset_s == r->offset_s && (r->abbreviation_length == 0 || abbreviation_is(r, &p));
		t->zone = local_fits ? "Local" : NULL;
		if (!local_fits && r->abbreviation_length)
			t->zone = arena_format(r->arena, "=%.*s", (int)r->abbreviation_length, r->abbreviation);
	} else if (r->abbreviation_length) {
		zone_lookup(local, t->seconds, &p);
		if (abbreviation_is(r, &p)) {
			t->seconds -= p.offset_s;
			t->offset_s = p.offset_s;
			t->zone = "Local";
			return;
		}
		if (r->abbreviation_length > 3 && memcmp(r->abbreviation, "GMT", 3) == 0)
			t->offset_s = 3600 * hours_of(r->abbreviation + 3, r->abbreviation_length - 3);
		t->seconds -= t->offset_s;
		t->zone = arena_format(r->arena, "=%.*s", (int)r->abbreviation_length, r->abbreviation);
	}
}

static const char *whole_error(struct arena *a, const char *value, size_t length, const char *what, const char *extra,
                               size_t extra_length)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, "parsing time ");
	time_quote(&t, value, length);
	text_add_string(&t, ": ");
	text_add_string(&t, what);
	if (extra)
		time_quote(&t, extra, extra_length);
	return text_end(&t);
}

static const char *element_error(struct arena *a, const char *value, size_t length, const char *layout,
                                 size_t layout_length, const char *rest, size_t rest_length, const char *element,
                                 size_t element_length)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, "parsing time ");
	time_quote(&t, value, length);
	text_add_string(&t, " as ");
	time_quote(&t, layout, layout_length);
	text_add_string(&t, ": cannot parse ");
	time_quote(&t, rest, rest_length);
	text_add_string(&t, " as ");
	time_quote(&t, element, element_length);
	return text_end(&t);
}

bool gotime_parse(struct arena *a, const char *layout, size_t layout_length, const char *value, size_t value_length,
                  struct value_time *ret, const char **ret_error)
{
	struct layout_reader r = {
	    .arena = a, .p = value, .end = value + value_length, .month = -1, .day = -1, .year_day = -1};
	const char *wrong;
	size_t at = 0;

	for (;;) {
		struct gotime_chunk k = gotime_next_chunk(layout, layout_length, at);
		const char *literal = layout + at, *hold;
		enum gotime_piece next;

		if (!skip_literal(&r, &literal, layout + k.start)) {
			*ret_error = element_error(a, value, value_length, layout, layout_length, r.p,
			                           (size_t)(r.end - r.p), layout + at, k.start - at);
			return false;
		}
		if (k.piece == PIECE_END)
			break;
		at = k.end;
		hold = r.p;
		next = gotime_next_chunk(layout, layout_length, at).piece;
		if (!take_piece(&r, &k, next, k.end - k.start)) {
			*ret_error = element_error(a, value, value_length, layout, layout_length, hold,
			                           (size_t)(r.end - hold), layout + k.start, k.end - k.start);
			return false;
		}
		if (r.range) {
			*ret_error =
			    whole_error(a, value, value_length, arena_format(a, "%s out of range", r.range), NULL, 0);
			return false;
		}
	}
	must(r.p <= r.end);
	if (r.p < r.end) {
		*ret_error = whole_error(a, value, value_length, "extra text: ", r.p, (size_t)(r.end - r.p));
		return false;
	}
	wrong = settle_date(&r);
	if (wrong) {
		*ret_error = whole_error(a, value, value_length, wrong, NULL, 0);
		return false;
	}
	*ret = gotime_date(r.year, r.month, r.day, r.hour, r.minute, r.second, r.nanoseconds, NULL, 0);
	ret->zone = "UTC";
	if (!r.utc)
		settle_zone(&r, ret);
	return true;
}
