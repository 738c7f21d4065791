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

/* What a line of so many bytes a second with such a round trip says of a request of so many bytes of records. */
static void carry(struct link *l, uint64_t bytes, double rate, int64_t rtt_ns)
{
	const double wire = 1.7 * (double)bytes;
	struct transport_link way = {.is_known = true, .wire_bytes = (uint64_t)wire, .rtt_ns = rtt_ns};

	way.upload_ns = (int64_t)(wire / rate * (double)NS_PER_S) + rtt_ns;
	way.heard_ns = way.upload_ns + 5 * NS_PER_MS;
	if (way.upload_ns > NS_PER_S) {
		way.steady_ns = way.upload_ns - NS_PER_S;
		way.steady_bytes = (uint64_t)((double)way.steady_ns / (double)NS_PER_S * rate);
	}
	link_answered(l, bytes, way.heard_ns + rtt_ns, 1, &way);
}

/* Full requests, of 5 MiB at most; how many answers until it is within a quarter of the line, or has no limit. */
static unsigned answers_to_learn(struct link *l, double rate, int64_t rtt_ns)
{
	for (unsigned n = 1; n < 100; n++) {
		double way_s;

		carry(l, l->bytes ? l->bytes : 5 << 20, rate, rtt_ns);
		way_s = (double)l->bytes * 1.7 / rate;
		if (rate > LINK_THIN_BYTES_S ? l->bytes == 0
		                             : (l->is_thin && l->goodput > 0.75 * rate && l->goodput < 1.25 * rate &&
		                                (l->bytes == LINK_FIRST_BYTES || (way_s > 5 && way_s < 11))))
			return n;
	}
	return 100;
}

static void a_request_gets_what_passes_in_its_time(void **state)
{
	static const double RATES[] = {300, 1200, 8000, 125000, 1.25e7, 1.25e8};
	static const int64_t RTTS_MS[] = {1, 100, 600, 2000};

	(void)state;
	for (size_t k = 0; k < 6; k++)
		for (size_t i = 0; i < 4; i++) {
			struct link l;
			int64_t rtt_ns = RTTS_MS[i] * NS_PER_MS;

			link_init(&l, false);
			assert_int_equal(l.bytes, LINK_FIRST_BYTES);
			assert_true(link_due_ns(&l, 1) == INT64_MAX);
			assert_in_range(answers_to_learn(&l, RATES[k], rtt_ns), 1, 8);
			assert_true(l.is_thin == (RATES[k] < LINK_THIN_BYTES_S));
			assert_true(l.is_thin || l.bytes > 0 ||
			            link_due_ns(&l, 60) == INT64_MIN); /* nothing is held back */
			for (size_t other = 0; other < 4; other++) {   /* up and down, from anywhere */
				struct link turned = l;

				assert_in_range(answers_to_learn(&turned, RATES[other], rtt_ns), 1, 12);
			}
		}
}

static void a_thin_link_has_one_request_going_out(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, false);
	(void)answers_to_learn(&l, 8000, 600 * NS_PER_MS);
	carry(&l, l.bytes, 8000, 600 * NS_PER_MS);
	link_sent(&l, l.bytes, 0);
	assert_true(link_due_ns(&l, 0) == INT64_MIN);
	assert_in_range(link_due_ns(&l, 1), 6 * NS_PER_S, 9 * NS_PER_S); /* when the first has left */
	assert_true(link_due_ns(&l, 2) == INT64_MAX);
	(void)answers_to_learn(&l, 8000, NS_PER_MS); /* no round trip to speak of: no second one */
	carry(&l, l.bytes, 8000, NS_PER_MS);
	assert_true(link_due_ns(&l, 1) == INT64_MAX);
}

