/* Text encodings: digits, escapes, runes, dates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/calendar.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/hex.h"
#include "base/utf8.h"

static void a_digit_has_a_value(void **state)
{
	char text[9] = "";

	(void)state;
	for (int c = -128; c < 256; c++) {
		const char *lower = c > 0 && c < 128 ? strchr(hex_lower, c) : NULL;
		const char *upper = c > 0 && c < 128 ? strchr(hex_upper, c) : NULL;
		int expected = lower ? (int)(lower - hex_lower) : -1;

		assert_int_equal(hex_value((char)c), upper ? (int)(upper - hex_upper) : expected);
	}
	assert_ptr_equal(hex_encode(hex_lower, "\x00\x9f\xff", 3, text), text + 6);
	assert_string_equal(text, "009fff");
	assert_ptr_equal(hex_encode(hex_upper, "\xab", 1, text), text + 2);
	assert_memory_equal(text, "AB", 2);
}

static void an_escape_is_whole_or_none(void **state)
{
	static const struct {
		const char *text;
		int byte;
	} cases[] = {{"%2F", '/'}, {"%2f", '/'}, {"%00", 0},  {"%ff", 255}, {"%2", -1},   {"%", -1},
	             {"", -1},     {"a2F", -1},  {"%g0", -1}, {"%0g", -1},  {"%%2F", -1}, {"% 1", -1}};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t length = strlen(cases[i].text);
		char *exact = malloc(length + 1); /* no terminator: a read past the end shows under a sanitizer */

		memcpy(exact, cases[i].text, length);
		assert_int_equal(hex_percent_decode(exact, exact + length), cases[i].byte);
		free(exact);
	}
	buf_init(&out, 6);
	hex_percent_add(&out, '/');
	hex_percent_add(&out, '\xe9');
	assert_string_equal(out.data, "%2F%E9");
	hex_percent_add(&out, 'x');
	assert_true(out.overflow);
	buf_fini(&out);
}

static void days_and_dates_are_inverse(void **state)
{
	int64_t year;
	int month, day;

	(void)state;
	for (int64_t days = -800000; days < 800000; days += 37) {
		calendar_date(days, &year, &month, &day);
		assert_true(day >= 1 && day <= calendar_month_days(year, month));
		assert_true(calendar_days(year, month, day) == days);
	}
	assert_int_equal(calendar_days(1970, 1, 1), 0);
	assert_int_equal(calendar_days(2000, 3, 1) - calendar_days(2000, 2, 28), 2);
	assert_int_equal(calendar_days(1900, 3, 1) - calendar_days(1900, 2, 28), 1);
	assert_int_equal(calendar_month_days(2024, 2), 29);
	assert_int_equal(calendar_month_days(2100, 2), 28);
}

static void dates_are_written_as_the_c_library_does(void **state)
{
	char text[DATES_HTTP_BYTES], expected[64];
	int64_t back;

	(void)state;
	for (int64_t ms = 1; ms < INT64_C(253402300799000); ms += INT64_C(86400001 * 997)) {
		time_t seconds = (time_t)(ms / MS_PER_S);
		struct tm tm;

		(void)gmtime_r(&seconds, &tm);
		(void)strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
		assert_string_equal(dates_format_http(ms, text), expected);
		assert_true(dates_parse_http(text, &back) && back == ms / MS_PER_S * MS_PER_S);
		(void)strftime(expected, sizeof expected, "%Y%m%dT%H%M%SZ", &tm);
		assert_string_equal(dates_format_amz(ms, text), expected);
		assert_true(dates_parse_amz(text, &back) && back == ms / MS_PER_S * MS_PER_S);
		assert_true(dates_parse_iso(dates_format_iso_ms(ms, text), &back) && back == ms);
	}
	assert_string_equal(dates_format_iso_ms(INT64_C(1764140511042), text), "2025-11-26T07:01:51.042Z");
	assert_string_equal(dates_format_iso(INT64_C(1764140511042), text), "2025-11-26T07:01:51Z");
	assert_string_equal(dates_format_iso(-5, text), "1970-01-01T00:00:00Z");
	assert_string_equal(dates_format_iso(INT64_MAX, text), "9999-12-31T23:59:59Z");
}

