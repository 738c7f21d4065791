/*
 * The end of a store: the ledger's row is written, then the log goes into the database. Either can fail, or both: a
 * full disk is no error, every other one is told, and no checkpoint follows a write that failed. And the start behind
 * it: what recovery found goes into the database before anything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

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

static void mark(const struct spooldir *d) { spooldir_store(spooldir_file(d, ".unsafe"), "a disk", 6); }

static void leave(const struct spooldir *d) { (void)d; }

static void lose(const struct spooldir *d)
{
	assert_int_equal(unlink(d->path), 0);
	assert_int_equal(unlink(spooldir_file(d, "-wal")), 0);
}

static void change_byte(const struct spooldir *d, const char *suffix, size_t at)
{
	size_t count;
	unsigned char *bytes = spooldir_load(spooldir_file(d, suffix), &count);

	assert_true(at < count);
	bytes[at] ^= 4;
	spooldir_store(spooldir_file(d, suffix), bytes, count);
	free(bytes);
}

/* Of the first commit of several. */
static void harm_log(const struct spooldir *d) { change_byte(d, "-wal", 32 + 24 + 4096 + 24 + 200); }

static void harm_head(const struct spooldir *d)
{
	for (size_t i = 0; i < 60; i++)
		change_byte(d, "", i);
}

/* Of a killed run: it has a log, which is enough, unless something was wrong. */
static void what_recovery_found_goes_into_the_database(void **state)
{
	static const struct {
		void (*make)(const struct spooldir *d);
		bool created, marker, quarantined, mended, unclean;
		uint64_t checkpoints;
	} cases[] = {
	    {leave, false, false, false, false, true, 0},    {mark, false, true, false, false, true, 1},
	    {lose, true, false, false, false, false, 1},     {harm_log, false, false, false, true, true, 1},
	    {harm_head, false, false, true, false, true, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report;
		struct store_state is;
		struct spooldir d;
		struct store *s;

		life_make(&d, 0, 20, 40);
		cases[i].make(&d);
		s = life_open(&d, &report);
		store_state(s, &is);
		if (is.checkpoints != cases[i].checkpoints)
			fail_msg("case %u: %u checkpoints", (unsigned)i, (unsigned)is.checkpoints);
		assert_int_equal(report.created, cases[i].created);
		assert_int_equal(report.marker, cases[i].marker);
		assert_int_equal(report.quarantined, cases[i].quarantined);
		assert_int_equal(report.wal_mended, cases[i].mended);
		assert_int_equal(report.unclean, cases[i].unclean);
		assert_int_not_equal(access(spooldir_file(&d, ".unsafe"), F_OK), 0);
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_fails_last_is_not_all_that_is_told),
	    cmocka_unit_test(what_left_is_written_when_the_log_made_room),
	    cmocka_unit_test(what_left_is_synced_at_the_end),
	    cmocka_unit_test(what_recovery_found_goes_into_the_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
