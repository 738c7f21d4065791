/*
 * A log that breaks anywhere: where it does, how many commits are behind it, and which frames are the newest of their
 * pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/lives.h"
#include "rig/spooldir.h"
#include "store/files/spool_files.h"
#include "store/files/wal.h"

enum { COMMITS = 6, HEADER = 32, FRAME = 24, POINTS_MAX = 200 };

static void make_log(const struct spooldir *d, uint32_t page_bytes)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	struct error e;

	o.page_size = page_bytes;
	assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
	for (uint64_t n = 1; n <= COMMITS; n++) {
		struct message *m = spooldir_message(n, 3000);

		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		message_free(m);
	}
	store_abandon(s);
}

static struct wal_scan scan_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct wal_scan scan = {0};
	struct error e;

	assert_true(fd >= 0);
	assert_int_equal(wal_scan(fd, &scan, &e), ERR_OK);
	(void)close(fd);
	return scan;
}

static uint64_t mend(const char *path, const struct wal_scan *scan)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t damaged = 0;
	struct error e;

	assert_true(fd >= 0);
	assert_int_equal(wal_mend(fd, scan, &damaged, &e), ERR_OK);
	(void)close(fd);
	return damaged;
}

static bool ends_a_commit(const unsigned char *frame) { return memcmp(frame + 4, "\0\0\0\0", 4) != 0; }

/* One frame after the other gets a wrong byte in its page. */
static void each_frame_that_breaks(uint32_t page_bytes)
{
	struct spooldir d;
	const size_t step = FRAME + page_bytes;
	struct wal_scan whole;
	size_t count;
	unsigned char *bytes;
	uint64_t frames;

	spooldir_make(&d);
	make_log(&d, page_bytes);
	bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
	whole = scan_of(spooldir_file(&d, "-wal"));
	frames = whole.frames;
	assert_true(whole.header_is_sound && !whole.header_is_torn && !whole.is_empty);
	assert_int_equal(whole.page_bytes, page_bytes);
	assert_true(whole.commits >= COMMITS && frames >= whole.commits);
	assert_int_equal(whole.commits_lost, 0);
	assert_int_equal(whole.mend_frames, frames);
	assert_false(wal_is_damaged(&whole));
	assert_int_equal(wal_page_offset(&whole, 2), HEADER + 2 * step + FRAME);
	for (uint64_t broken = 0, before = 0, behind; broken < frames; broken++) {
		unsigned char *frame = bytes + HEADER + broken * step;
		struct wal_scan scan, mended;

		behind = whole.commits - before - ends_a_commit(frame);
		frame[FRAME + page_bytes / 2] ^= 4;
		spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
		scan = scan_of(spooldir_file(&d, "-wal"));
		assert_true(scan.header_is_sound);
		assert_int_equal(scan.frames, broken);
		assert_int_equal(scan.commits, before);
		assert_int_equal(scan.commits_lost, behind);
		assert_int_equal(wal_is_damaged(&scan), behind >= 2);
		if (behind >= 2) {
			assert_int_equal(scan.commits_mended, behind);
			assert_int_equal(mend(spooldir_file(&d, "-wal"), &scan), 1);
			mended = scan_of(spooldir_file(&d, "-wal"));
			assert_int_equal(mended.frames, frames);
			assert_int_equal(mended.commits, whole.commits);
			assert_int_equal(mended.commits_lost, 0);
		}
		frame[FRAME + page_bytes / 2] ^= 4;
		before += ends_a_commit(frame);
	}
	free(bytes);
	spooldir_remove(&d);
}

static void a_break_is_found_where_it_is(void **state)
{
	(void)state;
	for (uint32_t page_bytes = 512; page_bytes <= 65536; page_bytes *= 2)
		each_frame_that_breaks(page_bytes);
}

