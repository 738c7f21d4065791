/*
 * What an open file must hold, beside the bytes that were written: nothing that was written is called another's, and of
 * what is known each byte counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "store/files/imprint.h"
#include "store/files/wal_format.h"

enum { PAGE = 512, HEAD = WAL_FRAME_HEADER_BYTES, FRAME = HEAD + PAGE, FRAMES = 300 };

/* A log in memory, as SQLite writes it. */
static unsigned char log_bytes[WAL_HEADER_BYTES + FRAMES * FRAME];
static struct wal_sum seed;
static struct imprint *p;

static int64_t offset_of(size_t frame) { return WAL_HEADER_BYTES + (int64_t)frame * FRAME; }

static unsigned char *frame_of(size_t frame) { return log_bytes + offset_of(frame); }

static void make_header(uint32_t salt)
{
	put_big_u32(log_bytes, WAL_MAGIC);
	put_big_u32(log_bytes + 4, WAL_VERSION);
	put_big_u32(log_bytes + WAL_AT_PAGE_SIZE, PAGE);
	put_big_u32(log_bytes + WAL_AT_SALTS, salt);
	put_big_u32(log_bytes + WAL_AT_SALTS + 4, salt * 7);
	seed = wal_sum_over(false, (struct wal_sum){0, 0}, log_bytes, WAL_AT_CHECKSUM);
	put_big_u32(log_bytes + WAL_AT_CHECKSUM, seed.a);
	put_big_u32(log_bytes + WAL_AT_CHECKSUM + 4, seed.b);
}

static void make_frame(size_t frame, unsigned char fill)
{
	unsigned char *f = frame_of(frame);

	put_big_u32(f, (uint32_t)frame + 1);
	put_big_u32(f + WAL_FRAME_COMMIT, frame % 3 == 0 ? 9 : 0);
	memcpy(f + WAL_FRAME_SALTS, log_bytes + WAL_AT_SALTS, 8);
	memset(f + HEAD, fill, PAGE);
	seed = wal_sum_over(false, seed, f, WAL_SIGNED_FRAME_BYTES);
	seed = wal_sum_over(false, seed, f + HEAD, PAGE);
	put_big_u32(f + WAL_FRAME_CHECKSUM, seed.a);
	put_big_u32(f + WAL_FRAME_CHECKSUM + 4, seed.b);
}

static void write_header(void) { imprint_wrote(p, log_bytes, WAL_HEADER_BYTES, 0); }

static void write_head(size_t frame) { imprint_wrote(p, frame_of(frame), HEAD, offset_of(frame)); }

static void write_page(size_t frame) { imprint_wrote(p, frame_of(frame) + HEAD, PAGE, offset_of(frame) + HEAD); }

/* Whether a read of these bytes of the log is believed; with one bit wrong too. */
static bool fits(int64_t offset, size_t count, bool is_wrong)
{
	unsigned char bytes[FRAME];

	memcpy(bytes, log_bytes + offset, count);
	bytes[count / 3] ^= is_wrong ? 16 : 0;
	return imprint_fits(p, bytes, count, offset);
}

/* So many frames are known, and no more; what stands there now is believed. */
static void expect_known(size_t known, size_t there)
{
	for (size_t i = 0; i < there; i++) {
		assert_true(fits(offset_of(i), HEAD, false));
		assert_true(fits(offset_of(i) + HEAD, PAGE, false));
		assert_true(fits(offset_of(i), FRAME, false));
		assert_int_equal(fits(offset_of(i), HEAD, true), i >= known);
		assert_int_equal(fits(offset_of(i) + HEAD, PAGE, true), i >= known);
	}
	assert_true(imprint_fits_size(p, offset_of(known)));
	assert_false(imprint_fits_size(p, offset_of(known) - 1));
}

static int begin(void **state)
{
	(void)state;
	p = imprint_new(IMPRINT_OF_LOG);
	make_header(5);
	write_header();
	return 0;
}

