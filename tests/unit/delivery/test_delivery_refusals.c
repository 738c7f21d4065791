/* What the service refuses: poisoned records are found alone, too much is made less, throttling slows in proportion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

/* Whatever a body says: only 200 is an answer of PutRecords, and what another success did nobody knows. */
static void only_a_200_settles(void **state)
{
	(void)state;
	for (int status = 100; status <= 599; status++) {
		struct sim *s = sim_flowing_by_default();
		const int64_t possible = metric_get(M_POSSIBLE_DUPLICATES);
		const uint64_t delivered = s->fates[SIM_DELIVERED];
		struct request *q;
		char *body;

		sim_rows(s, 500);
		sim_run(s);
		q = s->requests[0];
		body = sim_body(s, q, sim_all_stored, NULL); /* the records are there */
		if (status >= 300 && status < 500)
			for (uint32_t i = 0; i < q->count; i++)
				s->stored[q->records[i]->id]--; /* who refuses has stored nothing */
		sim_status(s, 0, status, body);
		free(body);
		if ((s->fates[SIM_DELIVERED] == delivered + 500) != (status == 200))
			fail_msg("status %d: %llu delivered", status,
			         (unsigned long long)(s->fates[SIM_DELIVERED] - delivered));
		if (status != 200)
			assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - possible,
			                 status < 300 || status >= 500 ? 500 : 0);
		assert_true(sim_drain(s, 300 * NS_PER_S));
		assert_int_equal(s->fates[SIM_DELIVERED], delivered + 500);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		sim_free(s);
	}
}

static void too_large_a_request_lowers_the_ceiling(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	s->d->set.kspool.max_request_bytes_bytes = s->d->ceiling.service_bytes = 100000;
	sim_rows(s, 500);
	sim_run(s);
	s->requests[0]->put.accounted_bytes = 90000; /* as if its records were large */
	sim_error(s, 0, "InvalidArgumentException", "Records size exceeds 5 MB limit");
	assert_int_equal(s->d->ceiling.service_bytes, 45000);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	assert_int_equal(s->fates[SIM_DEAD], 0);
	sim_free(s);
}

enum { UNNAMED = -1 };

/* Answers as a service that refuses every request with one of the poisoned rows in it, naming the first of them. */
static void refuse_poison(struct sim *s, const uint64_t *poison, size_t count, int base)
{
	struct request *q = s->requests[0];
	uint32_t at = UINT32_MAX;
	char text[128] = "1 validation error detected";

	for (uint32_t i = 0; i < q->count; i++)
		for (size_t p = 0; p < count; p++)
			if (q->records[i]->id == poison[p] && at == UINT32_MAX)
				at = i;
	if (base != UNNAMED)
		(void)snprintf(text, sizeof text, "Value at 'records.%u.member.data' failed", at + (uint32_t)base);
	if (at == UINT32_MAX)
		sim_answer(s, 0, sim_all_stored, NULL);
	else
		sim_error(s, 0, "ValidationException", text);
}

static void run_with_poison_named(struct sim *s, const uint64_t *poison, size_t count, uint32_t base, int rounds)
{
	for (int round = 0; sim_inside(s) > 0 && round < rounds; round++) {
		sim_run(s);
		while (s->request_count > 0)
			refuse_poison(s, poison, count, (int)base);
		sim_run(s);
		if (s->request_count == 0 && s->due_ns != INT64_MAX)
			sim_advance(s, s->due_ns - s->now_ns);
	}
}

static uint64_t run_with_poison(struct sim *s, const uint64_t *poison, size_t count, bool names_position)
{
	uint64_t before = s->sent_requests;

	run_with_poison_named(s, poison, count, names_position ? 1 : (uint32_t)UNNAMED, 1000);
	assert_int_equal(sim_inside(s), 0);
	return s->sent_requests - before;
}

static void a_poisoned_record_is_found_by_halving(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < 500; at += 13) {
		struct sim *s = sim_flowing_by_default();
		uint64_t poison = s->next_id + at, requests;

		sim_rows(s, 500);
		requests = run_with_poison(s, &poison, 1, false);
		assert_int_equal(s->fate[poison], SIM_DEAD);
		assert_int_equal(s->fates[SIM_DEAD], 1);
		assert_string_equal(s->dead_code, "ValidationException");
		/* The refused one, at most log2(500) + 1 to find it; the freed halves travel as ordinary requests. */
		assert_true(requests <= 1 + 10 + 9);
		sim_free(s);
	}
}

static void a_named_position_is_found_at_once(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t poison[] = {s->next_id, s->next_id + 499, s->next_id + 250};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		sim_rows(s, 500);
		if (i == 0)
			assert_true(run_with_poison(s, &poison[0], 1, true) <= 4);
	}
	(void)run_with_poison(s, poison, 3, true);
	sim_free(s);
}

