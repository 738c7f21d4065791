/* An endpoint that refuses each record for itself: whether it is the record is known only where others are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"
#include "rig/dispatch_invariants.h"

/* What is said of a request; no body: each entry of an answer says it. */
static const struct refusal {
	int status;
	const char *body;
} REFUSALS[] = {
    {413, "{\"__type\":\"RequestEntityTooLarge\",\"message\":\"too big\"}"},
    {413, "{\"__type\":\"RequestEntityTooLargeException\",\"message\":\"too big\"}"},
    {413, "<html>no</html>"},
    {400, "{\"__type\":\"RequestEntityTooLargeException\",\"message\":\"too big\"}"},
    {400, "{\"__type\":\"InvalidArgumentException\",\"message\":\"Records size exceeds 5 MB limit\"}"},
    {400, "{\"__type\":\"InvalidArgumentException\",\"message\":\"no\"}"},
    {400, "{\"__type\":\"ValidationException\",\"message\":\"1 validation error detected\"}"},
    {400, "{\"__type\":\"ValidationException\",\"message\":\"Value at 'records.0.member.data' failed\"}"},
    {400, "{\"__type\":\"ValidationException\",\"message\":\"Value at 'records.1.member.data' failed\"}"},
    {400, "{\"__type\":\"ValidationException\",\"message\":\"Value at 'records.9999.member.data' failed\"}"},
    {200, NULL},
};
enum { ON_THE_WAY = 4, REFUSALS_COUNT = sizeof REFUSALS / sizeof *REFUSALS };

struct refuser {
	const struct refusal *says;
	uint64_t first_bad, first_good; /* ids: those between are refused */
};

static char is_invalid(void *arg, uint64_t id, uint32_t i)
{
	const struct refuser *e = arg;

	(void)i;
	return id >= e->first_bad && id < e->first_good ? 'x' : 's';
}

static void answer(struct sim *s, struct refuser *e)
{
	const struct request *q = s->requests[0];
	bool is_refused = false;

	for (uint32_t i = 0; i < q->count; i++)
		is_refused = is_refused || is_invalid(e, q->records[i]->id, i) == 'x';
	if (is_refused && e->says->body)
		sim_status(s, 0, e->says->status, e->says->body);
	else
		sim_answer(s, 0, is_invalid, e);
}

/* Returns the requests. The stream never flows without a store. */
static uint64_t run_for(struct sim *s, struct refuser *e, int64_t ns)
{
	const uint64_t before = s->sent_requests;
	const int64_t end_ns = s->now_ns + ns;

	while (s->now_ns < end_ns) {
		bool was_on = hold_is_on(&s->d->hold);
		uint64_t delivered = s->fates[SIM_DELIVERED];

		sim_run(s);
		if (!s->set.lanes.is_on)
			dispatch_check(s);
		if (s->request_count > 0) {
			sim_advance(s, 10 * NS_PER_MS);
			while (s->request_count > 0)
				answer(s, e);
		} else {
			sim_advance(s, s->due_ns < end_ns ? s->due_ns - s->now_ns : end_ns - s->now_ns);
		}
		if (was_on && s->fates[SIM_DELIVERED] == delivered && !hold_is_on(&s->d->hold))
			fail_msg("%s: %s without a store", e->says->body, delivery_state_name(sim_state(s)));
	}
	return s->sent_requests - before;
}

static const char *code_of(const struct refusal *r)
{
	return r->status == 200 || strstr(r->body, "InvalidArg") ? "InvalidArgumentException"
	       : strstr(r->body, "Validation")                   ? "ValidationException"
	       : strstr(r->body, "LargeException")               ? "RequestEntityTooLargeException"
	       : strstr(r->body, "Large")                        ? "RequestEntityTooLarge"
	                                                         : "413";
}

static bool is_on_the_way(const struct refusal *r) { return r < &REFUSALS[ON_THE_WAY]; }

static void expect_held(struct sim *s, const struct refuser *e, uint64_t rows)
{
	if (sim_state(s) != DELIVERY_HELD && (sim_state(s) != DELIVERY_BLOCKED || !is_on_the_way(e->says)))
		fail_msg("%s, %llu rows: %s", e->says->body, (unsigned long long)rows,
		         delivery_state_name(sim_state(s)));
	assert_string_equal(s->d->hold.code, code_of(e->says));
	assert_true(s->d->hold.reason[0] != '\0');
}

