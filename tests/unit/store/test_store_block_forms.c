/*
 * A block byte for byte, beside an encoder of the test's own: what fits into one, which form it gets, where its parts
 * end; and blocks written by the test with numbers and heads that lie: how many messages are believed to be in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "base/byte_order.h"
#include "base/mem.h"
#include "store/blocks/block.h"
#include "store/files/sum.h"

enum { TAG = 77, FIRST = 5000, HEAD = 18, RAW = 0, WHOLE = 1, PARTS = 2 };
static const int64_t begin_ms = 1700000000000;

/* The frames of what was added, as the format says. */
static unsigned char *frames, *room;
static size_t frames_bytes, frame_at[BLOCK_MESSAGES + 1];
static int64_t frame_ms[BLOCK_MESSAGES + 1];
static struct block_fill fill;
static struct block_packer packer;
static struct stored_block *block;

static int begin(void **state)
{
	(void)state;
	frames = mem_zero(BLOCK_MAX + (1 << 20));
	room = mem_zero(BLOCK_MAX + (1 << 20));
	frames_bytes = 0;
	fill = (struct block_fill){0};
	packer = (struct block_packer){0};
	block = block_new();
	block->tag = TAG;
	return 0;
}

static int end(void **state)
{
	(void)state;
	block_free(block);
	block_packer_fini(&packer);
	buf_fini(&fill.frames);
	free(frames);
	free(room);
	return 0;
}

static void put_number(uint64_t v)
{
	for (; v > 127; v /= 128)
		frames[frames_bytes++] = (unsigned char)(v % 128 + 128);
	frames[frames_bytes++] = (unsigned char)v;
}

static struct store_row row_with(uint64_t id, int64_t ms, const void *meta, size_t meta_bytes, const void *body,
                                 size_t body_bytes)
{
	struct store_row row = {
	    .received_ms = ms, .meta = meta, .meta_bytes = meta_bytes, .body = body, .body_bytes = body_bytes};

	row_renumber(&row, id, TAG);
	return row;
}

static void put_frame(uint32_t n, const struct store_row *row)
{
	const uint64_t ms = (uint64_t)row->received_ms - (uint64_t)(n > 0 ? frame_ms[n - 1] : 0);

	frame_at[n] = frames_bytes;
	frame_ms[n] = row->received_ms;
	put_little(frames + frames_bytes, (uint32_t)row->checksum, 4);
	frames_bytes += 4;
	put_number((int64_t)ms < 0 ? ~ms * 2 + 1 : ms * 2);
	put_number(row->meta_bytes);
	put_number(row->body_bytes);
	memcpy(frames + frames_bytes, row->meta, row->meta_bytes);
	memcpy(frames + frames_bytes + row->meta_bytes, row->body, row->body_bytes);
	frames_bytes += row->meta_bytes + row->body_bytes;
	frame_at[n + 1] = frames_bytes;
}

/* `count` messages of so many bytes in all, each of `noise` random ones and as many of one value as it takes. */
static void add_some(uint32_t count, size_t bytes, size_t noise)
{
	unsigned char *body = mem_zero(bytes + 1);

	for (uint32_t i = 0; i < count; i++) {
		const size_t meta = bytes < 3 ? bytes : 3;
		struct store_row row;

		for (size_t k = 0; k < bytes && k < noise; k++)
			body[k] = (unsigned char)(rand() >> 7);
		row = row_with(FIRST + fill.count, begin_ms + (i % 3 == 2 ? -5000 : (int64_t)i * 40), body, meta,
		               body + meta, bytes - meta);
		put_frame(fill.count, &row);
		assert_true(block_add(&fill, &row));
	}
	free(body);
}

static void forget(void)
{
	block_fill_clear(&fill);
	frames_bytes = 0;
	assert_int_equal(fill.count, 0);
	assert_int_equal(fill.bytes, 0);
	assert_int_equal(fill.frames.len, 0);
}

