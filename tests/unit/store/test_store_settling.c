/*
 * Settlements beside a list of what waits: every run of ids, whatever it meets of blocks, of what stands alone and of
 * what is gone; more blocks than are looked up at once; and each way to wait for another try.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { LAST = 17, BYTES = 10, RETRY_MOST_MS = 3600000 };

static struct spooldir d;
static struct store *s;
static struct error e;

static uint32_t bytes_of(uint64_t id) { return BYTES + (uint32_t)id; }

static void append(uint64_t count)
{
	const char body[BYTES + LAST] = {0};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < count; n++) {
		const uint64_t id = s->now.next_id;
		struct message *m = message_new(NULL, 0, body, id <= LAST ? bytes_of(id) : BYTES, 1700000000000);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static void settle(uint64_t id, enum settle_kind kind, uint32_t attempts, int64_t wait_ms)
{
	const struct store_settlement item = {
	    .id = id, .kind = kind, .attempts = attempts, .wait_ms = wait_ms, .code = "x"};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* Blocks 1-3, 4-5, 6-9, 10-12, 13, 14-17; of them 6 and 9 stand alone, 11 is on the shelf, 15 was delivered. */
static int begin(void **state)
{
	static const uint64_t counts[] = {3, 2, 4, 3, 1, 4};

	(void)state;
	s = life_begin(&d);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		append(counts[i]);
	settle(6, SETTLE_RETRY, 5, 1000);
	settle(9, SETTLE_RETRY, 5, 1000);
	settle(11, SETTLE_DEAD, 1, 0);
	settle(15, SETTLE_DELIVERED, 1, 0);
	settle(4, SETTLE_RETRY, 1, 0); /* waits in its block */
	assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 6);
	assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 2);
	return 0;
}

static int end(void **state)
{
	(void)state;
	clock_test_end();
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static bool waits(uint64_t id) { return id >= 1 && id <= LAST && id != 11 && id != 15; }

/* What waits in the tables, as the open group has them. */
static void expect_waiting(uint64_t first, uint64_t last)
{
	const uint64_t failed[] = {4, 6, 9};
	struct block_walk w;
	struct block_message m;
	uint64_t bytes = 0, count = 0, retrying = 0, id = 1;
	int rc;

	assert_int_equal(store_marks_flush(s, &e), ERR_OK);
	assert_int_equal(walk_open(&w, s->db, s->tag, 0, UINT64_MAX), SQLITE_OK);
	while ((rc = walk_next(&w, &m)) == SQLITE_ROW) {
		while (id <= LAST && (!waits(id) || (id >= first && id <= last)))
			id++;
		if (m.row.id != id)
			fail_msg("%d to %d: %d waits, and not %d", (int)first, (int)last, (int)m.row.id, (int)id);
		assert_int_equal(m.row.body_bytes, bytes_of(id));
		bytes += bytes_of(id++);
		count++;
	}
	walk_close(&w);
	assert_int_equal(rc, SQLITE_DONE);
	while (id <= LAST && (!waits(id) || (id >= first && id <= last)))
		id++;
	assert_int_equal(id, LAST + 1);
	assert_int_equal(s->now.ledger.pending, count);
	assert_int_equal(s->now.pending_bytes, bytes);
	for (size_t i = 0; i < 3; i++)
		retrying += failed[i] < first || failed[i] > last;
	assert_int_equal(s->now.retrying, retrying);
	assert_int_equal(life_number(s, "SELECT count(*) FROM failures"), retrying);
	assert_int_equal(life_number(s, "SELECT coalesce(sum(settled), 0) FROM partial"),
	                 life_number(s, "SELECT sum(count) FROM blocks") +
	                     life_number(s, "SELECT count(*) FROM messages") - (int64_t)count);
}

/* Whether what it weighs is known of all, of some, of none. */
static void every_run_leaves_or_none_of_it(void **state)
{
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_EXPIRED, SETTLE_EVICTED, SETTLE_FILTERED};

	(void)state;
	for (uint64_t first = 1; first <= LAST + 1; first++)
		for (uint64_t last = first; last <= LAST + 1; last++)
			for (int known = 0; known < 3; known++) {
				const enum settle_kind kind = kinds[(first + last) % 4];
				struct store_settlement items[LAST + 1];
				const struct store_ledger before = s->now.ledger;
				const uint64_t count = last - first + 1;
				uint64_t missing = 0, gone;
				enum err err;

				for (uint64_t id = first; id <= last; id++) {
					missing += !waits(id);
					items[id - first] = (struct store_settlement){
					    .id = id,
					    .kind = kind,
					    .bytes = known == 2 || (known == 1 && id % 2) ? bytes_of(id) : 0};
				}
				assert_int_equal(store_begin(s, &e), ERR_OK);
				err = store_settle(s, items, count, &e);
				if (missing > 0) {
					char want[100];

					assert_int_equal(err, ERR_DAMAGED);
					(void)snprintf(
					    want, sizeof want,
					    ": messages %d to %d were read, and %d of them are not where they"
					    " must be",
					    (int)first, (int)last, (int)missing);
					if (!strstr(e.text, want))
						fail_msg("%s: %s", want, e.text);
					assert_false(store_in_group(s));
					continue;
				}
				assert_int_equal(err, ERR_OK);
				gone = kind == SETTLE_DELIVERED ? s->now.ledger.delivered - before.delivered
				       : kind == SETTLE_EXPIRED ? s->now.ledger.expired - before.expired
				       : kind == SETTLE_EVICTED ? s->now.ledger.evicted - before.evicted
				                                : s->now.ledger.filtered - before.filtered;
				assert_int_equal(gone, count);
				assert_int_equal(s->unexpected_settlements, 0);
				expect_waiting(first, last);
				store_rollback(s);
			}
}

