/*
 * Notes of imports that go with their page, and pages of notes or positions that are sound and of an earlier time: no
 * row is left that could say so. What is taken in, or read, again because of it is counted, and it is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/files/spool_files.h"
#include "store/upkeep/store_copy.h"
#include "store/store_damage.h"

enum { PAGE = 4096 };

/* A copy of a spool that has messages n + 1 .. n + count. */
static char *copy_of(struct spooldir *of, uint64_t n, uint32_t count)
{
	struct store *s = life_begin(of);
	char *path = mem_format("%s.copy", of->path);
	struct error e;

	life_append(s, n, count);
	assert_int_equal(store_export(s, path, &e), ERR_OK);
	life_close(s);
	return path;
}

/* How many of them came; 0: all are known. */
static uint64_t take_in(struct store *s, const char *copy)
{
	uint64_t rows;
	struct error e;
	const enum err err = store_import(s, copy, false, &rows, &e);

	if (err != ERR_OK && err != ERR_INPUT)
		fail_msg("%s", e.text);
	return err == ERR_OK ? rows : 0;
}

static size_t page_of(const struct spooldir *d, const char *table)
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
	(void)unlink(spooldir_file(d, "-shm"));
	(void)unlink(spooldir_file(d, "-wal"));
	return page;
}

/* The table's page, or another in its place. */
static void swap_page(const struct spooldir *d, const char *table, unsigned char page[PAGE], bool is_put)
{
	const size_t at = page_of(d, table) * PAGE;
	size_t all;
	unsigned char *data = spooldir_load(d->path, &all);

	assert_true(at + PAGE <= all);
	if (is_put)
		memcpy(data + at, page, PAGE);
	else
		memcpy(page, data + at, PAGE);
	spooldir_store(d->path, data, all);
	free(data);
}

enum harm { ZEROED, NOISE, OLD, OLD_AS_MANY, HARMS };

static void expect_problem(const struct spooldir *d, const char *what)
{
	char text[4096];

	assert_true(life_problems(d, text, sizeof text) > 0);
	if (!strstr(text, what))
		fail_msg("%s", text);
}

static void notes_of_imports_that_are_gone_or_old_are_told(void **state)
{
	(void)state;
	for (enum harm how = 0; how < HARMS; how++)
		for (int starts = 0; starts < 3; starts++) {
			struct spooldir d, a, b;
			AUTOFREE char *one = copy_of(&a, 0, 30), *other = copy_of(&b, 500, 50);
			unsigned char page[PAGE] = {0};
			struct store_report report = {0};
			struct store *s = life_begin(&d);

			if (how == OLD_AS_MANY) { /* as many rows of other copies */
				life_close(s);
				s = life_open(&d, NULL);
				assert_int_equal(take_in(s, other), 50);
				life_close(s);
				swap_page(&d, "imports", page, false);
				s = life_open(&d, NULL);
				life_sql(s, "DELETE FROM imports");
				life_append(s, 900, 1);
				life_close(s);
				s = life_open(&d, NULL); /* tells of these, and they are forgotten */
				life_sql(s, "DELETE FROM imports WHERE copy = x''");
				life_append(s, 901, 1);
				life_close(s);
				assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
				s = life_open(&d, NULL);
			}
			if (how == OLD) {
				life_close(s);
				swap_page(&d, "imports", page, false);
				s = life_open(&d, NULL);
			}
			if (how == NOISE)
				for (int i = 0; i < PAGE; i++)
					page[i] = (unsigned char)(i * 7 + 3);
			assert_int_equal(take_in(s, one), 30);
			assert_int_equal(take_in(s, one), 0);
			life_close(s);
			swap_page(&d, "imports", page, true);
			assert_true(life_problems(&d, NULL, 0) > 0);
			if (how == OLD || how == OLD_AS_MANY)
				expect_problem(&d, "imports: ");
			for (int i = 0; i < starts; i++) {
				s = life_open(&d, &report);
				if (!strstr(report.warning, "or of what was put back from the shelf, are") != (i > 0))
					fail_msg("%d, start %d: %s", (int)how, i, report.warning);
				store_abandon(s); /* a kill forgets nothing */
				assert_int_equal(life_problems(&d, NULL, 0), 0);
			}
			s = life_open(&d, NULL);
			assert_int_equal(take_in(s, one), 30);
			assert_int_equal(store_possible_duplicates(s), 30);
			life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			spooldir_remove(&d);
			spooldir_remove(&a);
			spooldir_remove(&b);
		}
}

