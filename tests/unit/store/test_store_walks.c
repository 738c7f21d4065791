/*
 * All that is pending, in any range of ids, beside a list of it: messages that stand alone, in blocks, in both; marks,
 * whole and not; and each call that fails on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <sqlite3.h>

#include "rig/faultsql.h"
#include "store/blocks/walk.h"
#include "store/files/sql.h"
#include "store/files/sql_schema.h"

enum { TAG = 77, LAST = 45, BODY = 30 };

static sqlite3 *db;

/* What a walk over all of it shows. */
static const struct shown {
	uint64_t id;
	bool in_block, is_sound, has_body;
} all[] = {
    {1, false, true, true},   {2, false, true, true},  {3, true, true, true},    {4, true, true, true},
    {5, false, true, true},   {7, true, true, true},   {8, true, true, true}, /* stands alone, too */
    {10, true, true, true},   {11, true, true, true},  {12, true, true, true},   {13, true, true, true},
    {14, true, true, true},   {20, false, true, true}, {21, true, true, true},   {22, true, true, true},
    {23, true, true, true},   {30, true, true, true},  {31, true, true, true},   {32, true, false, true},
    {33, true, true, true},   {36, true, true, true},  {37, true, false, false}, {40, false, false, true},
    {41, false, false, true}, {42, true, true, true},
};
enum { ALL = sizeof all / sizeof *all, LOST_MARK_FIRST = 21, LOST_MARK_LAST = 23 };

static struct store_row row_with(uint64_t id, uint32_t tag)
{
	static unsigned char bytes[LAST + 1][BODY];
	struct store_row row = {
	    .received_ms = 1700000000000 + (int64_t)id, .meta = "", .body = bytes[id], .body_bytes = BODY};

	memset(bytes[id], (int)id, BODY);
	row_renumber(&row, id, tag);
	return row;
}

static sqlite3_stmt *prepared(const char *sql)
{
	sqlite3_stmt *st = NULL;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	return st;
}