static void several_poisoned_records_are_all_found(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t poison[] = {s->next_id + 3, s->next_id + 4, s->next_id + 400};

	(void)state;
	sim_rows(s, 500);
	(void)run_with_poison(s, poison, 3, false);
	assert_int_equal(s->fates[SIM_DEAD], 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(s->fate[poison[i]], SIM_DEAD);
	sim_free(s);
}

/* Positions counted from 0 or from 1, one named at a time: wherever the poison is, it is found, and nothing else. */
static void named_positions_are_believed_by_the_reading_that_proves_right(void **state)
{
	static const struct {
		uint64_t first, step, count;
	} POISON[] = {{3, 5, 99}, {0, 1, 60}, {440, 1, 60}, {0, 499, 2}, {1, 2, 100}};

	(void)state;
	for (uint32_t base = 0; base < 2; base++)
		for (size_t p = 0; p < sizeof POISON / sizeof *POISON; p++) {
			struct sim *s = sim_flowing_by_default();
			uint64_t poison[100], requests = s->sent_requests;

			for (uint64_t i = 0; i < POISON[p].count; i++)
				poison[i] = s->next_id + POISON[p].first + i * POISON[p].step;
			sim_rows(s, 500);
			run_with_poison_named(s, poison, POISON[p].count, base, 300);
			/* Once only these are left, record after record is refused: the stream is held, as it should.
			 */
			assert_true(s->fates[SIM_DEAD] <= POISON[p].count);
			assert_int_equal(s->fates[SIM_DEAD] + sim_inside(s) + s->fates[SIM_RETRY], POISON[p].count);
			for (uint64_t i = 0; i < POISON[p].count; i++)
				assert_true(s->fate[poison[i]] == SIM_DEAD || s->fate[poison[i]] == SIM_INSIDE ||
				            s->fate[poison[i]] == SIM_RETRY);
			assert_true(sim_inside(s) == 0 || sim_state(s) == DELIVERY_HELD);
			requests = s->sent_requests - requests;
			assert_true(requests <= 3 * POISON[p].count + 320);
			sim_free(s);
		}
}

/* A service whose positions mean nothing is not believed for ever. */
static void positions_that_lie_are_left_for_halving(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t poison = s->next_id + 250;

	(void)state;
	sim_rows(s, 500);
	run_with_poison_named(s, &poison, 1, 77, 1000);
	assert_int_equal(sim_inside(s), 0);
	assert_int_equal(s->fates[SIM_DEAD], 1);
	assert_int_equal(s->fate[poison], SIM_DEAD);
	sim_free(s);
}

static void an_answer_lost_in_the_middle_of_a_search_does_not_end_it(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t poison = s->next_id + 77;
	int64_t before = metric_get(M_POSSIBLE_DUPLICATES);

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_error(s, 0, "ValidationException", "1 validation error detected");
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_int_equal(s->requests[0]->count, 250);
	sim_transport(s, 0, AWS_UNKNOWN, true);
	assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - before, 250);
	(void)run_with_poison(s, &poison, 1, false);
	assert_int_equal(s->fates[SIM_DEAD], 1);
	assert_int_equal(s->fate[poison], SIM_DEAD);
	sim_free(s);
}

static void who_waits_for_a_throttle_is_hastened_when_it_is_over(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 1);
	for (int i = 0; i < 100 && s->d->waiting.count == 0; i++) { /* until it is no chance any more */
		sim_advance(s, 20 * NS_PER_MS);
		sim_run(s);
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_throttled, NULL);
	}
	assert_int_equal(s->d->waiting.count, 1);
	s->d->waiting.items[0]->due_ns = s->now_ns + 1000 * NS_PER_S; /* as after many tries */
	for (int i = 0; i < 100 && sim_state(s) != DELIVERY_FLOWING; i++) {
		sim_rows(s, 100);
		sim_advance(s, NS_PER_S);
		sim_run(s);
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_stored, NULL);
	}
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	for (size_t i = 0; i < s->d->waiting.count; i++)
		assert_true(s->d->waiting.items[i]->due_ns <= s->now_ns + PACE_CALM_NS);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

/* More than twenty one after the other are refused, and the good ones come behind them. */
static void good_records_leave_however_many_are_poisoned(void **state)
{
	static const uint64_t counts[] = {21, 40, 120};

	(void)state;
	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
		struct sim *s = sim_flowing_by_default();
		uint64_t poison[120], delivered;
		int64_t since_ns;

		for (uint64_t i = 0; i < counts[c]; i++)
			poison[i] = s->next_id + i;
		sim_rows(s, (uint32_t)counts[c]);
		for (int round = 0; sim_state(s) != DELIVERY_HELD && round < 2000; round++)
			run_with_poison_named(s, poison, counts[c], (uint32_t)UNNAMED, 1);
		assert_int_equal(sim_state(s), DELIVERY_HELD);
		delivered = s->fates[SIM_DELIVERED];
		sim_rows(s, 50);
		since_ns = s->now_ns;
		run_with_poison_named(s, poison, counts[c], (uint32_t)UNNAMED, 2000);
		assert_int_equal(s->fates[SIM_DELIVERED], delivered + 50);
		assert_int_equal(s->fates[SIM_DEAD] + s->fates[SIM_RETRY], counts[c]);
		assert_true(s->now_ns - since_ns <= (int64_t)counts[c] * NS_PER_S); /* each is asked about once */
		sim_free(s);
	}
}

