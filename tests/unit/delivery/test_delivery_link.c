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

static void what_makes_each_other_slow_is_sent_one_by_one(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 64);
	for (int i = 0; i < 9; i++)
		pace_answered(&p, i, i, 500, 0, 0.5, 0, NS_PER_S);
	assert_true(pace_allows(&p, 10, 9));
	pace_took(&p, 8 * NS_PER_S, false);
	for (int i = 0; i < 100; i++) /* as long as alone: that is the service's own time */
		pace_took(&p, 9 * NS_PER_S, true);
	assert_true(pace_allows(&p, 10, 9));
	for (int i = 0; i < 100; i++) /* twice as long with another beside: they share the link */
		pace_took(&p, 16 * NS_PER_S, true);
	assert_true(pace_allows(&p, 10, 0));
	assert_false(pace_allows(&p, 10, 1));
}

/* A service that takes so long over each answer, whatever is asked of it. Returns the most requests at once. */
static size_t most_at_once(int64_t takes_ns, size_t rows)
{
	struct sim *s = on_a_link();
	size_t most = 0;

	sim_rows(s, rows);
	for (int i = 0; i < 200 && sim_inside(s) > 0; i++) {
		size_t n;

		sim_run(s);
		n = s->request_count;
		most = n > most ? n : most;
		if (n == 0) {
			sim_advance(s, s->due_ns - s->now_ns);
			continue;
		}
		sim_advance(s, takes_ns);
		for (size_t k = 0; k < n; k++)
			sim_answer(s, 0, sim_all_stored, NULL);
	}
	assert_int_equal(sim_inside(s), 0);
	sim_free(s);
	return most;
}

static void slow_answers_do_not_keep_one_request_at_a_time(void **state)
{
	static const int64_t TAKES_MS[] = {100, 7400, 7600, 8000, 12000, 20000, 29000};

	(void)state;
	for (size_t i = 0; i < sizeof TAKES_MS / sizeof *TAKES_MS; i++)
		assert_true(most_at_once(TAKES_MS[i] * NS_PER_MS, 15000) >= 4);
}

static void one_long_silence_is_offline_at_once(void **state)
{
	static const struct {
		int64_t after_ns;
		enum delivery_state wanted;
	} CASES[] = {
	    {1 * NS_PER_S, DELIVERY_FLOWING}, {5 * NS_PER_S, DELIVERY_OFFLINE}, {30 * NS_PER_S, DELIVERY_OFFLINE}};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct sim *s = on_a_link();

		sim_rows(s, 500);
		sim_run(s);
		sim_advance(s, CASES[i].after_ns);
		sim_transport(s, 0, AWS_UNKNOWN, false);
		assert_int_equal(sim_state(s), CASES[i].wanted);
		assert_true(sim_drain(s, 60 * NS_PER_S));
		sim_free(s);
	}
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
	    cmocka_unit_test(what_makes_each_other_slow_is_sent_one_by_one),
	    cmocka_unit_test(slow_answers_do_not_keep_one_request_at_a_time),
	    cmocka_unit_test(one_long_silence_is_offline_at_once),
	    cmocka_unit_test(a_hold_with_nothing_left_probes_with_the_next_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
