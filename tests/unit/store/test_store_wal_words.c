/* A log beside a spool that is only read, by what is said of it; and the names a damaged one gets, by what is there. */
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
#include "rig/faultfs.h"
#include "rig/logimage.h"
#include "rig/spooldir.h"
#include "store/files/spool_files.h"
#include "store/files/wal.h"
#include "store/files/wal_format.h"

enum { PAGE = 512, FRAMES = 6 };

static struct spooldir d;
static struct logimage *l;
static struct error e;

static int begin(void **state)
{
	(void)state;
	spooldir_make(&d);
	l = mem_zero(sizeof *l);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faultfs_arm(0, 0, 0, false);
	faultfs_disk(NULL, 0);
	clock_test_end();
	free(l);
	spooldir_remove(&d);
	return 0;
}

/* A commit a frame; the last two may be one. */
static void make_log_of(bool last_is_pair)
{
	unsigned char page[PAGE];

	log_begin(l, PAGE, false, 3, 17);
	for (uint32_t i = 0; i < FRAMES; i++) {
		memset(page, (int)i + 1, PAGE);
		log_add(l, i + 1, last_is_pair && i == FRAMES - 2 ? 0 : FRAMES, page);
	}
}

static void make_log(void) { make_log_of(false); }

static void store_log(void) { spooldir_store(spooldir_file(&d, "-wal"), l->image, l->bytes); }

/* `text`: behind the log's name. */
static void expect(enum err err, const char *text)
{
	char want[800];

	e = (struct error){0};
	assert_int_equal(wal_must_be_whole(d.path, &e), err);
	assert_int_equal(e.code, err == ERR_OK ? 0 : err);
	(void)snprintf(want, sizeof want, "%s-wal%s", err == ERR_OK ? "" : d.path, text);
	if (err != ERR_OK && strncmp(e.text, want, strlen(want)) != 0)
		fail_msg("%s", e.text);
}

static void what_is_behind_a_break_is_told(void **state)
{
	static const struct {
		uint32_t frame; /* that has a wrong byte in its page */
		unsigned lost;
	} cases[] = {{0, 5}, {1, 4}, {2, 3}, {3, 2}, {4, 0}, {5, 0}};

	(void)state;
	expect(ERR_OK, "");
	make_log();
	store_log();
	expect(ERR_OK, "");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char want[200] = "";

		make_log();
		log_frame(l, cases[i].frame)[LOG_FRAME + 100] ^= 8;
		store_log();
		if (cases[i].lost > 0)
			(void)snprintf(want, sizeof want,
			               " is damaged: %u commits stand behind the break, and cannot be seen before"
			               " kspool repair has joined them again",
			               cases[i].lost);
		expect(cases[i].lost > 0 ? ERR_INPUT : ERR_OK, want);
	}
	spooldir_store(spooldir_file(&d, "-wal"), "", 0);
	expect(ERR_OK, "");
}

/* A cut while the log began again: all of it is in the database, unless a commit has lost a frame. */
static void what_began_again_is_whole(void **state)
{
	(void)state;
	for (int damaged = 0; damaged < 2; damaged++) {
		make_log_of(true);
		log_put(l->image + 12, 4); /* the next sequence, and its salts; the checksum is still the old one */
		log_put(l->image + 16, 18);
		log_put(l->image + 20, 99);
		if (damaged)
			log_frame(l, FRAMES - 2)[LOG_FRAME + 100] ^= 8;
		store_log();
		if (damaged)
			expect(ERR_INPUT, " is damaged: 5 commits");
		else
			expect(ERR_OK, "");
	}
}

static void what_cannot_be_read_is_told(void **state)
{
	static const struct {
		unsigned kind;
		uint64_t n;
		int error;
	} faults[] = {{FAULTFS_OPEN, 1, EIO}, {FAULTFS_OPEN, 1, EACCES}, {FAULTFS_STAT, 1, EIO},
	              {FAULTFS_READ, 1, EIO}, {FAULTFS_READ, 2, EIO},    {FAULTFS_READ, 3, EIO}};

	(void)state;
	make_log();
	store_log();
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		faultfs_arm(faults[i].kind, faults[i].n, faults[i].error, false);
		expect(ERR_DISK, ": ");
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
		assert_non_null(strstr(e.text, strerror(faults[i].error)));
	}
	assert_int_equal(rename(spooldir_file(&d, "-wal"), d.path), 0);
	assert_int_equal(symlink(d.path, spooldir_file(&d, "-wal")), 0);
	expect(ERR_ENVIRONMENT, " is a symbolic link, not a file; move it away");
}

