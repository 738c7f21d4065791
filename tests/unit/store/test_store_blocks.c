/* Blocks: messages of one commit in one row; what leaves out of order, waits, is damaged; rows of the first schema. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "store/files/sql_schema.h"
#include "store/store_internal.h"

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

static struct store *open_it(const struct spooldir *d, struct store_report *report)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;

	ok(store_open(&o, &s, report, e));
	return s;
}

static void append(struct store *s, uint64_t first, uint64_t count, uint32_t bytes)
{
	ok(store_begin(s, e));
	for (uint64_t n = first; n < first + count; n++) {
		struct message *m = spooldir_message(n, bytes);

		ok(store_append(s, m, e));
		assert_int_equal(m->id, n);
		message_free(m);
	}
	ok(store_commit(s, e));
}

static void settle(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind, uint32_t attempts,
                   int64_t wait_ms)
{
	ok(store_begin(s, e));
	for (uint64_t id = first; id <= last; id++) {
		struct store_settlement item = {
		    .id = id, .kind = kind, .attempts = attempts, .wait_ms = wait_ms, .code = "x"};

		ok(store_settle(s, &item, 1, e));
	}
	ok(store_commit(s, e));
}

static void deliver_run(struct store *s, uint64_t first, uint64_t last)
{
	struct store_settlements *g = store_settlements_new((uint32_t)(last - first + 1));

	for (uint64_t id = first; id <= last; id++)
		g->items[g->count++] = (struct store_settlement){.id = id, .kind = SETTLE_DELIVERED};
	ok(store_begin(s, e));
	ok(store_settle(s, g->items, g->count, e));
	ok(store_commit(s, e));
	store_settlements_free(g);
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	ok(sql_number(s->db, sql, &n, e));
	return n;
}

/* All that is pending and not failed, as written, in order; returns how many. */
static uint32_t read_all(struct store *s, uint32_t bytes, uint64_t *ids)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	uint64_t last;
	uint32_t count, n = 0;

	ok(store_read(s, 0, 100000, UINT64_MAX, &list, &count, &last, e));
	STAILQ_FOREACH (m, &list, link) {
		assert_true(spooldir_is_message(m, m->id, bytes));
		assert_true(n == 0 || ids[n - 1] < m->id);
		ids[n++] = m->id;
	}
	message_list_free(&list);
	assert_int_equal(n, count);
	return n;
}

static void assert_sound(const struct spooldir *d)
{
	struct buf out;
	uint64_t problems;

	buf_init(&out, 1 << 20);
	ok(store_check(d->path, &out, &problems, e));
	if (problems)
		fail_msg("%s", out.data);
	buf_fini(&out);
}

static void one_commit_is_one_row_and_leaves_as_one(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t ids[2000];

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 300, 100);
	append(s, 301, 1, 100);
	append(s, 302, 1024, 100);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 4);
	assert_int_equal(number(s, "SELECT max(count) FROM blocks"), BLOCK_MESSAGES);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"), 0);
	assert_int_equal(read_all(s, 100, ids), 1325);
	deliver_run(s, 1, 813); /* to the end of the third */
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 1);
	assert_int_equal(number(s, "SELECT count(*) FROM partial"), 0);
	assert_int_equal(read_all(s, 100, ids), 512);
	assert_int_equal(ids[0], 814);
	ok(store_close(s, e));
	assert_sound(&d);
	s = open_it(&d, NULL);
	assert_int_equal(store_ledger(s)->delivered, 813);
	assert_int_equal(store_ledger(s)->pending, 512);
	deliver_run(s, 814, 1325);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 0);
	assert_int_equal(store_pending_bytes(s), 0);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static void what_leaves_out_of_order_is_a_bit(void **state)
{
	struct spooldir d;
	struct store_report report;
	struct store *s;
	uint64_t ids[100];

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 40, 100);
	settle(s, 11, 20, SETTLE_DELIVERED, 0, 0);
	settle(s, 31, 31, SETTLE_EXPIRED, 0, 0);
	assert_int_equal(number(s, "SELECT settled FROM partial WHERE block_id = 1"), 11);
	assert_int_equal(read_all(s, 100, ids), 29);
	store_abandon(s);
	s = open_it(&d, &report);
	assert_int_equal(report.missing_rows, 0);
	assert_int_equal(read_all(s, 100, ids), 29);
	assert_int_equal(ids[10], 21);
	settle(s, 1, 10, SETTLE_DELIVERED, 0, 0);
	settle(s, 21, 30, SETTLE_DELIVERED, 0, 0);
	settle(s, 32, 39, SETTLE_DELIVERED, 0, 0);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 1);
	settle(s, 40, 40, SETTLE_DELIVERED, 0, 0);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 0);
	assert_int_equal(number(s, "SELECT count(*) FROM partial"), 0);
	assert_int_equal(store_pending_bytes(s), 0);
	ok(store_close(s, e));
	assert_sound(&d);
	spooldir_remove(&d);
}