static void begin_with(size_t frames)
{
	for (size_t i = 0; i < frames; i++) {
		make_frame(i, (unsigned char)i);
		write_head(i);
		write_page(i);
	}
}

static int end(void **state)
{
	(void)state;
	imprint_free(p);
	return 0;
}

static void each_frame_that_was_written_is_known(void **state)
{
	(void)state;
	assert_true(fits(0, WAL_HEADER_BYTES, false));
	assert_false(fits(0, WAL_HEADER_BYTES, true));
	begin_with(FRAMES);
	expect_known(FRAMES, FRAMES);
	assert_true(fits(0, WAL_HEADER_BYTES, false));
	assert_false(fits(0, WAL_HEADER_BYTES, true));
}

/* The log begins again: what stood there counts no more. */
static void a_new_header_begins_a_new_log(void **state)
{
	(void)state;
	begin_with(6);
	write_head(3);
	make_header(6);
	write_header();
	expect_known(0, 6);
	make_frame(0, 70);
	write_head(0);
	write_page(0);
	expect_known(1, 6);
	for (size_t i = 1; i < 6; i++) {
		make_frame(i, (unsigned char)(i + 90));
		imprint_learn(p, frame_of(i), FRAME, offset_of(i));
	}
	expect_known(6, 6);
}

/* In a transaction SQLite may write a page once more, and the headers from there on when it ends. */
static void a_page_in_anothers_place_makes_the_rest_unknown(void **state)
{
	(void)state;
	for (size_t at = 0; at < 5; at++) {
		begin_with(5);
		memset(frame_of(at) + HEAD, 99, PAGE);
		write_page(at);
		expect_known(at, 5);
		imprint_free(p);
		(void)begin(NULL);
		begin_with(5);
		write_head(at);
		write_page(at);
		memset(frame_of(at) + HEAD, 98, PAGE); /* the second page behind one header */
		write_page(at);
		expect_known(at, at + 1);
		imprint_free(p);
		(void)begin(NULL);
	}
	begin_with(5);
	write_head(1); /* it says what the page is of; another frame's follows */
	memset(frame_of(0) + HEAD, 97, PAGE);
	write_page(0);
	expect_known(0, 2);
}

/* A header out of turn, in front of what is known: those behind it are written anew. Behind a gap: nothing is known. */
static void headers_come_in_turn(void **state)
{
	(void)state;
	begin_with(5);
	write_head(2);
	write_page(2);
	expect_known(3, 5);
	write_head(4);
	expect_known(3, 5);
	write_head(3);
	write_page(3);
	expect_known(4, 5);
}

