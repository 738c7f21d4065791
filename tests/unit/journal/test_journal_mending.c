/*
 * Rows beside the messages go bad while the journal runs, and companions of the database cannot be written: what waits
 * is sent all the same, what is sent again is counted, and whoever may be told is told once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/lives.h"
#include "rig/one_journal.h"

enum { ROWS = 50 };

static int times_told;
static char told[400];
static const char *harm;

static void hear(const char *what)
{
	times_told++;
	(void)snprintf(told, sizeof told, "%s", what);
}

static void do_harm(struct store *s) { life_sql(s, harm); }

/* On the journal's thread, in a round of its own. */
static void run_harm(const char *sql)
{
	harm = sql;
	do_harm(j->store);
}

/* Once more on what the life before left; nobody has read anything of it. */
static void begin_again(void)
{
	rig_stop(j);
	o.on_mended = hear;
	times_told = 0;
	j = steps_start(&o, NULL);
	steps_run();
}

static uint32_t take_all(void)
{
	credit(ROWS * 2, 1 << 20);
	return take(ids);
}

static void lose_a_mark_of(uint32_t count)
{
	const int64_t before = (int64_t)metric_get(M_POSSIBLE_DUPLICATES);

	begin();
	hand_out(ROWS);
	settle(11, count, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	begin_again();
	run_harm("UPDATE partial SET bitmap = zeroblob(64), bytes = bytes + 3");
	j->looking = LOOKING_FOR_NOTHING;
	assert_int_equal(take_all(), ROWS);
	assert_int_equal(j->looking, LOOKING_FOR_ROWS); /* of what waits again some may be missing */
	for (uint64_t i = 0; i < ROWS; i++)
		assert_int_equal(ids[i], i + 1);
	assert_int_equal(times_told, 1);
	assert_string_not_equal(told, "");
	assert_int_equal((int64_t)metric_get(M_POSSIBLE_DUPLICATES) - before, count);
	assert_int_equal(atomic_load(&journal_flight(j)->possible), count);
	assert_int_equal(store_ledger(j->store)->delivered, 0);
	steps_advance(5000);
	assert_int_equal(take_all(), 0); /* all are on their way */
	settle(1, ROWS, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	assert_int_equal(store_ledger(j->store)->delivered, ROWS);
	assert_int_equal((int64_t)metric_get(M_POSSIBLE_DUPLICATES) - before, count);
	assert_int_equal(times_told, 1);
	end();
}

/* All is as it was written: nobody is told anything, and nothing is looked for anew. */
static void what_was_suspected_for_nothing_is_not_told(void **state)
{
	(void)state;
	begin();
	hand_out(ROWS);
	settle(1, ROWS / 2, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	j->options.on_mended = hear;
	times_told = 0;
	j->looking = LOOKING_FOR_NOTHING;
	store_suspect(j->store);
	steps_advance(61000);
	assert_false(store_mend_is_due(j->store));
	assert_int_equal(times_told, 0);
	assert_int_equal(j->cursor, ROWS);
	assert_int_equal(j->looking, LOOKING_FOR_NOTHING);
	end();
}

static void what_a_lost_mark_sends_again_is_counted_and_told(void **state)
{
	(void)state;
	lose_a_mark_of(10);
	lose_a_mark_of(1);
}

/* It waited for an hour; nobody knows any longer that it did. */
static void what_a_lost_row_of_failures_held_back_comes_at_once(void **state)
{
	static const char *const harms[] = {"UPDATE failures SET attempts = attempts + 7 WHERE id = 1",
	                                    "UPDATE failures SET checksum = 5 WHERE id = 1"};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		begin();
		hand_out(ROWS);
		settle(1, 1, SETTLE_RETRY, 3600000);
		settle(4, 1, SETTLE_RETRY, 1000);
		settle(2, 2, SETTLE_DELIVERED, 0);
		settle(5, ROWS - 4, SETTLE_DELIVERED, 0);
		steps_advance(1);
		begin_again();
		assert_int_equal(take_all(), 0);
		run_harm(harms[i]);
		steps_advance(3700000);
		assert_int_equal(take(ids), 2);
		assert_int_equal(ids[0] + ids[1], 1 + 4);
		assert_int_equal(times_told, 1);
		assert_non_null(strstr(told, "attempts"));
		settle(1, 1, SETTLE_DELIVERED, 0);
		settle(4, 1, SETTLE_DELIVERED, 0);
		steps_advance(1000);
		assert_int_equal(store_ledger(j->store)->delivered, ROWS);
		assert_int_equal(store_ledger(j->store)->pending, 0);
		end();
	}
}

static void a_companion_that_cannot_be_written_is_told(void **state)
{
	static const struct {
		int tide, flight;
		const char *name, *costs, *reason;
	} cases[] = {
	    {0, 0, NULL, NULL, NULL},
	    {ENOSPC, 0, ".tide ", "its counts", "No space left"},
	    {0, EROFS, ".flight ", "twice", "Read-only"},
	    {EIO, EROFS, ".tide ", "its counts", "Input/output"},
	};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct error e = {0};

		atomic_store(&j->published.tide_trouble, cases[i].tide);
		atomic_store(&j->flight.trouble, cases[i].flight);
		assert_int_equal(journal_companion_trouble(j, &e), cases[i].name != NULL);
		assert_int_equal(e.code, cases[i].name ? ERR_DISK : ERR_OK);
		if (cases[i].name && (!strstr(e.text, cases[i].name) || !strstr(e.text, cases[i].costs) ||
		                      !strstr(e.text, cases[i].reason) || !strstr(e.text, d.path)))
			fail_msg("%s", e.text);
	}
	atomic_store(&j->published.tide_trouble, 0);
	atomic_store(&j->flight.trouble, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_suspected_for_nothing_is_not_told),
	    cmocka_unit_test(what_a_lost_mark_sends_again_is_counted_and_told),
	    cmocka_unit_test(what_a_lost_row_of_failures_held_back_comes_at_once),
	    cmocka_unit_test(a_companion_that_cannot_be_written_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
