/* What something between here and the service refuses (413 and its kin), and a service that answers but stores nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"
#include "rig/dispatch_invariants.h"

/* A gateway: which rows it lets through, and how many records at once. */
struct gateway {
	uint64_t first; /* id of the first row that is sent through it */
	int kind;       /* of placement, see is_bad */
	uint64_t bad;   /* how many are refused */
	uint32_t most;  /* records of a request; 0: any */
	bool refuses_all;
	bool has_words; /* of its own, with 400: nobody knows them */
};

enum { AT_HEAD, AT_END, EVERY_FIFTH, IN_PAIRS, PLACEMENTS };

static bool is_bad(const struct gateway *g, uint64_t id)
{
	uint64_t n = id - g->first;

	if (g->refuses_all || id < g->first)
		return g->refuses_all;
	switch (g->kind) {
	case AT_HEAD:
		return n < g->bad;
	case AT_END:
		return n >= 500 - g->bad && n < 500;
	case EVERY_FIFTH:
		return n < 500 && n % 5 == 2 && n / 5 < g->bad;
	default:
		return n < 500 && n % 10 < 2 && n / 10 * 2 + n % 10 < g->bad;
	}
}

static void pass(struct sim *s, const struct gateway *g)
{
	while (s->request_count > 0) {
		const struct request *q = s->requests[0];
		bool refused = g->most > 0 && q->count > g->most;

		for (uint32_t i = 0; i < q->count; i++)
			refused = refused || is_bad(g, q->records[i]->id);
		if (refused && g->has_words)
			sim_error(s, 0, "NeverHeardOf", "no");
		else if (refused)
			sim_status(s, 0, 413, "<html>no</html>");
		else
			sim_answer(s, 0, sim_all_stored, NULL);
	}
}

/* Runs through the gateway for so long. Returns the requests that were sent. */
static uint64_t run_for(struct sim *s, const struct gateway *g, int64_t ns)
{
	uint64_t before = s->sent_requests;
	int64_t end_ns = s->now_ns + ns;

	while (s->now_ns < end_ns) {
		sim_run(s);
		if (s->request_count > 0) {
			sim_advance(s, 10 * NS_PER_MS); /* a round trip */
			pass(s, g);
		} else {
			sim_advance(s, s->due_ns - s->now_ns < end_ns - s->now_ns ? s->due_ns - s->now_ns
			                                                          : end_ns - s->now_ns);
		}
	}
	return s->sent_requests - before;
}

static void the_good_ones_leave_wherever_the_bad_ones_are(void **state)
{
	static const uint64_t BAD[] = {1, 2, 20, 100};

	(void)state;
	for (int kind = 0; kind < 2 * PLACEMENTS; kind++)
		for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
			struct sim *s = sim_flowing_by_default();
			struct gateway g = {.first = s->next_id, .kind = kind / 2, .bad = BAD[i]};
			uint64_t before = s->fates[SIM_DELIVERED];

			g.has_words = kind % 2;
			sim_rows(s, 500);
			(void)run_for(s, &g, 60 * NS_PER_S);
			assert_int_equal(s->fates[SIM_DELIVERED] - before, 500 - BAD[i]);
			(void)run_for(s, &g, 300 * NS_PER_S);
			assert_int_equal(s->fates[SIM_DEAD], 0);
			assert_int_equal(sim_state(s), DELIVERY_BLOCKED);
			assert_string_equal(s->d->hold.code, g.has_words ? "NeverHeardOf" : "413");
			assert_true(run_for(s, &g, 600 * NS_PER_S) <= 20); /* real waits */
			g.bad = 0;                                         /* mended */
			(void)run_for(s, &g, 120 * NS_PER_S);
			assert_int_equal(sim_inside(s), 0);
			assert_int_equal(sim_state(s), DELIVERY_FLOWING);
			sim_free(s);
		}
}

static void others_go_at_their_own_speed_beside_them(void **state)
{
	struct sim *s = sim_flowing_by_default();
	struct gateway g = {.first = s->next_id, .kind = AT_HEAD, .bad = 100};

	(void)state;
	sim_rows(s, 500);
	(void)run_for(s, &g, 300 * NS_PER_S);
	for (int i = 0; i < 50; i++) {
		uint64_t before = s->fates[SIM_DELIVERED];

		sim_rows(s, 50);
		(void)run_for(s, &g, NS_PER_S);
		assert_int_equal(s->fates[SIM_DELIVERED] - before, 50);
	}
	assert_int_equal(sim_inside(s), 100);
	sim_free(s);
}

