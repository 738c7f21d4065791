/*
 * The journal's thread step by step on bad days: a disk that is full, files taken away, rows that are gone from the
 * file below it. Nothing is sent twice without a word, nothing is forgotten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rig/crashvfs.h"
#include "rig/errorwatch.h"
#include "rig/faultsql.h"
#include "rig/one_journal.h"

static int random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state = (int)((uint32_t)random_state * 1103515245u + 12345u);
	return ((uint32_t)random_state >> 8) % n;
}

/* What is settled on a full disk waits, is tried every tenth of a second, and keeps its order and its neighbours. */
static void settlements_wait_for_a_full_disk(void **state)
{
	(void)state;
	for (int stops = 0; stops < 3; stops++) {
		uint64_t failed, dead;
		struct store_report report;

		o.store.vfs = CRASHVFS_NAME;
		begin();
		hand_out(300);
		dead = (uint64_t)metric_get(M_DEAD_LETTERS);
		settle(1, 100, SETTLE_DELIVERED, 0);
		crashvfs_fail(1, FAULT_ENOSPC, true);
		settle(101, 70, SETTLE_DELIVERED, 0);
		settle(171, 1, SETTLE_DEAD, 0);
		assert_int_equal(j->waiting_count, 2);
		assert_int_equal(j->growing->count, 1);
		assert_int_equal(j->held_count, 0);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300);
		settle(172, 10, SETTLE_DELIVERED, 0); /* behind the others */
		assert_int_equal(lane_count(j->settlements), 1);
		assert_int_equal(j->waiting_count, 2);
		assert_int_equal(steps.timeout_ms, 100);
		failed = crashvfs_failed();
		steps_advance(99);
		assert_int_equal(crashvfs_failed(), failed);
		steps_advance(1);
		assert_true(crashvfs_failed() > failed);
		offer(1000, 2, 10);
		assert_int_equal(a.last, OFFER_FULL);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300);
		assert_int_equal(metric_get(M_DEAD_LETTERS), dead);
		ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "settled on a full disk", 1);
		if (stops == 2) { /* full to the end: what waits is sent again by the next run, and the end says so */
			struct error e;

			assert_int_equal(journal_stop(j, &e), ERR_NOSPACE);
			assert_non_null(strstr(e.text, "180 messages"));
			crashvfs_fail(0, FAULT_ENOSPC, false);
			j = steps_start(&o, &report);
			assert_int_equal(report.rows, 300);
			end();
			continue;
		}
		crashvfs_fail(0, FAULT_ENOSPC, false);
		if (stops == 0) {
			steps_advance(100);
			assert_int_equal(j->waiting_count, 0);
			assert_int_equal(lane_count(j->settlements), 0);
			steps_advance(100);
		} else {
			rig_stop(j);
		}
		assert_int_equal(metric_get(M_LEDGER_PENDING), 300 - 181);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED), 180);
		assert_int_equal(metric_get(M_LEDGER_DEAD), 1);
		assert_int_equal(metric_get(M_DEAD_LETTERS), dead + 1);
		if (stops == 1)
			j = steps_start(&o, &report);
		else
			assert_int_equal(j->claims.count, 300 - 181);
		end();
	}
}

/* Two failures of memory are lived through, as often as something works between them. */
static void memory_that_comes_back_is_forgiven(void **state)
{
	(void)state;
	begin();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2; i++) {
			faultsql_arm(1, SQLITE_NOMEM, false);
			offer(1, 2, 10);
			assert_true(faultsql_failed());
			assert_int_equal(a.last, OFFER_FAILED);
			ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "an offer without memory", i);
		}
		faultsql_arm(0, 0, false);
		offer(1, 2, 10);
		assert_int_equal(a.last, OFFER_ACCEPTED);
	}
	assert_int_equal(metric_get(M_LEDGER_ACCEPTED), 6);
	end();
}

static int times_lost, times_damaged;
static char told[200];

static void note_lost(const struct error *why)
{
	times_lost++;
	(void)snprintf(told, sizeof told, "%.190s", why->text);
}

static void note_damaged(const struct error *why, const struct store_report *report)
{
	times_damaged++;
	(void)snprintf(told, sizeof told, "%.190s", why->text);
	must(report->quarantined);
}

