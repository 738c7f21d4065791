/*
 * What an open spool says of its files, word for word: each name gone, another's, or too short by a byte; holes in the
 * log, more than one look meets; a log that is joined again; and sentences that fill a report to its end.
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

#include "base/clock.h"
#include "base/mem.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/vfs.h"
#include "store/files/wal.h"
#include "store/store_internal.h"

static struct spooldir d;
static struct store *s;
static struct error e;

static const char *const suffixes[] = {"", "-wal", ".lock"};

static int begin(void **state)
{
	(void)state;
	s = life_begin(&d);
	life_append(s, 0, 30);
	life_checkpoint(s);
	life_append(s, 30, 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	faultfs_dead(NULL, 0, 0);
	clock_test_end();
	store_abandon(s);
	spooldir_remove(&d);
	return 0;
}

static void begin_anew(void)
{
	(void)end(NULL);
	(void)begin(NULL);
}

/* Twice: what is lost stays lost. `text`: behind the path. */
static void expect_lost(const char *suffix, const char *what)
{
	char want[600];

	(void)snprintf(want, sizeof want,
	               "%s%s was %s while kspool had it open; nothing more is accepted, what waits is still sent, and"
	               " kspool export saves it; then start kspool again",
	               d.path, suffix, what);
	for (int i = 0; i < 2; i++) {
		bool lost = false;

		e = (struct error){0};
		assert_int_equal(store_watch_names(s, &lost, &e), ERR_DISK);
		assert_true(lost);
		assert_string_equal(e.text, want);
		assert_int_equal(e.code, ERR_DISK);
		assert_true(s->files_lost);
		e = (struct error){0};
		assert_int_equal(store_admission(s, &e), ERR_DISK);
		assert_string_equal(e.text, want);
	}
	assert_int_equal(store_trust(s, &e), ERR_OK); /* what it has can be read */
	assert_int_equal(life_waiting(s, 0), 50);
}