static void a_group_that_is_undone_leaves_no_bit(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t ids[100];
	struct store_settlement one = {.id = 5, .kind = SETTLE_DELIVERED};

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 10, 100);
	ok(store_begin(s, e));
	ok(store_settle(s, &one, 1, e));
	store_rollback(s);
	assert_int_equal(read_all(s, 100, ids), 10);
	ok(store_begin(s, e));
	ok(store_settle(s, &one, 1, e));
	ok(store_commit(s, e));
	assert_int_equal(read_all(s, 100, ids), 9);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

static bool nothing_is_claimed(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
	return false;
}

/* One that waits for long does not keep its block: it stands alone, and comes back when it is due. */
static void what_waits_for_another_try_moves_out(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s;
	uint64_t ids[100];
	uint32_t count;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 30, 100);
	settle(s, 7, 7, SETTLE_RETRY, 1, 0);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"), 0); /* soon again: not worth it */
	settle(s, 7, 8, SETTLE_RETRY, 2, 0);
	settle(s, 9, 9, SETTLE_RETRY, 1, 3600000);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(read_all(s, 100, ids), 27);
	deliver_run(s, 1, 6);
	deliver_run(s, 10, 30);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 0);
	ok(store_read_due(s, store_clock_ms(s), 10, 1 << 20, nothing_is_claimed, NULL, &list, &count, e));
	assert_int_equal(count, 2);
	assert_true(spooldir_is_message(STAILQ_FIRST(&list), 7, 100));
	message_list_free(&list);
	deliver_run(s, 7, 9);
	assert_int_equal(store_ledger(s)->pending, 0);
	assert_int_equal(store_pending_bytes(s), 0);
	assert_int_equal(store_retrying(s), 0);
	ok(store_close(s, e));
	assert_sound(&d);
	spooldir_remove(&d);
}

static void a_large_message_stands_alone_in_its_place(void **state)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct spooldir d;
	struct store *s;
	const struct message *m;
	uint64_t want = 1, last;
	uint32_t count;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	ok(store_begin(s, e));
	for (uint64_t n = 1; n <= 9; n++) {
		struct message *one = spooldir_message(n, n == 5 ? BLOCK_BYTES + 1 : 1000);

		ok(store_append(s, one, e));
		message_free(one);
	}
	ok(store_commit(s, e));
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 2);
	assert_int_equal(number(s, "SELECT id FROM messages"), 5);
	ok(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, e));
	STAILQ_FOREACH (m, &list, link)
		assert_int_equal(m->id, want++);
	assert_int_equal(want, 10);
	message_list_free(&list);
	deliver_run(s, 1, 9);
	assert_int_equal(store_ledger(s)->pending, 0);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* What a zstd frame makes smaller. */
static struct message *line(uint64_t n)
{
	char text[300];
	int bytes = snprintf(text, sizeof text,
	                     "{\"sensor\":\"pump-%llu\",\"unit\":\"millibar\",\"value\":%llu,\"state\":\"running\"}",
	                     (unsigned long long)n % 7, (unsigned long long)n * 37);

	return message_new(NULL, 0, text, (size_t)bytes, 1700000000000 + (int64_t)n);
}