/* Whatever has none of SQLite's shapes. */
static void what_has_another_shape_is_not_known(void **state)
{
	static const struct {
		int64_t at;
		size_t count, known;
	} writes[] = {
	    {2 * FRAME, FRAME, 2},    {2 * FRAME, HEAD + 8, 2},
	    {2 * FRAME + 8, HEAD, 2}, {2 * FRAME, HEAD - 8, 2},
	    {2 * FRAME + HEAD, 8, 2}, {2 * FRAME + HEAD + 8, PAGE - 8, 2},
	    {2 * FRAME + 8, PAGE, 2}, {2 * FRAME + FRAME - 1, 1, 2},
	    {3 * FRAME, FRAME, 3},    {0, FRAME, 0},
	    {2 * FRAME, PAGE, 2},     {2 * FRAME + 8, FRAME, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
		const int64_t offset = WAL_HEADER_BYTES + writes[i].at;

		begin_with(4);
		assert_true(fits(offset, writes[i].count, true)); /* nothing says what it must be */
		imprint_forget(p, offset_of(2));
		imprint_learn(p, log_bytes + offset, writes[i].count, offset);
		expect_known(writes[i].at == 2 * FRAME && writes[i].count == FRAME ? 3 : 2, 4);
		imprint_free(p);
		(void)begin(NULL);
		begin_with(4);
		imprint_wrote(p, log_bytes + offset, writes[i].count, offset);
		expect_known(writes[i].known, 4);
		write_page(writes[i].known); /* no header came before it */
		expect_known(writes[i].known, 4);
		imprint_free(p);
		(void)begin(NULL);
	}
	begin_with(4);
	imprint_wrote(p, log_bytes, 8, 0); /* in the header */
	for (size_t i = 0; i < 4; i++)
		assert_true(fits(offset_of(i), HEAD, true));
	assert_true(fits(0, WAL_HEADER_BYTES, true));
	assert_true(imprint_fits_size(p, 1));
}

/* A header that is not sound says nothing of what follows. */
static void without_a_header_nothing_is_known(void **state)
{
	(void)state;
	for (int learns = 0; learns < 2; learns++) {
		imprint_free(p);
		p = imprint_new(IMPRINT_OF_LOG);
		make_header(8);
		log_bytes[WAL_AT_CHECKSUM]++;
		if (learns)
			imprint_learn(p, log_bytes, WAL_HEADER_BYTES, 0);
		else
			write_header();
		for (size_t i = 0; i < 3; i++) {
			make_frame(i, 3);
			if (learns) {
				imprint_learn(p, frame_of(i), FRAME, offset_of(i));
				continue;
			}
			write_head(i);
			write_page(i);
		}
		for (size_t i = 0; i < 3; i++) {
			assert_true(fits(offset_of(i), HEAD, true));
			assert_true(fits(offset_of(i) + HEAD, PAGE, true));
		}
		assert_true(fits(0, WAL_HEADER_BYTES, true));
	}
}

/* A log that is there already, as SQLite reads it: frame by frame, as far as they are of it. */
static void what_is_read_first_is_known(void **state)
{
	(void)state;
	begin_with(5);
	imprint_free(p);
	p = imprint_new(IMPRINT_OF_LOG);
	imprint_learn(p, log_bytes, WAL_HEADER_BYTES, 0);
	imprint_learn(p, frame_of(1), FRAME, offset_of(1)); /* not in turn */
	expect_known(0, 5);
	imprint_learn(p, frame_of(0), HEAD, offset_of(0)); /* a page of it may be anything */
	expect_known(0, 5);
	for (size_t i = 0; i < 3; i++)
		imprint_learn(p, frame_of(i), FRAME, offset_of(i));
	expect_known(3, 5);
	frame_of(3)[WAL_FRAME_SALTS]++; /* of the log before */
	imprint_learn(p, frame_of(3), FRAME, offset_of(3));
	imprint_learn(p, frame_of(4), FRAME, offset_of(4));
	expect_known(3, 5);
	imprint_learn(p, log_bytes, WAL_HEADER_BYTES, 0);
	expect_known(3, 5);
}

static void what_is_cut_or_failed_is_not_known(void **state)
{
	(void)state;
	begin_with(5);
	imprint_forget(p, offset_of(3) + HEAD);
	expect_known(3, 5);
	imprint_forget(p, offset_of(4));
	expect_known(3, 5);
	imprint_cut(p, offset_of(1) + 5);
	expect_known(1, 5);
	imprint_cut(p, 0);
	assert_true(imprint_fits_size(p, 0));
	assert_false(imprint_fits_size(p, 1));
	write_header();
	assert_true(imprint_fits_size(p, WAL_HEADER_BYTES));
	assert_false(imprint_fits_size(p, WAL_HEADER_BYTES - 1));
}

/* From each byte on: what stands before it is known as it was. */
static void what_failed_anywhere_is_not_known(void **state)
{
	(void)state;
	for (int64_t at = 0; at <= offset_of(4) + 8; at++) {
		const bool has_header = at >= WAL_HEADER_BYTES;

		imprint_free(p);
		(void)begin(NULL);
		begin_with(4);
		imprint_forget(p, at);
		assert_int_equal(fits(0, WAL_HEADER_BYTES, true), !has_header);
		if (has_header)
			expect_known((size_t)(at - WAL_HEADER_BYTES) / FRAME, 4);
		for (size_t i = 0; i < 4 && !has_header; i++)
			assert_true(fits(offset_of(i), HEAD, true) && fits(offset_of(i) + HEAD, PAGE, true));
		assert_int_equal(imprint_fits_size(p, 1), !has_header);
	}
}

/* A write that failed may have left something, and what came before it may not be what follows. */
static void a_write_that_failed_leaves_nothing_sure(void **state)
{
	(void)state;
	begin_with(3);
	make_frame(3, 3);
	write_head(3);
	imprint_forget(p, offset_of(4)); /* it came behind the header, and nobody saw whole what came */
	write_page(3);
	expect_known(3, 4);
	imprint_forget(p, offset_of(4));
	write_page(0);
	expect_known(0, 4);
	imprint_cut(p, 0);
	imprint_forget(p, 0);
	assert_true(imprint_fits_size(p, 0) && imprint_fits_size(p, 1));
	imprint_free(NULL);
}

static void a_database_that_failed_is_as_long_as_it_was(void **state)
{
	static unsigned char page[PAGE], other[PAGE] = {1};

	(void)state;
	imprint_free(p);
	p = imprint_new(IMPRINT_OF_DATABASE);
	imprint_forget(p, 0);
	imprint_forget(p, 9 * PAGE);
	assert_true(imprint_fits_size(p, 0));
	imprint_wrote(p, page, PAGE, 4 * PAGE);
	imprint_forget(p, 9 * PAGE);
	assert_true(imprint_fits_size(p, 5 * PAGE));
	assert_false(imprint_fits_size(p, 5 * PAGE - 1));
	for (int64_t i = 0; i < 4; i++) { /* as they are read first */
		assert_true(imprint_fits(p, other, PAGE, i * PAGE));
		imprint_learn(p, page, PAGE, i * PAGE);
		imprint_learn(p, other, PAGE, i * PAGE);
		assert_true(imprint_fits(p, page, PAGE, i * PAGE));
		assert_false(imprint_fits(p, other, PAGE, i * PAGE));
	}
	imprint_forget(p, 3 * PAGE + 7);
	assert_true(imprint_fits_size(p, 3 * PAGE));
	assert_false(imprint_fits_size(p, 3 * PAGE - 1));
}

/* Pages of a database, each by itself; a write that is none makes what follows unknown. */
static void pages_of_a_database(void **state)
{
	enum { DB = 4096, PAGES = 8 };
	static unsigned char pages[PAGES * DB], other[2 * DB];
	static const struct {
		size_t count;
		int64_t at;
		size_t known;
	} strange[] = {{2 * DB, 2 * DB, 2}, {2 * DB, 4 * DB, 4}, {DB, 100, 0},
	               {DB / 2, 3 * DB, 3}, {1000, 5 * DB, 5},   {DB, 3 * DB + DB / 2, 3}};

	(void)state;
	for (size_t i = 0; i < sizeof pages; i++)
		pages[i] = (unsigned char)(i * 31 + i / DB);
	for (size_t k = 0; k < sizeof strange / sizeof *strange; k++) {
		imprint_free(p);
		p = imprint_new(IMPRINT_OF_DATABASE);
		for (size_t i = 0; i < PAGES; i++)
			imprint_wrote(p, pages + i * DB, DB, (int64_t)(i * DB));
		assert_true(imprint_fits_size(p, PAGES * DB));
		assert_false(imprint_fits_size(p, PAGES * DB - 1));
		assert_false(imprint_fits(p, other, DB, 3 * DB));
		assert_true(imprint_fits(p, other, 2 * DB, 4 * DB)); /* no page */
		imprint_wrote(p, other, strange[k].count, strange[k].at);
		for (size_t i = 0; i < PAGES; i++) {
			assert_true(imprint_fits(p, pages + i * DB, DB, (int64_t)(i * DB)));
			assert_int_equal(imprint_fits(p, other, DB, (int64_t)(i * DB)), i >= strange[k].known);
		}
		imprint_learn(p, other, DB, 7 * DB); /* the first to be read of it; those between are not known */
		assert_false(imprint_fits(p, pages + 7 * DB, DB, 7 * DB));
		assert_true(imprint_fits(p, pages + 6 * DB, DB, 6 * DB));
		assert_true(imprint_fits(p, other, DB, 6 * DB));
		imprint_learn(p, pages + 7 * DB, DB, 7 * DB);
		assert_false(imprint_fits(p, pages + 7 * DB, DB, 7 * DB));
	}
}

/* A page so far behind that no note is taken of it. */
static void only_the_first_pages_are_known(void **state)
{
	static unsigned char page[PAGE], other[PAGE] = {1};

	(void)state;
	imprint_free(p);
	p = imprint_new(IMPRINT_OF_DATABASE);
	imprint_wrote(p, page, PAGE, (int64_t)65535 * PAGE);
	assert_false(imprint_fits(p, other, PAGE, (int64_t)65535 * PAGE));
	imprint_wrote(p, page, PAGE, (int64_t)65536 * PAGE);
	assert_true(imprint_fits(p, other, PAGE, (int64_t)65536 * PAGE));
	assert_true(imprint_fits_size(p, (int64_t)65536 * PAGE));
}

/* Where a look goes, and how often it goes anywhere: of so many frames each stands in one of so many looks. */
static void a_log_is_looked_at_in_pieces(void **state)
{
	static const struct {
		size_t frames, looks;
	} cases[] = {{0, 1}, {1, 1}, {2, 1}, {63, 1}, {64, 2}, {65, 2}, {127, 2}, {128, 3}, {300, 5}};
	int64_t offset;
	size_t count;

	(void)state;
	imprint_free(p);
	p = imprint_new(IMPRINT_OF_LOG);
	for (unsigned n = 0; n < 3; n++) {
		assert_false(imprint_piece(p, true, n, &offset, &count));
		assert_false(imprint_piece(p, false, n, &offset, &count));
		assert_false(imprint_piece_at(p, 0, n, &offset, &count));
	}
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		const size_t frames = cases[c].frames;
		const int64_t last = frames == 0 ? 0 : offset_of(frames - 1);
		const size_t last_bytes = frames == 0 ? WAL_HEADER_BYTES : FRAME;
		unsigned seen[FRAMES] = {0};

		imprint_free(p);
		(void)begin(NULL);
		begin_with(frames);
		for (size_t look = 0; look < cases[c].looks; look++) {
			unsigned n = 2;

			assert_true(imprint_piece(p, true, 0, &offset, &count));
			assert_int_equal(offset, last);
			assert_int_equal(count, last_bytes);
			for (unsigned i = 1; i < 4; i++)
				assert_false(imprint_piece(p, true, i, &offset, &count));
			assert_true(imprint_piece(p, false, 0, &offset, &count));
			assert_int_equal(offset, last);
			assert_int_equal(count, last_bytes);
			assert_true(imprint_piece(p, false, 1, &offset, &count));
			assert_int_equal(offset, 0);
			assert_int_equal(count, WAL_HEADER_BYTES);
			for (; imprint_piece(p, false, n, &offset, &count); n++) {
				const size_t frame = (size_t)(offset - WAL_HEADER_BYTES) / FRAME;

				assert_int_equal(offset, offset_of(frame));
				assert_int_equal(count, HEAD);
				assert_true(frame < frames);
				seen[frame]++;
			}
			assert_true(n <= 2 + 64);
			assert_true(n - 2 >= frames / cases[c].looks);
		}
		for (size_t i = 0; i < frames; i++)
			assert_int_equal(seen[i], 1);
	}
}

