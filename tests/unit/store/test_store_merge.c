/*
 * Joining: what came in small pieces and waits becomes few large blocks, message by message the same; what is on its
 * way, has left in part, or is not what was written stays as it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

static struct error local;
static struct error *const e = &local;
static uint64_t claimed_first, claimed_last; /* none when last is 0 */

static void ok(enum err err)
{
	if (err != ERR_OK)
		fail_msg("%s", local.text);
}

static bool is_claimed(void *arg, uint64_t id)
{
	(void)arg;
	return id >= claimed_first && id <= claimed_last;
}

static struct store *open_with(const struct spooldir *d, enum store_compress compress)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;

	o.compress = compress;
	ok(store_open(&o, &s, NULL, e));
	store_set_claims(s, is_claimed, NULL);
	return s;
}

static struct store *open_it(const struct spooldir *d) { return open_with(d, STORE_COMPRESS_AUTO); }

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	ok(sql_number(s->db, sql, &n, e));
	return n;
}

/* Of message id, a line of 80 to 300 bytes; `plain`: one that cannot be made small. */
static struct message *make(uint64_t id, bool plain)
{
	char text[400];
	int bytes;

	if (!plain)
		return spooldir_message(id, 200);
	bytes = snprintf(text, sizeof text,
	                 "{\"sensor\":\"pump-%llu\",\"sequence\":%llu,\"state\":\"running\",\"note\":\"%.*s\"}",
	                 (unsigned long long)(id % 7), (unsigned long long)id, (int)(id % 13 * 15),
	                 "the same words that every such line has, again and again, so that many of them together are"
	                 " far smaller than each of them alone can ever be, which is what this is about");
	return message_new(NULL, 0, text, (uint32_t)bytes, (int64_t)(1700000000000 + id * 7 % 1000));
}

/* `count` commits of `size` messages. */
static void append(struct store *s, uint64_t count, uint64_t size, bool plain)
{
	for (uint64_t i = 0; i < count; i++) {
		ok(store_begin(s, e));
		store_let_ledger_wait(s);
		for (uint64_t k = 0; k < size; k++) {
			struct message *m = make(s->now.next_id, plain);

			ok(store_append(s, m, e));
			message_free(m);
		}
		ok(store_commit(s, e));
	}
}

static void settle(struct store *s, uint64_t first, uint64_t last, enum settle_kind kind)
{
	ok(store_begin(s, e));
	for (uint64_t id = first; id <= last; id++) {
		const struct store_settlement item = {.id = id, .kind = kind, .attempts = 1, .wait_ms = 0, .code = "x"};

		ok(store_settle(s, &item, 1, e));
	}
	ok(store_commit(s, e));
}

/* All steps; returns how many there were. */
static int merge(struct store *s, uint64_t after_id)
{
	bool more = true;
	int steps = 0;

	while (more) {
		ok(store_merge(s, after_id, &more, e));
		must(++steps < 10000);
	}
	return steps;
}

/* Every message that is pending and has not failed is what was appended under its id; returns how many. */
static uint32_t read_all(struct store *s, bool plain)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	const struct message *m;
	uint64_t last = 0, before = 0;
	uint32_t count, all = 0;

	do {
		ok(store_read(s, last, 100000, UINT64_MAX, &list, &count, &last, e));
		all += count;
	} while (last + 1 < store_next_id(s)); /* it stops behind a block that it took apart */
	STAILQ_FOREACH (m, &list, link) {
		struct message *want = make(m->id, plain);

		assert_true(m->id > before);
		before = m->id;
		assert_int_equal(m->body_bytes, want->body_bytes);
		assert_memory_equal(message_body(m), message_body(want), m->body_bytes);
		message_free(want);
	}
	message_list_free(&list);
	return all;
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

static void close_sound(struct store *s, struct spooldir *d)
{
	ok(store_close(s, e));
	assert_sound(d);
	spooldir_remove(d);
}

