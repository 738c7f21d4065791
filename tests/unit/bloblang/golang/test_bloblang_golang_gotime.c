/* Layouts, zones, strftime and strptime, periods, durations, rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bloblang/golang/gotime.h"
#include "bloblang/golang/period.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	(void)setenv("TZ", "UTC", 1);
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

static struct value_time at(const char *rfc3339)
{
	struct value_time t;
	const char *error = "";

	if (!gotime_parse(&arena, GOTIME_RFC3339_NANO, strlen(GOTIME_RFC3339_NANO), rfc3339, strlen(rfc3339), &t,
	                  &error))
		fail_msg("%s", error);
	return t;
}

static struct value_time in_zone(const char *rfc3339, const char *zone)
{
	struct value_time t = at(rfc3339);
	const struct zone *z = zone_find(zone, strlen(zone));

	assert_non_null(z);
	return gotime_in_zone(&t, z);
}

static const char *shown(const struct value_time *t, const char *layout)
{
	struct text out;

	text_init(&out, &arena);
	gotime_format(&out, t, layout, strlen(layout));
	return text_end(&out);
}

static void formats_layouts(void **state)
{
	static const struct {
		const char *time, *zone, *layout, *result;
	} rows[] = {
	    {"2020-08-14T11:45:26.371Z", "UTC", "2006-01-02 15:04:05.000 MST", "2020-08-14 11:45:26.371 UTC"},
	    {"2020-08-14T11:45:26.371Z", "America/New_York", "Mon Jan _2 3:04PM -07:00 MST",
	     "Fri Aug 14 7:45AM -04:00 EDT"},
	    {"2020-08-04T00:00:00Z", "UTC", "_2|__2|002|.999|06|Monday", " 4|217|217||20|Tuesday"},
	    {"1880-01-01T00:00:00Z", "Europe/Paris", "2006-01-02T15:04:05Z07:00:00 MST",
	     "1880-01-01T00:09:21+00:09:21 LMT"},
	    {"2100-07-01T00:00:00Z", "America/New_York", "2006-01-02T15:04:05Z07:00", "2100-06-30T20:00:00-04:00"},
	    {"2021-03-14T07:00:00Z", "America/New_York", "15:04 MST", "03:00 EDT"},
	    {"2021-11-07T05:59:59Z", "America/New_York", "15:04:05 MST", "01:59:59 EDT"},
	    {"2050-01-15T12:00:00Z", "Australia/Lord_Howe", "15:04 -0700", "23:00 +1100"},
	    {"2030-06-01T00:00:00Z", "Asia/Kolkata", "15:04 Z0700 MST", "05:30 +0530 IST"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value_time t = in_zone(rows[i].time, rows[i].zone);

		assert_string_equal(shown(&t, rows[i].layout), rows[i].result);
	}
	assert_null(zone_find("Nope/Zone", 9));
	assert_null(zone_find("../../etc/passwd", 16));
}

static void parses_layouts(void **state)
{
	static const struct {
		const char *layout, *value, *result; /* RFC 3339, or the error */
	} rows[] = {
	    {"2006-01-02", "2020-08-14", "2020-08-14T00:00:00Z"},
	    {"2006-Jan-02 3:04pm", "2020-aug-14 1:05pm", "2020-08-14T13:05:00Z"},
	    {"2006-01-02T15:04:05Z07:00", "2020-08-14T11:45:26.5+02:30", "2020-08-14T11:45:26.5+02:30"},
	    {"2006 002", "2020 060", "2020-02-29T00:00:00Z"},
	    {"15:04 MST", "10:00 EST", "0000-01-01T10:00:00Z"},
	    {"2006-01-02", "2020-8-4", "parsing time \"2020-8-4\" as \"2006-01-02\": cannot parse \"8-4\" as \"01\""},
	    {"2006-01-02", "2020-08-14x", "parsing time \"2020-08-14x\": extra text: \"x\""},
	    {"2006-01-02", "2021-02-29", "parsing time \"2021-02-29\": day out of range"},
	    {"15", "25", "parsing time \"25\": hour out of range"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value_time t;
		const char *error;
		bool ok = gotime_parse(&arena, rows[i].layout, strlen(rows[i].layout), rows[i].value,
		                       strlen(rows[i].value), &t, &error);

		assert_string_equal(ok ? shown(&t, GOTIME_RFC3339_NANO) : error, rows[i].result);
	}
}

static void knows_strftime(void **state)
{
	static const struct {
		const char *format, *result;
	} rows[] = {
	    {"%Y%m%d %H:%M:%S.%f", "20200105 01:02:03.000000"},
	    {"%d|%e|%k|%l|%I|%p|%P|%U|%W|%V|%G|%u|%w|%j", "05| 5| 1| 1|01|AM|am|01|00|01|2020|7|0|005"},
	    {"%-d|%_m|%^a|%#Z|%10Y|%3d|%-3d", "5| 1|SUN|utc|0000002020|005|  5"},
	    {"%z|%:z|%::z|%:::z|%Z", "+0000|+00:00|+00:00:00|+00|UTC"},
	    {"%Q %E %5", "%Q %E    %5"},
	    {"%D|%F|%T|%R|%r|%c|%v|%n%t%%", "01/05/20|2020-01-05|01:02:03|01:02|01:02:03 AM|"
	                                    "Sun Jan  5 01:02:03 2020| 5-Jan-2020|\n\t%"},
	};
	struct value_time t = at("2020-01-05T01:02:03Z");

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct text out;

		text_init(&out, &arena);
		gotime_strftime(&out, &t, rows[i].format, strlen(rows[i].format));
		assert_string_equal(text_end(&out), rows[i].result);
	}
}