static struct packed_block packed(enum block_wish wish)
{
	struct packed_block p;

	assert_int_equal(fill.frames.len, frames_bytes);
	assert_memory_equal(fill.frames.data, frames, frames_bytes);
	block_pack(&packer, &fill, wish, TAG, &p);
	assert_int_equal(p.numbers[0], FIRST);
	assert_int_equal(p.numbers[1], fill.count);
	assert_int_equal(p.numbers[2], fill.bytes);
	assert_int_equal(p.numbers[4], frame_ms[0]);
	assert_int_equal(p.numbers[5], frame_ms[fill.count - 1]);
	if (p.numbers[3] == RAW) {
		assert_int_equal(p.body_bytes, frames_bytes);
		assert_memory_equal(p.body, frames, frames_bytes);
	} else {
		assert_true(p.body_bytes < frames_bytes);
	}
	block_take(block, p.numbers, p.checksum, p.body, p.body_bytes);
	assert_true(block->is_sound);
	assert_int_equal(block->id, FIRST);
	assert_int_equal(block->count, fill.count);
	assert_int_equal(block->framed, fill.count);
	assert_int_equal(block->bytes, fill.bytes);
	for (uint32_t i = 0; i < fill.count; i++) {
		const struct store_row *row = block_row(block, FIRST + i);

		assert_non_null(row);
		assert_true(row_is_sound(row, TAG));
		assert_int_equal(row->id, FIRST + i);
		assert_int_equal(row->received_ms, frame_ms[i]);
		assert_memory_equal((const char *)row->body + row->body_bytes - 1, frames + frame_at[i + 1] - 1, 1);
	}
	return p;
}

static void refused(const struct store_row *row)
{
	const struct block_fill before = fill;

	assert_false(block_add(&fill, row));
	assert_memory_equal(&fill, &before, sizeof fill);
}

/* The last byte and the last message that fit, and the first that do not; ids in a row. */
static void a_block_has_its_limits(void **state)
{
	unsigned char *body = mem_zero(BLOCK_BYTES + 1);
	struct store_row row = row_with(FIRST, begin_ms, body, 1, body, BLOCK_BYTES);

	(void)state;
	refused(&row);
	row = row_with(FIRST, begin_ms, body, 1, body, BLOCK_BYTES - 1);
	put_frame(0, &row);
	assert_true(block_add(&fill, &row));
	row = row_with(FIRST + 1, begin_ms, body, 0, body, 1);
	refused(&row);
	row = row_with(FIRST + 1, begin_ms, body, 0, body, 0); /* which has no byte */
	assert_true(block_add(&fill, &row));
	assert_int_equal(fill.bytes, BLOCK_BYTES);
	forget();
	for (uint32_t i = 0; i < BLOCK_MESSAGES; i++) {
		row = row_with(FIRST + i + 1, begin_ms, "", 0, "x", 1);
		if (i > 0)
			refused(&row);
		row = row_with(FIRST + i - 1, begin_ms, "", 0, "x", 1);
		if (i > 0)
			refused(&row);
		row = row_with(FIRST + i, begin_ms, "", 0, "x", 1);
		put_frame(i, &row);
		assert_true(block_add(&fill, &row));
	}
	row = row_with(FIRST + BLOCK_MESSAGES, begin_ms, "", 0, "x", 1);
	refused(&row);
	(void)packed(BLOCK_AS_IS);
	free(body);
}

/* So many frames of so many bytes each. */
static void fill_to(uint32_t count, size_t bytes, size_t noise)
{
	forget();
	while (fill.count + 1 < count)
		add_some(1, (bytes - frames_bytes) / (count - fill.count) - 20, noise);
	for (size_t last = bytes - frames_bytes - 30;; last++) {
		const size_t before = frames_bytes;

		add_some(1, last, noise);
		if (frames_bytes == bytes)
			break;
		assert_true(frames_bytes < bytes);
		frames_bytes = before;
		fill.count--;
		fill.bytes -= last;
		fill.frames.len = before;
		if (fill.count > 0)
			fill.last_ms = frame_ms[fill.count - 1];
	}
	assert_int_equal(fill.count, count);
}

