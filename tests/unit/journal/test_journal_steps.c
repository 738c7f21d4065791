/*
 * The journal's limits, each hit exactly and missed by one, on the test's clock: what its lanes hold, when settlements
 * are held and when offers wait for company.
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

static void lanes_hold_what_they_are_said_to(void **state)
{
	struct offer *refused;
	struct store_settlements *groups[300];

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	a = (struct answers){0};
	j = steps_start(&o, NULL);
	for (uint64_t n = 1; n <= 1024; n++)
		assert_true(journal_offer(j, rig_offer(n, 1, 10, &a)));
	refused = rig_offer(1025, 1, 10, &a);
	assert_false(journal_offer(j, refused));
	assert_false(is_readable(journal_intake_fd(j)));
	steps_run();
	assert_true(is_readable(journal_intake_fd(j)));
	assert_false(journal_offer(j, refused)); /* until the answers were taken */
	assert_int_equal(journal_intake_run(j), 1024);
	assert_false(is_readable(journal_intake_fd(j)));
	assert_int_equal(a.accepted, 1024);
	assert_int_equal(j->commits, 1);
	assert_true(journal_offer(j, refused));
	steps_run();
	assert_int_equal(journal_intake_run(j), 1);
	credit(2000, 1 << 30);
	assert_true(is_readable(journal_delivery_fd(j)));
	assert_int_equal(take(ids), 1025);
	assert_false(is_readable(journal_delivery_fd(j)));
	for (uint64_t n = 0; n < 257; n++) {
		groups[n] = store_settlements_new(1);
		groups[n]->items[groups[n]->count++] = (struct store_settlement){.id = n + 1, .kind = SETTLE_DELIVERED};
		assert_int_equal(journal_settle(j, groups[n]), n < 256);
	}
	assert_false(is_readable(journal_delivery_fd(j)));
	steps_run();
	assert_true(is_readable(journal_delivery_fd(j))); /* there is room again */
	assert_true(journal_settle(j, groups[256]));
	assert_false(is_readable(journal_delivery_fd(j)));
	assert_int_equal(j->commits, 2 + 256 / 64);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), 256);
	end();
}

/* Sixty-four groups in the lane, one that waits for room, and the rest in the table. */
static void rows_wait_for_room_in_their_lane(void **state)
{
	(void)state;
	begin();
	credit(1000, 1 << 20);
	for (uint64_t n = 1; n <= 70; n++)
		offer(n, 1, 10);
	assert_int_equal(lane_count(j->rows), 64);
	assert_non_null(j->blocked);
	assert_int_equal(j->claims.count, 65);
	assert_int_equal(j->room_rows, 1000 - 65);
	assert_int_equal(j->cursor, 65);
	assert_false(steps_turn());
	for (uint64_t n = 1; n <= 65; n++) {
		uint64_t bytes;

		assert_int_equal(take_one(&bytes), 1);
		if (n == 1) { /* room for the one that waits, which brings the rest with it when there is more */
			assert_true(steps_turn());
			steps_run();
		}
	}
	steps_run();
	assert_null(j->blocked);
	assert_int_equal(take(ids), 5);
	assert_int_equal(ids[0], 66);
	assert_int_equal(ids[4], 70);
	settle(1, 70, SETTLE_DELIVERED, 0);
	steps_advance(100);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	end();
}

static void settlements_are_held_for_a_while(void **state)
{
	uint64_t commits;
	int64_t observed;

	(void)state;
	begin();
	hand_out(1000);
	commits = j->commits;
	observed = metric_get(M_BUFFER_LATENCY);
	settle(1, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1);
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), 1);
	assert_int_equal(steps.timeout_ms, 100);
	steps_advance(40);
	settle(2, 1, SETTLE_DELIVERED, 0); /* it is the first one's time */
	assert_int_equal(steps.timeout_ms, 60);
	steps_advance(59);
	assert_int_equal(j->commits, commits);
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), 2);
	steps_advance(1);
	assert_int_equal(j->commits, commits + 1);
	assert_int_equal(j->held_count, 0);
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), 0);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), 2);
	assert_int_equal(metric_get(M_BUFFER_LATENCY), observed); /* nobody waited for it */
	/* They ride on a commit of the last quarter of their time, or on the ninth. */
	settle(3, 1, SETTLE_DELIVERED, 0);
	steps_advance(75);
	offer(2000, 1, 10);
	assert_int_equal(metric_get(M_BUFFER_LATENCY), observed + 1);
	assert_int_equal(j->held_count, 1);
	steps_advance(1);
	offer(2001, 1, 10);
	assert_int_equal(j->held_count, 0);
	settle(4, 1, SETTLE_DELIVERED, 0);
	commits = j->commits;
	for (int i = 0; i < 8; i++) {
		offer(2002, 1, 10);
		assert_int_equal(j->held_count, 1);
	}
	offer(2003, 1, 10);
	assert_int_equal(j->held_count, 0);
	assert_int_equal(j->commits, commits + 9);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), 4);
	end();
}

