/* Age: what ends a message for it, when, and what clocks that jump may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

#define HOUR_MS INT64_C(3600000)

static struct sim *expiring(int64_t after_ns)
{
	struct dispatch_settings set = sim_defaults();

	set.kspool.expire_after_ns = after_ns;
	return sim_flowing(&set);
}

static void off_by_default(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows_aged(s, 10, 1000 * HOUR_MS);
	assert_true(sim_drain(s, NS_PER_S));
	assert_int_equal(s->fates[SIM_EXPIRED], 0);
	sim_free(s);
}

static void what_is_too_old_when_its_turn_comes_expires(void **state)
{
	struct sim *s = expiring(3600 * NS_PER_S);

	(void)state;
	sim_rows_aged(s, 300, HOUR_MS);
	sim_rows_aged(s, 100, HOUR_MS - 1);
	sim_rows_aged(s, 3000, 2 * HOUR_MS); /* whole batches: the next one's turn comes at once */
	sim_rows(s, 50);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 3300);
	while (s->request_count > 0)
		sim_answer(s, 0, sim_all_stored, NULL);
	assert_int_equal(sim_inside(s), 0);
	assert_int_equal(s->fates[SIM_DEAD], 0);
	assert_int_equal(s->d->memory_bytes, 0);
	assert_int_equal(s->d->expiry.messages, 0); /* logged */
	sim_free(s);
}

static void a_retry_expires_at_its_turn_not_before(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);

	(void)state;
	sim_rows(s, 20);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	sim_answer(s, 0, sim_all_throttled, NULL);
	sim_advance(s, 20 * NS_PER_S);
	assert_int_equal(sim_inside(s), 20);
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	assert_int_equal(s->fates[SIM_EXPIRED], 20);
	sim_free(s);
}

static void a_held_stream_expires_at_the_probe_and_asks_with_the_young(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);
	uint64_t young;

	(void)state;
	sim_rows(s, 1200);
	sim_run(s);
	while (s->request_count > 0)
		sim_error(s, 0, "AccessDeniedException", "no");
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	sim_advance(s, 30 * NS_PER_S);
	young = s->next_id;
	sim_rows(s, 5);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 1200);
	assert_int_equal(s->request_count, 1);
	assert_int_equal(s->requests[0]->records[0]->id, young);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	assert_int_equal(s->fates[SIM_EXPIRED], 1200);
	sim_free(s);
}

static void a_request_under_way_never_expires(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);
	int64_t before = metric_get(M_POSSIBLE_DUPLICATES);

	(void)state;
	sim_rows(s, 1000);
	sim_run(s);
	assert_int_equal(s->request_count, 2);
	sim_advance(s, 60 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 0);
	sim_transport(s, 0, AWS_UNKNOWN, true); /* it may be there: counted, and its next turn comes */
	sim_answer(s, 0, sim_all_stored, NULL);
	assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - before, 500);
	sim_advance(s, 60 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 500);
	assert_int_equal(sim_inside(s), 0);
	sim_free(s);
}

static void suspects_expire_too(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_error(s, 0, "ValidationException", "no");
	sim_advance(s, 60 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	assert_int_equal(s->fates[SIM_EXPIRED], 500);
	assert_int_equal(s->d->isolations.records, 0);
	sim_free(s);
}

static void a_clock_set_forward_expires_nobody(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);

	(void)state;
	sim_rows(s, 100);
	s->wall_ms += 1000 * HOUR_MS;
	sim_rows(s, 100);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	assert_int_equal(s->fates[SIM_EXPIRED], 0);
	sim_free(s);
}

static void a_clock_set_back_keeps_nobody(void **state)
{
	static const int64_t steps[] = {-2000, -1000 * HOUR_MS, 1000 * HOUR_MS};

	(void)state;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct sim *s = expiring(10 * NS_PER_S);

		sim_rows(s, 100);
		dispatch_kick(s->d, s->now_ns);
		sim_run(s);
		sim_answer(s, 0, sim_all_throttled, NULL);
		s->wall_ms += steps[i];
		sim_advance(s, 20 * NS_PER_S);
		sim_run(s);
		assert_int_equal(s->fates[SIM_EXPIRED], 100);
		sim_free(s);
	}
}

/* One piece of each row is stored, the others wait until they are too old. */
static void a_row_ends_as_expired_when_a_piece_of_it_does(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);

	(void)state;
	s->pieces = 3;
	sim_rows(s, 10);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	char first_is_stored(void *arg, uint64_t id, uint32_t i)
	{
		(void)arg, (void)id;
		return i % 3 == 0 ? 's' : 't';
	}
	sim_answer(s, 0, first_is_stored, NULL);
	sim_advance(s, 60 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 10);
	assert_int_equal(s->d->tracked.count, 0);
	sim_free(s);
}

static void the_rule_that_comes_first_decides(void **state)
{
	struct sim *s = expiring(10 * NS_PER_S);

	(void)state;
	s->set.kspool.dead_after_age_ns = 5 * NS_PER_S;
	dispatch_configure(s->d, &s->set);
	sim_rows_aged(s, 10, HOUR_MS);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	assert_int_equal(s->fates[SIM_DEAD], 10);
	s->set.kspool.dead_after_age_ns = 20 * NS_PER_S;
	dispatch_configure(s->d, &s->set);
	sim_rows_aged(s, 10, HOUR_MS);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	assert_int_equal(s->fates[SIM_EXPIRED], 10);
	sim_free(s);
}

static void time_before_a_restart_counts_for_the_period(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.fills = false;
	set.policy = (struct batcher_policy){.count = 100, .period_ns = 60 * NS_PER_S};
	s = sim_new(&set);
	sim_rows_aged(s, 1, 59000);
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	sim_advance(s, NS_PER_S);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(off_by_default),
	    cmocka_unit_test(what_is_too_old_when_its_turn_comes_expires),
	    cmocka_unit_test(a_retry_expires_at_its_turn_not_before),
	    cmocka_unit_test(a_held_stream_expires_at_the_probe_and_asks_with_the_young),
	    cmocka_unit_test(a_request_under_way_never_expires),
	    cmocka_unit_test(suspects_expire_too),
	    cmocka_unit_test(a_clock_set_forward_expires_nobody),
	    cmocka_unit_test(a_clock_set_back_keeps_nobody),
	    cmocka_unit_test(a_row_ends_as_expired_when_a_piece_of_it_does),
	    cmocka_unit_test(the_rule_that_comes_first_decides),
	    cmocka_unit_test(time_before_a_restart_counts_for_the_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
