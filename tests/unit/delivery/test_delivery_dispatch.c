/* The dispatcher on a fake clock with a scripted sink: every outcome, partial failures, holds, probes, isolation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig/delivery_sim.h"

static void a_backlog_goes_out_in_full_requests(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 2200);
	sim_run(s);
	assert_int_equal(s->request_count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(s->requests[i]->count, 500);
	assert_true(s->due_ns <= s->now_ns + 10 * NS_PER_MS); /* the rest lingers */
	sim_advance(s, 10 * NS_PER_MS);
	sim_run(s);
	assert_int_equal(s->request_count, 5);
	assert_int_equal(s->requests[4]->count, 200);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

static void the_first_request_goes_alone(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s = sim_new(&set);

	(void)state;
	sim_rows(s, 3000);
	sim_run(s);
	assert_int_equal(sim_state(s), DELIVERY_STARTING);
	assert_int_equal(s->request_count, 1);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

static char every_third(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)i;
	return id % 3 == 0 ? 'i' : 's';
}

static void a_partial_failure_resends_exactly_the_failed_ones(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t records = s->sent_records;

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_answer(s, 0, every_third, NULL);
	assert_int_equal(sim_inside(s), 166);
	assert_true(sim_drain(s, 10 * NS_PER_S));
	assert_int_equal(s->sent_records - records, 500 + 166);
	for (uint64_t id = 1; id < s->next_id; id++)
		assert_int_equal(s->stored[id], 1);
	sim_free(s);
}

/* Answers that are not understood settle nothing, and the records come again. */
static void lies_settle_nothing(void **state)
{
	static const char *const LIES[] = {
	    "",
	    "{}",
	    "[]",
	    "<html></html>",
	    "{\"Records\":[]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"1\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"ShardId\":\"x\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"1\",\"ErrorCode\":\"x\"}]}",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"1\"}]",
	    "{\"Records\":[{\"SequenceNumber\":\"1\"},{\"SequenceNumber\":\"1\"}]} x",
	    "{\"__type\":\"InternalFailure\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
		struct sim *s = sim_flowing_by_default();

		sim_rows(s, 2);
		sim_advance(s, 20 * NS_PER_MS);
		sim_run(s);
		assert_int_equal(s->request_count, 1);
		sim_status(s, 0, 200, LIES[i]);
		assert_int_equal(sim_inside(s), 2);
		assert_true(sim_drain(s, 10 * NS_PER_S));
		sim_free(s);
	}
}

static void a_lost_answer_is_a_counted_possible_duplicate(void **state)
{
	struct sim *s = sim_flowing_by_default();
	int64_t before = metric_get(M_POSSIBLE_DUPLICATES);

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_transport(s, 0, AWS_UNKNOWN, true);
	assert_int_equal(s->suspect, 1);
	assert_true(sim_drain(s, 10 * NS_PER_S));
	assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - before, 500);
	sim_free(s);
}

static void a_bad_identity_holds_everything_and_probes_with_one_record(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t before;

	(void)state;
	sim_rows(s, 2000);
	sim_run(s);
	before = s->sent_requests;
	while (s->request_count > 0)
		sim_error(s, 0, "AccessDeniedException", "not allowed");
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	assert_string_equal(s->d->hold.code, "AccessDeniedException");
	assert_string_equal(s->d->hold.reason, "not allowed");
	assert_int_equal(sim_inside(s), 2000);
	for (int i = 0; i < 10;
	     i++) { /* an hour of refusals: one at a time, one record each, further and further apart */
		sim_run(s);
		assert_int_equal(s->request_count, 0);
		sim_advance(s, s->due_ns - s->now_ns);
		sim_run(s);
		assert_int_equal(s->request_count, 1);
		assert_int_equal(s->requests[0]->count, 1);
		sim_run(s);
		assert_int_equal(s->request_count, 1);
		sim_error(s, 0, "AccessDeniedException", "not allowed");
	}
	assert_int_equal(s->sent_requests - before, 10);
	sim_run(s);
	assert_true(s->due_ns - s->now_ns <= 60 * NS_PER_S);
	assert_true(sim_drain(s, 70 * NS_PER_S));
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	for (uint64_t id = 1; id < s->next_id; id++)
		assert_int_equal(s->attempts[id], 0);
	sim_free(s);
}

static void a_dead_network_is_asked_by_one_probe_not_by_all(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t before;

	(void)state;
	sim_rows(s, 8000);
	before = s->sent_requests;
	for (int64_t end = s->now_ns + 600 * NS_PER_S; s->now_ns < end;) {
		sim_run(s);
		while (s->request_count > 0)
			sim_transport(s, 0, AWS_NOT_SENT, false);
		sim_run(s);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
	}
	assert_int_equal(sim_state(s), DELIVERY_OFFLINE);
	assert_true(s->sent_requests - before < 40); /* two rounds of eight, then 1, 2, 4 .. 60 s apart */
	assert_int_equal(sim_inside(s), 8000);
	assert_true(sim_drain(s, 70 * NS_PER_S));
	sim_free(s);
}