/* A log with a wrong bit in its second frame's number, and what is found out of it. */
static void make_damaged(struct files *f, struct wal_scan *scan)
{
	int fd;

	make_log();
	log_frame(l, 1)[7] ^= 1;
	store_log();
	*scan = (struct wal_scan){0};
	assert_int_equal(files_open_read(f, "-wal", 0, &fd, &e), ERR_OK);
	assert_int_equal(wal_scan(fd, scan, &e), ERR_OK);
	(void)close(fd);
}

/* The time, and as many milliseconds later as there are such names. */
static void a_copy_has_a_name_of_its_own(void **state)
{
	struct files f = FILES_NONE;

	(void)state;
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	clock_test_set(INT64_C(1000000000000), INT64_C(1800000000007000000));
	for (int taken = 0; taken < 3; taken++) {
		char aside[WAL_COPY_BYTES], want[WAL_COPY_BYTES];
		struct wal_scan scan = {0};
		uint64_t damaged = 0;
		size_t count;
		unsigned char *bytes;

		make_damaged(&f, &scan);
		assert_int_equal(wal_mend_file(&f, &scan, aside, &damaged, &e), ERR_OK);
		(void)snprintf(want, sizeof want, "-wal.damaged-180000000000%d", 7 + taken);
		assert_string_equal(aside, want);
		assert_int_equal(damaged, 1);
		bytes = spooldir_load(spooldir_file(&d, aside), &count);
		assert_int_equal(count, l->bytes);
		assert_memory_equal(bytes, l->image, count);
		free(bytes);
		make_log();
		bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
		assert_int_equal(count, l->bytes);
		assert_memory_equal(bytes, l->image, count);
		free(bytes);
		expect(ERR_OK, "");
	}
	for (uint64_t n = 1; n <= 2; n++) { /* what cannot be looked at is not free */
		char aside[WAL_COPY_BYTES];
		uint64_t damaged;

		faultfs_arm(FAULTFS_STAT, n, EIO, false);
		assert_int_equal(wal_mend_file(&f, &(struct wal_scan){0}, aside, &damaged, &e), ERR_DISK);
		assert_int_equal(faultfs_failed(), 1);
		faultfs_arm(0, 0, 0, false);
	}
	files_close(&f);
}

/* Each operation in turn: whichever fails is told, and the next time the log is mended as if none had. */
static void mending_that_fails_is_told(void **state)
{
	static const struct {
		unsigned kind;
		int error;
		enum err err;
		uint64_t operations;
		const char *text;
	} faults[] = {
	    {FAULTFS_READ, EIO, ERR_DISK, 1 + FRAMES, "the write-ahead log: cannot read "},
	    {FAULTFS_WRITE, EIO, ERR_DISK, 1 + FRAMES, "cannot mend the write-ahead log: "},
	    {FAULTFS_WRITE, ENOSPC, ERR_FULL, 1 + FRAMES, "cannot mend the write-ahead log: "},
	    {FAULTFS_WRITE, EDQUOT, ERR_FULL, 1 + FRAMES, "cannot mend the write-ahead log: "},
	    {FAULTFS_SYNC, EIO, ERR_DISK, 1, "cannot mend the write-ahead log: "},
	};
	struct files f = FILES_NONE;

	(void)state;
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		for (uint64_t n = 1; n <= faults[i].operations + 1; n++) {
			const bool fails = n <= faults[i].operations;
			struct wal_scan scan;
			uint64_t damaged = 0;
			size_t count;
			unsigned char *bytes;
			int fd;

			make_damaged(&f, &scan);
			assert_int_equal(files_open_read(&f, "-wal", O_RDWR, &fd, &e), ERR_OK);
			e = (struct error){0};
			faultfs_arm(faults[i].kind, n, faults[i].error, false);
			assert_int_equal(wal_mend(fd, &scan, &damaged, &e), fails ? faults[i].err : ERR_OK);
			assert_int_equal(faultfs_failed(), fails);
			faultfs_arm(0, 0, 0, false);
			if (fails)
				assert_int_equal(strncmp(e.text, faults[i].text, strlen(faults[i].text)), 0);
			else
				assert_int_equal(damaged, 1);
			(void)close(fd);
			make_log();
			bytes = spooldir_load(spooldir_file(&d, "-wal"), &count);
			assert_int_equal(count, l->bytes);
			if (!fails)
				assert_memory_equal(bytes, l->image, count);
			free(bytes);
		}
	files_close(&f);
}

