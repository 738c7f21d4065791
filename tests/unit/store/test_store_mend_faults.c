/*
 * Rows beside the messages are mended in a spool that runs, and the n-th call of SQLite has no memory, n = 1, 2, ...
 * until none fails: that is told, its group is over, and every row of every table and every count are what they were.
 * Then it succeeds, and comes to what it comes to without a fault.
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

#include "base/mem.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "rig/sides.h"
#include "rig/spooltell.h"
#include "rig/tableprint.h"
#include "store/store_salvage_internal.h"

enum { MESSAGES = SIDES_MESSAGES, LEFT = 10, CALLS_MAX = 2000 };

static bool every_fault(void) { return getenv("KSPOOL_EVERY_FAULT") != NULL; }

/* An index without the entries of one row, or with one of another time: it is out of sight while its table changes. */
static void harm_index(struct store *s, const char *index, const char *change)
{
	sqlite3_stmt *st = NULL;
	char *hide, *show, *sql;

	assert_int_equal(sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL), SQLITE_OK);
	sql = mem_format("SELECT rootpage, tbl_name, sql FROM sqlite_schema WHERE name = '%s'", index);
	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	show =
	    mem_format("INSERT INTO sqlite_schema VALUES ('index', '%s', '%s', %d, '%s'); PRAGMA writable_schema=RESET",
	               index, (const char *)sqlite3_column_text(st, 1), sqlite3_column_int(st, 0),
	               (const char *)sqlite3_column_text(st, 2));
	(void)sqlite3_finalize(st);
	hide = mem_format("PRAGMA writable_schema=ON; DELETE FROM sqlite_schema WHERE name = '%s';"
	                  "PRAGMA writable_schema=RESET; %s; PRAGMA writable_schema=ON",
	                  index, change);
	life_sql(s, hide);
	life_sql(s, show);
	assert_int_equal(sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL), SQLITE_OK);
	free(sql);
	free(hide);
	free(show);
}

struct outcome {
	struct store_report report;
	struct sides_settled settled;
};

static enum err mend(struct store *s, struct outcome *ret, struct error *e)
{
	return store_mend(s, true, &ret->report, e);
}

static enum err mend_some(struct store *s, struct outcome *ret, struct error *e)
{
	return store_mend(s, false, &ret->report, e);
}

static enum err settle_sides(struct store *s, struct outcome *ret, struct error *e)
{
	return store_settle_sides(s, &ret->settled, e);
}

