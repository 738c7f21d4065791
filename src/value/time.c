/*
 * Times as RFC 3339, as the reference reads and writes them.
 *
 * Invariants:
 * 1. A reader's `at` only goes forward, and never past `end`.
 * 2. After a false answer the reader says why: `range` when a field was out of it, else `element`.
 */
#include "value/time.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

#include "base/calendar.h"
#include "value/number.h"

enum { SECONDS_PER_DAY = 86400, NS_DIGITS = 9 };

size_t time_print(char *out, const struct value_time *t)
{
	/* Divided before the offset is added, so that no instant overflows. */
	int64_t whole = t->seconds / SECONDS_PER_DAY;
	int64_t local = t->seconds % SECONDS_PER_DAY + t->offset_s;
	int64_t days = whole + local / SECONDS_PER_DAY - (local % SECONDS_PER_DAY < 0 ? 1 : 0);
	int rest = (int)(((local % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY);
	int offset = t->offset_s < 0 ? -t->offset_s : t->offset_s;
	int64_t year;
	int month;
	int day;
	size_t n;

	calendar_date(days, &year, &month, &day);
	n = (size_t)snprintf(out, TIME_TEXT_MAX, "%s%04lld-%02d-%02dT%02d:%02d:%02d", year < 0 ? "-" : "",
	                     (long long)(year < 0 ? -year : year), month, day, rest / 3600, rest / 60 % 60, rest % 60);
	if (t->nanoseconds != 0) {
		n += (size_t)snprintf(out + n, TIME_TEXT_MAX - n, ".%09d", t->nanoseconds);
		while (out[n - 1] == '0')
			n--;
	}
	if (t->offset_s / 60 == 0)
		return n + (size_t)snprintf(out + n, TIME_TEXT_MAX - n, t->offset_s == 0 ? "Z" : "+00:00");
	return n + (size_t)snprintf(out + n, TIME_TEXT_MAX - n, "%c%02d:%02d", t->offset_s < 0 ? '-' : '+',
	                            offset / 3600, offset / 60 % 60);
}

/* A cursor over RFC 3339 text; `element` is the piece of the layout that is being read, for the error. */
struct time_reader {
	const char *at;
	const char *end;
	const char *element;
	const char *range; /* not null: the field that is out of it */
};

static bool read_digits(struct time_reader *r, int count, const char *element, int *ret)
{
	r->element = element;
	*ret = 0;
	if (r->end - r->at < count)
		return false;
	for (int i = 0; i < count; i++) {
		if (r->at[i] < '0' || r->at[i] > '9')
			return false;
		*ret = *ret * 10 + (r->at[i] - '0');
	}
	r->at += count;
	return true;
}

static bool read_char(struct time_reader *r, char c, const char *element)
{
	r->element = element;
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool read_fraction(struct time_reader *r, int32_t *ret_ns)
{
	int digits = 0;

	*ret_ns = 0;
	if (r->end - r->at < 2 || (*r->at != '.' && *r->at != ',') || r->at[1] < '0' || r->at[1] > '9')
		return true;
	for (r->at++; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		if (digits < NS_DIGITS) {
			*ret_ns = *ret_ns * 10 + (*r->at - '0');
			digits++;
		}
	}
	for (; digits < NS_DIGITS; digits++)
		*ret_ns *= 10;
	return true;
}

/* As in the reference, a field out of its range ends the reading; only days wait until the month is known. */
static bool in_range(struct time_reader *r, int value, int least, int most, const char *field)
{
	if (value < least || value > most)
		r->range = field;
	return !r->range;
}

static bool read_zone(struct time_reader *r, struct value_time *ret)
{
	const char *start = r->at;
	int hours;
	int minutes;
	int sign;

	r->element = "Z07:00";
	ret->zone = NULL;
	ret->offset_s = 0;
	if (r->at < r->end && *r->at == 'Z') {
		r->at++;
		ret->zone = "UTC";
		return true;
	}
	if (r->at == r->end || (*r->at != '+' && *r->at != '-'))
		return false;
	sign = *r->at++ == '-' ? -1 : 1;
	if (!read_digits(r, 2, "Z07:00", &hours) || !read_char(r, ':', "Z07:00") ||
	    !read_digits(r, 2, "Z07:00", &minutes)) {
		r->at = start;
		return false;
	}
	if (!in_range(r, hours, 0, 24, "time zone offset hour") ||
	    !in_range(r, minutes, 0, 60, "time zone offset minute"))
		return false;
	ret->offset_s = sign * (hours * 3600 + minutes * 60);
	if (ret->offset_s == 0)
		ret->zone = "UTC";
	return true;
}

static int days_in_month(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

struct time_fields {
	int year;
	int month;
	int day;
	int hour;
	int minute;
	int second;
};

/* The reference takes one digit here, though RFC 3339 wants two. */
static bool read_hour(struct time_reader *r, int *ret)
{
	bool two = r->end - r->at > 1 && r->at[1] >= '0' && r->at[1] <= '9';

	return read_digits(r, two ? 2 : 1, "15", ret);
}

static bool read_civil(struct time_reader *r, struct time_fields *c)
{
	return read_digits(r, 4, "2006", &c->year) && read_char(r, '-', "-") && read_digits(r, 2, "01", &c->month) &&
	       in_range(r, c->month, 1, 12, "month") && read_char(r, '-', "-") && read_digits(r, 2, "02", &c->day) &&
	       read_char(r, 'T', "T") && read_hour(r, &c->hour) && in_range(r, c->hour, 0, 23, "hour") &&
	       read_char(r, ':', ":") && read_digits(r, 2, "04", &c->minute) &&
	       in_range(r, c->minute, 0, 59, "minute") && read_char(r, ':', ":") &&
	       read_digits(r, 2, "05", &c->second) && in_range(r, c->second, 0, 59, "second");
}

void time_quote(struct text *out, const char *s, size_t length)
{
	text_add_char(out, '"');
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 128 || c < ' ') {
			text_addf(out, "\\x%02x", c);
		} else {
			if (c == '"' || c == '\\')
				text_add_char(out, '\\');
			text_add_char(out, (char)c);
		}
	}
	text_add_char(out, '"');
}

/* What is wrong with a text that was read as far as r. */
static const char *parse_fault(struct arena *a, const char *text, size_t length, const struct time_reader *r, bool read)
{
	struct text t;

	text_init(&t, a);
	text_add_string(&t, "parsing time ");
	time_quote(&t, text, length);
	if (r->range) {
		text_addf(&t, ": %s out of range", r->range);
	} else if (read) {
		text_add_string(&t, ": extra text: ");
		time_quote(&t, r->at, (size_t)(r->end - r->at));
	} else {
		text_add_string(&t, " as \"2006-01-02T15:04:05.999999999Z07:00\": cannot parse ");
		time_quote(&t, r->at, (size_t)(r->end - r->at));
		text_addf(&t, " as \"%s\"", r->element);
	}
	return text_end(&t);
}

bool time_parse(struct arena *a, const char *text, size_t length, struct value_time *ret, const char **ret_error)
{
	struct time_reader r = {.at = text, .end = text + length, .element = ""};
	struct time_fields c = {0};
	bool read = read_civil(&r, &c) && read_fraction(&r, &ret->nanoseconds) && read_zone(&r, ret);

	if (read && r.at == r.end)
		(void)in_range(&r, c.day, 1, days_in_month(c.year, c.month), "day");
	if (!read || r.range || r.at != r.end) {
		*ret_error = parse_fault(a, text, length, &r, read);
		return false;
	}
	ret->seconds = calendar_days(c.year, c.month, c.day) * SECONDS_PER_DAY + c.hour * 3600 + c.minute * 60 +
	               c.second - ret->offset_s;
	return true;
}

struct value_time time_local(int64_t seconds, int32_t nanoseconds)
{
	struct value_time t = {.seconds = seconds, .nanoseconds = nanoseconds, .zone = "Local"};
	time_t clock = (time_t)seconds;
	struct tm tm;

	if (localtime_r(&clock, &tm))
		t.offset_s = (int32_t)tm.tm_gmtoff;
	return t;
}

static bool from_float(double d, struct value_time *ret)
{
	double whole = trunc(d);
	double fraction = (d - whole) * 1e9;
	int64_t seconds;
	int64_t nanoseconds;

	if (!isfinite(d) || fabs(d) > 9e15)
		return false;
	seconds = (int64_t)whole;
	nanoseconds = (int64_t)fraction;
	if (nanoseconds < 0) {
		seconds--;
		nanoseconds += 1000000000;
	}
	*ret = time_local(seconds, (int32_t)nanoseconds);
	return true;
}

bool time_from_value(struct arena *a, struct value v, struct value_time *ret, const char **ret_error)
{
	*ret_error = NULL;
	v = value_normal(v);
	switch (v.kind) {
	case VALUE_TIMESTAMP:
		*ret = *v.time;
		return true;
	case VALUE_INT:
		*ret = time_local(v.integer, 0);
		return true;
	case VALUE_UINT:
		*ret = time_local((int64_t)v.natural, 0);
		return true;
	case VALUE_FLOAT:
		if (from_float(v.real, ret))
			return true;
		*ret_error = "the number is outside the range of timestamps";
		return false;
	case VALUE_STRING:
	case VALUE_BYTES:
		return time_parse(a, v.text, v.length, ret, ret_error);
	default:
		return false;
	}
}
