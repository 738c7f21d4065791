/* Rows that stand alone, of the first schema or read back, become blocks: 512 of them each, and none is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/lives.h"
#include "store/store_internal.h"

static void they_become_blocks_to_the_last(void **state)
{
	(void)state;
	for (uint32_t more_than = 0; more_than < 3; more_than++) {
		const uint32_t rows = BLOCK_MESSAGES - 1 + more_than;
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		bool more = true;

		life_append(s, 0, rows);
		life_sql(s, "UPDATE blocks SET checksum = checksum + 1");
		block_forget(s->block);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_dissolve_all(s, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), rows);
		assert_int_equal(store_merge_begin(s, &e), ERR_OK);
		for (int steps = 0; store_merge_percent(s) < 100; steps++) {
			assert_true(steps < 10);
			assert_int_equal(store_merge(s, 0, &more, &e), ERR_OK);
		}
		assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 0);
		assert_int_equal(life_number(s, "SELECT sum(count) FROM blocks"), rows);
		assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 1 + (rows > BLOCK_MESSAGES));
		assert_int_equal(life_waiting(s, 0), rows);
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(they_become_blocks_to_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
