/*
 * How the store's connection stands: what keeps a yes durable, and what a file that somebody else wrote cannot do with
 * it. Each switch and each limit by what it comes to, not by what it was set to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/store_internal.h"

static const struct {
	const char *name, *value;
} pragmas[] = {
    {"locking_mode", "exclusive"}, {"journal_mode", "wal"},
    {"auto_vacuum", "2"},          {"application_id", "1263751244"}, /* KSPL */
    {"page_size", "4096"},         {"synchronous", "2"},
    {"wal_autocheckpoint", "0"},   {"cell_size_check", "1"},
    {"secure_delete", "0"},        {"temp_store", "2"},
    {"journal_size_limit", "-1"},  {"busy_timeout", "0"},
    {"foreign_keys", "0"},         {"recursive_triggers", "0"},
};

static void a_yes_is_as_durable_as_it_says(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
		sqlite3_stmt *st = NULL;
		char *sql = mem_format("PRAGMA %s", pragmas[i].name);

		assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		if (strcmp((const char *)sqlite3_column_text(st, 0), pragmas[i].value) != 0)
			fail_msg("%s is %s", pragmas[i].name, (const char *)sqlite3_column_text(st, 0));
		(void)sqlite3_finalize(st);
		free(sql);
	}
	assert_int_not_equal(access(spooldir_file(&d, "-shm"), F_OK), 0);
	life_end(&d, s);
}

/* Refused, or without effect: `then` has to be 0. */
static const struct {
	const char *sql, *then;
	int rc;
} deeds[] = {
    {"PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = sql", NULL, SQLITE_ERROR},
    {"ATTACH ':memory:' AS another", NULL, SQLITE_ERROR},
    {"SELECT load_extension('/nowhere')", NULL, SQLITE_ERROR},
    {"SELECT \"text\"", NULL, SQLITE_ERROR},
    {"CREATE TABLE t (a CHECK (a <> \"text\"))", NULL, SQLITE_ERROR},
    {"CREATE TABLE a (x); CREATE TABLE b (x); CREATE TRIGGER c AFTER INSERT ON a BEGIN INSERT INTO b VALUES (1); END;"
     "INSERT INTO a VALUES (1)",
     "SELECT count(*) FROM b", SQLITE_OK},
    {"CREATE VIEW v AS SELECT 1 AS x; SELECT x FROM v", NULL, SQLITE_ERROR},
    {"CREATE TABLE f (x PRIMARY KEY); CREATE TABLE g (x REFERENCES f (x)); INSERT INTO g VALUES (1)",
     "SELECT count(*) - 1 FROM g", SQLITE_OK},
};

static void what_another_wrote_into_it_does_nothing(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
		if (sqlite3_exec(s->db, deeds[i].sql, NULL, NULL, NULL) != deeds[i].rc)
			fail_msg("%s: %s", deeds[i].sql, sqlite3_errmsg(s->db));
		if (deeds[i].then)
			assert_int_equal(life_number(s, deeds[i].then), 0);
	}
	store_abandon(s);
	spooldir_remove(&d);
}

static const struct {
	int option, value;
} switches[] = {
    {SQLITE_DBCONFIG_DEFENSIVE, 1},   {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
    {SQLITE_DBCONFIG_ENABLE_VIEW, 0}, {SQLITE_DBCONFIG_ENABLE_FKEY, 0},    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
    {SQLITE_DBCONFIG_DQS_DDL, 0},     {SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1},
};

static void every_switch_is_as_it_must_be(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
		int value = -1;

		assert_int_equal(sqlite3_db_config(s->db, switches[i].option, -1, &value), SQLITE_OK);
		assert_int_equal(value, switches[i].value);
	}
	assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, -1), 0);
	assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_SQL_LENGTH, -1), 65536);
	assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_EXPR_DEPTH, -1), 50);
	life_end(&d, s);
}

static struct {
	int steps;
	bool calls;
} progress[4];
static size_t progress_count;

/* In SQLite's place: what it is told. */
void sqlite3_progress_handler(sqlite3 *db, int steps, int (*each)(void *), void *arg)
{
	(void)db;
	(void)arg;
	assert_in_range(progress_count, 0, 3);
	progress[progress_count].steps = steps;
	progress[progress_count++].calls = each != NULL;
}

/* Often enough that a person hears of it, seldom enough that it costs nothing; and nobody is called afterwards. */
static void a_repair_is_asked_for_its_progress(void **state)
{
	struct spooldir d;
	struct error e;
	struct buf out;

	(void)state;
	life_make(&d, 0, 20, 0);
	buf_init(&out, 1 << 16);
	assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
	assert_int_equal(progress_count, 2);
	assert_int_equal(progress[0].steps, 100000);
	assert_true(progress[0].calls);
	assert_int_equal(progress[1].steps, 0);
	assert_false(progress[1].calls);
	buf_fini(&out);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_yes_is_as_durable_as_it_says),
	    cmocka_unit_test(what_another_wrote_into_it_does_nothing),
	    cmocka_unit_test(every_switch_is_as_it_must_be),
	    cmocka_unit_test(a_repair_is_asked_for_its_progress),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
