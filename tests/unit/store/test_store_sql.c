/* A setting that SQLite does not take is an error, not a quiet weakening (promise 4). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <errno.h>
#include <string.h>

#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/spooldir.h"
#include "store/files/spool_files.h"
#include "store/files/sql.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"

/* SQLite's memory, which is none while a test says so. */
static sqlite3_mem_methods memory;
static bool has_none;

static void *memory_take(int bytes) { return has_none ? NULL : memory.xMalloc(bytes); }

static void *memory_grow(void *p, int bytes) { return has_none ? NULL : memory.xRealloc(p, bytes); }

static void lack_memory(void)
{
	has_none = true;
	assert_null(sqlite3_malloc(10));
	has_none = false;
}

static void run(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
}

static void a_setting_that_is_not_taken_is_refused(void **state)
{
	static const struct {
		const char *name, *value, *want;
		enum err err;
		const char *text;
	} cases[] = {
	    /* a database in memory has no log */
	    {"journal_mode", "wal", "wal", ERR_ENVIRONMENT, "SQLite answers journal_mode=memory where wal is needed"},
	    {"synchronous", "1", "3", ERR_ENVIRONMENT, "SQLite answers synchronous=1 where 3 is needed"},
	    {"no_such_setting", "1", "1", ERR_ENVIRONMENT, "SQLite answers no_such_setting=nothing where 1 is needed"},
	    {"synchronous", "2", "2", ERR_OK, ""},
	    {"synchronous", "1", "1", ERR_OK, ""},
	    {"journal_mode", "memory", "MEMORY", ERR_OK, ""},
	};
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};

		assert_int_equal(sql_pragma(db, cases[i].name, cases[i].value, cases[i].want, &e), cases[i].err);
		assert_string_equal(e.text, cases[i].text);
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
	    {SQLITE_TOOBIG, ERR_DAMAGED},
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

static void a_column_is_there_or_not(void **state)
{
	bool has = false;
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_memory_used(), 0); /* nobody counts it */
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE t (x)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sql_has_column(db, "t", "x", &has), SQLITE_OK);
	assert_true(has);
	assert_int_equal(sql_has_column(db, "t", "y", &has), SQLITE_OK);
	assert_false(has);
	has = true;
	assert_int_equal(sql_has_column(db, "u", "x", &has), SQLITE_OK);
	assert_false(has);
	has = true;
	faultsql_arm(1, SQLITE_NOMEM, false);
	assert_int_equal(sql_has_column(db, "t", "x", &has), SQLITE_NOMEM);
	faultsql_arm(0, 0, false);
	assert_false(has);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Each way to have no memory is noted, and told once. */
static void memory_that_is_not_there_is_noted(void **state)
{
	char *text;
	struct error e = {0};

	(void)state;
	assert_false(sql_lacked_memory());
	lack_memory();
	assert_true(sql_lacked_memory());
	assert_false(sql_lacked_memory());
	text = sqlite3_malloc(10);
	assert_non_null(text);
	text = sqlite3_realloc(text, 20);
	assert_non_null(text);
	assert_false(sql_lacked_memory());
	has_none = true;
	assert_null(sqlite3_realloc(text, 4000));
	has_none = false;
	assert_true(sql_lacked_memory());
	sqlite3_free(text);
	lack_memory();
	assert_int_equal(sql_error(NULL, SQLITE_ERROR, &e, "x"), ERR_MEMORY);
	assert_int_equal(e.code, ERR_MEMORY);
	assert_false(sql_lacked_memory());
	assert_int_equal(sql_error(NULL, SQLITE_ERROR, &e, "x"), ERR_DAMAGED);
}

