/*
 * Rows that go with their page or with the whole file: positions of inputs and keys of processors. No row is left that
 * could say so; what is read or let through again is counted all the same, a kill gives no false alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_internal.h"
#include "store/files/spool_files.h"

enum { LONG_MS = 30 * 60 * 1000, PAGE = 4096, TIDE_COUNTS_AT = 16 + 6 * 8 };

static void put_position(struct store *s, const char *key, const char *value)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, key, value, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* What stands of it ("": nothing), and whether what is read of it anew is counted. */
static void expect_position(struct store *s, const char *key, const char *want, bool counts)
{
	AUTOFREE char *value = NULL;
	bool damaged;
	struct error e;

	assert_int_equal(store_position_get(s, key, &value, &damaged, &e), ERR_OK);
	assert_string_equal(value ? value : "", want);
	assert_int_equal(damaged, counts);
}

/* Keys first .. last; how many of them were new. */
static int add_keys(struct store *s, int first, int last, int64_t ttl_ms)
{
	int count = 0;
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (int i = first; i <= last; i++) {
		AUTOFREE char *key = mem_format("key %d of ours", i);
		bool was_new;

		assert_int_equal(store_cache_add(s, "c", key, strlen(key), ttl_ms, &was_new, &e), ERR_OK);
		count += was_new;
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	return count;
}

enum gone { PAGE_ZEROED, PAGE_EMPTY, ROWS_GONE, FILE_GONE, FILE_EMPTIED, HEAD_GONE, GONE_KINDS };

static size_t root_of(const struct spooldir *d, const char *table)
{
	AUTOFREE char *sql = mem_format("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
	sqlite3_stmt *st;
	sqlite3 *db;
	size_t page;

	assert_int_equal(sqlite3_open_v2(d->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	page = (size_t)sqlite3_column_int64(st, 0) - 1;
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return page;
}

/* A page of the file is overwritten, from `at` on. */
static void overwrite(const struct spooldir *d, size_t page, const unsigned char *bytes, size_t count)
{
	size_t all;
	unsigned char *data = spooldir_load(d->path, &all);

	assert_true((page + 1) * PAGE <= all);
	memset(data + page * PAGE, 0, PAGE);
	memcpy(data + page * PAGE, bytes, count);
	spooldir_store(d->path, data, all);
	free(data);
}

/* Of a closed spool: what holds the rows of a table is gone. */
static void lose(const struct spooldir *d, const char *table, enum gone how)
{
	static const unsigned char empty[8] = {10, 0, 0, 0, 0, PAGE >> 8, 0, 0}; /* a leaf of an index without cells */
	AUTOFREE char *rows = mem_format("DELETE FROM %s", table);
	sqlite3 *db;

	if (how == PAGE_ZEROED || how == PAGE_EMPTY)
		overwrite(d, root_of(d, table), empty, how == PAGE_EMPTY ? sizeof empty : 0);
	if (how == ROWS_GONE) {
		assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
		(void)sqlite3_close(db);
	}
	if (how == FILE_EMPTIED)
		assert_int_equal(truncate(d->path, 0), 0);
	if (how == HEAD_GONE)
		overwrite(d, 0, empty, 0);
	(void)unlink(spooldir_file(d, "-wal"));
	(void)unlink(spooldir_file(d, "-shm"));
	assert_int_equal(chmod(d->path, 0600), 0);
	if (how == FILE_GONE)
		assert_int_equal(unlink(d->path), 0);
}

static void repair(const struct spooldir *d, const char *says)
{
	struct buf out;
	struct error e;

	buf_init(&out, 1 << 16);
	if (store_repair(d->path, &(struct store_repair){0}, &out, &e) != ERR_OK)
		fail_msg("%s: %.*s", e.text, (int)out.len, out.data);
	if (!memmem(out.data, out.len, says, strlen(says)))
		fail_msg("%.*s", (int)out.len, out.data);
	buf_fini(&out);
	assert_int_equal(life_problems(d, NULL, 0), 0);
}

static void positions_that_are_gone_are_told(void **state)
{
	(void)state;
	for (enum gone how = 0; how < GONE_KINDS; how++) {
		const bool is_read_back = how == HEAD_GONE;
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};

		expect_position(s, "a", "", false);
		put_position(s, "a", "100");
		put_position(s, "b", "200");
		put_position(s, "a", "300");
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		lose(&d, "positions", how);
		if (how != FILE_GONE)
			assert_true(life_problems(&d, NULL, 0) > 0);
		for (int starts = 0; starts < 3; starts++) { /* one that is killed forgets nothing */
			s = life_open(&d, &report);
			if (!strstr(report.warning, "2 positions of inputs are gone") != is_read_back)
				fail_msg("%d: %s", (int)how, report.warning);
			expect_position(s, "a", is_read_back ? "300" : "", !is_read_back);
			if (starts == 1)
				store_abandon(s);
			else
				life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), is_read_back ? 0 : 1);
		}
		if (is_read_back) {
			spooldir_remove(&d);
			continue;
		}
		s = life_open(&d, NULL);
		put_position(s, "a", "1"); /* it was read again */
		expect_position(s, "b", "", true);
		life_close(s);
		repair(&d, "positions: 1 are gone");
		s = life_open(&d, &report);
		assert_null(strstr(report.warning, "positions"));
		expect_position(s, "b", "", true); /* whoever knows of it, it is read again */
		put_position(s, "b", "2");
		expect_position(s, "c", "", false);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
	}
}

static void keys_that_are_gone_are_counted(void **state)
{
	(void)state;
	for (enum gone how = 0; how < GONE_KINDS; how++) {
		const uint64_t gone = how == HEAD_GONE ? 0 : 30;
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};

		assert_int_equal(add_keys(s, 1, 200, -1), 200); /* expired when the next come, and gone by and by */
		assert_int_equal(add_keys(s, 1, 10, LONG_MS), 10);
		assert_int_equal(add_keys(s, 1, 30, LONG_MS), 20);
		assert_int_equal(life_number(s, "SELECT count(*) FROM cache"), 30);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		lose(&d, "cache", how);
		if (how != FILE_GONE)
			assert_true(life_problems(&d, NULL, 0) > 0);
		s = life_open(&d, &report);
		if ((strstr(report.warning, "30 dedupe keys are gone") != NULL) != (gone > 0))
			fail_msg("%d: %s", (int)how, report.warning);
		assert_int_equal(store_possible_duplicates(s), gone);
		store_abandon(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		s = life_open(&d, &report);
		assert_null(strstr(report.warning, "keys"));
		assert_int_equal(store_possible_duplicates(s), gone);
		assert_int_equal(add_keys(s, 1, 30, LONG_MS), (int)gone);
		life_end(&d, s);
	}
}

/* Of a table of many pages one goes, with the rest of the file whole. */
static void keys_of_one_page_are_counted(void **state)
{
	enum { KEYS = 2000 };
	(void)state;
	for (size_t leaf = 0; leaf < 5; leaf++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};
		size_t bytes, root, child;
		unsigned char *data;
		int let_through;

		assert_int_equal(add_keys(s, 1, KEYS, LONG_MS), KEYS);
		life_close(s);
		root = root_of(&d, "cache");
		data = spooldir_load(d.path, &bytes);
		assert_int_equal(data[root * PAGE], 2); /* above others */
		child = (size_t)data[root * PAGE + 12 + 2 * leaf] << 8 | data[root * PAGE + 13 + 2 * leaf];
		child = (size_t)data[root * PAGE + child + 2] << 8 | data[root * PAGE + child + 3];
		free(data);
		overwrite(&d, child - 1, (const unsigned char *)"", 0);
		s = life_open(&d, &report);
		let_through = add_keys(s, 1, KEYS, LONG_MS);
		assert_true(let_through > 20);
		assert_true(store_possible_duplicates(s) >= (uint64_t)let_through);
		assert_true(store_possible_duplicates(s) <= (uint64_t)let_through + 1);
		assert_non_null(strstr(report.warning, "dedupe keys are gone"));
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		spooldir_remove(&d);
	}
}