static void when_every_record_is_refused_the_stream_is_held(void **state)
{
	struct sim *s = sim_flowing_by_default();
	const uint64_t before = s->sent_requests;

	(void)state;
	sim_rows(s, 500);
	for (int i = 0; i < 5000 && sim_state(s) != DELIVERY_HELD; i++) {
		sim_run(s);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
		while (s->request_count > 0)
			sim_error(s, 0, "ValidationException", "no");
	}
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	assert_true(s->fates[SIM_DEAD] <= 20);
	/* The first was looked for by halves, then each was asked about alone. */
	assert_in_range(s->sent_requests - before, 20, 35);
	assert_true(sim_drain(s, 600 * NS_PER_S));
	sim_free(s);
}

static void an_entry_of_its_own_sets_only_itself_aside(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	char third_is_bad(void *arg, uint64_t id, uint32_t i)
	{
		(void)arg, (void)id;
		return i == 2 ? 'x' : 's';
	}
	sim_answer(s, 0, third_is_bad, NULL);
	assert_int_equal(s->fates[SIM_DEAD], 1);
	assert_int_equal(sim_inside(s), 0);
	assert_string_equal(s->dead_code, "InvalidArgumentException");
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	sim_free(s);
}

static void a_throttle_storm_is_bounded_and_ends_quickly(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t before = s->sent_requests, requests;
	int64_t end;

	(void)state;
	sim_rows(s, 20000);
	for (end = s->now_ns + 60 * NS_PER_S; s->now_ns < end;) {
		sim_run(s);
		sim_advance(s, 20 * NS_PER_MS); /* a round trip */
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_throttled, NULL);
		sim_run(s);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
	}
	requests = s->sent_requests - before;
	assert_true(requests < 60); /* not thousands: 60 s of 20 ms round trips and a window of 8 */
	assert_int_equal(sim_state(s), DELIVERY_THROTTLED);
	/* What ran out of time went back to the journal with its attempts. */
	assert_true(s->fates[SIM_RETRY] > 0 || sim_inside(s) == 20000);
	assert_true(sim_drain(s, 30 * NS_PER_S));
	assert_int_equal(s->fates[SIM_DEAD], 0);
	sim_rows(s, 4000);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	sim_free(s);
}

struct share {
	struct sim *s;
	double share;
};

static char by_share(void *arg, uint64_t id, uint32_t i)
{
	struct share *x = arg;

	(void)id, (void)i;
	return sim_unit(x->s) < x->share ? 't' : 's';
}

/* Rows per second with a window of 64, a round trip of 50 ms and as many rows as are wanted. */
static double rate_with_share(double share)
{
	struct dispatch_settings set = sim_defaults();
	struct share x = {.share = share};
	int64_t begin;
	uint64_t done;
	double rate;

	set.output.max_in_flight = 64;
	set.kspool.max_request_records = 10;
	set.policy.count = 10;
	x.s = sim_new(&set);
	begin = x.s->now_ns;
	for (int round = 0; round < 60; round++) {
		size_t n;

		sim_rows(x.s, x.s->next_id + 640 < SIM_ROWS ? 640 : 0);
		sim_run(x.s);
		n = x.s->request_count;
		sim_advance(x.s, 50 * NS_PER_MS);
		for (size_t i = 0; i < n; i++)
			sim_answer(x.s, 0, by_share, &x);
	}
	done = x.s->fates[SIM_DELIVERED];
	rate = (double)done / ((double)(x.s->now_ns - begin) / 1e9);
	sim_free(x.s);
	return rate;
}

static void a_little_throttling_costs_little(void **state)
{
	double clean = rate_with_share(0);

	(void)state;
	assert_true(rate_with_share(0.001) > 0.85 * clean);
	assert_true(rate_with_share(0.01) > 0.85 * clean);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_a_200_settles),
	    cmocka_unit_test(too_large_a_request_lowers_the_ceiling),
	    cmocka_unit_test(a_poisoned_record_is_found_by_halving),
	    cmocka_unit_test(a_named_position_is_found_at_once),
	    cmocka_unit_test(several_poisoned_records_are_all_found),
	    cmocka_unit_test(named_positions_are_believed_by_the_reading_that_proves_right),
	    cmocka_unit_test(positions_that_lie_are_left_for_halving),
	    cmocka_unit_test(an_answer_lost_in_the_middle_of_a_search_does_not_end_it),
	    cmocka_unit_test(who_waits_for_a_throttle_is_hastened_when_it_is_over),
	    cmocka_unit_test(good_records_leave_however_many_are_poisoned),
	    cmocka_unit_test(when_every_record_is_refused_the_stream_is_held),
	    cmocka_unit_test(an_entry_of_its_own_sets_only_itself_aside),
	    cmocka_unit_test(a_throttle_storm_is_bounded_and_ends_quickly),
	    cmocka_unit_test(a_little_throttling_costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