/* What a code means on a thread where a look at a file failed before, or where there was no memory. */
static void what_went_before_says_what_a_code_means(void **state)
{
	static const struct {
		int fault, rc;
		bool lacked;
		enum err err;
	} cases[] = {
	    {0, SQLITE_CORRUPT, false, ERR_DAMAGED},    {0, SQLITE_IOERR, false, ERR_DISK},
	    {0, SQLITE_CORRUPT, true, ERR_MEMORY},      {0, SQLITE_BUSY, true, ERR_MEMORY},
	    {0, SQLITE_IOERR, true, ERR_DISK},          {0, SQLITE_FULL, true, ERR_FULL},
	    {0, SQLITE_NOMEM, true, ERR_MEMORY},        {EIO, SQLITE_CORRUPT, false, ERR_DISK},
	    {EIO, SQLITE_BUSY, false, ERR_DISK},        {EIO, SQLITE_IOERR, false, ERR_DISK},
	    {EIO, SQLITE_FULL, false, ERR_FULL},        {EIO, SQLITE_NOMEM, false, ERR_MEMORY},
	    {EIO, SQLITE_CORRUPT, true, ERR_DISK},      {EBADMSG, SQLITE_CORRUPT, false, ERR_DISK},
	    {EBADMSG, SQLITE_FULL, false, ERR_FULL},    {EBADMSG, SQLITE_IOERR_NOMEM, false, ERR_MEMORY},
	    {EBADMSG, SQLITE_CANTOPEN, true, ERR_DISK},
	};
	struct spooldir d;

	(void)state;
	spooldir_make(&d);
	spooldir_store(d.path, "no database", 11);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char want[600];
		sqlite3 *db;
		struct error e = {0};

		if (cases[i].fault) {
			faultfs_arm(FAULTFS_READ, 1, cases[i].fault, true);
			assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), ERR_DISK);
			faultfs_arm(0, 0, 0, false);
		}
		assert_int_equal(vfs_fault(), cases[i].fault);
		if (cases[i].lacked)
			lack_memory();
		assert_int_equal(sql_error(NULL, cases[i].rc, &e, "to do it"), cases[i].err);
		assert_int_equal(e.code, cases[i].err);
		(void)snprintf(want, sizeof want, "to do it: %s%s (SQLite %d%s%s)%s",
		               cases[i].err == ERR_MEMORY ? "no memory: " : "", sqlite3_errstr(cases[i].rc),
		               cases[i].rc, cases[i].fault ? ", " : "", cases[i].fault ? strerror(cases[i].fault) : "",
		               cases[i].err == ERR_DISK && cases[i].fault == EIO ? FILES_DEAD_WAY : "");
		assert_string_equal(e.text, want);
		assert_false(sql_lacked_memory());
		vfs_forget_fault();
	}
	spooldir_remove(&d);
}

/* The system's answer says more than SQLite's code. */
static void errno_says_what_a_code_means(void **state)
{
	static const struct {
		unsigned kind;
		int error;
		enum err err;
		int fault;
	} cases[] = {
	    {FAULTFS_READ, EIO, ERR_DISK, EIO},         {FAULTFS_READ, EBADMSG, ERR_DISK, EBADMSG},
	    {FAULTFS_READ, EDQUOT, ERR_FULL, 0},        {FAULTFS_OPEN, EROFS, ERR_DISK, 0},
	    {FAULTFS_OPEN, EACCES, ERR_ENVIRONMENT, 0}, {FAULTFS_OPEN, EIO, ERR_DISK, EIO},
	    {FAULTFS_STAT, EIO, ERR_DISK, 0},
	};
	struct spooldir d;
	sqlite3 *db;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
	run(db, "CREATE TABLE t (a)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};

		db = NULL;
		vfs_forget_fault();
		faultfs_arm(cases[i].kind, 1, cases[i].error, true);
		if (sql_reader_open(d.path, NULL, &db, &e) != cases[i].err || e.code != cases[i].err || db)
			fail_msg("%s: %s", strerror(cases[i].error), e.text);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(vfs_fault(), cases[i].fault);
		assert_non_null(strstr(e.text, strerror(cases[i].error)));
	}
	vfs_forget_fault();
	spooldir_remove(&d);
}

