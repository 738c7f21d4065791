/*
 * dispatch_answer: what becomes of a request; one function for each action of outcomes.def.
 *
 * Invariants:
 * 1. A record is settled DELIVERED by its own entry in an answer that was understood, and nowhere else (promise 2).
 * 2. When an action returns, no record is left in the request: each was settled, or is in one queue again.
 * 3. Whatever failed and may have been stored is counted before it can be sent again (promise 7).
 * 4. After an isolation's request was answered, `isolation` is null: the group ended, or knows that nothing is in
 * flight.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

static void back_to_ready(struct dispatch *d, struct request *q, const struct verdict *v)
{
	for (uint32_t i = q->count; i-- > 0;) {
		struct record *r = request_take(q, i);

		metric_add(v->outcome->metric, 1);
		if (v->outcome->may_be_stored)
			dispatch_count_possible(d, record_rows(r));
		ready_put_first(&d->ready, r);
	}
}

static void back_to_isolation(struct dispatch *d, struct request *q, const struct verdict *v)
{
	metric_add(v->outcome->metric, q->count);
	for (uint32_t i = 0; v->outcome->may_be_stored && i < q->count; i++)
		dispatch_count_possible(d, record_rows(q->records[i]));
	isolate_failed(&d->isolations, q, d->now_ns + dispatch_wait_ns(d, 1, false));
}

/* Puts records back where they came from: an isolation keeps its own. */
static void keep(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (q->isolation)
		back_to_isolation(d, q, v);
	else
		back_to_ready(d, q, v);
}

static void all_again(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (q->isolation) {
		back_to_isolation(d, q, v);
		return;
	}
	for (uint32_t i = 0; i < q->count; i++)
		dispatch_again(d, request_take(q, i), v);
}

static void act_settle(struct dispatch *d, struct request *q, const struct verdict *v)
{
	(void)d, (void)q, (void)v;
	never("a request as a whole is not settled");
}

static void act_again(struct dispatch *d, struct request *q, const struct verdict *v) { all_again(d, q, v); }

static void act_slower(struct dispatch *d, struct request *q, const struct verdict *v)
{
	metric_add(M_THROTTLED, q->count);
	pace_answered(&d->pace, d->now_ns, q->sent_ns, KINESIS_REQUEST_RECORDS, 1, d->ports.unit(d->ports.arg),
	              dispatch_asked_ns(v->retry_after_ms), d->set.kspool.throttle_max_ns);
	dispatch_works(d);
	all_again(d, q, v);
}

/* Credentials or the clock were wrong: corrected once for all requests of the moment, held when that does not help. */
static void act_identity(struct dispatch *d, struct request *q, const struct verdict *v)
{
	(void)dispatch_fails(d, &d->identity, q);
	keep(d, q, v);
	if (d->identity.count >= IDENTITY_TRIES || hold_is_on(&d->hold))
		dispatch_hold(d, HOLD_REFUSED, q->probe, v->said, v->text);
	else
		pace_restart(&d->pace, d->now_ns + PACE_PAUSE_FIRST_NS);
}

static void act_refresh(struct dispatch *d, struct request *q, const struct verdict *v)
{
	d->ports.credentials_stale(d->ports.arg);
	act_identity(d, q, v);
}

static void act_skew(struct dispatch *d, struct request *q, const struct verdict *v)
{
	int64_t server_ms;

	if (complaint_server_time(v->text, &server_ms))
		d->ports.clock_learn(d->ports.arg, server_ms);
	act_identity(d, q, v);
}

static void act_hold(struct dispatch *d, struct request *q, const struct verdict *v)
{
	keep(d, q, v);
	dispatch_hold(d, HOLD_REFUSED, q->probe, v->said, v->text);
}

static void act_renew(struct dispatch *d, struct request *q, const struct verdict *v)
{
	d->ports.credentials_stale(d->ports.arg);
	act_hold(d, q, v);
}

