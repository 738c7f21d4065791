/*
 * What had left and stands in an earlier copy of the shelf or of a page, and what was counted before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rig/lives.h"
#include "rig/left_lives.h"
#include "store/store_internal.h"
#include "store/store_damage.h"

static void what_is_lost_and_what_is_back_are_told_apart(void **state)
{
	uint64_t sums[2] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		const struct harm *h = &harms[i];
		struct store_report report;
		struct spooldir d, before;
		uint64_t lost, again, same_lost, same_again;
		char text[4000];
		struct store *s;

		make(&d);
		do_harm(&d, h);
		spooldir_make(&before);
		life_bring(&d, ".left", &before);
		assert_int_equal(life_problems(&d, text, sizeof text) > 0, i > 0);
		s = life_open(&d, &report);
		compare(s, &lost, &again);
		expect(s, h, lost, again);
		sums[0] += lost;
		sums[1] += again;
		store_abandon(s);
		if (i % 2 == 0) /* killed before PATH.left knew */
			life_bring(&before, ".left", &d);
		s = life_open(&d, &report);
		compare(s, &same_lost, &same_again);
		assert_int_equal(same_lost, lost);
		assert_int_equal(same_again, again);
		expect(s, h, lost, again);
		for (uint64_t id = 1; id <= ROWS; id++) {
			struct error e;
			bool is_there;

			assert_int_equal(store_is_pending(s, id, &is_there, &e), ERR_OK);
			if (is_there)
				life_settle(s, id, id);
		}
		life_expect(s, ROWS, ROWS - lost, 0, lost);
		life_close(s);
		s = life_open(&d, &report);
		life_expect(s, ROWS, ROWS - lost, 0, lost);
		assert_int_equal(store_possible_duplicates(s), again);
		life_close(s);
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
	assert_true(sums[0] > 200 && sums[1] > 300);
}

/* Taken out of a copy of before: what was purged, or put back, stands on the shelf again. */
static void the_shelf_of_an_earlier_time(void **state)
{
	struct store_report report;
	struct spooldir d, before;
	uint64_t count, damaged;
	char text[4000];
	struct store *s = life_begin(&d);
	struct error e;
	AUTOFREE char *sql = NULL;

	(void)state;
	life_append(s, 0, 30);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t id = 1; id <= 20; id++) {
		const struct store_settlement x = {
		    .id = id, .kind = SETTLE_DEAD, .attempts = 1, .code = "a", .reason = mem_string("b")};

		assert_int_equal(store_settle(s, &x, 1, &e), ERR_OK);
		free(x.reason);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	life_checkpoint(s);
	spooldir_make(&before);
	spooldir_copy(&d, &before);
	assert_int_equal(store_dead_purge(s, 3, &count, &e), ERR_OK);
	assert_int_equal(store_dead_purge(s, 4, &count, &e), ERR_OK);
	assert_int_equal(store_dead_retry(s, 7, &count, &damaged, &e), ERR_OK);
	life_close(s);
	sql = mem_format("ATTACH '%s' AS old; INSERT INTO dead SELECT * FROM old.dead AS o WHERE NOT EXISTS"
	                 " (SELECT 1 FROM dead AS d WHERE d.id = o.id)",
	                 before.path);
	run_sql(&d, sql);
	assert_true(life_problems(&d, text, sizeof text) > 0);
	assert_non_null(strstr(text, "3 messages that had left stand here again"));
	s = life_open(&d, &report);
	assert_non_null(strstr(report.warning, "3 messages that had left the shelf stood on it again"));
	assert_int_equal(store_ledger(s)->dead, 17);
	assert_int_equal(store_ledger(s)->damaged, 0);
	assert_int_equal(store_possible_duplicates(s), 0);
	assert_int_equal(store_dead_purge(s, 0, &count, &e), ERR_OK);
	assert_int_equal(count, 17);
	life_close(s);
	assert_int_equal(life_problems(&d, text, sizeof text), 0);
	spooldir_remove(&before);
	spooldir_remove(&d);
}

/* Database, log and tide mark of before; PATH.left stayed. */
static void an_earlier_copy_of_all_but_one(void **state)
{
	static const char *const files[] = {"", "-wal", ".tide"};

	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		struct store_report report;
		struct spooldir d, before;
		char text[4000];
		struct store *s;

		life_make(&d, 0, 50, 50);
		spooldir_make(&before);
		spooldir_copy(&d, &before);
		s = life_open(&d, NULL);
		life_append(s, 100, 50);
		life_settle(s, 21, 120);
		life_settle(s, 150, 150);
		life_close(s);
		for (size_t i = 0; i < sizeof files / sizeof *files; i++)
			life_bring(&before, files[i], &d);
		if (gone)
			assert_int_equal(unlink(spooldir_file(&d, ".tide")), 0);
		assert_true(life_problems(&d, text, sizeof text) > 0);
		s = life_open(&d, &report);
		assert_non_null(strstr(report.warning, "knows of 50 messages more, of which 29 are gone"));
		assert_int_equal(store_possible_duplicates(s), 80);
		life_expect(s, 150, 21, 100, 29);
		life_append(s, 150, 1); /* its id was never given */
		life_settle(s, 151, 151);
		life_expect(s, 151, 22, 100, 29);
		life_close(s);
		s = life_open(&d, &report);
		assert_string_equal(report.warning, "");
		assert_int_equal(store_possible_duplicates(s), 80);
		life_expect(s, 151, 22, 100, 29);
		life_close(s);
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
}

/* The end of the log is gone, and with it what was counted there: that is counted still, and what comes back besides.
 */
