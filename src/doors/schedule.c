/* schedule: the text of an interval, and the search for its next turn. */
#include "doors/schedule.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/calendar.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "bloblang/golang/zone.h"

/* Nine years find a 29th of February around a year without one; a day takes at most so many steps. */
enum { DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60, FIELDS = 6, STEPS_MAX = 9 * 366 * 26 };

/* A field of a cron expression. */
struct cron_field {
	const char *name;
	int least, most;
	const char *const *words; /* of `least` and those behind it; ended by null; may be null */
};

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct cron_field fields[FIELDS] = {
    {"second", 0, 59, NULL}, {"minute", 0, 59, NULL},  {"hour", 0, 23, NULL},
    {"day", 1, 31, NULL},    {"month", 1, 12, months}, {"weekday", 0, 6, weekdays},
};

static bool parse_number(const struct cron_field *f, const char *text, int *ret)
{
	int64_t n;

	for (int i = 0; f->words && f->words[i]; i++)
		if (strcasecmp(text, f->words[i]) == 0) {
			*ret = f->least + i;
			return true;
		}
	if (!isdigit((unsigned char)*text) || !num_parse_i64(text, &n) || n > 1000)
		return false;
	*ret = (int)n;
	return true;
}

/* "*", "5", "1-5", each with "/2" or without. The text is taken apart. */
static bool parse_range(const struct cron_field *f, char *text, uint64_t *bits, bool *any)
{
	char *step_text = strchr(text, '/'), *end_text;
	int begin = f->least, end = f->most, step = 1;
	bool is_star;

	if (step_text) {
		*step_text++ = '\0';
		if (!isdigit((unsigned char)*step_text) ||
		    !parse_number(&(struct cron_field){.least = 1}, step_text, &step) || step == 0)
			return false;
	}
	is_star = strcmp(text, "*") == 0 || strcmp(text, "?") == 0;
	end_text = strchr(text, '-');
	if (end_text)
		*end_text++ = '\0';
	if (!is_star && !parse_number(f, text, &begin))
		return false;
	if (end_text && !parse_number(f, end_text, &end))
		return false;
	if (!is_star && !end_text && !step_text)
		end = begin;
	if (begin < f->least || end > f->most || begin > end)
		return false;
	for (int n = begin; n <= end; n += step)
		*bits |= UINT64_C(1) << n;
	*any |= is_star && step == 1;
	return true;
}

static bool parse_field(const struct cron_field *f, char *text, uint64_t *bits, bool *any)
{
	char *rest = NULL, *part = strtok_r(text, ",", &rest);

	*bits = 0;
	*any = false;
	for (; part; part = strtok_r(NULL, ",", &rest))
		if (!parse_range(f, part, bits, any))
			return false;
	return *bits != 0;
}

static bool parse_fields(struct schedule *s, char *text, char *why, size_t why_bytes)
{
	uint64_t *const bits[FIELDS] = {&s->seconds, &s->minutes, &s->hours, &s->days, &s->months, &s->weekdays};
	bool any[FIELDS];
	char *words[FIELDS + 1] = {NULL}, *rest = NULL;
	AUTOFREE char *zero = mem_string("0");
	size_t count = 0, skipped;

	for (char *word = strtok_r(text, " \t", &rest); word && count <= FIELDS; word = strtok_r(NULL, " \t", &rest))
		words[count++] = word;
	if (count != FIELDS && count != FIELDS - 1) {
		(void)snprintf(why, why_bytes, "expected a duration such as 5s, or a cron expression of 5 or 6 fields");
		return false;
	}
	skipped = FIELDS - count; /* the second */
	for (size_t i = 0; i < FIELDS; i++)
		if (!parse_field(&fields[i], i < skipped ? zero : words[i - skipped], bits[i], &any[i])) {
			(void)snprintf(why, why_bytes,
			               "the %s of a cron expression is a list of numbers from %d to %d or of ranges",
			               fields[i].name, fields[i].least, fields[i].most);
			return false;
		}
	s->any_day = any[3];
	s->any_weekday = any[5];
	s->kind = SCHEDULE_CRON;
	return true;
}

static bool parse_every(struct schedule *s, const char *text, char *why, size_t why_bytes)
{
	if (!num_parse_duration(text, &s->period_ns)) {
		(void)snprintf(why, why_bytes, "@every needs a duration, such as @every 5s");
		return false;
	}
	s->period_ns = s->period_ns < NS_PER_S ? NS_PER_S : s->period_ns - s->period_ns % NS_PER_S;
	s->kind = SCHEDULE_EVERY;
	return true;
}