/*
 * A request that was out for all its time, and was not small: the link may be too slow for it, and then it would be for
 * each of its kind. The next ones are half as large, one at a time; what is answered quickly lets them grow again.
 */
static void learn_too_slow(struct dispatch *d, const struct request *q)
{
	int64_t timeout_ns = d->set.kspool.request_timeout_ns;
	bool is_first = d->ceiling.link_bytes == 0;

	if (timeout_ns <= 0 || d->now_ns - q->sent_ns < timeout_ns || q->count == 1 ||
	    !ceiling_timed_out(&d->ceiling, q->put.accounted_bytes))
		return;
	if (is_first)
		LOG(LOG_WARN, "requests made smaller: the link is slow", LOG_U("bytes", d->ceiling.link_bytes));
	pace_restart(&d->pace, d->now_ns);
}

static void learn_speed(struct dispatch *d, const struct request *q)
{
	int64_t timeout_ns = d->set.kspool.request_timeout_ns;

	if (timeout_ns <= 0)
		return;
	if (d->now_ns - q->sent_ns > timeout_ns / SLOW_PART)
		pace_slow(&d->pace);
	else
		ceiling_answered(&d->ceiling, q->put.accounted_bytes);
}

static void act_offline(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (dispatch_fails(d, &d->offline, q) && d->offline.count == OFFLINE_AFTER - 1)
		pace_restart(&d->pace, d->now_ns + dispatch_wait_ns(d, 1, false));
	if (v->outcome->scope == OUTCOME_UNKNOWN) {
		learn_too_slow(d, q);
		d->ports.connections_suspect(d->ports.arg);
	}
	all_again(d, q, v);
	if (d->offline.count >= OFFLINE_AFTER || hold_is_on(&d->hold))
		dispatch_hold(d, HOLD_LOST, q->probe, v->said, v->text);
}

/* Refused alone: it is this record, unless one after the other is. */
static void refused_alone(struct dispatch *d, struct request *q, const struct verdict *v)
{
	struct record *r = request_take(q, 0);

	if (q->isolation)
		isolate_release(&d->isolations, &d->ready, q);
	if (d->refused < REFUSED_IN_A_ROW) {
		d->refused++;
		r->attempts++;
		dispatch_dead(d, r, v->code, v->said, v->text);
		return;
	}
	ready_put_first(&d->ready, r);
	dispatch_hold(d, HOLD_REFUSED, q->probe, v->said,
	              "record after record is refused and none accepted: it is not the records");
}

static void refused_for_one(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (q->count == 1) {
		refused_alone(d, q, v);
		return;
	}
	LOG_LIMITED(LOG_WARN, "request refused for one of its records", LOG_U("records", q->count),
	            LOG_S("code", v->said));
	isolate_refused(&d->isolations, &d->ready, q, v->text, d->now_ns);
}

static void act_isolate(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (d->refused < REFUSED_IN_A_ROW)
		dispatch_works(d);
	refused_for_one(d, q, v);
}

static void act_shrink(struct dispatch *d, struct request *q, const struct verdict *v)
{
	uint64_t lowered;

	dispatch_works(d);
	if (q->count == 1 && v->said[0] && strcmp(v->said, "413") != 0) {
		refused_for_one(d, q, v);
		return;
	}
	if (q->count == 1) { /* something between here and the service: it may be mended */
		all_again(d, q, v);
		return;
	}
	lowered = ceiling_refused(&d->ceiling, q->put.accounted_bytes);
	if (lowered > 0)
		LOG(LOG_WARN, "request ceiling lowered", LOG_U("bytes", lowered), LOG_S("code", v->said));
	keep(d, q, v);
}

static void act_fallback(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (d->wire != PUTRECORDS_JSON) {
		d->wire = PUTRECORDS_JSON;
		metric_add(M_FALLBACK_JSON, 1);
		LOG(LOG_WARN, "wire format falls back to json", LOG_S("code", v->said), LOG_S("reason", v->text));
	}
	keep(d, q, v);
}

