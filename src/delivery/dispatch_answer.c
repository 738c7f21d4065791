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

#define CUT_AT_ONCE 3.0 /* requests that the link keeps small */

static void back_to_ready(struct dispatch *d, struct request *q, const struct verdict *v)
{
	for (uint32_t i = q->count; i-- > 0;) {
		struct record *r = request_take(q, i);

		metric_add(v->outcome->metric, 1);
		if (v->outcome->may_be_stored)
			dispatch_count_possible(d, record_rows(r));
		dispatch_first(d, r);
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
	for (uint32_t i = q->count; i-- > 0;)
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
	dispatch_note_throttled(d, v->said, v->text);
	pace_answered(&d->pace, d->now_ns, q->sent_ns, KINESIS_REQUEST_RECORDS, 1, d->random,
	              dispatch_asked_ns(v->retry_after_ms), d->set.kspool.throttle_max_ns);
	dispatch_note_dry(d, q, true);
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

/* It was under way when the way fell silent: the time it took is not the line's. */
static bool was_silenced(const struct dispatch *d, const struct request *q) { return q->sent_ns < d->silenced_ns; }

static void learn_speed(struct dispatch *d, const struct request *q)
{
	int64_t timeout_ns = d->set.kspool.request_timeout_ns, took_ns = d->now_ns - q->sent_ns;

	if (timeout_ns <= 0 || was_silenced(d, q))
		return;
	if (took_ns > timeout_ns / SLOW_PART || !q->is_shared)
		pace_took(&d->pace, took_ns, q->is_shared);
	if (took_ns <= timeout_ns / SLOW_PART)
		ceiling_answered(&d->ceiling, q->put.accounted_bytes);
}

/* Nobody has been heard for long, neither by this request nor by one beside it. */
static bool is_silent(const struct dispatch *d, const struct request *q)
{
	return d->now_ns - q->sent_ns >= SILENCE_S * NS_PER_S && d->last_answer_ns <= q->sent_ns;
}

/* Nothing came of a request: the network or the service does not work. */
static void lost(struct dispatch *d, struct request *q, const char *said, const char *text)
{
	if (dispatch_fails(d, &d->offline, q) && d->offline.count == OFFLINE_AFTER - 1)
		pace_restart(&d->pace, d->now_ns + dispatch_wait_ns(d, 1, false));
	if (d->offline.count >= OFFLINE_AFTER || hold_is_on(&d->hold) || is_silent(d, q))
		dispatch_hold(d, HOLD_LOST, q->probe, said, text);
}

static void act_offline(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (v->outcome->scope == OUTCOME_UNKNOWN) {
		learn_too_slow(d, q);
		d->ports.connections_suspect(d->ports.arg);
	}
	all_again(d, q, v);
	d->is_answered = v->outcome->scope == OUTCOME_REQUEST && v->outcome->counts_as_attempt;
	lost(d, q, v->said, v->text);
}

/* It is this record, unless one after the other is, or nothing is taken at all. */
static void refused_alone(struct dispatch *d, struct request *q, const struct verdict *v)
{
	struct record *r = request_take(q, 0);

	isolate_proved(&d->isolations, q);
	if (q->isolation)
		isolate_release(&d->isolations, &d->ready, q);
	dispatch_refused_alone(d, q, r, v);
}

/* Of a request that was refused: those that probably were not why. */
static double likely_good(const struct verdict *v, uint32_t records, bool are_named)
{
	uint32_t last = 0;

	for (uint32_t i = 0; are_named && i < v->complaint->position_count; i++)
		if (v->complaint->positions[i] > last && v->complaint->positions[i] <= records)
			last = v->complaint->positions[i];
	return are_named ? last : records / 2.0;
}

static void refused_for_one(struct dispatch *d, struct request *q, const struct verdict *v)
{
	const bool is_ordinary = !q->isolation && !q->of_suspects && !q->of_doubts;
	const uint32_t records = q->count;
	bool are_named = false;

	d->turned_away++;
	if (records == 1) {
		refused_alone(d, q, v);
	} else {
		LOG_LIMITED(LOG_WARN, "request refused for one of its records", LOG_U("records", records),
		            LOG_S("code", v->said));
		are_named = isolate_refused(&d->isolations, &d->ready, q, v->complaint,
		                            d->refused >= REFUSED_IN_A_ROW / 2, d->now_ns);
		if (hold_is_on(&d->hold))
			dispatch_hold_refused(d, q, v->said);
	}
	if (is_ordinary)
		culprits_refused(&d->culprits, likely_good(v, records, are_named));
}

static void act_isolate(struct dispatch *d, struct request *q, const struct verdict *v)
{
	dispatch_note_dry(d, q, false);
	dispatch_is_there(d);
	refused_for_one(d, q, v);
}

static void act_shrink(struct dispatch *d, struct request *q, const struct verdict *v)
{
	const uint64_t lowered =
	    q->count == 1 || q->isolation || q->of_suspects ? 0 : ceiling_refused(&d->ceiling, q->put.accounted_bytes);

	if (lowered == 0) {
		dispatch_refused_on_way(d, q, v);
		return;
	}
	LOG_LIMITED(LOG_WARN, "request ceiling lowered", LOG_U("bytes", lowered), LOG_S("code", v->said));
	keep(d, q, v);
}

static void act_oversize(struct dispatch *d, struct request *q, const struct verdict *v)
{
	dispatch_is_there(d);
	if (q->count == 1) {
		refused_for_one(d, q, v);
		return;
	}
	d->turned_away++;
	act_shrink(d, q, v);
}

/* Whether it is the records nobody knows before others were taken or refused. */
static void act_suspect(struct dispatch *d, struct request *q, const struct verdict *v)
{
	dispatch_refused_on_way(d, q, v);
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
                         const char *text, const struct complaint *complaint, int64_t retry_after_ms)
{
	struct verdict v = {.outcome = o,
	                    .code = lasting_code(o),
	                    .text = text,
	                    .complaint = complaint,
	                    .retry_after_ms = retry_after_ms};

	v.said = said[0] ? said : v.code;
	metric_add(M_OUTPUT_ERROR, 1);
	LOG_LIMITED(LOG_WARN, "request failed", LOG_S("code", v.said),
	            LOG_S("reason", o->action == ACTION_ISOLATE || o->action == ACTION_OVERSIZE ? "" : text),
	            LOG_S("action", outcome_action_name(o->action)), LOG_U("records", q->count));
	request_restore(q, &d->memory_bytes);
	actions[o->action](d, q, &v);
}

/* One entry that is an error, beside some that were stored or none. Returns true when it asks for the stream to be
 * held. */
static bool entry_failed(struct dispatch *d, struct request *q, uint32_t i, const struct verdict *v, uint32_t stored)
{
	struct record *r = request_take(q, i);

	if (v->outcome->action == ACTION_HOLD) {
		metric_add(v->outcome->metric, 1);
		dispatch_first(d, r);
		return true;
	}
	if (v->outcome->action == ACTION_SETTLE && stored == 0) {
		dispatch_refused_alone(d, q, r, v);
		return false;
	}
	if (v->outcome->action == ACTION_SETTLE) {
		r->attempts++;
		dispatch_refused(d, r, v->code, v->said, v->text);
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
		if (!q->isolation && !q->of_suspects)
			culprits_taken(&d->culprits, a->stored);
		d->refused = d->turned_away = 0;
		dispatch_others_taken(d);
		d->barren.count = 0;
		d->last_ack_ns = d->now_ns;
		d->last_ack_wall_ms = d->wall_ms;
		metric_set(M_LAST_DELIVERY_MS, d->wall_ms);
	}
}

/* What the entries that are errors came to. */
struct failures {
	uint32_t throttled;
	uint32_t refused;       /* for themselves */
	struct complaint hold;  /* the newest that asks for a hold; no code: none */
	struct complaint again; /* the newest that is tried again */
};

static void settle_failed(struct dispatch *d, struct request *q, const struct answer *a, struct failures *f)
{
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
		if (v.outcome->action == ACTION_SLOWER && f->throttled++ == 0)
			dispatch_note_throttled(d, v.said, v.text);
		if (v.outcome->action == ACTION_SETTLE && f->refused++ == 0)
			d->turned_away += a->stored == 0;
		if (entry_failed(d, q, i, &v, a->stored))
			f->hold = said;
		else if (v.outcome->action == ACTION_AGAIN)
			f->again = said;
	}
}

/* No entry was stored, and none says that the service does its work: it does not, whatever the status of the answer. */
static bool is_all_lost(const struct answer *a, const struct failures *f)
{
	return a->stored == 0 && f->refused == 0 && f->again.code[0] && f->throttled * 2 < a->count;
}

/* A full size that was taken lets the next be larger. */
static void learn_size(struct dispatch *d, const struct request *q)
{
	if (q->of_suspects)
		suspects_taken(&d->suspects, q->count, d->now_ns);
	else
		ceiling_taken(&d->ceiling, q->put.accounted_bytes);
}

/* While requests themselves grow, more of them at once would be more than answers can speak for. */
static void learn_pace(struct dispatch *d, const struct request *q, int64_t retry_after_ms)
{
	double most = d->pace.window < CUT_AT_ONCE ? CUT_AT_ONCE : d->pace.window;

	pace_answered(&d->pace, d->now_ns, q->sent_ns, q->count, 0, d->random, dispatch_asked_ns(retry_after_ms),
	              d->set.kspool.throttle_max_ns);
	if (q->is_cut && d->pace.window > most)
		d->pace.window = most;
}

/* An answer that was understood: each record by its own entry, and nothing else (promise 2). */
static void settle_entries(struct dispatch *d, struct request *q, const struct answer *a, int64_t retry_after_ms)
{
	struct failures f = {0};
	bool is_one_shards;

	dispatch_note_shards(d, q, a);
	if (d->set.lanes.is_ordered)
		dispatch_lanes_check(d, q, a);
	is_one_shards = a->stored == 0 && d->ready.by_shard && dispatch_is_one_shards(d, q, a);
	settle_stored(d, q, a);
	if (a->stored < q->count)
		settle_failed(d, q, a, &f);
	dispatch_note_dry(d, q, a->stored == 0 && f.refused == 0);
	metric_add(M_THROTTLED, f.throttled);
	if (f.throttled > 0 && (d->ready.by_shard || a->stored == 0))
		pace_note(&d->pace, d->now_ns);
	learn_pace(d, q, retry_after_ms);
	learn_speed(d, q);
	learn_size(d, q);
	d->is_answered = is_all_lost(a, &f) && !is_one_shards && !f.hold.code[0];
	if (d->is_answered)
		lost(d, q, f.again.code, f.again.text);
	else if (a->stored > 0 || (!f.hold.code[0] && f.refused == 0))
		dispatch_works(d);
	else
		dispatch_is_there(d);
	if (f.hold.code[0])
		dispatch_hold(d, HOLD_REFUSED, q->probe, f.hold.code, f.hold.text);
	if (q->isolation)
		isolate_answered(&d->isolations, &d->ready, q, d->now_ns);
}

/* Who answered, when it was not the service: a status and a kind of text, never the text. */
static void tell_stranger(const struct aws_answer *answer, const char *fault, struct error *ret)
{
	struct complaint type;

	complaint_copy("", answer->content_type, &type);
	(void)error_set(ret, ERR_FORMAT,
	                "status %d with %.64s is no answer of Kinesis: a proxy, a gateway or a sign-in page?%s%.300s",
	                answer->status, type.text[0] ? type.text : "no content type", fault[0] ? " " : "", fault);
}

static void answered_200(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	bool cbor = q->put.wire != PUTRECORDS_JSON;
	struct error fault, e;
	struct answer a;

	if (answer_read(answer->body, answer->body_bytes, q->count, &a, &fault) != ERR_OK) {
		tell_stranger(answer, fault.text, &e);
		refuse_whole(d, q, outcome_find(OUTCOME_UNREADABLE, cbor, answer->status, "", ""), "", e.text, NULL,
		             -1);
		return;
	}
	settle_entries(d, q, &a, answer->retry_after_ms);
	answer_fini(&a);
}

static void answered_otherwise(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	struct complaint c;
	char said[sizeof c.code];
	struct error stranger;
	const char *text = c.text;

	complaint_read(answer->body, answer->body_bytes, answer->error_type, &c);
	if (c.code[0]) {
		memcpy(said, c.code, sizeof said);
	} else {
		(void)snprintf(said, sizeof said, "%d", answer->status);
		tell_stranger(answer, c.text, &stranger);
		text = stranger.text;
	}
	refuse_whole(d, q,
	             outcome_find(OUTCOME_REQUEST, q->put.wire != PUTRECORDS_JSON, answer->status, c.code, c.text),
	             said, text, &c, answer->retry_after_ms);
}

static void ended_without_answer(struct dispatch *d, struct request *q, const struct aws_answer *answer)
{
	static const struct {
		enum outcome_scope scope;
		const char *said;
	} ends[] = {
	    [AWS_ANSWERED] = {OUTCOME_UNKNOWN, ""},
	    [AWS_NOT_SENT] = {OUTCOME_NOT_SENT, "Unreachable"},
	    [AWS_CUT] = {OUTCOME_NOT_SENT, "Unreachable"},
	    [AWS_UNKNOWN] = {OUTCOME_UNKNOWN, "AnswerLost"},
	    [AWS_NO_CREDENTIALS] = {OUTCOME_NO_CREDENTIALS, "NoCredentials"},
	    [AWS_CANCELLED] = {OUTCOME_CANCELLED, "Cancelled"},
	};

	if (answer->rewind_refused)
		metric_add(M_SILENT_RESENDS, 1);
	refuse_whole(d, q, outcome_find(ends[answer->outcome].scope, q->put.wire != PUTRECORDS_JSON, 0, "", ""),
	             ends[answer->outcome].said, answer->error.text, NULL, -1);
}

/* What its way said of the link, whatever the answer is. */
static void learn_link(struct dispatch *d, const struct request *q, const struct aws_answer *answer)
{
	bool was_thin = d->link.is_thin;

	if (answer->outcome == AWS_ANSWERED && was_silenced(d, q))
		return;
	if (answer->outcome == AWS_ANSWERED)
		link_answered(&d->link, q->put.accounted_bytes, d->now_ns - q->sent_ns, d->requests.count + 1,
		              &answer->link);
	else if (answer->outcome == AWS_CUT || answer->outcome == AWS_UNKNOWN)
		link_lost(&d->link, q->put.accounted_bytes, d->now_ns - q->sent_ns);
	d->ceiling.way_bytes = d->link.bytes;
	if (d->link.is_thin && !was_thin)
		LOG(LOG_INFO, "the link is thin: requests go out one after the other",
		    LOG_U("bytes_per_second", (uint64_t)d->link.goodput), LOG_U("request_bytes", d->link.bytes));
}

void dispatch_answered(struct dispatch *d, struct request *q, const struct aws_answer *answer, int64_t now_ns,
                       int64_t wall_ms)
{
	dispatch_tick(d, now_ns, wall_ms);
	d->random = d->ports.unit(d->ports.arg);
	requests_end(&d->requests, q);
	if (d->set.lanes.is_ordered)
		dispatch_lanes_sent(q, -1);
	metric_set(M_IN_FLIGHT, d->requests.count);
	metric_add(M_WIRE_IN, answer->body_bytes);
	metric_observe_ns(M_OUTPUT_LATENCY, now_ns - q->sent_ns);
	learn_link(d, q, answer);
	if (answer->outcome == AWS_ANSWERED)
		d->last_answer_ns = now_ns;
	if (q->of_suspects)
		d->suspects.in_flight = false;
	if (q->hold != d->hold.number)
		q->probe = false; /* of an earlier hold: what it brings says nothing of this one's probe */
	if (answer->outcome != AWS_ANSWERED)
		ended_without_answer(d, q, answer);
	else if (answer->status == 200) /* of a part, of nothing, of something else: no other is PutRecords' answer */
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
