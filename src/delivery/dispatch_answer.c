/* dispatch_answer: what becomes of a request; one function for each action of outcomes.def. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

static struct hold_waits hold_waits(struct dispatch *d)
{
	return (struct hold_waits){.initial_ns = d->set.probe_initial_ns,
	                           .max_ns = d->set.probe_max_ns,
	                           .random = d->ports.unit(d->ports.arg)};
}

void dispatch_hold(struct dispatch *d, enum hold_event event, bool was_probe, const char *said, const char *text)
{
	struct hold_waits waits = hold_waits(d);

	hold_fail(&d->hold, event, was_probe, said, text, &waits, d->now_ns, d->wall_ms);
	pace_restart(&d->pace, d->now_ns);
}

/* The service answers as it should, rate apart. */
static void working(struct dispatch *d)
{
	d->failures = 0;
	d->identity_failures = 0;
	hold_move(&d->hold, pace_is_throttled(&d->pace, d->now_ns) ? HOLD_THROTTLED : HOLD_ACKED, d->now_ns,
	          d->wall_ms);
}

static void back_to_ready(struct dispatch *d, struct request *q, const struct verdict *v)
{
	for (uint32_t i = q->count; i-- > 0;) {
		struct record *r = q->records[i];

		metric_add(v->outcome->metric, 1);
		if (v->outcome->may_be_stored)
			metric_add(M_POSSIBLE_DUPLICATES, record_rows(r));
		q->records[i] = NULL;
		ready_put_first(d, r);
	}
}

static void back_to_isolation(struct dispatch *d, struct request *q, const struct verdict *v)
{
	metric_add(v->outcome->metric, q->count);
	for (uint32_t i = 0; v->outcome->may_be_stored && i < q->count; i++)
		metric_add(M_POSSIBLE_DUPLICATES, record_rows(q->records[i]));
	isolate_failed(d, q, dispatch_wait_ns(d, 1, false));
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
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];

		q->records[i] = NULL;
		dispatch_again(d, r, v);
	}
}

static void act_settle(struct dispatch *d, struct request *q, const struct verdict *v)
{
	(void)d, (void)q, (void)v;
	never("a request as a whole is not settled");
}

static void act_again(struct dispatch *d, struct request *q, const struct verdict *v) { all_again(d, q, v); }

/* What x-amz-retry-after or Retry-After asks for; 0: nothing. */
static int64_t asked_ns(int64_t retry_after_ms)
{
	return retry_after_ms > 0 && retry_after_ms < INT64_MAX / NS_PER_MS ? retry_after_ms * NS_PER_MS : 0;
}

static void act_slower(struct dispatch *d, struct request *q, const struct verdict *v)
{
	metric_add(M_THROTTLED, q->count);
	pace_answered(&d->pace, d->now_ns, q->sent_ns, KINESIS_REQUEST_RECORDS, 1, d->ports.unit(d->ports.arg),
	              asked_ns(v->retry_after_ms), d->set.throttle_max_ns);
	working(d);
	all_again(d, q, v);
}

/* Credentials or the clock were wrong: corrected once for all requests of the moment, held when that does not help. */
static void act_identity(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (q->sent_ns > d->identity_event_ns || d->identity_failures == 0) {
		d->identity_event_ns = d->now_ns;
		d->identity_failures++;
	}
	keep(d, q, v);
	if (d->identity_failures >= IDENTITY_TRIES || hold_is_on(&d->hold))
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
	uint64_t half = q->put.accounted_bytes / 2;

	if (d->set.request_timeout_ns <= 0 || d->now_ns - q->sent_ns < d->set.request_timeout_ns || q->count == 1)
		return;
	if (half < REQUEST_BYTES_FLOOR)
		half = REQUEST_BYTES_FLOOR;
	if (d->link_bytes > 0 && d->link_bytes <= half)
		return;
	if (d->link_bytes == 0)
		LOG(LOG_WARN, "requests made smaller: the link is slow", LOG_U("bytes", half));
	d->link_bytes = half;
	pace_restart(&d->pace, d->now_ns);
}

static void learn_speed(struct dispatch *d, const struct request *q)
{
	if (d->set.request_timeout_ns <= 0)
		return;
	if (d->now_ns - q->sent_ns > d->set.request_timeout_ns / SLOW_PART) {
		pace_slow(&d->pace);
		return;
	}
	/* Only a request near the ceiling says that a larger one would be in time. */
	if (d->link_bytes == 0 || q->put.accounted_bytes < d->link_bytes / 2)
		return;
	d->link_bytes *= 2;
	if (d->link_bytes >= d->request_bytes)
		d->link_bytes = 0;
}

