/*
 * A damaged spool is set aside, a new one begins and takes back what can be read, and the run that does so is killed at
 * every change of a file in turn; then so is the run after it. The start that follows has every message, counted as
 * accepted once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"

#define NAME "spool.db"
enum { PAGE = 4096 };
enum {
	ROWS = 60,
	POINTS_MAX = 4000,
	ONE_EACH = IS_SANITIZED ? 5 : 1,
	FIRST_EACH = IS_SANITIZED ? 37 : 17,
	SECOND_EACH = 13
};

/* As the daemon's. */
static void run(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;
	uint64_t first, last;
	bool more = true;
	struct error e;
	enum err err = store_open(&o, &s, NULL, &e);

	while (err == ERR_OK && more)
		err = store_salvage(s, 20, &first, &last, &more, &e);
	if (err == ERR_OK)
		(void)store_close(s, &e);
	else
		store_abandon(s);
}

/* False: it ended before. */
static bool run_killed(const struct spooldir *d, uint64_t at)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		faultfs_arm(FAULTFS_CHANGES, at, FAULTFS_KILL, false);
		run(d);
		faultfs_arm(0, 0, 0, false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status);
}

static void expect_all(const struct spooldir *d, uint64_t n, uint64_t m)
{
	struct store_report report;
	struct store *s = life_open(d, &report);
	const struct store_ledger *l = store_ledger(s);
	uint64_t first, last;
	bool more = true;
	struct error e;

	while (more)
		assert_int_equal(store_salvage(s, 1000, &first, &last, &more, &e), ERR_OK);
	if (report.strangers || life_count_files(d, "stranger") > 0)
		fail_msg("killed at %llu, then at %llu: its own files are taken for another's: %s",
		         (unsigned long long)n, (unsigned long long)m, report.warning);
	if (life_waiting(s, 0) != ROWS || l->accepted != ROWS || l->pending != ROWS || l->damaged != 0)
		fail_msg("killed at %llu, then at %llu: accepted %llu pending %llu damaged %llu: %s",
		         (unsigned long long)n, (unsigned long long)m, (unsigned long long)l->accepted,
		         (unsigned long long)l->pending, (unsigned long long)l->damaged, report.warning);
	life_close(s);
}

/* Half of it in the log. The page that a check of the tables finds is a table's own, so the log is believed. */
static void make(struct spooldir *d, size_t bad_page)
{
	size_t count;
	unsigned char *bytes;

	life_make(d, 0, ROWS / 2, ROWS / 2);
	bytes = spooldir_load(d->path, &count);
	if (bad_page == 1)
		memset(bytes + 100, 0xff, 40);
	else
		memset(bytes + (bad_page - 1) * PAGE, 0, PAGE);
	spooldir_store(d->path, bytes, count);
	free(bytes);
}

static void copy(const struct spooldir *from, const struct spooldir *to)
{
	struct dirent *entry;
	DIR *dir = opendir(from->dir);

	while ((entry = readdir(dir)))
		if (strncmp(entry->d_name, NAME, strlen(NAME)) == 0)
			life_bring(from, entry->d_name + strlen(NAME), to);
	(void)closedir(dir);
}

static const size_t bad_pages[] = {1, 5, 6};

static void a_kill_at_any_operation_costs_and_doubles_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_pages / sizeof *bad_pages; i++) {
		struct spooldir o;
		bool killed = true;

		make(&o, bad_pages[i]);
		for (uint64_t n = 1 + i; killed; n += ONE_EACH) {
			struct spooldir d;

			assert_true(n < POINTS_MAX);
			spooldir_make(&d);
			copy(&o, &d);
			killed = run_killed(&d, n);
			expect_all(&d, n, 0);
			spooldir_remove(&d);
		}
		spooldir_remove(&o);
	}
}

static void every_second_kill(const struct spooldir *from, uint64_t n)
{
	bool killed = true;

	for (uint64_t m = 1 + n % SECOND_EACH; killed; m += SECOND_EACH) {
		struct spooldir d;

		assert_true(m < POINTS_MAX);
		spooldir_make(&d);
		copy(from, &d);
		killed = run_killed(&d, m);
		expect_all(&d, n, m);
		spooldir_remove(&d);
	}
}

static void a_second_kill_costs_and_doubles_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad_pages / sizeof *bad_pages; i++) {
		struct spooldir o;
		bool killed = true;

		make(&o, bad_pages[i]);
		for (uint64_t n = 10; killed; n += FIRST_EACH) {
			struct spooldir d;

			assert_true(n < POINTS_MAX);
			spooldir_make(&d);
			copy(&o, &d);
			killed = run_killed(&d, n);
			every_second_kill(&d, n);
			spooldir_remove(&d);
		}
		spooldir_remove(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_kill_at_any_operation_costs_and_doubles_nothing),
	    cmocka_unit_test(a_second_kill_costs_and_doubles_nothing),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
