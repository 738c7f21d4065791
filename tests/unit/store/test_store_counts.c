/* The ledger's arithmetic, without a file: what a tide mark proves, which state is later, what is never below nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "store/store_internal.h"

/* Of the ledger's arithmetic: accepted, then the states in the order of ledger.def. */
struct counts {
	uint64_t accepted, delivered, pending, dead, expired, evicted, damaged, filtered, purged;
};

static struct totals totals_of(struct counts c, uint64_t commits)
{
	return (struct totals){.ledger = {.accepted = c.accepted,
	                                  .delivered = c.delivered,
	                                  .pending = c.pending,
	                                  .dead = c.dead,
	                                  .expired = c.expired,
	                                  .evicted = c.evicted,
	                                  .damaged = c.damaged,
	                                  .filtered = c.filtered,
	                                  .purged = c.purged},
	                       .commits = commits,
	                       .next_id = 50};
}

static struct tide tide_of(struct counts c, uint64_t commits)
{
	return (struct tide){.is_valid = true,
	                     .id = 70,
	                     .commits = commits,
	                     .count = 9,
	                     .counts = {c.accepted, c.delivered, c.pending, c.dead, c.expired, c.evicted, c.damaged,
	                                c.filtered, c.purged}};
}

/* What the tide mark counted after the row was written: what is gone is damaged, what may be sent again is counted. */
static void what_the_tide_mark_saw_later_is_followed(void **state)
{
	static const struct counts row = {.accepted = 10, .delivered = 6, .pending = 3, .dead = 1};
	static const struct {
		struct counts tide, then;
		uint64_t lost, possible;
		uint64_t waits; /* of what waits so many had left, less one; 0: at most all */
	} cases[] = {
	    {{15, 12, 2, 1, 0, 0, 0, 0, 0}, {15, 11, 3, 1, 0, 0, 0, 0, 0}, 0, 1, 2}, /* known: one of these */
	    {{15, 12, 2, 1, 0, 0, 0, 0, 0}, {15, 10, 3, 1, 0, 0, 1, 0, 0}, 1, 2, 3},
	    {{15, 9, 5, 1, 0, 0, 0, 0, 0}, {15, 9, 3, 1, 0, 0, 2, 0, 0}, 2, 0, 1},
	    {{10, 6, 3, 1, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 0, 0},
	    {{15, 6, 8, 1, 0, 0, 0, 0, 0}, {15, 6, 3, 1, 0, 0, 5, 0, 0}, 5, 0, 0}, /* none of them ended */
	    {{10, 9, 0, 1, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 3, 0}, /* these ended, and are here still */
	    {{15, 12, 2, 1, 0, 0, 0, 0, 0}, {15, 8, 3, 1, 0, 0, 3, 0, 0}, 3, 4, 0}, /* two of the ends must be theirs */
	    {{12, 14, 0, 0, 0, 0, 0, 0, 0}, {12, 8, 3, 1, 0, 0, 0, 0, 0}, 0, 4, 0}, /* all of them ended */
	    {{20, 8, 7, 0, 5, 0, 0, 0, 0}, {20, 8, 3, 1, 1, 0, 7, 0, 0}, 7, 4, 0},  /* of two kinds */
	    {{20, 6, 8, 1, 0, 0, 2, 1, 2}, {20, 6, 3, 1, 0, 0, 10, 0, 0}, 9, 4, 0}, /* one end more than waits */
	    {{20, 5, 15, 0, 0, 0, 0, 0, 0}, {20, 6, 3, 1, 0, 0, 10, 0, 0}, 10, 0, 0},
	    {{9, 5, 4, 0, 0, 0, 0, 0, 0}, {10, 6, 3, 1, 0, 0, 0, 0, 0}, 0, 0, 0},
	    {{11, 7, 3, 1, 0, 0, 0, 0, 0}, {11, 7, 3, 1, 0, 0, 0, 0, 0}, 0, 0, 1}, /* one is gone, and one ended */
	    {{13, 8, 3, 1, 1, 0, 0, 0, 0}, {13, 8, 3, 1, 1, 0, 0, 0, 0}, 0, 0, 1}, /* the last of three likewise */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct totals t = totals_of(row, 7), want = totals_of(cases[i].then, 7);
		const struct tide tide = tide_of(cases[i].tide, i % 2 ? 5 : 9);

		assert_int_equal(
		    store_ledger_follow(&t, &tide, cases[i].waits ? cases[i].waits - 1 : row.pending + row.dead),
		    cases[i].lost);
		assert_int_equal(t.possible, cases[i].possible);
		assert_int_equal(t.commits, i % 2 ? 7 : 9);
		assert_true(store_ledger_balances(&t));
		if (memcmp(&t.ledger, &want.ledger, sizeof t.ledger) != 0)
			fail_msg("case %u: delivered %u expired %u damaged %u", (unsigned)i,
			         (unsigned)t.ledger.delivered, (unsigned)t.ledger.expired, (unsigned)t.ledger.damaged);
	}
}

static void the_later_of_two_states(void **state)
{
	const struct counts c = {.accepted = 10, .delivered = 6, .pending = 4};
	const struct counts more = {.accepted = 11, .delivered = 6, .pending = 5};
	const struct counts ended = {.accepted = 10, .delivered = 7, .pending = 3};
	struct totals a = totals_of(c, 7), b;
	struct tide tide;

	(void)state;
	assert_false(store_ledger_is_later(&a, &a));
	b = totals_of(c, 8);
	b.next_id = 40; /* commits decide, then ids, then what was accepted, then what ended */
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	b = totals_of(c, 7);
	b.next_id = 51;
	a = totals_of(more, 7);
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	b = totals_of(ended, 7);
	assert_true(store_ledger_is_later(&a, &b) && !store_ledger_is_later(&b, &a));
	a = totals_of(c, 7);
	assert_true(store_ledger_is_later(&b, &a) && !store_ledger_is_later(&a, &b));
	tide = tide_of(c, 7);
	assert_false(store_tide_is_ahead(&tide, &a));
	tide = tide_of(c, 8);
	assert_true(store_tide_is_ahead(&tide, &a));
	tide.count = 0;
	assert_false(store_tide_is_ahead(&tide, &a));
	tide = tide_of(more, 7);
	assert_true(store_tide_is_ahead(&tide, &a));
	tide = tide_of(more, 6);
	assert_false(store_tide_is_ahead(&tide, &a));
	store_ledger_of_tide(&a, &tide);
	assert_int_equal(a.ledger.accepted, 11);
	assert_int_equal(a.ledger.pending, 5);
	assert_int_equal(a.next_id, 71);
	assert_int_equal(a.commits, 6);
}

/* More than were counted leave: they were accepted, too. */
static void no_count_goes_below_nothing(void **state)
{
	static struct store s;

	(void)state;
	s.now = totals_of((struct counts){.accepted = 10, .delivered = 7, .pending = 3}, 1);
	store_count_out(&s, &s.now.ledger.pending, 2);
	assert_int_equal(s.now.ledger.pending, 1);
	assert_int_equal(s.now.ledger.accepted, 10);
	store_count_out(&s, &s.now.ledger.pending, 1);
	assert_int_equal(s.now.ledger.pending, 0);
	assert_int_equal(s.now.ledger.accepted, 10);
	store_count_out(&s, &s.now.ledger.pending, 5);
	assert_int_equal(s.now.ledger.pending, 0);
	assert_int_equal(s.now.ledger.accepted, 15);
	s.now = totals_of((struct counts){.accepted = 10, .delivered = 5, .pending = 3, .dead = 1, .damaged = 1}, 1);
	s.now.pending_bytes = s.now.retrying = 9;
	assert_int_equal(store_ledger_succeed(&s.now), 4);
	assert_int_equal(s.now.ledger.damaged, 5);
	assert_int_equal(s.now.ledger.pending + s.now.ledger.dead + s.now.pending_bytes + s.now.retrying, 0);
	assert_true(store_ledger_balances(&s.now));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_the_tide_mark_saw_later_is_followed),
	    cmocka_unit_test(the_later_of_two_states),
	    cmocka_unit_test(no_count_goes_below_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
