/*
 * Two files that were set aside are read back, and what reads them meets one fault, and the next run another: an
 * operation that fails, once or for good, a kill, a file that is not what it was between the two. A start on a well
 * disk then has every message, once; of a file that was changed no more is missing than it holds, and all of that is
 * counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sqlite3.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"

enum { HALF = 60, ROWS = 2 * HALF, TRIES = IS_SANITIZED ? 30 : 60, MORE_TRIES = 250, POINTS = 900 };
#define FIRST_ASIDE ".quarantine-20260101T000000Z-000"
#define SECOND_ASIDE ".quarantine-20260102T000000Z-000"

static uint32_t random_state = 4711;
static uint32_t chance(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)random_state * below >> 32);
}

static void move_aside(const struct spooldir *d, const char *suffix)
{
	char to[400];

	(void)snprintf(to, sizeof to, "%s", spooldir_file(d, suffix));
	assert_int_equal(rename(d->path, to), 0);
}

/* The first half could not be read when the second came in; then that was set aside too. */
static void make(struct spooldir *d)
{
	struct store *s = life_begin(d);

	life_append(s, 0, HALF);
	life_close(s);
	move_aside(d, FIRST_ASIDE);
	faultfs_dead(FIRST_ASIDE, 0, INT32_MAX);
	s = life_open(d, NULL);
	assert_int_equal(store_next_id(s), HALF + 1);
	life_append(s, HALF, HALF);
	life_close(s);
	move_aside(d, SECOND_ASIDE);
	faultfs_dead(NULL, 0, 0);
}

/* As the daemon's run. */
static enum err run(const struct spooldir *d, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	uint64_t first, last;
	bool more = true;
	enum err err = store_open(&o, &s, NULL, e);

	while (err == ERR_OK && more)
		err = store_salvage(s, 7, &first, &last, &more, e);
	if (err == ERR_OK)
		return store_close(s, e);
	store_abandon(s);
	return err;
}

struct fault {
	unsigned kinds;
	int error;
	bool persistent;
};
static const struct fault faults[] = {
    {FAULTFS_ALL, FAULTFS_KILL, false}, {FAULTFS_LOOKS, EIO, false},
    {FAULTFS_LOOKS, EIO, true},         {FAULTFS_WRITE, ENOSPC, true},
    {FAULTFS_WRITE, EIO, false},        {FAULTFS_SYNC, EIO, false},
    {FAULTFS_ALL, EIO, false},          {FAULTFS_RENAME | FAULTFS_UNLINK, EIO, true},
};

/* In a process of its own: it may be killed, and what a run knows must not help the next. */
static void meet(const struct spooldir *d, const struct fault *f, uint32_t n)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		struct error e;

		faultfs_arm(f->kinds, n, f->error, f->persistent);
		(void)run(d, &e);
		faultfs_arm(0, 0, 0, false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGKILL);
}

/* Changes one of the two files; how many messages may be gone. */
static uint64_t change(const struct spooldir *d, uint32_t how)
{
	const char *path = spooldir_file(d, chance(2) ? FIRST_ASIDE : SECOND_ASIDE);
	size_t bytes;
	unsigned char *data = spooldir_load(path, &bytes);
	const size_t page = 1 + chance((uint32_t)(bytes / 4096) - 1);

	if (how == 0) /* a page is gone */
		memset(data + page * 4096, 0, 4096);
	else if (how == 1)
		data[page * 4096 + chance(4096)] ^= (unsigned char)(1u << chance(8));
	else if (how == 2)
		bytes /= 2;
	else if (how == 3) /* a page stands twice */
		memcpy(data + page * 4096, data + (1 + chance((uint32_t)(bytes / 4096) - 1)) * 4096, 4096);
	else
		bytes = 0;
	spooldir_store(path, data, bytes);
	free(data);
	return HALF;
}

