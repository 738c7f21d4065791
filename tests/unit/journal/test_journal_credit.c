/*
 * What credit buys, in rows and in bytes, hit exactly and missed by one; how long the journal sleeps, and what its
 * commits note of what is handed out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/metrics.h"
#include "rig/one_journal.h"

/* Credit is read for when enough of it came together. */
static void credit_is_worth_a_read_or_not(void **state)
{
	uint64_t claimed;

	(void)state;
	begin();
	for (uint64_t n = 0; n < 8; n++)
		offer(n * 500 + 1, 500, 10);
	assert_int_equal(take(ids), 0);
	credit(0, 1 << 20);
	assert_int_equal(take(ids), 0);
	credit(1000, 1 << 30);
	assert_int_equal(take(ids), 1000);
	credit(255, 1 << 20);
	assert_int_equal(take(ids), 0);
	credit(1, 0);
	assert_int_equal(take(ids), 256);
	settle(1, 1156, SETTLE_DELIVERED, 0); /* a hundred are out */
	assert_int_equal(j->held_rows, 1156);
	credit(32, 0);
	assert_int_equal(take(ids), 0);
	credit(1, 0);
	assert_int_equal(take(ids), 33);
	settle(1157, 133, SETTLE_DELIVERED, 0); /* nothing is: the smallest credit counts */
	credit(1, 0);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 1290);
	/* The same of bytes. */
	credit(3, 0);
	assert_int_equal(take(ids), 3);
	steps_advance(100);
	assert_int_equal(j->claims.count, 4);
	claimed = (uint64_t)j->claimed_bytes;
	assert_int_equal(claimed, 4 * (sizeof(struct message) + 10 + strlen("1290") + 10));
	journal_credit(j, 2000, 0);
	j->room_bytes = 0; /* it had a gigabyte */
	steps_run();
	assert_int_equal(take(ids), 0);
	credit(0, (claimed - 3) / 3); /* a third of what is out is a quarter of all */
	assert_int_equal(take(ids), 0);
	credit(0, 2);
	assert_int_equal(take(ids), 1);
	end();
}

enum { LARGE = 3 << 20 }; /* more than is read at once */

/* Credit may be overdrawn by one row, but not beside others of its size. */
static void a_large_row_waits_until_it_fits(void **state)
{
	const uint64_t cost = sizeof(struct message) + 10 + strlen("1") + LARGE;

	(void)state;
	begin();
	for (uint64_t n = 1; n <= 3; n++)
		offer(n, 1, LARGE);
	credit(1000, cost / 2); /* nothing is out: it would never come else */
	assert_int_equal(take(ids), 1);
	credit(0, cost - cost / 2 + cost - 1);
	assert_int_equal(take(ids), 0);
	credit(0, 1);
	assert_int_equal(take(ids), 1);
	credit(0, cost - 1);
	offer(4, 1, LARGE); /* nor straight from memory */
	assert_int_equal(take(ids), 0);
	settle(1, 2, SETTLE_DELIVERED, 0); /* nothing is out again */
	steps_advance(100);
	credit(0, 1);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 3);
	end();
}

static void groups_of_rows_have_limits(void **state)
{
	uint64_t bytes;

	(void)state;
	begin();
	for (uint64_t n = 0; n < 6; n++)
		offer(n * 500 + 1, 500, 10);
	credit(3000, 1 << 30);
	assert_int_equal(take_one(&bytes), 1024);
	assert_int_equal(take_one(&bytes), 1024);
	assert_int_equal(take_one(&bytes), 952);
	assert_int_equal(take_one(&bytes), 0);
	for (uint64_t n = 0; n < 30; n++)
		offer(n + 1, 1, 100000);
	credit(1000, 1 << 30);
	assert_in_range(take_one(&bytes), 20, 21);
	assert_in_range(bytes, (2 << 20) - 100500, (2 << 20) + 100500);
	assert_in_range(take_one(&bytes), 9, 10);
	/* Much is out: a quarter of it is more than is waited for. */
	j->room_bytes = 0;
	offer(1, 5, 10);
	credit(1000, 256 * 1024 - 1);
	assert_int_equal(take_one(&bytes), 0);
	credit(0, 1);
	assert_int_equal(take_one(&bytes), 5);
	/* Straight from memory they have none but credit. */
	credit(5000, 1 << 30);
	for (uint64_t n = 0; n < 3; n++)
		must(journal_offer(j, rig_offer(1, 1000, 10, &a)));
	steps_run();
	assert_int_equal(take_one(&bytes), 3000);
	end();
}

/* Rows, then bytes, end what goes on from memory; the rest follows when there is credit again. */
static void credit_ends_on_the_way_through_memory(void **state)
{
	(void)state;
	begin();
	credit(3, 1 << 20);
	offer(1, 5, 10);
	assert_int_equal(take(ids), 3);
	assert_int_equal(j->cursor, 3);
	assert_int_equal(j->room_rows, 0);
	credit(100, 1 << 20);
	assert_int_equal(take(ids), 2);
	settle(1, 5, SETTLE_DELIVERED, 0);
	j->room_bytes = 1000;
	offer(6, 10, 500);
	assert_int_equal(take(ids), 2); /* the second passed it */
	assert_true(j->room_bytes <= 0);
	credit(0, (uint64_t)-j->room_bytes);
	assert_int_equal(take(ids), 0);
	credit(0, 1 << 20);
	assert_int_equal(take(ids), 8);
	assert_int_equal(ids[7], 15);
	settle(6, 10, SETTLE_DELIVERED, 0);
	j->room_bytes = 1; /* one byte is enough for one */
	offer(16, 3, 10);
	assert_int_equal(take(ids), 1);
	settle(16, 1, SETTLE_DELIVERED, 0);
	j->room_bytes = 0;
	credit(0, 1);
	assert_int_equal(take(ids), 1);
	end();
}