static void a_gateway_that_refuses_everything_is_asked_seldom(void **state)
{
	static const uint64_t ROWS[] = {1, 3, 500, 5000};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof ROWS / sizeof *ROWS; i++) {
		struct sim *s = sim_flowing_by_default();
		struct gateway g = {.refuses_all = true, .has_words = i % 2};

		sim_rows(s, ROWS[i / 2]);
		assert_true(run_for(s, &g, 10 * NS_PER_S) <= 60);
		assert_true(run_for(s, &g, 60 * NS_PER_S) <= 60);
		assert_true(sim_state(s) == DELIVERY_HELD || sim_state(s) == DELIVERY_BLOCKED);
		assert_string_equal(s->d->hold.code, g.has_words ? "NeverHeardOf" : "413");
		assert_non_null(strstr(s->d->hold.reason, g.has_words ? "no" : "413"));
		for (int n = 0; n < 60; n++) { /* and more comes in all the time */
			sim_rows(s, 10);
			assert_true(run_for(s, &g, NS_PER_S) <= 30);
		}
		assert_true(run_for(s, &g, 600 * NS_PER_S) <= 40);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		g.refuses_all = false;
		(void)run_for(s, &g, 130 * NS_PER_S);
		assert_int_equal(sim_inside(s), 0);
		sim_free(s);
	}
}

/* Alone, and in words nobody knows: it may be the stream. Whatever comes then is asked with at once, the next a second
 * later. */
static void a_lone_one_holds_the_stream_but_nobody_else(void **state)
{
	struct sim *s = sim_flowing_by_default();
	struct gateway g = {.first = s->next_id, .kind = AT_HEAD, .bad = 1, .has_words = true};

	(void)state;
	sim_rows(s, 1);
	(void)run_for(s, &g, 300 * NS_PER_S);
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	assert_string_equal(s->d->hold.code, "NeverHeardOf");
	assert_true(run_for(s, &g, 600 * NS_PER_S) <= 20);
	sim_rows(s, 1);
	(void)run_for(s, &g, NS_PER_S);
	assert_int_equal(sim_inside(s), 1);
	assert_true(sim_state(s) == DELIVERY_FLOWING || sim_state(s) == DELIVERY_BLOCKED);
	(void)run_for(s, &g, 300 * NS_PER_S);
	assert_int_equal(sim_state(s), DELIVERY_BLOCKED); /* others are taken: it is the message */
	sim_free(s);

	s = sim_flowing_by_default();
	g = (struct gateway){.refuses_all = true, .has_words = true};
	sim_rows(s, 1);
	(void)run_for(s, &g, 600 * NS_PER_S);
	for (int n = 0; n < 3; n++) {
		uint64_t sent = s->sent_requests;

		sim_rows(s, 1);
		(void)run_for(s, &g, NS_PER_S);
		assert_int_equal(s->sent_requests - sent, 1);
		assert_int_equal(sim_state(s), DELIVERY_HELD);
	}
	assert_true(run_for(s, &g, 300 * NS_PER_S) <= 10);
	sim_free(s);
}

/* The first that came is no better than what holds: those behind it need not wait as long as the stream would. */
static void bad_ones_that_come_while_it_is_held_delay_nobody_for_long(void **state)
{
	(void)state;
	for (uint64_t more = 1; more < REFUSED_IN_A_ROW; more += 6) {
		struct sim *s = sim_flowing_by_default();
		struct gateway g = {.first = s->next_id, .kind = AT_HEAD, .bad = 1 + more, .has_words = true};

		sim_rows(s, 1);
		(void)run_for(s, &g, 600 * NS_PER_S);
		for (uint64_t n = 0; n < more; n++) {
			sim_rows(s, 1);
			(void)run_for(s, &g, NS_PER_S / 20);
		}
		assert_int_equal(sim_state(s), DELIVERY_HELD);
		sim_rows(s, 1);
		(void)run_for(s, &g, (int64_t)(more + 1) * NS_PER_S);
		assert_int_equal(sim_inside(s), 1 + more);
		(void)run_for(s, &g, 60 * NS_PER_S);
		assert_int_equal(sim_state(s), DELIVERY_BLOCKED);
		sim_free(s);
	}
}

/* Whoever waits is asked about again at once, held or not. */
static void new_credentials_hasten_what_is_refused(void **state)
{
	(void)state;
	for (uint64_t good = 0; good < 2; good++) {
		struct sim *s = sim_flowing_by_default();
		struct gateway g = {.first = s->next_id, .kind = AT_HEAD, .bad = 3, .has_words = true};

		sim_rows(s, 3 + good);
		(void)run_for(s, &g, 600 * NS_PER_S);
		assert_int_equal(sim_state(s), good ? DELIVERY_BLOCKED : DELIVERY_HELD);
		assert_int_equal(sim_inside(s), 3);
		g.bad = 0;
		dispatch_credentials(s->d, s->now_ns);
		(void)run_for(s, &g, NS_PER_S);
		assert_int_equal(sim_inside(s), 0);
		assert_int_equal(sim_state(s), DELIVERY_FLOWING);
		sim_free(s);
	}
}

