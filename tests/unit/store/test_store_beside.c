/*
 * What lies beside a spool and is not its own, or is gone: a ledger page of another one, a rollback journal, the tide
 * mark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"

static size_t root_of(const struct spooldir *d, const char *table)
{
	AUTOFREE char *sql = mem_format("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	struct store *s = life_open(d, NULL);
	const int64_t page = life_number(s, sql);

	store_abandon(s);
	assert_true(page > 1);
	return (size_t)page - 1;
}

/* Page `to` of mine becomes page `from` of theirs, counted from 0. */
static void bring_page(const struct spooldir *theirs, size_t from, const struct spooldir *mine, size_t to)
{
	enum { PAGE = 4096 };
	size_t our_bytes, their_bytes;
	unsigned char *a = spooldir_load(mine->path, &our_bytes), *b = spooldir_load(theirs->path, &their_bytes);

	assert_true(to * PAGE < our_bytes && from * PAGE < their_bytes);
	memcpy(a + to * PAGE, b + from * PAGE, PAGE);
	spooldir_store(mine->path, a, our_bytes);
	free(a);
	free(b);
}

/* One page, be it the ledger's own: the rows, and what lies beside it, say whose the file is. */
static void a_ledger_page_of_another_spool_makes_no_stranger(void **state)
{
	static const char *const gone[] = {"", ".tide", ".lock"};

	(void)state;
	for (int n = 0; n < 12; n++) {
		const char *missing = gone[n % 3];
		const bool in_log = n / 3 % 2, over_another = n / 6;
		struct spooldir mine, others;
		struct store_report report;
		char text[2000];
		struct store *s;

		life_make(&mine, 0, 60, 0);
		life_make(&others, LIFE_OTHERS, 200, 0);
		life_close(life_open(&others, NULL));
		life_close(life_open(&mine, NULL));
		bring_page(&others, root_of(&others, "ledger"), &mine,
		           root_of(&mine, over_another ? "failures" : "ledger"));
		if (in_log) {
			s = life_open(&mine, NULL);
			store_abandon(s);
		}
		if (*missing)
			assert_int_equal(unlink(spooldir_file(&mine, missing)), 0);
		assert_true(in_log || life_problems(&mine, text, sizeof text) > 0);
		s = life_open(&mine, &report);
		assert_int_equal(life_waiting(s, 0), 60);
		life_expect(s, 60, 0, 60, 0);
		life_append(s, 60, 10);
		life_close(s);
		assert_int_equal(life_count_files(&mine, ".stranger-"), 0);
		assert_int_equal(life_problems(&mine, text, sizeof text), 0);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* As sqlite3 leaves it when it is killed in a transaction: the journal would bring back what it took away. */
static void leave_a_journal(const struct spooldir *d)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		sqlite3 *db = NULL;

		if (sqlite3_open(d->path, &db) == SQLITE_OK &&
		    sqlite3_exec(
		        db,
		        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 5; BEGIN IMMEDIATE; DELETE FROM blocks;"
		        "CREATE TABLE much (x); INSERT INTO much WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + "
		        "1"
		        " FROM n WHERE i < 300) SELECT randomblob(3000) FROM n",
		        NULL, NULL, NULL) == SQLITE_OK)
			(void)kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

enum { HOT_JOURNAL, FIFO, FOLDER, JOURNAL_KINDS };

static void a_rollback_journal_is_nobodys(void **state)
{
	(void)state;
	for (int kind = 0; kind < JOURNAL_KINDS; kind++) {
		struct store_report report;
		struct spooldir mine, others;
		char text[2000];
		unsigned char *before, *after;
		size_t bytes, bytes_after;
		struct store *s;

		life_make(&mine, 0, 50, 0);
		s = life_open(&mine, &report);
		life_close(s);
		if (kind == HOT_JOURNAL) {
			life_make(&others, LIFE_OTHERS, 300, 0);
			s = life_open(&others, &report);
			life_close(s);
			leave_a_journal(&others);
			life_bring(&others, "-journal", &mine);
			spooldir_remove(&others);
		} else if (kind == FIFO) {
			assert_int_equal(mkfifo(spooldir_file(&mine, "-journal"), 0600), 0);
		} else {
			assert_int_equal(mkdir(spooldir_file(&mine, "-journal"), 0700), 0);
		}
		before = spooldir_load(mine.path, &bytes);
		assert_int_equal(life_problems(&mine, text, sizeof text), 1);
		assert_non_null(strstr(text, "problem: a rollback journal lies here"));
		after = spooldir_load(mine.path, &bytes_after);
		assert_int_equal(bytes, bytes_after);
		assert_memory_equal(before, after, bytes);
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		assert_non_null(strstr(report.warning, "a rollback journal"));
		life_expect(s, 50, 0, 50, 0);
		assert_int_equal(life_waiting(s, 0), 50);
		life_close(s);
		assert_int_equal(life_count_files(&mine, "-journal"), 1);
		assert_int_equal(life_count_files(&mine, ".stranger-"), 1);
		assert_int_equal(life_problems(&mine, text, sizeof text), 0);
		free(before);
		free(after);
		spooldir_remove(&mine);
	}
}

/* Without it nothing tells whether the end of what was accepted is here. */
static void a_tide_mark_that_is_lost_is_told(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};
		size_t bytes;
		unsigned char *data;

		life_close(s);
		data = spooldir_load(spooldir_file(&d, ".tide"), &bytes);
		if (how == 0)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		if (how == 1)
			assert_int_equal(truncate(spooldir_file(&d, ".tide"), 0), 0);
		if (how >= 2) {
			data[how == 2 ? 60 : bytes - 1] ^= 4;
			spooldir_store(spooldir_file(&d, ".tide"), data, bytes);
		}
		free(data);
		assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		if (!strstr(report.warning, ".tide, which says"))
			fail_msg("%d: %s", how, report.warning);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = life_open(&d, &report);
		assert_null(strstr(report.warning, ".tide"));
		life_end(&d, s);
	}
}

/* Nothing waited: no message is lost, but what else stood in it is. */
static void a_database_that_is_gone_is_told(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};

		assert_null(strstr(report.warning, "gone"));
		if (how > 0)
			life_append(s, 1, 3);
		if (how > 0)
			life_settle(s, 1, 3);
		life_close(s);
		assert_int_equal(unlink(d.path), 0);
		if (how == 2)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		s = life_open(&d, &report);
		if (!strstr(report.warning, "the database was gone"))
			fail_msg("%d: %s", how, report.warning);
		life_close(s);
		s = life_open(&d, &report);
		assert_null(strstr(report.warning, "gone"));
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_ledger_page_of_another_spool_makes_no_stranger),
	    cmocka_unit_test(a_rollback_journal_is_nobodys),
	    cmocka_unit_test(a_tide_mark_that_is_lost_is_told),
	    cmocka_unit_test(a_database_that_is_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
