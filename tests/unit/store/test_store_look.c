/*
 * A stopped spool that is only looked at: what a start would find is told or is why it cannot be looked at, each call
 * that fails is told, and not a byte in its folder is another afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MESSAGES = 50, IN_LOG = 30, SHELF = 2, CALLS_MAX = 1000 };

static bool count_visit(void *arg, const struct store_dead *dead)
{
	(void)dead;
	++*(int *)arg;
	return true;
}

/* 1 and 2 are on the shelf, 3 to 5 have left; the last ones are in the log alone. */
static void make(struct spooldir *d)
{
	struct store *s = life_begin(d);
	struct error e;

	life_append(s, 0, MESSAGES - IN_LOG);
	for (uint64_t id = 1; id <= SHELF; id++) {
		const struct store_settlement item = {.id = id, .kind = SETTLE_DEAD, .code = "Refused"};

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
	}
	life_settle(s, 3, 5);
	life_checkpoint(s);
	life_append(s, MESSAGES - IN_LOG, IN_LOG);
	store_abandon(s);
}

static void run_raw(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void leave(const struct spooldir *d) { (void)d; }

static void behead(const struct spooldir *d)
{
	size_t count;
	unsigned char *all = spooldir_load(d->path, &count);

	all[19] ^= 4;
	spooldir_store(d->path, all, count);
	free(all);
}

static void lose(const struct spooldir *d) { assert_int_equal(unlink(d->path), 0); }

/* The page of the ledger is another spool's, at the same place. */
static void exchange_ledger(const struct spooldir *d)
{
	struct spooldir other;
	size_t count, theirs, at = 0;
	unsigned char *all, *its;
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;

	run_raw(d, "PRAGMA wal_checkpoint(TRUNCATE)");
	make(&other);
	run_raw(&other, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE name = 'ledger'", -1, &st, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	at = ((size_t)sqlite3_column_int64(st, 0) - 1) * 4096;
	(void)sqlite3_finalize(st);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	all = spooldir_load(d->path, &count);
	its = spooldir_load(other.path, &theirs);
	assert_true(at + 4096 <= count && at + 4096 <= theirs);
	memcpy(all + at, its + at, 4096);
	spooldir_store(d->path, all, count);
	free(all);
	free(its);
	spooldir_remove(&other);
}

static void break_log(const struct spooldir *d)
{
	char path[400];
	size_t count;
	unsigned char *all;

	(void)snprintf(path, sizeof path, "%s", spooldir_file(d, "-wal"));
	all = spooldir_load(path, &count);
	assert_true(count > 5000);
	all[32 + 24 + 100] ^= 1; /* the first frame's */
	spooldir_store(path, all, count);
	free(all);
}

static void set_aside(const struct spooldir *d)
{
	size_t count;
	unsigned char *all = spooldir_load(d->path, &count);

	spooldir_store(spooldir_file(d, ".quarantine-20260101T000000Z-000"), all, count);
	free(all);
}

static void strange_log(const struct spooldir *d)
{
	struct spooldir other;

	make(&other);
	life_bring(&other, "-wal", d);
	spooldir_remove(&other);
}

static void add_table(const struct spooldir *d) { run_raw(d, "CREATE TABLE more (x)"); }

static const struct look {
	const char *name;
	void (*harm)(const struct spooldir *d);
	enum err err;
	const char *told; /* in the warning, or the error; "": nothing */
} looks[] = {
    {"whole", leave, ERR_OK, ""},
    {"beheaded", behead, ERR_DAMAGED, "the head of the file is damaged"},
    {"gone", lose, ERR_DAMAGED, "is gone, and its log is here"},
    {"another's ledger", exchange_ledger, ERR_DAMAGED, "the ledger is another spool's"},
    {"a broken log", break_log, ERR_OK, "the log is damaged"},
    {"another's log", strange_log, ERR_DAMAGED, "log"},
    {"set aside", set_aside, ERR_OK, "1 sets of files beside it are not read back"},
    {"more tables", add_table, ERR_ENVIRONMENT, "more"},
};

static enum err look(const struct spooldir *d, struct store_report *report, int *ret_dead, struct error *e)
{
	const struct store_options o = {.path = d->path};
	struct store *s = NULL;
	enum err err = store_look(&o, &s, report, e);

	*ret_dead = 0;
	if (err == ERR_OK)
		err = store_dead_walk(s, 0, 100, count_visit, ret_dead, e);
	if (err != ERR_OK) {
		store_abandon(s);
		return err;
	}
	assert_int_equal(s->page_bytes, 4096);
	assert_int_equal(store_ledger(s)->dead, SHELF);
	assert_int_equal(store_ledger(s)->delivered, 3);
	return store_close(s, e);
}

/* One that runs, and one whose folder is not there: why, and nothing else. */
static void what_cannot_be_opened_says_why(void **state)
{
	static const unsigned char head[4096] = "no head of a database";
	struct store_report report;
	struct error e;
	struct spooldir d, nowhere;
	struct store *s;
	int dead;

	(void)state;
	make(&d);
	s = life_open(&d, NULL);
	assert_int_equal(look(&d, &report, &dead, &e), ERR_BUSY);
	life_close(s);
	assert_int_equal(look(&d, &report, &dead, &e), ERR_OK);
	(void)snprintf(nowhere.path, sizeof nowhere.path, "%s/not/spool.db", d.dir);
	assert_true(look(&nowhere, &report, &dead, &e) != ERR_OK);
	assert_non_null(strstr(e.text, "/not"));
	assert_null(strstr(e.text, "Bad file"));
	spooldir_store(d.path, head, sizeof head);
	assert_int_equal(look(&d, &report, &dead, &e), ERR_DAMAGED);
	assert_non_null(strstr(e.text, d.path));
	assert_null(strstr(e.text, "cannot be written here")); /* it can */
	spooldir_remove(&d);
}

static uint64_t print_of_file(const struct spooldir *d, const char *suffix)
{
	uint64_t print = 1469598103934665603u;
	unsigned char *all;
	size_t count;

	if (access(spooldir_file(d, suffix), F_OK) != 0)
		return 0;
	all = spooldir_load(spooldir_file(d, suffix), &count);
	for (size_t i = 0; i < count; i++)
		print = (print ^ all[i]) * 1099511628211u;
	free(all);
	return print + count;
}

static uint64_t print_of_folder(const struct spooldir *d)
{
	return print_of_file(d, "") * 3 + print_of_file(d, "-wal") * 5 + print_of_file(d, ".tide") * 7 +
	       (uint64_t)life_count_files(d, "spool");
}

static void what_a_start_would_find_is_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
		const struct look *l = &looks[i];
		struct store_report report;
		struct error e = {.code = ERR_OK};
		struct spooldir d;
		const char *said;
		uint64_t before;
		int dead;
		enum err err;

		make(&d);
		l->harm(&d);
		before = print_of_folder(&d);
		err = look(&d, &report, &dead, &e);
		said = err == ERR_OK ? report.warning : e.text;
		if (err != l->err || (l->told[0] ? !strstr(said, l->told) : said[0] != '\0'))
			fail_msg("%s: error %d: %s", l->name, (int)err, said);
		if (err == ERR_OK)
			assert_int_equal(dead, SHELF);
		assert_false(report.schema_is_old || report.is_read_only);
		assert_false(report.created || report.unclean || report.marker || report.quarantined);
		assert_int_equal(report.rows + report.salvaged_rows + report.damaged + report.missing_rows, 0);
		if (print_of_folder(&d) != before)
			fail_msg("%s: something was written", l->name);
		spooldir_remove(&d);
	}
}

