/* A ledger that is counted anew beside a tide mark that does not know of the last commits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "rig/faultfs.h"
#include "rig/fullspool.h"

/* A power cut left a tide mark of before the last commits, and with the ledger's row what it did not count is told by
 * the rows alone: of a block that has no body too. */
static void what_a_tide_mark_does_not_count_is_damaged(void **state)
{
	(void)state;
	for (int harm = 0; harm < 8; harm++) {
		const bool old_is_harmed = harm & 1, new_is_harmed = harm & 2, is_followed = harm & 4;
		const uint64_t lost = (old_is_harmed ? 10U : 0U) + (new_is_harmed ? 10U : 0U);
		const uint64_t all = is_followed ? 40 : 30;
		struct store_report report;
		struct spooldir d;
		struct store *s = life_begin(&d);
		unsigned char *tide;
		char text[4096];
		size_t count;

		life_append(s, 0, 20);
		life_close(s);
		tide = spooldir_load(spooldir_file(&d, ".tide"), &count);
		s = life_open(&d, NULL);
		life_append(s, 20, is_followed ? 20 : 10);
		life_close(s);
		spooldir_store(spooldir_file(&d, ".tide"), tide, count);
		free(tide);
		full_change(d.path, "DELETE FROM ledger");
		if (old_is_harmed)
			full_change(d.path, "UPDATE blocks SET body = x'' WHERE id = 11");
		if (new_is_harmed)
			full_change(d.path, "UPDATE blocks SET body = x'' WHERE id = 21");
		s = life_open(&d, &report);
		assert_false(report.quarantined);
		life_expect(s, all, 0, all - lost, lost);
		assert_int_equal(life_waiting(s, 0), all - lost);
		assert_int_equal(life_number(s, "SELECT coalesce(sum(messages), 0) FROM losses"), lost);
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged"), lost);
		life_close(s);
		assert_int_equal(life_problems(&d, text, sizeof text), lost > 0); /* nobody has confirmed it */
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_tide_mark_does_not_count_is_damaged),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