/* Twice a second the files are looked at; once it is told. What they hold is still sent. */
static void files_taken_away_are_told_once(void **state)
{
	struct error e;

	(void)state;
	times_lost = 0;
	o.on_lost = note_lost;
	begin();
	offer(1, 10, 10);
	steps_advance(1000 - (steps.now_ns / NS_PER_MS - j->watched_ms));
	while (steps.now_ns / NS_PER_MS != j->watched_ms)
		steps_advance(1);
	assert_int_equal(unlink(d.path), 0);
	steps_advance(499);
	assert_int_equal(times_lost, 0);
	steps_advance(1);
	credit(1, 1); /* somebody wakes it */
	assert_int_equal(times_lost, 1);
	assert_non_null(strstr(told, "was deleted"));
	assert_int_equal(journal_admission(j, &e), ERR_DISK);
	assert_true(journal_is_lost(j, &e));
	assert_non_null(strstr(e.text, "was deleted"));
	credit(20, 1 << 20);
	assert_int_equal(take(ids), 10);
	settle(1, 10, SETTLE_DELIVERED, 0);
	steps_advance(5000);
	assert_int_equal(times_lost, 1);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(journal_stop(j, &e), ERR_DISK); /* though all of it was sent */
	assert_non_null(strstr(e.text, "was deleted"));
	spooldir_remove(&d);
	o = (struct journal_options){0};
}

enum { ROWS = 600 };

/* Delivery, as it is seen from outside. */
static struct {
	uint8_t with[ROWS * 3], settled[ROWS * 3];
	uint64_t order[ROWS * 3];
	uint32_t held;
	uint64_t last, lost, offered; /* ids that damage kept from being used are left out */
} out;

static void take_each_once(void)
{
	const uint32_t count = take(ids);

	for (uint32_t i = 0; i < count; i++) {
		assert_false(out.with[ids[i]]); /* delivery has it */
		assert_false(out.settled[ids[i]]);
		out.with[ids[i]] = 1;
		out.order[out.held++] = ids[i];
	}
}

/* Some of them, in any order, one in twenty again later when `fails`; and one that nobody has. */
static void settle_some(bool fails)
{
	const uint32_t count = out.held ? random_below(out.held + 1) : 0;
	struct store_settlements *group = store_settlements_new(count + 1);

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t at = random_below(4) ? 0 : random_below(out.held);
		const uint64_t id = out.order[at];
		const bool again = fails && random_below(20) == 0;

		memmove(out.order + at, out.order + at + 1, (--out.held - at) * sizeof *out.order);
		group->items[group->count++] = (struct store_settlement){
		    .id = id, .kind = again ? SETTLE_RETRY : SETTLE_DELIVERED, .sent = 1, .attempts = 1, .code = "T"};
		out.with[id] = 0;
		out.settled[id] = !again;
	}
	group->items[group->count++] = (struct store_settlement){.id = 1000000, .sent = 1};
	if (out.last < ROWS && random_below(3) == 0) { /* in the group that may meet the damage */
		must(journal_offer(j, rig_offer(out.last + 1, 33, 30, &a)));
		out.offered += 33;
	}
	assert_true(journal_settle(j, group));
	steps_run();
	(void)journal_intake_run(j);
	out.last = store_next_id(j->store) - 1;
}

static void lose_one(bool of_delivery)
{
	const uint64_t id = of_delivery ? out.order[random_below(out.held)] : 1 + random_below((uint32_t)out.last);

	if (out.settled[id])
		return;
	out.lost = id;
	spooldir_lose_in(j->store->db, id);
}

static void drain_with_a_loss(int round)
{
	for (int step = 0; step < 4000 && (out.last < ROWS || metric_get(M_LEDGER_PENDING) > 0); step++) {
		if (out.last < ROWS && random_below(3) == 0) {
			const uint32_t count = 1 + random_below(60);

			offer(out.last + 1, count, 30);
			out.offered += count;
			out.last = store_next_id(j->store) - 1;
		}
		credit(random_below(random_below(4) ? 50 : 400), 1 << 20);
		take_each_once();
		if (out.lost == 0 && out.last > ROWS / 3 && out.held > 0)
			lose_one(round % 3 == 0);
		settle_some(round % 4 == 3);
		steps_advance(random_below(3) ? 0 : random_below(700));
		if (out.last >= ROWS)
			(void)journal_is_empty(j);
	}
	steps_advance(200);
}

