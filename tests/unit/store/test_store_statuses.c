/*
 * What a command ends with that looks at a stopped spool or copies it, when a file operation fails: a full disk asks
 * nobody to wait for a producer, a disk error is no wrong mode, damage has a sentence, and halves of small files go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/upkeep/store_copy.h"

static bool visit(void *arg, const struct store_peeked *m)
{
	(void)m;
	++*(uint64_t *)arg;
	return true;
}

static enum err check(const struct spooldir *d, struct error *e)
{
	struct buf out;
	uint64_t problems;
	enum err err;

	buf_init(&out, 1 << 20);
	err = store_check(d->path, &out, &problems, e);
	buf_fini(&out);
	return err;
}

static enum err peek(const struct spooldir *d, struct error *e)
{
	uint64_t seen = 0;

	return store_peek(d->path, false, visit, &seen, e);
}

static void a_full_disk_is_no_full_spool(void **state)
{
	enum err (*const looks[])(const struct spooldir *d, struct error *e) = {check, peek};
	struct spooldir d;
	unsigned met = 0;

	(void)state;
	life_make(&d, 0, 100, 50);
	for (size_t i = 0; i < 2; i++)
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			struct error e = {0};
			enum err err;

			faultfs_arm(FAULTFS_ALL, n, EDQUOT, false);
			err = looks[i](&d, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (err == ERR_FULL || (err != ERR_OK && (e.code != err || e.text[0] == '\0')))
				fail_msg("look %zu, operation %u: error %d: %s", i, (unsigned)n, (int)err, e.text);
			met += err == ERR_NOSPACE;
		}
	assert_true(met > 0);
	spooldir_remove(&d);
}

static void a_disk_error_is_no_wrong_mode(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	char target[400];

	(void)state;
	(void)snprintf(target, sizeof target, "%s/copy", d.dir);
	life_append(s, 0, 100);
	for (uint64_t n = 1, failed = 1, full = 1; failed > 0 || full > 0; n++) {
		struct error e = {0};
		enum err err;

		faultfs_arm(FAULTFS_WRITE, n, ENOSPC, true);
		err = store_export(s, target, &e);
		full = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (err != (full > 0 ? ERR_FULL : ERR_OK))
			fail_msg("write %u: error %d: %s", (unsigned)n, (int)err, e.text);
		(void)unlink(target);
		faultfs_arm(FAULTFS_OPEN | FAULTFS_STAT | FAULTFS_WRITE | FAULTFS_RENAME | FAULTFS_SYNC, n, EIO, false);
		err = store_export(s, target, &e);
		ERRORWATCH_EXPECT(err, &e, NULL, "export", n);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (err == ERR_ENVIRONMENT)
			fail_msg("operation %u: error %d: %s", (unsigned)n, (int)err, e.text);
		(void)unlink(target);
	}
	life_end(&d, s);
}

static void a_peek_at_a_stump_says_what_to_do(void **state)
{
	static const size_t sizes[] = {2, 60, 100, 512, 4095, 4096, 9000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct spooldir d;
		struct error e = {0};
		size_t count;
		unsigned char *bytes;
		enum err err;

		life_make(&d, 0, 100, 0);
		life_close(life_open(&d, NULL));
		bytes = spooldir_load(d.path, &count);
		assert_true(count > sizes[i]);
		spooldir_store(d.path, bytes, sizes[i]);
		free(bytes);
		err = peek(&d, &e);
		if ((err != ERR_DAMAGED && err != ERR_INPUT) || !strstr(e.text, "kspool repair"))
			fail_msg("%zu bytes: error %d: %s", sizes[i], (int)err, e.text);
		spooldir_remove(&d);
	}
}

static void halves_of_small_files_go(void **state)
{
	static const char *const go[] = {".aside.new",
	                                 ".quarantine-20260101T000000Z-000.read.new",
	                                 ".peek-1",
	                                 ".peek-90",
	                                 ".peek-77.kspool-part",
	                                 ".peek-7.part-journal"};
	static const char *const stay[] = {".aside.newer",  ".mine.aside.new", ".peek-",
	                                   ".peek-.part",   ".peek-7x",        ".peek-7.parts",
	                                   ".peek",         ".mine.peek-7",    ".quarantine-20260101T000000Z-000.new",
	                                   ".copy.read.new"};
	struct spooldir d;

	(void)state;
	life_make(&d, 0, 10, 0);
	for (size_t i = 0; i < sizeof go / sizeof *go; i++)
		spooldir_store(spooldir_file(&d, go[i]), "hal", 3);
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		spooldir_store(spooldir_file(&d, stay[i]), "hal", 3);
	life_close(life_open(&d, NULL));
	for (size_t i = 0; i < sizeof go / sizeof *go; i++)
		assert_int_equal(access(spooldir_file(&d, go[i]), F_OK), -1);
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		assert_int_equal(access(spooldir_file(&d, stay[i]), F_OK), 0);
	spooldir_remove(&d);
}

/* Another's that cannot be moved away stops the start: it never goes on beside it. */
static void what_cannot_be_moved_away_stops_the_start(void **state)
{
	static const char *const others[] = {"-journal", "-wal", ""};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct spooldir d, other;
		struct store_options o;
		int stopped = 0;

		life_make(&d, 0, 20, 0);
		life_close(life_open(&d, NULL));
		life_make(&other, LIFE_OTHERS, 20, 5);
		spooldir_store(spooldir_file(&other, "-journal"), "not ours", 8);
		life_bring(&other, others[i], &d);
		o = spooldir_options(&d);
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			struct store *s = NULL;
			struct error e;
			enum err err;

			faultfs_arm(FAULTFS_RENAME, n, EACCES, false);
			err = store_open(&o, &s, NULL, &e);
			ERRORWATCH_EXPECT(err, &e, NULL, others[i], n);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (failed > 0 && err == ERR_OK && life_count_files(&d, ".stranger-") == 0)
				fail_msg("%s: it went on beside it after rename %u", others[i], (unsigned)n);
			stopped += err != ERR_OK;
			if (failed == 0) {
				assert_int_equal(err, ERR_OK);
				assert_true(life_count_files(&d, ".stranger-") > 0);
			}
			store_abandon(s);
		}
		assert_true(stopped > 0);
		spooldir_remove(&d);
		spooldir_remove(&other);
	}
}