static void a_look_that_fails_says_so(void **state)
{
	static const struct {
		unsigned kinds; /* 0: calls of SQLite */
		enum err err;
	} faults[] = {{0, ERR_MEMORY}, {FAULTFS_READ, ERR_DISK}};
	struct spooldir d;
	uint64_t before;

	(void)state;
	make(&d);
	before = print_of_folder(&d);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		for (uint64_t n = 1;; n++) {
			struct store_report report;
			struct error e = {.code = ERR_OK};
			bool failed;
			int dead;
			enum err err;

			if (faults[i].kinds)
				faultfs_arm(faults[i].kinds, n, 5 /* EIO */, false);
			else
				faultsql_arm(n, SQLITE_NOMEM, false);
			err = look(&d, &report, &dead, &e);
			failed = faults[i].kinds ? faultfs_failed() > 0 : faultsql_failed();
			faultfs_arm(0, 0, 0, false);
			faultsql_arm(0, 0, false);
			if (!failed) {
				assert_int_equal(err, ERR_OK);
				assert_in_range(n, 5, CALLS_MAX);
				break;
			}
			/* Two witnesses of a spool's name, of which one is enough. */
			if (err == ERR_OK && faults[i].kinds &&
			    (strstr(faultfs_what(), ".lock") || strstr(faultfs_what(), ".tide")))
				continue;
			if (err != faults[i].err || e.code != err || !e.text[0])
				fail_msg("%s %u failed (%s): error %d: %s", faults[i].kinds ? "read" : "call",
				         (unsigned)n, faults[i].kinds ? faultfs_what() : faultsql_what(), (int)err,
				         e.text);
		}
	assert_int_equal(print_of_folder(&d), before);
	spooldir_remove(&d);
}

/* What cannot be listed is not "nothing". */
static void a_folder_that_cannot_be_listed_is_told(void **state)
{
	struct spooldir d;
	struct files f;
	struct rlimit limit, none;
	uint64_t all = 0, unread = 0;
	struct error e;
	enum err err;

	(void)state;
	make(&d);
	set_aside(&d);
	assert_int_equal(files_open_names(&f, d.path, &e), ERR_OK);
	assert_int_equal(asides_count(&f, &all, &unread, &e), ERR_OK);
	assert_int_equal(all, 1);
	assert_int_equal(unread, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0; /* no more descriptors */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = asides_count(&f, &all, &unread, &e);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_not_equal(err, ERR_OK);
	assert_int_equal(err, e.code);
	files_close(&f);
	spooldir_remove(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_start_would_find_is_told),
	    cmocka_unit_test(a_look_that_fails_says_so),
	    cmocka_unit_test(what_cannot_be_opened_says_why),
	    cmocka_unit_test(a_folder_that_cannot_be_listed_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