static void lone_messages_become_large_blocks(void **state)
{
	struct spooldir d;
	struct store *s;
	struct store_ledger before;
	uint64_t bytes;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, 2000, 1, true);
	before = *store_ledger(s);
	bytes = store_pending_bytes(s);
	(void)merge(s, 0);
	assert_false(s->backlog_waits); /* as it was: what comes now is not made small */
	assert_in_range(number(s, "SELECT count(*) FROM blocks"), 4, 3 + 2000 % BLOCK_MESSAGES);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE count = 512 AND codec = 1"), 3);
	assert_true(number(s, "SELECT sum(length(body)) * 3 < sum(bytes) FROM blocks WHERE count = 512"));
	assert_memory_equal(store_ledger(s), &before, sizeof before);
	assert_int_equal(store_pending_bytes(s), bytes);
	assert_int_equal(read_all(s, true), 2000);
	store_abandon(s);
	assert_sound(&d);
	s = open_it(&d);
	assert_memory_equal(store_ledger(s), &before, sizeof before);
	assert_int_equal(store_pending_bytes(s), bytes);
	assert_int_equal(read_all(s, true), 2000);
	settle(s, 3, 700, SETTLE_DELIVERED);
	settle(s, 1999, 1999, SETTLE_DEAD);
	assert_int_equal(read_all(s, true), 2000 - 698 - 1);
	append(s, 600, 1, true);
	(void)merge(s, 0);
	assert_int_equal(read_all(s, true), 2000 - 698 - 1 + 600);
	close_sound(s, &d);
}

/* Whatever the sizes of commits: never more than a block may hold, and all that is there before is there after. */
static void any_mix_of_commits_stays_what_it_is(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct spooldir d;
		struct store *s;
		uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15);

		spooldir_make(&d);
		s = open_it(&d);
		for (int i = 0; i < 300; i++) {
			x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
			append(s, 1, x >> 33 & 15 ? 1 + (x >> 40) % 9 : 1 + (x >> 40) % 600, true);
			if ((x >> 50 & 31) == 0)
				(void)merge(s, x >> 60 ? 0 : s->durable.next_id / 2);
			if ((x >> 55 & 31) == 0)
				settle(s, s->durable.next_id - 1, s->durable.next_id - 1, SETTLE_DELIVERED);
		}
		(void)merge(s, 0);
		assert_true(number(s, "SELECT max(count) FROM blocks") <= BLOCK_MESSAGES);
		assert_int_equal(read_all(s, true), store_ledger(s)->pending);
		close_sound(s, &d);
	}
}

static void what_is_on_its_way_is_not_touched(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, 1000, 1, true);
	claimed_first = 300;
	claimed_last = 310;
	(void)merge(s, 200);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE id <= 200"), 200);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE id BETWEEN 300 AND 310 AND count = 1"), 11);
	assert_int_equal(number(s, "SELECT count FROM blocks WHERE id = 201"), 99);
	assert_int_equal(number(s, "SELECT count FROM blocks WHERE id = 311"), 512);
	claimed_last = 0;
	assert_int_equal(read_all(s, true), 1000);
	close_sound(s, &d);
}

/* Of each message: what became of it, when it is due again, how often it was tried. */
static void marks_and_failures_stay(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, 200, 4, true);
	settle(s, 402, 402, SETTLE_DELIVERED); /* of a block of four */
	settle(s, 501, 504, SETTLE_DELIVERED); /* all of one: a gap */
	settle(s, 600, 600, SETTLE_RETRY);
	(void)merge(s, 0);
	assert_int_equal(number(s, "SELECT count(*) FROM partial WHERE block_id = 401"), 1);
	assert_int_equal(number(s, "SELECT count FROM blocks WHERE id = 401"), 4);
	assert_int_equal(number(s, "SELECT count FROM blocks WHERE id = 1"), 400);
	assert_int_equal(number(s, "SELECT count FROM blocks WHERE id = 405"), 96);
	assert_int_equal(number(s, "SELECT id FROM failures"), 600);
	assert_int_equal(store_retrying(s), 1);
	assert_int_equal(read_all(s, true), 800 - 5 - 1);
	settle(s, 600, 600, SETTLE_DELIVERED);
	assert_int_equal(store_retrying(s), 0);
	close_sound(s, &d);
}