static void (*const actions[])(struct dispatch *, struct request *, const struct verdict *) = {
#define ACTION(name, word, function) [ACTION_##name] = function,
#include "kinesis/outcomes.def"
};

/* The word that goes into the journal: the table's own code, or what kind of failure it was. */
static const char *lasting_code(const struct outcome *o)
{
	static const char *const scopes[] = {
	    [OUTCOME_RECORD] = "OtherError",           [OUTCOME_REQUEST] = "HttpError",
	    [OUTCOME_UNREADABLE] = "AnswerUnreadable", [OUTCOME_NOT_SENT] = "Unreachable",
	    [OUTCOME_UNKNOWN] = "AnswerLost",          [OUTCOME_NO_CREDENTIALS] = "NoCredentials",
	    [OUTCOME_CANCELLED] = "Cancelled",
	};

	return o->code[0] && o->code[0] != '-' ? o->code : scopes[o->scope];
}

static void refuse_whole(struct dispatch *d, struct request *q, const struct outcome *o, const char *said,
                         const char *text, int64_t retry_after_ms)
{
	struct verdict v = {.outcome = o, .code = lasting_code(o), .text = text, .retry_after_ms = retry_after_ms};

	v.said = said[0] ? said : v.code;
	metric_add(M_OUTPUT_ERROR, 1);
	LOG_LIMITED(LOG_WARN, "request failed", LOG_S("code", v.said),
	            LOG_S("reason", o->action == ACTION_ISOLATE || o->action == ACTION_SHRINK ? "" : text),
	            LOG_S("action", outcome_action_name(o->action)), LOG_U("records", q->count));
	request_restore(q, &d->memory_bytes);
	actions[o->action](d, q, &v);
}

/* One entry that is an error. Returns true when it asks for the stream to be held. */
static bool entry_failed(struct dispatch *d, struct request *q, uint32_t i, const struct verdict *v)
{
	struct record *r = request_take(q, i);

	if (v->outcome->action == ACTION_HOLD) {
		metric_add(v->outcome->metric, 1);
		ready_put_first(&d->ready, r);
		return true;
	}
	if (v->outcome->action == ACTION_SETTLE) {
		r->attempts++;
		dispatch_dead(d, r, v->code, v->said, v->text);
		return false;
	}
	dispatch_again(d, r, v);
	return false;
}

static void settle_stored(struct dispatch *d, struct request *q, const struct answer *a)
{
	for (uint32_t i = 0; i < q->count; i++)
		if (a->entries[i].stored)
			dispatch_settle(d, request_take(q, i), SETTLE_DELIVERED, NULL, NULL, 0);
	if (a->stored == q->count)
		metric_add(M_OUTPUT_BATCH_SENT, 1);
	if (a->stored > 0) {
		d->refused = 0;
		d->last_ack_wall_ms = d->wall_ms;
		metric_set(M_LAST_DELIVERY_MS, d->wall_ms);
	}
}

/* Deals with the entries that are errors; returns how many were throttled. *ret_hold: the last that asks for a hold. */
static uint32_t settle_failed(struct dispatch *d, struct request *q, const struct answer *a, struct complaint *ret_hold)
{
	uint32_t throttled = 0;

	request_restore(q, &d->memory_bytes);
	for (uint32_t i = q->count; i-- > 0;) {
		struct complaint said;
		struct verdict v = {.retry_after_ms = -1};

		if (!q->records[i])
			continue;
		complaint_copy(answer_code(a, i), answer_text(a, i), &said);
		v.outcome = outcome_find(OUTCOME_RECORD, false, 0, said.code, said.text);
		v.code = lasting_code(v.outcome);
		v.said = said.code;
		v.text = said.text;
		throttled += v.outcome->action == ACTION_SLOWER;
		if (entry_failed(d, q, i, &v))
			*ret_hold = said;
	}
	return throttled;
}