/* Of several of a key each goes by itself then, in order, and none goes past them that was ready. */
static void those_of_a_key_go_one_by_one(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;
	uint64_t first;

	(void)state;
	set.kspool.max_request_records = 3;
	set.output.max_in_flight = 1;
	set.lanes = (struct lanes_rules){.is_on = true, .is_ordered = true, .records = 500};
	s = sim_new(&set);
	first = s->next_id;
	sim_rows(s, 9);
	sim_advance(s, NS_PER_S);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_int_equal(s->requests[0]->count, 3);
	assert_true(s->d->ready.count > 0);
	sim_error(s, 0, "NeverHeardOf", "no");
	for (uint64_t n = 0; n < 3; n++) {
		sim_run(s);
		assert_int_equal(s->request_count, 1);
		assert_int_equal(s->requests[0]->count, 1);
		assert_int_equal(s->requests[0]->records[0]->id, first + n);
		sim_answer(s, 0, sim_all_stored, NULL);
	}
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_int_equal(s->requests[0]->count, 3);
	assert_int_equal(s->requests[0]->records[0]->id, first + 3);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

static void a_gateway_that_takes_few_at_once_is_given_few(void **state)
{
	static const uint32_t MOST[] = {1, 3, 60, 499};

	(void)state;
	for (size_t i = 0; i < sizeof MOST / sizeof *MOST; i++) {
		struct sim *s = sim_flowing_by_default();
		struct gateway g = {.first = s->next_id, .most = MOST[i]};

		sim_rows(s, 500);
		(void)run_for(s, &g, 60 * NS_PER_S);
		assert_int_equal(sim_inside(s), 0);
		sim_free(s);
	}
}

static void who_is_too_many_goes_back_and_is_known_when_it_returns(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct gateway g = {.refuses_all = true};
	struct sim *s;
	uint64_t id;

	(void)state;
	set.policy.memory_count = 40;
	s = sim_flowing(&set);
	id = s->next_id;
	sim_rows(s, 100);
	(void)run_for(s, &g, 10 * NS_PER_S);
	assert_true(s->d->suspects.count <= 20);
	assert_true(s->fates[SIM_RETRY] >= 80);
	assert_int_equal(s->wait_ms[id], 60 * MS_PER_S);
	assert_true(suspects_know(&s->d->suspects, id));
	sim_free(s);
}

static char none_is_stored(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id, (void)i;
	return 'i';
}

static char unknown_code(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id, (void)i;
	return 'u';
}

static void a_service_that_stores_nothing_is_offline(void **state)
{
	static const struct {
		sim_verdict *verdict;
		const char *code;
	} CASES[] = {{none_is_stored, "InternalFailure"}, {unknown_code, "SomethingNew"}};

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (uint64_t rows = 1; rows <= 2000; rows *= 2000) {
			struct sim *s = sim_flowing_by_default();
			uint64_t before = s->sent_requests;
			int64_t begin_ns = s->now_ns;

			sim_rows(s, rows);
			while (s->now_ns - begin_ns < 100 * NS_PER_S) {
				sim_run(s);
				if (s->request_count == 0)
					sim_advance(s, s->due_ns - s->now_ns);
				while (s->request_count > 0) {
					sim_advance(s, 5 * NS_PER_MS);
					sim_answer(s, 0, CASES[i].verdict, NULL);
				}
			}
			assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
			assert_string_equal(s->d->hold.code, CASES[i].code);
			assert_true(s->sent_requests - before < 80); /* in 100 s: soon enough when it works again */
			assert_true(sim_drain(s, 130 * NS_PER_S));
			assert_int_equal(sim_state(s), DELIVERY_FLOWING);
			sim_free(s);
		}
}

static char one_of_ten(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)i;
	return id % 10 == 0 ? 's' : 'i';
}

static void a_service_that_stores_some_is_not_offline(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_answer(s, 0, one_of_ten, NULL);
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	assert_true(sim_drain(s, 60 * NS_PER_S));
	sim_free(s);
}