static void the_form_is_the_one_that_is_worth_it(void **state)
{
	static const struct {
		enum block_wish wish;
		uint32_t count;
		size_t bytes, noise;
		int64_t codec;
	} cases[] = {
	    {BLOCK_AS_IS, 4, 8000, 0, RAW},      {BLOCK_AS_IS, 60, 140000, 0, RAW},
	    {BLOCK_SMALL, 4, 8000, 0, WHOLE},    {BLOCK_SMALL, 300, 100000, 0, WHOLE},
	    {BLOCK_SMALL, 60, 140000, 0, WHOLE}, {BLOCK_SMALL, 4, 8000, 9000, RAW},
	    {BLOCK_QUICK, 8, 8192, 0, WHOLE},    {BLOCK_QUICK, 8, 8193, 0, RAW},
	    {BLOCK_QUICK, 9, 8192, 0, RAW},      {BLOCK_QUICK, 1, 8192, 0, WHOLE},
	    {BLOCK_QUICK, 9, 131071, 0, RAW},    {BLOCK_QUICK, 9, 131072, 0, PARTS},
	    {BLOCK_QUICK, 1, 131072, 0, PARTS},  {BLOCK_QUICK, 60, 140000, 140000, RAW},
	    {BLOCK_QUICK, 8, 8000, 9000, RAW},
	};

	(void)state;
	srand(3);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		fill_to(cases[i].count, cases[i].bytes, cases[i].noise);
		assert_int_equal(packed(cases[i].wish).numbers[3], cases[i].codec);
	}
}

/* Each ends with the frame that fills it or is its sixteenth, and is packed by itself, or as it is where that is less.
 */
static void parts_end_where_they_are_full(void **state)
{
	static const struct {
		uint32_t count;
		size_t bytes, noise;
		bool is_packed;
	} runs[] = {{60, 300, 0, true},   {40, 250, 250, false}, {7, 4100, 0, true},
	            {100, 900, 10, true}, {9, 1500, 0, true},    {3, 5000, 5000, false},
	            {90, 700, 20, true},  {50, 20, 0, true}}; /* of which sixteen are less than a part */
	struct packed_block p;
	const unsigned char *at;
	uint32_t n = 0;

	(void)state;
	srand(4);
	fill_to(3, 4096, 0); /* to the byte */
	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
		add_some(runs[i].count, runs[i].bytes, runs[i].noise);
	p = packed(BLOCK_QUICK);
	assert_int_equal(p.numbers[3], PARTS);
	at = p.body;
	while (n < fill.count) {
		const uint32_t first = n;
		const size_t from = frame_at[n], bytes = (size_t)get_little(at, 4),
		             takes = (size_t)get_little(at + 4, 4);

		do
			n++;
		while (n < fill.count && frame_at[n] - from < 4096 && n - first < 16);
		assert_int_equal(bytes, frame_at[n] - from);
		assert_int_equal(get_little(at + 8, 2), n - first);
		assert_int_equal(get_little(at + 10, 8), first > 0 ? frame_ms[first - 1] : 0);
		if (takes == bytes) {
			assert_memory_equal(at + HEAD, frames + from, bytes);
		} else {
			assert_true(takes < bytes);
			assert_int_equal(
			    LZ4_decompress_safe((const char *)at + HEAD, (char *)room, (int)takes, (int)bytes), bytes);
			assert_memory_equal(room, frames + from, bytes);
		}
		at += HEAD + takes;
	}
	assert_ptr_equal(at, (const unsigned char *)p.body + p.body_bytes);
}