/* Killed at any moment, the tide mark as it was before the last commits, or as it is: nothing is gone. */
static void a_kill_gives_no_false_alarm(void **state)
{
	static const char *const ends[] = {"killed", "killed before the tide mark", "closed"};
	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		for (int step = 0; step < 4; step++) {
			struct spooldir d;
			struct store *s = life_begin(&d);
			struct store_report report = {0};
			unsigned char *tide;
			size_t bytes;
			struct error e;

			put_position(s, "a", "100");
			(void)add_keys(s, 1, 60, 1);
			tide = spooldir_load(spooldir_file(&d, ".tide"), &bytes);
			usleep(5000); /* they have expired */
			if (step == 0)
				put_position(s, "b", "100");
			if (step == 1)
				(void)add_keys(s, 100, 101, LONG_MS);
			if (step == 2) {
				life_append(s, 0, 20);
				(void)add_keys(s, 100, 101, LONG_MS);
			}
			if (step == 3) { /* undone */
				assert_int_equal(store_begin(s, &e), ERR_OK);
				assert_int_equal(store_position_put(s, "c", "1", &e), ERR_OK);
				store_rollback(s);
				life_append(s, 0, 20);
			}
			if (i == 2)
				life_close(s);
			else
				store_abandon(s);
			if (i == 1)
				spooldir_store(spooldir_file(&d, ".tide"), tide, bytes);
			free(tide);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			s = life_open(&d, &report);
			if (strstr(report.warning, "gone") || store_possible_duplicates(s) != 0)
				fail_msg("%s, %d: %s", ends[i], step, report.warning);
			expect_position(s, "zz", "", false);
			life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			spooldir_remove(&d);
		}
}