/* What comes from somebody who is not Kinesis is told with status and kind of text, and is a state of its own. */
static void a_stranger_is_told_by_status(void **state)
{
	static const struct {
		int status;
		const char *body;
		const char *code;
	} CASES[] = {{302, "", "302"},
	             {403, "<html>sign in</html>", "403"},
	             {407, "", "407"},
	             {502, "<html>", "502"},
	             {511, "<html>", "511"},
	             {404, "not here", "404"},
	             {200, "<html>welcome</html>", "AnswerUnreadable"},
	             {204, "", "204"},
	             {403, "{\"message\":\"Forbidden\"}", "403"}};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct sim *s = sim_flowing_by_default();
		uint64_t before = s->sent_requests;
		int64_t begin_ns = s->now_ns;
		char status[24];

		sim_rows(s, 1000);
		while (s->now_ns - begin_ns < 60 * NS_PER_S) {
			sim_run(s);
			if (s->request_count == 0)
				sim_advance(s, s->due_ns - s->now_ns);
			while (s->request_count > 0)
				sim_status(s, 0, CASES[i].status, CASES[i].body);
		}
		(void)snprintf(status, sizeof status, "status %d", CASES[i].status);
		assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
		assert_string_equal(s->d->hold.code, CASES[i].code);
		assert_non_null(strstr(s->d->hold.reason, status));
		assert_null(strstr(s->d->hold.reason, "sign in<"));
		assert_true(s->sent_requests - before < 40);
		assert_true(sim_drain(s, 130 * NS_PER_S));
		sim_free(s);
	}
}

/* A rule says how often a record may be refused by itself. */
static void who_is_refused_alone_too_often_is_set_aside(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct gateway g = {.refuses_all = true};
	struct sim *s;

	(void)state;
	set.kspool.dead_after_attempts = 3;
	s = sim_flowing(&set);
	sim_rows(s, 1);
	g.first = s->next_id - 1;
	(void)run_for(s, &g, 300 * NS_PER_S);
	assert_int_equal(s->fates[SIM_DEAD], 1);
	assert_int_equal(s->attempts[g.first], 3);
	assert_int_equal(sim_inside(s), 0);
	sim_free(s);
}

/* All is throttled: a request a second, each at the time that was asked for, until the first is stored. */
static void what_stores_nothing_is_asked_once_a_second(void **state)
{
	(void)state;
	for (uint64_t rows = 12; rows <= 120; rows *= 10) {
		struct dispatch_settings set = sim_defaults();
		struct sim *s;
		uint64_t before;

		set.output.backoff.max_elapsed_time_ns = 0; /* none goes back to the journal */
		s = sim_flowing(&set);
		sim_rows(s, rows);
		for (int i = 0; i < 60; i++) { /* six are no chance, five answers and fifteen records nobody's */
			sim_run(s);
			while (s->request_count > 0)
				sim_answer(s, 0, sim_all_throttled, NULL);
			sim_run(s);
			dispatch_check(s);
			assert_true(s->due_ns < INT64_MAX);
			sim_advance(s, s->due_ns - s->now_ns);
		}
		assert_true(dispatch_is_dry(s->d));
		before = s->sent_requests;
		for (int64_t end_ns = s->now_ns + 20 * NS_PER_S; s->now_ns < end_ns;) {
			sim_run(s);
			assert_true(s->request_count <= 1);
			if (s->request_count > 0)
				sim_answer(s, 0, sim_all_throttled, NULL);
			sim_run(s);
			sim_advance(s, s->due_ns - s->now_ns);
		}
		assert_in_range(s->sent_requests - before, 5, 21);
		assert_true(sim_drain(s, 5 * NS_PER_S));
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_good_ones_leave_wherever_the_bad_ones_are),
	    cmocka_unit_test(others_go_at_their_own_speed_beside_them),
	    cmocka_unit_test(a_gateway_that_refuses_everything_is_asked_seldom),
	    cmocka_unit_test(a_lone_one_holds_the_stream_but_nobody_else),
	    cmocka_unit_test(bad_ones_that_come_while_it_is_held_delay_nobody_for_long),
	    cmocka_unit_test(new_credentials_hasten_what_is_refused),
	    cmocka_unit_test(those_of_a_key_go_one_by_one),
	    cmocka_unit_test(a_gateway_that_takes_few_at_once_is_given_few),
	    cmocka_unit_test(who_is_too_many_goes_back_and_is_known_when_it_returns),
	    cmocka_unit_test(a_service_that_stores_nothing_is_offline),
	    cmocka_unit_test(a_service_that_stores_some_is_not_offline),
	    cmocka_unit_test(a_stranger_is_told_by_status),
	    cmocka_unit_test(who_is_refused_alone_too_often_is_set_aside),
	    cmocka_unit_test(what_stores_nothing_is_asked_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
