/*
 * dispatch_record: what becomes of one record: ready, settled, set aside, or waiting for its next try.
 *
 * Invariants:
 * 1. A tracked record's rows are all in `d->tracked`; a row leaves it with the one settlement that it gets.
 * 2. memory_bytes holds the cost of a message exactly while its record has it.
 * 3. A record ends by age only when its turn comes, never in a request under way: its answer may be lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "delivery/dispatch_internal.h"
#include "delivery/queues/unit.h"

/* What the service asks for may exceed our own wait by this much: botocore's rule for x-amz-retry-after. */
enum { RETRY_AFTER_EXCESS_S = 5 };

/* Full jitter over a base that grows as Redpanda Connect's does (1.5 times a try), or doubles for throttling. */
int64_t dispatch_wait_ns(const struct dispatch *d, uint32_t tries, bool throttled)
{
	double base = (double)d->set.output.backoff.initial_interval_ns;
	double most = (double)(throttled ? d->set.kspool.throttle_max_ns : d->set.output.backoff.max_interval_ns);
	int64_t wait;

	for (uint32_t i = 1; i < tries && base < most; i++)
		base *= throttled ? 2 : 1.5;
	if (base > most && (tries > 1 || throttled))
		base = most;
	wait = (int64_t)(d->random * base);
	return wait > NS_PER_MS ? wait : NS_PER_MS;
}

static int64_t wait_asked_for(int64_t wait_ns, int64_t retry_after_ms)
{
	int64_t asked = dispatch_asked_ns(retry_after_ms);
	int64_t most = wait_ns + RETRY_AFTER_EXCESS_S * NS_PER_S;

	if (asked <= wait_ns)
		return wait_ns;
	return asked < most ? asked : most;
}

void dispatch_settle_row(struct dispatch *d, const struct store_settlement *s, uint32_t row_bytes)
{
	if (s->kind == SETTLE_DELIVERED)
		metric_add(M_OUTPUT_SENT, 1);
	d->ports.settle(d->ports.arg, s, row_bytes);
}

static void settle_tracked(struct dispatch *d, uint64_t id, const struct store_settlement *piece)
{
	struct row *row = tracked_find(&d->tracked, id);
	struct store_settlement s;
	uint32_t row_bytes;

	must(row);
	if (!tracked_decide(row, piece->kind, piece->attempts, piece->wait_ms, piece->code,
	                    piece->reason ? mem_string(piece->reason) : NULL))
		return;
	if (row->kind == SETTLE_RETRY && row->delivered > 0)
		dispatch_count_possible(d, 1);
	s = (struct store_settlement){.id = id,
	                              .kind = row->kind,
	                              .sent = row->delivered,
	                              .attempts = row->attempts,
	                              .wait_ms = row->wait_ms,
	                              .code = row->code,
	                              .reason = row->reason};
	row_bytes = row->row_bytes;
	tracked_remove(&d->tracked, row);
	dispatch_settle_row(d, &s, row_bytes);
}

static void settle_one(struct dispatch *d, struct record *r, enum settle_kind kind, const char *code, char *reason,
                       int64_t wait_ms)
{
	struct store_settlement s = {
	    .id = r->id, .kind = kind, .attempts = r->attempts, .wait_ms = wait_ms, .code = code, .reason = reason};

	if (kind == SETTLE_DELIVERED) {
		metric_add(M_PAYLOAD_OUT, record_accounted(r));
		d->answer_delivered += record_rows(r);
		s.sent = 1;
	}
	if (r->message)
		d->memory_bytes -= message_cost(r->message);
	if (r->holds_key)
		metric_set(M_KEYS_HELD, --d->keys_held);
	if (r->lane)
		lanes_left(&d->lanes, r->lane);
	if (!r->tracked) {
		dispatch_settle_row(d, &s, r->row_bytes);
	} else {
		d->tracked_records--;
		if (!r->origin)
			settle_tracked(d, r->id, &s);
		for (uint32_t i = 0; r->origin && i < r->origin->count; i++)
			settle_tracked(d, r->origin->ids[i], &s);
		free(reason);
	}
	record_free(r);
}