/* Where it may be gone, that is counted, and nothing is said of it; each goes alone. */
static void what_may_be_gone_is_counted(void **state)
{
	(void)state;
	for (uint64_t first = 1; first <= LAST + 1; first++)
		for (uint64_t last = first; last <= LAST + 1; last++) {
			struct store_settlement items[LAST + 1];
			const uint64_t before = s->unexpected_settlements, delivered = s->now.ledger.delivered;
			uint64_t missing = 0;

			for (uint64_t id = first; id <= last; id++) {
				missing += !waits(id);
				items[id - first] = (struct store_settlement){
				    .id = id, .kind = SETTLE_DELIVERED, .bytes = bytes_of(id), .may_be_gone = true};
			}
			assert_int_equal(store_begin(s, &e), ERR_OK);
			assert_int_equal(store_settle(s, items, last - first + 1, &e), ERR_OK);
			assert_int_equal(s->unexpected_settlements - before, missing);
			assert_int_equal(s->now.ledger.delivered - delivered, last - first + 1 - missing);
			left_keep(s->left, s->durable.commits);
			for (uint64_t id = 1; id <= LAST; id++) {
				const bool is_noted = id >= first && id <= last && waits(id);

				if (left_has(s->left, id) != (is_noted || id == 15))
					fail_msg("%d of %d to %d", (int)id, (int)first, (int)last);
				if (is_noted)
					left_note_back(s->left, id);
			}
			left_keep(s->left, s->durable.commits);
			if (!(first <= 15 && last >= 15) && !(first <= 11 && last >= 11) && last <= LAST)
				expect_waiting(first, last);
			store_rollback(s);
		}
}

/* As many blocks as are looked up at once, one less, one more; and with what stands alone behind them. */
static void more_blocks_than_are_looked_up_at_once(void **state)
{
	enum { AT_ONCE = 64, BLOCKS = 2 * AT_ONCE + 3 };
	static const uint64_t counts[] = {AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 2 * AT_ONCE + 1, BLOCKS};
	struct store_settlement items[BLOCKS];

	(void)state;
	(void)end(NULL);
	s = life_begin(&d);
	for (int i = 0; i < BLOCKS; i++)
		append(1);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		for (uint64_t gap = 0; gap < 3; gap++) {
			const uint64_t first = gap + 1, count = counts[i] - gap;

			assert_int_equal(store_begin(s, &e), ERR_OK);
			if (gap == 2) /* one of them has its mark, so that its block goes alone */
				assert_int_equal(
				    store_settle(
				        s, &(struct store_settlement){.id = 10, .kind = SETTLE_RETRY, .attempts = 9}, 1,
				        &e),
				    ERR_OK);
			for (uint64_t n = 0; n < count; n++)
				items[n] = (struct store_settlement){.id = first + n, .kind = SETTLE_DELIVERED};
			assert_int_equal(store_settle(s, items, count, &e), ERR_OK);
			assert_int_equal(s->now.ledger.delivered, count);
			assert_int_equal(store_marks_flush(s, &e), ERR_OK);
			assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), BLOCKS - (int64_t)count);
			assert_int_equal(life_number(s, "SELECT count(*) FROM messages"), 0);
			store_rollback(s);
		}
}