/* Makes a spool where a call of SQLite fails; true: one did. */
static bool make_with_fault(uint64_t n, int code)
{
	struct spooldir d;
	struct store_options o;
	struct store_report report;
	struct store *s = NULL;
	struct error e = {0};
	bool failed;
	enum err err;

	spooldir_make(&d);
	spooldir_store(spooldir_file(&d, ".new-wal"), "of a start that died", 20);
	o = spooldir_options(&d);
	o.reserve_bytes = 65536;
	faultsql_arm(n, code, false);
	err = store_open(&o, &s, &report, &e);
	ERRORWATCH_EXPECT(err, &e, report.warning, "new", n);
	failed = faultsql_failed();
	faultsql_arm(0, 0, false);
	if (err == ERR_OK)
		store_abandon(s);
	if (store_open(&o, &s, &report, &e) != ERR_OK || report.quarantined || report.warning[0])
		fail_msg("call %u (%s) failed, error %d, and the next start says: %s%s", (unsigned)n, faultsql_what(),
		         (int)err, e.text, report.warning);
	assert_int_equal(life_count_files(&d, ".new"), 0);
	life_append(s, 0, 10);
	life_expect(s, 10, 0, 10, 0);
	life_end(&d, s);
	return failed;
}

/* Whichever call of SQLite fails while a spool is made: none stands there, or one that is whole. */
static void a_spool_is_made_whole_or_not_at_all(void **state)
{
	(void)state;
	faultpoints_note();
	assert_false(make_with_fault(FAULTPOINTS_NONE, SQLITE_FULL));
	faultpoints_end_firsts();
	assert_true(faultpoints_count() > 50);
	for (uint64_t n = faultpoints_next(0); n <= faultpoints_count(); n = faultpoints_next(n))
		assert_true(make_with_fault(n, SQLITE_FULL));
}