static void expect_same(void)
{
	bool lost = true;

	e.text[0] = '\0';
	if (store_watch_names(s, &lost, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_false(lost || s->files_lost);
}

static void each_name_is_looked_at(void **state)
{
	char other[400], away[400];

	(void)state;
	(void)snprintf(away, sizeof away, "%s.away", d.dir);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		begin_anew();
		expect_same();
		assert_int_equal(unlink(spooldir_file(&d, suffixes[i])), 0);
		expect_lost(suffixes[i], "deleted");
		begin_anew();
		(void)snprintf(other, sizeof other, "%s.other", d.path);
		spooldir_store(other, "", 0);
		assert_int_equal(rename(other, spooldir_file(&d, suffixes[i])), 0);
		expect_lost(suffixes[i], "replaced");
		begin_anew();
		s->watched[i].device++;
		expect_lost(suffixes[i], "replaced");
		begin_anew();
		faultfs_arm(FAULTFS_STAT, 1 + i + 2, EACCES, false); /* behind the folder's */
		{
			bool lost = false;

			if (store_watch_names(s, &lost, &e) != ERR_DISK || !strstr(e.text, " was taken away while"))
				fail_msg("%s: %s", suffixes[i], e.text);
			assert_true(lost);
		}
		faultfs_arm(0, 0, 0, false);
	}
	begin_anew();
	(void)snprintf(away, sizeof away, "%s.away", d.dir);
	assert_int_equal(rename(d.dir, away), 0);
	assert_int_equal(mkdir(d.dir, 0700), 0);
	expect_lost("", "moved away with its folder");
	assert_int_equal(rmdir(d.dir), 0);
	assert_int_equal(rename(away, d.dir), 0);
}

/* To the byte: the database as long as it was left, the log as long as what was committed to it. */
static void what_is_cut_is_noticed(void **state)
{
	(void)state;
	for (int which = 0; which < 3; which++)
		for (int less = 0; less < 2; less++) {
			char want[400];
			int64_t bytes;
			bool lost = true;

			begin_anew();
			bytes = which == 0 ? s->watched[0].bytes : 32 + (int64_t)s->wal_frames * (24 + 4096);
			if (which == 2) { /* nothing of it is needed */
				life_checkpoint(s);
				bytes = less;
			}
			assert_true(which == 2 || bytes > 10000);
			assert_int_equal(truncate(spooldir_file(&d, which ? "-wal" : ""), bytes - less), 0);
			if (which == 2 || !less) {
				expect_same();
				continue;
			}
			(void)snprintf(want, sizeof want, "%s%s was cut short while kspool had it open", d.path,
			               suffixes[which]);
			assert_int_equal(store_watch_names(s, &lost, &e), ERR_DISK);
			assert_string_equal(e.text, want);
			assert_false(lost || s->files_lost);
		}
}

/* A log that was not there yet is watched from when it comes. */
static void what_comes_later_is_watched(void **state)
{
	struct stat st;

	(void)state;
	s->watched[1] = (struct watched){0};
	expect_same();
	assert_int_equal(stat(spooldir_file(&d, "-wal"), &st), 0);
	assert_int_equal(s->watched[1].inode, st.st_ino);
	assert_int_equal(s->watched[1].device, st.st_dev);
	assert_int_equal(s->watched[1].bytes, st.st_size);
	assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
	s->watched[1] = (struct watched){.inode = 0, .device = 7, .bytes = 8};
	expect_same();
	assert_true(s->watched[1].inode == 0 && s->watched[1].device == 0 && s->watched[1].bytes == 0);
}

/* The tide mark goes on under its name, whoever took it. */
static void the_tide_mark_is_written_where_its_name_is(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		struct tide tide;
		struct stat st, held;
		char gone[400];
		bool lost;

		begin_anew();
		(void)snprintf(gone, sizeof gone, "%s.gone", d.path);
		assert_int_equal(fstat(s->files.tide_fd, &held), 0);
		if (how > 0)
			assert_int_equal(rename(spooldir_file(&d, ".tide"), gone), 0);
		if (how > 1)
			spooldir_store(spooldir_file(&d, ".tide"), "x", 1);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		assert_int_equal(stat(spooldir_file(&d, ".tide"), &st), 0);
		assert_int_equal(st.st_ino == held.st_ino, how == 0);
		assert_int_equal(fstat(s->files.tide_fd, &held), 0);
		assert_int_equal(st.st_ino, held.st_ino);
		assert_int_equal(files_tide_read(&s->files, &tide, &e), ERR_OK);
		assert_true(tide.is_valid);
		assert_int_equal(tide.id, 50);
	}
}

enum { HOLES = 70, AT_ONCE = 64, LARGE = 65536, SECTOR = 4096 };

static void punch(uint64_t frame, int64_t more)
{
	const int64_t page = 32 + (int64_t)frame * (24 + LARGE) + 24;
	const int fd = open(spooldir_file(&d, "-wal"), O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                           (page + more + SECTOR - 1) / SECTOR * SECTOR, SECTOR),
	                 0);
	assert_int_equal(close(fd), 0);
}

/* A log of pages of zeros, each with a hole where zeros were written: that is harmless. Of many 64 are looked at, and
 * the next look goes on. */
