/*
 * Checksums of rows beside the messages, as SQL has them: each column of each table counts, whichever bit of it is
 * another; what has none is an older kspool's; another spool's is not ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "rig/faultsql.h"
#include "store/blocks/mark.h"
#include "store/blocks/side.h"
#include "store/files/sql.h"
#include "store/files/sql_schema.h"

enum { TAG = 0x12345678 };

static sqlite3 *db;
static uint32_t tag;
static struct error e;

static void run(const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
}

static int64_t number(const char *sql)
{
	int64_t n = -77;

	if (sql_number(db, sql, &n, &e) != ERR_OK)
		fail_msg("%s: %s", sql, e.text);
	return n;
}

static int begin(void **state)
{
	(void)state;
	tag = TAG;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (int i = 0; i < schema_step_count; i++)
		run(schema_steps[i].sql);
	assert_int_equal(side_functions(db, &tag, &e), ERR_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return 0;
}

/* The tables, a sound row's columns, and the same columns with another value each. */
static const struct side {
	const char *table, *checksum;
	enum side_kind kind;
	const char *is_sound, *columns, *values;
	const char *others[7];
} sides[] = {
    {"failures",
     "checksum",
     SIDE_FAILURE,
     FAILURE_IS_SOUND,
     "id, attempts, next_ms, first_ms, code, reason",
     "5, 2, 1000, 900, 'Slow', 'it was'",
     {"id = 6", "attempts = 3", "next_ms = 1001", "first_ms = -900", "code = 'Slox'", "reason = 'it wa'"}},
    {"dead",
     "note_checksum",
     SIDE_DEAD_NOTE,
     DEAD_NOTE_IS_SOUND,
     "id, died_ms, attempts, code, reason",
     "7, 100, 4, 'No', ''",
     {"id = 8", "died_ms = 101", "attempts = 5", "code = 'N'", "reason = ' '"}},
    {"cache",
     "checksum",
     SIDE_KEY,
     KEY_IS_SOUND,
     "cache, key, expires_ms",
     "'c', x'0001', 5000",
     {"cache = 'd'", "key = x'0002'", "expires_ms = 5001", "key = x'00'"}},
    {"salvage",
     "checksum",
     SIDE_SALVAGE_NOTE,
     SALVAGE_NOTE_IS_SOUND,
     "path, after_id, salvaged, done",
     "'p', 1, 2, 0",
     {"path = 'q'", "after_id = 2", "salvaged = 3", "done = 1"}},
    {"losses",
     "checksum",
     SIDE_LOSS,
     LOSS_IS_SOUND,
     "reason, messages, first_id, last_id, since_ms",
     "1, 10, 5, 20, 1000",
     {"reason = 2", "messages = 11", "first_id = 6", "last_id = 21", "since_ms = 1001"}},
    {"imports",
     "checksum",
     SIDE_IMPORT,
     IMPORT_IS_SOUND,
     "copy, imported_ms, messages, first_id",
     "x'0102', 3, 4, 5",
     {"copy = x'0103'", "imported_ms = 4", "messages = 5", "first_id = 6"}},
};

/* One sound row, beside which stands nothing. */
static void put(const struct side *s)
{
	char sql[900];

	(void)snprintf(sql, sizeof sql, "DELETE FROM %s", s->table);
	run(sql);
	if (s->kind == SIDE_DEAD_NOTE)
		(void)snprintf(sql, sizeof sql,
		               "INSERT INTO dead (%s, note_checksum, received_ms, checksum, body)"
		               " VALUES (%s, side_sum(7, %s), 1, 2, x'00')",
		               s->columns, s->values, s->values);
	else
		(void)snprintf(sql, sizeof sql, "INSERT INTO %s (%s, %s) VALUES (%s, side_sum(%d, %s))", s->table,
		               s->columns, s->checksum, s->values, (int)s->kind, s->values);
	run(sql);
}

