/*
 * Calendar arithmetic and printing by layout.
 *
 * Invariants:
 * 1. Of a struct civil that comes out of here month is 1..12, weekday 0..6 and year_day 1..366.
 * 2. Years, months and days beyond ADD_MAX are not computed with, so that no sum overflows.
 * 3. An instant with a named zone has the offset that the zone has at that instant.
 */
#include "bloblang/golang/gotime.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/calendar.h"
#include "base/clock.h"
#include "value/time.h"

enum { SECONDS_PER_DAY = 86400 };

/* Calendar steps beyond this leave the range of any calendar. */
#define ADD_MAX INT64_C(2000000000)

/* Seconds from Go's zero time (year 1) to the epoch. */
#define ZERO_TIME_S INT64_C(62135596800)

const char *const gotime_months[12] = {"January", "February", "March",     "April",   "May",      "June",
                                       "July",    "August",   "September", "October", "November", "December"};
const char *const gotime_weekdays[7] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int gotime_days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

struct civil gotime_civil(const struct value_time *t)
{
	int64_t local = (int64_t)((uint64_t)t->seconds + (uint64_t)(int64_t)t->offset_s); /* any int may come in */
	int64_t days = local / SECONDS_PER_DAY - (local % SECONDS_PER_DAY < 0);
	int rest = (int)((local % SECONDS_PER_DAY + SECONDS_PER_DAY) % SECONDS_PER_DAY);
	struct civil c = {.hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60};