/* Room for a copy of it, for the log that is joined again, and what the reserve has, in blocks. */
static void a_copy_costs_no_room_that_is_needed(void **state)
{
	enum { BLOCK = 4096 };
	static const struct {
		int reserve, free;
		enum err err;
		bool has_copy, keeps_reserve;
	} cases[] = {
	    {0, 4, ERR_OK, true, false},    {0, 2, ERR_OK, true, false}, {0, 1, ERR_OK, false, false},
	    {0, 0, ERR_FULL, false, false}, {1, 2, ERR_OK, true, true},  {1, 1, ERR_OK, true, false},
	    {1, 0, ERR_OK, false, false},   {2, 0, ERR_OK, true, false}, {2, 2, ERR_OK, true, true},
	};
	struct files f = FILES_NONE;

	(void)state;
	assert_int_equal(files_open(&f, d.path, &e), ERR_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct wal_scan scan;
		char aside[WAL_COPY_BYTES] = "-";
		uint64_t damaged = 0;
		enum err err;

		make_damaged(&f, &scan);
		assert_true(l->bytes > BLOCK * 3 / 4 && l->bytes < BLOCK);
		if (cases[i].reserve > 0)
			assert_true(files_reserve_make(&f, BLOCK * (uint64_t)cases[i].reserve, 0));
		faultfs_disk(d.dir, BLOCK * cases[i].free);
		err = wal_mend_file(&f, &scan, aside, &damaged, &e);
		faultfs_disk(NULL, 0);
		if (err != cases[i].err || (*aside != '\0') != cases[i].has_copy)
			fail_msg("case %zu: error %d, the copy is \"%s\"", i, (int)err, aside);
		assert_int_equal(files_bytes(&f, ".reserve") > 0, cases[i].keeps_reserve);
		assert_int_equal(files_bytes(&f, "-wal.new"), 0);
		assert_int_equal(damaged, err == ERR_OK);
		if (*aside)
			assert_int_equal(files_bytes(&f, aside), l->bytes);
		files_remove(&f, aside[0] ? aside : "-none");
		files_remove(&f, ".reserve");
	}
	files_close(&f);
}

/* Of header and frames as bytes, every number. */
static void the_format_is_what_it_says(void **state)
{
	struct wal_frame first, second;
	uint32_t page_bytes = 0;

	(void)state;
	for (int big = 0; big < 2; big++)
		for (uint32_t size = 512; size <= 65536; size *= 2) {
			unsigned char *page = mem_zero(size);

			page[size - 1] = 7;
			log_begin(l, size, big, 3, 17);
			log_add(l, 0x01020304, 0x05060708, page);
			log_add(l, 9, 0, page);
			assert_true(wal_header_is_sound(l->image, &page_bytes));
			assert_int_equal(page_bytes, size);
			first = wal_frame_of(log_frame(l, 0));
			second = wal_frame_of(log_frame(l, 1));
			assert_int_equal(first.page, 0x01020304);
			assert_int_equal(first.commit, 0x05060708);
			assert_int_equal(first.sum.a, log_get(log_frame(l, 0) + 16));
			assert_int_equal(first.sum.b, log_get(log_frame(l, 0) + 20));
			assert_true(wal_page_follows(l->image, NULL, &first, page, size));
			assert_true(wal_page_follows(l->image, &first, &second, page, size));
			assert_false(wal_page_follows(l->image, NULL, &second, page, size));
			assert_false(wal_page_follows(l->image, &second, &second, page, size));
			assert_true(wal_frame_is_live(log_frame(l, 1), l->image));
			for (int i = 0; i < LOG_HEAD; i++) {
				l->image[i] ^= 1;
				assert_false(wal_header_is_sound(l->image, &page_bytes));
				assert_int_equal(wal_frame_is_live(log_frame(l, 1), l->image), i < 16 || i > 23);
				l->image[i] ^= 1;
			}
			page[size - 2] = 1;
			assert_false(wal_page_follows(l->image, NULL, &first, page, size));
			page[size - 2] = 0;
			for (int field = 0; field < 4; field++) {
				struct wal_frame other = first;

				*(field == 0   ? &other.page
				  : field == 1 ? &other.commit
				  : field == 2 ? &other.sum.a
				               : &other.sum.b) ^= 1;
				assert_false(wal_page_follows(l->image, NULL, &other, page, size));
			}
			free(page);
		}
	for (uint32_t n = 0; n < 140000; n++) {
		bool is_one = false;

		for (uint32_t size = 512; size <= 65536; size *= 2)
			is_one |= n == size;
		assert_int_equal(wal_is_page_size(n), is_one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_is_behind_a_break_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(what_began_again_is_whole, begin, end),
	    cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_has_a_name_of_its_own, begin, end),
	    cmocka_unit_test_setup_teardown(mending_that_fails_is_told, begin, end),
	    cmocka_unit_test_setup_teardown(a_copy_costs_no_room_that_is_needed, begin, end),
	    cmocka_unit_test_setup_teardown(the_format_is_what_it_says, begin, end),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