static uint32_t read_lines(struct store *s)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	uint64_t last;
	uint32_t count;

	ok(store_read(s, 0, 100000, UINT64_MAX, &list, &count, &last, e));
	STAILQ_FOREACH (m, &list, link) {
		struct message *want = line(m->id);

		assert_int_equal(m->received_ms, want->received_ms);
		assert_int_equal(m->body_bytes, want->body_bytes);
		assert_memory_equal(message_body(m), message_body(want), m->body_bytes);
		message_free(want);
	}
	message_list_free(&list);
	return count;
}

static void each_form_reads_as_it_was_written(void **state)
{
	static const enum store_compress forms[] = {STORE_COMPRESS_NEVER, STORE_COMPRESS_AUTO, STORE_COMPRESS_ALWAYS};
	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (int waits = 0; waits < 2; waits++) {
			struct spooldir d;
			struct store_options o;
			struct store *s = NULL;
			const int codec = (int[]){0, waits, 1}[i];

			spooldir_make(&d);
			o = spooldir_options(&d);
			o.compress = forms[i];
			ok(store_open(&o, &s, NULL, e));
			store_set_waits(s, waits);
			ok(store_begin(s, e));
			for (uint64_t n = 1; n <= 512; n++) {
				struct message *m = line(n);

				ok(store_append(s, m, e));
				message_free(m);
			}
			ok(store_commit(s, e));
			assert_int_equal(number(s, "SELECT codec FROM blocks"), codec);
			assert_true(codec == 0 || number(s, "SELECT length(body) < bytes / 2 FROM blocks"));
			settle(s, 100, 199, SETTLE_DELIVERED, 0, 0);
			store_abandon(s);
			s = open_it(&d, NULL);
			assert_int_equal(read_lines(s), 412);
			settle(s, 3, 3, SETTLE_DEAD, 1, 0);
			ok(store_close(s, e));
			assert_sound(&d);
			spooldir_remove(&d);
		}
}

/* One flipped bit in a block costs one message, wherever it lies. */
static void a_flipped_bit_costs_one_message(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t ids[100];

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 50, 100);
	settle(s, 10, 12, SETTLE_DELIVERED, 0, 0);
	ok(store_close(s, e));
	spooldir_damage(d.path, 33);
	s = open_it(&d, NULL);
	assert_int_equal(read_all(s, 100, ids), 46);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 0);
	assert_int_equal(number(s, "SELECT id FROM damaged WHERE body IS NOT NULL"), 33);
	assert_int_equal(store_ledger(s)->damaged, 1);
	assert_int_equal(store_ledger(s)->pending, 46);
	ok(store_close(s, e));
	assert_int_equal(life_problems(&d, NULL, 0), 1); /* nobody confirmed it */
	spooldir_remove(&d);
}

