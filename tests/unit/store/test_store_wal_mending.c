/*
 * A broken log is mended whole or stays as it was, in the room that there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
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

/* A spool whose log is damaged, ready to be mended; how long its log is, and how long its reserve. */
static uint64_t begin_mending(struct spooldir *d, struct files *f, struct wal_scan *scan, int reserve_halves)
{
	struct error e;
	size_t count;
	unsigned char *bytes;

	spooldir_make(d);
	make_log(d, 4096);
	bytes = spooldir_load(spooldir_file(d, "-wal"), &count);
	bytes[HEADER + FRAME + 7] ^= 1;
	spooldir_store(spooldir_file(d, "-wal"), bytes, count);
	free(bytes);
	*scan = scan_of(spooldir_file(d, "-wal"));
	assert_int_equal(files_open(f, d->path, &e), ERR_OK);
	if (reserve_halves > 0)
		assert_true(files_reserve_make(f, count * (uint64_t)reserve_halves / 2, 0));
	return count;
}

/* All that stood behind the break is there, or nothing was touched; what is left beside it is what was told. */
static void end_mending(struct spooldir *d, struct files *f, const struct wal_scan *scan, enum err err,
                        const char *aside, uint64_t damaged)
{
	const struct wal_scan after = scan_of(spooldir_file(d, "-wal"));

	if (err == ERR_OK || err == ERR_FULL) {
		assert_int_equal(life_count_files(d, "-wal.damaged-"), *aside ? 1 : 0);
		assert_int_equal(life_count_files(d, "-wal.new"), 0);
		assert_int_equal(after.commits, scan->commits + (err == ERR_OK ? scan->commits_mended : 0));
	}
	if (err == ERR_OK)
		assert_int_equal(damaged, 1);
	files_close(f);
	spooldir_remove(d);
}

/* A copy for a person while there is room for it, and room first of all for the log that is joined again. */
static void mending_takes_what_room_there_is(void **state)
{
	static const struct {
		int reserve, halves; /* of the log's length: what is reserved, what is free */
		enum err err;
		bool has_copy, keeps_reserve;
	} cases[] = {
	    {0, 4, ERR_OK, true, false},    {0, 3, ERR_OK, false, false}, {0, 2, ERR_OK, false, false},
	    {0, 1, ERR_FULL, false, false}, {2, 4, ERR_OK, true, true},   {2, 3, ERR_OK, true, false},
	    {2, 2, ERR_OK, true, false},    {2, 1, ERR_OK, false, false}, {2, 0, ERR_OK, false, false},
	    {4, 1, ERR_OK, true, false},    {4, 0, ERR_OK, true, false},  {1, 0, ERR_FULL, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct spooldir d;
		struct files f = {0};
		struct wal_scan scan;
		char aside[WAL_COPY_BYTES] = "-";
		uint64_t damaged = 0, log_bytes = begin_mending(&d, &f, &scan, cases[i].reserve);
		struct error e = {0};
		enum err err;

		faultfs_disk(d.dir, (int64_t)log_bytes * cases[i].halves / 2);
		err = wal_mend_file(&f, &scan, aside, &damaged, &e);
		faultfs_disk(NULL, 0);
		if (err != cases[i].err || (*aside != '\0') != cases[i].has_copy)
			fail_msg("case %u: error %d (%s), the copy is \"%s\"", (unsigned)i, (int)err, e.text, aside);
		if (*aside)
			assert_int_equal(files_bytes(&f, aside), log_bytes);
		assert_int_equal(files_bytes(&f, ".reserve") > 0, cases[i].keeps_reserve);
		end_mending(&d, &f, &scan, err, aside, damaged);
	}
}

/* Room that is short for one write and there for the next; and an error that is none of room, which ends it. */
static void mending_fails_whole(void **state)
{
	static const struct {
		unsigned kinds;
		int error;
		bool forever;
		bool may_go_on;
	} cases[] = {
	    {FAULTFS_WRITE | FAULTFS_RENAME, ENOSPC, false, true},
	    {FAULTFS_WRITE | FAULTFS_RENAME, ENOSPC, true, true},
	    {FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_RENAME, EIO, false, false},
	    {FAULTFS_SYNC_FOLDER, EIO, false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t n = 1, failed = 1;

		for (; failed > 0; n++) {
			struct spooldir d;
			struct files f = {0};
			struct wal_scan scan;
			char aside[WAL_COPY_BYTES] = "-";
			uint64_t damaged = 0;
			struct error e = {0};
			enum err err;

			assert_true(n < POINTS_MAX);
			(void)begin_mending(&d, &f, &scan, 0);
			faultfs_arm(cases[i].kinds, n, cases[i].error, cases[i].forever);
			err = wal_mend_file(&f, &scan, aside, &damaged, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (failed == 0 || (cases[i].may_go_on && !cases[i].forever))
				assert_int_equal(err, ERR_OK);
			else if (!cases[i].may_go_on)
				assert_int_equal(err, ERR_DISK);
			else
				assert_true(err == ERR_OK || err == ERR_FULL);
			end_mending(&d, &f, &scan, err, aside, damaged);
		}
		assert_true(n > 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mending_takes_what_room_there_is),
	    cmocka_unit_test(mending_fails_whole),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
