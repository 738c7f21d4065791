/*
 * The n-th file operation fails, or is the last, n = 1, 2, ... until a run meets no fault: of a start, of setting a
 * damaged spool aside, of bringing back. A read error is never damage; whatever happened, the next start on a well disk
 * has every message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "rig/errorwatch.h"
#include "rig/faultfs.h"
#include "rig/faultpoints.h"
#include "rig/spooltell.h"

enum { ROWS = 60 };

static void harm(const struct spooldir *d)
{
	size_t count;
	unsigned char *bytes = spooldir_load(d->path, &count);

	memset(bytes + 4 * 4096, 0, 4096); /* of a table that the log has no page of */
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

/* One run as the daemon's: open, bring everything back, read all, close. */
static enum err run(const struct spooldir *d, struct store_report *report, struct error *e)
{
	struct store_options o = spooldir_options(d);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store *s = NULL;
	uint64_t first, last;
	uint32_t count;
	bool more = true;
	enum err err = store_open(&o, &s, report, e);

	while (err == ERR_OK && more)
		err = store_salvage(s, 40, &first, &last, &more, e);
	if (err == ERR_OK)
		err = store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, e);
	message_list_free(&list);
	if (s)
		hear(s);
	if (err != ERR_OK) {
		store_abandon(s);
		return err;
	}
	return store_close(s, e);
}

static int count_files(const struct spooldir *d, const char *part)
{
	DIR *dir = opendir(d->dir);
	struct dirent *entry;
	int count = 0;

	while ((entry = readdir(dir)))
		count += strstr(entry->d_name, part) != NULL;
	(void)closedir(dir);
	return count;
}

/* A start on a well disk has every message, as it was written, and a ledger that says so. */
static void all_is_there(const struct spooldir *d, const char *what, uint64_t n)
{
	struct store_options o = spooldir_options(d);
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	struct store_report report;
	struct store *s = NULL;
	struct message *m;
	struct error e;
	uint64_t first, last;
	uint32_t count;
	bool more = true;
	bool there[ROWS + 1] = {0};

	if (store_open(&o, &s, &report, &e) != ERR_OK)
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, e.text);
	while (more)
		if (store_salvage(s, 1000, &first, &last, &more, &e) != ERR_OK)
			fail_msg("%s at %llu: salvage: %s", what, (unsigned long long)n, e.text);
	if (store_read(s, 0, 1000, UINT64_MAX, &list, &count, &last, &e) != ERR_OK)
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, e.text);
	STAILQ_FOREACH (m, &list, link) {
		assert_in_range(m->id, 1, ROWS);
		assert_true(spooldir_is_message(m, m->id, life_bytes(m->id)));
		there[m->id] = true;
	}
	message_list_free(&list);
	for (uint64_t id = 1; id <= ROWS; id++)
		if (!there[id])
			fail_msg("%s at %llu: message %llu is gone (%u are there): %s", what, (unsigned long long)n,
			         (unsigned long long)id, count, report.warning);
	assert_int_equal(store_ledger(s)->accepted, ROWS);
	assert_int_equal(store_ledger(s)->pending, ROWS);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_close(s, &e), ERR_OK);
}

/* Which operations of these kinds a run has. */
static void note_points(const struct spooldir *original, unsigned kinds, int error, bool is_harmed)
{
	struct store_report report;
	struct spooldir d;
	struct error e;

	faultpoints_forget();
	spooldir_make(&d);
	spooldir_copy(original, &d);
	faultfs_arm(kinds, FAULTPOINTS_NONE, error, false);
	faultpoints_note();
	assert_int_equal(run(&d, &report, &e), ERR_OK);
	faultpoints_end();
	faultfs_arm(0, 0, 0, false);
	assert_int_equal(count_files(&d, "quarantine") > 0, is_harmed);
	spooldir_remove(&d);
}

static void every_read_error_is_an_error(const struct spooldir *original, bool persistent)
{
	uint64_t n = 0, failed = 1, tried = 0;

	note_points(original, FAULTFS_LOOKS, EIO, false);
	while (failed > 0) {
		struct store_report report;
		struct spooldir d;
		struct error e;
		enum err err;

		n = faultpoints_next(n);
		tried++;
		spooldir_make(&d);
		spooldir_copy(original, &d);
		faultfs_arm(FAULTFS_LOOKS, n, EIO, persistent);
		err = run(&d, &report, &e);
		ERRORWATCH_EXPECT(err, &e, report.warning, "read", n);
		failed = faultfs_failed();
		faultfs_arm(0, 0, 0, false);
		if (err != ERR_OK && err != ERR_DISK)
			fail_msg("read %llu: %d %s", (unsigned long long)n, err, e.text);
		if (count_files(&d, "quarantine") > 0 || count_files(&d, "-wal.") > 0)
			fail_msg("read %llu: something was set aside: %s", (unsigned long long)n, report.warning);
		all_is_there(&d, "read error", n);
		spooldir_remove(&d);
	}
	print_message("%llu of %llu reads\n", (unsigned long long)tried, (unsigned long long)n - 1);
	assert_true(tried > 20);
}