/* Zeros from a byte on: the frame it stands in, its page, and the next one's header. */
static void zeros_reach_into_what_stands_there(void **state)
{
	enum { KNOWN = 3 };
	int64_t offset;
	size_t count;

	(void)state;
	begin_with(KNOWN);
	for (int64_t at = 0; at < offset_of(KNOWN + 1); at++) {
		const size_t frame = at < WAL_HEADER_BYTES ? 0 : (size_t)(at - WAL_HEADER_BYTES) / FRAME;

		assert_int_equal(imprint_piece_at(p, at, 0, &offset, &count), frame < KNOWN);
		assert_int_equal(offset, offset_of(frame));
		assert_int_equal(count, HEAD);
		assert_int_equal(imprint_piece_at(p, at, 1, &offset, &count), frame < KNOWN);
		assert_int_equal(offset, offset_of(frame) + HEAD);
		assert_int_equal(count, PAGE);
		assert_int_equal(imprint_piece_at(p, at, 2, &offset, &count), frame + 1 < KNOWN);
		assert_int_equal(offset, offset_of(frame + 1));
		assert_int_equal(count, HEAD);
		assert_false(imprint_piece_at(p, at, 3, &offset, &count));
	}
}

/* The first sixteen pages at each look, and each other one in one of so many. */
static void a_database_is_looked_at_in_pieces(void **state)
{
	enum { FIRST = 16, PAGES_MOST = 200 };
	static const struct {
		size_t pages, looks;
	} cases[] = {{0, 1}, {1, 1}, {15, 1}, {16, 1}, {17, 1}, {63, 1}, {64, 2}, {127, 2}, {128, 3}, {200, 4}};
	static unsigned char page[PAGE];
	int64_t offset;
	size_t count;

	(void)state;
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		const size_t pages = cases[c].pages, first = pages < FIRST ? pages : FIRST;
		unsigned seen[PAGES_MOST] = {0};

		imprint_free(p);
		p = imprint_new(IMPRINT_OF_DATABASE);
		for (size_t i = 0; i < pages; i++)
			imprint_wrote(p, page, PAGE, (int64_t)(i * PAGE));
		for (size_t look = 0; look < cases[c].looks; look++) {
			unsigned n = 0;

			for (; imprint_piece(p, true, n, &offset, &count); n++) {
				assert_int_equal(offset, n * PAGE);
				assert_int_equal(count, PAGE);
			}
			assert_int_equal(n, first);
			assert_false(imprint_piece(p, true, FIRST, &offset, &count));
			for (n = 0; imprint_piece(p, false, n, &offset, &count); n++) {
				assert_int_equal(count, PAGE);
				if (n < FIRST)
					assert_int_equal(offset, n * PAGE);
				else
					seen[offset / PAGE]++;
			}
			assert_true(n >= first && n <= FIRST + 64);
		}
		for (size_t i = 0; i < pages && pages > FIRST; i++)
			assert_int_equal(seen[i], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_frame_that_was_written_is_known, begin, end),
	    cmocka_unit_test_setup_teardown(a_new_header_begins_a_new_log, begin, end),
	    cmocka_unit_test_setup_teardown(a_page_in_anothers_place_makes_the_rest_unknown, begin, end),
	    cmocka_unit_test_setup_teardown(headers_come_in_turn, begin, end),
	    cmocka_unit_test_setup_teardown(what_has_another_shape_is_not_known, begin, end),
	    cmocka_unit_test_setup_teardown(without_a_header_nothing_is_known, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_read_first_is_known, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_cut_or_failed_is_not_known, begin, end),
	    cmocka_unit_test_setup_teardown(what_failed_anywhere_is_not_known, begin, end),
	    cmocka_unit_test_setup_teardown(a_write_that_failed_leaves_nothing_sure, begin, end),
	    cmocka_unit_test_setup_teardown(a_database_that_failed_is_as_long_as_it_was, begin, end),
	    cmocka_unit_test_setup_teardown(a_log_is_looked_at_in_pieces, begin, end),
	    cmocka_unit_test_setup_teardown(zeros_reach_into_what_stands_there, begin, end),
	    cmocka_unit_test_setup_teardown(pages_of_a_database, begin, end),
	    cmocka_unit_test_setup_teardown(a_database_is_looked_at_in_pieces, begin, end),
	    cmocka_unit_test_setup_teardown(only_the_first_pages_are_known, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