static void what_says_more_is_committed_at_once(void **state)
{
	static const enum settle_kind kinds[] = {SETTLE_RETRY, SETTLE_DEAD, SETTLE_EXPIRED, SETTLE_FILTERED};

	(void)state;
	begin();
	hand_out(20);
	settle(1, 2, SETTLE_DELIVERED, 0);
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t commits = j->commits;

		assert_int_equal(j->held_rows, i == 0 ? 2 : 1);
		settle(10 + i, 1, kinds[i], 100000);
		assert_int_equal(j->commits, commits + 1);
		assert_int_equal(j->held_count, 0);
		settle(4 + i, 1, SETTLE_DELIVERED, 0);
	}
	assert_int_equal(metric_get(M_LEDGER_DEAD) + metric_get(M_LEDGER_EXPIRED) + metric_get(M_LEDGER_FILTERED), 3);
	assert_int_equal(metric_get(M_BACKLOG_RETRYING), 1);
	end();
}

static void held_rows_and_groups_have_an_end(void **state)
{
	(void)state;
	begin();
	hand_out(4500);
	settle(1, 4095, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_rows, 4095);
	settle(4096, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_rows, 0);
	for (uint64_t n = 0; n < 63; n++)
		settle(4100 + n, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 63);
	settle(4200, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 0);
	/* Somebody waits for an empty journal. */
	settle(4201, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1);
	assert_false(journal_is_empty(j));
	steps_run();
	assert_int_equal(j->held_count, 0);
	assert_false(journal_is_empty(j)); /* nothing is held: there is nothing to hurry */
	assert_false(steps_turn());
	settle(4202, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 1); /* and nobody hurries any more */
	/* Intake is refused: room is what it waits for. */
	o.store.max_bytes = 10;
	journal_reconfigure(j, &o.store);
	steps_run();
	assert_int_equal(metric_get(M_DISK_FULL), 1);
	settle(4203, 1, SETTLE_DELIVERED, 0);
	assert_int_equal(j->held_count, 0);
	end();
}

static void what_is_held_at_the_end_is_committed(void **state)
{
	struct store_report report;

	(void)state;
	begin();
	hand_out(10);
	settle(1, 4, SETTLE_DELIVERED, 0);
	must(journal_offer(j, rig_offer(50, 3, 10, &a)));
	rig_stop(j);
	assert_int_equal(a.accepted, 2);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 9);
	j = steps_start(&o, &report);
	assert_int_equal(report.rows, 9);
	assert_false(report.unclean);
	end();
}

static void offers_wait_for_company_within_their_window(void **state)
{
	(void)state;
	o.commit_window_ns = 20 * NS_PER_MS;
	begin();
	offer(1, 3, 10);
	assert_int_equal(a.count, 0);
	assert_int_equal(j->gathered_count, 1);
	assert_int_equal(steps.timeout_ms, 20);
	steps_advance(5);
	offer(4, 2, 10); /* it is the first one's window */
	assert_int_equal(steps.timeout_ms, 15);
	assert_int_equal(j->gathered_rows, 5);
	steps.now_ns += NS_PER_MS / 2;
	credit(1, 1);
	assert_int_equal(steps.timeout_ms, 15); /* a piece of a millisecond is slept through */
	steps.now_ns -= NS_PER_MS / 2;
	steps_advance(14);
	assert_int_equal(a.count + (uint32_t)journal_intake_run(j), 0);
	steps_advance(2);
	assert_int_equal(journal_intake_run(j), 2);
	assert_int_equal(a.accepted, 2);
	assert_int_equal(j->commits, 1);
	assert_int_equal(j->gathered_count + j->gathered_rows + j->gathered_bytes, 0);
	assert_int_equal(metric_get(M_BUFFER_BATCH_RECEIVED) > 0, 1);
	must(journal_offer(j, rig_offer(10, 1, 10, &a)));
	end(); /* nobody waits any more */
	assert_int_equal(a.accepted, 3);
}

static void a_group_that_is_full_waits_for_nobody(void **state)
{
	(void)state;
	o.commit_window_ns = 10 * NS_PER_S;
	o.commit_max_rows = 10;
	begin();
	offer(1, 9, 10);
	assert_int_equal(a.count, 0);
	offer(10, 1, 10);
	assert_int_equal(a.count, 2);
	end();
	o.commit_window_ns = 10 * NS_PER_S;
	o.commit_max_bytes = 1000;
	begin();
	while (a.count == 0) {
		const uint64_t before = j->gathered_bytes;

		assert_true(before < 1000);
		offer(1, 1, (uint32_t)(before < 500 ? 250 : 1000 - before - sizeof(struct message) - 9));
		if (before >= 500)
			break;
	}
	if (a.count == 0) { /* one byte is missing, or a few */
		assert_in_range(j->gathered_bytes, 990, 999);
		offer(1, 0, 0);
		assert_int_equal(a.count, 0);
		offer(1, 1, 1);
	}
	assert_true(a.count > 0);
	end();
	/* As many offers as there may be, of which none brings a row. */
	o.commit_window_ns = 10 * NS_PER_S;
	begin();
	for (int i = 0; i < 1023; i++)
		offer(1, 0, 0);
	assert_int_equal(a.count, 0);
	offer(1, 0, 0);
	assert_int_equal(a.count, 1024);
	assert_int_equal(j->commits, 1);
	end();
}