/* Frames side by side that lost all, their heads too: what stands behind them is joined, and read by SQLite's rule. */
static void runs_of_frames_that_break(void **state)
{
	enum { PAGE = 1024, STEP = FRAME + PAGE, RUN_MAX = 12 };
	static const int fills[] = {0, 0xff, -1};
	struct spooldir d;
	struct wal_scan whole;
	size_t count;
	unsigned char *bytes;
	uint64_t last = 0, joined = 0;

	(void)state;
	spooldir_make(&d);
	make_log(&d, PAGE);
	bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
	whole = scan_of(spooldir_file(&d, "-wal"));
	for (uint64_t i = 0, seen = 0; i < whole.frames; i++) {
		seen += ends_a_commit(bytes + HEADER + i * STEP);
		last = seen + 3 <= whole.commits ? i + 1 : last; /* two transactions are whole from here on */
	}
	for (uint64_t run = 1; run <= RUN_MAX; run++)
		for (uint64_t from = 0; from + run <= whole.frames; from++) {
			const int fill = fills[(from + run) % 3];
			unsigned char *harmed = memcpy(malloc(count), bytes, count),
			              *at = harmed + HEADER + from * STEP;
			struct wal_scan scan, mended;

			for (size_t i = 0; i < run * STEP; i++)
				at[i] = fill >= 0 ? (unsigned char)fill : (unsigned char)(i * 131 + i / 7);
			spooldir_store(spooldir_file(&d, "-wal"), harmed, count);
			scan = scan_of(spooldir_file(&d, "-wal"));
			assert_int_equal(scan.frames, from);
			if (from + run <= last)
				assert_true(wal_is_damaged(&scan));
			if (from + run < last)
				assert_int_equal(scan.mend_frames, whole.frames);
			if (wal_is_damaged(&scan)) {
				(void)mend(spooldir_file(&d, "-wal"), &scan);
				mended = scan_of(spooldir_file(&d, "-wal"));
				if (mended.frames != scan.mend_frames)
					fail_msg("%llu frames of %02x from %llu: %llu of %llu are joined",
					         (unsigned long long)run, fill, (unsigned long long)from,
					         (unsigned long long)mended.frames,
					         (unsigned long long)scan.mend_frames);
				joined++;
			}
			free(harmed);
		}
	assert_true(joined > 100);
	free(bytes);
	spooldir_remove(&d);
}

/* A log that was never used, and one that is no longer than its heads, are empty. */
static void a_short_log_is_empty(void **state)
{
	struct spooldir d;
	unsigned char bytes[HEADER + FRAME + 1] = {0};

	(void)state;
	spooldir_make(&d);
	for (size_t count = 0; count <= sizeof bytes; count++) {
		struct wal_scan scan;

		spooldir_store(d.path, bytes, count);
		scan = scan_of(d.path);
		assert_true(scan.is_empty);
		assert_int_equal(scan.frames + scan.mend_frames + scan.commits, 0);
		assert_false(wal_is_damaged(&scan));
	}
	spooldir_remove(&d);
}

