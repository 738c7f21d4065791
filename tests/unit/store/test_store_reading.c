/*
 * Reading, limit by limit: how many rows and bytes at once, what is set aside on the way and how much of it, how far a
 * block is believed that lies about its count, what becomes of a read that fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { BLOCKS = 3, BLOCK = 10, ROWS = BLOCKS * BLOCK, BYTES = 106 };

static struct spooldir d;
static struct store *s;
static struct error e;
static struct message_list list;

/* `count` messages of 100 bytes and 6 of metadata, in one commit. */
static void append(uint64_t count)
{
	const char body[100] = {0};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 0; n < count; n++) {
		struct message *m = message_new("abcdef", 6, body, sizeof body, 1700000000000);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	STAILQ_INIT(&list);
	for (int i = 0; i < BLOCKS; i++)
		append(BLOCK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	message_list_free(&list);
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void begin_anew(void)
{
	(void)end(NULL);
	(void)begin(NULL);
}

static void settle(uint64_t id, enum settle_kind kind, uint32_t attempts, int64_t wait_ms)
{
	const struct store_settlement item = {
	    .id = id, .kind = kind, .attempts = attempts, .wait_ms = wait_ms, .code = "x"};

	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_settle(s, &item, 1, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
}

/* "1 2 5": the ids of a table's rows. */
static void expect_ids(const char *sql, const char *want)
{
	char text[1000] = "";
	sqlite3_stmt *st = NULL;
	int rc;

	assert_int_equal(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), SQLITE_OK);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const size_t used = strlen(text);

		(void)snprintf(text + used, sizeof text - used, "%s%d", used ? " " : "", sqlite3_column_int(st, 0));
	}
	assert_int_equal(rc, SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	if (strcmp(text, want) != 0)
		fail_msg("%s: %s, and not %s", sql, text, want);
}

/* The first comes whatever its size; the others while they fit, to the byte. */
static void limits_hold_to_the_byte(void **state)
{
	static const uint64_t cost = sizeof(struct message) + BYTES;
	const struct {
		uint32_t rows, want;
		uint64_t bytes;
	} cases[] = {
	    {0, 0, UINT64_MAX}, {1, 1, UINT64_MAX},     {5, 5, UINT64_MAX},     {100, ROWS, UINT64_MAX},
	    {100, 1, 0},        {100, 1, cost},         {100, 1, 2 * cost - 1}, {100, 2, 2 * cost},
	    {100, 7, 7 * cost}, {100, 6, 7 * cost - 1}, {6, 6, 7 * cost},
	};

	(void)state;
	for (int is_due = 0; is_due < 2; is_due++) {
		for (uint64_t id = 1; is_due && id <= ROWS; id++)
			settle(id, SETTLE_RETRY, (uint32_t)id + 7, 0);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			const struct message *m;
			uint32_t count = 77;
			uint64_t last = 77, n = 0;

			s->due_ms = 0;
			s->due_id = 0;
			if (is_due)
				assert_int_equal(store_read_due(s, INT64_MAX, cases[i].rows, cases[i].bytes, NULL, NULL,
				                                &list, &count, &e),
				                 ERR_OK);
			else
				assert_int_equal(
				    store_read(s, 0, cases[i].rows, cases[i].bytes, &list, &count, &last, &e), ERR_OK);
			assert_int_equal(count, cases[i].want);
			if (!is_due)
				assert_int_equal(last, cases[i].want);
			STAILQ_FOREACH (m, &list, link) {
				assert_int_equal(m->id, ++n);
				assert_int_equal(m->attempts, is_due ? n + 7 : 0);
				assert_int_equal(m->meta_bytes + m->body_bytes, BYTES);
			}
			assert_int_equal(n, count);
			if (is_due) /* the next goes on behind it */
				assert_int_equal(s->due_id, cases[i].want);
			message_list_free(&list);
		}
	}
}

/* From where, up to where: nothing else comes. */
static void ranges_hold(void **state)
{
	(void)state;
	settle(13, SETTLE_DELIVERED, 1, 0);
	settle(17, SETTLE_RETRY, 1, 1800000); /* moved out, and read when it is due */
	settle(18, SETTLE_RETRY, 1, 0);       /* likewise, in its block */
	for (uint64_t first = 1; first <= ROWS + 2; first++)
		for (uint64_t last = first; last <= ROWS + 2; last++) {
			const struct message *m;
			uint64_t id = first, until = 77;
			uint32_t count = 77;

			assert_int_equal(store_read_range(s, first, last, 100, UINT64_MAX, &list, &count, &until, &e),
			                 ERR_OK);
			assert_int_equal(until, last);
			STAILQ_FOREACH (m, &list, link) {
				while (id == 13 || id == 17 || id == 18)
					id++;
				assert_int_equal(m->id, id++);
				count--;
			}
			while (id == 13 || id == 17 || id == 18)
				id++;
			assert_int_equal(count, 0);
			if (first <= ROWS)
				assert_int_equal(id, last >= ROWS ? ROWS + 1 : id > last + 1 ? id : last + 1);
			message_list_free(&list);
		}
	for (uint64_t after = 0; after <= ROWS + 3; after++) {
		uint64_t last = 77;
		uint32_t count = 77;

		assert_int_equal(store_read(s, after, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		assert_int_equal(last, after > ROWS ? after : ROWS);
		message_list_free(&list);
	}
}

/* A block that lies about its count: no more than fits before the next, or was given out, but what proves itself. */
static void a_count_that_lies_is_bounded(void **state)
{
	static const struct {
		const char *harm; /* of a block whose bytes lie too */
		uint64_t id, next_id;
		const char *messages, *damaged;
		uint64_t new_next_id;
	} cases[] = {
	    {"count = 400", 11, 31, "11 12 13 14 15 16 17 18 19 20", "", 31},
	    {"count = 12", 11, 31, "11 12 13 14 15 16 17 18 19 20", "", 31},
	    {"count = 400", 21, 31, "21 22 23 24 25 26 27 28 29 30", "", 31},
	    {"count = 400", 21, 34, "21 22 23 24 25 26 27 28 29 30", "31 32 33", 34},
	    {"count = 12", 21, 34, "21 22 23 24 25 26 27 28 29 30", "31 32", 34},
	    {"count = 12", 21, 31, "21 22 23 24 25 26 27 28 29 30", "", 31},
	    {"count = 400", 21, 26, "21 22 23 24 25 26 27 28 29 30", "", 31},
	    {"count = 400", 21, 21, "21 22 23 24 25 26 27 28 29 30", "", 31},
	    {"count = 400", 21, 11, "21 22 23 24 25 26 27 28 29 30", "", 31},
	    {"count = 5", 11, 31, "11 12 13 14 15 16 17 18 19 20", "", 31},
	    {"count = 10, body = substr(body, 1, length(body) - 1)", 11, 31, "11 12 13 14 15 16 17 18 19", "20", 31},
	    {"count = 400, body = substr(body, 1, length(body) - 1)", 21, 31, "21 22 23 24 25 26 27 28 29", "30", 31},
	    {"count = 400, body = substr(body, 1, length(body) - 1)", 21, 25, "21 22 23 24 25 26 27 28 29", "", 30},
	    {"count = 400, body = CAST(substr(body, 1, length(body) - 200) || x'01' || substr(body, length(body) - 198)"
	     " AS BLOB)",
	     21, 25, "21 22 23 24 25 26 27 28 30", "29", 31},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sqlite3_stmt *st;
		char sql[300];

		begin_anew();
		(void)snprintf(sql, sizeof sql, "UPDATE blocks SET bytes = 7, %s WHERE id = %d", cases[i].harm,
		               (int)cases[i].id);
		life_sql(s, sql);
		st = store_statement(s, ST_BLOCK_FROM);
		sql_bind_u64(st, 1, cases[i].id);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		block_read(s->block, st);
		(void)sqlite3_reset(st);
		assert_false(s->block->is_sound);
		s->now.next_id = s->durable.next_id = cases[i].next_id;
		assert_int_equal(store_dissolve_block(s, &e), ERR_OK);
		expect_ids("SELECT id FROM messages ORDER BY id", cases[i].messages);
		expect_ids("SELECT id FROM damaged ORDER BY id", cases[i].damaged);
		assert_int_equal(s->durable.next_id, cases[i].new_next_id);
		assert_null(s->block->frames);
		(void)snprintf(sql, sizeof sql, "SELECT count(*) FROM blocks WHERE id = %d", (int)cases[i].id);
		assert_int_equal(life_number(s, sql), 0);
		assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), BLOCKS - 1);
	}
}

static void harm_blocks(void)
{
	life_sql(s, "UPDATE blocks SET checksum = checksum + 1 WHERE id IN (1, 21)");
	life_sql(s, "UPDATE blocks SET codec = 9 WHERE id = 21");
	block_forget(s->block);
}

/* Each block in turn; what left it does not come back, and what nobody finds is damaged. */
static void all_blocks_that_lie_are_taken_apart(void **state)
{
	bool failed = true;
	uint64_t n = 1;

	(void)state;
	for (; failed; n++) {
		enum err err;

		begin_anew();
		settle(3, SETTLE_DELIVERED, 1, 0);
		settle(15, SETTLE_DELIVERED, 1, 0);
		harm_blocks();
		assert_int_equal(store_begin(s, &e), ERR_OK);
		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_dissolve_all(s, &e);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(err, &e, NULL, "taken apart", n);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		if (failed) {
			assert_false(store_in_group(s));
			expect_ids("SELECT id FROM blocks ORDER BY id", "1 11 21");
			continue;
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		expect_ids("SELECT id FROM blocks ORDER BY id", "11");
		expect_ids("SELECT id FROM messages ORDER BY id", "1 2 4 5 6 7 8 9 10");
		expect_ids("SELECT id FROM damaged ORDER BY id", "21 22 23 24 25 26 27 28 29 30");
		assert_int_equal(life_number(s, "SELECT count(*) FROM damaged WHERE found_ms > 1700000000000"), BLOCK);
		expect_ids("SELECT block_id FROM partial", "11");
		assert_int_equal(store_ledger(s)->damaged, BLOCK);
		assert_int_equal(store_ledger(s)->pending, ROWS - 2 - BLOCK);
		assert_int_equal(store_pending_bytes(s), (ROWS - 2 - BLOCK) * BYTES);
		assert_int_equal(life_number(s, "SELECT messages FROM losses WHERE first_id = 21 AND last_id = 30"),
		                 BLOCK);
	}
	assert_true(n > 15);
}

/* One after the other, be they of one message each. */
static void no_block_that_lies_is_passed_over(void **state)
{
	(void)state;
	append(1);
	append(1);
	append(1);
	life_sql(s, "UPDATE blocks SET checksum = checksum + 1 WHERE id > 30");
	block_forget(s->block);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	assert_int_equal(store_dissolve_all(s, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	expect_ids("SELECT id FROM messages ORDER BY id", "31 32 33");
	expect_ids("SELECT id FROM blocks ORDER BY id", "1 11 21");
}

/* Of what is due without a message so many are cleared away at once; of what is damaged, too. */
static void so_much_is_set_aside_at_once(void **state)
{
	enum { MANY = DAMAGED_PER_READ + 44 };

	(void)state;
	life_sql(s, "WITH RECURSIVE n(id) AS (SELECT 1000 UNION ALL SELECT id + 1 FROM n WHERE id < 1299)"
	            " INSERT INTO failures SELECT id, 1, 5, 5, '', '', side_sum(6, id, 1, 5, 5, '', '') FROM n");
	s->now.retrying = s->durable.retrying = MANY;
	s->failures_max_id = 2000;
	for (int left = MANY; left > 0;) {
		uint32_t count = 77;

		assert_int_equal(store_read_due(s, INT64_MAX, 1000, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
		assert_int_equal(count, 0);
		left -= left < DAMAGED_PER_READ ? left : DAMAGED_PER_READ;
		assert_int_equal(life_number(s, "SELECT count(*) FROM failures"), left);
		assert_int_equal(s->durable.retrying, left);
		assert_int_equal(life_number(s, "SELECT coalesce(min(id), 1300) FROM failures"), 1300 - left);
	}
	life_expect(s, ROWS, 0, ROWS, 0);
	append(MANY);
	for (uint64_t id = ROWS + 1; id <= ROWS + MANY; id++)
		settle(id, SETTLE_RETRY, 5, 0);
	life_sql(s, "UPDATE messages SET body = x'00'");
	for (int is_due = 0; is_due < 2; is_due++) {
		uint64_t last = 77;
		uint32_t count = 77;

		if (!is_due) { /* as if none had failed */
			life_sql(s, "DELETE FROM failures");
			s->now.retrying = s->durable.retrying = 0;
			assert_int_equal(
			    store_read_range(s, ROWS + 1, ROWS + MANY, 1000, UINT64_MAX, &list, &count, &last, &e),
			    ERR_OK);
			assert_int_equal(last, ROWS + DAMAGED_PER_READ);
		} else {
			assert_int_equal(store_read(s, ROWS, 1000, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
			assert_int_equal(last, ROWS + MANY);
		}
		assert_int_equal(count, 0);
		life_expect(s, ROWS + MANY, 0, ROWS + (is_due ? 0 : MANY - DAMAGED_PER_READ),
		            is_due ? MANY : DAMAGED_PER_READ);
	}
}

/* A full disk lets nothing be set aside: what is damaged is passed over, and met again. */
static void on_a_full_disk_it_stays(void **state)
{
	(void)state;
	for (int is_full = 0; is_full < 2; is_full++) {
		int begins = 0;
		bool failed = true;

		for (uint64_t n = 1; failed; n++) {
			uint64_t last = 77;
			uint32_t count = 77;
			bool begun;
			enum err err;

			begin_anew();
			settle(15, SETTLE_RETRY, 5, 0);
			life_sql(s, "DELETE FROM failures; UPDATE messages SET body = x'00'");
			s->now.retrying = s->durable.retrying = 0;
			faultsql_arm(n, is_full ? SQLITE_FULL : SQLITE_NOMEM, false);
			err = store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e);
			failed = faultsql_failed();
			begun = failed && strcmp(faultsql_what(), "BEGIN IMMEDIATE") == 0;
			faultsql_arm(0, 0, false);
			message_list_free(&list);
			begins += begun;
			if (begun)
				assert_int_equal(err, is_full ? ERR_OK : ERR_MEMORY);
			if (begun && is_full)
				assert_true(count == ROWS - 1 && last == ROWS);
			if (begun || !failed)
				assert_int_equal(life_number(s, "SELECT count(*) FROM damaged"), !failed);
		}
		assert_int_equal(begins, 1);
	}
}

static bool is_odd(void *arg, uint64_t id)
{
	++*(int *)arg;
	return id % 2 == 1;
}

/* What is on its way is passed over, a row that is not what was written ends it, and a read that fails takes nothing.
 */
static void what_is_due_comes_once(void **state)
{
	const struct message *m;
	bool failed = true;
	uint32_t count = 77;
	uint64_t want = 2;
	int asked = 0;

	(void)state;
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 0);
	for (uint64_t id = 1; id <= 8; id++)
		settle(id, SETTLE_RETRY, 3, 0);
	for (uint64_t n = 1; failed; n++) {
		enum err err;

		s->due_ms = 4;
		s->due_id = 9;
		faultsql_arm(n, SQLITE_NOMEM, false);
		err = store_read_due(s, INT64_MAX, 10, UINT64_MAX, is_odd, &asked, &list, &count, &e);
		failed = faultsql_failed();
		ERRORWATCH_EXPECT(err, &e, NULL, "what is due", n);
		faultsql_arm(0, 0, false);
		assert_int_equal(err, failed ? ERR_MEMORY : ERR_OK);
		if (!failed)
			break;
		assert_int_equal(s->due_ms, 4);
		assert_int_equal(s->due_id, 9);
		message_list_free(&list);
	}
	assert_int_equal(count, 4);
	STAILQ_FOREACH (m, &list, link) {
		assert_int_equal(m->id, want);
		want += 2;
	}
	message_list_free(&list);
	assert_int_equal(s->due_id, 8); /* what is on its way is behind it as well */
	assert_int_equal(s->due_ms, life_number(s, "SELECT next_ms FROM failures WHERE id = 8"));
	assert_true(asked >= 8);
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 0);
	s->due_ms = 0;
	s->due_id = 0;
	assert_int_equal(
	    store_read_due(s, s->durable.retrying > 0 ? 5 : 0, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 0); /* none is due yet */
	assert_false(s->mend_is_due);
	life_sql(s, "UPDATE failures SET checksum = checksum + 1 WHERE id = 4");
	assert_int_equal(store_read_due(s, INT64_MAX, 10, UINT64_MAX, NULL, NULL, &list, &count, &e), ERR_OK);
	assert_int_equal(count, 3);
	assert_true(s->mend_is_due);
	assert_int_equal(s->due_id, 3);
}

/* One that had left is handed out as it is, and all of it is counted soon. */
static void what_had_left_is_noticed(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		static const uint64_t left[] = {0, 1, 30, 15, 31};
		uint64_t last = 77;
		uint32_t count = 77;

		begin_anew();
		if (left[i] > 0)
			left_note(s->left, left[i], left[i]);
		left_keep(s->left, s->durable.commits);
		assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		assert_int_equal(count, ROWS);
		assert_int_equal(s->came_again, i > 0 && i < 4);
		assert_int_equal(s->mend_is_due, i > 0 && i < 4);
		message_list_free(&list);
		if (i != 3)
			continue;
		s->came_again = s->mend_is_due = false;
		assert_int_equal(store_read_range(s, 1, 14, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		message_list_free(&list);
		assert_int_equal(store_read_range(s, 16, 30, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		message_list_free(&list);
		settle(15, SETTLE_DELIVERED, 1, 0); /* it left between others */
		assert_int_equal(store_read_range(s, 10, 20, 100, UINT64_MAX, &list, &count, &last, &e), ERR_OK);
		assert_false(s->came_again || s->mend_is_due);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(limits_hold_to_the_byte, begin, end),
	    cmocka_unit_test_setup_teardown(ranges_hold, begin, end),
	    cmocka_unit_test_setup_teardown(a_count_that_lies_is_bounded, begin, end),
	    cmocka_unit_test_setup_teardown(all_blocks_that_lie_are_taken_apart, begin, end),
	    cmocka_unit_test_setup_teardown(no_block_that_lies_is_passed_over, begin, end),
	    cmocka_unit_test_setup_teardown(so_much_is_set_aside_at_once, begin, end),
	    cmocka_unit_test_setup_teardown(on_a_full_disk_it_stays, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_due_comes_once, begin, end),
	    cmocka_unit_test_setup_teardown(what_had_left_is_noticed, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
