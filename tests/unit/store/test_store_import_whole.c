/*
 * An import whose calls fail in turn: all of a copy comes in, or nothing.
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

static bool import_with_fault(const char *copy, unsigned kinds, uint64_t n, int error)
{
	struct spooldir into;
	struct store *s;
	struct error e;
	enum err err;
	uint64_t failed, rows = 0, kept;

	make_spool(&into, 1000, BEFORE);
	s = open_it(&into, NULL);
	faultfs_arm(kinds, n, error, false);
	err = store_import(s, copy, false, &rows, &e);
	ERRORWATCH_EXPECT(err, &e, NULL, "import", n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	store_abandon(s);
	assert_int_equal(rows, err == ERR_OK ? ROWS : 0);
	if (failed == 0)
		assert_int_equal(err, ERR_OK);
	assert_int_not_equal(err, ERR_FULL); /* which is for producers: they wait */
	kept = rows_of(&into);
	/* The commit may stand although its sync failed: then all of it does. */
	if (kept != BEFORE + ROWS && (err == ERR_OK || kept != BEFORE))
		fail_msg("import: operation %u failed, error %d: %u rows", (unsigned)n, (int)err, (unsigned)kept);
	spooldir_remove(&into);
	return failed > 0;
}

static void an_import_is_all_or_nothing(void **state)
{
	struct spooldir copy;

	(void)state;
	spooldir_make(&copy);
	life_make_halves(&copy, ROWS, true); /* its log counts too */
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t n = 1;

		while (import_with_fault(copy.path, faults[i].kinds, n, faults[i].error))
			assert_true((n += SANITIZED_EACH) < POINTS_MAX);
		assert_true(n > faults[i].least);
	}
	assert_int_equal(rows_of(&copy), ROWS);
	spooldir_remove(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_import_is_all_or_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
