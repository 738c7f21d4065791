/* What a slow link teaches the dispatcher, and a hold that is left with nothing to probe with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

static struct sim *on_a_link(void)
{
	struct dispatch_settings set = sim_defaults();

	set.kspool.request_timeout_ns = 30 * NS_PER_S;
	return sim_flowing(&set);
}

/* One request of 500 records, as if they were `bytes` large, ended without an answer after so long. */
static void lose_one(struct sim *s, uint64_t bytes, int64_t after_ns)
{
	sim_rows(s, 500);
	sim_run(s);
	assert_true(s->request_count >= 1);
	s->requests[0]->put.accounted_bytes = bytes;
	sim_advance(s, after_ns);
	sim_transport(s, 0, AWS_UNKNOWN, false);
}

static void a_request_out_of_time_makes_the_next_smaller(void **state)
{
	static const struct {
		uint64_t bytes;
		int64_t after_ns;
		uint64_t wanted; /* 0: nothing was learned */
	} CASES[] = {
	    {1000000, 31 * NS_PER_S, 500000}, /* out for all its time */
	    {1000000, 2 * NS_PER_S, 0},       /* a connection that was cut says nothing of speed */
	    {20000, 31 * NS_PER_S, 16384},    /* never below the floor */
	};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct sim *s = on_a_link();

		lose_one(s, CASES[i].bytes, CASES[i].after_ns);
		assert_int_equal(s->d->ceiling.link_bytes, CASES[i].wanted);
		assert_true(sim_drain(s, 60 * NS_PER_S));
		sim_free(s);
	}
}

static void quick_answers_let_requests_grow_again(void **state)
{
	struct sim *s = on_a_link();

	(void)state;
	lose_one(s, 1000000, 31 * NS_PER_S);
	assert_true(sim_drain(s, 60 * NS_PER_S));
	assert_int_equal(s->d->ceiling.link_bytes, 500000); /* small requests prove nothing of larger ones */
	for (int i = 0; i < 4; i++) {
		sim_rows(s, 500);
		sim_run(s);
		s->requests[0]->put.accounted_bytes = 450000u << i;
		assert_true(sim_drain(s, NS_PER_S));
	}
	assert_int_equal(s->d->ceiling.link_bytes, 0);
	sim_free(s);
}

static void slow_answers_leave_fewer_at_once(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 64);
	for (int i = 0; i < 9; i++)
		pace_answered(&p, i, i, 500, 0, 0.5, 0, NS_PER_S);
	assert_true(pace_allows(&p, 10, 9));
	for (int i = 0; i < 100; i++)
		pace_slow(&p);
	assert_true(pace_allows(&p, 10, 0));
	assert_false(pace_allows(&p, 10, 1));
}

static void a_hold_with_nothing_left_probes_with_the_next_message(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.kspool.dead_after_age_ns = 3600 * NS_PER_S;
	s = sim_flowing(&set);
	sim_rows(s, 5);
	sim_advance(s, 20 * NS_PER_MS);
	sim_run(s);
	sim_error(s, 0, "AccessDeniedException", "no");
	sim_advance(s, 3601 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	assert_int_equal(s->fates[SIM_DEAD], 5);
	sim_rows(s, 1);
	sim_run(s);
	assert_int_equal(s->request_count, 0);                /* its batch is not complete */
	assert_true(s->due_ns - s->now_ns <= 10 * NS_PER_MS); /* but will be: nothing else would wake us */
	sim_advance(s, s->due_ns - s->now_ns);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_true(sim_drain(s, NS_PER_S));
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_out_of_time_makes_the_next_smaller),
	    cmocka_unit_test(quick_answers_let_requests_grow_again),
	    cmocka_unit_test(slow_answers_leave_fewer_at_once),
	    cmocka_unit_test(a_hold_with_nothing_left_probes_with_the_next_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