/* One that another has open for itself. */
static void a_reader_does_not_wait_for_another(void **state)
{
	struct spooldir d;
	sqlite3 *other, *db = NULL;
	char want[600];
	struct error e = {0};

	(void)state;
	spooldir_make(&d);
	assert_int_equal(sqlite3_open(d.path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "CREATE TABLE t (x); BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), ERR_BUSY);
	assert_null(db);
	(void)snprintf(want, sizeof want,
	               "%s is in use by another process; of a running kspool's spool kspool export makes a copy",
	               d.path);
	assert_string_equal(e.text, want);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), ERR_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
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

static sqlite3 *tables_of(int version)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (int i = 0; i < schema_step_count && schema_steps[i].version <= version; i++)
		run(db, schema_steps[i].sql);
	return db;
}

/* The tables of each version are those of it, and of no version in which they were others. */
static void each_version_has_its_tables(void **state)
{
	(void)state;
	for (int i = 0; i < schema_step_count; i++) {
		sqlite3 *db = tables_of(schema_steps[i].version);

		for (int j = 0; j < schema_step_count; j++) {
			sqlite3 *other = tables_of(schema_steps[j].version);
			struct error e = {0};
			int64_t same = 0, count = 0;
			enum err err = sql_schema_check(db, "p", schema_steps[j].version, &e);

			assert_int_equal(sql_number(db, "SELECT count(*) FROM sqlite_schema", &count, &e), ERR_OK);
			assert_int_equal(sql_number(other, "SELECT count(*) FROM sqlite_schema", &same, &e), ERR_OK);
			if (i == j)
				assert_int_equal(err, ERR_OK);
			if (err == ERR_OK)
				assert_int_equal(same, count);
			(void)sqlite3_close(other);
		}
		(void)sqlite3_close(db);
	}
}

/* Whatever of a definition is not what was written is damage, and what kspool did not make is named. */
static void a_definition_that_is_another_is_told(void **state)
{
	static const char *const changes[] = {"sql = sql || ' '", "tbl_name = 'dead'", "type = 'view'",
	                                      "name = name || '2'"};
	static const struct {
		const char *sql, *word;
		enum err err;
	} strangers[] = {
	    {"ANALYZE", "", ERR_OK},
	    {"CREATE TABLE guest (a)", "drop it: sqlite3 the/path 'DROP table guest'", ERR_ENVIRONMENT},
	    {"ANALYZE; CREATE TABLE guest (a)", "DROP table", ERR_ENVIRONMENT},
	    {"CREATE INDEX mine ON dead (id)", "holds the index mine, which kspool did not make", ERR_ENVIRONMENT},
	    {"CREATE VIEW v AS SELECT 1", "holds the view v", ERR_ENVIRONMENT},
	    {"CREATE TRIGGER t AFTER DELETE ON dead BEGIN SELECT 1; END", "DROP trigger t", ERR_ENVIRONMENT},
	    {"INSERT INTO sqlite_schema SELECT * FROM sqlite_schema WHERE name = 'losses'",
	     "the/path holds tables, indexes, triggers or views", ERR_ENVIRONMENT},
	    {"DROP INDEX failures_next", "the definition of failures_next is not what was written", ERR_DAMAGED},
	    {"DROP TABLE losses; CREATE TABLE guest (a)", "the definition of losses", ERR_DAMAGED},
	    {"DROP TABLE losses; CREATE TABLE losses (a)", "the definition of losses", ERR_DAMAGED},
	    {"UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'cache')"
	     " WHERE name = 'losses'",
	     "the/path: two tables have one root", ERR_DAMAGED},
	};
	const int newest = schema_steps[schema_step_count - 1].version;
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		sqlite3 *db = tables_of(newest);
		char sql[160];

		run(db, "PRAGMA writable_schema=ON");
		(void)snprintf(sql, sizeof sql, "UPDATE sqlite_schema SET %s WHERE name = 'positions'", changes[i]);
		run(db, sql);
		assert_int_equal(sql_schema_check(db, "the/path", newest, &e), ERR_DAMAGED);
		assert_non_null(strstr(e.text, "the/path: the definition of positions is not what was written"));
		(void)sqlite3_close(db);
	}
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		sqlite3 *db = tables_of(newest);

		run(db, "PRAGMA writable_schema=ON");
		run(db, strangers[i].sql);
		e = (struct error){0};
		assert_int_equal(sql_schema_check(db, "the/path", newest, &e), strangers[i].err);
		if (!strstr(e.text, strangers[i].word))
			fail_msg("%s: %s", strangers[i].sql, e.text);
		(void)sqlite3_close(db);
	}
}

/* Whichever call fails: it is told, and no table is called another for it. */
static void a_call_that_fails_is_no_strange_table(void **state)
{
	static const char *const tables[] = {"SELECT 1", "CREATE TABLE guest (a)"};
	const int newest = schema_steps[schema_step_count - 1].version;

	(void)state;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		sqlite3 *db = tables_of(newest);
		const enum err whole = i == 0 ? ERR_OK : ERR_ENVIRONMENT;
		bool failed = true;
		uint64_t n = 1;

		run(db, tables[i]);
		for (; failed; n++) {
			struct error e = {0};
			enum err err;

			faultsql_arm(n, SQLITE_NOMEM, false);
			err = sql_schema_check(db, "p", newest, &e);
			failed = faultsql_failed();
			faultsql_arm(0, 0, false);
			if (err != (failed ? ERR_MEMORY : whole) && !(failed && i == 1 && err == ERR_ENVIRONMENT))
				fail_msg("call %u (%s): error %d: %s", (unsigned)n, faultsql_what(), (int)err, e.text);
		}
		assert_true(n > 20);
		(void)sqlite3_close(db);
	}
}