/* Its row of `failures`; `alone`: the message stands in `messages`, too. */
static void expect_failure(uint64_t id, uint32_t attempts, int64_t next_ms, bool alone)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(
	    sqlite3_prepare_v2(
	        s->db,
	        "SELECT attempts, next_ms, first_ms, code, reason, side_is_sound(6, checksum, id, attempts,"
	        " next_ms, first_ms, code, reason), EXISTS (SELECT 1 FROM messages AS m WHERE m.id = f.id"
	        " AND length(m.body) = ?2) FROM failures AS f WHERE id = ?1",
	        -1, &st, NULL),
	    SQLITE_OK);
	sql_bind_u64(st, 1, id);
	sql_bind_u64(st, 2, bytes_of(id));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), attempts);
	assert_int_equal(sqlite3_column_int64(st, 1), next_ms);
	assert_int_equal(sqlite3_column_int64(st, 2) == INT64_C(1800000000000), id == 5); /* the first time */
	assert_string_equal(sqlite3_column_text(st, 3), "Slow");
	assert_string_equal(sqlite3_column_text(st, 4), "too slow");
	assert_int_equal(sqlite3_column_int(st, 5), 1);
	if (sqlite3_column_int(st, 6) != alone)
		fail_msg("message %d, %d attempts: it moves: %d", (int)id, (int)attempts, !alone);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

/* Which leave their block meanwhile, and when they are due. */
static void what_waits_for_another_try(void **state)
{
	static const struct {
		uint32_t attempts;
		int64_t wait_ms, waits;
		bool full, refused, moves;
	} cases[] = {
	    {1, 0, 0, false, false, false},
	    {1, 1000, 1000, false, false, false},
	    {1, 1001, 1001, false, false, true},
	    {2, 0, 0, false, false, true},
	    {2, 0, 0, true, false, false},
	    {2, 0, 0, false, true, false},
	    {1, 5000, 5000, true, true, false},
	    {1, -5, 0, false, false, false},
	    {1, INT64_MIN, 0, false, false, false},
	    {3, RETRY_MOST_MS, RETRY_MOST_MS, false, false, true},
	    {3, RETRY_MOST_MS + 1, RETRY_MOST_MS, false, false, true},
	    {3, INT64_MAX, RETRY_MOST_MS, false, false, true},
	};

	(void)state;
	clock_test_set(clock_mono_ns(), INT64_C(1800000000000) * NS_PER_MS);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (uint64_t id = 4; id <= 5; id++) { /* 4 failed before */
			const int64_t now_ms = store_clock_ms(s), next_ms = now_ms + cases[i].waits;
			const struct store_settlement item = {.id = id,
			                                      .kind = SETTLE_RETRY,
			                                      .attempts = cases[i].attempts,
			                                      .wait_ms = cases[i].wait_ms,
			                                      .code = "Slow",
			                                      .reason = (char *)(uintptr_t) "too slow"};

			assert_int_equal(store_begin(s, &e), ERR_OK);
			s->full_disk = cases[i].full;
			s->disk_refused = cases[i].refused;
			s->failures_max_id = 4;
			s->due_ms = next_ms + (int64_t)(i % 3) - 1;
			s->due_id = 99;
			s->clock_is_due = false;
			assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
			assert_true(s->clock_is_due);
			assert_int_equal(s->failures_max_id, id);
			assert_int_equal(s->due_ms, i % 3 == 0 ? next_ms - 1 : next_ms);
			assert_int_equal(s->due_id, i % 3 == 0 ? 99 : 0);
			assert_int_equal(s->now.retrying, id == 4 ? 3 : 4);
			s->full_disk = s->disk_refused = false;
			assert_int_equal(store_marks_flush(s, &e), ERR_OK);
			expect_failure(id, cases[i].attempts, next_ms, cases[i].moves);
			if (cases[i].moves)
				assert_true(s->now.rows_from <= id && s->now.rows_from > 0);
			store_rollback(s);
		}
}

/* One that is not there is impossible, or may be gone. */
static void what_is_not_there_cannot_wait(void **state)
{
	(void)state;
	for (int may = 0; may < 2; may++) {
		const struct store_settlement item = {
		    .id = 15, .kind = SETTLE_RETRY, .attempts = 2, .may_be_gone = may};
		const uint64_t before = s->unexpected_settlements;

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, &item, 1, &e), may ? ERR_OK : ERR_DAMAGED);
		if (!may)
			assert_non_null(
			    strstr(e.text, ": messages 15 to 15 were read, and 1 of them are not where they must be"));
		assert_int_equal(s->unexpected_settlements - before, may);
		assert_int_equal(s->now.retrying, 3);
		store_rollback(s);
	}
	for (uint64_t id = 0; id <= LAST + 1; id++) {
		bool is_there = !waits(id);

		assert_int_equal(store_is_pending(s, id, &is_there, &e), ERR_OK);
		assert_int_equal(is_there, waits(id));
		assert_int_equal(s->marks.count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(every_run_leaves_or_none_of_it, begin, end),
	    cmocka_unit_test_setup_teardown(what_may_be_gone_is_counted, begin, end),
	    cmocka_unit_test_setup_teardown(more_blocks_than_are_looked_up_at_once, begin, end),
	    cmocka_unit_test_setup_teardown(what_waits_for_another_try, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_not_there_cannot_wait, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
