#include "base/dates.h"

#include <stdio.h>
#include <string.h>

#include "base/calendar.h"
#include "base/clock.h"

struct stamp {
	int year, month, day, hour, minute, second;
	int ms;
	int offset_minutes; /* east of Greenwich */
	int weekday;        /* Sunday is 0 */
};

enum { SECONDS_PER_DAY = 86400, LAST_YEAR = 9999, THURSDAY = 4 /* 1970-01-01 */ };

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static bool to_ms(const struct stamp *s, int64_t *ret_ms)
{
	int64_t seconds;

	if (s->year < 1970 || s->year > LAST_YEAR || s->month < 1 || s->month > 12 || s->day < 1 ||
	    s->day > calendar_month_days(s->year, s->month) || s->hour > 23 || s->minute > 59 || s->second > 60)
		return false;
	seconds = calendar_days(s->year, s->month, s->day) * SECONDS_PER_DAY + s->hour * 3600 +
	          (s->minute - s->offset_minutes) * 60 + s->second;
	*ret_ms = seconds * MS_PER_S + s->ms;
	return true;
}

/* Exactly `count` digits; moves *text past them. */
static bool digits(const char **text, int count, int *ret)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		char c = (*text)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*text += count;
	*ret = value;
	return true;
}

static bool literal(const char **text, const char *expected)
{
	size_t n = strlen(expected);

	if (strncmp(*text, expected, n) != 0)
		return false;
	*text += n;
	return true;
}

static bool name_of(const char **text, const char (*names)[4], int count, int *ret)
{
	for (int i = 0; i < count; i++)
		if (literal(text, names[i])) {
			*ret = i;
			return true;
		}
	return false;
}

bool dates_parse_http(const char *text, int64_t *ret_ms)
{
	struct stamp s = {0};
	const char *p = text;

	if (!name_of(&p, day_names, 7, &s.weekday) || !literal(&p, ", ") || !digits(&p, 2, &s.day) ||
	    !literal(&p, " ") || !name_of(&p, month_names, 12, &s.month) || !literal(&p, " ") ||
	    !digits(&p, 4, &s.year) || !literal(&p, " ") || !digits(&p, 2, &s.hour) || !literal(&p, ":") ||
	    !digits(&p, 2, &s.minute) || !literal(&p, ":") || !digits(&p, 2, &s.second) || !literal(&p, " GMT") ||
	    *p != '\0')
		return false;
	s.month++;
	return to_ms(&s, ret_ms);
}

static bool fraction(const char **text, int *ret_ms)
{
	int scale = 100;
	int count = 0;

	*ret_ms = 0;
	if (**text != '.')
		return true;
	for ((*text)++; **text >= '0' && **text <= '9'; (*text)++, count++) {
		*ret_ms += (**text - '0') * scale;
		scale /= 10;
	}
	return count > 0 && count <= 9;
}

