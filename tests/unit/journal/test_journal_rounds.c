/*
 * What the journal does in each of its rounds beside commits: the log goes into the file, what is not in use is given
 * back piece by piece, what could not be mended is tried again now and then; and what it tells everybody of that. (That
 * its books agree is asked in every test in steps: rig/journal_books.h.)
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
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/one_journal.h"
#include "store/files/vfs.h"

#define FIRST_MS INT64_C(1700000000000) /* of spooldir_message(0) */

static uint64_t free_bytes = UINT64_C(4) << 30;

/* In the place of the C library's. */
int fstatvfs(int fd, struct statvfs *ret)
{
	(void)fd;
	memset(ret, 0, sizeof *ret);
	ret->f_bsize = ret->f_frsize = 4096;
	ret->f_blocks = UINT64_C(1) << 20;
	ret->f_bfree = ret->f_bavail = free_bytes / 4096;
	return 0;
}

static uint64_t size_of(const char *suffix)
{
	struct stat st;

	return stat(spooldir_file(&d, suffix), &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t written_bytes;

static void note_written(struct store *s, struct journal_question *q)
{
	(void)s;
	(void)q;
	written_bytes = vfs_counts().written_bytes; /* of its thread */
}

static void nothing_more(struct journal_question *q) { (void)q; }

/* What costs a look at the files is told at least twice a second, and at once to who asked. */
static void expect_figures(int64_t oldest_ms, int upgraded)
{
	struct journal_question q = {.run = note_written, .done = nothing_more};

	assert_true(journal_ask(j, &q));
	steps_run();
	(void)journal_intake_run(j);
	assert_int_equal(metric_get(M_DISK_WRITTEN), written_bytes);
	steps_advance(600);
	assert_int_equal(metric_get(M_BACKLOG_OLDEST_MS), oldest_ms);
	assert_int_equal(metric_get(M_DISK_DATABASE_BYTES), size_of(""));
	assert_int_equal(metric_get(M_DISK_WAL_BYTES), size_of("-wal"));
	assert_int_equal(metric_get(M_DISK_STORED), j->store->stored_bytes);
	assert_int_equal(metric_get(M_CHECKPOINTS), j->store->checkpoints);
	assert_int_equal(metric_get(M_UPGRADED), upgraded);
	assert_int_equal(metric_get(M_ASIDE_FILES), life_count_files(&d, ".quarantine-") / 2);
	assert_int_equal(metric_get(M_ASIDE_UNREAD), j->looking == LOOKING_FOR_SALVAGE);
	assert_int_equal(metric_get(M_ASIDE_WAITS), j->looking == LOOKING_FOR_SALVAGE);
	assert_int_equal(metric_get(M_DISK_FREE_BYTES), free_bytes / 4096 * 4096);
}

static void each_figure_is_told_after_each_step(void **state)
{
	(void)state;
	begin();
	expect_figures(0, 100);
	offer(1, 50, 1000);
	expect_figures(FIRST_MS + 1, 100);
	free_bytes -= 1 << 20;
	credit(50, 1 << 20);
	assert_int_equal(take(ids), 50);
	offer(200, 50, 1000);
	settle(1, 50, SETTLE_DELIVERED, 0);
	expect_figures(FIRST_MS + 200, 100);
	assert_int_equal(metric_get(M_UPGRADE_WAITS), 0);
	/* An older spool's rows wait to be joined, and there is no room. */
	free_bytes = 1 << 20;
	o.store.min_free_bytes = 16 << 20;
	journal_reconfigure(j, &o.store);
	steps_run();
	assert_int_equal(metric_get(M_DISK_FULL), 1);
	j->store->merging = (struct merging){.first_row = 1, .last_row = 10, .row_at = 6};
	expect_figures(FIRST_MS + 200, 50);
	assert_int_equal(metric_get(M_UPGRADE_WAITS), 1);
	j->store->merging = (struct merging){0};
	free_bytes = UINT64_C(4) << 30;
	steps_advance(600);
	assert_int_equal(metric_get(M_UPGRADE_WAITS), 0);
	end();
}

/* A log that is as long as it may be goes into the file, with nobody idle. What is not in use of that is given back in
 * pieces, one after the other, when it is much; then it is looked at once a second. */
static void the_log_and_the_file_become_smaller(void **state)
{
	enum { OFFERS = 72, LOG = 16 << 20, KEPT = 64 << 20 };
	uint64_t longest = 0, full, turns;

	(void)state;
	free_bytes = 4 * LOG;
	begin();
	credit(OFFERS, UINT64_C(1) << 30);
	for (uint64_t n = 0; n < OFFERS; n++) {
		offer(n, 1, 1000000);
		assert_int_equal(take(ids), 1);
		longest = size_of("-wal") > longest ? size_of("-wal") : longest;
	}
	assert_in_range(longest, LOG, LOG + (2 << 20));
	assert_in_range(j->store->checkpoints, 4, 6);
	free_bytes = UINT64_C(4) << 30;
	assert_int_equal(store_checkpoint(j->store, true, &(struct error){0}), ERR_OK);
	settle(1, OFFERS, SETTLE_DELIVERED, 0);
	steps_advance(900);
	full = size_of("");
	assert_true(full > OFFERS * 1000000);
	steps_advance(600);
	assert_in_range(size_of(""), KEPT - (1 << 20), KEPT + (1 << 20));
	turns = steps.turns;
	for (int i = 0; i < 10; i++) {
		steps_advance(1000);
		assert_in_range(clock_mono_ms() - j->busy_ms, 0, 1500);
	}
	assert_in_range(steps.turns - turns, 10, 50);
	assert_in_range(size_of(""), KEPT - (1 << 20), KEPT + (1 << 20));
	end();
}

/* Nothing waits and yet there is no room: what the file holds is given back, once a second, whoever comes meanwhile. */
static void what_is_full_of_nothing_is_given_back(void **state)
{
	int64_t gave_ms;

	(void)state;
	begin();
	o.store.min_free_bytes = 16 << 20;
	journal_reconfigure(j, &o.store);
	steps_advance(1500);
	assert_int_equal(j->gave_ms, 0); /* there is room */
	free_bytes = 1 << 20;
	steps_advance(600);
	gave_ms = j->gave_ms;
	assert_in_range(clock_mono_ms() - gave_ms, 0, 600);
	for (int i = 0; i < 50; i++) {
		steps_advance(100);
		credit(1, 1);
		if (j->gave_ms != gave_ms)
			assert_in_range(j->gave_ms - gave_ms, 1001, 1600);
		assert_in_range(clock_mono_ms() - j->gave_ms, 0, 1600);
		gave_ms = j->gave_ms;
	}
	free_bytes = UINT64_C(4) << 30;
	steps_advance(2000);
	gave_ms = j->gave_ms;
	steps_advance(3000);
	assert_int_equal(j->gave_ms, gave_ms);
	end();
}

/* The next try comes after a second, whoever wakes the journal meanwhile. */
static void what_could_not_be_mended_is_tried_again(void **state)
{
	int64_t tried_ms;

	(void)state;
	o.store.vfs = CRASHVFS_NAME;
	begin();
	hand_out(50);
	settle(11, 10, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	rig_stop(j);
	j = steps_start(&o, NULL);
	steps_run();
	life_sql(j->store, "UPDATE partial SET bitmap = zeroblob(64), bytes = bytes + 3");
	assert_int_equal(j->unmended_ms, 0);
	crashvfs_fail(1, FAULT_ENOSPC, true);
	credit(100, 1 << 20);
	assert_int_equal(take(ids), 50);
	for (int i = 0; i < 5; i++) {
		tried_ms = j->unmended_ms;
		assert_int_equal(tried_ms, clock_mono_ms());
		for (int k = 0; k < 10; k++) {
			steps_advance(100);
			credit(1, 1);
			assert_int_equal(j->unmended_ms, tried_ms);
		}
		steps_advance(1);
		credit(1, 1);
	}
	crashvfs_fail(0, FAULT_ENOSPC, false);
	steps_advance(1600);
	assert_int_equal(j->unmended_ms, 0);
	assert_false(store_mend_is_due(j->store));
	end();
}

/* From now on the file can be read and not written. */
static void make_unwritable(const char *suffix)
{
	const int readable = open(spooldir_file(&d, suffix), O_RDONLY | O_CLOEXEC);
	int found = 0;

	assert_true(readable >= 0);
	for (int fd = 3; fd < 100; fd++) {
		char link[40], path[400];
		ssize_t n;

		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		n = fd == readable ? -1 : readlink(link, path, sizeof path - 1);
		path[n > 0 ? n : 0] = '\0';
		if (strcmp(path, spooldir_file(&d, suffix)) == 0 && ++found)
			assert_int_equal(dup2(readable, fd), fd);
	}
	assert_int_equal(found, 1);
	assert_int_equal(close(readable), 0);
}

static void companions_that_cannot_be_written_are_told(void **state)
{
	static const char *const suffixes[] = {".tide", ".left", ".flight"};

	(void)state;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		struct error e = {0};

		begin();
		hand_out(100);
		settle(1, 10, SETTLE_DELIVERED, 0);
		steps_advance(200);
		assert_false(journal_companion_trouble(j, &e));
		make_unwritable(suffixes[i]);
		settle(11, 70, SETTLE_DELIVERED, 0);
		steps_advance(200);
		offer(200, 5, 10);
		assert_true(journal_companion_trouble(j, &e));
		assert_non_null(strstr(e.text, suffixes[i]));
		assert_non_null(strstr(e.text, strerror(EBADF)));
		assert_int_equal(atomic_load(&j->published.tide_trouble), i == 0 ? EBADF : 0);
		assert_int_equal(atomic_load(&j->published.left_trouble), i == 1 ? EBADF : 0);
		assert_int_equal(store_ledger(j->store)->delivered, 80);
		end();
	}
}

static void note_aside(void *arg, const char *name, bool is_read, const char *words)
{
	unsigned *count = arg;

	(*count)++;
	assert_false(is_read);
	assert_non_null(strstr(name, ".quarantine-20260101T000000Z-000"));
	assert_non_null(words);
}

static void what_was_set_aside_is_named(void **state)
{
	unsigned count = 0;
	struct error e;

	(void)state;
	spooldir_make(&d);
	spooldir_store(spooldir_file(&d, ".quarantine-20260101T000000Z-000"), "x", 1);
	assert_int_equal(journal_each_aside(d.path, note_aside, &count, &e), ERR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(journal_each_aside("/nowhere/at/all", note_aside, &count, &e), ERR_ENVIRONMENT);
	assert_int_equal(count, 1);
	spooldir_remove(&d);
}

static void never_told(const struct error *why, const struct store_report *report)
{
	(void)why;
	(void)report;
	_exit(3);
}

static void steal_one(void)
{
	spooldir_lose_in(j->store->db, 2);
	faultfs_arm(FAULTFS_RENAME, 1, EIO, true);
	settle(2, 1, SETTLE_DELIVERED, 0);
	steps_advance(1000);
}

static void fail_the_disk(void)
{
	crashvfs_fail(1, FAULT_EIO, true);
	_exit(journal_stop(j, &(struct error){0}) == ERR_OK ? 1 : 2);
}

/* Damage, and nothing new can be put in its place; a disk that fails at the end: the process ends as it must, and
 * nobody hears of a new file, or of a good end. */
static void what_cannot_be_decided_ends_the_process(void **state)
{
	static void (*const acts[])(void) = {steal_one, fail_the_disk};

	(void)state;
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		pid_t child = fork();
		int status;

		if (child == 0) {
			struct spooldir mine;

			(void)freopen("/dev/null", "w", stderr);
			spooldir_make(&mine);
			o.store = spooldir_options(&mine);
			o.store.vfs = CRASHVFS_NAME;
			o.on_damaged = never_told;
			j = steps_start(&o, NULL);
			steps_run();
			steps.dying = &mine;
			hand_out(3);
			acts[i]();
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 74);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_figure_is_told_after_each_step),
	    cmocka_unit_test(the_log_and_the_file_become_smaller),
	    cmocka_unit_test(what_is_full_of_nothing_is_given_back),
	    cmocka_unit_test(what_could_not_be_mended_is_tried_again),
	    cmocka_unit_test(companions_that_cannot_be_written_are_told),
	    cmocka_unit_test(what_was_set_aside_is_named),
	    cmocka_unit_test(what_cannot_be_decided_ends_the_process),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
