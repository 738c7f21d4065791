/* The dispatcher's parts: states and their moves, pace, waiting records, rows, batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "delivery/batcher.h"
#include "delivery/hold.h"
#include "delivery/queues/pace.h"
#include "delivery/tracked.h"
#include "delivery/queues/waiting.h"

/* Every pair, written down by hand: the state after, or - where the pair cannot happen. */
static void every_pair_of_state_and_event(void **state)
{
	static const char *const WANTED[] = {
	    /*           acked       throttled    calm       lost       refused  blocked    stop */
	    "starting",  "flowing",   "throttled", "-",       "offline", "held", "blocked", "stopped",
	    "flowing",   "flowing",   "throttled", "-",       "offline", "held", "blocked", "stopped",
	    "throttled", "throttled", "throttled", "flowing", "offline", "held", "blocked", "stopped",
	    "offline",   "flowing",   "throttled", "flowing", "offline", "held", "-",       "stopped",
	    "held",      "flowing",   "throttled", "-",       "offline", "held", "-",       "stopped",
	    "blocked",   "flowing",   "throttled", "flowing", "offline", "held", "blocked", "stopped",
	    "stopped",   "-",         "-",         "-",       "-",       "-",    "-",       "-",
	};

	(void)state;
	for (int s = DELIVERY_STARTING; s <= DELIVERY_STOPPED; s++) {
		const char *const *row = &WANTED[s * (HOLD_EVENTS + 1)];

		assert_string_equal(delivery_state_name((enum delivery_state)s), row[0]);
		for (int event = 0; event < HOLD_EVENTS; event++) {
			enum delivery_state next;
			bool legal = hold_next((enum delivery_state)s, (enum hold_event)event, &next);

			assert_string_equal(legal ? delivery_state_name(next) : "-", row[event + 1]);
		}
	}
}

static void probes_grow_apart_and_start_over_after_a_good_while(void **state)
{
	const struct hold_waits waits = {.initial_ns = NS_PER_S, .max_ns = 8 * NS_PER_S, .random = 1};
	int64_t now = 1000 * NS_PER_S;
	struct hold h;

	(void)state;
	hold_init(&h, 0);
	hold_fail(&h, HOLD_REFUSED, false, "c", "r", &waits, now, 0);
	assert_true(h.next_probe_ns == now + NS_PER_S);
	hold_fail(&h, HOLD_REFUSED, false, "c", "r", &waits, now, 0); /* a neighbour's failure: the same event */
	assert_true(h.wait_ns == NS_PER_S);
	for (int64_t want = 2; want <= 8; want *= 2) {
		now = h.next_probe_ns;
		hold_fail(&h, HOLD_REFUSED, true, "c", "r", &waits, now, 0);
		assert_true(h.next_probe_ns == now + want * NS_PER_S);
	}
	hold_fail(&h, HOLD_LOST, true, "c", "r", &waits, now, 0);
	assert_true(h.wait_ns == 8 * NS_PER_S);
	assert_int_equal(h.state, DELIVERY_OFFLINE);
	hold_move(&h, HOLD_ACKED, now + NS_PER_S, 0);
	hold_fail(&h, HOLD_LOST, false, "c", "r", &waits, now + 2 * NS_PER_S, 0); /* it flickers */
	assert_true(h.wait_ns == 8 * NS_PER_S);
	hold_move(&h, HOLD_ACKED, now + 3 * NS_PER_S, 0);
	hold_fail(&h, HOLD_LOST, false, "c", "r", &waits, now + 60 * NS_PER_S, 0);
	assert_true(h.wait_ns == NS_PER_S);
}

static void time_held_does_not_count(void **state)
{
	const struct hold_waits waits = {.initial_ns = NS_PER_S, .max_ns = NS_PER_S};
	struct hold h;

	(void)state;
	hold_init(&h, 0);
	hold_fail(&h, HOLD_LOST, false, "c", "r", &waits, 100, 0);
	assert_true(hold_active_ns(&h, 500) == 100);
	hold_move(&h, HOLD_ACKED, 600, 0);
	assert_true(hold_active_ns(&h, 700) == 200);
}

static void the_window_falls_to_what_is_taken(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 64);
	assert_true(pace_allows(&p, 0, 0));
	assert_false(pace_allows(&p, 0, 1));
	for (int i = 0; i < 200; i++)
		pace_answered(&p, i, i - 1, 500, 0, 0.5, 0, NS_PER_S);
	assert_true(p.window == 64);
	for (int i = 0; i < 64; i++) /* one round trip with 30 % throttled */
		pace_answered(&p, 1000 + i, 900, 500, 0.3, 0.5, 0, NS_PER_S);
	assert_true(p.window > 40 && p.window < 50);
	for (int i = 0; i < 64; i++)
		pace_answered(&p, 2000 + i, 1900, 500, 0.01, 0.5, 0, NS_PER_S);
	assert_true(p.window > 40); /* one percent costs nothing */
}

