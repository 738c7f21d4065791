/* Edges that random verbs seldom meet: limits hit exactly and by one, bytes that lie, more of them than one step takes.
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

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/blocks/side.h"
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

/* Which blocks are made small. */
static void what_is_worth_packing_is_packed(void **state)
{
	static const struct {
		enum store_compress compress;
		bool waits;
		uint32_t messages, bytes;
		int codec;
	} cases[] = {
	    {STORE_COMPRESS_AUTO, false, 8, 100, 1},   {STORE_COMPRESS_AUTO, false, 9, 100, 0},
	    {STORE_COMPRESS_AUTO, true, 9, 100, 1},    {STORE_COMPRESS_NEVER, true, 8, 100, 0},
	    {STORE_COMPRESS_ALWAYS, false, 9, 100, 1}, {STORE_COMPRESS_ALWAYS, false, 1, 0, 0},
	    {STORE_COMPRESS_AUTO, false, 1, 8179, 1},  {STORE_COMPRESS_AUTO, false, 1, 8180, 0},
	    {STORE_COMPRESS_AUTO, true, 512, 2048, 1}, {STORE_COMPRESS_ALWAYS, false, 513, 2, 1},
	};
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const uint64_t first = store_next_id(s);

		store_reconfigure(s, &(struct store_options){.compress = cases[i].compress});
		store_set_waits(s, cases[i].waits);
		append_same(s, cases[i].messages, cases[i].bytes);
		if (life_number(s, "SELECT codec FROM blocks ORDER BY id LIMIT 1") != cases[i].codec)
			fail_msg("case %u: not codec %d", (unsigned)i, cases[i].codec);
		assert_int_equal(life_number(s, "SELECT sum(bytes) FROM blocks"), cases[i].messages * cases[i].bytes);
		life_settle(s, first, store_next_id(s) - 1);
		assert_int_equal(life_number(s, "SELECT count(*) FROM blocks"), 0);
	}
	life_end(&d, s);
}