/* How far the files were read, as the spool notes it, is not what was written. */
static void harm_notes(const struct spooldir *d)
{
	static const char *const harms[] = {
	    "UPDATE salvage SET after_id = after_id + 3",
	    "UPDATE salvage SET after_id = 1000000 WHERE path != 'expected'",
	    "UPDATE salvage SET done = 1 - done",
	    "UPDATE salvage SET salvaged = 1, checksum = checksum + 1",
	    "UPDATE salvage SET path = path || 'x'",
	};
	sqlite3 *db;

	if (access(d->path, F_OK) != 0)
		return;
	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_exec(db, harms[chance(sizeof harms / sizeof *harms)], NULL, NULL, NULL);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

enum between { NOTHING, A_FILE, NOTES, THE_DATABASE };

static void expect(const struct spooldir *d, uint64_t may_be_gone, const char *what)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	bool there[ROWS + 1] = {0};
	const struct store_ledger *l;
	struct store_report report;
	const struct message *m;
	struct store *s = life_open(d, &report);
	struct error e;
	uint64_t first, last, got = 0;
	uint32_t count;

	for (bool more = true; more;)
		if (store_salvage(s, 1000, &first, &last, &more, &e) != ERR_OK)
			fail_msg("%s: %s", what, e.text);
	if (store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e) != ERR_OK)
		fail_msg("%s: %s", what, e.text);
	STAILQ_FOREACH (m, &list, link) {
		const uint64_t id = m->id;

		if (id < 1 || id > ROWS || !spooldir_is_message(m, id, life_bytes(id)) || there[id])
			fail_msg("%s: message %" PRIu64, what, id);
		there[id] = true;
		got++;
	}
	message_list_free(&list);
	l = store_ledger(s);
	if (got + may_be_gone < ROWS || l->accepted != ROWS || l->pending != got || l->damaged != ROWS - got)
		fail_msg("%s: %" PRIu64 " are there, accepted %" PRIu64 " pending %" PRIu64 " damaged %" PRIu64 ": %s",
		         what, got, l->accepted, l->pending, l->damaged, report.warning);
	life_close(s);
	if ((life_problems(d, NULL, 0) > 0) != (got < ROWS))
		fail_msg("%s: check", what);
}

static void copy(const struct spooldir *from, const struct spooldir *to)
{
	static const char *const asides[] = {FIRST_ASIDE, SECOND_ASIDE};

	spooldir_copy(from, to);
	for (size_t i = 0; i < sizeof asides / sizeof *asides; i++)
		life_bring(from, asides[i], to);
}

static void two_faults(enum between between)
{
	const int tries = getenv("KSPOOL_EVERY_FAULT") ? MORE_TRIES : TRIES;
	struct spooldir from;

	make(&from);
	for (int i = 0; i < tries; i++) {
		const uint32_t a = chance(sizeof faults / sizeof *faults), b = chance(sizeof faults / sizeof *faults);
		const uint32_t n = 1 + chance(POINTS), k = 1 + chance(POINTS);
		uint64_t may_be_gone = 0;
		struct spooldir d;
		char what[120];

		spooldir_make(&d);
		copy(&from, &d);
		(void)snprintf(what, sizeof what, "try %d: fault %u at %u, fault %u at %u", i, a, n, b, k);
		meet(&d, &faults[a], n);
		if (between == A_FILE)
			may_be_gone = change(&d, chance(5));
		if (between == NOTES)
			harm_notes(&d);
		if (between == THE_DATABASE) { /* with what came back already */
			(void)unlink(d.path);
			(void)unlink(spooldir_file(&d, "-wal"));
			may_be_gone = ROWS;
		}
		meet(&d, &faults[b], k);
		expect(&d, may_be_gone, what);
		spooldir_remove(&d);
	}
	spooldir_remove(&from);
}

static void a_second_fault_loses_nothing(void **state)
{
	(void)state;
	two_faults(NOTHING);
}