void dispatch_settle(struct dispatch *d, struct record *r, enum settle_kind kind, const char *code, char *reason,
                     int64_t wait_ms)
{
	if (!r->parts) {
		settle_one(d, r, kind, code, reason, wait_ms);
		return;
	}
	if (kind == SETTLE_DELIVERED)
		dispatch_count_unit(r);
	if (r->message)
		d->memory_bytes -= message_cost(r->message);
	for (uint32_t i = 0; i < r->part_count; i++) {
		r->parts[i]->attempts = r->attempts;
		settle_one(d, r->parts[i], kind, code, reason ? mem_string(reason) : NULL, wait_ms);
	}
	r->part_count = 0;
	if (r->lane)
		lanes_left(&d->lanes, r->lane);
	free(reason);
	record_free(r);
}

void dispatch_dead(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text)
{
	/* Not the text: a refusal may quote the key. The shelf (kspool dead) has it. */
	LOG_LIMITED(LOG_WARN, "message set aside", LOG_U("id", r->id), LOG_S("code", said),
	            LOG_U("attempts", r->attempts));
	dispatch_settle(d, r, SETTLE_DEAD, code,
	                strcmp(code, said) == 0 ? mem_string(text) : mem_format("%s: %s", said, text), 0);
}

static bool has_passed(int64_t limit_ns, int64_t age_ms) { return limit_ns > 0 && age_ms >= limit_ns / NS_PER_MS; }

static void count_expired(struct dispatch *d, int64_t age_ms, uint32_t messages)
{
	d->expiry.messages += messages;
	if (age_ms > d->expiry.oldest_ms)
		d->expiry.oldest_ms = age_ms;
}

/* The rules of age over one record by itself; null when one ended it. */
static struct record *within_age(struct dispatch *d, struct record *r)
{
	int64_t expire_ns = d->set.kspool.expire_after_ns, dead_ns = d->set.kspool.dead_after_age_ns;
	int64_t age_ms = dispatch_age_ms(d, r->accepted_ms);

	/* When both have passed, the rule that would have come first. */
	if (has_passed(expire_ns, age_ms) && (dead_ns <= 0 || expire_ns <= dead_ns)) {
		count_expired(d, age_ms, record_rows(r));
		dispatch_settle(d, r, SETTLE_EXPIRED, NULL, NULL, 0);
		return NULL;
	}
	if (has_passed(dead_ns, age_ms)) {
		dispatch_dead(d, r, "TooOld", "TooOld", "kspool.dead_after_age passed before it could be delivered");
		return NULL;
	}
	return r;
}

/* A unit of which some parts are too old: the others go on. */
static struct record *unit_within_age(struct dispatch *d, struct record *unit)
{
	struct lane *l = unit->lane;
	const int64_t since_ns = unit->since_ns;
	uint32_t n, kept = 0;
	struct record **parts = unit_split(unit, &n, &d->memory_bytes), *r = NULL;

	for (uint32_t i = 0; i < n; i++)
		if ((r = within_age(d, parts[i])))
			parts[kept++] = r;
	r = kept > 0 ? dispatch_unit(d, parts, kept, l) : NULL;
	if (r)
		r->since_ns = since_ns;
	else if (l)
		lanes_left(&d->lanes, l);
	free(parts);
	return r;
}

struct record *dispatch_within_age(struct dispatch *d, struct record *r)
{
	int64_t age_ms = dispatch_age_ms(d, r->accepted_ms);

	if (!r->parts)
		return within_age(d, r);
	if (!has_passed(d->set.kspool.expire_after_ns, age_ms) && !has_passed(d->set.kspool.dead_after_age_ns, age_ms))
		return r;
	return unit_within_age(d, r);
}