static bool zone(const char **text, int *ret_minutes)
{
	int sign, hours, minutes;

	*ret_minutes = 0;
	if (literal(text, "Z") || literal(text, "UTC"))
		return true;
	if (**text != '+' && **text != '-')
		return false;
	sign = **text == '-' ? -1 : 1;
	(*text)++;
	if (!digits(text, 2, &hours))
		return false;
	(void)literal(text, ":");
	if (!digits(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

bool dates_parse_iso(const char *text, int64_t *ret_ms)
{
	struct stamp s = {0};
	const char *p = text;

	if (!digits(&p, 4, &s.year) || !literal(&p, "-") || !digits(&p, 2, &s.month) || !literal(&p, "-") ||
	    !digits(&p, 2, &s.day) || !literal(&p, "T") || !digits(&p, 2, &s.hour) || !literal(&p, ":") ||
	    !digits(&p, 2, &s.minute) || !literal(&p, ":") || !digits(&p, 2, &s.second) || !fraction(&p, &s.ms) ||
	    !zone(&p, &s.offset_minutes) || *p != '\0')
		return false;
	return to_ms(&s, ret_ms);
}

bool dates_parse_short(const char *text, int64_t *ret_ms)
{
	struct stamp s = {0};
	const char *p = text;

	if (dates_parse_iso(text, ret_ms))
		return true;
	if (!digits(&p, 4, &s.year) || !literal(&p, "-") || !digits(&p, 2, &s.month) || !literal(&p, "-") ||
	    !digits(&p, 2, &s.day))
		return false;
	if ((literal(&p, "T") || literal(&p, " ")) &&
	    (!digits(&p, 2, &s.hour) || !literal(&p, ":") || !digits(&p, 2, &s.minute) ||
	     (literal(&p, ":") && (!digits(&p, 2, &s.second) || !fraction(&p, &s.ms))) ||
	     (*p && !zone(&p, &s.offset_minutes))))
		return false;
	return *p == '\0' && to_ms(&s, ret_ms);
}

bool dates_parse_amz(const char *text, int64_t *ret_ms)
{
	struct stamp s = {0};
	const char *p = text;

	if (!digits(&p, 4, &s.year) || !digits(&p, 2, &s.month) || !digits(&p, 2, &s.day) || !literal(&p, "T") ||
	    !digits(&p, 2, &s.hour) || !digits(&p, 2, &s.minute) || !digits(&p, 2, &s.second) || !literal(&p, "Z") ||
	    *p != '\0')
		return false;
	return to_ms(&s, ret_ms);
}

/* Outside the years 1970 to 9999 the nearest of them: a broken clock must still yield a well-formed stamp. */
static struct stamp from_ms(int64_t ms)
{
	static const int64_t end_of_time_s = INT64_C(253402300799);
	struct stamp s = {0};
	int64_t seconds = ms < 0 ? 0 : ms / MS_PER_S;
	int64_t year;
	int in_day;

	if (seconds > end_of_time_s)
		seconds = end_of_time_s;
	calendar_date(seconds / SECONDS_PER_DAY, &year, &s.month, &s.day);
	s.year = (int)year;
	in_day = (int)(seconds % SECONDS_PER_DAY);
	s.hour = in_day / 3600;
	s.minute = in_day / 60 % 60;
	s.second = in_day % 60;
	s.ms = ms < 0 ? 0 : (int)(ms % MS_PER_S);
	s.weekday = (int)((seconds / SECONDS_PER_DAY + THURSDAY) % 7);
	return s;
}

/* The bound tells the compiler what the calendar already guarantees. */
#define IN(value, most) ((unsigned)(value) % ((most) + 1U))

char *dates_format_amz(int64_t ms, char *buffer)
{
	struct stamp s = from_ms(ms);

	(void)snprintf(buffer, DATES_AMZ_BYTES, "%04u%02u%02uT%02u%02u%02uZ", IN(s.year, 9999), IN(s.month, 12),
	               IN(s.day, 31), IN(s.hour, 23), IN(s.minute, 59), IN(s.second, 60));
	return buffer;
}

char *dates_format_iso(int64_t ms, char *buffer)
{
	struct stamp s = from_ms(ms);

	(void)snprintf(buffer, DATES_ISO_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", IN(s.year, 9999), IN(s.month, 12),
	               IN(s.day, 31), IN(s.hour, 23), IN(s.minute, 59), IN(s.second, 60));
	return buffer;
}

char *dates_format_iso_ms(int64_t ms, char *buffer)
{
	struct stamp s = from_ms(ms);

	(void)snprintf(buffer, DATES_ISO_MS_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", IN(s.year, 9999),
	               IN(s.month, 12), IN(s.day, 31), IN(s.hour, 23), IN(s.minute, 59), IN(s.second, 60),
	               IN(s.ms, 999));
	return buffer;
}

char *dates_format_http(int64_t ms, char *buffer)
{
	struct stamp s = from_ms(ms);

	(void)snprintf(buffer, DATES_HTTP_BYTES, "%s, %02u %s %04u %02u:%02u:%02u GMT", day_names[s.weekday],
	               IN(s.day, 31), month_names[s.month - 1], IN(s.year, 9999), IN(s.hour, 23), IN(s.minute, 59),
	               IN(s.second, 60));
	return buffer;
}
