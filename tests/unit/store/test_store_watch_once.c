/* One look at the files of an open spool: what is written over them is noticed, what is harmless is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/store_internal.h"

/* Another spool's bytes over ours, in the same file, while it is open; and what is harmless. */
static void files_overwritten_while_open_are_noticed(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) { /* by a look, and by a close without one */
		const int log = round % 2;
		struct store_report report;
		struct spooldir mine, others;
		struct store *s;
		struct error e;
		bool lost;

		life_make(&mine, 0, 50, 0);
		life_make(&others, LIFE_OTHERS, 120, 90);
		s = life_open(&mine, NULL);
		life_append(s, 50, 30);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		assert_int_equal(utimes(mine.path, NULL), 0);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		life_checkpoint(s);
		life_append(s, 80, 30);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		life_append(s, 110, 10);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		life_bring(&others, log ? "-wal" : "", &mine);
		if (round >= 2) {
			assert_int_equal(store_close(s, &e), ERR_DISK);
		} else {
			assert_int_equal(store_watch_log(s, &e), log ? ERR_DISK : ERR_OK);
			if (log)
				assert_non_null(strstr(e.text, "-wal was overwritten"));
			assert_int_equal(store_watch(s, &lost, &e), ERR_DISK);
			assert_false(lost);
			store_abandon(s);
		}
		assert_non_null(strstr(e.text, log ? "-wal was overwritten" : "spool.db was overwritten"));
		s = life_open(&mine, &report);
		assert_true(report.strangers);
		life_expect(s, 120, 0, log ? 80 : 40, log ? 40 : 80);
		assert_int_equal(life_waiting(s, 0), log ? 80 : 40);
		life_close(s);
		spooldir_remove(&mine);
		spooldir_remove(&others);
	}
}

/* One that is where it was is left alone: a look every half second must not wear the disk. */
static void a_look_writes_nothing(void **state)
{
	static const char *const suffixes[] = {"", "-wal", ".tide", ".lock"};
	const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	bool lost;

	(void)state;
	life_append(s, 0, 30);
	assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
		assert_int_equal(utimensat(AT_FDCWD, spooldir_file(&d, suffixes[i]), long_ago, 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		struct stat st;

		assert_int_equal(stat(spooldir_file(&d, suffixes[i]), &st), 0);
		if (st.st_mtim.tv_sec != 1000)
			fail_msg("the look wrote spool.db%s", suffixes[i]);
	}
	life_end(&d, s);
}

/* Taken away or exchanged while it is open, the tide mark is there again, and is ours. */
static void the_tide_mark_comes_back(void **state)
{
	struct spooldir d, others;
	struct store *s;
	struct error e;
	bool lost;

	(void)state;
	life_make(&d, 0, 20, 10);
	life_make(&others, LIFE_OTHERS, 20, 10);
	for (int how = 0; how < 2; how++) {
		struct store_report report;

		s = life_open(&d, NULL);
		assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		if (how == 1)
			life_bring(&others, ".tide", &d);
		assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
		store_abandon(s);
		assert_int_equal(unlink(spooldir_file(&d, "-wal")), 0);
		assert_int_equal(unlink(d.path), 0);
		s = life_open(&d, &report);
		assert_false(report.strangers);
		assert_int_equal(store_ledger(s)->accepted, how == 0 ? 30 : 60);
		life_append(s, 100, 30);
		life_close(s);
	}
	spooldir_remove(&d);
	spooldir_remove(&others);
}

/* Each that was deleted, or is another spool's now, is told once, is ours again, and the next start finds nothing
 * amiss. */
static void companions_come_back_and_are_told(void **state)
{
	static const char *const suffixes[] = {".tide", ".left"};
	struct spooldir d, others;

	(void)state;
	life_make(&d, 0, 20, 10);
	life_make(&others, LIFE_OTHERS, 20, 10);
	for (int which = 1; which < 4; which++)
		for (int how = 0; how < 2; how++) {
			struct store *s = life_open(&d, NULL);
			struct store_report report;
			const char *told;
			struct error e;
			int found = 0;
			bool lost;

			assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
			assert_null(store_take_companion(s));
			for (int i = 0; i < 2; i++)
				if (which & 1 << i) {
					assert_int_equal(unlink(spooldir_file(&d, suffixes[i])), 0);
					if (how == 1)
						life_bring(&others, suffixes[i], &d);
				}
			for (int look = 0; look < 2; look++)
				assert_int_equal(store_watch(s, &lost, &e), ERR_OK);
			while ((told = store_take_companion(s)))
				for (int i = 0; i < 2; i++)
					found += strcmp(told, suffixes[i]) == 0 ? 1 << i : 0;
			assert_int_equal(found, which);
			store_abandon(s);
			s = life_open(&d, &report);
			assert_false(report.strangers);
			assert_string_equal(report.warning, "");
			life_close(s);
		}
	spooldir_remove(&d);
	spooldir_remove(&others);
}

/* A sector under them dies: no other file is blamed for it, and nothing is believed from then on. */
static void what_cannot_be_looked_at_is_told(void **state)
{
	static const char *const suffixes[] = {"spool.db", "spool.db-wal"};

	(void)state;
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		struct spooldir d;
		struct store *s = life_begin(&d);
		struct error e, trust;
		char want[400];

		life_append(s, 0, 30);
		life_checkpoint(s);
		life_append(s, 30, 10);
		assert_int_equal(store_watch_inside(s, &e), ERR_OK);
		faultfs_dead(suffixes[i], 0, INT32_MAX);
		assert_int_equal(store_watch_inside(s, &e), ERR_DISK);
		faultfs_dead(NULL, 0, 0);
		(void)snprintf(want, sizeof want, "%s%s cannot be read: %s", d.path, i ? "-wal" : "", strerror(EIO));
		assert_string_equal(e.text, want);
		assert_int_equal(e.code, ERR_DISK);
		assert_int_equal(store_trust(s, &trust), ERR_DISK);
		assert_string_equal(trust.text, want);
		store_abandon(s);
		s = life_open(&d, NULL);
		assert_int_equal(life_waiting(s, 0), 40);
		life_end(&d, s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(files_overwritten_while_open_are_noticed),
	    cmocka_unit_test(a_look_writes_nothing),
	    cmocka_unit_test(the_tide_mark_comes_back),
	    cmocka_unit_test(companions_come_back_and_are_told),
	    cmocka_unit_test(what_cannot_be_looked_at_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