/* An answer that was understood: each record by its own entry, and nothing else (promise 2). */
static void settle_entries(struct dispatch *d, struct request *q, const struct answer *a, int64_t retry_after_ms)
{
	struct complaint hold = {0};
	uint32_t throttled = 0;

	settle_stored(d, q, a);
	if (a->stored < q->count)
		throttled = settle_failed(d, q, a, &hold);
	metric_add(M_THROTTLED, throttled);
	pace_answered(&d->pace, d->now_ns, q->sent_ns, q->count, (double)throttled / q->count,
	              d->ports.unit(d->ports.arg), dispatch_asked_ns(retry_after_ms), d->set.kspool.throttle_max_ns);
	learn_speed(d, q);
	if (a->stored > 0 || !hold.code[0])
		dispatch_works(d);
	if (hold.code[0])
		dispatch_hold(d, HOLD_REFUSED, q->probe, hold.code, hold.text);
	if (q->isolation)
		isolate_answered(&d->isolations, &d->ready, q, d->now_ns);
}

static void answered_200(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	bool cbor = q->put.wire != PUTRECORDS_JSON;
	struct answer a;
	struct error e;

	if (answer_read(answer->body, answer->body_bytes, q->count, &a, &e) != ERR_OK) {
		refuse_whole(d, q, outcome_find(OUTCOME_UNREADABLE, cbor, answer->status, "", ""), "", e.text, -1);
		return;
	}
	settle_entries(d, q, &a, answer->retry_after_ms);
	answer_fini(&a);
}

static void answered_otherwise(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	struct complaint c;
	char said[sizeof c.code];

	complaint_read(answer->body, answer->body_bytes, answer->error_type, &c);
	if (c.code[0])
		memcpy(said, c.code, sizeof said);
	else
		(void)snprintf(said, sizeof said, "%d", answer->status);
	refuse_whole(d, q,
	             outcome_find(OUTCOME_REQUEST, q->put.wire != PUTRECORDS_JSON, answer->status, c.code, c.text),
	             said, c.text, answer->retry_after_ms);
}

static void ended_without_answer(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	static const struct {
		enum outcome_scope scope;
		const char *said;
	} ends[] = {
	    [AWS_ANSWERED] = {OUTCOME_UNKNOWN, ""},
	    [AWS_NOT_SENT] = {OUTCOME_NOT_SENT, "Unreachable"},
	    [AWS_UNKNOWN] = {OUTCOME_UNKNOWN, "AnswerLost"},
	    [AWS_NO_CREDENTIALS] = {OUTCOME_NO_CREDENTIALS, "NoCredentials"},
	    [AWS_CANCELLED] = {OUTCOME_CANCELLED, "Cancelled"},
	};

	if (answer->rewind_refused)
		metric_add(M_SILENT_RESENDS, 1);
	refuse_whole(d, q, outcome_find(ends[answer->outcome].scope, q->put.wire != PUTRECORDS_JSON, 0, "", ""),
	             ends[answer->outcome].said, answer->error.text, -1);
}

void dispatch_answered(struct dispatch *d, struct request *q, const struct aws_answer *answer, int64_t now_ns,
                       int64_t wall_ms)
{
	dispatch_tick(d, now_ns, wall_ms);
	requests_end(&d->requests, q);
	metric_set(M_IN_FLIGHT, d->requests.count);
	metric_add(M_WIRE_IN, answer->body_bytes);
	metric_observe_ns(M_OUTPUT_LATENCY, now_ns - q->sent_ns);
	if (answer->outcome != AWS_ANSWERED)
		ended_without_answer(d, q, answer);
	else if (answer->status >= 200 && answer->status < 300)
		answered_200(d, q, answer);
	else
		answered_otherwise(d, q, answer);
	must(!q->isolation);
	if (d->ports.flight)
		flight_end(d->ports.flight, q->messages, d->answer_delivered, d->answer_possible);
	d->answer_delivered = d->answer_possible = 0;
	dispatch_probe_over(d, q);
	request_free(q, &d->memory_bytes);
	if (d->phase == DISPATCH_STOPPING && d->requests.count == 0)
		hold_move(&d->hold, HOLD_STOP, now_ns, wall_ms);
}