static const struct mending {
	enum err (*run)(struct store *s, struct outcome *ret, struct error *e);
	const char *harm, *index; /* the harm is done while this index is out of sight */
	uint64_t again;           /* that had left, and wait again */
	uint64_t possible;        /* duplicates */
	int retrying;
	const char *told; /* "": nothing */
	struct sides_settled settled;
	uint64_t problems; /* that are left for a person */
} mendings[] = {
    {mend, "SELECT 1", NULL, 0, 0, 3, "", {0}, 0},
    {mend, "UPDATE failures SET attempts = 7 WHERE id = 9", NULL, 0, 0, 2, "of 1 messages the attempts", {0}, 0},
    {mend, "UPDATE failures SET checksum = 7", NULL, 0, 0, 0, "of 3 messages the attempts", {0}, 0},
    {mend, "DELETE FROM failures WHERE id = 31", "failures_next", 0, 0, 2, "index of retry times", {0}, 0},
    {mend, "UPDATE cache SET checksum = 7", "cache_expires", 0, 2, 3, "2 dedupe keys", {0}, 0},
    {mend, "DELETE FROM cache WHERE key = x'6b'", "cache_expires", 0, 1, 3, "index of dedupe keys", {0}, 0},
    {mend, "UPDATE cache SET expires_ms = 5 WHERE key = x'6b'", NULL, 0, 1, 3, "1 dedupe keys", {0}, 0},
    {mend_some, "UPDATE cache SET expires_ms = 5 WHERE key = x'6b'", NULL, 0, 0, 3, "", {0}, 1},
    {mend, "UPDATE partial SET settled = settled | 1024", NULL, 0, 0, 3, "one bit of 3 rows", {0}, 0},
    {mend,
     "UPDATE partial SET checksum = (checksum | (1 << 40)) - (checksum & (1 << 40)) WHERE block_id = 1",
     NULL,
     0,
     0,
     3,
     "one bit of 1",
     {0},
     0},
    {mend, "UPDATE partial SET bitmap = zeroblob(64) WHERE block_id = 1", NULL, 5, 5, 3, "what left 1 blocks", {0}, 0},
    {mend, "UPDATE partial SET bitmap = x'00'", NULL, 10, 10, 3, "what left 3 blocks", {0}, 0},
    {mend,
     "UPDATE partial SET block_id = 7777777, bytes = 3 WHERE block_id = 1",
     NULL,
     5,
     5,
     3,
     "left 1 blocks",
     {0},
     0},
    {mend,
     "UPDATE partial SET block_id = block_id + (1 << 30) WHERE block_id = 21",
     NULL,
     0,
     0,
     3,
     "one bit of 1",
     {0},
     0},
    {mend, "UPDATE positions SET value = '101' WHERE key = 'a'", NULL, 0, 0, 3, "one bit of 1 positions", {0}, 0},
    {mend, "UPDATE positions SET value = value || '.5'", NULL, 0, 0, 3, "2 positions of inputs are damaged", {0}, 1},
    {mend,
     "INSERT INTO losses VALUES (1, 2, 3, 4, 5, 6), (2, 1, 3, 4, 5, 6)",
     NULL,
     0,
     0,
     3,
     "2 rows that say why messages are damaged",
     {0},
     0},
    {mend, "DELETE FROM positions WHERE key = 'a'", NULL, 0, 0, 3, "1 positions of inputs are not those", {0}, 1},
    {mend, "DELETE FROM positions", NULL, 0, 0, 3, "2 positions of inputs are gone", {0}, 1},
    {mend, "DELETE FROM cache WHERE key = x'6b'", NULL, 0, 1, 3, "1 dedupe keys are gone", {0}, 0},
    {mend, "DELETE FROM imports", NULL, 0, 0, 3, "2 notes of copies that were taken in", {0}, 0},
    {settle_sides, "SELECT 1", NULL, 0, 0, 3, "", {0}, 0},
    {settle_sides, "UPDATE dead SET attempts = 99 WHERE id = 10", NULL, 0, 0, 3, "", {.notes = 1}, 0},
    {settle_sides, "UPDATE dead SET code = 'b'", NULL, 0, 0, 3, "", {.notes = 2}, 0},
    {settle_sides, "UPDATE positions SET value = '7' WHERE key = 'b'", NULL, 0, 0, 3, "", {.positions = 1}, 0},
    {settle_sides,
     "UPDATE imports SET messages = 5 WHERE copy = (SELECT min(copy) FROM imports)",
     NULL,
     0,
     0,
     3,
     "",
     {.copies = 1},
     0},
    {settle_sides,
     "UPDATE imports SET checksum = 5; UPDATE positions SET checksum = 5; UPDATE dead SET reason = 'x'",
     NULL,
     0,
     0,
     3,
     "",
     {.notes = 2, .positions = 2, .copies = 2},
     0},
};

static void expect(struct store *s, const struct mending *m, const struct outcome *got)
{
	if (m->told[0] ? !strstr(got->report.warning, m->told) : got->report.warning[0])
		fail_msg("%s: it says \"%s\"", m->harm, got->report.warning);
	if (memcmp(&got->settled, &m->settled, sizeof m->settled) != 0)
		fail_msg("%s: notes %u, positions %u, copies %u", m->harm, (unsigned)got->settled.notes,
		         (unsigned)got->settled.positions, (unsigned)got->settled.copies);
	if (store_possible_duplicates(s) != m->possible || store_take_possible(s) != m->possible)
		fail_msg("%s: possible duplicates %u", m->harm, (unsigned)store_possible_duplicates(s));
	assert_int_equal(store_retrying(s), m->retrying);
	life_expect(s, MESSAGES + 1, LEFT - m->again, MESSAGES + 1 - LEFT - 2 + m->again, 0);
	assert_int_equal(store_ledger(s)->dead, 2);
}

static void try(const struct mending *m)
{
	struct spooldir d;
	struct store *s = make_sides(&d);
	struct outcome got = {0};
	struct error e = {.code = ERR_OK};
	char text[2000];
	uint64_t n = 1, problems;

	if (m->index)
		harm_index(s, m->index, m->harm);
	else
		life_sql(s, m->harm);
	faultpoints_forget();
	for (; n < CALLS_MAX; n++) {
		const struct totals before = s->durable;
		const uint64_t rows = print_of(s);
		enum err err;
		bool failed;

		got = (struct outcome){0};
		e = (struct error){.code = ERR_OK};
		if (every_fault())
			faultsql_arm(n, SQLITE_NOMEM, false);
		else
			faultsql_arm_new(SQLITE_NOMEM);
		err = m->run(s, &got, &e);
		ERRORWATCH_EXPECT(err, &e, got.report.warning, m->harm, n);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		if (!failed && err != ERR_OK)
			fail_msg("%s: %s", m->harm, e.text);
		if (!failed)
			break;
		if (err != ERR_MEMORY || e.code != ERR_MEMORY || !e.text[0])
			fail_msg("%s: call %u failed (%s): error %d: %s", m->harm, (unsigned)n, faultsql_what(),
			         (int)err, e.text);
		if (store_in_group(s))
			fail_msg("%s: call %u failed (%s): its group goes on", m->harm, (unsigned)n, faultsql_what());
		if (print_of(s) != rows || memcmp(&before, &s->durable, sizeof before) != 0)
			fail_msg("%s: call %u failed (%s) and left something", m->harm, (unsigned)n, faultsql_what());
		assert_int_equal(store_take_possible(s), 0);
	}
	assert_in_range(n, 4, CALLS_MAX - 1);
	expect(s, m, &got);
	life_close(s);
	problems = life_problems(&d, text, sizeof text);
	if (problems != m->problems)
		fail_msg("%s: %s", m->harm, text);
	s = life_open(&d, &got.report);
	if (m->problems == 0)
		assert_string_equal(got.report.warning, "");
	life_end(&d, s);
}