static void holes_are_looked_at_in_turn(void **state)
{
	enum { NO_HARM, FIRST_HIDES, LAST_HIDES, IS_DEAD, HOWS };

	(void)state;
	for (int how = NO_HARM; how < HOWS; how++) {
		unsigned char *body = mem_zero(HOLES * LARGE);
		struct store_options o;
		struct message *m;
		char want[400];
		uint64_t frames;
		int64_t first;
		enum err err;
		bool lost;

		if (how == FIRST_HIDES || how == LAST_HIDES) /* something stands in two pages or three */
			memset(body + (how == FIRST_HIDES ? 3 : HOLES - 4) * LARGE, 1, 2 * LARGE);
		m = message_new(NULL, 0, body, (HOLES - 1) * LARGE, 1);
		free(body);
		(void)end(NULL);
		spooldir_make(&d);
		o = spooldir_options(&d);
		o.page_size = LARGE;
		o.compress = STORE_COMPRESS_NEVER;
		assert_int_equal(store_open(&o, &s, NULL, &e), ERR_OK);
		life_checkpoint(s);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		assert_int_equal(store_append(s, m, &e), ERR_OK);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		message_free(m);
		frames = s->wal_frames;
		assert_true(frames >= HOLES);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		assert_int_equal(s->hole_at, 0);
		for (uint64_t i = frames - HOLES; i < frames; i++)
			punch(i, SECTOR);
		s->watched[VFS_LOG].is_settled = false; /* somebody wrote */
		if (how == IS_DEAD)
			faultfs_dead("-wal", 32 + (int64_t)(frames - HOLES) * (24 + LARGE) + 2 * SECTOR, 10);
		err = store_watch(s, &lost, &e);
		faultfs_dead(NULL, 0, 0);
		first = s->hole_at;
		if (how == NO_HARM || how == LAST_HIDES) {
			assert_int_equal(err, ERR_OK);
			assert_true(first > 32 + (int64_t)(frames - HOLES + AT_ONCE - 1) * (24 + LARGE));
			assert_true(first < 32 + (int64_t)(frames - HOLES + AT_ONCE) * (24 + LARGE));
			s->watched[VFS_LOG].is_settled = false;
			err = store_watch(s, &lost, &e);
		}
		if (how == NO_HARM) {
			assert_int_equal(err, ERR_OK);
			assert_int_equal(s->hole_at, 0); /* and from the beginning again */
			continue;
		}
		assert_int_equal(err, ERR_DISK);
		(void)snprintf(want, sizeof want,
		               how == IS_DEAD ? "%s-wal cannot be read: %s"
		                              : "%s-wal was cut while kspool had it open%.0s",
		               d.path, strerror(EIO));
		assert_string_equal(e.text, want);
		assert_int_equal(store_trust(s, &e), how == IS_DEAD ? ERR_DISK : ERR_OK);
	}
}

/* Its first page lost a bit; nobody has it open. */
static unsigned char *make_damaged_log(struct wal_scan *scan, size_t *ret_bytes)
{
	unsigned char *log;
	int fd;

	life_append(s, 50, 20);
	store_abandon(s);
	s = NULL;
	log = spooldir_load(spooldir_file(&d, "-wal"), ret_bytes);
	log[32 + 24 + 100] ^= 1;
	spooldir_store(spooldir_file(&d, "-wal"), log, *ret_bytes);
	fd = open(spooldir_file(&d, "-wal"), O_RDWR);
	assert_true(fd >= 0);
	*scan = (struct wal_scan){0};
	assert_int_equal(wal_scan(fd, scan, &e), ERR_OK);
	assert_int_equal(close(fd), 0);
	assert_true(wal_is_damaged(scan));
	clock_test_set(clock_mono_ns(), INT64_C(1800000000123) * NS_PER_MS);
	return log;
}

static void put_log(const unsigned char *log, size_t bytes, struct files *f)
{
	(void)unlink(spooldir_file(&d, "-wal.damaged-1800000000123"));
	spooldir_store(spooldir_file(&d, "-wal"), log, bytes);
	assert_int_equal(files_open(f, d.path, &e), ERR_OK);
}