static void how_long_it_sleeps(void **state)
{
	uint64_t turns;

	(void)state;
	begin();
	hand_out(3);
	steps_advance(3000);
	settle(1, 1, SETTLE_RETRY, 37); /* nobody could take it: it is no reason to wake up */
	assert_int_equal(j->room_rows, 0);
	steps_advance(10);
	credit(1, 1 << 20);
	assert_int_equal(steps.timeout_ms, 27);
	steps_advance(26);
	assert_int_equal(take(ids), 0);
	steps_advance(1);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 1);
	settle(1, 1, SETTLE_RETRY, 50);
	settle(2, 1, SETTLE_RETRY, 20);
	steps_advance(200);
	assert_int_equal(take(ids), 0);
	assert_in_range(steps.timeout_ms, 1, 500);
	credit(1, 1 << 20);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 2); /* the earlier one */
	credit(20, 1 << 20);         /* with credit to spare, nothing due */
	assert_int_equal(take(ids), 1);
	turns = steps.turns;
	steps_advance(10000);
	assert_in_range(steps.turns - turns, 20, 30); /* an idle spool sleeps */
	end();
}

/* What the next commit notes: how many delivery may have had when it was made, and whether what comes will wait. */
static void commits_note_what_is_handed_out(void **state)
{
	(void)state;
	begin();
	offer(1, 10, 10);
	assert_int_equal(j->store->handed_noted, 0);
	journal_credit(j, 7, 1 << 20); /* not seen yet */
	offer(11, 1, 10);
	assert_int_equal(j->store->handed_noted, 7);
	assert_int_equal(take(ids), 7);
	credit(5, 1 << 20);
	assert_int_equal(take(ids), 4);
	offer(12, 1, 10);
	assert_int_equal(j->store->handed_noted, 11 + 1);
	end();
	begin();
	for (uint64_t n = 0; n < 8; n++)
		offer(n * 512 + 1, 512, 0);
	assert_false(j->store->backlog_waits);
	offer(1, 1, 0); /* 4096 wait */
	assert_false(j->store->backlog_waits);
	offer(1, 1, 0);
	assert_true(j->store->backlog_waits);
	credit(2, 1 << 20);
	offer(1, 1, 0); /* two fewer are behind */
	assert_false(j->store->backlog_waits);
	end();
	begin();
	hand_out(2);
	steps_advance(1999);
	offer(3, 1, 0);
	assert_false(j->store->backlog_waits);
	steps_advance(2);
	offer(4, 1, 0);
	assert_true(j->store->backlog_waits);
	settle(1, 1, SETTLE_RETRY, 100000); /* something was settled */
	offer(5, 1, 0);
	assert_false(j->store->backlog_waits);
	steps_advance(1950);
	settle(2, 1, SETTLE_DELIVERED, 0); /* all that is out is settled, but for its commit */
	steps_advance(60);
	offer(6, 1, 0);
	assert_false(j->store->backlog_waits);
	end();
}

/* However much is looked for, what delivery gave back comes when it is asked for, and not before. */
static void what_is_given_back_waits_to_be_asked_for(void **state)
{
	(void)state;
	begin();
	offer(1, 10, 50);
	credit(100, 1 << 20);
	assert_int_equal(take(ids), 10);
	settle(3, 2, SETTLE_RELEASE, 0);
	assert_int_equal(j->away, 2);
	settle(1, 2, SETTLE_DELIVERED, 0);
	settle(5, 6, SETTLE_DELIVERED, 0);
	settle(4, 1, SETTLE_FETCH, 0);
	assert_int_equal(j->away, 1);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 4);
	settle(4, 1, SETTLE_DELIVERED, 0);
	credit(100, 1 << 20);
	steps_advance(120000);
	assert_int_equal(take(ids), 0);
	settle(3, 1, SETTLE_FETCH, 0);
	assert_int_equal(j->away, 0);
	assert_int_equal(take(ids), 1);
	assert_int_equal(ids[0], 3);
	settle(3, 1, SETTLE_DELIVERED, 0);
	steps_advance(1000);
	assert_int_equal(store_ledger(j->store)->pending, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(credit_is_worth_a_read_or_not),
	    cmocka_unit_test(a_large_row_waits_until_it_fits),
	    cmocka_unit_test(groups_of_rows_have_limits),
	    cmocka_unit_test(credit_ends_on_the_way_through_memory),
	    cmocka_unit_test(how_long_it_sleeps),
	    cmocka_unit_test(commits_note_what_is_handed_out),
	    cmocka_unit_test(what_is_given_back_waits_to_be_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