static bool parse_cron(struct schedule *s, const char *text, char *why, size_t why_bytes)
{
	static const struct {
		const char *word, *fields;
	} named[] = {
	    {"@yearly", "0 0 0 1 1 *"}, {"@annually", "0 0 0 1 1 *"}, {"@monthly", "0 0 0 1 * *"},
	    {"@weekly", "0 0 0 * * 0"}, {"@daily", "0 0 0 * * *"},    {"@midnight", "0 0 0 * * *"},
	    {"@hourly", "0 0 * * * *"},
	};
	AUTOFREE char *copy = NULL;

	if (strncmp(text, "@every ", 7) == 0)
		return parse_every(s, text + 7, why, why_bytes);
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (strcmp(text, named[i].word) == 0)
			text = named[i].fields;
	if (*text == '@') {
		(void)snprintf(why, why_bytes,
		               "expected @yearly, @monthly, @weekly, @daily, @hourly or @every DURATION");
		return false;
	}
	copy = mem_string(text);
	return parse_fields(s, copy, why, why_bytes);
}

bool schedule_parse(const char *text, struct schedule *ret, char *why, unsigned long why_bytes)
{
	size_t length;

	*ret = (struct schedule){.kind = SCHEDULE_NONE, .zone = zone_find("UTC", 3)};
	if (!*text)
		return true;
	if (num_parse_duration(text, &ret->period_ns)) {
		ret->kind = ret->period_ns > 0 ? SCHEDULE_PERIOD : SCHEDULE_NONE;
		return true;
	}
	if (strncmp(text, "TZ=", 3) == 0) {
		text += 3;
		length = strcspn(text, " ");
		ret->zone = zone_find(text, length);
		if (!ret->zone) {
			(void)snprintf(why, why_bytes, "the system has no time zone \"%.*s\"", (int)length, text);
			return false;
		}
		text += length + strspn(text + length, " ");
	}
	if (!parse_cron(ret, text, why, why_bytes))
		return false;
	if (schedule_next(ret, clock_wall_ns() / NS_PER_S) != INT64_MAX)
		return true;
	(void)snprintf(why, why_bytes, "names no day that ever comes");
	return false;
}

static bool has(uint64_t bits, int64_t n) { return bits >> n & 1; }

static bool is_day(const struct schedule *s, int64_t days)
{
	int64_t year;
	int month, day;
	bool in_month, in_week;

	calendar_date(days, &year, &month, &day);
	in_month = has(s->days, day);
	in_week = has(s->weekdays, ((days + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
	return has(s->months, month) && (s->any_day || s->any_weekday ? in_month && in_week : in_month || in_week);
}

/* How far from second `at` of an hour it is to one that matches; what is left of the hour when none does. */
static int64_t within_hour(const struct schedule *s, int64_t at)
{
	for (int64_t n = at; n < HOUR_S; n++)
		if (!has(s->minutes, n / MINUTE_S))
			n += MINUTE_S - 1 - n % MINUTE_S;
		else if (has(s->seconds, n % MINUTE_S))
			return n - at;
	return HOUR_S - at;
}

int64_t schedule_next(const struct schedule *s, int64_t after_s)
{
	int64_t at_s = after_s + 1;

	if (s->kind == SCHEDULE_EVERY)
		return after_s + s->period_ns / NS_PER_S;
	for (int step = 0; step < STEPS_MAX; step++) {
		struct zone_period period;
		int64_t local_s, in_day_s, on_s;

		zone_lookup(s->zone, at_s, &period);
		local_s = at_s + period.offset_s;
		in_day_s = (local_s % DAY_S + DAY_S) % DAY_S;
		if (!is_day(s, (local_s - in_day_s) / DAY_S)) {
			const int64_t midnight_s = zone_from_local(s->zone, local_s - in_day_s + DAY_S);

			at_s = midnight_s > at_s ? midnight_s : at_s + HOUR_S;
			continue;
		}
		on_s =
		    has(s->hours, in_day_s / HOUR_S) ? within_hour(s, in_day_s % HOUR_S) : HOUR_S - in_day_s % HOUR_S;
		if (on_s < HOUR_S - in_day_s % HOUR_S)
			return at_s + on_s;
		at_s += on_s;
	}
	return INT64_MAX;
}
