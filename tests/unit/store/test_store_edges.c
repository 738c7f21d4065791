/* Edges that random verbs seldom meet: limits hit exactly and by one, bytes that lie, more of them than one step takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

/* `count` messages of the same byte, in one commit. */
static void append_same(struct store *s, uint32_t messages, uint32_t bytes)
{
	unsigned char *body = calloc(1, bytes + 1u);
	struct error e;

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint32_t i = 0; i < messages; i++) {
		struct message *m = message_new(NULL, 0, body, bytes, 1700000000000);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	free(body);
}

static enum err append_one(struct store *s, struct message *m, struct error *e)
{
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_append(s, m, e);
	if (err == ERR_OK)
		return store_commit(s, e);
	store_rollback(s);
	return err;
}

static void a_message_may_be_as_large_as_it_may_be(void **state)
{
	static const struct {
		uint64_t max_message, max_bytes;
		enum err err;
	} cases[] = {{100, 0, ERR_OK}, {99, 0, ERR_TOOBIG}, {0, 106, ERR_OK}, {0, 105, ERR_TOOBIG}, {0, 0, ERR_OK}};
	struct message *m = message_new("abcdef", 6, "0123456789", 10, 1);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;

	(void)state;
	message_free(m);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		char body[100] = {0};

		store_reconfigure(s, &(struct store_options){.max_message_bytes = cases[i].max_message,
		                                             .max_bytes = cases[i].max_bytes});
		m = message_new("abcdef", 6, body, sizeof body, 1);
		STAILQ_INSERT_TAIL(&list, m, link);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_admit(s, &list, 0, &e), cases[i].err);
		assert_true(store_in_group(s));
		store_rollback(s);
		assert_int_equal(append_one(s, m, &e), cases[i].err);
		if (cases[i].err == ERR_OK)
			life_settle(s, m->id, m->id);
		message_list_free(&list);
	}
	m = message_new(NULL, 0, "x", 1, 1);
	m->body_bytes = ROW_MOST_BYTES + 1; /* it is not looked at */
	assert_int_equal(append_one(s, m, &e), ERR_TOOBIG);
	m->body_bytes = 1;
	message_free(m);
	life_end(&d, s);
}

/* Rows that stand alone, each of them damaged: more than one read, or one step of a repair, takes. */
static void more_damage_than_one_step_takes(void **state)
{
	enum { ROWS = 600 };

	(void)state;
	for (int repairs = 0; repairs < 2; repairs++) {
		struct message_list list = STAILQ_HEAD_INITIALIZER(list);
		struct store_settlement items[ROWS];
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		struct buf out;
		uint64_t last = 0;
		uint32_t n = 0;
		int reads = 0;

		append_same(s, ROWS, 5);
		for (uint64_t i = 0; i < ROWS; i++)
			items[i] =
			    (struct store_settlement){.id = i + 1, .kind = SETTLE_RETRY, .attempts = 2, .code = "x"};
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, items, ROWS, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), ROWS);
		assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 0); /* all of it moved out */
		life_sql(s, "UPDATE messages SET body = x'0001' WHERE id <> 300; DELETE FROM failures");
		life_close(s);
		buf_init(&out, 1 << 16);
		if (repairs)
			assert_int_equal(store_repair(d.path, &(struct store_repair){0}, &out, &e), ERR_OK);
		buf_fini(&out);
		s = life_open(&d, NULL);
		for (uint32_t sum = 0; last < ROWS && !repairs; reads++) {
			assert_int_equal(store_read(s, last, 1000, UINT64_MAX, &list, &n, &last, &e), ERR_OK);
			sum += n;
			if (last == ROWS)
				assert_int_equal(sum, 1);
			message_list_free(&list);
		}
		assert_int_equal(reads, repairs ? 0 : 3); /* 256, 256, and the rest */
		life_expect(s, ROWS, 0, 1, ROWS - 1);
		assert_int_equal(store_pending_bytes(s), 5);
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged WHERE length(body) = 2 AND found_ms > 0"),
		                 ROWS - 1);
		life_end(&d, s);
	}
}

