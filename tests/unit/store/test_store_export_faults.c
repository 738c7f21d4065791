/*
 * An export whose calls fail in turn, and a check whose reads do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "rig/errorwatch.h"
#include "rig/copy_faults.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/store_damage.h"

/* One export whose n-th operation fails; false when none did. */
static bool export_with_fault(unsigned kinds, uint64_t n, int error, bool *ret_told)
{
	struct spooldir from, to;
	struct store *s;
	struct error e;
	enum err err;
	uint64_t failed;
	struct stat st;

	make_spool(&from, 1, ROWS);
	spooldir_make(&to);
	s = open_it(&from, NULL);
	faultfs_arm(kinds, n, error, false);
	err = store_export(s, to.path, &e);
	ERRORWATCH_EXPECT(err, &e, NULL, "export", n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	if (failed > 0)
		*ret_told = err != ERR_OK;
	if (failed == 0)
		assert_int_equal(err, ERR_OK);
	store_abandon(s);
	assert_int_equal(rows_of(&from), ROWS);
	if (err == ERR_OK || stat(to.path, &st) == 0)
		assert_int_equal(rows_of(&to), ROWS);
	assert_int_not_equal(stat(spooldir_file(&to, ".kspool-part"), &st), err == ERR_OK ? 0 : 1);
	spooldir_remove(&from);
	spooldir_remove(&to);
	return failed > 0;
}

static void an_export_is_whole_or_not_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t n = 1;
		bool told;

		while (export_with_fault(faults[i].kinds, n, faults[i].error, &told))
			assert_true((n += SANITIZED_EACH) < POINTS_MAX);
		assert_true(n > faults[i].least);
	}
}

/* A copy that may not be on the disk is no copy: the last two syncs are of the copy itself and of its folder. */
static void an_export_tells_that_its_copy_was_not_synced(void **state)
{
	bool told = false, told_before = false;
	uint64_t n = 1;

	(void)state;
	for (bool last = told; export_with_fault(FAULTFS_SYNC, n, EIO, &told); n++, last = told) {
		assert_true(n < POINTS_MAX);
		told_before = last;
	}
	assert_true(n > 2);
	assert_true(told);
	assert_true(told_before);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A file of a name like ours is somebody's; what an export left that was cut short is not in the way of the next. */
static void an_export_takes_away_nobodys_file(void **state)
{
	struct spooldir from, to;
	struct store *s;
	struct error e;
	struct stat st;

	(void)state;
	make_spool(&from, 1, ROWS);
	spooldir_make(&to);
	s = open_it(&from, NULL);
	put_file(spooldir_file(&to, ".part"), "theirs");
	put_file(spooldir_file(&to, ".kspool-part"), "cut short");
	assert_int_equal(store_export(s, to.path, &e), ERR_OK);
	assert_int_equal(stat(spooldir_file(&to, ".part"), &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_int_equal(stat(spooldir_file(&to, ".kspool-part"), &st), -1);
	store_abandon(s);
	assert_int_equal(rows_of(&to), ROWS);
	spooldir_remove(&from);
	spooldir_remove(&to);
}

/* What could not be read was not checked: "0 problems" would be a lie. And a check changes nothing. */
static void a_check_tells_each_read_that_failed(void **state)
{
	struct spooldir d;
	uint64_t n = 1, failed;

	(void)state;
	make_spool(&d, 1, ROWS);
	do {
		struct buf report;
		struct error e;
		uint64_t problems = 0;
		enum err err;

		buf_init(&report, 1 << 20);
		faultfs_arm(FAULTFS_READ, n, EIO, true);
		err = store_check(d.path, &report, &problems, &e);
		buf_add(&report, "", 1);
		ERRORWATCH_EXPECT(err, &e, (char *)report.data, "check", n);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		buf_fini(&report);
		if (failed > 0 && err == ERR_OK && problems == 0)
			fail_msg("check: read %u and all after it failed, and it found nothing", (unsigned)n);
		if (failed > 0 && err == ERR_DAMAGED)
			fail_msg("check: read %u failed and is called damage: %s", (unsigned)n, e.text);
		assert_true(++n < POINTS_MAX);
	} while (failed > 0);
	assert_true(n > 5);
	assert_int_equal(rows_of(&d), ROWS);
	spooldir_remove(&d);
}

/* A table that cannot be read to its end: no copy is made without what stands there. */
static void an_export_without_a_table_is_none(void **state)
{
	static const char *const harms[] = {
	    "INSERT INTO damaged (id, found_ms, body) VALUES (900, 1, zeroblob(40000000))",
	    "INSERT INTO positions (key, value, checksum) VALUES ('a', hex(zeroblob(20000000)), 1)",
	    "INSERT INTO cache (cache, key, expires_ms) VALUES ('a', zeroblob(40000000), 1)"};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct store_old_copy is;
		struct spooldir from, to;
		struct error e = {.text = ""};
		struct stat st;
		sqlite3 *db;

		make_spool(&from, 1, ROWS);
		spooldir_make(&to);
		assert_int_equal(sqlite3_open(from.path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, harms[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		assert_int_not_equal(store_export_old(from.path, to.path, NULL, &is, &e), ERR_OK);
		if (!strstr(e.text, "too big"))
			fail_msg("%s", e.text);
		assert_int_not_equal(stat(to.path, &st), 0);
		assert_int_not_equal(stat(spooldir_file(&to, ".kspool-part"), &st), 0);
		spooldir_remove(&from);
		spooldir_remove(&to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_export_is_whole_or_not_there),
	    cmocka_unit_test(an_export_tells_that_its_copy_was_not_synced),
	    cmocka_unit_test(an_export_takes_away_nobodys_file),
	    cmocka_unit_test(an_export_without_a_table_is_none),
	    cmocka_unit_test(a_check_tells_each_read_that_failed),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