static void act_offline(struct dispatch *d, struct request *q, const struct verdict *v)
{
	/* Requests that were under way together fail together: one event. */
	if (q->sent_ns > d->failure_event_ns || d->failures == 0) {
		d->failure_event_ns = d->now_ns;
		d->failures++;
		if (d->failures == OFFLINE_AFTER - 1)
			pace_restart(&d->pace, d->now_ns + dispatch_wait_ns(d, 1, false));
	}
	if (v->outcome->scope == OUTCOME_UNKNOWN)
		learn_too_slow(d, q);
	if (v->outcome->scope == OUTCOME_UNKNOWN)
		d->ports.connections_suspect(d->ports.arg);
	all_again(d, q, v);
	if (d->failures >= OFFLINE_AFTER || hold_is_on(&d->hold))
		dispatch_hold(d, HOLD_LOST, q->probe, v->said, v->text);
}

static void act_isolate(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (d->refused < REFUSED_IN_A_ROW)
		working(d);
	isolate_refused(d, q, v);
}

static void act_shrink(struct dispatch *d, struct request *q, const struct verdict *v)
{
	uint64_t half = q->put.accounted_bytes / 2;

	if (half < REQUEST_BYTES_FLOOR)
		half = REQUEST_BYTES_FLOOR;
	working(d);
	if (q->count == 1 && v->said[0] && strcmp(v->said, "413") != 0) {
		isolate_refused(d, q, v);
		return;
	}
	if (q->count == 1) { /* something between here and the service: it may be mended */
		all_again(d, q, v);
		return;
	}
	if (half < d->request_bytes) {
		d->request_bytes = half;
		LOG(LOG_WARN, "request ceiling lowered", LOG_U("bytes", half), LOG_S("code", v->said));
	}
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
	dispatch_restore(d, q);
	actions[o->action](d, q, &v);
}

/* One entry that is an error. Returns true when it asks for the stream to be held. */
static bool entry_failed(struct dispatch *d, struct request *q, uint32_t i, const struct verdict *v)
{
	struct record *r = q->records[i];

	q->records[i] = NULL;
	if (v->outcome->action == ACTION_HOLD) {
		metric_add(v->outcome->metric, 1);
		ready_put_first(d, r);
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
		if (a->entries[i].stored) {
			dispatch_settle(d, q->records[i], SETTLE_DELIVERED, NULL, NULL, 0);
			q->records[i] = NULL;
		}
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

	dispatch_restore(d, q);
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
	              d->ports.unit(d->ports.arg), asked_ns(retry_after_ms), d->set.throttle_max_ns);
	learn_speed(d, q);
	if (a->stored > 0 || !hold.code[0])
		working(d);
	if (hold.code[0])
		dispatch_hold(d, HOLD_REFUSED, q->probe, hold.code, hold.text);
	if (q->isolation)
		isolate_answered(d, q);
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
	} ENDS[] = {
	    [AWS_ANSWERED] = {OUTCOME_UNKNOWN, ""},
	    [AWS_NOT_SENT] = {OUTCOME_NOT_SENT, "Unreachable"},
	    [AWS_UNKNOWN] = {OUTCOME_UNKNOWN, "AnswerLost"},
	    [AWS_NO_CREDENTIALS] = {OUTCOME_NO_CREDENTIALS, "NoCredentials"},
	    [AWS_CANCELLED] = {OUTCOME_CANCELLED, "Cancelled"},
	};

	if (answer->rewind_refused)
		metric_add(M_SILENT_RESENDS, 1);
	refuse_whole(d, q, outcome_find(ENDS[answer->outcome].scope, q->put.wire != PUTRECORDS_JSON, 0, "", ""),
	             ENDS[answer->outcome].said, answer->error.text, -1);
}

static void request_free(struct dispatch *d, struct request *q)
{
	for (uint32_t i = 0; i < q->count; i++)
		must(!q->records[i]);
	d->memory_bytes -= q->put.body.cap;
	putrecords_fini(&q->put);
	free(q->records);
	free(q);
}

void dispatch_answered(struct dispatch *d, struct request *q, const struct aws_answer *answer, int64_t now_ns,
                       int64_t wall_ms)
{
	d->now_ns = now_ns;
	d->wall_ms = wall_ms;
	LIST_REMOVE(q, link);
	d->in_flight--;
	metric_set(M_IN_FLIGHT, d->in_flight);
	metric_add(M_WIRE_IN, answer->body_bytes);
	metric_observe_ns(M_OUTPUT_LATENCY, now_ns - q->sent_ns);
	if (answer->outcome != AWS_ANSWERED)
		ended_without_answer(d, q, answer);
	else if (answer->status >= 200 && answer->status < 300)
		answered_200(d, q, answer);
	else
		answered_otherwise(d, q, answer);
	/* Whatever it brought, the probe is over. */
	if (q->probe && hold_is_on(&d->hold) && d->hold.probing) {
		struct hold_waits waits = hold_waits(d);

		hold_probe_again(&d->hold, &waits, now_ns);
	}
	request_free(d, q);
	if (d->stopping && d->in_flight == 0)
		hold_move(&d->hold, HOLD_STOP, now_ns, wall_ms);
}