/* frame_of as the frames say by themselves: the newest of each page, within the pages asked for. */
static void frames_are_the_newest_of_their_pages(void **state)
{
	enum { PAGE = 1024, PAGES_MAX = 4000 };
	struct spooldir d;
	struct wal_scan scan = {0};
	struct error e;
	size_t count;
	unsigned char *bytes;
	int fd;

	(void)state;
	spooldir_make(&d);
	make_log(&d, PAGE);
	bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
	scan = scan_of(spooldir_file(&d, "-wal"));
	fd = open(spooldir_file(&d, "-wal"), O_RDONLY | O_CLOEXEC);
	for (uint32_t pages = scan.pages / 2; pages <= scan.pages; pages += scan.pages - scan.pages / 2) {
		uint32_t want[PAGES_MAX] = {0}, got[PAGES_MAX] = {0};

		assert_true(scan.pages < PAGES_MAX);
		for (uint32_t i = 0; i < scan.frames; i++) {
			const unsigned char *p = bytes + HEADER + i * (FRAME + PAGE);
			uint32_t page = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];

			if (page <= pages)
				want[page] = i + 1;
		}
		assert_int_equal(wal_frames_of_pages(fd, &scan, got, pages, &e), ERR_OK);
		assert_memory_equal(want, got, sizeof want);
	}
	/* One whose own number has a wrong bit is found by it all the same. */
	for (uint32_t i = 0; i < scan.frames; i += 3) {
		uint32_t whole[PAGES_MAX] = {0}, got[PAGES_MAX] = {0};

		assert_int_equal(wal_frames_of_pages(fd, &scan, whole, scan.pages, &e), ERR_OK);
		bytes[HEADER + i * (FRAME + PAGE) + 3] ^= 2;
		spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
		assert_int_equal(wal_frames_of_pages(fd, &scan, got, scan.pages, &e), ERR_OK);
		assert_memory_equal(whole, got, sizeof got);
		bytes[HEADER + i * (FRAME + PAGE) + 3] ^= 2;
		spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
	}
	(void)close(fd);
	free(bytes);
	spooldir_remove(&d);
}

static enum err do_scan(int fd, const struct wal_scan *scan, struct error *e)
{
	struct wal_scan again = {0};

	(void)scan;
	return wal_scan(fd, &again, e);
}

static enum err do_mend(int fd, const struct wal_scan *scan, struct error *e)
{
	uint64_t damaged;

	return wal_mend(fd, scan, &damaged, e);
}

static enum err do_frames(int fd, const struct wal_scan *scan, struct error *e)
{
	uint32_t frame_of[100] = {0};

	return wal_frames_of_pages(fd, scan, frame_of, 99, e);
}

/* Whichever operation fails, it is told; and after it was, mending again ends in the same log. */
static void an_operation_that_fails_is_told(void **state)
{
	static enum err (*const acts[])(int fd, const struct wal_scan *scan, struct error *e) = {do_scan, do_mend,
	                                                                                         do_frames};
	static const unsigned kinds[] = {FAULTFS_READ, FAULTFS_WRITE, FAULTFS_SYNC, FAULTFS_STAT};
	static const int least[3][4] = {{3, 0, 0, 1}, {3, 3, 1, 0}, {3, 0, 0, 0}};
	struct spooldir d;
	struct wal_scan scan = {0};
	size_t count;
	unsigned char *bytes;

	(void)state;
	spooldir_make(&d);
	make_log(&d, 4096);
	bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
	bytes[HEADER + FRAME + 7] ^= 1;
	spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
	scan = scan_of(spooldir_file(&d, "-wal"));
	assert_true(wal_is_damaged(&scan));
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
			int n = 1;

			for (;; n++) {
				int fd;
				struct error e = {.code = ERR_OK};
				enum err err;
				uint64_t failed;

				assert_true(n < POINTS_MAX);
				spooldir_store(spooldir_file(&d, "-wal"), bytes, count);
				fd = open(spooldir_file(&d, "-wal"), O_RDWR | O_CLOEXEC);
				faultfs_arm(kinds[k], (uint64_t)n, EIO, false);
				err = acts[i](fd, &scan, &e);
				failed = faultfs_failed();
				faultfs_arm(0, 0, 0, false);
				(void)close(fd);
				assert_int_equal(err, failed > 0 ? ERR_DISK : ERR_OK);
				if (failed == 0)
					break;
				assert_non_null(strstr(e.text, "write-ahead log"));
				assert_non_null(strstr(e.text, strerror(EIO)));
			}
			assert_true(n - 1 >= least[i][k]);
		}
	free(bytes);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_break_is_found_where_it_is),    cmocka_unit_test(a_short_log_is_empty),
	    cmocka_unit_test(runs_of_frames_that_break),       cmocka_unit_test(frames_are_the_newest_of_their_pages),
	    cmocka_unit_test(an_operation_that_fails_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