/* Whatever it says, and whether it took something before: asked seldom, nothing is set aside, and all goes when it is
 * mended. */
static void who_takes_nothing_is_asked_seldom_and_believed_in_nothing(void **state)
{
	static const uint64_t ROWS[] = {1, 3, 400, 5000};

	(void)state;
	for (size_t i = 0; i < REFUSALS_COUNT * 4; i++) {
		struct dispatch_settings set = sim_defaults();
		struct sim *s = sim_new(&set);
		struct refuser e = {.says = &REFUSALS[i / 4], .first_bad = 1, .first_good = SIM_ROWS};
		uint64_t at_first, later;

		sim_rows(s, ROWS[i % 4]);
		at_first = run_for(s, &e, 40 * NS_PER_S);
		later = run_for(s, &e, 60 * NS_PER_S);
		if (at_first > 75 || later > 5)
			fail_msg("%s, %llu rows: %llu requests, %llu in the next minute", e.says->body,
			         (unsigned long long)ROWS[i % 4], (unsigned long long)at_first,
			         (unsigned long long)later);
		expect_held(s, &e, ROWS[i % 4]);
		for (int n = 0; n < 60; n++) { /* and more comes in all the time */
			sim_rows(s, 3);
			assert_true(run_for(s, &e, NS_PER_S) <= 15);
		}
		assert_true(run_for(s, &e, 600 * NS_PER_S) <= 40);
		expect_held(s, &e, ROWS[i % 4]);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		e.first_good = 1;
		(void)run_for(s, &e, 130 * NS_PER_S);
		assert_int_equal(sim_inside(s), 0);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		assert_int_equal(sim_state(s), DELIVERY_FLOWING);
		sim_free(s);
	}
}

/* In the middle of its work it begins to refuse all. */
static void who_took_others_before_is_not_believed_either(void **state)
{
	(void)state;
	for (size_t i = 0; i < REFUSALS_COUNT; i++) {
		struct sim *s = sim_flowing_by_default();
		struct refuser e = {.says = &REFUSALS[i], .first_bad = 1, .first_good = SIM_ROWS};
		uint64_t requests;

		sim_rows(s, 400);
		(void)run_for(s, &e, 600 * NS_PER_S);
		expect_held(s, &e, 400);
		if ((requests = run_for(s, &e, 600 * NS_PER_S)) > 20 || s->fates[SIM_DEAD] > 0)
			fail_msg("%s: %llu requests, %llu dead", e.says->body, (unsigned long long)requests,
			         (unsigned long long)s->fates[SIM_DEAD]);
		e.first_good = 1;
		(void)run_for(s, &e, 130 * NS_PER_S);
		assert_int_equal(sim_inside(s), 0);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		sim_free(s);
	}
}

/* Before others were taken nobody knows; with the first that is, each is asked about once more. */
static void others_that_are_taken_tell_that_it_is_the_record(void **state)
{
	(void)state;
	for (size_t i = ON_THE_WAY; i < REFUSALS_COUNT; i++)
		for (uint64_t bad = 1; bad < REFUSED_IN_A_ROW; bad += 6) {
			struct dispatch_settings set = sim_defaults();
			struct sim *s = sim_new(&set);
			struct refuser e = {.says = &REFUSALS[i], .first_bad = 1, .first_good = 1 + bad};

			sim_rows(s, bad);
			(void)run_for(s, &e, 120 * NS_PER_S);
			expect_held(s, &e, bad);
			assert_int_equal(s->fates[SIM_DEAD], 0);
			sim_rows(s, 1); /* asked with at once */
			(void)run_for(s, &e, NS_PER_S);
			assert_int_equal(s->fates[SIM_DELIVERED], 1);
			assert_int_equal(s->fates[SIM_DEAD], bad);
			assert_int_equal(sim_inside(s), 0);
			assert_int_equal(sim_state(s), DELIVERY_FLOWING);
			assert_string_equal(s->dead_code, code_of(e.says));
			sim_free(s);
		}
}