/* Taken as a row that says of itself what it says: its checksum is of a block that was. */
static void take_it(int64_t count, int64_t bytes, int64_t codec, const void *body, size_t body_bytes)
{
	const int64_t numbers[6] = {FIRST, count, bytes, codec, begin_ms, begin_ms};

	block_take(block, numbers, (int64_t)TAG << 32 | 5, body, body_bytes);
	assert_false(block->is_sound);
	assert_int_equal(block->id, FIRST);
	assert_int_equal(block->bytes, bytes);
}

static uint32_t sound_ones(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < block->framed; i++) {
		const struct store_row *row = block_row(block, FIRST + i);

		n += row && row_is_sound(row, TAG);
	}
	return n;
}

/* How many messages it had: what it says, unless its frames end where its bytes end and are more, or weigh as much. */
static void a_count_that_lies_is_put_right(void **state)
{
	enum { COUNT = 10, BYTES = 50 };
	static const struct {
		int64_t count, bytes; /* that it says */
		int cut;              /* frames, and one byte of the next */
		bool cuts_within;
		uint32_t want, framed;
	} cases[] = {
	    {10, 500, 0, false, 10, 10},   {11, 500, 0, false, 10, 10}, {11, 501, 0, false, 11, 10},
	    {11, 550, 0, false, 11, 10},   {9, 500, 0, false, 10, 10},  {9, 450, 0, false, 10, 10},
	    {1, 0, 0, false, 10, 10},      {-5, 500, 0, false, 10, 10}, {600, 500, 0, false, 10, 10},
	    {600, 501, 0, false, 512, 10}, {10, 500, 1, false, 10, 9},  {10, 450, 1, false, 9, 9},
	    {10, 500, 1, true, 10, 9},     {10, 450, 1, true, 10, 9},   {9, 450, 1, true, 9, 9},
	    {8, 450, 1, true, 8, 8},       {10, 500, 10, false, 10, 0}, {0, 0, 0, false, 10, 10},
	};

	(void)state;
	add_some(COUNT, BYTES, 5);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const size_t whole = frame_at[COUNT - cases[i].cut];
		const size_t there = cases[i].cuts_within ? whole + 30 : whole;

		take_it(cases[i].count, cases[i].bytes, RAW, there > 0 ? frames : NULL, there);
		if (block->count != cases[i].want || block->framed != cases[i].framed ||
		    sound_ones() != cases[i].framed)
			fail_msg("case %zu: %u of %u, %u sound", i, block->framed, block->count, sound_ones());
	}
	for (int64_t codec = 3; codec < 6; codec++) { /* no form of ours */
		take_it(COUNT, BYTES * COUNT, codec, frames, frames_bytes);
		assert_int_equal(block->count, COUNT);
		assert_int_equal(block->framed, 0);
		assert_null(block->frames);
	}
	take_it(COUNT, BYTES * COUNT, RAW, room, BLOCK_MAX + 1);
	assert_null(block->frames);
	take_it(COUNT, BYTES * COUNT, WHOLE, frames, frames_bytes);
	assert_null(block->frames);
}

/* A part as it is, of `count` of the frames from `first` on; its head says what it is told to. */
static size_t put_part(unsigned char *to, uint32_t first, uint32_t count, const int64_t lie[3])
{
	const size_t bytes = frame_at[first + count] - frame_at[first];

	put_little(to, bytes + (uint64_t)lie[0], 4);
	put_little(to + 4, bytes + (uint64_t)lie[1], 4);
	put_little(to + 8, count + (uint64_t)lie[2], 2);
	put_little(to + 10, (uint64_t)(first > 0 ? frame_ms[first - 1] : 0), 8);
	memcpy(to + HEAD, frames + frame_at[first], bytes);
	return HEAD + bytes;
}