static void put_position(struct store *s, const char *key, const char *value)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, key, value, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void expect_position(struct store *s, const char *key, const char *want, bool counts)
{
	AUTOFREE char *value = NULL;
	bool damaged;
	struct error e;

	assert_int_equal(store_position_get(s, key, &value, &damaged, &e), ERR_OK);
	assert_string_equal(value ? value : "", want);
	assert_int_equal(damaged, counts);
}

static void a_page_of_old_positions_is_told(void **state)
{
	(void)state;
	for (int has_more = 0; has_more < 2; has_more++) { /* and a row less */
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct store_report report = {0};
		unsigned char page[PAGE];

		put_position(s, "a", "100");
		put_position(s, "b", "200");
		life_close(s);
		swap_page(&d, "positions", page, false);
		s = life_open(&d, NULL);
		put_position(s, "a", "300");
		if (has_more)
			put_position(s, "c", "1");
		life_append(s, 0, 20);
		expect_position(s, "a", "300", false);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 0);
		swap_page(&d, "positions", page, true);
		expect_problem(&d, "positions: ");
		for (int starts = 0; starts < 2; starts++) {
			s = life_open(&d, &report);
			if (!strstr(report.warning, "2 positions of inputs are not those") != (starts > 0))
				fail_msg("%d: %s", starts, report.warning);
			expect_position(s, "a", "100", true);
			expect_position(s, "b", "200", true);
			store_abandon(s);
			assert_int_equal(life_problems(&d, NULL, 0), has_more);
		}
		s = life_open(&d, NULL);
		put_position(s, "a", "400"); /* it was read on */
		expect_position(s, "a", "400", false);
		expect_position(s, "b", "200", true);
		life_close(s);
		s = life_open(&d, &report);
		expect_position(s, "a", "400", false);
		expect_position(s, "b", "200", true);
		life_end(&d, s);
	}
}

/* Positions and notes that are moved, damaged, mended, read back or settled in all ways give no alarm of old ones. */
static void what_is_as_it_was_written_gives_no_alarm(void **state)
{
	static const char *const harms[] = {
	    "",
	    "UPDATE positions SET checksum = checksum + 1 - 2 * (checksum & 1) WHERE key = 'a'",
	    "UPDATE positions SET value = '302' WHERE key = 'a'",
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++)
		for (int ends = 0; ends < 3; ends++) {
			struct spooldir d, a;
			AUTOFREE char *copy = copy_of(&a, 0, 30);
			struct store *s = life_begin(&d);
			struct store_report report = {0};
			unsigned char *tide;
			size_t bytes;
			struct error e;

			put_position(s, "a", "100");
			assert_int_equal(take_in(s, copy), 30);
			tide = spooldir_load(spooldir_file(&d, ".tide"), &bytes);
			put_position(s, "a", "300");
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_position_put(s, "a", "400", &e), ERR_OK);
			store_rollback(s);
			life_append(s, 50, 10);
			if (harms[i][0])
				life_sql(s, harms[i]);
			if (ends == 0)
				life_close(s);
			else
				store_abandon(s);
			if (ends == 2)
				spooldir_store(spooldir_file(&d, ".tide"), tide, bytes);
			free(tide);
			s = life_open(&d, &report);
			if (strstr(report.warning, "not those") || strstr(report.warning, "gone"))
				fail_msg("%zu, %d: %s", i, ends, report.warning);
			assert_int_equal(take_in(s, copy), 0);
			expect_position(s, "a", "300", false);
			assert_int_equal(store_restart_damaged(s, &report, &e), ERR_OK);
			if (strstr(report.warning, "not those") || strstr(report.warning, "gone"))
				fail_msg("%zu, %d: %s", i, ends, report.warning);
			expect_position(s, "a", "300", false);
			assert_int_equal(take_in(s, copy), 0);
			life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			spooldir_remove(&d);
			spooldir_remove(&a);
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(notes_of_imports_that_are_gone_or_old_are_told),
	    cmocka_unit_test(a_page_of_old_positions_is_told),
	    cmocka_unit_test(what_is_as_it_was_written_gives_no_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
