/*
 * A journal starts after a run that died with messages on their way, and any call of SQLite fails meanwhile: the start
 * says so and leaves nothing open, or goes on as a full disk lets it; the next one counts what was on its way once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "rig/errorwatch.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/journal_steps.h"

enum { MESSAGES = 5, OUT = 3 };

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static uint64_t possible_of(struct journal *j) { return atomic_load(&journal_flight(j)->possible); }

/* What the file of the database alone says: PATH.flight may be gone at the next start. */
static uint64_t possible_on_disk(const struct spooldir *d)
{
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	uint64_t n;

	faultsql_pause(true);
	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT possible FROM ledger", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = (uint64_t)sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	faultsql_pause(false);
	return n;
}

/* The last run had OUT messages on their way and was killed. */
static void die_with_some_out(const struct journal_options *o)
{
	struct journal *j = steps_start(o, NULL);

	flight_send(journal_flight(j), OUT);
	rig_stop(j);
}

/* False: no call was left to fail. */
static bool try_start(const struct journal_options *o, const struct spooldir *d, int code, enum err want,
                      uint64_t *possible, unsigned *told, unsigned *passed)
{
	struct store_report report = {0};
	struct journal *j = NULL;
	struct error e = {.code = ERR_OK};
	const int before = count_descriptors();
	bool failed;
	enum err err;

	die_with_some_out(o);
	faultsql_arm_new(code);
	err = journal_start(o, steps_condemned, &j, &report, &e);
	ERRORWATCH_EXPECT(err, &e, report.warning, "start", (unsigned long long)*told);
	failed = faultsql_failed();
	faultsql_arm(0, 0, false);
	*possible += OUT;
	if (err != ERR_OK) {
		assert_null(j);
		if (!failed || e.code != err || err != want)
			fail_msg("%s failed, and the answer is %d: %s", faultsql_what(), (int)err, e.text);
		if (!strstr(e.text, "(SQLite ") || strstr(e.text, "nothing was set aside"))
			fail_msg("%s failed, and the answer is of something else: %s", faultsql_what(), e.text);
		assert_int_equal(count_descriptors(), before);
		++*told;
		j = steps_start(o, &report);
		assert_false(report.marker && want != ERR_DISK);
		if (strncmp(faultsql_what(), "COMMIT", 6) == 0)
			assert_int_equal(report.marker, want == ERR_DISK);
	} else if (failed) {
		++*passed;
	}
	assert_int_equal(possible_of(j), *possible);
	rig_stop(j);
	if (!failed || code != SQLITE_FULL || err != ERR_OK) /* else the next start writes it */
		assert_int_equal(possible_on_disk(d), *possible);
	return failed;
}

static void a_start_in_which_any_call_fails_counts_once(void **state)
{
	static const struct {
		int code;
		enum err err;
	} faults[] = {{SQLITE_NOMEM, ERR_MEMORY}, {SQLITE_IOERR_WRITE, ERR_DISK}, {SQLITE_FULL, ERR_NOSPACE}};
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	uint64_t possible = 0;
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = steps_start(&o, NULL);
	must(journal_offer(j, rig_offer(1, MESSAGES, 10, &a)));
	steps_run();
	rig_stop(j);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		unsigned told = 0, passed = 0;

		faultpoints_forget();
		while (try_start(&o, &d, faults[i].code, faults[i].err, &possible, &told, &passed))
			assert_true(told + passed < 1000);
		assert_true(told > 10);
		assert_true(faults[i].code == SQLITE_FULL ? passed > 2 : passed < 2);
	}
	spooldir_remove(&d);
}

/* By who opens the spool and runs no journal. */
static void a_count_that_fails_is_told(void **state)
{
	struct journal_options o = {0};
	struct store_report report;
	struct spooldir d;
	struct store *s = NULL;
	struct error e = {.code = ERR_OK};

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	die_with_some_out(&o);
	assert_int_equal(store_open(&o.store, &s, &report, &e), ERR_OK);
	faultsql_arm(1, SQLITE_NOMEM, false);
	assert_int_equal(journal_count_flight(s, d.path, &report, &e), ERR_MEMORY);
	assert_true(faultsql_failed());
	faultsql_arm(0, 0, false);
	assert_int_equal(store_possible_duplicates(s), 0);
	assert_int_equal(journal_count_flight(s, d.path, &report, &e), ERR_OK);
	assert_int_equal(store_possible_duplicates(s), OUT);
	assert_int_equal(store_close(s, &e), ERR_OK);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_in_which_any_call_fails_counts_once),
	    cmocka_unit_test(a_count_that_fails_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