/* Whatever wall clocks said. */
static void any_time_is_kept(void **state)
{
	static const int64_t times[] = {0,         -1,        INT64_MAX,     INT64_MIN,     1,
	                                INT64_MIN, INT64_MAX, 1700000000000, -1700000000000};
	enum { TIMES = sizeof times / sizeof *times };
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct message *m;
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	uint32_t n;
	uint64_t last;

	(void)state;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (int i = 0; i < TIMES; i++) {
		m = message_new(NULL, 0, "x", 1, times[i]);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	assert_int_equal(store_read(s, 0, 100, UINT64_MAX, &list, &n, &last, &e), ERR_OK);
	assert_int_equal(n, TIMES);
	STAILQ_FOREACH (m, &list, link)
		assert_true(m->received_ms == times[m->id - 1]);
	message_list_free(&list);
	life_end(&d, s);
}

enum { FRAMES = 5 };

/* As schema/0002-blocks.sql says it. */
static int32_t sum_of(const int64_t numbers[6], const void *body, size_t bytes)
{
	unsigned char head[48];

	for (int i = 0; i < 6; i++)
		put_little(head + 8 * i, (uint64_t)numbers[i], 8);
	return (int32_t)crc32c(crc32c(0, head, sizeof head), body, bytes);
}

/* Frames cut at every length, or followed by more: those that are whole are there, and the block is not sound. */
static void a_block_of_any_bytes_is_read_as_far_as_it_goes(void **state)
{
	struct block_fill fill = {0};
	struct stored_block *b = block_new();
	size_t ends[FRAMES + 1] = {0}, weighs[FRAMES + 1] = {0}, whole;
	unsigned char *bytes;

	(void)state;
	for (uint64_t i = 0; i < FRAMES; i++) {
		struct message *m = spooldir_message(i, (uint32_t)i * 60);
		const struct store_row row = row_of(100 + i, m, 0);

		assert_true(block_add(&fill, &row));
		ends[i + 1] = fill.frames.len;
		weighs[i + 1] = fill.bytes;
		message_free(m);
	}
	whole = fill.frames.len;
	bytes = calloc(1, whole + 1);
	memcpy(bytes, fill.frames.data, whole);
	for (size_t n = 0; n <= whole + 1; n++)
		for (int64_t said = FRAMES - 1; said <= FRAMES + 1; said++)
			for (int lies = 0; lies < 2; lies++) {
				const int64_t numbers[6] = {100, said, (int64_t)weighs[FRAMES - 1], 0, 1, 2};
				uint32_t there = 0;
				bool ends_there;

				block_take(b, numbers, sum_of(numbers, bytes, n) + lies, bytes, n);
				while (there < FRAMES && ends[there + 1] <= n)
					there++;
				ends_there = n > 0 && n == ends[there];
				assert_int_equal(b->id, 100);
				assert_int_equal(b->is_sound, ends_there && there == said && !lies);
				/* all of them, when they weigh what the block says, or are more than it says */
				assert_int_equal(b->count, ends_there && (there > said || there == FRAMES - 1)
				                               ? there
				                               : (uint32_t)said);
				assert_int_equal(b->framed, there < b->count ? there : b->count);
				for (uint32_t i = 0; i < b->framed; i++)
					assert_true(row_is_sound(&b->rows[i], 0) && b->rows[i].id == 100 + i);
			}
	free(bytes);
	buf_fini(&fill.frames);
	block_free(b);
}

static void bytes_that_are_no_block(void **state)
{
	static unsigned char body[BLOCK_MAX + 1];
	struct stored_block *b = block_new();
	static const struct {
		int64_t count, codec;
		size_t bytes;
		uint32_t is_count;
	} cases[] = {{3, 0, 0, 3},  {3, 2, 50, 3},    {3, 1, 50, 3},    {3, 0, BLOCK_MAX + 1, 3},
	             {-1, 0, 0, 0}, {513, 0, 0, 512}, {512, 0, 0, 512}, {0, 0, 0, 0},
	             {3, -1, 50, 3}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int64_t numbers[6] = {7, cases[i].count, 0, cases[i].codec, 0, 0};

		block_take(b, numbers, sum_of(numbers, body, cases[i].bytes), body, cases[i].bytes);
		if (b->is_sound || b->count != cases[i].is_count || b->framed != 0)
			fail_msg("case %u: %d of %u", (unsigned)i, (int)b->framed, (unsigned)b->count);
	}
	/* a varint without an end, and lengths beyond the bytes by one */
	for (int kind = 0; kind < 3; kind++) {
		unsigned char frame[16] = {0};
		const int64_t numbers[6] = {7, 1, 0, 0, 0, 0};
		const size_t n = kind == 0 ? 16 : 8;

		memset(frame + 4, kind == 0 ? 0x80 : 0, kind == 0 ? 12 : 4);
		frame[5] = kind == 1 ? 2 : 0; /* metadata of two bytes, one is there */
		frame[6] = kind == 2 ? 2 : frame[6];
		block_take(b, numbers, sum_of(numbers, frame, n), frame, n);
		assert_int_equal(b->framed, 0);
		assert_false(b->is_sound);
		frame[5] = kind == 1;
		frame[6] = kind == 2 ? 1 : frame[6];
		block_take(b, numbers, sum_of(numbers, frame, n), frame, n);
		assert_int_equal(b->framed, kind > 0);
	}
	block_free(b);
}

/* Two blocks that share an id, by one: what is settled of them cannot be known. */
static void blocks_that_overlap_are_damage(void **state)
{
	(void)state;
	for (int by = 0; by < 2; by++) {
		struct store_settlement items[8];
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e;
		char sql[200];

		append_same(s, 4, 5);
		append_same(s, 4, 5);
		if (by > 0)
			(void)snprintf(sql, sizeof sql, "UPDATE blocks SET id = 4 WHERE id = 5");
		else
			(void)snprintf(sql, sizeof sql, "SELECT 1");
		life_sql(s, sql);
		for (uint64_t i = 0; i < 8; i++)
			items[i] = (struct store_settlement){.id = i + 1, .kind = SETTLE_DELIVERED};
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_settle(s, items, 8, &e), by ? ERR_DAMAGED : ERR_OK);
		assert_int_equal(store_in_group(s), !by);
		if (!by)
			assert_int_equal(store_commit(s, &e), ERR_OK);
		else
			assert_non_null(strstr(e.text, "messages 4 to 4 were read, and 1 of them"));
		store_abandon(s);
		spooldir_remove(&d);
	}
}