static void knows_strptime(void **state)
{
	static const struct {
		const char *format, *value, *result;
	} rows[] = {
	    {"%Y-%b-%d %H:%M:%S.%f", "2020-Aug-14 11:50:26.371000", "2020-08-14T11:50:26.371Z"},
	    {"%Y-%m-%d", "2020-02-30", "2020-03-01T00:00:00Z"},
	    {"%I:%M %p", "12:00 pm", "1900-01-01T12:00:00Z"},
	    {"%y", "69", "1969-01-01T00:00:00Z"},
	    {"%Y %U %a", "2020 33 Fri", "2020-08-21T00:00:00Z"},
	    {"%G-W%V-%u", "2020-W53-5", "2021-01-01T00:00:00Z"},
	    {"%Y %j", "2020 060", "2020-02-29T00:00:00Z"},
	    {"%s", "-5", "1969-12-31T23:59:55Z"},
	    {"%H%z", "11+0230", "1900-01-01T11:00:00+02:30"},
	    {"%Y", "", "failed to parse \"\" with \"%Y\": cannot parse \"%Y\""},
	    {"%Y-%m", "2020x", "failed to parse \"2020x\" with \"%Y-%m\": expected '-'"},
	    {"%Y", "2020x", "failed to parse \"2020x\" with \"%Y\": unparsed string \"x\""},
	    {"%Q", "x", "failed to parse \"x\" with \"%Q\": unexpected format \"%Q\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value_time t;
		const char *error;
		bool ok = gotime_strptime(&arena, rows[i].format, strlen(rows[i].format), rows[i].value,
		                          strlen(rows[i].value), &t, &error);

		assert_string_equal(ok ? shown(&t, GOTIME_RFC3339_NANO) : error, rows[i].result);
	}
}

static void adds_periods(void **state)
{
	static const struct {
		const char *time, *zone, *period, *result;
		bool subtract;
	} rows[] = {
	    {"2021-01-31T00:00:00Z", "UTC", "P1M", "2021-03-03T00:00:00Z", false},
	    {"2020-02-29T00:00:00Z", "UTC", "P1Y", "2021-03-01T00:00:00Z", false},
	    {"2021-03-14T05:00:00Z", "America/New_York", "P1D", "2021-03-15T00:00:00-04:00", false},
	    {"2021-03-14T05:00:00Z", "America/New_York", "PT24H", "2021-03-15T01:00:00-04:00", false},
	    {"2021-03-31T00:00:00Z", "UTC", "P1M", "2021-03-03T00:00:00Z", true},
	    {"2021-01-01T00:00:00Z", "UTC", "-P1D", "2020-12-31T00:00:00Z", false},
	    {"2021-01-01T00:00:00Z", "UTC", "P99999999999999999Y", "2021-01-01T00:00:00Z", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct value_time t = in_zone(rows[i].time, rows[i].zone), r;
		struct period p;
		const char *error;

		assert_true(period_parse(&arena, rows[i].period, strlen(rows[i].period), &p, &error));
		r = period_add(&p, &t, rows[i].subtract);
		assert_string_equal(shown(&r, GOTIME_RFC3339_NANO), rows[i].result);
	}
}

static void reads_periods_and_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
		const char *error;
	} periods[] = {
	    {"P3Y6M4DT12H30M5S", INT64_C(110839937000000000), NULL},
	    {"PT1,5S", 1500000000, NULL},
	    {"P1W", INT64_C(604800000000000), NULL},
	    {"gibberish", 0, "gibberish: expected 'P' period mark at the start"},
	    {"P3S", 0, "P3S: 'S' designator cannot occur here"},
	    {"P2.5YT7.5S", 0, "P2.5YT7.5S: 'Y' & 'S' only the last field can have a fraction"},
	};
	static const struct {
		const char *text;
		int64_t ns;
		const char *error;
	} durations[] = {
	    {"1h2m3.5s", INT64_C(3723500000000), NULL},
	    {"-1.5h", INT64_C(-5400000000000), NULL},
	    {"0", 0, NULL},
	    {"1d", 0, "time: unknown unit \"d\" in duration \"1d\""},
	    {"1", 0, "time: missing unit in duration \"1\""},
	    {"9999999h", 0, "time: invalid duration \"9999999h\""},
	    {"", 0, "time: invalid duration \"\""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
		struct period p;
		const char *error = NULL;

		if (period_parse(&arena, periods[i].text, strlen(periods[i].text), &p, &error))
			assert_int_equal(period_ns(&p), periods[i].ns);
		else
			assert_string_equal(error, periods[i].error);
	}
	for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
		const char *error = NULL;
		int64_t ns;

		if (period_parse_duration(&arena, durations[i].text, strlen(durations[i].text), &ns, &error))
			assert_int_equal(ns, durations[i].ns);
		else
			assert_string_equal(error, durations[i].error);
	}
}

static void rounds_half_up(void **state)
{
	struct value_time t = at("2020-08-14T05:30:00Z"), far = {.seconds = INT64_MAX, .zone = "UTC"};
	struct value_time r = gotime_round(&t, INT64_C(3600000000000));

	(void)state;
	assert_string_equal(shown(&r, GOTIME_RFC3339_NANO), "2020-08-14T06:00:00Z");
	r = gotime_round(&t, -5);
	assert_string_equal(shown(&r, GOTIME_RFC3339_NANO), "2020-08-14T05:30:00Z");
	(void)shown(&far, GOTIME_RFC3339_NANO); /* any int64 may come from a message */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(formats_layouts), cmocka_unit_test(parses_layouts),
	    cmocka_unit_test(knows_strftime),  cmocka_unit_test(knows_strptime),
	    cmocka_unit_test(adds_periods),    cmocka_unit_test(reads_periods_and_durations),
	    cmocka_unit_test(rounds_half_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
