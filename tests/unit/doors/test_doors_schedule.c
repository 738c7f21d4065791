/* The turns of an interval: what is a schedule, and when its next turn is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/dates.h"
#include "doors/schedule.h"

static void texts_that_are_none_are_told(void **state)
{
	static const char *const good[] = {
	    "",
	    "0s",
	    "5s",
	    "1h30m",
	    "@every 1s",
	    "@daily",
	    "* * * * *",
	    "0,30 */2 * * * *",
	    "TZ=Europe/London 30 3-6,20-23 * * *",
	    "0 9 * JAN-mar MON,fri",
	    "5/15 * ? * 1-5",
	    "0 0 29 2 *",
	};
	static const char *const bad[] = {
	    "often",
	    "* * * *",
	    "* * * * * * *",
	    "60 * * * *",
	    "* 24 * * *",
	    "* * 0 * *",
	    "* * * 13 *",
	    "* * * * 7",
	    "5-1 * * * *",
	    "*/0 * * * *",
	    "a * * * *",
	    "@sometimes",
	    "@every soon",
	    "TZ=No/Where * * * * *",
	    "0 0 30 2 *",
	    ", * * * *",
	    "CRON_TZ=UTC * * * * *",
	};
	struct schedule s;
	char why[160];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!schedule_parse(good[i], &s, why, sizeof why))
			fail_msg("%s: %s", good[i], why);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (schedule_parse(bad[i], &s, why, sizeof why))
			fail_msg("%s is taken", bad[i]);
}

static void the_next_turn_is_found(void **state)
{
	static const struct {
		const char *text, *after, *next;
	} rows[] = {
	    {"* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"},
	    {"* * * * * *", "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z"},
	    {"30 9 * * *", "2026-01-01T09:30:00Z", "2026-01-02T09:30:00Z"},
	    {"0 0 1 * *", "2026-12-15T00:00:00Z", "2027-01-01T00:00:00Z"},
	    {"0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
	    {"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
	    {"0 12 * * MON", "2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z"},
	    /* restricted both: either; one of them open: both */
	    {"0 0 13 * 5", "2026-11-29T00:00:00Z", "2026-12-04T00:00:00Z"},
	    {"0 0 13 * *", "2026-11-29T00:00:00Z", "2026-12-13T00:00:00Z"},
	    {"5-50/20 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"},
	    {"50/5 * * * *", "2026-01-01T00:55:00Z", "2026-01-01T01:50:00Z"},
	    {"TZ=Europe/London 0 9 * * *", "2026-07-01T00:00:00Z", "2026-07-01T08:00:00Z"},
	    {"TZ=Asia/Kolkata 0 0 * * *", "2026-07-01T00:00:00Z", "2026-07-01T18:30:00Z"},
	    /* what falls into a skipped hour has no turn, into a repeated one two */
	    {"TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
	    {"TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
	    {"@weekly", "2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"},
	    {"@every 90s", "2026-01-01T00:00:00Z", "2026-01-01T00:01:30Z"},
	    {"@every 10ms", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char why[160], found[DATES_ISO_BYTES];
		struct schedule s;
		int64_t after_ms;

		assert_true(dates_parse_iso(rows[i].after, &after_ms));
		if (!schedule_parse(rows[i].text, &s, why, sizeof why))
			fail_msg("%s: %s", rows[i].text, why);
		(void)dates_format_iso(schedule_next(&s, after_ms / MS_PER_S) * MS_PER_S, found);
		if (strcmp(found, rows[i].next) != 0)
			fail_msg("%s after %s: %s, not %s", rows[i].text, rows[i].after, found, rows[i].next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_that_are_none_are_told),
	    cmocka_unit_test(the_next_turn_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
