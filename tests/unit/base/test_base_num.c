/* Numbers, sizes and durations: the whole text or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "base/num.h"

static void integers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} rows[] = {
	    {"0", true, 0},
	    {"-1", true, -1},
	    {"9223372036854775807", true, INT64_MAX},
	    {"-9223372036854775808", true, INT64_MIN},
	    {"9223372036854775808", false, 0},
	    {"-9223372036854775809", false, 0},
	    {"", false, 0},
	    {"-", false, 0},
	    {"+1", false, 0},
	    {" 1", false, 0},
	    {"1 ", false, 0},
	    {"0x1", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t value = 0;

		assert_int_equal(num_parse_i64(rows[i].text, &value), rows[i].ok);
		assert_int_equal(value, rows[i].value);
	}
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t bytes;
	} rows[] = {
	    {"0", true, 0},
	    {"512", true, 512},
	    {"1KiB", true, 1024},
	    {"1KB", true, 1000},
	    {"5MiB", true, 5 << 20},
	    {"1GiB", true, 1 << 30},
	    {"1 MiB", false, 0},
	    {"1.5MiB", false, 0},
	    {"MiB", false, 0},
	    {"1mib", false, 0},
	    {"-1", false, 0},
	    {"99999999999TiB", false, 0},
	    {"18446744073709551616", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t bytes = 0;

		assert_int_equal(num_parse_size(rows[i].text, &bytes), rows[i].ok);
		if (rows[i].ok)
			assert_int_equal(bytes, rows[i].bytes);
	}
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t ns;
		const char *printed;
	} rows[] = {
	    {"0", true, 0, "0s"},
	    {"300ms", true, 300 * NS_PER_MS, "300ms"},
	    {"1m30s", true, 90 * NS_PER_S, "1m30s"},
	    {"-1.5h", true, -5400 * NS_PER_S, "-1h30m0s"},
	    {"1.5s", true, 1500 * (int64_t)NS_PER_MS, "1.5s"},
	    {"100us", true, 100000, "100\xc2\xb5s"},
	    {"2562047h47m16.854775807s", true, INT64_MAX, "2562047h47m16.854775807s"},
	    {"5", false, 0, NULL},
	    {"", false, 0, NULL},
	    {"s", false, 0, NULL},
	    {"1x", false, 0, NULL},
	    {"1s ", false, 0, NULL},
	    {"2562048h", false, 0, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char printed[NUM_DURATION_MAX];
		int64_t ns = 0;

		assert_int_equal(num_parse_duration(rows[i].text, &ns), rows[i].ok);
		if (!rows[i].ok)
			continue;
		assert_int_equal(ns, rows[i].ns);
		assert_string_equal(num_format_duration(ns, printed), rows[i].printed);
	}
}

static void printed_sizes(void **state)
{
	char text[NUM_SIZE_MAX];

	(void)state;
	assert_string_equal(num_format_size(0, text), "0 B");
	assert_string_equal(num_format_size(1023, text), "1023 B");
	assert_string_equal(num_format_size(1536, text), "1.5 KiB");
	assert_string_equal(num_format_size(UINT64_MAX, text), "16384.0 PiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(integers),
	    cmocka_unit_test(sizes),
	    cmocka_unit_test(durations),
	    cmocka_unit_test(printed_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