/* What the reserve gives back may not be enough either: then nothing began. */
static void a_new_spool_without_room_is_refused(void **state)
{
	static const unsigned char reserve[65536];
	struct store_options o;
	struct store *s = NULL;
	struct spooldir d;
	struct error e = {0};

	(void)state;
	spooldir_make(&d);
	o = spooldir_options(&d);
	for (uint64_t n = 1; n < 30; n += 4) {
		spooldir_store(spooldir_file(&d, ".reserve"), reserve, sizeof reserve);
		faultfs_arm(FAULTFS_WRITE, n, ENOSPC, true);
		if (store_open(&o, &s, NULL, &e) != ERR_NOSPACE)
			fail_msg("write %u and all after it: error %d: %s", (unsigned)n, (int)e.code, e.text);
		faultfs_arm(0, 0, 0, false);
		assert_int_equal(access(d.path, F_OK), -1);
	}
	life_close(life_open(&d, NULL));
	spooldir_remove(&d);
}

/* No file can be made any more, as where a file system has no inode left, or its disk is ill: that is said as it is. */
static void where_no_file_can_be_made_is_told(void **state)
{
	static const struct {
		int error;
		enum err err;
	} ills[] = {{ENOSPC, ERR_NOSPACE}, {EIO, ERR_DISK}};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof ills / sizeof *ills; i++)
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			const bool is_new = i % 2;
			struct store_options o;
			struct store *s = NULL;
			struct spooldir d;
			struct error e = {0};
			enum err err;

			spooldir_make(&d);
			o = spooldir_options(&d);
			if (!is_new)
				life_close(life_open(&d, NULL));
			faultfs_arm(FAULTFS_WRITE, n, ills[i / 2].error, true);
			err = store_open(&o, &s, NULL, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (err == ERR_OK)
				life_close(s);
			else if (err != ills[i / 2].err)
				fail_msg("%s, errno %d, write %u: error %d: %s", is_new ? "new" : "there",
				         ills[i / 2].error, (unsigned)n, (int)err, e.text);
			life_close(life_open(&d, NULL));
			spooldir_remove(&d);
		}
}

/* One that could not be opened once: SQLite opens it for reading then, or says that it is not there. */
static void what_could_not_be_opened_once_is_no_wrong_mode(void **state)
{
	static const int errors[] = {EIO, EMFILE, ENOSPC};
	unsigned refused = 0;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof errors / sizeof *errors; i++)
		for (uint64_t n = 1, failed = 1; failed > 0; n++) {
			const bool is_new = i % 2;
			struct store_options o;
			struct store *s = NULL;
			struct spooldir d;
			struct error e = {0};
			enum err err;

			spooldir_make(&d);
			o = spooldir_options(&d);
			if (!is_new)
				life_close(life_open(&d, NULL));
			faultfs_arm(FAULTFS_OPEN | FAULTFS_WRITE, n, errors[i / 2], false);
			err = store_open(&o, &s, NULL, &e);
			failed = faultfs_failed();
			faultfs_arm(0, 0, 0, false);
			if (err == ERR_OK)
				life_close(s);
			else if (err == ERR_ENVIRONMENT)
				fail_msg("%s, errno %d, operation %u: %s", is_new ? "new" : "there", errors[i / 2],
				         (unsigned)n, e.text);
			refused += err != ERR_OK;
			life_close(life_open(&d, NULL));
			spooldir_remove(&d);
		}
	assert_true(refused > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_full_disk_is_no_full_spool),
	                                   cmocka_unit_test(a_disk_error_is_no_wrong_mode),
	                                   cmocka_unit_test(a_peek_at_a_stump_says_what_to_do),
	                                   cmocka_unit_test(halves_of_small_files_go),
	                                   cmocka_unit_test(what_cannot_be_moved_away_stops_the_start),
	                                   cmocka_unit_test(where_no_file_can_be_made_is_told),
	                                   cmocka_unit_test(what_could_not_be_opened_once_is_no_wrong_mode),
	                                   cmocka_unit_test(a_new_spool_without_room_is_refused),
	                                   cmocka_unit_test(a_spool_is_made_whole_or_not_at_all)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
