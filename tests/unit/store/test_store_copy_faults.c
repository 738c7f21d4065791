/*
 * The n-th file operation of a repair of a sound spool fails, n = 1, 2, ... until a run meets no fault. An error is
 * told, and what it leaves is the old or the new, never half of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "rig/errorwatch.h"
#include "rig/copy_faults.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"

static bool repair_with_fault(unsigned kinds, uint64_t n, int error)
{
	struct spooldir d;
	struct buf report;
	struct error e;
	enum err err;
	uint64_t failed;

	make_spool(&d, 1, ROWS);
	buf_init(&report, 1 << 20);
	faultfs_arm(kinds, n, error, false);
	err = store_repair(d.path, &(struct store_repair){0}, &report, &e);
	buf_add(&report, "", 1);
	ERRORWATCH_EXPECT(err, &e, (char *)report.data, "repair", n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	buf_fini(&report);
	if (failed == 0)
		assert_int_equal(err, ERR_OK);
	assert_int_equal(rows_of(&d), ROWS);
	spooldir_remove(&d);
	return failed > 0;
}

static void a_repair_of_a_sound_spool_harms_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t n = 1;

		while (repair_with_fault(faults[i].kinds, n, faults[i].error))
			assert_true((n += SANITIZED_EACH) < POINTS_MAX);
		assert_true(n > faults[i].least);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_repair_of_a_sound_spool_harms_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