bool dispatch_expire_message(struct dispatch *d, struct message *m)
{
	int64_t expire_ns = d->set.kspool.expire_after_ns, dead_ns = d->set.kspool.dead_after_age_ns;
	int64_t age_ms = dispatch_age_ms(d, m->accepted_ms);
	const struct store_settlement s = {.id = m->id, .kind = SETTLE_EXPIRED, .attempts = m->attempts};

	if (!has_passed(expire_ns, age_ms) || (dead_ns > 0 && dead_ns < expire_ns))
		return false;
	count_expired(d, age_ms, 1);
	dispatch_settle_row(d, &s, m->meta_bytes + m->body_bytes);
	message_free(m);
	return true;
}

static bool has_tries_left(const struct dispatch *d, const struct record *r)
{
	return d->set.output.max_retries == 0 || r->tries <= d->set.output.max_retries;
}

static bool is_exhausted(const struct dispatch *d, const struct record *r, int64_t active_ns, int64_t wait_ns)
{
	int64_t most_ns = d->set.output.backoff.max_elapsed_time_ns;

	if (!has_tries_left(d, r))
		return true;
	return most_ns > 0 && active_ns - r->first_failure_ns + wait_ns > most_ns;
}

/* Made of rows that are still on disk, and there is no memory to keep it. */
static bool is_too_much(const struct dispatch *d, const struct record *r)
{
	return r->tracked && !r->lane && dispatch_is_full(d);
}

/* So often it was refused that others were not. */
static bool may_be_chance(const struct dispatch *d, const struct record *r)
{
	double part = d->dry.part > SHARD_TOLERATED ? d->dry.part : SHARD_TOLERATED;

	return chance_against(part, r->tries, r->tries) < CHANCE_SURE;
}

void dispatch_again(struct dispatch *d, struct record *r, const struct verdict *v)
{
	bool throttled = v->outcome->action == ACTION_SLOWER;
	int64_t active_ns = hold_active_ns(&d->hold, d->now_ns), wait;

	metric_add(v->outcome->metric, 1);
	if (v->outcome->may_be_stored)
		dispatch_count_possible(d, record_rows(r));
	if (v->outcome->counts_as_attempt) {
		r->attempts++;
		r->tries++;
		if (r->first_failure_ns < 0)
			r->first_failure_ns = active_ns;
	}
	if (dispatch_is_dead(d, r)) {
		if (r->parts)
			dispatch_take_apart(d, r); /* it may be one of them */
		else
			dispatch_dead(d, r, v->code, v->said, v->text);
		return;
	}
	if (!r->parts && has_passed(d->set.kspool.dead_after_age_ns, dispatch_age_ms(d, r->accepted_ms))) {
		dispatch_dead(d, r, "TooOld", v->said, v->text);
		return;
	}
	/*
	 * It waits for its shard, with what else does, and is no burden to the others. Of a shard that takes nearly all
	 * it may go with the next request, until that was no chance: then the shard is limited, or nothing is known of
	 * it. Where requests are refused as a whole it is not for the record: all wait together (pace.h).
	 */
	if (has_tries_left(d, r) && !is_too_much(d, r) &&
	    (v->outcome->scope == OUTCOME_RECORD ? may_be_chance(d, r) || ready_is_limited(&d->ready, r) : throttled)) {
		r->throttled = throttled;
		if (d->stream.is_limited && !d->set.lanes.is_on && !ready_is_limited(&d->ready, r))
			ready_put_last(&d->ready, r); /* its shard may be one that takes nothing: the others first */
		else
			dispatch_first(d, r);
		return;
	}
	wait = wait_asked_for(dispatch_wait_ns(d, r->tries, throttled), v->retry_after_ms);
	if (!r->lane && ((v->outcome->counts_as_attempt && is_exhausted(d, r, active_ns, wait)) || is_too_much(d, r))) {
		dispatch_settle(d, r, SETTLE_RETRY, v->code, mem_format("%s: %s", v->said, v->text), wait / NS_PER_MS);
		return;
	}
	r->throttled = throttled;
	r->due_ns = d->now_ns + wait;
	waiting_put(&d->waiting, r);
}
