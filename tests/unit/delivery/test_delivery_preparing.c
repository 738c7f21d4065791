/*
 * A batch that is prepared elsewhere: what the dispatcher does meanwhile, in virtual time, and that the delivery thread
 * reads answers while a thread beside it works on a batch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

/* A flowing stream whose batches come when the test says so. */
static struct sim *held_preparing(void)
{
	struct sim *s = sim_flowing_by_default();

	s->prepare_ns = INT64_MAX;
	return s;
}

static void sim_prepare_and_run(struct sim *s)
{
	sim_prepared(s);
	sim_run(s);
}

static void answers_are_settled_while_a_batch_is_prepared(void **state)
{
	struct sim *s = held_preparing();
	uint64_t before = s->fates[SIM_DELIVERED];

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_prepare_and_run(s);
	assert_int_equal(s->request_count, 1);
	sim_rows(s, 500);
	sim_run(s);
	assert_non_null(s->preparing);
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_run(s);
	assert_int_equal(s->fates[SIM_DELIVERED] - before, 500);
	assert_non_null(s->preparing);
	sim_prepare_and_run(s);
	assert_int_equal(s->request_count, 1);
	sim_answer(s, 0, sim_all_stored, NULL);
	assert_int_equal(sim_inside(s), 0);
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

static void one_batch_is_prepared_at_a_time_and_in_order(void **state)
{
	struct sim *s = held_preparing();
	uint64_t next = s->next_id;

	(void)state;
	sim_rows(s, 2000);
	sim_run(s);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(s->preparing->list.items[0]->id, next + 500u * (unsigned)i);
		sim_run(s);
		sim_prepare_and_run(s);
	}
	assert_null(s->preparing);
	assert_int_equal(s->request_count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(s->requests[i]->records[0]->id, next + 500u * i);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

static void what_is_prepared_is_counted_and_held(void **state)
{
	struct sim *s = held_preparing();
	struct delivery_status status;
	uint64_t held_bytes;

	(void)state;
	sim_rows(s, 500);
	held_bytes = s->d->memory_bytes;
	assert_true(held_bytes > 0);
	sim_run(s);
	assert_int_equal(s->d->memory_bytes, held_bytes);
	dispatch_status(s->d, s->now_ns, s->wall_ms, &status);
	assert_int_equal(status.waiting_records, 500);
	assert_int_equal(status.memory_bytes, held_bytes);
	sim_prepare_and_run(s);
	assert_true(sim_drain(s, NS_PER_S));
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

static void tries_that_are_due_go_while_a_batch_is_prepared(void **state)
{
	struct sim *s = held_preparing();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_prepare_and_run(s);
	sim_rows(s, 1000);
	sim_run(s);
	assert_non_null(s->preparing);
	sim_answer(s, 0, sim_all_throttled, NULL);
	for (int i = 0; i < 100 && s->request_count == 0; i++) {
		sim_run(s);
		assert_true(s->request_count > 0 || s->due_ns < INT64_MAX);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
	}
	assert_int_equal(s->request_count, 1);
	assert_non_null(s->preparing);
	sim_prepared(s);
	s->prepare_ns = 0;
	assert_true(sim_drain(s, 60 * NS_PER_S));
	sim_free(s);
}

/* A probe with what failed before would say less of the stream. */
static void a_probe_waits_for_a_new_record(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t next;

	(void)state;
	for (int i = 0; i < 20 && sim_state(s) != DELIVERY_OFFLINE; i++) {
		sim_rows(s, 1);
		sim_advance(s, NS_PER_S);
		sim_run(s);
		while (s->request_count > 0)
			sim_transport(s, 0, AWS_NOT_SENT, false);
	}
	assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
	assert_int_equal(s->d->ready.count, 0);
	assert_true(s->d->waiting.count > 0);
	s->prepare_ns = INT64_MAX;
	next = s->next_id;
	sim_rows(s, 500);
	sim_advance(s, 60 * NS_PER_S);
	sim_run(s);
	assert_non_null(s->preparing);
	assert_int_equal(s->request_count, 0);
	sim_prepare_and_run(s);
	assert_int_equal(s->request_count, 1);
	assert_true(s->requests[0]->probe);
	assert_int_equal(s->requests[0]->records[0]->id, next);
	s->prepare_ns = 0;
	assert_true(sim_drain(s, 600 * NS_PER_S));
	sim_free(s);
}

static void a_kick_reaches_what_is_being_prepared(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.policy.period_ns = set.kspool.linger_ns = 3600 * NS_PER_S;
	s = sim_flowing(&set);
	s->prepare_ns = INT64_MAX;
	sim_rows(s, 3);
	sim_run(s);
	assert_null(s->preparing);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	assert_non_null(s->preparing);
	sim_prepare_and_run(s);
	assert_int_equal(s->request_count, 1);
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_free(s);
}

/* Whether it was made or given up: its rows stay pending. */
static void a_stop_takes_it_back(void **state)
{
	for (int made = 0; made < 2; made++) {
		struct sim *s = held_preparing();
		uint64_t settled = s->fates[SIM_DELIVERED];
		struct prepared nothing = {0};
		struct batch *batch;

		(void)state;
		sim_rows(s, 500);
		sim_run(s);
		dispatch_stop(s->d);
		assert_true(dispatch_is_preparing(s->d));
		if (made) {
			sim_prepared(s);
		} else {
			batch = s->preparing;
			s->preparing = NULL;
			dispatch_prepared(s->d, batch, &nothing, s->now_ns, s->wall_ms);
		}
		assert_false(dispatch_is_preparing(s->d));
		sim_run(s);
		assert_int_equal(s->request_count, 0);
		dispatch_park(s->d);
		assert_int_equal(sim_inside(s), 500);
		assert_int_equal(s->fates[SIM_DELIVERED], settled);
		sim_free(s);
	}
}

/* What is left of a batch that is prepared in parts comes before the next one, and is one with it in all else. */
static void parts_keep_their_order(void **state)
{
	struct sim *s = held_preparing();
	const int64_t batches = metric_get(M_BATCH_COUNT);
	uint64_t next = s->next_id;

	(void)state;
	s->part = 200;
	sim_rows(s, 1000);
	sim_run(s);
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(s->preparing->list.items[0]->id, next + 500 * (i / 3) + 200 * (i % 3));
		sim_prepare_and_run(s);
	}
	assert_null(s->preparing);
	assert_int_equal(metric_get(M_BATCH_COUNT) - batches, 2);
	assert_true(sim_drain(s, NS_PER_S));
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

/* Each of 20 rows becomes 100 records, and the first of them are more than memory may hold. */
static struct sim *full(uint32_t request_records)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	set.policy.cost_bytes = 300;
	set.kspool.max_request_records = request_records;
	s = sim_new(&set);
	sim_rows(s, 1);
	sim_advance(s, NS_PER_S);
	sim_run(s);
	sim_answer(s, 0, sim_all_stored, NULL);
	s->pieces = 100;
	s->part = 1;
	sim_rows(s, 20);
	sim_run(s);
	assert_true(dispatch_is_full(s->d));
	return s;
}

/* One request at a time, and what fails goes back to disk. */
static void memory_that_is_full_is_given_back(void **state)
{
	struct sim *s = full(50);

	(void)state;
	for (int i = 0; i < 100 && s->fates[SIM_RETRY] == 0; i++) {
		assert_in_range(s->request_count, 0, 1);
		if (s->request_count > 0)
			sim_answer(s, 0, sim_all_throttled, NULL);
		else
			sim_advance(s, s->due_ns - s->now_ns);
		sim_run(s);
	}
	assert_int_equal(s->fates[SIM_RETRY], 1);
	assert_true(sim_drain(s, 60 * NS_PER_S));
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

/* The rest of the rows waits for memory, and what is ready does not wait for the rest. */
static void what_is_ready_goes_in_its_time_while_memory_is_full(void **state)
{
	struct sim *s = full(500);
	const uint64_t before = s->sent_requests;

	(void)state;
	assert_int_equal(s->request_count, 0);
	assert_int_equal(s->d->ready.count, 100);
	assert_true(s->due_ns <= s->now_ns + s->set.kspool.linger_ns);
	sim_advance(s, s->due_ns - s->now_ns);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_true(sim_drain(s, NS_PER_S));
	assert_int_equal(s->sent_requests - before, 20);
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

/* Any order of events, with batches that take up to three seconds: nothing is lost, doubled or left. */
static void chance_finds_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct dispatch_settings set = sim_defaults();
		struct sim *s;

		set.fills = seed % 2;
		set.kspool.max_request_records = seed % 3 ? 500 : 7;
		set.policy.count = (uint64_t)set.kspool.max_request_records;
		set.policy.cost_bytes = seed % 4 ? 8 << 20 : 2000;
		s = sim_new(&set);
		s->seed = seed;
		s->prepare_ns = 3 * NS_PER_S;
		s->pieces = 1 + seed % 2;
		s->part = seed % 5 * 10;
		for (int i = 0; i < 200; i++) {
			double chance = sim_unit(s);

			if (chance < 0.3)
				sim_rows(s, (uint64_t)(chance * 200));
			else if (chance < 0.6 && s->request_count > 0)
				sim_answer(s, s->request_count / 2, chance < 0.4 ? sim_all_throttled : sim_all_stored,
				           NULL);
			else if (chance < 0.65 && s->request_count > 0)
				sim_transport(s, 0, chance < 0.62 ? AWS_UNKNOWN : AWS_NOT_SENT, chance < 0.62);
			else
				sim_advance(s, (int64_t)(chance * (double)NS_PER_S));
			sim_run(s);
		}
		assert_true(s->prepared_later > 5);
		assert_true(sim_drain(s, 3600 * NS_PER_S));
		assert_int_equal(s->d->memory_bytes, 0);
		assert_int_equal(s->d->tracked.count, 0);
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_settled_while_a_batch_is_prepared),
	    cmocka_unit_test(one_batch_is_prepared_at_a_time_and_in_order),
	    cmocka_unit_test(what_is_prepared_is_counted_and_held),
	    cmocka_unit_test(tries_that_are_due_go_while_a_batch_is_prepared),
	    cmocka_unit_test(a_probe_waits_for_a_new_record),
	    cmocka_unit_test(a_kick_reaches_what_is_being_prepared),
	    cmocka_unit_test(a_stop_takes_it_back),
	    cmocka_unit_test(parts_keep_their_order),
	    cmocka_unit_test(memory_that_is_full_is_given_back),
	    cmocka_unit_test(what_is_ready_goes_in_its_time_while_memory_is_full),
	    cmocka_unit_test(chance_finds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