static void what_was_counted_before_stays_counted(void **state)
{
	(void)state;
	for (uint64_t counted = 0; counted < 50; counted += 7) {
		struct store_report report;
		struct spooldir d, before;
		struct store *s;
		struct error e;

		life_make(&d, 0, 50, 10);
		s = life_open(&d, NULL);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		store_count_possible(s, 3);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		life_checkpoint(s);
		spooldir_make(&before);
		spooldir_copy(&d, &before);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		store_count_possible(s, counted);
		assert_int_equal(store_commit(s, &e), ERR_OK);
		life_settle(s, 11, 15);
		store_abandon(s);
		for (uint64_t again = 1; again < 3; again++) { /* the second time it went on from there */
			life_bring(&before, "", &d);
			life_bring(&before, "-wal", &d);
			s = life_open(&d, &report);
			assert_int_equal(store_possible_duplicates(s), 3 + counted + 5 * again);
			assert_int_equal(store_ledger(s)->damaged, 0);
			life_settle(s, 11, 15);
			store_abandon(s);
		}
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
}

/* Without it nothing is known of what left before: no count is invented. */
static void without_it_all_goes_on(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) {
		struct store_report report;
		struct spooldir d, other;
		char text[4000];
		struct store *s;

		make(&d);
		life_make(&other, LIFE_OTHERS, 10, 0);
		if (way == 0)
			assert_int_equal(unlink(spooldir_file(&d, ".left")), 0);
		else if (way == 1)
			spooldir_store(spooldir_file(&d, ".left"), "nonsense", 8);
		else
			life_bring(&other, ".left", &d);
		assert_int_equal(life_problems(&d, text, sizeof text), 1);
		assert_non_null(strstr(text, ".left, which tells"));
		s = life_open(&d, &report);
		assert_non_null(strstr(report.warning, ".left, which tells"));
		life_expect(s, ROWS, ROWS / 2, ROWS / 2, 0);
		assert_int_equal(store_possible_duplicates(s), 0);
		life_settle(s, 2, 2);
		life_close(s);
		run_sql(&d, "DELETE FROM partial WHERE block_id = 1");
		s = life_open(&d, &report);
		assert_int_equal(store_possible_duplicates(s), 6); /* one is known, five are told by the counts */
		life_expect(s, ROWS, ROWS / 2 - 5, ROWS / 2 + 5, 0);
		life_close(s);
		spooldir_remove(&other);
		spooldir_remove(&d);
	}
}

/* To count what had left and waits is one thing, to take it back another. */
static void a_count_takes_nothing_back(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct error e;
	struct totals found;

	(void)state;
	life_append(s, 0, 20);
	left_note(s->left, 3, 5);
	left_keep(s->left, s->durable.commits);
	assert_int_equal(store_left_count(s, &found, &e), ERR_OK);
	assert_int_equal(found.possible, 3);
	assert_false(left_takes_back(s->left));
	assert_int_equal(store_left_take_back(s, &e), ERR_OK);
	assert_true(left_takes_back(s->left));
	left_keep(s->left, s->durable.commits);
	assert_int_equal(store_left_count(s, &found, &e), ERR_OK);
	assert_int_equal(found.possible, 0);
	life_end(&d, s);
}

/* An older database: what had left since is counted to the message where PATH.left is later than the tide mark, and
 * where it is older by all that waits. How many positions there are is no answer to that. */
static void how_much_came_back_is_known_by_the_later_of_them(void **state)
{
	enum { MESSAGES = 20, LEFT = 5, MORE = 3 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const bool has_old_left = i & 1, has_positions = i & 2; /* else an old tide mark */
		struct store_report report;
		struct spooldir d, before;
		struct store *s = life_begin(&d);
		struct error e;
		char want[100];

		life_append(s, 0, MESSAGES);
		life_close(s);
		spooldir_make(&before);
		spooldir_copy(&d, &before);
		s = life_open(&d, NULL);
		assert_int_equal(store_begin(s, &e), ERR_OK);
		for (int k = 0; k < 100 && has_positions; k++) {
			char key[16];

			(void)snprintf(key, sizeof key, "%d", k);
			assert_int_equal(store_position_put(s, key, "1", &e), ERR_OK);
		}
		assert_int_equal(store_commit(s, &e), ERR_OK);
		for (uint64_t id = 1; id <= LEFT; id++)
			life_settle(s, id, id);
		life_close(s);
		life_bring(&d, has_old_left ? ".left" : ".tide", &before);
		s = life_open(&d, NULL);
		for (uint64_t id = LEFT + 1; id <= LEFT + MORE; id++)
			life_settle(s, id, id);
		life_close(s);
		life_bring(&before, "", &d);
		life_bring(&before, has_old_left ? ".left" : ".tide", &d);
		s = life_open(&d, &report);
		(void)snprintf(want, sizeof want, "than what was counted: %s%d messages may be sent twice",
		               has_old_left ? "up to " : "", LEFT + MORE);
		if (!strstr(report.warning, want))
			fail_msg("%d: %s: %d", i, report.warning, (int)store_possible_duplicates(s));
		if (has_old_left)
			assert_int_equal(store_possible_duplicates(s), LEFT + MORE);
		else /* those that the tide mark knew of too may be counted by both */
			assert_in_range(store_possible_duplicates(s), LEFT + MORE, LEFT + MORE + LEFT);
		life_close(s);
		spooldir_remove(&before);
		spooldir_remove(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_lost_and_what_is_back_are_told_apart),
	    cmocka_unit_test(the_shelf_of_an_earlier_time),
	    cmocka_unit_test(an_earlier_copy_of_all_but_one),
	    cmocka_unit_test(what_was_counted_before_stays_counted),
	    cmocka_unit_test(without_it_all_goes_on),
	    cmocka_unit_test(a_count_takes_nothing_back),
	    cmocka_unit_test(how_much_came_back_is_known_by_the_later_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