/* Nothing that stands in a stranger's file runs when it is read, and nothing of the file is changed. */
static void a_reader_does_not_trust_the_file(void **state)
{
	static const struct {
		int option, value;
	} switches[] = {
	    {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}, {SQLITE_DBCONFIG_DEFENSIVE, 1},
	    {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},   {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
	};
	static const struct {
		const char *sql;
		int64_t value;
	} settings[] = {{"PRAGMA query_only", 1},
	                {"PRAGMA cell_size_check", 1},
	                {"PRAGMA wal_autocheckpoint", 0},
	                {"PRAGMA temp_store", 2}};
	struct spooldir d;
	sqlite3 *db;
	struct error e;
	int64_t n;

	(void)state;
	spooldir_make(&d);
	assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
	run(db, "CREATE TABLE t (a); INSERT INTO t VALUES (4); CREATE VIEW v AS SELECT a FROM t");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), ERR_OK);
	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
		int now = -1;

		assert_int_equal(sqlite3_db_config(db, switches[i].option, -1, &now), SQLITE_OK);
		assert_int_equal(now, switches[i].value);
	}
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		assert_int_equal(sql_number(db, settings[i].sql, &n, &e), ERR_OK);
		assert_int_equal(n, settings[i].value);
	}
	assert_int_equal(sql_number(db, "SELECT a FROM t", &n, &e), ERR_OK);
	assert_int_equal(n, 4);
	assert_int_equal(sql_number(db, "SELECT a FROM v", &n, &e), ERR_DAMAGED);
	assert_int_not_equal(sql_exec(db, "DELETE FROM t", &e, "write"), ERR_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	spooldir_remove(&d);
}

/* What is no database is told as what it is, before SQLite makes something of it. */
static void a_reader_says_what_it_was_given(void **state)
{
	static const struct {
		const char *bytes;
		size_t count;
		enum err err;
		const char *word;
	} cases[] = {
	    {"", 0, ERR_DAMAGED, " is empty"},
	    {"x", 1, ERR_DAMAGED, " is empty"},
	    {"xy", 2, ERR_DAMAGED, "SQLite 26"},
	    {NULL, 0, ERR_ENVIRONMENT, "SQLite 14"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		sqlite3 *db = NULL;
		struct error e = {0};

		spooldir_make(&d);
		if (cases[i].bytes)
			spooldir_store(d.path, cases[i].bytes, cases[i].count);
		assert_int_equal(sql_reader_open(d.path, NULL, &db, &e), cases[i].err);
		assert_null(db);
		if (!strstr(e.text, cases[i].word))
			fail_msg("case %u: %s", (unsigned)i, e.text);
		assert_int_equal(strstr(e.text, strerror(ENOENT)) != NULL, cases[i].bytes == NULL);
		assert_int_equal(sql_error(NULL, SQLITE_CORRUPT, &e, "x"), ERR_DAMAGED);
		assert_null(strstr(e.text, strerror(ENOENT))); /* said once, of what it was */
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_setting_that_is_not_taken_is_refused),
	    cmocka_unit_test(every_code_has_its_meaning),
	    cmocka_unit_test(a_number_is_one),
	    cmocka_unit_test(a_column_is_there_or_not),
	    cmocka_unit_test(memory_that_is_not_there_is_noted),
	    cmocka_unit_test(what_went_before_says_what_a_code_means),
	    cmocka_unit_test(errno_says_what_a_code_means),
	    cmocka_unit_test(a_reader_does_not_wait_for_another),
	    cmocka_unit_test(the_last_log_line_is_told),
	    cmocka_unit_test(each_version_has_its_tables),
	    cmocka_unit_test(a_definition_that_is_another_is_told),
	    cmocka_unit_test(a_call_that_fails_is_no_strange_table),
	    cmocka_unit_test(a_reader_does_not_trust_the_file),
	    cmocka_unit_test(a_reader_says_what_it_was_given),
	};

	sqlite3_mem_methods ours;

	(void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
	ours = memory;
	ours.xMalloc = memory_take;
	ours.xRealloc = memory_grow;
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &ours);
	sql_global_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
