/* Requests under way hear nothing: a state that lasts as long as the silence does, and is entered once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

/* What each request of the two waits for; the first to be sent comes first. */
static struct way {
	enum transport_wait wait;
	int64_t at_ns;
} ways[2];

static enum transport_wait moved(void *arg, const struct request *q, int64_t *at_ns)
{
	const struct sim *s = arg;

	for (size_t i = 0; i < 2 && i < s->request_count; i++)
		if (s->requests[i] == q) {
			*at_ns = ways[i].at_ns;
			return ways[i].wait;
		}
	*at_ns = INT64_MAX; /* a probe */
	return TRANSPORT_CONNECTING;
}

static struct sim *two_under_way(void)
{
	struct sim *s = sim_flowing_by_default();

	s->d->ports.moved = moved;
	sim_rows(s, 1000);
	sim_run(s);
	assert_int_equal(s->request_count, 2);
	return s;
}

/* A second after the other: which of the two moves in it. Returns how often silence was told anew. */
static uint32_t pass(struct sim *s, int seconds, bool first, bool second)
{
	const uint32_t number = s->d->hold.number;

	for (int i = 0; i < seconds; i++) {
		sim_advance(s, NS_PER_S);
		ways[0].at_ns = first ? s->now_ns : ways[0].at_ns;
		ways[1].at_ns = second ? s->now_ns : ways[1].at_ns;
		sim_run(s);
	}
	return s->d->hold.number - number;
}

/* All of one is acknowledged and no answer comes, while another goes out slowly, beside it or from then on. */
static void one_that_goes_out_is_no_answer_to_another(void **state)
{
	(void)state;
	for (int late = 0; late <= 1; late++) {
		struct sim *s = two_under_way();

		ways[0] = (struct way){TRANSPORT_WAITING, s->now_ns};
		ways[1] = (struct way){TRANSPORT_SENDING, s->now_ns};
		assert_int_equal(pass(s, 8, false, !late), 1);
		assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
		assert_int_equal(pass(s, 20, false, true), 0);
		assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
		sim_answer(s, 0, sim_all_stored, NULL); /* it was the silence of that one */
		sim_run(s);
		assert_int_equal(sim_state(s), DELIVERY_FLOWING);
		assert_true(sim_drain(s, 60 * NS_PER_S));
		sim_free(s);
	}
}

static void what_goes_out_again_ends_the_silence_of_all_that_do(void **state)
{
	struct sim *s = two_under_way();

	(void)state;
	ways[0] = ways[1] = (struct way){TRANSPORT_SENDING, s->now_ns};
	assert_int_equal(pass(s, 8, false, false), 1);
	assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
	assert_int_equal(pass(s, 20, false, true), 0);
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	assert_true(sim_drain(s, 60 * NS_PER_S));
	sim_free(s);
}

/* How long a request took in which nothing moved is not the line's: the next ones are as large and as many. */
static void a_silence_says_nothing_of_the_line(void **state)
{
	const struct transport_link hole = {.is_known = true,
	                                    .wire_bytes = 100000,
	                                    .steady_bytes = 100000,
	                                    .upload_ns = 30 * NS_PER_S,
	                                    .steady_ns = 29 * NS_PER_S,
	                                    .heard_ns = 30 * NS_PER_S,
	                                    .rtt_ns = 2 * NS_PER_S};
	struct sim *s = two_under_way();

	(void)state;
	s->d->set.kspool.request_timeout_ns = 30 * NS_PER_S;
	s->d->link = (struct link){.is_thin = true,
	                           .goodput = 125000,
	                           .bytes = 400000,
	                           .weight = 1.5,
	                           .upload_ns = NS_PER_S,
	                           .wait_ns = NS_PER_S};
	ways[0] = ways[1] = (struct way){TRANSPORT_SENDING, s->now_ns};
	assert_int_equal(pass(s, 20, false, false), 1);
	s->way = hole;
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_run(s);
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	assert_true(s->d->link.is_thin && s->d->link.goodput >= 125000);
	assert_int_equal(s->d->link.bytes, 400000);
	assert_true(s->d->pace.window >= 2);
	sim_rows(s, 500);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	sim_advance(s, 3 * NS_PER_S);
	sim_answer(s, 0, sim_all_stored, NULL); /* of one that was sent after it all is believed */
	assert_true(s->d->link.goodput < 20000);
	sim_free(s);
}

/* On a link that takes one at a time nothing goes beside it, until it has waited for as long as a request may. */
static void another_connection_is_tried_in_the_end(void **state)
{
	struct sim *s = two_under_way();

	(void)state;
	s->d->set.kspool.request_timeout_ns = 30 * NS_PER_S;
	s->d->link.is_finding = true;
	ways[0] = ways[1] = (struct way){TRANSPORT_WAITING, s->now_ns};
	sim_rows(s, 10);
	assert_int_equal(pass(s, 8, false, false), 1);
	(void)pass(s, 20, false, false);
	assert_int_equal(s->request_count, 2);
	(void)pass(s, 10, false, false);
	assert_int_equal(s->request_count, 3);
	sim_answer(s, 2, sim_all_stored, NULL);
	sim_run(s);
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_answer(s, 0, sim_all_stored, NULL);
	assert_true(sim_drain(s, 60 * NS_PER_S));
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_that_goes_out_is_no_answer_to_another),
	    cmocka_unit_test(what_goes_out_again_ends_the_silence_of_all_that_do),
	    cmocka_unit_test(a_silence_says_nothing_of_the_line),
	    cmocka_unit_test(another_connection_is_tried_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
