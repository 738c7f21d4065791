#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "value/number.h"
#include "value/time.h"

static const char *text_form(double d)
{
	static char out[NUMBER_TEXT_MAX + 1];

	out[number_print_text(out, d, 64)] = '\0';
	return out;
}

static const char *json_form(double d, int bits)
{
	static char out[NUMBER_TEXT_MAX + 1];

	out[number_print_json(out, d, bits)] = '\0';
	return out;
}

static void prints_two_forms(void **state)
{
	static const struct {
		double d;
		const char *text;
		const char *json;
	} cases[] = {
	    {0, "0", "0"},
	    {-0.0, "-0", "-0"},
	    {1, "1", "1"},
	    {999999, "999999", "999999"},
	    {1e6, "1e+06", "1000000"},
	    {1234567.5, "1.2345675e+06", "1234567.5"},
	    {1e20, "1e+20", "100000000000000000000"},
	    {1e21, "1e+21", "1e+21"},
	    {0.0001, "0.0001", "0.0001"},
	    {0.00001, "1e-05", "0.00001"},
	    {1e-6, "1e-06", "0.000001"},
	    {1e-7, "1e-07", "1e-7"},
	    {0.1, "0.1", "0.1"},
	    {1.0 / 3, "0.3333333333333333", "0.3333333333333333"},
	    {5e-324, "5e-324", "5e-324"},
	    {1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308"},
	    {9007199254740993.0, "9.007199254740992e+15", "9007199254740992"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_string_equal(text_form(cases[i].d), cases[i].text);
		assert_string_equal(json_form(cases[i].d, 64), cases[i].json);
	}
	assert_string_equal(text_form(HUGE_VAL), "+Inf");
	assert_string_equal(text_form(-HUGE_VAL), "-Inf");
	assert_string_equal(text_form((double)NAN), "NaN");
	assert_string_equal(json_form(0.1F, 32), "0.1");
	assert_string_equal(json_form(16777216.0F, 32), "16777216");
}

static void floats_read_back(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		double d;

		seed = seed * 6364136223846793005U + 1442695040888963407U;
		memcpy(&d, &seed, sizeof d);
		if (!isfinite(d))
			continue;
		assert_true(strtod(text_form(d), NULL) == d);
		assert_true(strtod(json_form(d, 64), NULL) == d);
	}
}

static void short_decimals_are_exact(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char text[40];
		double d = 0;

		seed = seed * 6364136223846793005U + 1442695040888963407U;
		(void)snprintf(text, sizeof text, "%s%llu.%0*llu", i % 2 == 0 ? "-" : "",
		               (unsigned long long)(seed >> 33 & 0xFFFFF), i % 8 + 1,
		               (unsigned long long)(seed >> 20 & 0xFF));
		assert_true(number_parse_float(text, strlen(text), &d));
		assert_true(d == strtod(text, NULL));
	}
}

static void parses_go_floats(void **state)
{
	static const struct {
		const char *text;
		bool fits;
		double d;
	} cases[] = {
	    {"1", true, 1},      {"1_0", true, 10},   {".5", true, 0.5},       {"5.", true, 5},
	    {"1e3", true, 1000}, {"0x1p4", true, 16}, {"0x1", false, 0},       {" 1", false, 0},
	    {"1 ", false, 0},    {"", false, 0},      {"Inf", true, HUGE_VAL}, {"-infinity", true, -HUGE_VAL},
	    {"1e999", false, 0}, {"_1", false, 0},    {"1__0", false, 0},      {"+1", true, 1},
	    {"--1", false, 0},   {"1e", false, 0},    {".", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double d = 0;
		bool fits = number_parse_float(cases[i].text, strlen(cases[i].text), &d);

		assert_int_equal(fits, cases[i].fits);
		if (fits)
			assert_true(d == cases[i].d);
	}
}

static void parses_integers_of_any_base(void **state)
{
	static const struct {
		const char *text;
		bool fits;
		int64_t i;
	} cases[] = {
	    {"17", true, 17},
	    {"017", true, 15},
	    {"0x1F", true, 31},
	    {"0b101", true, 5},
	    {"0o17", true, 15},
	    {"1_000", true, 1000},
	    {"0x_1", true, 1},
	    {"1__0", false, 0},
	    {"-0x10", true, -16},
	    {"08", false, 0},
	    {"9223372036854775807", true, INT64_MAX},
	    {"-9223372036854775808", true, INT64_MIN},
	    {"9223372036854775808", false, 0},
	    {"", false, 0},
	    {"-", false, 0},
	    {"1.0", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t n = 0;

		assert_int_equal(number_parse_int_any(cases[i].text, strlen(cases[i].text), &n), cases[i].fits);
		assert_true(n == cases[i].i || !cases[i].fits);
	}
}

static void prints_and_reads_time(void **state)
{
	static const char *const cases[] = {
	    "2020-08-14T11:45:26.371Z", "1970-01-01T00:00:00Z", "2020-02-29T23:59:59.000000001+02:30",
	    "0000-01-01T00:00:00Z",     "9999-12-31T23:59:59Z", "1969-12-31T23:59:59.5-07:00",
	};
	struct arena a;

	(void)state;
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[TIME_TEXT_MAX + 1];
		struct value_time t;
		const char *error;

		assert_true(time_parse(&a, cases[i], strlen(cases[i]), &t, &error));
		out[time_print(out, &t)] = '\0';
		assert_string_equal(out, cases[i]);
	}
	arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints_two_forms),
	    cmocka_unit_test(floats_read_back),
	    cmocka_unit_test(short_decimals_are_exact),
	    cmocka_unit_test(parses_go_floats),
	    cmocka_unit_test(parses_integers_of_any_base),
	    cmocka_unit_test(prints_and_reads_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
