/*
 * A copy from somewhere else, in which one number is none that can be: each integer column of each table, each such
 * number. It is refused, or what is sound is taken in and the copy is called damaged; nothing is made up of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "rig/lives.h"

enum { MESSAGES = 60, ATTEMPTS = 3 };

static void settle(struct store *s, const struct store_settlement *x)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, x, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* A spool that has a row in each table. */
static void make_full(struct spooldir *d)
{
	struct store *s = life_begin(d);
	struct error e;

	life_append(s, 0, MESSAGES);
	settle(s, &(struct store_settlement){
	              .id = 5, .kind = SETTLE_RETRY, .attempts = ATTEMPTS, .wait_ms = 3600000, .code = "Slow"});
	settle(s, &(struct store_settlement){.id = 7, .kind = SETTLE_DEAD, .attempts = ATTEMPTS, .code = "Bad"});
	life_settle(s, 12, 12);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "file", "1", &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s, "INSERT INTO cache VALUES ('c', x'31', 9, side_sum(8, 'c', x'31', 9));"
	            "INSERT INTO salvage VALUES ('p', 3, 2, 1, side_sum(9, 'p', 3, 2, 1));"
	            "INSERT INTO losses VALUES (2, 1, 1, 4, 5, side_sum(10, 2, 1, 1, 4, 5));"
	            "INSERT INTO imports VALUES (x'3132', 3, 2, 1, side_sum(11, x'3132', 3, 2, 1))");
	life_close(s);
}

/* True: the number changed. */
static bool harm(const char *path, const char *table, const char *column, const char *number)
{
	sqlite3 *db;
	char sql[512], *text = NULL;
	int changed;

	(void)snprintf(sql, sizeof sql,
	               "PRAGMA ignore_check_constraints = 1; UPDATE %s SET %s = %s WHERE %s = (SELECT min(%s) FROM %s)"
	               " AND %s IS NOT %s",
	               table, column, number, column, column, table, column, number);
	if (strncmp(column, "data_key", 8) == 0 || strcmp(column, "class") == 0 || strcmp(column, "origin_id") == 0)
		(void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = %s", table, column, number);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
	changed = sqlite3_changes(db);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return changed > 0;
}

static void import_harmed(const char *copy, const char *what)
{
	struct spooldir mine;
	struct store *s = life_begin(&mine);
	uint64_t rows = 0, problems = 0;
	struct buf words;
	struct error e;
	const enum err err = store_import(s, copy, false, &rows, &e);

	if (err != ERR_OK && err != ERR_INPUT)
		fail_msg("%s: %d %s", what, err, e.text);
	buf_init(&words, 1 << 20);
	if (err == ERR_OK) {
		assert_int_equal(store_check_copy(copy, &words, &problems, &e), ERR_OK);
		if (problems == 0)
			fail_msg("%s: %llu taken in without a word", what, (unsigned long long)rows);
		if (rows > 0 && rows < MESSAGES - 1 && store_import_damaged(s) == 0)
			fail_msg("%s: %llu of %d", what, (unsigned long long)rows, MESSAGES - 1);
	} else {
		assert_int_equal(rows, 0);
	}
	assert_int_equal(store_ledger(s)->pending + store_ledger(s)->dead, rows);
	assert_in_range(life_number(s, "SELECT coalesce(max(attempts), 0) FROM failures"), 0, ATTEMPTS);
	assert_in_range(life_number(s, "SELECT coalesce(max(attempts), 0) FROM dead"), 0, ATTEMPTS);
	assert_in_range(life_number(s, "SELECT coalesce(min(attempts), 0) FROM dead"), 0, ATTEMPTS);
	assert_int_equal(store_ledger(s)->accepted, rows);
	(void)life_waiting(s, 0); /* each is one that was written */
	buf_fini(&words);
	life_end(&mine, s);
}

/* What nobody can know: a checksum of 0 is an older kspool's, and a lead of the clock can be any. */
static bool can_be(const char *table, const char *column, const char *number)
{
	static const char *const older[] = {"failures", "cache", "salvage", "clock", "losses", "imports"};

	if (strcmp(number, "0") == 0)
		for (size_t i = 0; i < sizeof older / sizeof *older; i++)
			if (strcmp(table, older[i]) == 0 && strcmp(column, "checksum") == 0)
				return true;
	if (strcmp(table, "dead") == 0 && strcmp(column, "note_checksum") == 0 && strcmp(number, "0") == 0)
		return true;
	return strcmp(table, "clock") == 0 && strcmp(column, "lead_ms") == 0 && strlen(number) != 19;
}

static void no_number_of_a_copy_is_believed(void **state)
{
	static const char *const numbers[] = {"-1", "0", "9223372036854775807", "-9223372036854775808"};
	struct spooldir theirs;
	sqlite3 *db;
	sqlite3_stmt *st;
	unsigned char *bytes;
	size_t count;
	int tried = 0;

	(void)state;
	make_full(&theirs);
	bytes = spooldir_load(theirs.path, &count);
	assert_int_equal(sqlite3_open(theirs.path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db,
	                                    "SELECT t.name, c.name FROM pragma_table_list AS t,"
	                                    " pragma_table_info(t.name) AS c WHERE c.type = 'INTEGER' AND t.schema ="
	                                    " 'main' AND t.name NOT IN ('damaged', 'sqlite_schema')",
	                                    -1, &st, NULL),
	                 SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW)
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
			const char *table = (const char *)sqlite3_column_text(st, 0);
			const char *column = (const char *)sqlite3_column_text(st, 1);
			char copy[400], what[128];

			(void)snprintf(copy, sizeof copy, "%s.copy", theirs.path);
			(void)snprintf(what, sizeof what, "%s.%s = %s", table, column, numbers[i]);
			spooldir_store(copy, bytes, count);
			if (can_be(table, column, numbers[i]) || !harm(copy, table, column, numbers[i]))
				continue;
			tried++;
			import_harmed(copy, what);
		}
	assert_in_range(tried, 200, 400);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	free(bytes);
	spooldir_remove(&theirs);
}

/* The same number in a copy that is whole: nothing is said of it. */
static void a_sound_copy_is_not_called_damaged(void **state)
{
	struct spooldir theirs;
	uint64_t problems = 7;
	struct buf words;
	struct error e;

	(void)state;
	make_full(&theirs);
	buf_init(&words, 1 << 20);
	assert_int_equal(store_check_copy(theirs.path, &words, &problems, &e), ERR_OK);
	if (problems > 0)
		fail_msg("%.*s", (int)words.len, words.data);
	buf_fini(&words);
	spooldir_remove(&theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_number_of_a_copy_is_believed),
	    cmocka_unit_test(a_sound_copy_is_not_called_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