static bool see_twice(void *arg, const struct store_peeked *p)
{
	uint64_t *seen = arg;

	assert_int_equal(p->id, ++*seen);
	return true;
}

/* A row beside a block that has its id still: once is enough. */
static void a_message_that_is_there_twice_is_shown_once(void **state)
{
	struct message *m = message_new(NULL, 0, "xxxxx", 5, 1700000000000);
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	sqlite3_stmt *st;
	uint64_t seen = 0;

	(void)state;
	append_same(s, 4, 5);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	st = store_statement(s, ST_INSERT);
	row_bind(st, 1, 3, m, 0);
	assert_int_equal(store_run(s, st, &e, "x"), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_close(s);
	assert_int_equal(store_peek(d.path, false, see_twice, &seen, &e), ERR_OK);
	assert_int_equal(seen, 4);
	message_free(m);
	spooldir_remove(&d);
}

static struct stored_value text_of(enum value_type type, const char *bytes)
{
	return (struct stored_value){.type = type, .bytes = (const unsigned char *)bytes, .count = strlen(bytes)};
}

/* Whatever a row beside the messages holds is in its sum, and where one column ends. */
static void every_column_is_in_the_sum(void **state)
{
	const struct stored_value number = {.type = VALUE_INT, .number = 7},
	                          large = {.type = VALUE_INT, .number = 7 + (INT64_C(1) << 40)};
	const struct stored_value rows[][2] = {
	    {number, text_of(VALUE_BLOB, "abc")},
	    {large, text_of(VALUE_BLOB, "abc")},
	    {number, text_of(VALUE_BLOB, "abd")},
	    {number, text_of(VALUE_BLOB, "ab")},
	    {number, text_of(VALUE_TEXT, "abx")},
	    {text_of(VALUE_TEXT, "ab"), text_of(VALUE_TEXT, "c")},
	    {text_of(VALUE_TEXT, "a"), text_of(VALUE_TEXT, "bc")},
	    {text_of(VALUE_BLOB, "a"), text_of(VALUE_BLOB, "bd")},
	};
	enum { ROWS = sizeof rows / sizeof *rows };
	int64_t sums[ROWS];

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		sums[i] = side_sum(9, SIDE_KEY, rows[i], 2);
		assert_true(side_is_sound(9, SIDE_KEY, sums[i], rows[i], 2));
		assert_false(side_is_sound(10, SIDE_KEY, sums[i], rows[i], 2));
		assert_false(side_is_sound(9, SIDE_LOSS, sums[i], rows[i], 2));
		assert_false(side_is_sound(9, SIDE_KEY, sums[i], rows[i], 1));
		for (size_t other = 0; other < i; other++)
			assert_int_not_equal(sums[i], sums[other]);
	}
}

/* A message that stands in no block is not found in the one before it. */
static void what_is_in_no_block_is_in_none(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct pending p;
	struct error e;

	(void)state;
	life_append(s, 0, 40); /* ten a block */
	life_settle(s, 3, 3);
	life_settle(s, 11, 20);
	life_settle(s, 39, 39);
	for (uint64_t id = 1; id <= 60; id++) {
		const bool want = id <= 40 && id != 3 && id != 39 && (id < 11 || id > 20);

		assert_int_equal(store_find(s, id, &p, &e), ERR_OK);
		if (p.is_there != want || p.is_sound != want || (want && p.row.id != id))
			fail_msg("message %u: there %d, sound %d", (unsigned)id, p.is_there, p.is_sound);
	}
	life_end(&d, s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_worth_packing_is_packed),
	    cmocka_unit_test(any_time_is_kept),
	    cmocka_unit_test(a_block_of_any_bytes_is_read_as_far_as_it_goes),
	    cmocka_unit_test(bytes_that_are_no_block),
	    cmocka_unit_test(blocks_that_overlap_are_damage),
	    cmocka_unit_test(a_message_that_is_there_twice_is_shown_once),
	    cmocka_unit_test(every_column_is_in_the_sum),
	    cmocka_unit_test(what_is_in_no_block_is_in_none),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