/* How much of a log is gone where it is joined again, and where it is as it was. */
static void a_log_that_is_joined_again_is_told(void **state)
{
	static const struct {
		uint64_t lost, mended;
		bool is_torn, is_told, mends;
	} cases[] = {
	    {3, 3, false, true, true}, {3, 2, false, true, true},   {3, 3, true, false, true},
	    {3, 2, true, true, true},  {1, 1, false, false, false}, {2, 2, false, true, true},
	    {2, 2, true, false, true}, {0, 0, true, false, false},
	};
	struct wal_scan scan;
	size_t bytes;
	unsigned char *log = make_damaged_log(&scan, &bytes);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report = {0};
		struct wal_scan says = scan;
		struct files f;
		unsigned char *is;
		char want[512] = "";
		size_t count;

		put_log(log, bytes, &f);
		says.commits_lost = cases[i].lost;
		says.commits_mended = cases[i].mended;
		says.header_is_torn = cases[i].is_torn;
		assert_int_equal(store_mend_wal(&f, &says, &report, &e), ERR_OK);
		files_close(&f);
		assert_int_equal(report.wal_mended, cases[i].is_told);
		assert_int_equal(report.wal_frames_lost, cases[i].is_told ? cases[i].lost - cases[i].mended : 0);
		if (cases[i].is_told)
			(void)snprintf(want, sizeof want,
			               "the write-ahead log was damaged in the middle: %d commits stood behind 1 bad"
			               " frames; it was joined again; as it was: %s-wal.damaged-1800000000123",
			               (int)cases[i].mended, d.path);
		assert_string_equal(report.warning, want);
		is = spooldir_load(spooldir_file(&d, "-wal"), &count);
		assert_int_equal(count != bytes || memcmp(is, log, bytes) != 0, cases[i].mends);
		free(is);
		assert_int_equal(access(spooldir_file(&d, "-wal.damaged-1800000000123"), F_OK),
		                 cases[i].is_told ? 0 : -1);
	}
	free(log);
}

/* A full disk keeps no copy of it. */
static void joining_it_again_that_fails_is_told(void **state)
{
	struct wal_scan scan;
	size_t bytes;
	unsigned char *log = make_damaged_log(&scan, &bytes);

	(void)state;
	for (int is_full = 0; is_full < 2; is_full++) {
		bool failed = true, was_kept = true;
		uint64_t n = 1;

		for (; failed; n++) {
			struct store_report report = {0};
			struct files f;
			enum err err;

			put_log(log, bytes, &f);
			faultfs_arm(FAULTFS_CHANGES, n, is_full ? ENOSPC : EIO, false);
			err = store_mend_wal(&f, &scan, &report, &e);
			failed = faultfs_failed() > 0;
			if (!is_full)
				ERRORWATCH_EXPECT(err, &e, NULL, "joined again", n);
			faultfs_arm(0, 0, 0, false);
			files_close(&f);
			if (!failed)
				assert_int_equal(err, ERR_OK);
			was_kept &= !strstr(report.warning, "; as it was: not kept, there was no room");
		}
		assert_true(n > 5);
		assert_int_equal(was_kept, !is_full);
	}
	free(log);
}

/* Up to the last byte that a report has. */
static void sentences_fill_a_report(void **state)
{
	static const struct {
		size_t first;
		const char *want; /* behind the first */
	} cases[] = {{0, "xyz"},   {1, "; xyz"}, {761, "; xyz"}, {762, "; xyz"}, {763, "; xy"},
	             {764, "; x"}, {765, "; "},  {766, "x"},     {767, ""}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct store_report report = {0};

		assert_int_equal(sizeof report.warning, 768);
		store_warn(&report, "%.*s", (int)cases[i].first, "");
		memset(report.warning, 'a', cases[i].first);
		store_warn(&report, "%s%c", "xy", 'z');
		assert_string_equal(report.warning + cases[i].first, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_name_is_looked_at, begin, end),
	    cmocka_unit_test_setup_teardown(what_is_cut_is_noticed, begin, end),
	    cmocka_unit_test_setup_teardown(what_comes_later_is_watched, begin, end),
	    cmocka_unit_test_setup_teardown(the_tide_mark_is_written_where_its_name_is, begin, end),
	    cmocka_unit_test_setup_teardown(holes_are_looked_at_in_turn, begin, end),
	    cmocka_unit_test_setup_teardown(a_log_that_is_joined_again_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(joining_it_again_that_fails_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(sentences_fill_a_report, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