/* Columns that lie, bytes that are missing: nothing is delivered that was not written, and intake goes on. */
static void a_block_that_lies_is_taken_apart(void **state)
{
	static const struct {
		const char *sql;
		uint32_t good;
	} lies[] = {
	    {"UPDATE blocks SET count = 20", 50},
	    {"UPDATE blocks SET count = 400", 50},
	    {"UPDATE blocks SET bytes = -1", 50},
	    {"UPDATE blocks SET checksum = 7", 50},
	    {"UPDATE blocks SET codec = 1", 0},
	    {"UPDATE blocks SET codec = 9", 0},
	    {"UPDATE blocks SET body = x''", 0},
	    {"UPDATE blocks SET body = x'ffffffffffffffffffffffffffffffffffffff'", 0},
	    {"UPDATE blocks SET body = substr(body, 1, length(body) / 2)", 25},
	    {"UPDATE blocks SET body = substr(body, 2)", 0},
	    {"UPDATE blocks SET id = 3", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct spooldir d;
		struct store *s;
		uint64_t ids[600];
		uint32_t got;

		spooldir_make(&d);
		s = open_it(&d, NULL);
		append(s, 1, 50, 100);
		assert_int_equal(sqlite3_exec(s->db, lies[i].sql, NULL, NULL, NULL), SQLITE_OK);
		ok(store_close(s, e));
		s = open_it(&d, NULL);
		got = read_all(s, 100, ids);
		if (got + 2 < lies[i].good || got > lies[i].good)
			fail_msg("%s: %u messages", lies[i].sql, got);
		append(s, store_next_id(s), 3, 100);
		assert_int_equal(read_all(s, 100, ids), got + 3);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

static void a_mark_that_lies_sends_again_and_loses_nothing(void **state)
{
	struct spooldir d;
	struct store *s;
	uint64_t ids[100];

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 50, 100);
	settle(s, 10, 12, SETTLE_DELIVERED, 0, 0);
	assert_int_equal(sqlite3_exec(s->db, "UPDATE partial SET bitmap = x'ff'", NULL, NULL, NULL), SQLITE_OK);
	ok(store_close(s, e));
	s = open_it(&d, NULL);
	assert_int_equal(read_all(s, 100, ids), 50);
	deliver_run(s, 1, 50);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 0);
	assert_int_equal(number(s, "SELECT count(*) FROM partial"), 0);
	ok(store_close(s, e));
	spooldir_remove(&d);
}

/* A spool as the first schema left it: one row a message. */
static void make_old(const struct spooldir *d, uint64_t count)
{
	struct store *s = open_it(d, NULL);

	ok(store_begin(s, e));
	for (uint64_t n = 1; n <= count; n++) {
		struct message *m = spooldir_message(n, 100);
		sqlite3_stmt *st = store_statement(s, ST_INSERT);

		row_bind(st, 1, n, m, 0);
		ok(store_run(s, st, e, "insert"));
		s->now.next_id++;
		s->now.ledger.accepted++;
		s->now.ledger.pending++;
		s->now.pending_bytes += (uint64_t)m->meta_bytes + m->body_bytes;
		message_free(m);
	}
	ok(store_commit(s, e));
	settle(s, 4, 4, SETTLE_RETRY, 3, 0);
	settle(s, 5, 5, SETTLE_DEAD, 3, 0);
	ok(sql_exec(
	    s->db,
	    "DROP TABLE losses; DROP TABLE blocks; DROP TABLE partial; DROP TABLE clock; DROP TABLE imports; ALTER "
	    "TABLE ledger DROP"
	    " COLUMN clock_ms; ALTER TABLE ledger DROP COLUMN clock_boot; ALTER TABLE ledger DROP COLUMN clock_offset;"
	    "ALTER TABLE ledger DROP COLUMN possible; ALTER TABLE ledger DROP COLUMN handed;"
	    "ALTER TABLE ledger DROP COLUMN spool_high; ALTER TABLE ledger DROP COLUMN spool_low;"
	    "ALTER TABLE ledger DROP COLUMN commits; ALTER TABLE ledger DROP COLUMN epoch;"
	    "ALTER TABLE ledger DROP COLUMN base; ALTER TABLE ledger DROP COLUMN told;"
	    "ALTER TABLE failures DROP COLUMN checksum; ALTER TABLE dead DROP COLUMN note_checksum; ALTER TABLE cache"
	    " DROP COLUMN checksum; ALTER TABLE salvage DROP COLUMN checksum; ALTER TABLE ledger DROP"
	    " COLUMN blocks_from; ALTER TABLE ledger DROP COLUMN rows_from; PRAGMA user_version = 1",
	    e, "make the first schema"));
	store_abandon(s);
}

static void rows_of_the_first_schema_drain_beside_blocks(void **state)
{
	struct spooldir a, b;
	struct store *s;
	uint64_t ids[200], rows;
	char copy[400];

	(void)state;
	assert_string_equal(schema_steps[0].name, "0001-spool.sql");
	spooldir_make(&a);
	spooldir_make(&b);
	make_old(&a, 30);
	s = open_it(&a, NULL);
	assert_int_equal(number(s, "PRAGMA user_version"), schema_steps[schema_step_count - 1].version);
	append(s, 31, 20, 100);
	assert_int_equal(read_all(s, 100, ids), 48);
	assert_int_equal(ids[47], 50);
	deliver_run(s, 6, 40);
	(void)snprintf(copy, sizeof copy, "%s.copy", a.path);
	ok(store_export(s, copy, e));
	ok(store_close(s, e));
	assert_sound(&a);
	s = open_it(&b, NULL);
	ok(store_import(s, copy, false, &rows, e));
	assert_int_equal(rows, 4 + 10 + 1); /* 1 to 4, 41 to 50; 5 is dead */
	assert_int_equal(store_ledger(s)->pending, 14);
	assert_int_equal(store_ledger(s)->dead, 1);
	assert_int_equal(store_retrying(s), 1);
	ok(store_close(s, e));
	assert_sound(&b);
	spooldir_remove(&a);
	spooldir_remove(&b);
}

static void a_copy_of_the_first_schema_is_imported(void **state)
{
	struct spooldir a, b;
	struct store *s;
	uint64_t rows;

	(void)state;
	spooldir_make(&a);
	spooldir_make(&b);
	make_old(&a, 10);
	s = open_it(&b, NULL);
	ok(store_import(s, a.path, false, &rows, e));
	assert_int_equal(rows, 10);
	ok(store_close(s, e));
	spooldir_remove(&a);
	spooldir_remove(&b);
}

/* What left a block before the file was set aside does not come back. */
static void blocks_come_back_from_a_file_set_aside(void **state)
{
	struct spooldir d;
	struct store_report report;
	struct store *s;
	uint64_t ids[600], first, last;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d, NULL);
	append(s, 1, 500, 100);
	deliver_run(s, 101, 200);
	settle(s, 300, 300, SETTLE_RETRY, 5, 1000);
	settle(s, 400, 400, SETTLE_DEAD, 1, 0);
	ok(store_restart_damaged(s, &report, e));
	while (more)
		ok(store_salvage(s, 1024, &first, &last, &more, e));
	assert_int_equal(store_ledger(s)->pending, 399);
	assert_int_equal(store_ledger(s)->dead, 1);
	assert_int_equal(store_ledger(s)->delivered, 100);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(read_all(s, 100, ids), 398);
	assert_int_equal(store_retrying(s), 1);
	ok(store_close(s, e));
	assert_sound(&d);
	spooldir_remove(&d);
}

