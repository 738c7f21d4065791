/*
 * What a commit leaves in the log that was refused because its sync failed, under shorter ones that were refused too:
 * nobody was told yes, so that nothing is lost. The last commits that were acknowledged, damaged, are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig/faultfs.h"
#include "rig/lives.h"

enum { ROWS = 40, BODY = 3000, FRAME = 24 + 4096 };

/* One commit of so many messages; false: it was refused. */
static bool commit(struct store *s, uint64_t n, uint32_t count, uint32_t bytes)
{
	struct error e;
	enum err err = store_begin(s, &e);

	for (uint32_t i = 1; i <= count && err == ERR_OK; i++) {
		struct message *m = spooldir_message(n + i, bytes);

		err = store_append(s, m, &e);
		message_free(m);
	}
	if (err == ERR_OK)
		err = store_commit(s, &e);
	if (err != ERR_OK)
		store_rollback(s);
	assert_true(err == ERR_OK || err == ERR_FULL);
	return err == ERR_OK;
}

static void a_refused_commit_leaves_nothing_that_is_lost(void **state)
{
	static const int errors[] = {EDQUOT, ENOSPC};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (uint32_t first = 0; first < 2; first++) {
			static const uint32_t sizes[] = {40, 25, 12, 3};
			struct store_report report;
			struct spooldir d;
			struct store *s = life_begin(&d);
			char text[2000];

			life_append(s, 0, ROWS);
			if (first) /* the refused ones begin a log */
				life_checkpoint(s);
			else
				life_settle(s, 1, 3);
			faultfs_arm(FAULTFS_SYNC, 1, errors[i], true);
			for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
				assert_false(commit(s, ROWS, sizes[k], BODY));
			faultfs_arm(0, 0, 0, false);
			store_abandon(s);
			if (life_problems(&d, text, sizeof text) > 0)
				fail_msg("%s", text);
			s = life_open(&d, &report);
			assert_false(report.wal_mended);
			assert_int_equal(report.wal_frames_lost, 0);
			assert_string_equal(report.warning, "");
			assert_int_equal(life_count_files(&d, "damaged"), 0);
			assert_int_equal(store_ledger(s)->damaged, 0);
			assert_in_range(store_ledger(s)->accepted, ROWS, ROWS + 3); /* the last one is whole */
			life_close(s);
			spooldir_remove(&d);
		}
}

/* The same picture, but the mark says that they were acknowledged. */
static void the_last_commits_damaged_are_counted(void **state)
{
	(void)state;
	for (int keeps_tide = 0; keeps_tide < 2; keeps_tide++) {
		struct store_report report;
		struct spooldir d;
		struct store *s = life_begin(&d);
		size_t count, frames;
		unsigned char *log;
		char text[2000];

		life_append(s, 0, ROWS);
		assert_true(commit(s, ROWS, 20, BODY));
		assert_true(commit(s, ROWS + 20, 20, BODY));
		store_abandon(s);
		log = spooldir_load(spooldir_file(&d, "-wal"), &count);
		frames = (count - 32) / FRAME;
		for (size_t f = frames - 4; f > frames - 40; f -= 4) /* in both more than one */
			log[32 + f * FRAME + 1000] ^= 0x10;
		spooldir_store(spooldir_file(&d, "-wal"), log, count);
		free(log);
		if (!keeps_tide)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		assert_true(life_problems(&d, text, sizeof text) > 0);
		s = life_open(&d, &report);
		assert_true(report.missing_rows > 0 || report.wal_frames_lost > 0 || store_ledger(s)->damaged > 0 ||
		            report.warning[0] != '\0');
		if (keeps_tide)
			assert_int_equal(store_ledger(s)->damaged + life_waiting(s, 0), ROWS + 40);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* Nothing of several can be joined, and the mark says that they were acknowledged: counted, and kept for a person. */
static void what_was_acknowledged_is_set_aside(void **state)
{
	struct store_report report;
	struct spooldir d;
	struct store *s = life_begin(&d);
	size_t count, frames;
	unsigned char *log;

	(void)state;
	life_append(s, 0, ROWS);
	for (uint64_t i = 0; i < 4; i++)
		assert_true(commit(s, ROWS + 20 * i, 20, BODY));
	store_abandon(s);
	log = spooldir_load(spooldir_file(&d, "-wal"), &count);
	frames = (count - 32) / FRAME;
	for (size_t f = frames - 4; f > frames - 60; f -= 4)
		log[32 + f * FRAME + 1000] ^= 0x10;
	spooldir_store(spooldir_file(&d, "-wal"), log, count);
	free(log);
	s = life_open(&d, &report);
	assert_int_equal(store_ledger(s)->damaged + store_ledger(s)->pending, ROWS + 80);
	assert_true(store_ledger(s)->damaged > 0);
	assert_true(report.wal_frames_lost > 0);
	assert_true(life_count_files(&d, "damaged") > 0);
	life_close(s);
	spooldir_remove(&d);
}

/* The mark is one commit behind at most, when a run died between the two: an earlier one proves nothing of the end. */
static void a_mark_that_is_older_says_nothing_of_what_remains(void **state)
{
	enum { MARKS = 4 };
	unsigned char *marks[MARKS];
	size_t counts[MARKS];
	struct spooldir d;
	struct store *s = life_begin(&d);

	(void)state;
	life_append(s, 0, ROWS);
	for (uint64_t i = 0; i < MARKS; i++) {
		life_settle(s, i + 1, i + 1);
		marks[i] = spooldir_load(spooldir_file(&d, ".tide"), &counts[i]);
	}
	faultfs_arm(FAULTFS_SYNC, 1, ENOSPC, true);
	for (uint32_t count = 40; count > 0; count /= 3)
		assert_false(commit(s, ROWS, count, BODY));
	faultfs_arm(0, 0, 0, false);
	store_abandon(s);
	for (size_t i = 0; i < MARKS; i++) {
		const size_t behind = MARKS - 1 - i;
		char text[2000];

		spooldir_store(spooldir_file(&d, ".tide"), marks[i], counts[i]);
		(void)life_problems(&d, text, sizeof text);
		if ((strstr(text, "the log is damaged") != NULL) != (behind > 0))
			fail_msg("%d commits behind: %s", (int)behind, text);
		free(marks[i]);
	}
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_refused_commit_leaves_nothing_that_is_lost),
	                                   cmocka_unit_test(the_last_commits_damaged_are_counted),
	                                   cmocka_unit_test(what_was_acknowledged_is_set_aside),
	                                   cmocka_unit_test(a_mark_that_is_older_says_nothing_of_what_remains)};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