/* Of three parts the middle one's head lies. What can be is read as what it says; what cannot ends the block. */
static void a_head_that_lies_is_believed_where_it_can_be(void **state)
{
	static const int64_t honest[3] = {0};
	static const struct {
		int64_t lie[3];
		uint32_t framed, sound;
	} cases[] = {
	    {{0, 0, 0}, 30, 30},  {{0, 0, 1}, 31, 20}, /* one more, that is not there, and those behind it */
	    {{0, 0, -1}, 29, 19}, {{0, 0, 6}, 36, 20},  {{0, 0, 7}, 30, 10},         {{0, 0, -10}, 30, 10},
	    {{1, 0, 0}, 30, 20},  {{-1, 0, 0}, 30, 10}, {{BLOCK_MAX, 0, 0}, 30, 10},
	};

	(void)state;
	add_some(30, 60, 6);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t used = put_part(room, 0, 10, honest);

		used += put_part(room + used, 10, 10, cases[i].lie);
		used += put_part(room + used, 20, 10, honest);
		take_it(30, 1800, PARTS, room, used);
		if (sound_ones() != cases[i].sound)
			fail_msg("case %zu: %u framed of %u, %u sound", i, block->framed, block->count, sound_ones());
	}
	for (size_t less = 1; less <= HEAD + 1; less++) { /* the last head is not whole, or what it has */
		size_t used = put_part(room, 0, 10, honest);

		used += put_part(room + used, 10, 1, honest);
		take_it(11, 660, PARTS, room, used - less);
		assert_int_equal(sound_ones(), 10);
		assert_int_equal(block->count, 11);
	}
}

/* As many parts as a block can have messages, and one message or byte too many. */
static void parts_are_no_more_than_a_block_has(void **state)
{
	static const int64_t honest[3] = {0};
	size_t used = 0;

	(void)state;
	add_some(BLOCK_MESSAGES, 20, 4);
	for (uint32_t n = 0; n < BLOCK_MESSAGES; n += 16)
		used += put_part(room + used, n, 16, honest);
	take_it(BLOCK_MESSAGES, BLOCK_MESSAGES * 20, PARTS, room, used);
	assert_int_equal(block->framed, BLOCK_MESSAGES);
	assert_int_equal(sound_ones(), BLOCK_MESSAGES);
	used += put_part(room + used, 0, 1, honest);
	take_it(BLOCK_MESSAGES, BLOCK_MESSAGES * 20, PARTS, room, used);
	assert_int_equal(block->framed, BLOCK_MESSAGES);
	assert_int_equal(sound_ones(), BLOCK_MESSAGES);
	forget();
	add_some(2, BLOCK_BYTES / 2, 9);
	used = put_part(room, 0, 2, honest);
	take_it(2, BLOCK_BYTES, PARTS, room, used);
	assert_int_equal(sound_ones(), 2);
}

/* Lengths and times around each that takes one byte more; a message may be all metadata. */
static void numbers_take_as_many_bytes_as_they_must(void **state)
{
	static const size_t lengths[] = {0, 1, 127, 128, 129, 16383, 16384, 16385};
	static const int64_t times[] = {0,   1,    -1,   63,    64,    65,        -63,       -64,
	                                -65, 8191, 8192, -8192, -8193, INT64_MAX, INT64_MIN, 5};
	unsigned char *bytes = mem_zero(20000);
	struct store_row row;

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		forget();
		row = row_with(FIRST, begin_ms, bytes, lengths[i], bytes, 1);
		put_frame(0, &row);
		assert_true(block_add(&fill, &row));
		row = row_with(FIRST + 1, begin_ms, bytes, 1, bytes, lengths[i]);
		put_frame(1, &row);
		assert_true(block_add(&fill, &row));
		row = row_with(FIRST + 2, begin_ms, bytes, 9, bytes, 0);
		put_frame(2, &row);
		assert_true(block_add(&fill, &row));
		(void)packed(BLOCK_AS_IS);
		assert_int_equal(block->rows[0].meta_bytes, lengths[i]);
		assert_int_equal(block->rows[1].body_bytes, lengths[i]);
		assert_int_equal(block->rows[2].meta_bytes, 9);
	}
	forget();
	for (uint32_t i = 0; i < sizeof times / sizeof *times; i++) {
		row = row_with(FIRST + i, times[i], bytes, 1, bytes, 1);
		put_frame(i, &row);
		assert_true(block_add(&fill, &row));
	}
	(void)packed(BLOCK_AS_IS);
	for (size_t more = 0; more < 14; more++) { /* a number of ten bytes is one, and a longer one is none */
		frames_bytes = 4;
		memset(frames, 0, 40);
		memset(frames + 4, 0x80, more);
		frames[4 + more + 2] = 1; /* no metadata, and a body of one byte */
		take_it(1, 1, RAW, frames, 4 + more + 1 + 1 + 1 + 1);
		assert_int_equal(block->framed, more < 10);
	}
	free(bytes);
}