static void evictions_take_the_oldest_of_a_block(void **state)
{
	struct spooldir d;
	struct store_options o;
	struct store *s = NULL;
	uint64_t ids[200], bytes;

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	o.evict_oldest = true;
	ok(store_open(&o, &s, NULL, e));
	append(s, 1, 60, 100);
	bytes = store_pending_bytes(s) / 60;
	o.max_bytes = 60 * bytes;
	store_reconfigure(s, &o);
	deliver_run(s, 2, 3);
	append(s, 61, 10, 100);
	assert_in_range(store_ledger(s)->evicted, 8, 9);
	assert_int_equal(read_all(s, 100, ids), 68 - store_ledger(s)->evicted);
	assert_int_equal(ids[0], 3 + store_ledger(s)->evicted);
	ok(store_close(s, e));
	assert_sound(&d);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_commit_is_one_row_and_leaves_as_one),
	    cmocka_unit_test(what_leaves_out_of_order_is_a_bit),
	    cmocka_unit_test(a_group_that_is_undone_leaves_no_bit),
	    cmocka_unit_test(what_waits_for_another_try_moves_out),
	    cmocka_unit_test(a_large_message_stands_alone_in_its_place),
	    cmocka_unit_test(each_form_reads_as_it_was_written),
	    cmocka_unit_test(a_flipped_bit_costs_one_message),
	    cmocka_unit_test(a_block_that_lies_is_taken_apart),
	    cmocka_unit_test(a_mark_that_lies_sends_again_and_loses_nothing),
	    cmocka_unit_test(rows_of_the_first_schema_drain_beside_blocks),
	    cmocka_unit_test(a_copy_of_the_first_schema_is_imported),
	    cmocka_unit_test(blocks_come_back_from_a_file_set_aside),
	    cmocka_unit_test(evictions_take_the_oldest_of_a_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