static void what_does_not_become_smaller_is_left_as_it_is(void **state)
{
	static const enum store_compress forms[] = {STORE_COMPRESS_AUTO, STORE_COMPRESS_NEVER};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		s = open_with(&d, forms[i]);
		append(s, 3000, 1, forms[i] == STORE_COMPRESS_NEVER);
		(void)merge(s, 0);
		assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 3000);
		assert_int_equal(read_all(s, forms[i] == STORE_COMPRESS_NEVER), 3000);
		close_sound(s, &d);
	}
}

/* A flipped bit in one of them costs that one, not the 512 it would have been joined with. */
static void what_is_not_sound_is_not_joined(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	for (int lie = 0; lie < 3; lie++) {
		spooldir_make(&d);
		s = open_it(&d);
		append(s, 1200, 1, true);
		assert_int_equal(
		    sqlite3_exec(s->db,
		                 lie == 0   ? "UPDATE blocks SET body = CAST(x'00' || body AS BLOB) WHERE id = 100"
		                 : lie == 1 ? "UPDATE blocks SET checksum = 1 WHERE id = 100"
		                            : "UPDATE blocks SET count = 2 WHERE id = 100",
		                 NULL, NULL, NULL),
		    SQLITE_OK);
		(void)merge(s, 0);
		assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE id = 100"), 1);
		assert_in_range(read_all(s, true), lie == 0 ? 1199 : 1200, lie == 0 ? 1199 : 1200);
		ok(store_close(s, e));
		spooldir_remove(&d);
	}
}

/* A spool as the first schema left it, one row a message; it ends without a commit that knows of blocks. */
static void append_rows(struct store *s, uint64_t count)
{
	ok(store_begin(s, e));
	for (uint64_t n = 0; n < count; n++) {
		struct message *m = make(s->now.next_id, true);
		sqlite3_stmt *st = store_statement(s, ST_INSERT);

		row_bind(st, 1, s->now.next_id, m, 0);
		ok(store_run(s, st, e, "insert"));
		s->now.next_id++;
		s->now.ledger.accepted++;
		s->now.ledger.pending++;
		s->now.pending_bytes += (uint64_t)m->meta_bytes + m->body_bytes;
		message_free(m);
	}
	ok(store_commit(s, e));
}

static void append_large(struct store *s)
{
	struct message *m = spooldir_message(1, BLOCK_BYTES + 1);

	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	ok(store_commit(s, e));
	message_free(m);
}

static void rows_of_the_first_schema_become_blocks(void **state)
{
	struct spooldir d;
	struct store *s;
	struct store_ledger before;
	bool more = true;
	int percent = 0;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append_rows(s, 1500);
	append_large(s); /* 1501 */
	append_rows(s, 700);
	settle(s, 40, 40, SETTLE_RETRY);
	settle(s, 50, 50, SETTLE_DELIVERED);
	append(s, 3, 20, true);
	settle(s, 2205, 2205, SETTLE_RETRY);
	settle(s, 2205, 2205, SETTLE_RETRY); /* leaves its block */
	store_abandon(s);
	s = open_it(&d);
	before = *store_ledger(s);
	while (more) {
		ok(store_merge(s, 0, &more, e));
		assert_in_range(store_merge_percent(s), percent, 100);
		percent = store_merge_percent(s);
		store_abandon(s); /* a kill between any two steps */
		s = open_it(&d);
		percent = 0;
		more = more && number(s, "SELECT count(*) FROM messages") > 3;
	}
	(void)merge(s, 0);
	assert_int_equal(store_merge_percent(s), 100);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"),
	                 2 + (number(s, "SELECT count(*) FROM messages WHERE id = 2205")));
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE (id, count) IN (VALUES (1, 39), (41, 9),"
	                           " (51, 512), (563, 512), (1075, 426), (1502, 512), (2014, 188))"),
	                 7);
	assert_int_equal(number(s, "SELECT id FROM messages ORDER BY id LIMIT 1"), 40);
	assert_int_equal(number(s, "SELECT id FROM messages ORDER BY id LIMIT 1 OFFSET 1"), 1501);
	assert_memory_equal(store_ledger(s), &before, sizeof before);
	settle(s, 1501, 1501, SETTLE_DELIVERED);
	assert_int_equal(read_all(s, true), 2200 - 2 + 60 - 1);
	close_sound(s, &d);
}