static void a_read_error_is_not_damage(void **state)
{
	struct spooldir original;

	(void)state;
	life_make(&original, 0, ROWS / 2, ROWS / 2);
	every_read_error_is_an_error(&original, false);
	every_read_error_is_an_error(&original, true);
	spooldir_remove(&original);
}

/* The damaged spool meets the fault; a start without one then finds everything. False: the run met no fault. */
static bool one_fault(const struct spooldir *original, uint64_t n, unsigned kinds, int error, bool persistent,
                      const char *what)
{
	struct store_report report;
	struct spooldir d;
	struct error e;
	enum err err = ERR_OK;
	uint64_t failed;

	spooldir_make(&d);
	spooldir_copy(original, &d);
	faultfs_arm(kinds, n, error, persistent);
	err = run(&d, &report, &e);
	ERRORWATCH_EXPECT(err, &e, report.warning, what, n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	if (err == ERR_DAMAGED || err == ERR_NOINPUT || err == ERR_CONFIG)
		fail_msg("%s at %llu: %s", what, (unsigned long long)n, e.text);
	all_is_there(&d, what, n);
	spooldir_remove(&d);
	return failed > 0;
}

/* The same, ended by a kill; the run that follows is ended too, at its m-th operation. */
static bool one_kill(const struct spooldir *original, uint64_t n, uint64_t m)
{
	struct spooldir d;
	bool killed = false;

	spooldir_make(&d);
	spooldir_copy(original, &d);
	for (int round = 0; round < (m > 0 ? 2 : 1); round++) {
		int status;
		pid_t child = fork();

		if (child == 0) {
			struct store_report report;
			struct error e;

			faultfs_arm(FAULTFS_CHANGES, round == 0 ? n : m, FAULTFS_KILL, false);
			(void)run(&d, &report, &e);
			faultfs_arm(0, 0, 0, false);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		killed |= WIFSIGNALED(status);
	}
	all_is_there(&d, "kill", n);
	spooldir_remove(&d);
	return killed;
}

static void setting_aside_survives_every_fault(void **state)
{
	static const struct {
		const char *what;
		unsigned kinds;
		int error;
		bool persistent;
	} faults[] = {
	    {"EIO once", FAULTFS_ALL, EIO, false},
	    {"EIO for good", FAULTFS_CHANGES, EIO, true},
	    {"ENOSPC once", FAULTFS_CHANGES, ENOSPC, false},
	    {"ENOSPC for good", FAULTFS_CHANGES, ENOSPC, true},
	};
	struct spooldir original;

	(void)state;
	life_make(&original, 0, ROWS / 2, ROWS / 2);
	harm(&original);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t n = 0, tried = 0, failed = 0;

		note_points(&original, faults[i].kinds, faults[i].error, true);
		while ((n = faultpoints_next(n)) <= faultpoints_count()) {
			failed += one_fault(&original, n, faults[i].kinds, faults[i].error, faults[i].persistent,
			                    faults[i].what);
			tried++;
		}
		assert_false(
		    one_fault(&original, n, faults[i].kinds, faults[i].error, faults[i].persistent, faults[i].what));
		print_message("%s: %llu of %llu points, %llu failed\n", faults[i].what, (unsigned long long)tried,
		              (unsigned long long)n - 1, (unsigned long long)failed);
		/* A full disk lets many operations pass. */
		assert_true(failed > 10 && (faults[i].error == ENOSPC || failed == tried));
	}
	spooldir_remove(&original);
}

static void setting_aside_survives_every_kill(void **state)
{
	struct spooldir original;
	uint64_t n = 0, tried = 0;

	(void)state;
	life_make(&original, 0, ROWS / 2, ROWS / 2);
	harm(&original);
	note_points(&original, FAULTFS_CHANGES, EIO, true);
	for (n = faultpoints_next(0); one_kill(&original, n, tried % 3 == 0 ? n / 2 + 20 : 0); n = faultpoints_next(n))
		tried++;
	print_message("%llu of %llu kills\n", (unsigned long long)tried, (unsigned long long)n - 1);
	assert_true(tried > 10);
	spooldir_remove(&original);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_read_error_is_not_damage),
	    cmocka_unit_test(setting_aside_survives_every_fault),
	    cmocka_unit_test(setting_aside_survives_every_kill),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