	calendar_date(days, &c.year, &c.month, &c.day);
	c.weekday = (int)(((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	c.year_day = (int)(days - calendar_days(c.year, 1, 1)) + 1;
	return c;
}

static void settle_offset(struct value_time *t, const struct zone *zone)
{
	struct zone_period p;

	zone_lookup(zone, t->seconds, &p);
	t->zone = zone_name(zone);
	t->offset_s = p.offset_s;
}

struct value_time gotime_date(int64_t year, int64_t month, int64_t day, int64_t hour, int64_t minute, int64_t second,
                              int32_t nanoseconds, const struct zone *zone, int32_t offset_s)
{
	struct value_time t = {.nanoseconds = nanoseconds, .offset_s = offset_s};
	int64_t local;

	month -= 1;
	year += month / 12 - (month % 12 < 0);
	month = (month % 12 + 12) % 12 + 1;
	local = (calendar_days(year, (int)month, 1) + day - 1) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
	if (zone) {
		t.seconds = zone_from_local(zone, local);
		settle_offset(&t, zone);
	} else {
		t.seconds = local - offset_s;
	}
	return t;
}

struct value_time gotime_in_zone(const struct value_time *t, const struct zone *zone)
{
	struct value_time r = *t;

	settle_offset(&r, zone);
	return r;
}

static const struct zone *zone_of(const struct value_time *t)
{
	return t->zone && *t->zone != '=' ? zone_find(t->zone, strlen(t->zone)) : NULL;
}

/* The offset may differ after the instant moved. */
static struct value_time moved(struct value_time t)
{
	const struct zone *zone = zone_of(&t);

	if (zone)
		settle_offset(&t, zone);
	return t;
}

const char *gotime_abbreviation(const struct value_time *t, char buffer[ZONE_ABBREVIATION_MAX])
{
	const struct zone *zone = zone_of(t);
	struct zone_period p;

	if (t->zone && *t->zone == '=')
		return t->zone + 1;
	if (!zone)
		return "";
	zone_lookup(zone, t->seconds, &p);
	memcpy(buffer, p.abbreviation, sizeof p.abbreviation);
	return buffer;
}

void gotime_iso_week(const struct civil *c, int64_t *ret_year, int *ret_week)
{
	int64_t days = calendar_days(c->year, c->month, c->day);
	int64_t thursday = days - (c->weekday + 6) % 7 + 3;
	int month, day;

	calendar_date(thursday, ret_year, &month, &day);
	*ret_week = (int)((thursday - calendar_days(*ret_year, 1, 1)) / 7) + 1;
}

struct value_time gotime_add_date(const struct value_time *t, int64_t years, int64_t months, int64_t days)
{
	struct civil c = gotime_civil(t);
	struct value_time r;

	if (years > ADD_MAX || years < -ADD_MAX || months > ADD_MAX || months < -ADD_MAX || days > ADD_MAX ||
	    days < -ADD_MAX || c.year > ADD_MAX || c.year < -ADD_MAX)
		return *t;
	r = gotime_date(c.year + years, c.month + months, c.day + days, c.hour, c.minute, c.second, t->nanoseconds,
	                zone_of(t), t->offset_s);

	r.zone = t->zone;
	return r;
}

struct value_time gotime_add_ns(const struct value_time *t, int64_t ns)
{
	struct value_time r = *t;
	int64_t rest = t->nanoseconds + ns % NS_PER_S;

	r.seconds = (int64_t)((uint64_t)r.seconds + (uint64_t)(ns / NS_PER_S)); /* wraps like the reference */
	if (rest >= NS_PER_S) {
		r.seconds = (int64_t)((uint64_t)r.seconds + 1);
		rest -= NS_PER_S;
	} else if (rest < 0) {
		r.seconds = (int64_t)((uint64_t)r.seconds - 1);
		rest += NS_PER_S;
	}
	r.nanoseconds = (int32_t)rest;
	return moved(r);
}

struct value_time gotime_round(const struct value_time *t, int64_t unit_ns)
{
	__int128 since, rest;

	if (unit_ns <= 0)
		return *t;
	since = ((__int128)t->seconds + ZERO_TIME_S) * NS_PER_S + t->nanoseconds;
	rest = since % unit_ns;
	if (rest < 0)
		rest += unit_ns;
	return gotime_add_ns(t, rest + rest < unit_ns ? (int64_t)-rest : (int64_t)(unit_ns - rest));
}

int64_t gotime_sub_ns(const struct value_time *a, const struct value_time *b)
{
	__int128 difference = ((__int128)a->seconds - b->seconds) * NS_PER_S + (a->nanoseconds - b->nanoseconds);

	return difference > INT64_MAX ? INT64_MAX : difference < INT64_MIN ? INT64_MIN : (int64_t)difference;
}

/* A number of at least width digits, zero-padded. */
static void add_number(struct text *out, int64_t n, int width, char pad)
{
	char digits[24];
	int length;

	if (n < 0)
		text_add_char(out, '-');
	length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(n < 0 ? 0 - (uint64_t)n : (uint64_t)n));
	for (; width > length; width--)
		text_add_char(out, pad);
	text_add(out, digits, (size_t)length);
}

static void add_offset(struct text *out, const struct gotime_chunk *c, int32_t offset_s)
{
	int32_t minutes = offset_s / 60, seconds = offset_s;

	if (c->z && offset_s == 0) {
		text_add_char(out, 'Z');
		return;
	}
	text_add_char(out, minutes < 0 ? '-' : '+');
	if (minutes < 0) {
		minutes = -minutes;
		seconds = -seconds;
	}
	add_number(out, minutes / 60, 2, '0');
	if (c->colon)
		text_add_char(out, ':');
	if (!c->no_minutes)
		add_number(out, minutes % 60, 2, '0');
	if (c->seconds) {
		if (c->colon)
			text_add_char(out, ':');
		add_number(out, seconds % 60, 2, '0');
	}
}

static void add_abbreviation(struct text *out, const struct value_time *t)
{
	char buffer[ZONE_ABBREVIATION_MAX];
	const char *name = gotime_abbreviation(t, buffer);
	struct gotime_chunk plain = {.piece = PIECE_OFFSET};

	if (*name)
		text_add_string(out, name);
	else
		add_offset(out, &plain, t->offset_s);
}

/* piece: the point or comma and the digits asked for. */
static void add_fraction(struct text *out, const char *piece, size_t length, int32_t nanoseconds, bool trim)
{
	char digits[16];
	size_t n = length - 1 < 9 ? length - 1 : 9;

	(void)snprintf(digits, sizeof digits, "%09d", nanoseconds);
	if (trim) {
		while (n > 0 && digits[n - 1] == '0')
			n--;
		if (n == 0)
			return;
	}
	text_add_char(out, *piece);
	text_add(out, digits, n);
}

static void add_date_piece(struct text *out, enum gotime_piece piece, const struct civil *c)
{
	switch (piece) {
	case PIECE_LONG_MONTH:
		text_add_string(out, gotime_months[c->month - 1]);
		break;
	case PIECE_MONTH:
		text_add(out, gotime_months[c->month - 1], 3);
		break;
	case PIECE_NUM_MONTH:
		add_number(out, c->month, 0, '0');
		break;
	case PIECE_ZERO_MONTH:
		add_number(out, c->month, 2, '0');
		break;
	case PIECE_LONG_WEEKDAY:
		text_add_string(out, gotime_weekdays[c->weekday]);
		break;
	case PIECE_WEEKDAY:
		text_add(out, gotime_weekdays[c->weekday], 3);
		break;
	case PIECE_DAY:
		add_number(out, c->day, 0, '0');
		break;
	case PIECE_UNDER_DAY:
		add_number(out, c->day, 2, ' ');
		break;
	case PIECE_ZERO_DAY:
		add_number(out, c->day, 2, '0');
		break;
	case PIECE_UNDER_YEAR_DAY:
		add_number(out, c->year_day, 3, ' ');
		break;
	case PIECE_ZERO_YEAR_DAY:
		add_number(out, c->year_day, 3, '0');
		break;
	case PIECE_LONG_YEAR:
		add_number(out, c->year, 4, '0');
		break;
	default:
		add_number(out, (c->year < 0 ? 0 : c->year) % 100, 2, '0');
		break;
	}
}

static void add_clock_piece(struct text *out, enum gotime_piece piece, const struct civil *c)
{
	int hour12 = c->hour % 12 == 0 ? 12 : c->hour % 12;

	switch (piece) {
	case PIECE_HOUR:
		add_number(out, c->hour, 2, '0');
		break;
	case PIECE_HOUR12:
		add_number(out, hour12, 0, '0');
		break;
	case PIECE_ZERO_HOUR12:
		add_number(out, hour12, 2, '0');
		break;
	case PIECE_MINUTE:
		add_number(out, c->minute, 0, '0');
		break;
	case PIECE_ZERO_MINUTE:
		add_number(out, c->minute, 2, '0');
		break;
	case PIECE_SECOND:
		add_number(out, c->second, 0, '0');
		break;
	case PIECE_ZERO_SECOND:
		add_number(out, c->second, 2, '0');
		break;
	case PIECE_PM:
		text_add_string(out, c->hour >= 12 ? "PM" : "AM");
		break;
	default:
		text_add_string(out, c->hour >= 12 ? "pm" : "am");
		break;
	}
}

void gotime_format(struct text *out, const struct value_time *t, const char *layout, size_t length)
{
	struct civil c = gotime_civil(t);
	size_t at = 0;

	for (;;) {
		struct gotime_chunk k = gotime_next_chunk(layout, length, at);

		text_add(out, layout + at, k.start - at);
		at = k.end;
		switch (k.piece) {
		case PIECE_END:
			return;
		case PIECE_HOUR:
		case PIECE_HOUR12:
		case PIECE_ZERO_HOUR12:
		case PIECE_MINUTE:
		case PIECE_ZERO_MINUTE:
		case PIECE_SECOND:
		case PIECE_ZERO_SECOND:
		case PIECE_PM:
		case PIECE_LOWER_PM:
			add_clock_piece(out, k.piece, &c);
			break;
		case PIECE_ABBREVIATION:
			add_abbreviation(out, t);
			break;
		case PIECE_OFFSET:
			add_offset(out, &k, t->offset_s);
			break;
		case PIECE_FRACTION_0:
		case PIECE_FRACTION_9:
			add_fraction(out, layout + k.start, k.end - k.start, t->nanoseconds,
			             k.piece == PIECE_FRACTION_9);
			break;
		default:
			add_date_piece(out, k.piece, &c);
			break;
		}
	}
}