/* It has an end, whichever of them leave before it comes to them. */
static void rows_that_left_are_not_waited_for(void **state)
{
	(void)state;
	for (uint64_t left = 1; left <= 60; left += 59) {
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		s = open_it(&d);
		append_rows(s, 60);
		append_large(s);
		store_abandon(s);
		s = open_it(&d);
		assert_int_equal(store_merge_percent(s), 0);
		settle(s, 61 - left, 60, SETTLE_DELIVERED);
		assert_in_range(merge(s, 0), 1, 4);
		assert_int_equal(store_merge_percent(s), 100);
		store_abandon(s);
		s = open_it(&d);
		assert_int_equal(store_merge_percent(s), 100); /* one that stays alone is none of them */
		close_sound(s, &d);
	}
}

/* `count` blocks of `size` messages that repeat one byte, `bytes` of them in all as stored; then one that is not small,
 * or nothing. */
static void append_blocks(struct store *s, uint64_t count, uint32_t size, uint32_t bytes)
{
	unsigned char *body = mem_zero(bytes + 1u);

	for (uint64_t i = 0; i < count; i++) {
		ok(store_begin(s, e));
		for (uint32_t k = 0; k < size; k++) {
			struct message *m = message_new(NULL, 0, body, bytes, 1700000000000);

			ok(store_append(s, m, e));
			message_free(m);
		}
		ok(store_commit(s, e));
	}
	free(body);
}

/* What is small, how many are worth it, and when a run has its end: each by one. */
static void a_run_is_worth_it_or_not(void **state)
{
	static const struct {
		uint32_t first, blocks, size, bytes, more; /* messages in one block before and behind them */
		uint64_t left;                             /* blocks */
	} cases[] = {
	    {0, 8, 9, 100, 200, 2},  {0, 7, 9, 100, 200, 8},  {0, 8, 64, 10, 200, 2},
	    {0, 8, 65, 10, 200, 9},  {128, 7, 9, 10, 200, 2}, {129, 7, 9, 10, 200, 9},
	    {0, 20, 9, 100, 0, 20},  {0, 64, 9, 10, 200, 3},  {0, 8, 9, 1811, 200, 2}, /* 9 x 1820 = 16380 as stored */
	    {0, 8, 9, 1812, 200, 9},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct store *s;
		uint32_t all = cases[i].first + cases[i].blocks * cases[i].size + cases[i].more;

		spooldir_make(&d);
		s = open_it(&d);
		if (cases[i].first)
			append_blocks(s, 1, cases[i].first, 1);
		append_blocks(s, cases[i].blocks, cases[i].size, cases[i].bytes);
		if (cases[i].more)
			append_blocks(s, 1, cases[i].more, 1);
		(void)merge(s, 0);
		if (number(s, "SELECT count(*) FROM blocks") != (int64_t)cases[i].left)
			fail_msg("case %u: %d blocks are left", (unsigned)i,
			         (int)number(s, "SELECT count(*) FROM blocks"));
		assert_int_equal(number(s, "SELECT sum(count) FROM blocks"), all);
		close_sound(s, &d);
	}
}

/* A run of what cannot be made smaller is tried once, and the next fifteen are passed over. */
static void runs_are_skipped_after_one_that_was_not_worth_it(void **state)
{
	struct spooldir d;
	struct store *s;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append(s, 9, 9, false); /* of 200 random bytes each */
	for (int i = 0; i < 20; i++) {
		append_blocks(s, 1, 200, 1);
		append_blocks(s, 8, 9, 100);
	}
	append_blocks(s, 1, 200, 1);
	while (more)
		ok(store_merge(s, 0, &more, e));
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE count = 9"), 9 + 15 * 8);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE count = 72"), 5);
	close_sound(s, &d);
}