/* Without a window: what is there is one group, up to its limits, and no longer than gathering may take. */
static void what_is_there_is_one_group_within_limits(void **state)
{
	static const struct {
		uint32_t rows;
		uint64_t bytes;
		int64_t wait_ns, tick_ns;
		uint64_t commits; /* of 12 offers of 5 rows */
	} cases[] = {
	    {0, 0, 0, 0, 1},
	    {10, 0, 0, 0, 6},
	    {11, 0, 0, 0, 4},
	    {15, 0, 0, 0, 4},
	    {5, 0, 0, 0, 12},
	    {0, 1, 0, 0, 12},
	    {0, 0, 3 * NS_PER_MS, NS_PER_MS, 3},
	    {0, 0, 0, NS_PER_MS, 4}, /* 2 ms unless told */
	    {0, 0, 1, NS_PER_MS, 12},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		o.commit_max_rows = cases[i].rows;
		o.commit_max_bytes = cases[i].bytes;
		o.commit_max_wait_ns = cases[i].wait_ns;
		begin();
		for (uint64_t n = 0; n < 12; n++)
			must(journal_offer(j, rig_offer(n * 5 + 1, 5, 10, &a)));
		steps.tick_ns = cases[i].tick_ns;
		steps_run();
		steps.tick_ns = 0;
		assert_int_equal(journal_intake_run(j), 12);
		if (j->commits != cases[i].commits)
			fail_msg("case %zu: %llu commits", i, (unsigned long long)j->commits);
		assert_int_equal(a.first_id, 56);
		end();
	}
	begin(); /* the limits nobody set */
	for (uint64_t n = 0; n < 9; n++)
		must(journal_offer(j, rig_offer(n * 512 + 1, n < 8 ? 512 : 1, 0, &a)));
	steps_run();
	assert_int_equal(j->commits, 2);
	for (uint64_t n = 0; n < 3; n++)
		must(journal_offer(j, rig_offer(1, 1, 1 << 20, &a)));
	steps_run();
	assert_int_equal(j->commits, 4);
	end();
}

static void read_counters(int64_t n[4])
{
	n[0] = metric_get(M_BUFFER_RECEIVED);
	n[1] = metric_get(M_BUFFER_BATCH_RECEIVED);
	n[2] = metric_get(M_DEAD_LETTERS);
	n[3] = metric_get(M_LEDGER_DEAD);
}

/* What was accepted is counted, with what a processor had set aside of it; what was refused is not. */
static void what_comes_in_is_counted(void **state)
{
	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		const int64_t want[] = {refused ? 0 : 5, refused ? 0 : 1, refused ? 0 : 2, refused ? 0 : 2};
		struct offer *one = rig_offer(1, 5, 20, &a);
		int64_t before[4], after[4];

		begin();
		for (uint64_t n = 0; n < 2; n++) {
			struct message *m = spooldir_message(90 + n, 10);

			STAILQ_INSERT_TAIL(&one->set_aside, m, link);
			one->set_aside_count++;
		}
		if (refused)
			j->store->options.max_bytes = 1;
		read_counters(before);
		must(journal_offer(j, one));
		steps_run();
		(void)journal_intake_run(j);
		assert_int_equal(a.last == OFFER_ACCEPTED, !refused);
		read_counters(after);
		for (size_t i = 0; i < 4; i++)
			if (after[i] - before[i] != want[i])
				fail_msg("counter %zu: %lld more", i, (long long)(after[i] - before[i]));
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lanes_hold_what_they_are_said_to),
	    cmocka_unit_test(rows_wait_for_room_in_their_lane),
	    cmocka_unit_test(settlements_are_held_for_a_while),
	    cmocka_unit_test(what_says_more_is_committed_at_once),
	    cmocka_unit_test(held_rows_and_groups_have_an_end),
	    cmocka_unit_test(what_is_held_at_the_end_is_committed),
	    cmocka_unit_test(offers_wait_for_company_within_their_window),
	    cmocka_unit_test(a_group_that_is_full_waits_for_nobody),
	    cmocka_unit_test(what_is_there_is_one_group_within_limits),
	    cmocka_unit_test(what_comes_in_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