/* Of one that has no numbers of rows, or is of an older form, nothing is believed, and it gets them. */
static void an_older_tide_mark_gets_the_numbers(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_report report = {0};
	unsigned char *tide;
	size_t bytes;
	(void)state;

	put_position(s, "a", "100");
	(void)add_keys(s, 1, 30, LONG_MS);
	life_close(s);
	tide = spooldir_load(spooldir_file(&d, ".tide"), &bytes);
	assert_int_equal(get_little(tide + TIDE_COUNTS_AT + 8 * TIDE_POSITIONS, 8), 1);
	assert_int_equal(get_little(tide + TIDE_COUNTS_AT + 8 * TIDE_KEYS, 8), 30);
	bytes = TIDE_COUNTS_AT + 8 * TIDE_FIRST_COUNTS + 8; /* one of an older kspool ends here */
	put_little(tide + bytes - 8, 0, 4);
	put_little(tide + TIDE_COUNTS_AT + 8 * TIDE_POSITIONS, 0, 8);
	put_little(tide + TIDE_COUNTS_AT + 8 * TIDE_KEYS, 0, 8);
	put_little(tide + bytes - 4, crc32c(0, tide, bytes - 4), 4);
	spooldir_store(spooldir_file(&d, ".tide"), tide, bytes);
	free(tide);
	s = life_open(&d, &report);
	assert_string_equal(report.warning, "");
	store_abandon(s);
	lose(&d, "positions", PAGE_EMPTY);
	s = life_open(&d, &report);
	assert_non_null(strstr(report.warning, "1 positions of inputs are gone"));
	life_end(&d, s);
}

/* The page goes while it runs: this run knows how many there were. */
static void rows_that_go_while_it_runs_are_counted(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_report report = {0};
	struct error e;
	(void)state;

	life_append(s, 0, 10);
	put_position(s, "a", "100");
	(void)add_keys(s, 1, 30, LONG_MS);
	life_sql(s, "DELETE FROM positions");
	life_sql(s, "DELETE FROM cache WHERE key >= x'6b65792032'");
	assert_int_equal(store_restart_damaged(s, &report, &e), ERR_OK);
	assert_non_null(strstr(report.warning, "1 positions of inputs are gone"));
	assert_non_null(strstr(report.warning, "19 dedupe keys are gone"));
	expect_position(s, "a", "", true);
	assert_int_equal(store_possible_duplicates(s), 19);
	assert_int_equal(add_keys(s, 1, 30, LONG_MS), 19);
	life_expect(s, 10, 0, 10, 0);
	life_end(&d, s);
}

/* To be told what was told before is no commit. */
static void what_was_told_is_not_noted_again(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint64_t commits, positions = 7;

	(void)state;
	life_append(s, 0, 10);
	s->salvage_is_done = true;
	s->rows.positions_gone = 2;
	assert_int_equal(store_rows_gone(s, &positions, &e), ERR_OK);
	assert_int_equal(positions, 2);
	assert_int_equal(store_rows_told(s, &e), ERR_OK);
	commits = s->durable.commits;
	assert_int_equal(store_rows_gone(s, &positions, &e), ERR_OK);
	assert_int_equal(positions, 0);
	assert_int_equal(store_rows_told(s, &e), ERR_OK);
	assert_int_equal(s->durable.commits, commits);
	store_abandon(s);
	spooldir_remove(&d);
}

/* Its start would take as long as that: the tide mark says how many there are. */
static void keys_of_a_large_spool_are_not_counted_at_its_start(void **state)
{
	enum { KEYS = 3, LARGE = 70, MESSAGE_BYTES = 1000000 };
	struct store_report report;
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	assert_int_equal(add_keys(s, 1, KEYS, LONG_MS), KEYS);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= LARGE; n++) {
		struct message *m = spooldir_message(n, MESSAGE_BYTES);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_close(s);
	s = life_open(&d, &report);
	assert_int_equal(s->rows.keys, KEYS);
	assert_int_equal(s->rows.keys_gone, 0);
	life_expect(s, LARGE, 0, LARGE, 0);
	assert_string_equal(report.warning, "");
	life_sql(s, "DELETE FROM cache");
	store_abandon(s);
	s = life_open(&d, &report); /* that none is there is seen */
	assert_int_equal(store_possible_duplicates(s), KEYS);
	assert_int_equal(s->rows.keys, 0);
	life_end(&d, s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(positions_that_are_gone_are_told),
	    cmocka_unit_test(keys_that_are_gone_are_counted),
	    cmocka_unit_test(keys_of_one_page_are_counted),
	    cmocka_unit_test(a_kill_gives_no_false_alarm),
	    cmocka_unit_test(an_older_tide_mark_gets_the_numbers),
	    cmocka_unit_test(rows_that_go_while_it_runs_are_counted),
	    cmocka_unit_test(what_was_told_is_not_noted_again),
	    cmocka_unit_test(keys_of_a_large_spool_are_not_counted_at_its_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