static int64_t sound_ones(const struct side *s)
{
	char sql[900];

	(void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE %s", s->table, s->is_sound);
	return number(sql);
}

static int64_t wrong_in(const char *table)
{
	struct side_wrong wrong[SIDE_TABLES];
	int64_t ret = -1;

	assert_int_equal(side_count_wrong(db, wrong, &e), ERR_OK);
	for (size_t i = 0; i < SIDE_TABLES; i++)
		if (strcmp(wrong[i].table, table) == 0)
			ret = wrong[i].rows;
		else
			assert_int_equal(wrong[i].rows, 0);
	return ret;
}

static void each_column_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
		const struct side *s = &sides[i];
		char sql[300];

		put(s);
		assert_int_equal(sound_ones(s), 1);
		assert_int_equal(wrong_in(s->table), 0);
		for (size_t k = 0; s->others[k]; k++) {
			(void)snprintf(sql, sizeof sql, "UPDATE %s SET %s", s->table, s->others[k]);
			run(sql);
			if (sound_ones(s) != 0)
				fail_msg("%s: %s", s->table, s->others[k]);
			assert_int_equal(wrong_in(s->table), 1);
			put(s);
		}
		(void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = %s + 1", s->table, s->checksum, s->checksum);
		run(sql);
		assert_int_equal(sound_ones(s), 0);
		(void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = 0", s->table, s->checksum); /* of an older kspool */
		run(sql);
		assert_int_equal(sound_ones(s), 1);
		put(s);
		tag++; /* another spool's */
		assert_int_equal(sound_ones(s), 0);
		tag = 0; /* any spool's */
		assert_int_equal(sound_ones(s), 1);
		put(s); /* of no spool: which ours may have from before */
		tag = TAG;
		assert_int_equal(sound_ones(s), 1);
		(void)snprintf(sql, sizeof sql, "DELETE FROM %s", s->table);
		run(sql);
	}
}

/* By the rule written down a second time. */
static int64_t sum_by_hand(uint32_t of, unsigned char kind, const char *bytes, size_t count)
{
	unsigned char head[5];
	uint32_t crc;

	put_little(head, of, 4);
	head[4] = kind;
	crc = crc32c(of ? crc32c(0, head, 5) : 0, bytes, count);
	return of ? (int64_t)((uint64_t)of << 32 | crc) : (int32_t)crc;
}

static void a_sum_is_over_what_it_says(void **state)
{
	static const struct {
		const char *sql;
		unsigned char kind;
		const char *bytes;
		size_t count;
	} cases[] = {
	    {"SELECT side_sum(6, 1)", 6, "\1\0\0\0\0\0\0\0", 8},
	    {"SELECT side_sum(9, -2)", 9, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8},
	    {"SELECT side_sum(6, 'ab')", 6, "\2\0\0\0ab", 6},
	    {"SELECT side_sum(6, x'6162')", 6, "\2\0\0\0ab", 6},
	    {"SELECT side_sum(6, '')", 6, "\0\0\0\0", 4},
	    {"SELECT side_sum(6, NULL)", 6, "\0\0\0\0\0\0\0\0", 8},
	    {"SELECT side_sum(6, 1.5)", 6, "\0\0\0\0\0\0\0\0", 8},
	    {"SELECT side_sum(6)", 6, "", 0},
	    {"SELECT side_sum(7, 258, 'x', 3)", 7, "\2\1\0\0\0\0\0\0\1\0\0\0x\3\0\0\0\0\0\0\0", 21},
	    {"SELECT position_sum('k', 'v1')", 4, "k\0v1", 4},
	    {"SELECT position_sum('', '')", 4, "\0", 1},
	    {"SELECT old_position_sum('k', 'v1')", 12, "k\0v1", 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (tag = TAG; tag == TAG || tag == 0; tag = tag ? 0 : 1)
			if (number(cases[i].sql) != sum_by_hand(tag, cases[i].kind, cases[i].bytes, cases[i].count))
				fail_msg("%s of %x", cases[i].sql, tag);
}

/* Sound, or sound as one that may be of an earlier time, which only a spool with an id can say. */
static void positions_are_sound_in_two_ways(void **state)
{
	static const struct stored_value key = {.type = VALUE_TEXT, .bytes = (const unsigned char *)"k", .count = 1},
	                                 value = {.type = VALUE_TEXT, .bytes = (const unsigned char *)"v", .count = 1},
	                                 other = {.type = VALUE_TEXT, .bytes = (const unsigned char *)"w", .count = 1};
	static const struct {
		uint32_t made_by, asked_by;
		bool is_old, is_sound, is_told_old;
	} cases[] = {
	    {TAG, TAG, false, true, false}, {TAG, TAG, true, true, true},        {TAG, 0, false, true, false},
	    {TAG, 0, true, true, true},     {TAG, TAG + 1, false, false, false}, {TAG, TAG + 1, true, false, false},
	    {0, TAG, false, true, false},   {0, TAG, true, true, false},         {0, 0, true, true, false},
	    {0, 0, false, true, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t checksum;
		char sql[200];

		tag = cases[i].made_by;
		checksum =
		    number(cases[i].is_old ? "SELECT old_position_sum('k', 'v')" : "SELECT position_sum('k', 'v')");
		tag = cases[i].asked_by;
		assert_int_equal(side_position_is_sound(&key, &value, checksum, tag), cases[i].is_sound);
		assert_int_equal(side_position_is_old(&key, &value, checksum, tag), cases[i].is_told_old);
		assert_false(side_position_is_sound(&key, &other, checksum, tag));
		assert_false(side_position_is_sound(&value, &value, checksum, tag));
		assert_false(side_position_is_sound(&key, &value, checksum + 1, tag));
		(void)snprintf(sql, sizeof sql, "SELECT position_is_sound('k', 'v', %lld)", (long long)checksum);
		assert_int_equal(number(sql), cases[i].is_sound);
		(void)snprintf(sql, sizeof sql, "SELECT position_is_sound('k', 'w', %lld)", (long long)checksum);
		assert_int_equal(number(sql), 0);
	}
}

static void a_mark_is_sound_or_wrong(void **state)
{
	static const struct {
		const char *change;
		int64_t wrong;
	} cases[] = {
	    {"settled = settled", 0},
	    {"settled = 3", 1},
	    {"settled = 513", 1},
	    {"bytes = 21", 1},
	    {"checksum = checksum + 1", 1},
	    {"bitmap = zeroblob(64)", 1},
	    {"bitmap = zeroblob(63)", 1},
	    {"bitmap = CAST(bitmap || x'00' AS BLOB)", 1},
	    {"bitmap = x''", 1},
	    {"block_id = 102", 1},
	};
	struct block_mark m = {.id = 100};

	(void)state;
	mark_set(&m, 101, 10);
	mark_set(&m, 109, 10);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sqlite3_stmt *st = NULL;
		char sql[200];

		run("DELETE FROM partial; DELETE FROM blocks; INSERT INTO blocks (id, count, bytes, codec, checksum,"
		    " first_ms, last_ms, body) VALUES (100, 20, 200, 0, 0, 1, 1, x'00'), (102, 20, 200, 0, 0, 1, 1, "
		    "x'00')");
		assert_int_equal(
		    sqlite3_prepare_v2(db, "INSERT INTO partial VALUES (100, 2, 20, ?1, ?2)", -1, &st, NULL),
		    SQLITE_OK);
		(void)sqlite3_bind_int64(st, 1, mark_checksum(&m, TAG));
		(void)sqlite3_bind_blob(st, 2, m.bits, sizeof m.bits, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(st), SQLITE_DONE);
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
		(void)snprintf(sql, sizeof sql, "UPDATE partial SET %s", cases[i].change);
		run(sql);
		if (wrong_in("partial") != cases[i].wrong)
			fail_msg("%s", cases[i].change);
	}
	run("UPDATE partial SET block_id = 100, settled = 2");
	run("DELETE FROM blocks");
	assert_int_equal(wrong_in("partial"), 1); /* of no block */
}

static void totals_are_of_all_rows(void **state)
{
	struct side_total t;
	int64_t sum;

	(void)state;
	assert_int_equal(side_positions_total(db, &t, &e), ERR_OK);
	assert_int_equal(t.rows + t.sum + t.wrong, 0);
	assert_int_equal(side_imports_total(db, &t, &e), ERR_OK);
	assert_int_equal(t.rows + t.sum + t.wrong, 0);
	run("INSERT INTO positions VALUES ('a', '1', position_sum('a', '1')), ('b', '2', old_position_sum('b', '2')),"
	    " ('c', '3', position_sum('c', '3') + 1)");
	run("INSERT INTO imports VALUES (x'01', 1, 2, 3, side_sum(11, x'01', 1, 2, 3)), (x'02', 1, 2, 3, 0),"
	    " (x'03', 1, 2, 3, 5), (x'04', 1, 2, 3, 6)");
	sum = number("SELECT position_sum('a', '1') + old_position_sum('b', '2') + position_sum('c', '3') + 1");
	assert_int_equal(side_positions_total(db, &t, &e), ERR_OK);
	assert_int_equal(t.rows, 3);
	assert_int_equal(t.sum, sum);
	assert_int_equal(t.wrong, 1);
	sum = number("SELECT side_sum(11, x'01', 1, 2, 3) + 11");
	assert_int_equal(side_imports_total(db, &t, &e), ERR_OK);
	assert_int_equal(t.rows, 4);
	assert_int_equal(t.sum, sum);
	assert_int_equal(t.wrong, 2);
}

/* Whichever call fails: it is told, and no row is called sound or wrong for it. */
static void a_call_that_fails_is_told(void **state)
{
	static const uint64_t calls[] = {6, 2 * SIDE_TABLES, 5, 4};
	struct side_wrong wrong[SIDE_TABLES];
	struct side_total t;

	(void)state;
	run("INSERT INTO positions VALUES ('a', '1', 1), ('b', '2', 2), ('c', '3', 3);"
	    " INSERT INTO imports VALUES (x'01', 1, 2, 3, 0), (x'02', 1, 2, 3, 0)");
	for (int act = 0; act < 4; act++) {
		bool failed = true;
		uint64_t n = 1;

		for (; failed; n++) {
			enum err err;

			e = (struct error){0};
			faultsql_arm(n, SQLITE_IOERR_READ, false);
			err = act == 0   ? side_functions(db, &tag, &e)
			      : act == 1 ? side_count_wrong(db, wrong, &e)
			      : act == 2 ? side_positions_total(db, &t, &e)
			                 : side_imports_total(db, &t, &e);
			failed = faultsql_failed();
			faultsql_arm(0, 0, false);
			assert_int_equal(err, failed ? ERR_DISK : ERR_OK);
			assert_int_equal(e.code, failed ? ERR_DISK : 0);
		}
		assert_int_equal(n - 2, calls[act]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_column_counts, begin, end),
	    cmocka_unit_test_setup_teardown(a_sum_is_over_what_it_says, begin, end),
	    cmocka_unit_test_setup_teardown(positions_are_sound_in_two_ways, begin, end),
	    cmocka_unit_test_setup_teardown(a_mark_is_sound_or_wrong, begin, end),
	    cmocka_unit_test_setup_teardown(totals_are_of_all_rows, begin, end),
	    cmocka_unit_test_setup_teardown(a_call_that_fails_is_told, begin, end),
	};

	sql_global_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