static void done(sqlite3_stmt *st)
{
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

static void put_row(uint64_t id, uint32_t tag, int64_t wrong)
{
	sqlite3_stmt *st = prepared("INSERT INTO messages (id, received_ms, checksum, meta, body) VALUES (?,?,?,?,?)");
	struct store_row row = row_with(id, tag);

	row.checksum += wrong;
	row_put(st, 1, &row);
	done(st);
}

/* The body of message `wrong` is not what it was; `cut`: the last one's is gone. */
static void put_block(uint64_t first, uint32_t count, uint64_t wrong, bool cut)
{
	sqlite3_stmt *st = prepared("INSERT INTO blocks (id, count, bytes, codec, checksum, first_ms, last_ms, body)"
	                            " VALUES (?,?,?,?,?,?,?,?)");
	struct block_fill fill = {0};
	struct block_packer packer = {0};
	struct packed_block p;

	for (uint32_t i = 0; i < count; i++) {
		const struct store_row row = row_with(first + i, TAG);

		assert_true(block_add(&fill, &row));
	}
	block_pack(&packer, &fill, BLOCK_AS_IS, TAG, &p);
	for (size_t i = 0; i < fill.frames.len && wrong > 0; i++)
		if (fill.frames.data[i] == (char)wrong && fill.frames.data[i + 1] == (char)wrong) {
			fill.frames.data[i + 5] ^= 1;
			break;
		}
	for (int i = 0; i < 4; i++)
		(void)sqlite3_bind_int64(st, i + 1, p.numbers[i]);
	(void)sqlite3_bind_int64(st, 5, p.checksum);
	(void)sqlite3_bind_int64(st, 6, p.numbers[4]);
	(void)sqlite3_bind_int64(st, 7, p.numbers[5]);
	(void)sqlite3_bind_blob64(st, 8, p.body, p.body_bytes - (cut ? 3 : 0), SQLITE_STATIC);
	done(st);
	block_packer_fini(&packer);
	buf_fini(&fill.frames);
}

static void put_mark(const struct block_mark *m, int64_t checksum, size_t bytes)
{
	sqlite3_stmt *st =
	    prepared("INSERT INTO partial (block_id, settled, bytes, checksum, bitmap) VALUES (?,?,?,?,?)");

	sql_bind_u64(st, 1, m->id);
	sql_bind_u64(st, 2, m->settled);
	sql_bind_u64(st, 3, m->bytes);
	(void)sqlite3_bind_int64(st, 4, checksum);
	(void)sqlite3_bind_blob64(st, 5, m->bits, bytes, SQLITE_STATIC);
	done(st);
}

static void make_tables(int version)
{
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (int i = 0; i < schema_step_count && schema_steps[i].version <= version; i++)
		assert_int_equal(sqlite3_exec(db, schema_steps[i].sql, NULL, NULL, NULL), SQLITE_OK);
}

static void make(void)
{
	static const uint64_t left[] = {6, 9, 15};
	struct block_mark m = {.id = 6, .count = 10};

	make_tables(schema_steps[schema_step_count - 1].version);
	for (size_t i = 0; i < ALL; i++)
		if (!all[i].in_block || all[i].id == 8)
			put_row(all[i].id, all[i].id == 41 ? TAG + 1 : TAG,
			        all[i].id == 40); /* another spool's; wrong */
	put_block(3, 2, 0, false);
	put_block(6, 10, 0, false);
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		mark_set(&m, left[i], BODY);
	put_mark(&m, mark_checksum(&m, TAG), sizeof m.bits);
	put_block(LOST_MARK_FIRST, 3, 0, false);
	m = (struct block_mark){.id = 21, .count = 3};
	mark_set(&m, 22, BODY);
	put_mark(&m, mark_checksum(&m, TAG) + 1, sizeof m.bits);
	put_block(30, 4, 32, false);
	put_block(36, 2, 0, true);
	put_block(42, 1, 0, false);
}

static int end(void **state)
{
	(void)state;
	faultsql_arm(0, 0, false);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return 0;
}

/* From `first` to `last`, and again with what was opened. */
static void expect(struct block_walk *w, uint64_t first, uint64_t last)
{
	struct block_message m;
	bool lost_mark = false;
	size_t i = 0;
	int rc;

	for (; i < ALL && all[i].id < first; i++)
		continue;
	while ((rc = walk_next(w, &m)) == SQLITE_ROW) {
		if (i == ALL || m.row.id != all[i].id || m.in_block != all[i].in_block ||
		    m.is_sound != all[i].is_sound || (m.row.body != NULL) != all[i].has_body)
			fail_msg("%d to %d: message %d in place of %d", (int)first, (int)last, (int)m.row.id,
			         i < ALL ? (int)all[i].id : -1);
		if (m.is_sound) {
			const struct store_row want = row_with(m.row.id, TAG);

			assert_int_equal(m.row.received_ms, want.received_ms);
			assert_int_equal(m.row.body_bytes, BODY);
			assert_memory_equal(m.row.body, want.body, BODY);
		}
		i++;
	}
	assert_int_equal(rc, SQLITE_DONE);
	assert_int_equal(walk_next(w, &m), SQLITE_DONE);
	assert_true(i == ALL || all[i].id > last);
	lost_mark = first <= LOST_MARK_LAST && last >= LOST_MARK_FIRST;
	assert_int_equal(w->lost_mark, lost_mark);
}

static void each_range_is_what_is_in_it(void **state)
{
	(void)state;
	make();
	for (uint64_t first = 0; first <= LAST; first++)
		for (uint64_t last = first; last <= LAST; last++) {
			struct block_walk w;

			assert_int_equal(walk_open(&w, db, TAG, first, last), SQLITE_OK);
			expect(&w, first, last);
			walk_end(&w);
			walk_start(&w, w.rows, w.blocks, w.block, first / 2, last);
			expect(&w, first / 2, last);
			walk_end(&w);
			walk_start(&w, w.rows, w.blocks, w.block, 0, UINT64_MAX);
			expect(&w, 0, UINT64_MAX);
			walk_close(&w);
			assert_null(w.rows);
			assert_null(w.blocks);
			assert_null(w.block);
		}
}

/* A file of the first schema has no blocks. */
static void without_blocks_there_are_rows(void **state)
{
	struct block_walk w;
	struct block_message m;

	(void)state;
	make_tables(1);
	for (uint64_t id = 3; id < 9; id += 2)
		put_row(id, 0, 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(walk_open(&w, db, 0, 4, 8), SQLITE_OK);
		for (uint64_t id = 5; id < 9; id += 2) {
			assert_int_equal(walk_next(&w, &m), SQLITE_ROW);
			assert_int_equal(m.row.id, id);
			assert_true(m.is_sound);
			assert_false(m.in_block);
		}
		assert_int_equal(walk_next(&w, &m), SQLITE_DONE);
		walk_close(&w);
	}
}

/* Whichever call fails: what is told is that, and not the end of what is pending. */
static void a_call_that_fails_is_no_end(void **state)
{
	bool failed = true;
	uint64_t n = 1;

	(void)state;
	make();
	for (; failed; n++) {
		struct block_walk w;
		struct block_message m;
		size_t shown = 0;
		int rc;

		faultsql_arm(n, SQLITE_IOERR_READ, false);
		rc = walk_open(&w, db, TAG, 0, LAST);
		if (rc == SQLITE_OK) {
			while ((rc = walk_next(&w, &m)) == SQLITE_ROW)
				shown++;
			failed = faultsql_failed();
			walk_close(&w);
		} else {
			failed = true;
			assert_null(w.block);
		}
		faultsql_arm(0, 0, false);
		assert_int_equal(rc, failed ? SQLITE_IOERR_READ : SQLITE_DONE);
		assert_true(failed || shown == ALL);
	}
	assert_true(n > 15);
}

/* Marks as columns: null, of a wrong length, of another block's size, another spool's. */
static void a_mark_that_lies_marks_nothing(void **state)
{
	struct block_mark m = {.id = 100, .count = 20};
	const struct {
		int64_t settled, bytes, checksum_more;
		size_t length;
		uint32_t count, tag;
		bool is_lost;
	} cases[] = {
	    {3, 30, 0, 64, 20, TAG, false}, {3, 30, 0, 64, 3, TAG, false}, {3, 30, 0, 64, 2, TAG, true},
	    {3, 30, 0, 63, 20, TAG, true},  {3, 30, 0, 65, 20, TAG, true}, {3, 30, 1, 64, 20, TAG, true},
	    {4, 30, 0, 64, 20, TAG, true},  {3, 31, 0, 64, 20, TAG, true}, {3, 30, 0, 64, 20, TAG + 1, true},
	    {3, 30, 0, 64, 20, 0, false},
	};
	unsigned char bits[65] = {0};

	(void)state;
	make_tables(1);
	mark_set(&m, 100, 5);
	mark_set(&m, 107, 10);
	mark_set(&m, 108, 15);
	assert_true(m.is_dirty);
	assert_int_equal(m.settled, 3);
	assert_int_equal(m.bytes, 30);
	assert_int_equal(m.bits[0], 0x81);
	assert_int_equal(m.bits[1], 0x01);
	for (uint64_t id = 100; id < 120; id++)
		assert_int_equal(block_bit(&m, id), id == 100 || id == 107 || id == 108);
	memcpy(bits, m.bits, sizeof m.bits);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sqlite3_stmt *st = prepared("SELECT 9, ?1, ?2, ?3, ?4");
		struct block_mark got;

		(void)sqlite3_bind_int64(st, 1, cases[i].settled);
		(void)sqlite3_bind_int64(st, 2, cases[i].bytes);
		(void)sqlite3_bind_int64(st, 3, mark_checksum(&m, TAG) + cases[i].checksum_more);
		(void)sqlite3_bind_blob64(st, 4, bits, cases[i].length, SQLITE_STATIC);
		assert_int_equal(sqlite3_step(st), SQLITE_ROW);
		got = mark_read(st, 1, 100, cases[i].count, cases[i].tag);
		assert_true(got.is_stored);
		assert_false(got.is_dirty);
		assert_int_equal(got.id, 100);
		assert_int_equal(got.count, cases[i].count);
		assert_int_equal(got.is_lost, cases[i].is_lost);
		assert_int_equal(got.settled, cases[i].is_lost ? 0 : 3);
		assert_int_equal(got.bytes, cases[i].is_lost ? 0 : 30);
		assert_int_equal(got.bits[0], cases[i].is_lost ? 0 : 0x81);
		got = mark_read(st, 5, 100, 20, TAG); /* no such column: null */
		assert_false(got.is_stored || got.is_lost);
		assert_int_equal(got.count, 20);
		assert_int_equal(got.id, 100);
		assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(each_range_is_what_is_in_it, end),
	    cmocka_unit_test_teardown(without_blocks_there_are_rows, end),
	    cmocka_unit_test_teardown(a_call_that_fails_is_no_end, end),
	    cmocka_unit_test_teardown(a_mark_that_lies_marks_nothing, end),
	};

	sql_global_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