/* A full disk lets nothing be moved: the rest is read past it, and the next start meets it again. */
static void a_damaged_block_on_a_full_disk_is_passed(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint32_t n;
	uint64_t last;

	(void)state;
	for (int i = 0; i < 3; i++)
		append_same(s, 10, 50);
	life_sql(s, "UPDATE blocks SET checksum = checksum + 1 WHERE id = 11");
	life_close(s);
	s = life_open(&d, NULL);
	faultsql_arm(3, SQLITE_FULL, false); /* two blocks are looked at, and then a group begins */
	assert_int_equal(store_read(s, 10, 100, UINT64_MAX, &list, &n, &last, &e), ERR_OK);
	assert_true(faultsql_failed());
	assert_int_equal(last, 20);
	assert_int_equal(n, 0);
	faultsql_arm(0, 0, false);
	life_expect(s, 30, 0, 30, 0);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &n, &last, &e), ERR_OK);
	assert_int_equal(last, 10); /* what stands before it is handed out first */
	message_list_free(&list);
	assert_int_equal(store_read(s, last, 100, UINT64_MAX, &list, &n, &last, &e), ERR_OK);
	assert_int_equal(n, 20);
	message_list_free(&list);
	life_expect(s, 30, 0, 30, 0);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 10);
	life_end(&d, s);
}

static bool note_reason(void *arg, const struct store_dead *dead)
{
	*(size_t *)arg = strlen(dead->reason);
	return true;
}

/* The shelf, more than one batch of it; some of it damaged stays. */
static void a_long_shelf(void **state)
{
	enum { ROWS = 600 };
	static char reason[REASON_MAX + 2];
	struct store_settlement items[ROWS];
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint64_t n;
	size_t length = 0;

	(void)state;
	memset(reason, 'r', sizeof reason - 1);
	append_same(s, ROWS, 5);
	for (uint64_t i = 0; i < ROWS; i++)
		items[i] = (struct store_settlement){.id = i + 1, .kind = SETTLE_DEAD, .attempts = 2, .reason = reason};
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, items, ROWS, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_dead_get(s, 1, note_reason, &length, &e), ERR_OK);
	assert_int_equal(length, REASON_MAX);
	life_sql(s, "UPDATE dead SET body = x'00' WHERE id IN (1, 256, 300, 600)");
	assert_int_equal(store_dead_retry(s, 300, &n, &(uint64_t){0}, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "no sound message 300 is set aside"));
	assert_int_equal(n, 0);
	assert_int_equal(store_dead_retry(s, 0, &n, &(uint64_t){0}, &e), ERR_OK);
	assert_int_equal(n, ROWS - 4);
	assert_int_equal(store_ledger(s)->dead, 4);
	assert_int_equal(store_next_id(s), ROWS + 1 + ROWS - 4);
	assert_int_equal(store_dead_purge(s, 301, &n, &e), ERR_INPUT);
	assert_int_equal(store_dead_purge(s, 300, &n, &e), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(store_dead_purge(s, 0, &n, &e), ERR_OK);
	assert_int_equal(n, 3);
	assert_int_equal(store_ledger(s)->purged, 4);
	assert_int_equal(store_dead_purge(s, 0, &n, &e), ERR_OK);
	assert_int_equal(n, 0);
	life_end(&d, s);
}

/* Rows that nobody counted, and rows that are gone, while it is open. */
static void what_is_missing_is_counted(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	struct store_report counted;
	uint64_t missing = 9;

	(void)state;
	life_append(s, 0, 20);
	assert_int_equal(store_count_missing(s, &missing, &e), ERR_OK);
	assert_int_equal(missing, 0);
	spooldir_lose_in(s->db, 3);
	spooldir_lose_in(s->db, 14);
	assert_int_equal(store_count_missing(s, &missing, &e), ERR_OK);
	assert_int_equal(missing, 2);
	life_expect(s, 20, 0, 20, 0);
	assert_int_equal(store_recount(s, &counted, &e), ERR_OK);
	assert_int_equal(counted.missing_rows, 2);
	life_expect(s, 20, 0, 18, 2);
	assert_int_equal(store_count_missing(s, &missing, &e), ERR_OK);
	assert_int_equal(missing, 0);
	life_sql(s, "DELETE FROM partial"); /* they are there again */
	assert_int_equal(store_count_missing(s, &missing, &e), ERR_OK);
	assert_int_equal(missing, 0);
	assert_int_equal(store_recount(s, &counted, &e), ERR_OK);
	assert_int_equal(counted.missing_rows, 0);
	life_expect(s, 20, 0, 20, 0); /* of which PATH.left knows that none had left */
	life_end(&d, s);
}

