/* Rows beside the messages with one bit that is wrong: each is mended, and nothing is sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rig/sides.h"

enum { MESSAGES = SIDES_MESSAGES };

static void one_wrong_bit_of_a_mark_is_mended(void **state)
{
	static const char *const columns[] = {"block_id", "settled", "bytes", "checksum"};
	char *sql;
	(void)state;
	for (int i = 0; i < 100; i++) {
		struct spooldir d;
		struct store *s = with_marks(&d);
		struct store_report report = {0};

		if (i < 60) /* of a number: its bits, higher and higher */
			sql =
			    mem_format("UPDATE partial SET %s = (%s | (1 << %d)) - (%s & (1 << %d)) WHERE block_id = 1",
			               columns[i % 4], columns[i % 4], i * 61 / 60, columns[i % 4], i * 61 / 60);
		else /* of the bits: each byte of the first ones */
			sql = mem_format(
			    "UPDATE partial SET bitmap = CAST(substr(bitmap, 1, %d) || x'%02x' || substr(bitmap, %d)"
			    " AS BLOB) WHERE block_id = 21",
			    (i - 60) % 32 + 2, 1 << i % 8, (i - 60) % 32 + 4);
		life_sql(s, sql);
		life_close(s);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		if (!strstr(report.warning, "was mended"))
			fail_msg("%s: %s", sql, report.warning);
		life_expect(s, MESSAGES, 10, 29, 0);
		assert_int_equal(life_waiting(s, 0), 28); /* 9 waits */
		assert_int_equal(store_possible_duplicates(s), 0);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
		free(sql);
	}
}

static void one_wrong_bit_of_a_position_is_mended(void **state)
{
	static const char key[] = "inode:fe01:7", value[] = "2 65025 7 39000 1024 0123";
	(void)state;
	for (size_t bit = 0; bit < (sizeof key - 1 + sizeof value - 1) * 8; bit += 5) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};
		const size_t at = bit / 8, in_key = sizeof key - 1;
		char changed[64], hex[2 * sizeof changed + 1];
		bool damaged;
		char *sql;

		put_position(s, key, value);
		put_position(s, "other", "5");
		(void)snprintf(changed, sizeof changed, "%s", at < in_key ? key : value);
		for (size_t i = 0; changed[i]; i++)
			(void)snprintf(hex + 2 * i, 3, "%02x",
			               (unsigned char)changed[i] ^
			                   (i == (at < in_key ? at : at - in_key) ? 1u << bit % 8 : 0u));
		sql = mem_format("UPDATE positions SET %s = CAST(x'%s' AS TEXT) WHERE key = '%s'",
		                 at < in_key ? "key" : "value", hex, key);
		life_sql(s, sql);
		life_close(s);
		s = life_open(&d, &report);
		if (!position_is(s, key, value, &damaged))
			fail_msg("%s: %s", sql, report.warning);
		assert_false(damaged);
		assert_true(position_is(s, "other", "5", &damaged));
		assert_true(position_is(s, "new", "", &damaged));
		assert_false(damaged);
		assert_non_null(strstr(report.warning, "was mended"));
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
		free(sql);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_wrong_bit_of_a_mark_is_mended),
	    cmocka_unit_test(one_wrong_bit_of_a_position_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