/* Whatever is gone from the file while the journal has it open: all else arrives once, and the books say what is lost.
 */
static void rows_that_vanish_are_damage_and_nothing_else_is(void **state)
{
	int losses = 0;

	(void)state;
	for (int round = 0; round < 24; round++) {
		uint64_t settled = 0;

		memset(&out, 0, sizeof out);
		times_damaged = 0;
		o.on_damaged = note_damaged;
		begin();
		drain_with_a_loss(round);
		for (uint64_t id = 1; id <= out.last; id++)
			settled += out.settled[id];
		if (metric_get(M_LEDGER_PENDING) != 0)
			fail_msg("round %d: %lld wait for ever, %llu is lost", round,
			         (long long)metric_get(M_LEDGER_PENDING), (unsigned long long)out.lost);
		assert_int_equal(metric_get(M_LEDGER_DAMAGED), out.lost > 0);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED) + metric_get(M_LEDGER_DAMAGED), out.offered);
		assert_int_equal(metric_get(M_LEDGER_ACCEPTED), out.offered);
		assert_in_range(settled, out.offered - (out.lost > 0), out.offered);
		assert_int_equal(times_damaged, out.lost > 0);
		assert_int_equal(j->claims.count + (uint64_t)j->claimed_bytes + j->late_count, 0);
		assert_true(j->unknown_settlements > 0);
		losses += out.lost > 0;
		end();
	}
	assert_true(losses > 10);
}

/* A group is settled in part on a full disk, and then one of its rows is gone: the rest has its end once. */
static void damage_while_settlements_wait(void **state)
{
	enum { COUNT = 300, GONE = 270 };
	int parts = 0;

	(void)state;
	for (uint64_t n = 5; n < 120; n += 8) {
		uint64_t done;

		o.store.vfs = CRASHVFS_NAME;
		begin();
		hand_out(COUNT);
		crashvfs_fail(1, FAULT_ENOSPC, true);
		rig_settle_ids(j, ids, COUNT - 11, SETTLE_DELIVERED, 0);
		rig_settle_ids(j, ids + COUNT - 11, 10, SETTLE_DEAD, 0);
		steps_run();
		assert_int_equal(j->waiting_count, 1);
		assert_int_equal(j->growing->count, 10);
		crashvfs_fail(n, FAULT_ENOSPC, true); /* room for a little */
		steps_advance(100);
		done = (uint64_t)metric_get(M_LEDGER_DELIVERED);
		if (crashvfs_failed() > 0)
			ERRORWATCH_EXPECT(ERR_OK, NULL, NULL, "settled in part", n);
		crashvfs_fail(0, FAULT_ENOSPC, false);
		if (j->waiting_count == 0) { /* room enough */
			end();
			continue;
		}
		assert_int_equal(j->waiting_done, done);
		parts += done > 0;
		spooldir_lose_in(j->store->db, GONE);
		steps_advance(3000);
		assert_int_equal(j->waiting_count + j->waiting_done + j->late_count + (j->growing != NULL), 0);
		assert_int_equal(metric_get(M_LEDGER_DELIVERED), COUNT - 11 - 1);
		assert_int_equal(metric_get(M_LEDGER_DEAD), 10);
		assert_int_equal(metric_get(M_LEDGER_DAMAGED), 1);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 1);
		assert_int_equal(j->claims.count, 1);
		settle(COUNT, 1, SETTLE_DELIVERED, 0);
		steps_advance(100);
		assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
		end();
	}
	assert_true(parts > 1);
}

