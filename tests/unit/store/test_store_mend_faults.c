/*
 * Rows beside the messages are mended, and files that were set aside are read back, in a spool that runs, and the n-th
 * call of SQLite has no memory, n = 1, 2, ... until none fails: that is told, its group is over, and every row of every
 * table and every count are what they were. Then it succeeds, and comes to what it comes to without a fault.
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
#include "rig/spooltell.h"
#include "rig/tableprint.h"
#include "store/store_salvage_internal.h"

enum { MESSAGES = 40, LEFT = 10, WAIT_MS = 30 * 60 * 1000, CALLS_MAX = 2000 };

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

static void settle(struct store *s, struct store_settlement item)
{
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Blocks of ten. 3 to 7 and 24 to 28 have left; 9 stands alone, 10 and 11 are on the shelf, 31 and 32 failed. */
static struct store *make(struct spooldir *d)
{
	struct store *s = life_begin(d);
	struct spooldir other;
	struct error e;
	uint64_t rows;
	bool is_new;

	life_append(s, 0, MESSAGES);
	life_settle(s, 3, 7);
	life_settle(s, 24, 28);
	settle(s, (struct store_settlement){
	              .id = 9, .kind = SETTLE_RETRY, .attempts = 4, .wait_ms = WAIT_MS, .code = "Slow"});
	for (uint64_t id = 31; id <= 32; id++)
		settle(s, (struct store_settlement){
		              .id = id, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = 100, .code = "Slow"});
	for (uint64_t id = 10; id <= 11; id++)
		settle(s, (struct store_settlement){.id = id, .kind = SETTLE_DEAD, .attempts = 2, .code = "Refused"});
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "a", "100", &e), ERR_OK);
	assert_int_equal(store_position_put(s, "b", "200", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "cache", "k", 1, 1000000, &is_new, &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "cache", "m", 1, 2000000, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_make(&other, LIFE_OTHERS, 1, 0);
	assert_int_equal(store_import(s, other.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, 1);
	spooldir_remove(&other);
	return s;
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
	struct store *s = make(&d);
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

/* Files that were set aside. */

static const char aside[] = ".quarantine-20260101T000000Z-000";

static const struct reading {
	const char *harm;  /* of the file */
	const char *notes; /* likewise of the spool that reads it */
	uint64_t expected; /* so many were counted as damaged when it was set aside */
	bool stands;       /* other messages have its ids */
	uint64_t damaged;  /* of other messages, whose bytes are kept */
} readings[] = {
    {"SELECT 1", "SELECT 1", 0, false, 0},
    {"SELECT 1", "SELECT 1", 31, false, 0},
    {"SELECT 1", "SELECT 1", 20, true, 0},
    {"UPDATE dead SET attempts = 99 WHERE id = 10; UPDATE failures SET attempts = 7 WHERE id = 31", "SELECT 1", 31,
     false, 0},
    {"UPDATE partial SET bitmap = zeroblob(64) WHERE block_id = 1", "SELECT 1", 31, false, 0},
    {"UPDATE partial SET settled = 60000", "SELECT 1", 40, false, 0},
    {"UPDATE cache SET checksum = 7; UPDATE imports SET checksum = 7; UPDATE positions SET value = '7'", "SELECT 1", 31,
     false, 0},
    {"UPDATE dead SET body = zeroblob(9); UPDATE messages SET body = zeroblob(7)", "SELECT 1", 31, false, 0},
    {"UPDATE blocks SET body = CAST(zeroblob(800) || substr(body, 801) AS BLOB)", "SELECT 1", 31, false, 0},
    {"INSERT INTO clock (first_id, lead_ms, checksum) VALUES (15, 77, 5)", "SELECT 1", 0, false, 0},
    {"SELECT 1", "UPDATE salvage SET checksum = 5", 33, false, 0},
    {"SELECT 1", "UPDATE salvage SET checksum = 5", 12, false, 4},
    {"SELECT 1", "INSERT INTO salvage VALUES ('bad:x:1', 1, 2, 0, 5)", 33, false, 0},
};

static void run_raw(const struct spooldir *d, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* All of it leaves. */
static void drain(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	struct error e;
	uint32_t count;
	uint64_t last;

	assert_int_equal(store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
	assert_int_equal(store_read_due(s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	STAILQ_FOREACH (m, &list, link)
		settle(s, (struct store_settlement){.id = m->id, .kind = SETTLE_DELIVERED});
	message_list_free(&list);
	assert_int_equal(store_dead_purge(s, 0, &last, &e), ERR_OK);
	assert_int_equal(store_ledger(s)->pending + store_ledger(s)->dead, 0);
}

/* A spool that goes on beside an older file of its own. */
static struct store *make_beside(struct spooldir *d, const struct reading *r)
{
	struct store *s = make(d);
	struct spooldir old;
	char to[400];
	struct error e;

	life_close(s);
	spooldir_make(&old);
	spooldir_copy(d, &old);
	run_raw(&old, r->harm);
	s = life_open(d, NULL);
	for (uint64_t i = 0; i < r->damaged; i++)
		settle(s, (struct store_settlement){.id = 33 + i, .kind = SETTLE_DAMAGED});
	if (!r->stands)
		drain(s);
	assert_int_equal(unlink(spooldir_file(d, ".left")), 0); /* what is expected must not have left */
	left_close(s->left);
	s->left = left_open(&s->files, s->id, true);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	s->now.ledger.accepted += r->expected;
	s->now.ledger.damaged += r->expected;
	store_lose(s, LOSS_ASIDE, r->expected, 0, 0);
	assert_int_equal(store_salvage_expect_more(s, r->expected, store_next_id(s), &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s, r->notes);
	(void)snprintf(to, sizeof to, "%s%s", d->path, aside);
	assert_int_equal(rename(old.path, to), 0);
	spooldir_remove(&old);
	s->salvage_is_done = false;
	return s;
}

/* What the last step brought is committed before its file is closed, with the place that it reached. */
static bool is_at_the_end(const struct store *s)
{
	return s->salvage && s->salvage->after_page == pages_count(s->salvage->pages);
}

/* One step; true: it went well, with no call that failed. */
static bool step(struct store *s, const struct reading *r, uint64_t n, bool *ret_more)
{
	const struct totals before = s->durable;
	const uint64_t rows = print_of(s);
	struct error e = {.code = ERR_OK};
	uint64_t first, last;
	bool failed;
	enum err err;

	if (n == 0 || every_fault())
		faultsql_arm(n, SQLITE_NOMEM, false);
	else
		faultsql_arm_new(SQLITE_NOMEM);
	err = store_salvage(s, 16, &first, &last, ret_more, &e);
	ERRORWATCH_EXPECT(err, &e, NULL, r->harm, n);
	failed = faultsql_failed();
	faultsql_arm(0, 0, false);
	if (!failed && err != ERR_OK)
		fail_msg("%s; %s: %s", r->harm, r->notes, e.text);
	if (!failed)
		return true;
	if (err != ERR_MEMORY || e.code != ERR_MEMORY || !e.text[0])
		fail_msg("%s; %s: call %u failed (%s): error %d: %s", r->harm, r->notes, (unsigned)n, faultsql_what(),
		         (int)err, e.text);
	if (store_in_group(s) || s->put_off_count > 0)
		fail_msg("%s; %s: call %u failed (%s): it goes on", r->harm, r->notes, (unsigned)n, faultsql_what());
	if (s->durable.commits == before.commits + 1 || is_at_the_end(s))
		return false;
	if (print_of(s) != rows || memcmp(&before, &s->durable, sizeof before) != 0)
		fail_msg("%s; %s: call %u failed (%s) and left something", r->harm, r->notes, (unsigned)n,
		         faultsql_what());
	return false;
}

/* What became of it, in words. */
static void read_back(const struct reading *r, bool fails, struct text *ret, char *problems, size_t size)
{
	struct spooldir d;
	struct store *s = make_beside(&d, r);
	bool more = true;

	faultpoints_forget();
	for (int steps = 0; more; steps++) {
		uint64_t n = fails ? 1 : 0;

		if (!fails) /* as a call that fails does: it goes on from what was noted */
			store_salvage_end(s);
		while (!step(s, r, n, &more)) {
			n++;
			assert_true(n < CALLS_MAX);
		}
		assert_true(steps < 100);
	}
	assert_int_equal(s->put_off_count, 0);
	/* What is whole in the file is not damaged any more. */
	if (store_ledger(s)->damaged + store_ledger(s)->pending < r->damaged)
		fail_msg("%s; %s: damaged %u", r->harm, r->notes, (unsigned)store_ledger(s)->damaged);
	life_close(s);
	(void)life_problems(&d, problems, size);
	if (strstr(problems, ", since ")) /* a time */
		*strstr(problems, ", since ") = '\0';
	tell(&d, ret);
	spooldir_remove(&d);
}

static void a_call_that_fails_while_it_reads_back_leaves_nothing(void **state)
{
	static struct text want, got;
	static char asked[4000], told[4000];
	(void)state;

	for (size_t i = 0; i < sizeof readings / sizeof *readings; i++) {
		const struct reading *r = &readings[i];

		read_back(r, false, &want, asked, sizeof asked);
		read_back(r, true, &got, told, sizeof told);
		if (strcmp(want.bytes, got.bytes) != 0)
			fail_msg("%s; %s:\n%s\nand not\n%s", r->harm, r->notes, got.bytes, want.bytes);
		assert_non_null(strstr(asked, "structure: "));
		assert_non_null(strstr(told, "structure: "));
		if (strcmp(strstr(asked, "structure: "), strstr(told, "structure: ")) != 0)
			fail_msg("%s; %s:\n%s\nand not\n%s", r->harm, r->notes, told, asked);
	}
}

/* A file is read on from where it was: what came back and has left since does not come back once more. */
static void what_came_back_and_left_does_not_come_again(void **state)
{
	const struct reading *r = &readings[1];
	struct spooldir d;
	struct store *s = make_beside(&d, r);
	const struct store_ledger before = *store_ledger(s);
	uint64_t came = 0;
	bool more = true;
	(void)state;

	while (more) {
		assert_true(step(s, r, 0, &more));
		came += store_ledger(s)->pending + store_ledger(s)->dead;
		drain(s);
		store_salvage_end(s);
		assert_true(came < 100);
	}
	assert_int_equal(came, r->expected);
	assert_int_equal(store_ledger(s)->accepted, before.accepted);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_possible_duplicates(s), 0);
	life_end(&d, s);
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

static enum err opened(struct store *s, const char *path, const struct store_report *report, struct error *e)
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
	struct store *s = make(&d);
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
	    cmocka_unit_test(a_call_that_fails_while_it_reads_back_leaves_nothing),
	    cmocka_unit_test(what_came_back_and_left_does_not_come_again),
	    cmocka_unit_test(what_the_index_lost_is_due_when_it_has_it_again),
	    cmocka_unit_test(a_repair_that_fails_is_no_repair),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