static void a_file_that_changes_between_costs_what_it_holds(void **state)
{
	(void)state;
	two_faults(A_FILE);
}

static void notes_that_lie_bring_nothing_twice_and_lose_nothing(void **state)
{
	(void)state;
	two_faults(NOTES);
}

static void a_database_that_goes_between_costs_what_had_come_back(void **state)
{
	(void)state;
	two_faults(THE_DATABASE);
}

/* What came back from a file does not come back again when the word of that cannot be read once, and its database is
 * gone. */
static void what_was_read_stays_read(void **state)
{
	struct spooldir from;
	struct error e;
	bool is_hit = true;

	(void)state;
	make(&from);
	assert_int_equal(run(&from, &e), ERR_OK);
	assert_int_equal(unlink(from.path), 0);
	assert_int_equal(unlink(spooldir_file(&from, "-wal")), 0);
	for (uint32_t n = 1; is_hit; n++) {
		struct spooldir d;
		char what[40];

		spooldir_make(&d);
		copy(&from, &d);
		life_bring(&from, FIRST_ASIDE ".read", &d);
		life_bring(&from, SECOND_ASIDE ".read", &d);
		(void)snprintf(what, sizeof what, "read %u", n);
		faultfs_arm(FAULTFS_READ, n, EIO, false);
		(void)run(&d, &e);
		is_hit = faultfs_failed() > 0;
		faultfs_arm(0, 0, 0, false);
		expect(&d, ROWS, what);
		spooldir_remove(&d);
	}
	spooldir_remove(&from);
}

/* What is damaged already stands in the file that is not read yet. */
static void the_next_database_goes_before(int64_t dead_from)
{
	static const char *const gone[] = {"", "-wal"};
	struct spooldir d;
	struct store *s;
	struct error e;

	s = life_begin(&d);
	life_append(s, 0, HALF);
	life_close(s);
	move_aside(&d, FIRST_ASIDE);
	faultfs_dead(FIRST_ASIDE, dead_from, INT32_MAX);
	for (uint32_t i = 0; i < 2; i++) {
		s = life_open(&d, NULL);
		assert_int_equal(store_ledger(s)->damaged, HALF + i * 9);
		life_append(s, HALF + i * 10, 10);
		life_settle(s, HALF + i * 10 + 1, HALF + i * 10 + 1);
		life_close(s);
		for (size_t k = 0; k < sizeof gone / sizeof *gone; k++)
			(void)unlink(spooldir_file(&d, gone[k]));
	}
	faultfs_dead(NULL, 0, 0);
	assert_int_equal(run(&d, &e), ERR_OK);
	s = life_open(&d, NULL);
	life_expect(s, HALF + 20, 2, HALF, 18);
	life_end(&d, s);
}

static void the_next_database_goes_before_the_file_is_read(void **state)
{
	(void)state;
	for (int64_t page = 0; page < 12; page++)
		the_next_database_goes_before(page * 4096);
}

/* Only the tide mark tells of both when the new database begins. */
static void two_files_that_cannot_be_asked_come_back_once(void **state)
{
	struct spooldir d;
	struct error e;

	(void)state;
	make(&d);
	faultfs_dead("T000000Z-000", 0, INT32_MAX);
	assert_int_equal(run(&d, &e), ERR_OK);
	faultfs_dead(NULL, 0, 0);
	expect(&d, 0, "both files are dead");
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(two_files_that_cannot_be_asked_come_back_once),
	    cmocka_unit_test(the_next_database_goes_before_the_file_is_read),
	    cmocka_unit_test(what_was_read_stays_read),
	    cmocka_unit_test(a_second_fault_loses_nothing),
	    cmocka_unit_test(a_database_that_goes_between_costs_what_had_come_back),
	    cmocka_unit_test(a_file_that_changes_between_costs_what_it_holds),
	    cmocka_unit_test(notes_that_lie_bring_nothing_twice_and_lose_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
