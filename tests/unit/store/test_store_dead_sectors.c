/*
 * A sector that cannot be read for good. Under a companion it holds the spool no longer than it takes to be sure; under
 * the database or its log the start ends, and the way that the error names leads out: a copy without that sector, and
 * `kspool repair` there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/files/wal.h"

enum { IN_FILE = 200, IN_LOG = 100, ROWS = IN_FILE + IN_LOG, SETTLED = 7, SECTOR = 4096 };

static void make(struct spooldir *d)
{
	life_make(d, 0, IN_FILE, IN_LOG);
	life_close(life_open(d, NULL));
	{
		struct store *s = life_open(d, NULL);

		life_settle(s, 1, SETTLED);
		store_abandon(s);
	}
}

static bool holds(const struct spooldir *d, const char *suffix) { return access(spooldir_file(d, suffix), F_OK) == 0; }

static int64_t bytes_of(const struct spooldir *d, const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(d, suffix), &st) == 0 ? (int64_t)st.st_size : 0;
}

static void a_companion_that_cannot_be_read_ends_no_start(void **state)
{
	static const char *const companions[] = {".tide", ".lock", ".reserve", ".flight"};

	(void)state;
	for (size_t i = 0; i < sizeof companions / sizeof *companions; i++) {
		const bool is_tide = i == 0;
		struct store_report report;
		struct spooldir d;
		struct store *s;
		char text[2000];

		make(&d);
		faultfs_dead(is_tide ? "spool.db.tide" : companions[i], 0, SECTOR);
		if (is_tide) {
			assert_true(life_problems(&d, text, sizeof text) > 0);
			assert_non_null(strstr(text, ".tide, which says what was acknowledged last, cannot be read"));
		}
		s = life_open(&d, &report);
		assert_int_equal(store_ledger(s)->accepted, ROWS);
		assert_int_equal(store_ledger(s)->delivered, SETTLED);
		assert_int_equal(store_ledger(s)->damaged, 0);
		assert_int_equal(life_waiting(s, 0), ROWS - SETTLED);
		if (is_tide && !strstr(report.warning, ".tide cannot be read"))
			fail_msg("%s", report.warning);
		assert_int_equal(holds(&d, ".tide.unread"), is_tide);
		assert_true(holds(&d, ".tide"));
		life_close(s);
		if (is_tide) { /* its new file has other sectors */
			faultfs_dead("spool.db.tide.unread", 0, SECTOR);
			assert_int_equal(life_problems(&d, text, sizeof text), 0);
			s = life_open(&d, &report);
			assert_string_equal(report.warning, "");
			life_close(s);
		}
		faultfs_dead(NULL, 0, 0);
		spooldir_remove(&d);
	}
}

/* What such a mark alone knows is counted by the first start that can read it. */
static void a_tide_that_can_be_read_again_is_asked(void **state)
{
	(void)state;
	for (int log_is_lost = 0; log_is_lost < 2; log_is_lost++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;
		char text[2000];

		life_make(&d, 0, 20, 10);
		if (log_is_lost)
			assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
		faultfs_dead("spool.db.tide", 0, SECTOR);
		s = life_open(&d, &report);
		life_expect(s, log_is_lost ? 20 : 30, 0, log_is_lost ? 20 : 30, 0);
		life_close(s);
		assert_true(holds(&d, ".tide.unread"));
		faultfs_dead(NULL, 0, 0);
		assert_int_equal(life_problems(&d, text, sizeof text) > 0, log_is_lost);
		for (int starts = 0; starts < 2; starts++) {
			s = life_open(&d, &report);
			assert_false(holds(&d, ".tide.unread"));
			assert_int_equal(store_ledger(s)->accepted, 30);
			assert_int_equal(store_ledger(s)->damaged, log_is_lost ? 10 : 0);
			life_close(s);
		}
		spooldir_remove(&d);
	}
}