static void a_stream_that_takes_nothing_is_asked_ever_less_often(void **state)
{
	int64_t now = 0;
	int asked = 0;
	struct pace p;

	(void)state;
	pace_init(&p, 64);
	for (now = 1; now < 60 * NS_PER_S; asked++) {
		pace_answered(&p, now, now - 1, 500, 1, 0.5, 0, 5 * NS_PER_S);
		assert_false(pace_allows(&p, now, 0));
		now = p.pause_until_ns;
		assert_true(pace_allows(&p, now, 0));
	}
	assert_true(asked < 30);
	pace_answered(&p, now, now - 1, 500, 1, 0.5, 60 * NS_PER_S, 5 * NS_PER_S);
	assert_true(p.pause_until_ns - now <= 10 * NS_PER_S); /* whatever the service asks for */
}

static double half(void *arg)
{
	(void)arg;
	return 0.5;
}

/* Two that share a thin link make each other slower: one less, and from then on one more a round trip. */
static void requests_that_make_each_other_slower_are_fewer(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 64);
	for (int i = 0; i < 10; i++)
		pace_answered(&p, i, i - 1, 500, 0, 0.5, 0, NS_PER_S);
	p.window = 8;
	pace_took(&p, 100, false);
	pace_took(&p, 150, true); /* no more than half as long again: a service that takes its time */
	assert_true(p.window >= 8 && p.threshold >= 64);
	pace_took(&p, 151, true);
	assert_true(p.window >= 7 && p.window <= 7 && p.threshold >= 7 && p.threshold <= 7);
	pace_answered(&p, 2, 1, 500, 0, 0.5, 0, NS_PER_S);
	assert_true(p.window > 7.1 && p.window < 7.2);
	for (int i = 0; i < 10; i++)
		pace_took(&p, 1000, true);
	assert_true(p.window >= 1 && p.window <= 1);
}

static void the_earliest_is_taken_first(void **state)
{
	struct waiting w = {0};
	int64_t last = -1;
	uint64_t x = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct record *r = record_new(message_new(NULL, 0, "", 0, 0), "k", 1, true, NULL, 0);

		x = x * 6364136223846793005u + 1442695040888963407u;
		r->due_ns = (int64_t)(x >> 40);
		waiting_put(&w, r);
	}
	for (int i = 0; i < 1000; i++) {
		struct record *r = waiting_take(&w);

		assert_true(r->due_ns >= last);
		last = r->due_ns;
		record_free(r);
	}
	assert_null(waiting_take(&w));
	waiting_fini(&w);
}

/* What is due at one time goes in the order of ids, hastened or not. */
static void who_is_due_together_goes_by_id(void **state)
{
	struct waiting w = {0};

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		struct message *m = message_new(NULL, 0, "", 0, 0);
		struct record *r;

		m->id = i * 37 % 100 + 1;
		r = record_new(m, "k", 1, true, NULL, 0);
		r->due_ns = m->id <= 50 ? 1000 : 2000;
		r->throttled = true;
		waiting_put(&w, r);
	}
	waiting_hasten(&w, 0, 0, half, NULL);
	for (uint64_t id = 1; id <= 100; id++) {
		struct record *r = waiting_take(&w);

		assert_int_equal(r->id, id);
		assert_int_equal(r->due_ns, 0);
		record_free(r);
	}
	waiting_fini(&w);
}

static void the_worst_of_a_rows_records_decides(void **state)
{
	static const struct {
		enum settle_kind pieces[3], want;
	} ROWS[] = {
	    {{SETTLE_DELIVERED, SETTLE_DELIVERED, SETTLE_DELIVERED}, SETTLE_DELIVERED},
	    {{SETTLE_DELIVERED, SETTLE_RETRY, SETTLE_DELIVERED}, SETTLE_RETRY},
	    {{SETTLE_DEAD, SETTLE_RETRY, SETTLE_DELIVERED}, SETTLE_DEAD},
	    {{SETTLE_RETRY, SETTLE_DEAD, SETTLE_RETRY}, SETTLE_DEAD},
	};
	struct tracked rows = {0};

	(void)state;
	for (uint64_t id = 1; id <= 2000; id++) {
		struct row *row = tracked_add(&rows, id, 10);

		assert_non_null(row);
		row->remaining = 3;
	}
	assert_null(tracked_add(&rows, 7, 10));
	for (uint64_t id = 1; id <= 2000; id++) {
		struct row *row = tracked_find(&rows, id);
		size_t i = id % 4;

		assert_false(tracked_decide(row, ROWS[i].pieces[0], 1, 5, "a", mem_string("a")));
		assert_false(tracked_decide(row, ROWS[i].pieces[1], 2, 5, "b", mem_string("b")));
		assert_true(tracked_decide(row, ROWS[i].pieces[2], 1, 5, "c", NULL));
		assert_int_equal(row->kind, ROWS[i].want);
		assert_int_equal(row->attempts, 2);
		free(row->reason);
		tracked_remove(&rows, row);
	}
	assert_int_equal(rows.count, 0);
	tracked_fini(&rows);
}

