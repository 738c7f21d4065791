/* Settlements wait for a commit they can ride on, and nobody waits for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "journal/journal.h"
#include "rig/journalrig.h"
#include "rig/spooldir.h"
#include "store/files/vfs.h"

enum { HELD_MS = 100 }; /* as journal_internal.h says */

static uint64_t syncs;

static void count_syncs(struct store *s)
{
	(void)s;
	syncs = vfs_counts().syncs;
}

/* Each message is stored and settled before the next comes: alone they would be two commits each. */
static void settlements_ride_on_the_commits_of_what_comes_in(void **state)
{
	enum { MESSAGES = 48 };
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t before;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, 1000, 1 << 20);
	rig_on_journal_thread(j, count_syncs);
	before = syncs;
	for (uint64_t n = 1; n <= MESSAGES; n++) {
		uint64_t id;

		rig_offer_and_wait(j, rig_offer(n, 1, 50, &a));
		rig_take_ids(j, &id, 1);
		rig_settle_ids(j, &id, 1, SETTLE_DELIVERED, 0);
	}
	rig_wait_empty(j);
	rig_on_journal_thread(j, count_syncs);
	assert_in_range(syncs - before, MESSAGES, MESSAGES + MESSAGES / 2);
	rig_stop(j);
	spooldir_remove(&d);
}

static int64_t ms_until_empty(struct journal *j, uint64_t id, enum settle_kind kind)
{
	int64_t start = clock_mono_ms();

	rig_settle_ids(j, &id, 1, kind, 0);
	while (!journal_is_empty(j))
		(void)usleep(1000);
	return clock_mono_ms() - start;
}

static void who_waits_for_an_empty_journal_does_not_wait_for_company(void **state)
{
	static const enum settle_kind kinds[] = {SETTLE_DELIVERED, SETTLE_DEAD};
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, 1000, 1 << 20);
	for (size_t k = 0; k < 2; k++) {
		int64_t best = INT64_MAX;

		for (uint64_t n = 0; n < 10; n++) {
			uint64_t id;
			int64_t ms;

			rig_offer_and_wait(j, rig_offer(n, 1, 50, &a));
			rig_take_ids(j, &id, 1);
			ms = ms_until_empty(j, id, kinds[k]);
			best = ms < best ? ms : best;
		}
		assert_in_range(best, 0, HELD_MS / 2);
	}
	rig_stop(j);
	spooldir_remove(&d);
}

static void what_is_held_leaves_by_itself(void **state)
{
	struct spooldir d;
	struct journal_options o = {0};
	struct answers a = {0};
	struct journal *j;
	uint64_t id;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	journal_credit(j, 1000, 1 << 20);
	rig_offer_and_wait(j, rig_offer(1, 1, 50, &a));
	rig_take_ids(j, &id, 1);
	rig_settle_ids(j, &id, 1, SETTLE_DELIVERED, 0);
	for (int i = 0; i < 20000 && metric_get(M_LEDGER_PENDING) > 0; i++)
		(void)usleep(1000);
	assert_int_equal(metric_get(M_LEDGER_PENDING), 0);
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), 0);
	rig_stop(j);
	spooldir_remove(&d);
}

static void a_window_makes_one_commit_of_what_comes_within_it(void **state)
{
	enum { MESSAGES = 20 };
	struct spooldir d;
	struct journal_options o = {.commit_window_ns = 100 * NS_PER_MS};
	struct answers a = {0};
	struct journal *j;
	uint64_t before;

	(void)state;
	spooldir_make(&d);
	o.store = spooldir_options(&d);
	j = rig_start(&o, NULL);
	rig_on_journal_thread(j, count_syncs);
	before = syncs;
	for (uint64_t n = 1; n <= MESSAGES; n++) {
		assert_true(journal_offer(j, rig_offer(n, 1, 50, &a)));
		(void)usleep(1000);
	}
	rig_wait_answers(j, &a, MESSAGES);
	assert_int_equal(a.accepted, MESSAGES);
	rig_on_journal_thread(j, count_syncs);
	assert_in_range(syncs - before, 1, MESSAGES / 4);
	assert_true(journal_offer(j, rig_offer(MESSAGES + 1, 1, 50, &a)));
	rig_stop(j); /* what is in a window is committed and answered */
	assert_int_equal(a.accepted, MESSAGES + 1);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settlements_ride_on_the_commits_of_what_comes_in),
	    cmocka_unit_test(who_waits_for_an_empty_journal_does_not_wait_for_company),
	    cmocka_unit_test(what_is_held_leaves_by_itself),
	    cmocka_unit_test(a_window_makes_one_commit_of_what_comes_within_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