/* One key, or one order for all: nobody may go past a record to tell the two apart. */
static void in_order_it_is_set_aside_where_others_were_taken_before(void **state)
{
	(void)state;
	for (size_t i = ON_THE_WAY; i < REFUSALS_COUNT; i++) {
		struct dispatch_settings set = sim_defaults();
		struct refuser e = {.says = &REFUSALS[i], .first_bad = 3, .first_good = 6};
		struct sim *s;

		set.lanes = (struct lanes_rules){.is_on = true, .is_ordered = true, .is_total = true, .records = 1};
		s = sim_new(&set);
		sim_rows(s, 10);
		(void)run_for(s, &e, 60 * NS_PER_S);
		assert_int_equal(s->fates[SIM_DELIVERED], 7);
		assert_int_equal(s->fates[SIM_DEAD], 3);
		sim_free(s);

		s = sim_new(&set); /* it never took any */
		e.first_bad = 1;
		sim_rows(s, 10);
		(void)run_for(s, &e, 600 * NS_PER_S);
		assert_int_equal(sim_state(s), DELIVERY_HELD);
		assert_int_equal(s->fates[SIM_DEAD], 0);
		e.first_good = 1;
		(void)run_for(s, &e, 130 * NS_PER_S);
		assert_int_equal(s->fates[SIM_DELIVERED], 10);
		sim_free(s);
	}
}

/* A rule says how often a record may be refused alone. */
static void the_rule_of_attempts_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < REFUSALS_COUNT; i++) {
		struct dispatch_settings set = sim_defaults();
		struct refuser e = {.says = &REFUSALS[i], .first_bad = 1, .first_good = SIM_ROWS};
		struct sim *s;

		set.kspool.dead_after_attempts = 3;
		s = sim_new(&set);
		sim_rows(s, 1);
		(void)run_for(s, &e, 300 * NS_PER_S);
		assert_int_equal(s->fates[SIM_DEAD], 1);
		assert_int_equal(s->attempts[1], 3);
		sim_free(s);
	}
}

/* No input will bring one that could be taken: those before were. */
static void at_the_end_of_all_inputs_those_before_count(void **state)
{
	(void)state;
	for (size_t i = ON_THE_WAY; i < REFUSALS_COUNT; i++)
		for (int is_early = 0; is_early < 2; is_early++) {
			struct sim *s = sim_flowing_by_default();
			struct refuser e = {.says = &REFUSALS[i], .first_bad = s->next_id, .first_good = SIM_ROWS};

			sim_rows(s, 2);
			if (is_early)
				dispatch_drain(s->d);
			(void)run_for(s, &e, 30 * NS_PER_S);
			dispatch_drain(s->d);
			(void)run_for(s, &e, 130 * NS_PER_S);
			assert_int_equal(s->fates[SIM_DEAD], 2);
			sim_free(s);
		}
}

static void what_is_in_doubt_ends_by_age_and_at_a_stop(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct refuser e = {.says = &REFUSALS[6], .first_bad = 1, .first_good = SIM_ROWS};
	struct sim *s;

	(void)state;
	set.kspool.expire_after_ns = 200 * NS_PER_S;
	s = sim_new(&set);
	sim_rows(s, 3);
	(void)run_for(s, &e, 100 * NS_PER_S);
	assert_int_equal(s->d->doubts.count, 3);
	(void)run_for(s, &e, 600 * NS_PER_S);
	assert_int_equal(s->fates[SIM_EXPIRED], 3);
	sim_rows(s, 3);
	(void)run_for(s, &e, 10 * NS_PER_S);
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_takes_nothing_is_asked_seldom_and_believed_in_nothing),
	    cmocka_unit_test(who_took_others_before_is_not_believed_either),
	    cmocka_unit_test(others_that_are_taken_tell_that_it_is_the_record),
	    cmocka_unit_test(in_order_it_is_set_aside_where_others_were_taken_before),
	    cmocka_unit_test(the_rule_of_attempts_counts),
	    cmocka_unit_test(at_the_end_of_all_inputs_those_before_count),
	    cmocka_unit_test(what_is_in_doubt_ends_by_age_and_at_a_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
