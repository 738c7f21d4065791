/*
 * Logs made byte by byte, of every page size and word order, and read by rules written down a second time: cut at each
 * place, each bit of the header and of a frame's head wrong, begun again and torn; and mended into what they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "rig/faultfs.h"
#include "rig/logimage.h"
#include "rig/spooldir.h"
#include "store/files/wal.h"

enum { PAGES = 40, NO_PAGE = 0x7fffffff };

static struct logimage log_image;
static struct spooldir folder;
static uint64_t chance = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)(chance >> 20) % n;
}

static void random_page(unsigned char *page, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		page[i] = (unsigned char)random_below(256);
}

/* Transactions of one to three frames. */
static void make_log(struct logimage *l, uint32_t page_bytes, bool big, size_t frames)
{
	unsigned char *page = mem_alloc(page_bytes);
	size_t left = 2;

	log_begin(l, page_bytes, big, 7, 1000 + random_below(1u << 30));
	while (l->frames < frames) {
		random_page(page, page_bytes);
		log_add(l, l->frames == 0 ? 1 : 1 + random_below(PAGES),
		        --left == 0 || l->frames + 1 == frames ? PAGES : 0, page);
		left = left == 0 ? 1 + random_below(3) : left;
	}
	free(page);
}

static bool header_is_sound(const struct logimage *l)
{
	const uint32_t size = log_get(l->image + 8);
	const bool big = l->image[3] & 1;
	uint32_t sum[2] = {0, 0};

	log_sum(big, sum, l->image, 24);
	return (log_get(l->image) | 1) == 0x377f0683 && log_get(l->image + 4) == 3007000 && size >= 512 &&
	       size <= 65536 && (size & (size - 1)) == 0 && sum[0] == log_get(l->image + 24) &&
	       sum[1] == log_get(l->image + 28);
}

/* What a scan must say of an image whose layout is known: the rules of wal.h, frame by frame. */
static struct wal_scan expected(struct logimage *l, size_t frames)
{
	struct wal_scan s = {
	    .header_is_sound = header_is_sound(l), .page_bytes = l->page_bytes, .big_endian_sums = l->big};
	bool unbroken = s.header_is_sound, whole = true;

	s.salts[0] = l->salts[0];
	s.salts[1] = l->salts[1];
	for (size_t i = 0; i < frames; i++) {
		const unsigned char *f = log_frame(l, i);
		const bool live = log_get(f + 8) == l->salts[0] && log_get(f + 12) == l->salts[1];
		const bool sound = log_is_sound(l, i);

		unbroken = unbroken && sound;
		whole = whole && sound;
		s.frames += unbroken;
		if (sound && log_get(f) > s.highest_page)
			s.highest_page = log_get(f);
		if (!live || log_get(f + 4) == 0)
			continue;
		s.commits += unbroken;
		s.commits_lost += sound && !unbroken;
		if (whole) {
			s.mend_frames = i + 1;
			s.commits_mended = s.commits_lost;
			s.pages = log_get(f + 4);
		}
		whole = true;
	}
	return s;
}