/* Of keys that are over 64 go with each that comes. */
static void old_keys_go_little_by_little(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool is_new;

	(void)state;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (int i = 0; i < 200; i++)
		assert_int_equal(store_cache_add(s, "c", &i, sizeof i, i < 150 ? 0 : 100000, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_sql(s,
	         "INSERT INTO cache SELECT 'old', CAST(value AS BLOB), 5, 0 FROM (WITH RECURSIVE n(value) AS (SELECT 1 "
	         "UNION ALL"
	         " SELECT value + 1 FROM n WHERE value < 150) SELECT value FROM n)");
	for (int i = 0; i < 4; i++) {
		const int64_t old = life_number(s, "SELECT count(*) FROM cache WHERE cache = 'old'");

		assert_int_equal(old, i == 0 ? 150 : i == 1 ? 86 : i == 2 ? 22 : 0);
		is_new = false;
		assert_int_equal(store_cache_add(s, "d", &i, sizeof i, 100000, &is_new, &e), ERR_OK);
		assert_true(is_new);
	}
	assert_int_equal(store_cache_add(s, "d", "", 0, 100000, &is_new, &e), ERR_OK);
	assert_true(is_new);
	assert_int_equal(store_cache_add(s, "d", NULL, 0, 100000, &is_new, &e), ERR_OK);
	assert_false(is_new);
	life_end(&d, s);
}

/* A position that is not what was written is none; its key counts. */
static void a_damaged_position_is_none(void **state)
{
	static const char *const harm[] = {"UPDATE positions SET value = '12346'", "UPDATE positions SET checksum = 1",
	                                   "UPDATE positions SET key = 'g'"};
	(void)state;
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		char *value = NULL;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_position_put(s, "f", "12345", &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		assert_int_equal(store_position_get(s, "f", &value, &(bool){false}, &e), ERR_OK);
		assert_string_equal(value, "12345");
		free(value);
		life_sql(s, harm[i]);
		assert_int_equal(store_position_get(s, i == 2 ? "g" : "f", &value, &(bool){false}, &e), ERR_OK);
		assert_null(value);
		life_end(&d, s);
	}
}

/* What a spool is made with, and what each connection is told. */
static void settings_hold(void **state)
{
	static const struct {
		uint32_t page_size;
		int64_t is; /* 0: refused */
	} pages[] = {{0, 4096},      {512, 512},     {511, 0},   {256, 0},   {1000, 0},
	             {16384, 16384}, {65536, 65536}, {65537, 0}, {131072, 0}};
	static const struct {
		const char *pragma;
		int64_t is;
	} settings[] = {{"auto_vacuum", 2},        {"application_id", APPLICATION_ID},
	                {"synchronous", 2},        {"wal_autocheckpoint", 0},
	                {"cell_size_check", 1},    {"secure_delete", 0},
	                {"temp_store", 2},         {"journal_size_limit", -1},
	                {"busy_timeout", 0},       {"foreign_keys", 0},
	                {"recursive_triggers", 0}, {"cache_size", -CACHE_KIB}};

	(void)state;
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		struct spooldir d;
		struct store_options o;
		struct store *s = NULL;
		struct error e;

		spooldir_make(&d);
		o = spooldir_options(&d);
		o.page_size = pages[i].page_size;
		assert_int_equal(store_open(&o, &s, NULL, &e), pages[i].is ? ERR_OK : ERR_CONFIG);
		if (pages[i].is) {
			char sql[60];

			assert_int_equal(life_number(s, "PRAGMA page_size"), pages[i].is);
			for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
				(void)snprintf(sql, sizeof sql, "PRAGMA %s", settings[k].pragma);
				if (life_number(s, sql) != settings[k].is)
					fail_msg("%s is not %d", sql, (int)settings[k].is);
			}
			assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, -1), 0);
			assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_SQL_LENGTH, -1), 65536);
			assert_int_equal(sqlite3_limit(s->db, SQLITE_LIMIT_EXPR_DEPTH, -1), 50);
			life_append(s, 0, 10);
			assert_int_equal(access(spooldir_file(&d, "-shm"), F_OK), -1);
			life_close(s);
			assert_int_equal(access(spooldir_file(&d, ".new"), F_OK), -1);
			assert_int_equal(access(spooldir_file(&d, ".new-wal"), F_OK), -1);
		} else {
			assert_non_null(strstr(e.text, "is not a power of two from 512 to 65536"));
			assert_int_equal(access(d.path, F_OK), -1);
		}
		spooldir_remove(&d);
	}
}