static void runes_are_strict_utf8(void **state)
{
	static const char *const broken[] = {"\x80",
	                                     "\xc0\x80",
	                                     "\xc1\xbf",
	                                     "\xe0\x80\x80",
	                                     "\xed\xa0\x80",
	                                     "\xf0\x80\x80\x80",
	                                     "\xf4\x90\x80\x80",
	                                     "\xf5\x80\x80\x80",
	                                     "\xe2\x82",
	                                     "\xff"};

	(void)state;
	for (uint32_t c = 0; c <= 0x10ffff; c += c < 0x900 ? 1 : 61) {
		char out[UTF8_MAX];
		size_t n = utf8_encode(out, c);
		bool is_surrogate = c >= 0xd800 && c < 0xe000, valid;
		uint32_t rune;

		assert_int_equal(utf8_decode(out, out + n, &rune, &valid), n);
		assert_true(valid);
		assert_int_equal(rune, is_surrogate ? UTF8_REPLACEMENT : c);
		assert_int_equal(utf8_count(out, n), 1);
	}
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		uint32_t rune;
		bool valid;

		assert_int_equal(utf8_decode(broken[i], broken[i] + strlen(broken[i]), &rune, &valid), 1);
		assert_false(valid);
		assert_int_equal(rune, UTF8_REPLACEMENT);
		assert_false(utf8_is_valid(broken[i], strlen(broken[i])));
	}
}

static void loose_base64_forgives_only_the_last_bits(void **state)
{
	char out[16];
	size_t bytes;

	(void)state;
	assert_false(base64_decode(BASE64_STANDARD, "QR==", 4, out, &bytes));
	assert_true(base64_decode(BASE64_STANDARD_LOOSE, "QR==", 4, out, &bytes));
	assert_int_equal(bytes, 1);
	assert_int_equal(out[0], 'A');
	assert_true(base64_decode(BASE64_STANDARD_LOOSE, "QUJ=", 4, out, &bytes));
	assert_memory_equal(out, "AB", 2);
	assert_false(base64_decode(BASE64_STANDARD_LOOSE, "QR", 2, out, &bytes));
	assert_false(base64_decode(BASE64_STANDARD_LOOSE, "Q-==", 4, out, &bytes));
	assert_false(base64_decode(BASE64_STANDARD_LOOSE, "QR==QR==", 8, out, &bytes));
	assert_int_equal(base64_length(BASE64_STANDARD_LOOSE, 1), 4);
}

/* Of format characters, separators and fillers none, nor a neighbour of theirs less. */
static void what_is_unseen_is_not_shown(void **state)
{
	static const uint32_t unseen[] = {0,      0x1B,   0x7F,    0x80,    0x9F,    0xAD,    0x61C,   0x180E,  0x200B,
	                                  0x200D, 0x200F, 0x2028,  0x202E,  0x2060,  0x2069,  0x3164,  0xFEFF,  0xFFFB,
	                                  0xFFFE, 0xFFFF, 0x1FFFE, 0x13430, 0x1D173, 0xE0001, 0xE007F, 0x10FFFF};
	static const uint32_t seen[] = {0x20,   0x7E,   0xA0,   0xAC,   0xAE,    0xFC,    0x301,  0x61B,
	                                0x61D,  0x200A, 0x2010, 0x2027, 0x202F,  0x205F,  0x2070, 0x4E16,
	                                0xFE0F, 0xFF9F, 0xFFFC, 0xFFFD, 0x10000, 0x1F389, 0xE1000};

	(void)state;
	for (size_t i = 0; i < sizeof unseen / sizeof *unseen; i++)
		if (utf8_is_shown(unseen[i]))
			fail_msg("U+%04X is shown", unseen[i]);
	for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
		if (!utf8_is_shown(seen[i]))
			fail_msg("U+%04X is not shown", seen[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_digit_has_a_value),         cmocka_unit_test(an_escape_is_whole_or_none),
	    cmocka_unit_test(days_and_dates_are_inverse),  cmocka_unit_test(dates_are_written_as_the_c_library_does),
	    cmocka_unit_test(runes_are_strict_utf8),       cmocka_unit_test(loose_base64_forgives_only_the_last_bits),
	    cmocka_unit_test(what_is_unseen_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