/* It is renamed, so that its next file gets other sectors: where that fails the start says so. */
static void a_dead_tide_that_cannot_be_renamed_is_told(void **state)
{
	uint64_t failed = 1;

	(void)state;
	for (uint64_t n = 1; failed > 0; n++) {
		struct store_report report = {0};
		struct store_options o;
		struct spooldir d;
		struct store *s = NULL;
		struct error e = {0};
		enum err err;

		make(&d);
		o = spooldir_options(&d);
		faultfs_dead("spool.db.tide", 0, SECTOR);
		faultfs_arm(FAULTFS_RENAME, n, EIO, false);
		err = store_open(&o, &s, &report, &e);
		failed = faultfs_failed();
		ERRORWATCH_EXPECT(err, &e, report.warning, "a start beside a dead tide mark", n);
		faultfs_arm(0, 0, 0, false);
		faultfs_dead(NULL, 0, 0);
		if (n == 1)
			assert_int_equal(err, ERR_DISK);
		store_abandon(s);
		s = life_open(&d, NULL);
		assert_int_equal(life_waiting(s, 0), ROWS - SETTLED);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* A look that fails once is made again: what the mark knows is not lost over it. */
static void a_tide_that_cannot_be_read_for_a_moment_is_read(void **state)
{
	(void)state;
	for (int persistent = 0; persistent < 2; persistent++)
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			struct store_options o;
			struct store_report report;
			struct spooldir d;
			struct store *s = NULL;
			struct error e = {0};
			enum err err;

			life_make(&d, 0, 20, 10);
			assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0); /* only the mark knows of it */
			o = spooldir_options(&d);
			faultfs_arm(FAULTFS_READ, n, EIO, persistent);
			err = store_open(&o, &s, &report, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (err != ERR_OK) {
				assert_true(failed > 0);
				assert_int_equal(err, ERR_DISK);
				s = life_open(&d, &report);
			}
			if (store_ledger(s)->damaged != 10)
				fail_msg("read %u (%s): damaged %u: %s", (unsigned)n, faultfs_what(),
				         (unsigned)store_ledger(s)->damaged, report.warning);
			assert_false(holds(&d, ".tide.unread"));
			life_close(s);
			spooldir_remove(&d);
		}
}

/* dd bs=4096 conv=noerror,sync: what cannot be read is zeros, and the end is filled up. */
static void copy_without(const struct spooldir *from, const struct spooldir *to, const char *suffix, int64_t dead)
{
	AUTOFREE char *name = mem_string(spooldir_file(from, suffix));
	size_t count, whole;
	unsigned char *bytes = spooldir_load(name, &count), *padded;

	whole = (count + SECTOR - 1) / SECTOR * SECTOR;
	padded = mem_zero(whole);
	memcpy(padded, bytes, count);
	if (dead >= 0)
		memset(padded + dead, 0, SECTOR);
	spooldir_store(spooldir_file(to, suffix), padded, whole);
	free(bytes);
	free(padded);
}

/* *ret_waiting: after the way was taken. False: the file is not so long. */
static bool take_the_way(const struct spooldir *from, const char *part, int64_t at, uint64_t *ret_waiting)
{
	static const char *const files[] = {"", "-wal", ".tide", ".lock"};
	AUTOFREE char *end = mem_format("spool.db%s", part);
	struct store_options o = spooldir_options(from);
	struct spooldir to;
	struct store *s = NULL;
	struct error e = {0};
	struct buf out;
	char text[4000];
	enum err err;

	if (at >= bytes_of(from, part))
		return false;
	faultfs_dead(end, at, SECTOR);
	err = store_open(&o, &s, NULL, &e);
	if (err == ERR_OK) /* nothing needs it now */
		store_abandon(s);
	else if (err != ERR_DISK || !strstr(e.text, "conv=noerror,sync") || !strstr(e.text, "kspool repair"))
		fail_msg("%s at %lld: error %d: %s", part, (long long)at, (int)err, e.text);
	faultfs_dead(NULL, 0, 0);
	spooldir_make(&to);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (bytes_of(from, files[i]) > 0)
			copy_without(from, &to, files[i], strcmp(files[i], part) == 0 ? at : -1);
	buf_init(&out, 1 << 20);
	err = store_repair(to.path, &(struct store_repair){0}, &out, &e);
	if (err != ERR_OK || life_problems(&to, text, sizeof text) > 0)
		fail_msg("%s at %lld: repair %d: %s: %.*s", part, (long long)at, (int)err, e.text, (int)out.len,
		         out.data);
	buf_fini(&out);
	s = life_open(&to, NULL);
	*ret_waiting = life_waiting(s, 0);
	assert_int_equal(store_ledger(s)->accepted, ROWS);
	if (*ret_waiting + store_ledger(s)->damaged + store_ledger(s)->delivered != ROWS)
		fail_msg("%s at %lld: %u wait, %u damaged, %u delivered", part, (long long)at, (unsigned)*ret_waiting,
		         (unsigned)store_ledger(s)->damaged, (unsigned)store_ledger(s)->delivered);
	life_close(s);
	spooldir_remove(&to);
	return true;
}

static void the_way_that_is_named_leads_out(void **state)
{
	static const char *const parts[] = {"", "-wal"};
	uint64_t tried = 0, most = 0;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct spooldir from;
		uint64_t waiting;

		life_make(&from, 0, IN_FILE, IN_LOG);
		for (int64_t at = 0; take_the_way(&from, parts[i], at, &waiting);
		     at += 3 * SECTOR * (IS_SANITIZED ? 2 : 1), tried++)
			most += waiting;
		spooldir_remove(&from);
	}
	assert_true(tried > 20);
	assert_true(most / tried > ROWS / 2); /* a sector costs what stands in it */
}