/* A copy with a damaged message, waiting or dead: all of it is refused. */
static void a_copy_gives_all_but_damaged_messages(void **state)
{
	static const char *const harm[] = {"UPDATE dead SET body = x'0000'",
	                                   "UPDATE dead SET checksum = checksum + 1 WHERE id = 12", "SELECT 1",
	                                   "UPDATE dead SET code = NULL, reason = NULL"};

	(void)state;
	for (size_t i = 0; i < sizeof harm / sizeof *harm; i++) {
		struct spooldir d, other;
		struct store *s = life_begin(&d);
		struct message *m;
		struct error e;
		uint64_t rows = 9;
		const bool is_sound = i >= 2;

		life_append(s, 0, 10);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (uint64_t n = 11; n <= 12; n++) {
			m = spooldir_message(n, 20);
			m->attempts = 3;
			assert_int_equal(store_append_dead(s, m, "code", &e), ERR_OK);
			message_free(m);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		if (i == 3) /* which STRICT tables refuse */
			(void)sqlite3_exec(s->db, harm[i], NULL, NULL, NULL);
		else
			life_sql(s, harm[i]);
		life_close(s);
		s = life_begin(&other);
		assert_int_equal(store_import(s, d.path, false, &rows, &e), ERR_OK);
		assert_int_equal(rows, is_sound ? 12 : 10 + i);
		assert_int_equal(store_import_damaged(s), 12 - rows);
		life_expect(s, rows, 0, 10, 0);
		assert_int_equal(store_ledger(s)->dead, rows - 10);
		life_end(&other, s);
		spooldir_remove(&d);
	}
}

/* What came back in a step is told, for whoever hands it out. */
static void each_step_tells_what_came_back(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_report report;
	struct error e;
	char aside[400];
	uint64_t first, last, lowest = UINT64_MAX, highest = 0;
	int steps = 0;
	bool more = true;

	(void)state;
	life_append(s, 0, 600);
	life_settle(s, 1, 20);
	life_close(s);
	(void)snprintf(aside, sizeof aside, "%s.hidden", d.path);
	assert_int_equal(rename(d.path, aside), 0);
	assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
	s = life_open(&d, &report);
	assert_true(report.created && report.rows == 0);
	assert_int_equal(rename(aside, spooldir_file(&d, ".quarantine-20260101T000000Z-000")), 0);
	s->id = (struct spool_id){0}; /* whose it is nobody asks */
	s->salvage_is_done = false;
	while (more) {
		assert_int_equal(store_salvage(s, 50, &first, &last, &more, &e), ERR_OK);
		assert_true((first == 0) == (last == 0) && first <= last);
		assert_true(last == 0 || last > highest || last < lowest); /* other ones than before */
		lowest = first && first < lowest ? first : lowest;
		highest = last > highest ? last : highest;
		steps++;
	}
	assert_int_equal(store_ledger(s)->pending, 580);
	assert_int_equal(lowest, 21);
	assert_int_equal(highest, 600);
	assert_true(steps > 5);
	assert_int_equal(store_salvage(s, 50, &first, &last, &more, &e), ERR_OK);
	assert_true(!more && first == 0 && last == 0);
	life_end(&d, s);
}

static bool all_but_some(void *arg, uint64_t id)
{
	(void)arg;
	return id > 3;
}

/* A group that is refused after some were evicted for it, and any call fails on the way: nobody lost his place. */
static void a_call_that_fails_while_room_is_made_evicts_nobody(void **state)
{
	enum { ROWS = 20, BYTES = 100 };
	struct store_options o;
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct message *m = spooldir_message(1, 10 * BYTES);
	struct error e;
	uint64_t n = 0, bytes;
	bool failed = true;

	(void)state;
	append_same(s, ROWS, BYTES);
	bytes = store_pending_bytes(s);
	o = spooldir_options(&d);
	o.max_bytes = bytes;
	o.evict_oldest = true;
	store_reconfigure(s, &o);
	store_set_claims(s, all_but_some, NULL);
	while (failed) {
		enum err err;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		faultsql_arm(++n, SQLITE_NOMEM, false);
		err = store_append(s, m, &e);
		ERRORWATCH_EXPECT(err, &e, NULL, "a refused group", n);
		failed = faultsql_failed();
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_FULL);
		assert_int_equal(store_in_group(s), !failed);
		if (!failed)
			assert_int_equal(store_commit(s, &e), ERR_OK);
		life_expect(s, ROWS, 0, ROWS, 0);
		assert_int_equal(store_ledger(s)->evicted, 0);
		assert_int_equal(store_pending_bytes(s), bytes);
		assert_true(n < 100);
	}
	assert_true(n > 8);
	message_free(m);
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_message_may_be_as_large_as_it_may_be),
	    cmocka_unit_test(more_damage_than_one_step_takes),
	    cmocka_unit_test(a_damaged_block_on_a_full_disk_is_passed),
	    cmocka_unit_test(a_long_shelf),
	    cmocka_unit_test(a_call_that_fails_while_room_is_made_evicts_nobody),
	    cmocka_unit_test(what_is_missing_is_counted),
	    cmocka_unit_test(old_keys_go_little_by_little),
	    cmocka_unit_test(a_damaged_position_is_none),
	    cmocka_unit_test(settings_hold),
	    cmocka_unit_test(a_copy_gives_all_but_damaged_messages),
	    cmocka_unit_test(each_step_tells_what_came_back),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
