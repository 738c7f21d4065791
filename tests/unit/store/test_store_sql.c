/* A setting that SQLite does not take is an error, not a quiet weakening (promise 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "store/files/sql.h"

static void a_setting_that_is_not_taken_is_refused(void **state)
{
	static const struct {
		const char *name, *value, *want;
		enum err err;
	} cases[] = {
	    {"journal_mode", "wal", "wal", ERR_ENVIRONMENT}, /* a database in memory has no log */
	    {"synchronous", "2", "3", ERR_ENVIRONMENT},
	    {"no_such_setting", "1", "1", ERR_ENVIRONMENT},
	    {"synchronous", "2", "2", ERR_OK},
	    {"journal_mode", "memory", "MEMORY", ERR_OK},
	};
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};

		assert_int_equal(sql_pragma(db, cases[i].name, cases[i].value, cases[i].want, &e), cases[i].err);
		if (cases[i].err != ERR_OK)
			assert_non_null(strstr(e.text, cases[i].name));
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* What a code of SQLite means for who uses the spool. */
static void every_code_has_its_meaning(void **state)
{
	static const struct {
		int rc;
		enum err err;
	} cases[] = {
	    {SQLITE_FULL, ERR_FULL},
	    {SQLITE_IOERR, ERR_DISK},
	    {SQLITE_IOERR_READ, ERR_DISK},
	    {SQLITE_IOERR_FSYNC, ERR_DISK},
	    {SQLITE_IOERR_NOMEM, ERR_MEMORY},
	    {SQLITE_CORRUPT, ERR_DAMAGED},
	    {SQLITE_CORRUPT_INDEX, ERR_DAMAGED},
	    {SQLITE_NOTADB, ERR_DAMAGED},
	    {SQLITE_FORMAT, ERR_DAMAGED},
	    {SQLITE_CONSTRAINT, ERR_DAMAGED},
	    {SQLITE_CONSTRAINT_PRIMARYKEY, ERR_DAMAGED},
	    {SQLITE_MISMATCH, ERR_DAMAGED},
	    {SQLITE_ERROR, ERR_DAMAGED},
	    {SQLITE_SCHEMA, ERR_DAMAGED},
	    {SQLITE_BUSY, ERR_BUSY},
	    {SQLITE_LOCKED, ERR_BUSY},
	    {SQLITE_READONLY, ERR_ENVIRONMENT},
	    {SQLITE_CANTOPEN, ERR_ENVIRONMENT},
	    {SQLITE_PERM, ERR_ENVIRONMENT},
	    {SQLITE_AUTH, ERR_ENVIRONMENT},
	    {SQLITE_NOMEM, ERR_MEMORY},
	    {SQLITE_TOOBIG, ERR_TOOBIG},
	    {SQLITE_INTERRUPT, ERR_SYSTEM},
	    {SQLITE_NOLFS, ERR_SYSTEM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};
		char number[24];

		if (sql_error(NULL, cases[i].rc, &e, "to do it") != cases[i].err || e.code != cases[i].err)
			fail_msg("%d is error %d: %s", cases[i].rc, (int)e.code, e.text);
		(void)snprintf(number, sizeof number, "(SQLite %d)", cases[i].rc);
		assert_non_null(strstr(e.text, number));
		assert_ptr_equal(strstr(e.text, "to do it: "), e.text);
		assert_null(strstr(e.text, "log:"));
		assert_null(strstr(e.text, ", "));
	}
}

/* A number is there, or why it is not. */
static void a_number_is_one(void **state)
{
	sqlite3 *db;
	struct error e = {0};
	int64_t n = 7;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sql_number(db, "SELECT -5", &n, &e), ERR_OK);
	assert_int_equal(n, -5);
	assert_int_equal(sql_number(db, "SELECT 1 WHERE 0", &n, &e), ERR_DAMAGED);
	assert_non_null(strstr(e.text, "SELECT 1 WHERE 0"));
	assert_int_equal(sql_number(db, "SELECT x", &n, &e), ERR_DAMAGED);
	assert_non_null(strstr(e.text, "no such column"));
	assert_int_equal(n, -5);
	assert_int_equal(sql_exec(db, "CREATE TABLE t (x); INSERT INTO t VALUES (3)", &e, "make it"), ERR_OK);
	assert_int_equal(sql_number(db, "SELECT x FROM t", &n, &e), ERR_OK);
	assert_int_equal(n, 3);
	assert_int_equal(sql_exec(db, "INSERT INTO u VALUES (3)", &e, "fill it"), ERR_DAMAGED);
	assert_ptr_equal(strstr(e.text, "fill it: no such table"), e.text);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_false(sql_lacked_memory());
}

/* SQLite's last log line is told once. */
static void the_last_log_line_is_told(void **state)
{
	struct error e = {0};

	(void)state;
	sqlite3_log(SQLITE_WARNING, "a line of %d", 7);
	assert_string_equal(sql_last_log(), "(28) a line of 7");
	assert_int_equal(sql_error(NULL, SQLITE_FULL, &e, "x"), ERR_FULL);
	assert_non_null(strstr(e.text, "; log: (28) a line of 7"));
	assert_string_equal(sql_last_log(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_setting_that_is_not_taken_is_refused),
	    cmocka_unit_test(every_code_has_its_meaning),
	    cmocka_unit_test(a_number_is_one),
	    cmocka_unit_test(the_last_log_line_is_told),
	};

	sql_global_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
