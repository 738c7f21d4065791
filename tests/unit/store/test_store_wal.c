/* A start that mends a broken log, while its calls fail in turn or where there is little room, has all of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
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

static void open_and_count(const struct spooldir *d, unsigned kinds, uint64_t n, bool *ret_failed)
{
	struct store_options o = spooldir_options(d);
	struct store_report report;
	struct store *s = NULL;
	struct error e;
	enum err err;

	faultfs_arm(kinds, n, EIO, false);
	err = store_open(&o, &s, &report, &e);
	*ret_failed = faultfs_failed() > 0;
	faultfs_arm(0, 0, 0, false);
	assert_false(report.quarantined);
	if (err != ERR_OK) {
		if (!*ret_failed || err != ERR_DISK)
			fail_msg("kinds %u at %u: error %d: %s", kinds, (unsigned)n, (int)err, e.text);
		return;
	}
	if (store_ledger(s)->pending != COMMITS || store_ledger(s)->damaged != 0 || report.missing_rows != 0)
		fail_msg("kinds %u at %u: %u pending, %u damaged: %s", kinds, (unsigned)n,
		         (unsigned)store_ledger(s)->pending, (unsigned)store_ledger(s)->damaged, report.warning);
	if (n == 0 && report.wal_mended) {
		assert_int_equal(report.wal_frames_lost, 0);
		assert_non_null(strstr(report.warning, "the write-ahead log was damaged in the middle: "));
		assert_non_null(strstr(report.warning, " commits stood behind 1 bad frames; it was joined again"));
	}
	if (*ret_failed)
		store_abandon(s);
	else
		assert_int_equal(store_close(s, &e), ERR_OK);
}

/* A start mends a log while its n-th operation fails: it refuses, or it has all; and the next start has all. */
static void a_start_that_mends_loses_nothing(void **state)
{
	static const unsigned kinds[] = {FAULTFS_LOOKS, FAULTFS_WRITE | FAULTFS_SYNC | FAULTFS_RENAME};
	struct spooldir from;
	size_t count;
	unsigned char *bytes;

	(void)state;
	spooldir_make(&from);
	make_log(&from, 4096);
	bytes = spooldir_load(spooldir_file(&from, "-wal"), &count);
	bytes[HEADER + FRAME + 7] ^= 1;
	spooldir_store(spooldir_file(&from, "-wal"), bytes, count);
	free(bytes);
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		bool failed = true;

		faultpoints_forget();
		for (uint64_t n = FAULTPOINTS_NONE; failed; n = faultpoints_next(n == FAULTPOINTS_NONE ? 0 : n)) {
			struct spooldir d;
			bool unused;

			spooldir_make(&d);
			spooldir_copy(&from, &d);
			if (n == FAULTPOINTS_NONE)
				faultpoints_note();
			open_and_count(&d, kinds[k], n, &failed);
			if (n == FAULTPOINTS_NONE) {
				faultpoints_end();
				failed = true;
			}
			open_and_count(&d, 0, 0, &unused);
			spooldir_remove(&d);
		}
		assert_true(faultpoints_count() > 10);
	}
	spooldir_remove(&from);
}

/* The copy for a person needs room as large as the log: it is left out, and leaves no piece that takes the rest. */
static void a_start_that_mends_with_little_room(void **state)
{
	struct spooldir from;
	size_t count, kept;
	unsigned char *bytes;
	bool some_failed = false, some_went_on = false;

	(void)state;
	spooldir_make(&from);
	make_log(&from, 4096);
	bytes = spooldir_load(spooldir_file(&from, "-wal"), &count);
	bytes[HEADER + FRAME + 7] ^= 1;
	spooldir_store(spooldir_file(&from, "-wal"), bytes, count);
	free(bytes);
	for (int forever = 0; forever < 2; forever++)
		for (uint64_t n = 1; n <= 24; n++) {
			struct spooldir d;
			struct store_options o;
			struct store_report report;
			struct store *s = NULL;
			struct error e;
			enum err err;
			glob_t found = {0};
			bool unused;

			spooldir_make(&d);
			spooldir_copy(&from, &d);
			o = spooldir_options(&d);
			faultfs_arm(FAULTFS_WRITE, n, ENOSPC, forever);
			err = store_open(&o, &s, &report, &e);
			some_went_on |= err == ERR_OK && faultfs_failed() > 0;
			faultfs_arm(0, 0, 0, false);
			if (err != ERR_OK && !strstr(e.text, "no room to open the spool"))
				fail_msg("write %u: error %d: %s", (unsigned)n, (int)err, e.text);
			some_failed |= err != ERR_OK;
			if (err == ERR_OK)
				store_abandon(s);
			(void)glob(spooldir_file(&d, "-wal.damaged-*"), 0, NULL, &found);
			assert_true(found.gl_pathc <= 1);
			if (found.gl_pathc == 1) {
				free(spooldir_load(found.gl_pathv[0], &kept));
				assert_int_equal(kept, count);
			}
			globfree(&found);
			open_and_count(&d, 0, 0, &unused);
			spooldir_remove(&d);
		}
	assert_true(some_failed && some_went_on);
	spooldir_remove(&from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_start_that_mends_loses_nothing),
	    cmocka_unit_test(a_start_that_mends_with_little_room),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