static int open_log(int flags)
{
	int fd = open(folder.path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct wal_scan scan_now(bool tolerates)
{
	struct wal_scan s = {.tolerates = tolerates, .frames = 99, .commits_lost = 99};
	struct error e;
	int fd = open_log(O_RDONLY);

	assert_int_equal(wal_scan(fd, &s, &e), ERR_OK);
	(void)close(fd);
	return s;
}

static void compare(const struct wal_scan *want, const struct wal_scan *got, const char *what, uint64_t where)
{
#define SAME(field)                                                                                 \
	if (want->field != got->field)                                                              \
	fail_msg("%s at %llu: " #field " should be %llu, is %llu", what, (unsigned long long)where, \
	         (unsigned long long)want->field, (unsigned long long)got->field)
	SAME(is_empty);
	SAME(header_is_sound);
	SAME(header_is_torn);
	SAME(page_bytes);
	SAME(big_endian_sums);
	SAME(frames);
	SAME(commits);
	SAME(commits_lost);
	SAME(commits_mended);
	SAME(mend_frames);
	SAME(pages);
	SAME(highest_page);
	SAME(salts[0]);
	SAME(salts[1]);
	SAME(unreadable);
#undef SAME
}

static void check_scan(struct logimage *l, size_t count, const char *what, uint64_t where)
{
	const size_t step = LOG_FRAME + (size_t)l->page_bytes;
	struct wal_scan want = expected(l, (count - LOG_HEAD) / step), got;

	spooldir_store(folder.path, l->image, count);
	got = scan_now(false);
	compare(&want, &got, what, where);
	assert_int_equal(wal_is_damaged(&got), want.commits_lost >= 2);
}

static void each_layout_is_read(void **state)
{
	(void)state;
	for (uint32_t page = 512; page <= 65536; page *= 2)
		for (int big = 0; big < 2; big++) {
			make_log(&log_image, page, big, 9);
			check_scan(&log_image, log_image.bytes, "layout", page);
			log_image.image[LOG_HEAD - 1] ^=
			    16; /* the header's own checksum: the first frame follows no more */
			check_scan(&log_image, log_image.bytes, "header", page);
		}
}

/* A size no page has, in a header whose checksum holds. */
static void a_page_size_that_cannot_be_is_none(void **state)
{
	static const uint32_t sizes[] = {0, 1, 2, 256, 511, 513, 768, 1536, 65535, 65537, 98304, 131072};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct wal_scan got;

		log_begin(&log_image, sizes[i], false, 7, 99);
		spooldir_store(folder.path, log_image.image, 300000);
		got = scan_now(false);
		assert_false(got.header_is_sound);
		assert_true(got.is_empty);
		assert_int_equal(got.page_bytes + got.frames + got.mend_frames, 0);
	}
}

static void a_log_cut_anywhere_is_read(void **state)
{
	struct wal_scan none = {0}, got;

	(void)state;
	make_log(&log_image, 512, false, 6);
	for (size_t count = 0; count <= log_image.bytes; count++) {
		struct wal_scan want = none;

		if (count >= LOG_HEAD + LOG_FRAME + 512) {
			check_scan(&log_image, count, "cut", count);
			continue;
		}
		spooldir_store(folder.path, log_image.image, count);
		got = scan_now(false);
		want.is_empty = true;
		if (count > LOG_HEAD + LOG_FRAME) { /* the header was looked at */
			want.header_is_sound = true;
			want.page_bytes = 512;
			memcpy(want.salts, log_image.salts, sizeof want.salts);
		}
		compare(&want, &got, "cut", count);
	}
}

/* Each bit of the header: layout and salts are found by the frames. */
static void each_wrong_bit_of_the_header(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++) {
		make_log(&log_image, big ? 1024 : 512, big, 25);
		for (size_t bit = 0; bit < LOG_HEAD * 8; bit++) {
			struct wal_scan want, got;

			log_image.image[bit / 8] ^= (unsigned char)(1 << bit % 8);
			spooldir_store(folder.path, log_image.image, log_image.bytes);
			got = scan_now(false);
			want = expected(&log_image, log_image.frames);
			assert_false(got.header_is_sound);
			if (bit / 8 == 15) /* the last byte of the sequence: one of its bits is one too many */
				want.header_is_torn = got.header_is_torn;
			compare(&want, &got, "header bit", bit);
			log_image.image[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
	}
}

/* Each bit of the head of each frame, and of its page here and there. */
static void each_wrong_bit_of_a_frame(void **state)
{
	(void)state;
	make_log(&log_image, 512, false, 8);
	for (size_t i = 0; i < log_image.frames; i++)
		for (size_t bit = 0; bit < (LOG_FRAME + 512) * 8; bit += bit < LOG_FRAME * 8 ? 1 : 509) {
			unsigned char *f = log_frame(&log_image, i);

			f[bit / 8] ^= (unsigned char)(1 << bit % 8);
			check_scan(&log_image, log_image.bytes, "frame bit", i * 100000 + bit);
			f[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
}

/* Several bits of several frames, zeros, an older generation behind; with the header sound or not. */
static void damage_of_any_kind(void **state)
{
	static struct logimage other;

	(void)state;
	for (int round = 0; round < 400; round++) {
		const size_t frames = 3 + random_below(30);

		make_log(&log_image, 512, round & 1, frames);
		if (round % 5 == 0) { /* what an older generation left */
			make_log(&other, 512, round & 1, frames + 4);
			memcpy(log_frame(&log_image, frames), log_frame(&other, frames), 4 * (LOG_FRAME + 512));
			log_image.bytes += 4 * (LOG_FRAME + 512);
		}
		for (uint32_t k = random_below(4); k > 0; k--) {
			unsigned char *f = log_frame(&log_image, random_below((uint32_t)frames));

			if (random_below(4) == 0)
				memset(f, 0, LOG_FRAME + 512);
			else
				f[random_below(3) ? random_below(LOG_FRAME) : random_below(LOG_FRAME + 512)] ^=
				    (unsigned char)(1 + random_below(255));
		}
		check_scan(&log_image, log_image.bytes, "damage", (uint64_t)round);
	}
}

/* Only the first frames are asked for the layout: one of the first sixteen must follow. */
static void a_layout_is_sought_in_sixteen_frames(void **state)
{
	(void)state;
	for (size_t sound = 14; sound < 18; sound++) {
		struct wal_scan want, got;

		make_log(&log_image, 512, false, 20);
		log_image.image[9] ^= 64;
		for (size_t i = 0; i < sound; i++)
			log_frame(&log_image, i)[LOG_FRAME] ^= 1;
		spooldir_store(folder.path, log_image.image, log_image.bytes);
		got = scan_now(false);
		want = sound < 16 ? expected(&log_image, log_image.frames) : (struct wal_scan){.is_empty = true};
		if (sound < 16)
			compare(&want, &got, "layout", sound);
		assert_int_equal(got.is_empty, sound >= 16);
		assert_int_equal(got.mend_frames, want.mend_frames);
	}
}

/* The same, and the n-th read of it fails. */
static void a_read_that_fails_on_the_way_to_a_layout_is_told(void **state)
{
	uint64_t n = 1;
	int fd;

	(void)state;
	make_log(&log_image, 512, false, 20);
	log_image.image[9] ^= 64;
	spooldir_store(folder.path, log_image.image, log_image.bytes);
	fd = open_log(O_RDONLY);
	for (;; n++) {
		struct wal_scan scan = {0};
		struct error e = {0};
		enum err err;
		bool failed;

		faultfs_arm(FAULTFS_READ | FAULTFS_STAT, n, EIO, false);
		err = wal_scan(fd, &scan, &e);
		failed = faultfs_failed() > 0;
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(err, failed ? ERR_DISK : ERR_OK);
		if (!failed)
			break;
		assert_non_null(strstr(e.text, "the write-ahead log"));
	}
	assert_true(n > 22);
	(void)close(fd);
}

/* The header of the next generation, written up to each byte over that of a log whose frames stand. */
static void a_torn_restart_is_known(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++)
		for (size_t torn = 0; torn <= LOG_HEAD; torn++) {
			static struct logimage next;
			struct wal_scan got;
			bool is_old;

			make_log(&log_image, 512, big, 5);
			log_begin(&next, 512, big, 8, log_image.salts[0] + 1);
			is_old = memcmp(log_image.image, next.image, torn) == 0;
			memcpy(log_image.image, next.image, torn);
			spooldir_store(folder.path, log_image.image, log_image.bytes);
			got = scan_now(false);
			assert_int_equal(got.header_is_sound, is_old || torn == LOG_HEAD);
			assert_int_equal(got.header_is_torn, !is_old && torn < LOG_HEAD);
			if (torn < LOG_HEAD) {
				assert_int_equal(got.salts[0], log_image.salts[0]);
				assert_int_equal(got.salts[1], log_image.salts[1]);
			}
			assert_int_equal(got.frames, is_old ? 5 : 0);
		}
	/* Two generations later it is no restart of this one. */
	make_log(&log_image, 512, false, 5);
	log_image.image[15] += 2;
	log_image.image[16] ^= 8;
	spooldir_store(folder.path, log_image.image, log_image.bytes);
	assert_false(scan_now(false).header_is_torn);
}

static uint64_t mend_now(const struct wal_scan *scan)
{
	uint64_t damaged = 99;
	struct error e;
	int fd = open_log(O_RDWR);

	assert_int_equal(wal_mend(fd, scan, &damaged, &e), ERR_OK);
	(void)close(fd);
	return damaged;
}

static void load(struct logimage *l)
{
	size_t count;
	unsigned char *bytes = spooldir_load(folder.path, &count);

	assert_int_equal(count, l->bytes);
	memcpy(l->image, bytes, count);
	free(bytes);
}

/* One bit anywhere in heads of frames or the header: the mended log is what it was, byte for byte where it counts. */
static void one_wrong_bit_is_mended(void **state)
{
	static struct logimage whole, mended;

	(void)state;
	for (int big = 0; big < 2; big++) {
		make_log(&whole, 512, big, 10);
		for (size_t bit = 0; bit < (LOG_HEAD + 3 * (LOG_FRAME + 512)) * 8; bit++) {
			const size_t in_frame = (bit / 8 + LOG_FRAME + 512 - LOG_HEAD) % (LOG_FRAME + 512);
			struct wal_scan scan, after;
			uint32_t got_of[PAGES + 1] = {0}, want_of[PAGES + 1] = {0};
			struct error e;
			uint64_t unsound = 0;
			int fd;

			if (bit >= LOG_HEAD * 8 && in_frame >= LOG_FRAME && bit % 601)
				continue;
			log_image = whole;
			log_image.image[bit / 8] ^= (unsigned char)(1 << bit % 8);
			spooldir_store(folder.path, log_image.image, log_image.bytes);
			scan = scan_now(false);
			assert_int_equal(scan.mend_frames, 10);
			for (size_t i = 0; i < 10; i++) {
				unsound += !log_is_sound(&log_image, i);
				want_of[log_get(log_frame(&whole, i))] = (uint32_t)i + 1;
			}
			fd = open_log(O_RDONLY);
			assert_int_equal(wal_frames_of_pages(fd, &scan, got_of, PAGES, &e), ERR_OK);
			(void)close(fd);
			assert_memory_equal(got_of, want_of, sizeof want_of);
			/* The frame behind a wrong checksum is not wrong by itself. */
			assert_in_range(mend_now(&scan), unsound > 0 ? unsound - 1 : 0, unsound);
			mended = log_image;
			load(&mended);
			after = scan_now(false);
			assert_true(after.header_is_sound);
			assert_int_equal(after.frames, 10);
			assert_int_equal(after.commits_lost, 0);
			for (size_t i = 0; i < 10; i++) {
				assert_true(log_is_sound(&mended, i));
				assert_memory_equal(log_frame(&mended, i), log_frame(&whole, i), 8);
				assert_memory_equal(log_frame(&mended, i) + LOG_FRAME,
				                    log_frame(&log_image, i) + LOG_FRAME, 512);
			}
			assert_int_equal(log_get(mended.image), 0x377f0682u + (uint32_t)big);
			assert_int_equal(log_get(mended.image + 8), 512);
			assert_int_equal(log_get(mended.image + 16), whole.salts[0]);
		}
	}
}

/* Page numbers that cannot be, and cannot be guessed, belong to no page; others are believed. */
static void a_page_number_that_cannot_be_is_none(void **state)
{
	static const struct {
		uint32_t page, commit, want_page, want_commit;
	} cases[] = {
	    {0, 0, NO_PAGE, 0},
	    {0, PAGES, NO_PAGE, 0},
	    {PAGES + 1, 0, NO_PAGE, 0},
	    {PAGES + 1, 9, NO_PAGE, 0},
	    {0xfffffff3, 5, NO_PAGE, 0},
	    {PAGES, 0, PAGES, 0},
	    {1, 77, 1, 77},
	    {PAGES - 1, 3, PAGES - 1, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char page[512];
		uint32_t of[PAGES + 2] = {0};
		struct wal_scan scan;
		struct error e;
		int fd;

		log_begin(&log_image, 512, false, 1, 99);
		for (size_t n = 0; n < 8; n++) {
			random_page(page, sizeof page);
			log_add(&log_image, 20, PAGES, page);
		}
		log_put(log_frame(&log_image, 2), cases[i].page);
		log_put(log_frame(&log_image, 2) + 4, cases[i].commit);
		log_frame(&log_image, 2)[LOG_FRAME + 3] ^= 0x11;
		log_frame(&log_image, 2)[LOG_FRAME + 99] ^= 0x22;
		spooldir_store(folder.path, log_image.image, log_image.bytes);
		scan = scan_now(false);
		assert_int_equal(scan.highest_page, 20);
		assert_int_equal(scan.pages, PAGES);
		fd = open_log(O_RDONLY);
		assert_int_equal(wal_frames_of_pages(fd, &scan, of, PAGES, &e), ERR_OK);
		for (uint32_t n = 0; n <= PAGES + 1; n++)
			assert_int_equal(of[n], n == 20 ? 8 : n == cases[i].want_page ? 3 : 0);
		(void)close(fd);
		assert_int_equal(mend_now(&scan), 1);
		load(&log_image);
		assert_int_equal(log_get(log_frame(&log_image, 2)), cases[i].want_page);
		assert_int_equal(log_get(log_frame(&log_image, 2) + 4), cases[i].want_commit);
	}
}

static void frames_say_where_their_pages_are(void **state)
{
	struct wal_scan scan;
	struct error e;
	uint32_t page;
	int fd;

	(void)state;
	make_log(&log_image, 1024, false, 9);
	spooldir_store(folder.path, log_image.image, log_image.bytes);
	scan = scan_now(false);
	fd = open_log(O_RDONLY);
	for (size_t i = 0; i < 9; i++) {
		assert_int_equal(wal_page_offset(&scan, i), log_frame(&log_image, i) + LOG_FRAME - log_image.image);
		assert_int_equal(wal_page_number(fd, &scan, i, &page, &e), ERR_OK);
		assert_int_equal(page, log_get(log_frame(&log_image, i)));
	}
	page = 5;
	assert_int_equal(wal_page_number(fd, &scan, 9, &page, &e), ERR_DISK);
	assert_int_equal(page, 0);
	assert_non_null(strstr(e.text, "the write-ahead log: it became shorter while it was read"));
	(void)close(fd);
	/* It became shorter since it was scanned. */
	assert_int_equal(truncate(folder.path, (off_t)log_image.bytes - 1), 0);
	fd = open_log(O_RDWR);
	assert_int_equal(wal_frames_of_pages(fd, &scan, (uint32_t[PAGES + 1]){0}, PAGES, &e), ERR_DISK);
	assert_int_equal(wal_mend(fd, &scan, &(uint64_t){0}, &e), ERR_DISK);
	(void)close(fd);
}

/* What does not answer costs itself, when that was asked for: the frames around it stand, one that still says its page
 * is where that page is, and one that does not is counted. `hole`: the frame; -1: the log's header. */
static void one_hole(int hole, bool has_head)
{
	const int64_t step = LOG_FRAME + 512, head = has_head ? LOG_FRAME : 0;
	const struct wal_scan whole = expected(&log_image, 12);
	const bool is_last = hole >= 0 && (uint64_t)hole + 1 == whole.mend_frames;
	uint32_t of[PAGES + 1] = {0}, want_of[PAGES + 1] = {0};
	struct wal_scan got = {0};
	struct error e;
	int fd;

	faultfs_dead("spool.db", hole >= 0 ? LOG_HEAD + hole * step + head : 0, hole >= 0 ? step - head : LOG_HEAD);
	fd = open_log(O_RDONLY);
	assert_int_equal(wal_scan(fd, &got, &e), ERR_DISK);
	got = scan_now(true);
	assert_true(got.tolerates);
	assert_int_equal(got.unreadable, hole >= 0);
	assert_int_equal(got.nameless, hole >= 0 && !has_head);
	assert_int_equal(got.page_bytes, whole.page_bytes);
	assert_memory_equal(got.salts, whole.salts, sizeof got.salts);
	if (is_last && !has_head)
		assert_true(got.mend_frames < whole.mend_frames);
	else
		assert_int_equal(got.mend_frames, whole.mend_frames);
	assert_int_equal(wal_frames_of_pages(fd, &got, of, PAGES, &e), ERR_OK);
	for (size_t i = 0; i < got.mend_frames; i++)
		if ((int)i != hole || has_head)
			want_of[log_get(log_frame(&log_image, i)) % (PAGES + 1)] = (uint32_t)i + 1;
	want_of[0] = 0;
	assert_memory_equal(of, want_of, sizeof of);
	if (hole < 0 || hole < (int)got.mend_frames) {
		got.tolerates = false;
		assert_int_equal(wal_frames_of_pages(fd, &got, of, PAGES, &e), ERR_DISK);
	}
	(void)close(fd);
	faultfs_dead(NULL, 0, 0);
}

static void what_does_not_answer_is_left_out(void **state)
{
	(void)state;
	make_log(&log_image, 512, false, 12);
	spooldir_store(folder.path, log_image.image, log_image.bytes);
	for (int hole = -1; hole < 12; hole++) {
		one_hole(hole, false);
		if (hole >= 0)
			one_hole(hole, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_layout_is_read),
	    cmocka_unit_test(a_page_size_that_cannot_be_is_none),
	    cmocka_unit_test(a_log_cut_anywhere_is_read),
	    cmocka_unit_test(each_wrong_bit_of_the_header),
	    cmocka_unit_test(each_wrong_bit_of_a_frame),
	    cmocka_unit_test(damage_of_any_kind),
	    cmocka_unit_test(a_layout_is_sought_in_sixteen_frames),
	    cmocka_unit_test(a_read_that_fails_on_the_way_to_a_layout_is_told),
	    cmocka_unit_test(a_torn_restart_is_known),
	    cmocka_unit_test(one_wrong_bit_is_mended),
	    cmocka_unit_test(a_page_number_that_cannot_be_is_none),
	    cmocka_unit_test(frames_say_where_their_pages_are),
	    cmocka_unit_test(what_does_not_answer_is_left_out),
	};
	int failed;

	spooldir_make(&folder);
	faultfs_skip_syncs();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	spooldir_remove(&folder);
	return failed;
}