/* As long as all frames of a block may be, and a byte longer. */
static void a_part_is_no_longer_than_a_block(void **state)
{
	const int most = LZ4_compressBound(BLOCK_MAX + 1);
	unsigned char *body = mem_zero((size_t)most + HEAD);

	(void)state;
	for (int more = 0; more < 2; more++) {
		const int bytes =
		    LZ4_compress_default((const char *)frames, (char *)body + HEAD, BLOCK_MAX + more, most);

		put_little(body, (uint64_t)(BLOCK_MAX + more), 4);
		put_little(body + 4, (uint64_t)bytes, 4);
		put_little(body + 8, 1, 2);
		put_little(body + 10, 0, 8);
		take_it(1, 1, PARTS, body, HEAD + (size_t)bytes);
		assert_int_equal(block->framed, more == 0);
	}
	free(body);
}

/* Its checksum may be what is damaged, and with it the rule of the frames: each that a frame could be of is tried. */
static void frames_are_believed_by_any_rule_of_ours(void **state)
{
	enum { OTHER = 99 };
	static const struct {
		uint32_t made, says, ours;
		bool is_sound;
	} cases[] = {
	    {TAG, TAG, TAG, true}, {TAG, OTHER, TAG, true}, {TAG, 0, TAG, true},      {TAG, TAG, 0, true},
	    {TAG, 0, 0, false},    {TAG, OTHER, 0, false},  {TAG, TAG, OTHER, false}, {TAG, 0, OTHER, false},
	    {0, TAG, TAG, true},   {0, OTHER, TAG, true},   {0, 0, TAG, true},        {0, OTHER, 0, true},
	    {0, 0, 0, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int64_t numbers[6] = {FIRST, 1, 3, RAW, begin_ms, begin_ms};
		struct store_row row = row_with(FIRST, begin_ms, "", 0, "abc", 3);

		forget();
		row_renumber(&row, FIRST, cases[i].made);
		assert_true(block_add(&fill, &row));
		block->tag = cases[i].ours;
		block_take(block, numbers, cases[i].says ? (int64_t)cases[i].says << 32 | 5 : 5, fill.frames.data,
		           fill.frames.len);
		assert_false(block->is_sound);
		assert_int_equal(block->framed, 1);
		if (row_is_sound(block_row(block, FIRST), cases[i].ours) != cases[i].is_sound)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_block_has_its_limits, begin, end),
	    cmocka_unit_test_setup_teardown(the_form_is_the_one_that_is_worth_it, begin, end),
	    cmocka_unit_test_setup_teardown(parts_end_where_they_are_full, begin, end),
	    cmocka_unit_test_setup_teardown(a_count_that_lies_is_put_right, begin, end),
	    cmocka_unit_test_setup_teardown(a_head_that_lies_is_believed_where_it_can_be, begin, end),
	    cmocka_unit_test_setup_teardown(numbers_take_as_many_bytes_as_they_must, begin, end),
	    cmocka_unit_test_setup_teardown(a_part_is_no_longer_than_a_block, begin, end),
	    cmocka_unit_test_setup_teardown(frames_are_believed_by_any_rule_of_ours, begin, end),
	    cmocka_unit_test_setup_teardown(parts_are_no_more_than_a_block_has, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
