#include "base/dates.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

struct stamp {
	int year, month, day, hour, minute, second;
	int ms;
	int offset_minutes; /* east of Greenwich */
};

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468, LAST_YEAR = 9999 };

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* Proleptic Gregorian calendar with years that begin in March, so that the leap day is the last of its year. */
static int64_t days_from_civil(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       DAYS_TO_1970;
}

static void civil_from_days(int64_t days, struct stamp *ret)
{
	int64_t z = days + DAYS_TO_1970;
	int64_t era = z / DAYS_PER_ERA;
	int64_t day_of_era = z - era * DAYS_PER_ERA;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted = (5 * day_of_year + 2) / 153;

	ret->day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
	ret->month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	ret->year = (int)(year_of_era + era * 400 + (ret->month <= 2 ? 1 : 0));
}

static int month_length(int year, int month)
{
	static const int lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return lengths[month - 1];
}

static bool to_ms(const struct stamp *s, int64_t *ret_ms)
{
	int64_t seconds;

	if (s->year < 1970 || s->year > LAST_YEAR || s->month < 1 || s->month > 12 || s->day < 1 ||
	    s->day > month_length(s->year, s->month) || s->hour > 23 || s->minute > 59 || s->second > 60)
		return false;
	seconds = days_from_civil(s->year, s->month, s->day) * SECONDS_PER_DAY + s->hour * 3600 +
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
	int weekday;

	if (!name_of(&p, day_names, 7, &weekday) || !literal(&p, ", ") || !digits(&p, 2, &s.day) || !literal(&p, " ") ||
	    !name_of(&p, month_names, 12, &s.month) || !literal(&p, " ") || !digits(&p, 4, &s.year) ||
	    !literal(&p, " ") || !digits(&p, 2, &s.hour) || !literal(&p, ":") || !digits(&p, 2, &s.minute) ||
	    !literal(&p, ":") || !digits(&p, 2, &s.second) || !literal(&p, " GMT") || *p != '\0')
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
	int in_day;

	if (seconds > end_of_time_s)
		seconds = end_of_time_s;
	civil_from_days(seconds / SECONDS_PER_DAY, &s);
	in_day = (int)(seconds % SECONDS_PER_DAY);
	s.hour = in_day / 3600;
	s.minute = in_day / 60 % 60;
	s.second = in_day % 60;
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