static void one_failure_among_many_stops_nobody(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 4000);
	sim_run(s);
	sim_status(s, 0, 500, "{\"__type\":\"InternalFailure\",\"message\":\"x\"}");
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

static void an_expired_token_is_refreshed_and_costs_no_attempt(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 1000);
	sim_run(s);
	sim_error(s, 0, "ExpiredTokenException", "expired");
	sim_error(s, 0, "com.amazon.coral.service#ExpiredTokenException", "expired");
	assert_int_equal(s->stale, 2);
	assert_int_equal(sim_state(s), DELIVERY_FLOWING);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	for (uint64_t id = 1; id < s->next_id; id++)
		assert_int_equal(s->attempts[id], 0);
	/* Three in a row: refreshing does not help. */
	sim_rows(s, 500);
	for (int i = 0; i < 3; i++) {
		sim_run(s);
		if (s->request_count == 0) {
			sim_advance(s, s->due_ns - s->now_ns);
			sim_run(s);
		}
		sim_error(s, 0, "ExpiredTokenException", "expired");
		sim_advance(s, NS_PER_S);
	}
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

static void a_skewed_clock_is_learned_from_the_text(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_error(
	    s, 0, "InvalidSignatureException",
	    "Signature expired: 20261123T000000Z is now earlier than 20261123T005626Z (20261123T010126Z - 5 min.)");
	assert_int_equal(s->learned, 1);
	assert_true(s->learned_ms == INT64_C(1795395686000));
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

static void an_answer_in_no_known_form_under_cbor_falls_back_to_json(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.wire = PUTRECORDS_CBOR;
	s = sim_new(&set);
	sim_rows(s, 500);
	sim_run(s);
	assert_string_equal(s->requests[0]->aws.content_type, "application/x-amz-cbor-1.1");
	sim_error(s, 0, "SerializationException", "");
	sim_run(s);
	assert_string_equal(s->requests[0]->aws.content_type, "application/x-amz-json-1.1");
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

static char key_disabled(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id, (void)i;
	return 'k';
}

static void a_disabled_key_in_entries_holds_the_stream(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_answer(s, 0, key_disabled, NULL);
	assert_int_equal(sim_state(s), DELIVERY_HELD);
	assert_int_equal(sim_inside(s), 500);
	assert_true(sim_drain(s, 5 * NS_PER_S));
	sim_free(s);
}

static void budgets_that_run_out_give_records_back_with_their_attempts(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.output.max_retries = 2;
	s = sim_new(&set);
	sim_rows(s, 10);
	for (int i = 0; i < 100 && sim_inside(s) > 0; i++) {
		sim_run(s);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_throttled, NULL);
	}
	assert_int_equal(s->fates[SIM_RETRY], 10);
	for (uint64_t id = 1; id <= 10; id++) {
		assert_int_equal(s->attempts[id], 3); /* max_retries 2: three tries may fail */
		assert_true(s->wait_ms[id] > 0);
	}
	sim_free(s);
}

static void a_dead_letter_rule_counts_attempts(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.kspool.dead_after_attempts = 2;
	s = sim_new(&set);
	sim_rows(s, 1);
	for (int i = 0; i < 50 && sim_inside(s) > 0; i++) {
		sim_run(s);
		if (s->request_count == 0)
			sim_advance(s, s->due_ns - s->now_ns);
		while (s->request_count > 0)
			sim_status(s, 0, 503, "");
	}
	assert_int_equal(s->fates[SIM_DEAD], 1);
	assert_int_equal(s->attempts[1], 2);
	sim_free(s);
}

static void a_dead_letter_rule_counts_age(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.kspool.dead_after_age_ns = 3600 * NS_PER_S;
	s = sim_new(&set);
	sim_rows(s, 5);
	sim_advance(s, 3600 * NS_PER_S);
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	assert_int_equal(s->fates[SIM_DEAD], 5);
	assert_string_equal(s->dead_code, "TooOld");
	sim_free(s);
}

static char second_fails(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id;
	return i % 2 ? 'i' : 's';
}

static void a_row_of_two_records_is_delivered_when_both_are(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s = sim_new(&set);

	(void)state;
	s->pieces = 2;
	sim_rows(s, 100);
	sim_advance(s, 20 * NS_PER_MS);
	sim_run(s);
	assert_int_equal(s->requests[0]->count, 200);
	sim_answer(s, 0, second_fails, NULL);
	assert_int_equal(s->fates[SIM_DELIVERED], 0);
	assert_true(sim_drain(s, 10 * NS_PER_S));
	assert_int_equal(s->fates[SIM_DELIVERED], 100);
	assert_int_equal(s->d->tracked.count, 0);
	sim_free(s);
}

static char second_is_bad(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id;
	return i % 2 ? 'x' : 's';
}

static void a_row_with_one_dead_record_is_dead(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s = sim_new(&set);

	(void)state;
	s->pieces = 2;
	sim_rows(s, 10);
	sim_advance(s, 20 * NS_PER_MS);
	sim_run(s);
	sim_answer(s, 0, second_is_bad, NULL);
	assert_int_equal(s->fates[SIM_DEAD], 10);
	sim_free(s);
}

static void a_batching_count_is_a_ceiling(void **state)
{
	struct dispatch_settings set = sim_defaults();
	struct sim *s;

	(void)state;
	set.fills = false;
	set.policy = (struct batcher_policy){.count = 10, .period_ns = NS_PER_S};
	s = sim_new(&set);
	sim_rows(s, 95);
	for (int i = 0; i < 9; i++) {
		sim_run(s);
		while (s->request_count > 0) {
			assert_int_equal(s->requests[0]->count, 10);
			sim_answer(s, 0, sim_all_stored, NULL);
		}
	}
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	assert_true(s->due_ns > s->now_ns && s->due_ns <= s->now_ns + NS_PER_S);
	sim_advance(s, NS_PER_S);
	sim_run(s);
	assert_int_equal(s->requests[0]->count, 5);
	sim_free(s);
}

static void a_stop_sends_nothing_more_and_waits_for_answers(void **state)
{
	struct sim *s = sim_flowing_by_default();
	int64_t before = metric_get(M_POSSIBLE_DUPLICATES);

	(void)state;
	sim_rows(s, 6000);
	sim_run(s);
	assert_int_equal(s->request_count, 8);
	dispatch_stop(s->d);
	sim_run(s);
	assert_int_equal(dispatch_unanswered(s->d), 4000);
	sim_answer(s, 0, sim_all_stored, NULL);
	sim_run(s);
	assert_int_equal(s->request_count, 7);
	while (s->request_count > 0)
		sim_transport(s, 0, AWS_CANCELLED, true);
	assert_int_equal(sim_state(s), DELIVERY_STOPPED);
	assert_int_equal(sim_inside(s), 5500);
	assert_int_equal(metric_get(M_POSSIBLE_DUPLICATES) - before, 3500);
	sim_free(s);
}

static void what_was_tried_is_given_back_at_a_stop(void **state)
{
	struct sim *s = sim_flowing_by_default();
	uint64_t first = s->next_id;

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_answer(s, 0, sim_all_throttled, NULL);
	sim_rows(s, 100); /* never tried: simply pending */
	dispatch_stop(s->d);
	dispatch_park(s->d);
	assert_int_equal(s->fates[SIM_RETRY], 500);
	assert_int_equal(s->fates[SIM_RETRY] + sim_inside(s), 600);
	assert_int_equal(s->attempts[first], 1);
	sim_free(s);
}

static void requests_and_payload_are_counted(void **state)
{
	struct sim *s = sim_flowing_by_default();
	int64_t requests = metric_get(M_REQUESTS), whole = metric_get(M_OUTPUT_BATCH_SENT);
	int64_t payload = metric_get(M_PAYLOAD_OUT);

	(void)state;
	s->next_id = 10001; /* five digits, a space and a key of one byte: 7 */
	sim_rows(s, 1000);
	sim_run(s);
	assert_int_equal(metric_get(M_REQUESTS) - requests, 2);
	sim_answer(s, 0, sim_all_stored, NULL);
	assert_int_equal(metric_get(M_OUTPUT_BATCH_SENT) - whole, 1);
	assert_int_equal(metric_get(M_PAYLOAD_OUT) - payload, 500 * 7);
	sim_answer(s, 0, second_fails, NULL);
	assert_int_equal(metric_get(M_OUTPUT_BATCH_SENT) - whole, 1);
	assert_int_equal(metric_get(M_PAYLOAD_OUT) - payload, 750 * 7);
	assert_true(sim_drain(s, 30 * NS_PER_S));
	sim_free(s);
}

static void a_kick_probes_at_once(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	sim_rows(s, 500);
	sim_run(s);
	sim_error(s, 0, "ResourceNotFoundException", "no stream");
	sim_run(s);
	assert_int_equal(s->request_count, 0);
	dispatch_kick(s->d, s->now_ns);
	sim_run(s);
	assert_int_equal(s->request_count, 1);
	assert_int_equal(s->requests[0]->count, 1);
	assert_true(sim_drain(s, NS_PER_S));
	sim_free(s);
}

static void memory_is_given_back_to_the_byte(void **state)
{
	struct sim *s = sim_flowing_by_default();

	(void)state;
	assert_int_equal(s->d->memory_bytes, 0);
	sim_rows(s, 700);
	sim_run(s);
	sim_answer(s, 0, every_third, NULL);
	sim_rows(s, 300);
	sim_run(s);
	assert_true(s->d->memory_bytes > 0);
	assert_true(sim_drain(s, 30 * NS_PER_S));
	assert_int_equal(s->d->memory_bytes, 0);
	sim_free(s);
}

/* Every row of the table as a request's outcome: nothing is lost, and everything is delivered once the trouble ends. */
static void every_outcome_ends_well(void **state)
{
	size_t count;
	const struct outcome *table = outcome_table(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const struct outcome *o = &table[i];
		struct dispatch_settings set = sim_defaults();
		struct sim *s;

		if (o->scope == OUTCOME_RECORD)
			continue;
		set.wire = o->wire == OUTCOME_CBOR ? PUTRECORDS_CBOR : PUTRECORDS_JSON;
		s = sim_new(&set);
		sim_rows(s, 20);
		for (int round = 0; round < 4; round++) {
			sim_run(s);
			if (s->request_count == 0) {
				sim_advance(s, s->due_ns - s->now_ns);
				sim_run(s);
			}
			if (s->request_count == 0)
				continue;
			if (o->scope == OUTCOME_REQUEST) {
				char body[512];
				int status = o->least_status < 300    ? 404
				             : o->least_status == 300 ? 400
				                                      : o->least_status;

				if (o->code[0] == '-' ||
				    (!o->code[0] && o->action != ACTION_HOLD && o->scope == OUTCOME_REQUEST))
					body[0] = '\0';
				else
					(void)snprintf(body, sizeof body, "{\"__type\":\"%s\",\"Message\":\"%s\"}",
					               o->code[0] ? o->code : "SomethingNew", o->text);
				sim_status(s, 0, status, body);
			} else if (o->scope == OUTCOME_UNREADABLE) {
				sim_status(s, 0, 200, "{");
			} else {
				static const enum aws_outcome ENDS[] = {[OUTCOME_NOT_SENT] = AWS_NOT_SENT,
				                                        [OUTCOME_UNKNOWN] = AWS_UNKNOWN,
				                                        [OUTCOME_NO_CREDENTIALS] = AWS_NO_CREDENTIALS,
				                                        [OUTCOME_CANCELLED] = AWS_CANCELLED};

				sim_transport(s, 0, ENDS[o->scope], false);
			}
			assert_true(o->action != ACTION_HOLD || sim_state(s) == DELIVERY_HELD);
		}
		assert_true(sim_drain(s, 200 * NS_PER_S));
		assert_int_equal(s->fates[SIM_DEAD], 0);
		sim_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_backlog_goes_out_in_full_requests),
	    cmocka_unit_test(the_first_request_goes_alone),
	    cmocka_unit_test(a_partial_failure_resends_exactly_the_failed_ones),
	    cmocka_unit_test(lies_settle_nothing),
	    cmocka_unit_test(a_lost_answer_is_a_counted_possible_duplicate),
	    cmocka_unit_test(a_bad_identity_holds_everything_and_probes_with_one_record),
	    cmocka_unit_test(a_dead_network_is_asked_by_one_probe_not_by_all),
	    cmocka_unit_test(one_failure_among_many_stops_nobody),
	    cmocka_unit_test(an_expired_token_is_refreshed_and_costs_no_attempt),
	    cmocka_unit_test(a_skewed_clock_is_learned_from_the_text),
	    cmocka_unit_test(an_answer_in_no_known_form_under_cbor_falls_back_to_json),
	    cmocka_unit_test(a_disabled_key_in_entries_holds_the_stream),
	    cmocka_unit_test(budgets_that_run_out_give_records_back_with_their_attempts),
	    cmocka_unit_test(a_dead_letter_rule_counts_attempts),
	    cmocka_unit_test(a_dead_letter_rule_counts_age),
	    cmocka_unit_test(a_row_of_two_records_is_delivered_when_both_are),
	    cmocka_unit_test(a_row_with_one_dead_record_is_dead),
	    cmocka_unit_test(a_batching_count_is_a_ceiling),
	    cmocka_unit_test(a_stop_sends_nothing_more_and_waits_for_answers),
	    cmocka_unit_test(what_was_tried_is_given_back_at_a_stop),
	    cmocka_unit_test(requests_and_payload_are_counted),
	    cmocka_unit_test(a_kick_probes_at_once),
	    cmocka_unit_test(memory_is_given_back_to_the_byte),
	    cmocka_unit_test(every_outcome_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