static void a_call_that_fails_while_it_mends_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof mendings / sizeof *mendings; i++)
		try(&mendings[i]);
}

static bool is_another(void *arg, uint64_t id) { return id != *(const uint64_t *)arg; }

/* One that the index of times did not have was passed by; in the index again, it is due before the place reached. */
static void what_the_index_lost_is_due_when_it_has_it_again(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_report report = {0};
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint64_t id = 31;
	uint32_t count = 0;

	(void)state;
	life_append(s, 0, MESSAGES);
	for (uint64_t late = 0; late < 2; late++)
		settle(s, (struct store_settlement){
		              .id = id + late, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = late ? 900 : 1});
	life_sql(s, "CREATE TEMP TABLE early AS SELECT * FROM failures WHERE id = 31;"
	            "DELETE FROM failures WHERE id = 31");
	harm_index(s, "failures_next", "INSERT INTO failures SELECT * FROM early");
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(STAILQ_FIRST(&list)->id, 32);
	message_list_free(&list);
	assert_int_equal(store_mend(s, true, &report, &e), ERR_OK);
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, is_another, &id, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(STAILQ_FIRST(&list)->id, 31);
	message_list_free(&list);
	life_end(&d, s);
}

static uint64_t fails_at;

static enum err opened(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	(void)e;
	(void)s;
	(void)path;
	(void)report;
	if (every_fault())
		faultsql_arm(fails_at, SQLITE_NOMEM, false);
	else
		faultsql_arm_new(SQLITE_NOMEM);
	return ERR_OK;
}

/* `kspool repair` of what only a person decides: it ends well when all of it is done, and not before. */
static void a_repair_that_fails_is_no_repair(void **state)
{
	static const struct store_repair how = {.opened = opened};
	struct spooldir d;
	struct store *s = make_sides(&d);
	struct buf out;
	struct error e;
	(void)state;

	for (uint64_t id = 33; id <= 34; id++)
		settle(s, (struct store_settlement){.id = id, .kind = SETTLE_DAMAGED});
	life_sql(s, "UPDATE imports SET checksum = 5; UPDATE positions SET checksum = 5; UPDATE dead SET reason = 'x'");
	life_sql(s, "UPDATE blocks SET body = CAST(zeroblob(800) || substr(body, 801) AS BLOB) WHERE id = 11");
	life_close(s);
	assert_true(life_problems(&d, NULL, 0) > 1);
	faultpoints_forget();
	for (fails_at = 1; fails_at < CALLS_MAX; fails_at++) {
		enum err err;
		bool failed;

		buf_init(&out, 1 << 16);
		e = (struct error){.code = ERR_OK};
		err = store_repair(d.path, &how, &out, &e);
		ERRORWATCH_EXPECT(err, &e, NULL, "repair", fails_at);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		if (!failed)
			break;
		if (err != ERR_MEMORY || e.code != ERR_MEMORY || !e.text[0])
			fail_msg("call %u failed (%s): error %d: %s\n%.*s", (unsigned)fails_at, faultsql_what(),
			         (int)err, e.text, (int)out.len, (const char *)out.data);
		buf_fini(&out);
	}
	assert_in_range(fails_at, 60, CALLS_MAX - 1);
	buf_fini(&out);
	assert_int_equal(life_problems(&d, NULL, 0), 0);
	s = life_open(&d, NULL);
	assert_int_equal(s->durable.told, store_ledger(s)->damaged);
	assert_true(store_ledger(s)->damaged > 2);
	life_end(&d, s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_that_fails_while_it_mends_leaves_nothing),
	    cmocka_unit_test(what_the_index_lost_is_due_when_it_has_it_again),
	    cmocka_unit_test(a_repair_that_fails_is_no_repair),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