/* Frames without a name: of this log where one before or behind them is, and of an older one where none is. */
static void a_frame_without_a_name_may_be_of_an_older_log(void **state)
{
	enum { HEADER = 32, FRAME = 24, PAGE = 4096, STEP = FRAME + PAGE };
	static const struct {
		int old[2], dead[2]; /* first and how many; nothing of the log is live from `ends` on */
		int ends;
		uint64_t nameless;
	} cases[] = {
	    {{0, 0}, {3, 1}, 99, 1}, {{0, 0}, {3, 2}, 99, 2}, {{3, 1}, {4, 1}, 99, 1}, {{3, 1}, {4, 2}, 99, 2},
	    {{3, 2}, {4, 1}, 99, 1}, {{3, 1}, {4, 1}, 5, 0},  {{3, 1}, {5, 1}, 99, 1}, {{3, 1}, {5, 1}, 6, 1},
	};
	struct spooldir d;
	size_t count;
	unsigned char *bytes;

	(void)state;
	life_make(&d, 0, 0, IN_LOG);
	bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
	assert_true(count > HEADER + 8 * STEP);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char *changed = mem_alloc(count);
		struct wal_scan scan = {.tolerates = true};
		struct error e;
		int fd;

		memcpy(changed, bytes, count);
		for (size_t n = 0; n < (count - HEADER) / STEP; n++)
			if ((int)n >= cases[i].ends ||
			    ((int)n >= cases[i].old[0] && (int)n < cases[i].old[0] + cases[i].old[1]))
				changed[HEADER + n * STEP + 8] ^= 1; /* the salt */
		spooldir_store(spooldir_file(&d, "-wal"), changed, count);
		free(changed);
		fd = open(spooldir_file(&d, "-wal"), O_RDONLY | O_CLOEXEC);
		faultfs_dead("-wal", HEADER + (int64_t)cases[i].dead[0] * STEP, (int64_t)cases[i].dead[1] * STEP);
		assert_int_equal(wal_scan(fd, &scan, &e), ERR_OK);
		faultfs_dead(NULL, 0, 0);
		(void)close(fd);
		assert_int_equal(scan.unreadable, cases[i].dead[1]);
		if (scan.nameless != cases[i].nameless)
			fail_msg("case %zu: %u frames without a name", i, (unsigned)scan.nameless);
	}
	free(bytes);
	spooldir_remove(&d);
}

/* It is told by that, and not as a file that is not what was written. */
static void what_had_left_cannot_be_read(void **state)
{
	(void)state;
	for (int slot = 0; slot < 2; slot++) {
		struct store_report report;
		struct spooldir d;
		struct store *s = life_begin(&d);

		life_append(s, 0, 20);
		life_settle(s, 5, 9);
		life_close(s);
		faultfs_dead(".left", slot * 4096, 512);
		s = life_open(&d, &report);
		faultfs_dead(NULL, 0, 0);
		if (!strstr(report.warning, ".left, which tells what had left from what is gone, cannot be read:"
		                            " Input/output error: of what left before, less can be told"))
			fail_msg("%s", report.warning);
		life_expect(s, 20, 5, 15, 0);
		life_close(s);
		s = life_open(&d, &report);
		assert_string_equal(report.warning, "");
		life_close(s);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_companion_that_cannot_be_read_ends_no_start),
	                                   cmocka_unit_test(a_tide_that_can_be_read_again_is_asked),
	                                   cmocka_unit_test(a_dead_tide_that_cannot_be_renamed_is_told),
	                                   cmocka_unit_test(a_tide_that_cannot_be_read_for_a_moment_is_read),
	                                   cmocka_unit_test(the_way_that_is_named_leads_out),
	                                   cmocka_unit_test(a_frame_without_a_name_may_be_of_an_older_log),
	                                   cmocka_unit_test(what_had_left_cannot_be_read)};

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm", 0);
	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
