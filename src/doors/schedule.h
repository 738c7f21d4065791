/*
 * schedule: when an input has its turns: a duration, or a cron expression.
 *
 * What it is: Redpanda Connect's `interval`: "" (no waits), a Go duration, or [TZ=ZONE] and five or six fields (second,
 * minute, hour, day, month, weekday) or one of @yearly, @monthly, @weekly, @daily, @hourly, @every DURATION. Without a
 * zone times are UTC. As its cron library has it: a day matches when day and weekday do, or either where both are
 * restricted; what falls into a skipped hour has no turn, what falls into a repeated one has two.
 * Promises: 11 (the next turn is found in a bounded search). Owner: plain data; zones live for ever. Thread: any.
 * Fails: with a sentence about the text. Does not: wait.
 */
#ifndef KSPOOL_DOORS_SCHEDULE_H
#define KSPOOL_DOORS_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct zone;

struct schedule {
	enum { SCHEDULE_NONE, SCHEDULE_PERIOD, SCHEDULE_CRON, SCHEDULE_EVERY } kind;
	int64_t period_ns;                                        /* PERIOD; EVERY: whole seconds */
	uint64_t seconds, minutes, hours, days, months, weekdays; /* CRON: a bit each */
	bool any_day, any_weekday;
	const struct zone *zone;
};

/* False with a sentence in `why`. */
bool schedule_parse(const char *text, struct schedule *ret, char *why, unsigned long why_bytes);
/* Of CRON and EVERY: the first turn behind this time (unix seconds); INT64_MAX: none ever comes. */
int64_t schedule_next(const struct schedule *s, int64_t after_s);

#endif
