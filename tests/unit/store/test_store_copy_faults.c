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
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"

enum { ROWS = 40, BEFORE = 3, BODY_BYTES = 700, POINTS_MAX = 3000 };

/* A removal that fails leaves a second name, which nothing here can mend. A full disk fails what needs room. */
enum { CHANGES = FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_TRUNCATE | FAULTFS_ALLOCATE };

static const struct {
	unsigned kinds;
	int error;
	uint64_t least; /* of operations that a run has */
} faults[] = {{CHANGES | FAULTFS_READ | FAULTFS_OPEN | FAULTFS_RENAME, EIO, 6}, {CHANGES, ENOSPC, 1}};

static void fill(struct store *s, uint64_t first, uint32_t count)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < count; i++) {
		struct message *m = spooldir_message(first + i, BODY_BYTES);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	if (store_open(&o, &s, report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	return s;
}

static void make_spool(struct spooldir *d, uint64_t first, uint32_t count)
{
	struct store *s;
	struct error e;

	spooldir_make(d);
	s = open_it(d, NULL);
	fill(s, first, count);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

/* The spool at d: how many wait there. Nothing may have been set aside or lost on the way. */
static uint64_t rows_of(const struct spooldir *d)
{
	struct store_report report;
	struct store *s = open_it(d, &report);
	struct error e;
	uint64_t rows = store_ledger(s)->pending;

	assert_false(report.quarantined);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_ledger(s)->accepted, rows);
	assert_int_equal(store_close(s, &e), ERR_OK);
	return rows;
}

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