/* Rows that left a block stand in its span, and stay alone; those before it become a block of their own. */
static void a_row_in_the_span_of_a_block_stays_alone(void **state)
{
	struct spooldir d;
	struct store *s;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append_rows(s, 5);
	append(s, 1, 10, true); /* 6 to 15 */
	for (int twice = 0; twice < 2; twice++)
		for (uint64_t id = 6; id <= 8; id++) {
			const struct store_settlement item = {
			    .id = id, .kind = SETTLE_RETRY, .attempts = 2, .code = "x"};

			ok(store_begin(s, e));
			ok(store_settle(s, &item, 1, e));
			ok(store_commit(s, e));
		}
	assert_int_equal(sqlite3_exec(s->db, "DELETE FROM failures", NULL, NULL, NULL), SQLITE_OK);
	store_abandon(s);
	s = open_it(&d);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"), 8);
	(void)merge(s, 0);
	assert_int_equal(number(s, "SELECT count(*) FROM messages WHERE id BETWEEN 6 AND 8"), 3);
	assert_int_equal(number(s, "SELECT count(*) FROM messages"), 3);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE id = 1 AND count = 5"), 1);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks WHERE id = 6 AND count = 10"), 1);
	assert_int_equal(read_all(s, true), 15);
	close_sound(s, &d);
}

/* What may still grow is left alone until 64 more messages came. */
static void a_run_that_may_grow_is_looked_at_again(void **state)
{
	struct spooldir d;
	struct store *s;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append_blocks(s, 8, 9, 100); /* next id 73 */
	ok(store_merge(s, 0, &more, e));
	assert_false(more);
	append_blocks(s, 1, 63, 400); /* too large as it is stored, one too few to look */
	ok(store_merge(s, 0, &more, e));
	assert_false(more);
	append_blocks(s, 1, 1, 1);
	ok(store_merge(s, 0, &more, e));
	assert_true(more);
	assert_int_equal(number(s, "SELECT count(*) FROM blocks"), 3);
	close_sound(s, &d);
}

/* Nothing is joined while a disk is full, or the files are gone. */
static void nothing_is_joined_in_trouble(void **state)
{
	struct spooldir d;
	struct store *s;
	bool more = true;

	(void)state;
	spooldir_make(&d);
	s = open_it(&d);
	append_blocks(s, 8, 9, 100);
	append_blocks(s, 1, 200, 1);
	for (int trouble = 0; trouble < 4; trouble++) {
		s->full_disk = trouble == 0;
		s->disk_refused = trouble == 1;
		s->files_lost = trouble == 2;
		more = true;
		ok(store_merge(s, 0, &more, e));
		assert_int_equal(more, trouble == 3);
		assert_int_equal(number(s, "SELECT count(*) FROM blocks"), trouble == 3 ? 2 : 9);
	}
	assert_int_equal(store_merge_percent(s), 100);
	s->merging = (struct merging){.first_row = 101, .row_at = 101, .last_row = 300};
	assert_int_equal(store_merge_percent(s), 0);
	s->merging.row_at = 151;
	assert_int_equal(store_merge_percent(s), 25);
	s->merging.row_at = 301;
	assert_int_equal(store_merge_percent(s), 100);
	s->merging.last_row = 0;
	close_sound(s, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lone_messages_become_large_blocks),
	    cmocka_unit_test(any_mix_of_commits_stays_what_it_is),
	    cmocka_unit_test(what_is_on_its_way_is_not_touched),
	    cmocka_unit_test(marks_and_failures_stay),
	    cmocka_unit_test(what_does_not_become_smaller_is_left_as_it_is),
	    cmocka_unit_test(what_is_not_sound_is_not_joined),
	    cmocka_unit_test(rows_of_the_first_schema_become_blocks),
	    cmocka_unit_test(rows_that_left_are_not_waited_for),
	    cmocka_unit_test(a_run_is_worth_it_or_not),
	    cmocka_unit_test(runs_are_skipped_after_one_that_was_not_worth_it),
	    cmocka_unit_test(nothing_is_joined_in_trouble),
	    cmocka_unit_test(a_run_that_may_grow_is_looked_at_again),
	    cmocka_unit_test(a_row_in_the_span_of_a_block_stays_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