static struct message *of(size_t bytes)
{
	static const char zeros[4096];

	return message_new(NULL, 0, zeros, bytes, 0);
}

static void assert_batch(struct batcher *b, int64_t now, size_t count, enum metric mechanism)
{
	struct batch *batch = batcher_take(b, now, false);

	assert_non_null(batch);
	assert_int_equal(batch->list.count, count);
	assert_int_equal(batch->mechanism, mechanism);
	batch_free(batch);
}

static void count_and_bytes_are_ceilings(void **state)
{
	const struct batcher_policy policy = {.count = 3, .payload_bytes = 100};
	struct batcher b;

	(void)state;
	batcher_init(&b, &policy);
	for (int i = 0; i < 4; i++)
		batcher_add(&b, of(10), 0, 1);
	batcher_add(&b, of(95), 0, 1); /* would pass 100 with the one before it */
	batcher_add(&b, of(500), 0, 1);
	batcher_add(&b, of(1), 0, 1);
	assert_batch(&b, 1, 3, M_BATCH_COUNT);
	assert_batch(&b, 1, 1, M_BATCH_SIZE);
	assert_batch(&b, 1, 1, M_BATCH_SIZE);
	assert_batch(&b, 1, 1, M_BATCH_SIZE);
	assert_null(batcher_take(&b, INT64_MAX / 2, false)); /* no period: it stays open */
	assert_int_equal(b.messages, 1);
	batcher_fini(&b);
}

static void the_period_runs_from_the_oldest(void **state)
{
	const struct batcher_policy policy = {.count = 100, .period_ns = 1000};
	struct batcher b;

	(void)state;
	batcher_init(&b, &policy);
	batcher_add(&b, of(1), 400, 5000); /* was 400 under way already */
	batcher_add(&b, of(1), 0, 5500);
	assert_true(batcher_due_ns(&b) == 5600);
	assert_null(batcher_take(&b, 5599, false));
	assert_batch(&b, 5600, 2, M_BATCH_PERIOD);
	batcher_add(&b, of(1), 999999, 6000); /* from the backlog: gets company */
	assert_true(batcher_due_ns(&b) == 7000);
	batcher_fini(&b);
}

static bool every_second(void *arg, const struct batch *open)
{
	(void)arg;
	return open->list.items[open->list.count - 1]->body_bytes == 2;
}

static void a_check_includes_the_message_it_is_true_for(void **state)
{
	const struct batcher_policy policy = {.check = every_second};
	struct batcher b;

	(void)state;
	batcher_init(&b, &policy);
	batcher_add(&b, of(1), 0, 1);
	batcher_add(&b, of(2), 0, 1);
	batcher_add(&b, of(1), 0, 1);
	assert_batch(&b, 1, 2, M_BATCH_CHECK);
	assert_null(batcher_take(&b, 1, false));
	batcher_fini(&b);
}

int main(void)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_pair_of_state_and_event),
	    cmocka_unit_test(probes_grow_apart_and_start_over_after_a_good_while),
	    cmocka_unit_test(time_held_does_not_count),
	    cmocka_unit_test(the_window_falls_to_what_is_taken),
	    cmocka_unit_test(a_stream_that_takes_nothing_is_asked_ever_less_often),
	    cmocka_unit_test(requests_that_make_each_other_slower_are_fewer),
	    cmocka_unit_test(the_earliest_is_taken_first),
	    cmocka_unit_test(who_is_due_together_goes_by_id),
	    cmocka_unit_test(the_worst_of_a_rows_records_decides),
	    cmocka_unit_test(count_and_bytes_are_ceilings),
	    cmocka_unit_test(the_period_runs_from_the_oldest),
	    cmocka_unit_test(a_check_includes_the_message_it_is_true_for),
	};

	log_configure(&quiet);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