static void what_is_lost_teaches_and_small_requests_do_not(void **state)
{
	struct link l;
	uint64_t before;
	double goodput;

	(void)state;
	link_init(&l, false);
	(void)answers_to_learn(&l, 8000, 100 * NS_PER_MS);
	for (int i = 0; i < 4; i++)
		carry(&l, l.bytes, 8000, 100 * NS_PER_MS);
	before = l.bytes;
	goodput = l.goodput;
	for (int i = 0; i < 50; i++)
		carry(&l, 100, 8000, 100 * NS_PER_MS);
	assert_true(l.bytes >= before * 99 / 100 && l.goodput >= goodput && l.goodput < 1.25 * 8000);
	before = l.bytes;
	link_lost(&l, before, 60 * NS_PER_S);
	assert_int_equal(l.bytes, before / 2);
	assert_true(link_due_ns(&l, 1) == INT64_MAX);
	for (int i = 0; i < 20; i++)
		link_lost(&l, before, 60 * NS_PER_S);
	assert_int_equal(l.bytes, LINK_FIRST_BYTES);
	/* A fast one: a cut that came at once says nothing of speed, a silence does. */
	link_init(&l, false);
	(void)answers_to_learn(&l, 1e8, NS_PER_MS);
	link_lost(&l, 100000, 10 * NS_PER_MS);
	assert_int_equal(l.bytes, 0);
	link_lost(&l, 100000, 60 * NS_PER_S);
	assert_int_equal(l.bytes, 50000);
	assert_in_range(answers_to_learn(&l, 1e8, NS_PER_MS), 1, 2);
}

/* Many that share a fast line are each as slow as one on a thin line. */
static void what_many_share_is_counted_together(void **state)
{
	const struct transport_link way = {.is_known = true,
	                                   .wire_bytes = 100000,
	                                   .upload_ns = NS_PER_S / 3,
	                                   .rtt_ns = NS_PER_MS,
	                                   .heard_ns = NS_PER_S / 3};
	struct link l;

	(void)state;
	link_init(&l, false);
	link_answered(&l, 60000, NS_PER_S / 3, 64, &way);
	assert_true(!l.is_thin && link_due_ns(&l, 63) == INT64_MIN);
	link_init(&l, false);
	link_answered(&l, 60000, NS_PER_S / 3, 1, &way);
	assert_true(l.is_thin && l.goodput > 250000 && l.goodput < 350000);
}

/* All is acknowledged at once, and the answer takes its time: that is the service's, and no reason for small ones. */
static void a_slow_service_is_no_thin_link(void **state)
{
	struct link l;

	(void)state;
	link_init(&l, false);
	for (int i = 0; i < 14; i++) {
		const struct transport_link way = {.is_known = true,
		                                   .wire_bytes = l.bytes * 2,
		                                   .upload_ns = NS_PER_MS,
		                                   .rtt_ns = NS_PER_MS,
		                                   .heard_ns = 20 * NS_PER_S};

		link_answered(&l, l.bytes, 20 * NS_PER_S, 1, &way);
	}
	assert_true(!l.is_thin && (l.bytes == 0 || l.bytes > 5 << 20));
	assert_true(link_due_ns(&l, 60) == INT64_MIN);
}

static void where_nobody_says_there_is_no_limit(void **state)
{
	const struct transport_link way = {.is_known = false};
	struct link l;

	(void)state;
	link_init(&l, true);
	assert_int_equal(l.bytes, 0);
	assert_true(link_due_ns(&l, 60) == INT64_MIN);
	link_init(&l, false);
	link_answered(&l, 4096, 30 * NS_PER_S, 1, &way);
	link_lost(&l, 4096, 60 * NS_PER_S);
	assert_int_equal(l.bytes, 0);
	assert_true(link_due_ns(&l, 60) == INT64_MIN);
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
	    cmocka_unit_test(a_request_gets_what_passes_in_its_time),
	    cmocka_unit_test(a_thin_link_has_one_request_going_out),
	    cmocka_unit_test(what_is_lost_teaches_and_small_requests_do_not),
	    cmocka_unit_test(what_many_share_is_counted_together),
	    cmocka_unit_test(a_slow_service_is_no_thin_link),
	    cmocka_unit_test(where_nobody_says_there_is_no_limit),
	    cmocka_unit_test(one_long_silence_is_offline_at_once),
	    cmocka_unit_test(a_hold_with_nothing_left_probes_with_the_next_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
