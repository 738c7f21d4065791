/*
 * The end of a store: the ledger's row is written, then the log goes into the database. Either can fail, or both: a
 * full disk is no error, every other one is told, and no checkpoint follows a write that failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>

#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { BEFORE = 3, MESSAGES = 7, AT_COMMIT = 3 /* of the calls of a close */ };

static const struct ending {
	int commit, checkpoint;
	enum err err;
	bool goes_into_file, leaves_marker;
} endings[] = {
    {SQLITE_OK, SQLITE_OK, ERR_OK, true, false},
    {SQLITE_OK, SQLITE_FULL, ERR_OK, true, false},
    {SQLITE_OK, SQLITE_IOERR_FSYNC, ERR_DISK, true, true},
    {SQLITE_OK, SQLITE_NOMEM, ERR_MEMORY, true, false},
    {SQLITE_FULL, SQLITE_OK, ERR_OK, true, false},
    {SQLITE_FULL, SQLITE_FULL, ERR_OK, true, false},
    {SQLITE_FULL, SQLITE_IOERR_FSYNC, ERR_DISK, true, true},
    {SQLITE_IOERR_WRITE, SQLITE_OK, ERR_DISK, false, true},
    {SQLITE_IOERR_WRITE, SQLITE_FULL, ERR_DISK, false, true},
    {SQLITE_NOMEM, SQLITE_OK, ERR_MEMORY, false, false},
    {SQLITE_NOMEM, SQLITE_FULL, ERR_MEMORY, false, false},
};

/* The ledger's row waits for the end. */
static void append_some(struct store *s)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	store_let_ledger_wait(s);
	for (uint64_t n = BEFORE + 1; n <= MESSAGES; n++) {
		struct message *m = spooldir_message(n, life_bytes(n));

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(s->lag.commits, 1);
}

static void try_ending(const struct ending *end, bool with_text)
{
	struct spooldir d;
	struct store_report report;
	struct error e = {.code = ERR_OK};
	struct store *s = life_begin(&d);
	enum err err;

	life_append(s, 0, BEFORE); /* a log begins with the row */
	append_some(s);
	faultsql_arm(end->commit ? AT_COMMIT : 0, end->commit, false);
	faultsql_arm_checkpoints(end->checkpoint);
	err = store_close(s, with_text ? &e : NULL);
	assert_int_equal(faultsql_checkpoints(), end->goes_into_file);
	assert_int_equal(faultsql_failed(), end->commit != SQLITE_OK);
	faultsql_arm(0, 0, false);
	faultsql_arm_checkpoints(0);
	if (err != end->err || (with_text && err != ERR_OK && (e.code != err || !e.text[0])))
		fail_msg("commit %d, checkpoint %d: the end is %d, not %d: %s", end->commit, end->checkpoint, (int)err,
		         (int)end->err, e.text);
	s = life_open(&d, &report);
	assert_int_equal(report.marker, end->leaves_marker);
	assert_int_equal(report.unclean, end->commit != SQLITE_OK ? !end->goes_into_file || end->checkpoint != SQLITE_OK
	                                                          : end->checkpoint != SQLITE_OK);
	assert_int_equal(report.missing_rows, 0);
	assert_int_equal(life_waiting(s, 0), MESSAGES);
	life_expect(s, MESSAGES, 0, MESSAGES, 0);
	life_end(&d, s);
}

static void what_fails_last_is_not_all_that_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
		try_ending(&endings[i], true);
		try_ending(&endings[i], false);
	}
}

/* PATH.left as the file says it: the highest id that left, and the commit up to which all of it is on the disk. */
static void expect_left(const struct spooldir *d, struct spool_id id, uint64_t left, uint64_t synced)
{
	struct files f = FILES_NONE;
	struct left *l;
	struct error e;

	assert_int_equal(files_open(&f, d->path, &e), ERR_OK);
	l = left_open(&f, id, false);
	assert_int_equal(left_trouble(l), 0);
	assert_int_equal(left_highest(l), left);
	assert_int_equal(left_synced(l), synced);
	left_close(l);
	files_close(&f);
}

/* No room for what left, until the log is cut to nothing: then it is written, at the last moment. */
static void what_left_is_written_when_the_log_made_room(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	const struct spool_id id = s->id;
	struct error e;

	(void)state;
	life_append(s, 0, MESSAGES);
	life_checkpoint(s); /* the next group is written over the log, which becomes no longer */
	faultfs_disk(d.dir, 0);
	life_settle(s, 2, 2);
	assert_int_equal(left_trouble(s->left), ENOSPC);
	assert_true(store_left_lacks_room(s));
	assert_int_equal(store_left_trouble(s), ENOSPC);
	assert_int_equal(store_close(s, &e), ERR_OK);
	faultfs_disk(NULL, 0);
	expect_left(&d, id, 2, 1);
	spooldir_remove(&d);
}

/* A clean end syncs it: the next start believes all of it, after another start of the machine too. */
static void what_left_is_synced_at_the_end(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	const struct spool_id id = s->id;
	uint64_t commits;

	(void)state;
	life_append(s, 0, MESSAGES);
	life_settle(s, 2, 3);
	life_settle(s, 5, 5);
	commits = s->durable.commits;
	assert_true(left_synced(s->left) < commits);
	life_close(s);
	expect_left(&d, id, 5, commits);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_last_is_not_all_that_is_told),
	    cmocka_unit_test(what_left_is_written_when_the_log_made_room),
	    cmocka_unit_test(what_left_is_synced_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