/* What comes back lies below what delivery has since: it is handed over too, and nobody waits for the rest to drain. */
static void what_comes_back_is_handed_over_beside_the_rest(void **state)
{
	enum { COUNT = 3000, HANDED = 10, MORE = 33 };
	static uint8_t seen[COUNT + 2000];
	uint32_t count;

	(void)state;
	memset(seen, 0, sizeof seen);
	begin();
	for (uint64_t n = 0; n < COUNT; n += 500)
		offer(n + 1, 500, 20);
	credit(HANDED, 1 << 20);
	assert_int_equal(take(ids), HANDED);
	spooldir_lose_in(j->store->db, 5);
	must(journal_offer(j, rig_offer(1, MORE, 10, &a)));
	journal_credit(j, 6000, 1 << 30);
	settle(5, 1, SETTLE_DEAD, 0);
	(void)journal_intake_run(j);
	assert_int_equal(a.last, OFFER_ACCEPTED);
	assert_true(a.first_id > COUNT);
	count = take(ids);
	assert_int_equal(count, COUNT - HANDED + MORE);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(ids[i] > HANDED && ids[i] < sizeof seen);
		assert_int_equal(seen[ids[i]]++, 0);
	}
	assert_int_equal(j->returned.count, 0);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 1);
	end();
}

static int busy_left, late_seen, late_gone;

static void keep_busy(void)
{
	if (j->late_count > 0)
		late_seen++;
	else if (late_seen > 0 && busy_left > 0)
		late_gone++;
	if (busy_left > 0 && j->gathered_count == 0 && lane_count(j->offers) == 0 &&
	    atomic_load(&j->offers_out) < 1000) {
		busy_left--;
		must(journal_offer(j, rig_offer(1, 1, 10, &a)));
	}
}

/* What is set aside is read back while more comes, for settlements wait for it. */
static void salvage_does_not_wait_for_an_idle_moment(void **state)
{
	enum { COUNT = 3000 };

	(void)state;
	begin();
	hand_out(COUNT);
	late_seen = late_gone = 0;
	busy_left = 400;
	spooldir_lose_in(j->store->db, 77);
	must(journal_offer(j, rig_offer(1, 1, 10, &a)));
	steps.each_look = keep_busy;
	settle(77, 1, SETTLE_DEAD, 0); /* committed at once */
	steps.each_look = NULL;
	settle(1, 76, SETTLE_DELIVERED, 0);
	settle(78, COUNT - 77, SETTLE_DELIVERED, 0);
	steps_advance(100);
	assert_true(late_seen > 0);
	assert_true(late_gone > 0);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), COUNT - 1);
	end();
}

/* Nothing more fits beside min_free: what was settled meanwhile and is back leaves, and makes room for the rest. */
static void what_is_back_leaves_while_the_rest_waits_for_room(void **state)
{
	enum { COUNT = 3000 };

	(void)state;
	begin();
	for (uint64_t n = 0; n < COUNT; n += 500)
		offer(n + 1, 500, 1000);
	credit(COUNT, 1 << 30);
	assert_int_equal(take(ids), COUNT);
	j->store->options.min_free_bytes = UINT64_C(1) << 60;
	spooldir_lose_in(j->store->db, 77);
	settle(77, 1, SETTLE_DEAD, 0);
	settle(1, 1, SETTLE_DELIVERED, 0);
	steps_advance(100);
	assert_int_equal(metric_get(M_ASIDE_WAITS), 1);
	assert_in_range(metric_get(M_LEDGER_PENDING), 1, COUNT / 2);
	settle(COUNT, 1, SETTLE_DELIVERED, 0); /* it is not back: its settlement waits, or it would come behind it */
	assert_int_equal(j->late_count, 2);
	settle(2, 75, SETTLE_DELIVERED, 0);
	settle(78, COUNT - 78, SETTLE_DELIVERED, 0);
	steps_advance(20000);
	assert_int_equal(metric_get(M_LEDGER_DELIVERED), COUNT - 1);
	assert_int_equal(metric_get(M_LEDGER_DAMAGED), 1);
	assert_int_equal(metric_get(M_ASIDE_WAITS), 0);
	assert_int_equal(j->late_count, 0);
	assert_int_equal(j->unknown_settlements, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settlements_wait_for_a_full_disk),
	    cmocka_unit_test(memory_that_comes_back_is_forgiven),
	    cmocka_unit_test(files_taken_away_are_told_once),
	    cmocka_unit_test(rows_that_vanish_are_damage_and_nothing_else_is),
	    cmocka_unit_test(damage_while_settlements_wait),
	    cmocka_unit_test(what_comes_back_is_handed_over_beside_the_rest),
	    cmocka_unit_test(salvage_does_not_wait_for_an_idle_moment),
	    cmocka_unit_test(what_is_back_leaves_while_the_rest_waits_for_room),
	};

	crashvfs_register();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
