/* dispatch_suspects: records that are refused: on the way, whatever the size, or alone by the service itself. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

/* Suspects wait for long: they have a part of the memory, so that it never is full of them. */
static bool has_room_for_suspects(const struct dispatch *d)
{
	const struct batcher_policy *p = &d->set.policy;

	return (p->memory_count == 0 || d->suspects.count < p->memory_count / 2) &&
	       (p->cost_bytes == 0 || d->suspects.bytes < p->cost_bytes / 2);
}

/* alone: it was the whole request, which is a try of its own. */
static void suspect(struct dispatch *d, struct record *r, const struct verdict *v, bool alone)
{
	metric_add(v->outcome->metric, 1);
	if (alone && r->parts) { /* it may be one of them */
		dispatch_take_apart(d, r);
		return;
	}
	if (alone) {
		r->refused = true;
		r->attempts += v->outcome->counts_as_attempt || d->barren.count == 0; /* else it may be the stream */
		r->tries++;
	}
	if (alone && dispatch_is_dead(d, r)) {
		dispatch_dead(d, r, v->code, v->said, v->text);
		return;
	}
	suspects_put(&d->suspects, r);
	if (has_room_for_suspects(d) || d->set.lanes.is_ordered)
		return;
	r = suspects_begin_at(&d->suspects, 0);
	suspects_take(&d->suspects, r);
	dispatch_settle(d, r, SETTLE_RETRY, v->code, mem_format("%s: %s", v->said, v->text),
	                d->set.kspool.probe_max_ns / NS_PER_MS);
}

/* All that was sent since the last time is refused: there is nothing left but these. */
static void note_blocked(struct dispatch *d, const struct verdict *v, int64_t before_ns)
{
	char reason[sizeof d->hold.reason];

	if (d->suspects.wait_ns == 0 || d->last_ack_ns > before_ns)
		return;
	(void)snprintf(reason, sizeof reason, "%" PRIu32 " records are refused whatever the size of the request: %s",
	               d->suspects.count, v->text);
	hold_block(&d->hold, v->said, reason, d->now_ns, d->wall_ms);
}

/* Nothing was taken since, in words that nobody knows or so often that it costs a wait: the stream, or what is asked
 * with. */
static bool may_be_stream(const struct dispatch *d, const struct verdict *v)
{
	return d->barren.count > 0 && (v->outcome->action == ACTION_SUSPECT || d->suspects.wait_ns > 0);
}

static void hold_if_barren(struct dispatch *d, const struct request *q, const struct verdict *v)
{
	const bool was_on = hold_is_on(&d->hold);

	if (!was_on && d->barren.count < OFFLINE_AFTER)
		return;
	dispatch_hold(d, HOLD_REFUSED, q->probe, v->said, v->text);
	if (!was_on && q->of_suspects) {
		d->untried = d->hold.number;
		d->others = 0;
	}
}

static void suspects_again(struct dispatch *d, struct request *q, const struct verdict *v)
{
	struct hold_waits waits = dispatch_hold_waits(d);
	int64_t before_ns = d->suspects.refused_ns;

	for (uint32_t i = 0; i < q->count; i++)
		suspect(d, request_take(q, i), v, q->count == 1);
	suspects_refused(&d->suspects, q->count, &waits, d->now_ns);
	if (may_be_stream(d, v))
		(void)dispatch_fails(d, &d->barren, q);
	else
		note_blocked(d, v, before_ns);
	hold_if_barren(d, q, v);
}

/*
 * A suspect keeps its key's place, and its key waits for it. Of several of a key each goes by itself now: which of them
 * it is nobody knows, and none may go past another.
 */
static void all_are_suspects(struct dispatch *d, struct request *q, const struct verdict *v)
{
	bool together[KINESIS_REQUEST_RECORDS] = {false};
	const bool alone = q->count == 1;

	for (uint32_t i = 0; i < q->count; i++)
		together[i] = q->records[i]->lane && q->records[i]->lane->out > 1;
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = request_take(q, i);

		if (!together[i]) {
			suspect(d, r, v, alone);
			continue;
		}
		metric_add(v->outcome->metric, 1);
		lanes_put_by_itself(&d->lanes, r->lane, r);
	}
}

void dispatch_refused_on_way(struct dispatch *d, struct request *q, const struct verdict *v)
{
	if (q->of_suspects) {
		suspects_again(d, q, v);
		return;
	}
	if (q->isolation)
		isolate_release(&d->isolations, &d->ready, q);
	else
		culprits_refused(&d->culprits, q->count / 2.0);
	suspects_begin(&d->suspects, q->count, d->now_ns);
	all_are_suspects(d, q, v);
	(void)dispatch_fails(d, &d->barren, q);
	hold_if_barren(d, q, v);
}

/* Others have their turn before it is asked about again; in order, those of other keys. */
static void back_behind_others(struct dispatch *d, struct record *r, const struct verdict *v)
{
	const int64_t wait_ns = d->set.kspool.probe_max_ns;

	if (r->lane || r->parts) {
		r->due_ns = d->now_ns + wait_ns;
		waiting_put(&d->waiting, r);
		return;
	}
	dispatch_settle(d, r, SETTLE_RETRY, v->code, mem_format("%s: %s", v->said, v->text), wait_ns / NS_PER_MS);
}

static bool has_room(const struct dispatch *d)
{
	const uint64_t most = d->set.policy.cost_bytes;

	return d->doubts.count < DOUBTS_MOST && (most == 0 || d->doubts.bytes < most / 4);
}

/* Others may not go past it, or none will come: where some were taken before, few are refused for what they are. */
static bool tells_nobody_more(const struct dispatch *d)
{
	const bool is_last = d->phase == DISPATCH_DRAINING || (d->lanes.records > 0 && d->set.lanes.is_ordered);

	return is_last && d->last_ack_ns > 0 && d->refused <= REFUSED_IN_A_ROW;
}

/* Others are taken, so it is the record; or nothing is set aside for it anyway, or by a rule. */
static bool is_settled(const struct dispatch *d, const struct request *q, const struct record *r)
{
	if (q->of_doubts && (!q->probe || tells_nobody_more(d)))
		return true;
	if (dispatch_is_dead(d, r) && !r->parts)
		return true;
	if (d->refused > REFUSED_IN_A_ROW)
		return false;
	if (r->parts || (r->lane && d->set.kspool.order_poison == ORDER_HOLDS_KEY))
		return true;
	return q->count == 1 && d->turned_away == 1 && d->last_ack_ns > 0 && !hold_is_on(&d->hold);
}

void dispatch_hold_refused(struct dispatch *d, const struct request *q, const char *said)
{
	const struct hold_waits waits = dispatch_hold_waits(d);

	dispatch_hold(d, HOLD_REFUSED, q && q->probe, said,
	              "what it is asked with is refused and nothing accepted: each probe asks about another record");
	if (d->untried != d->hold.number) {
		d->untried = d->hold.number;
		d->others = d->refused > REFUSED_IN_A_ROW ? REFUSED_IN_A_ROW : 0;
	}
	/* It took something once: among many that are refused a good one may be near. */
	if (d->last_ack_ns > 0 && d->refused > REFUSED_IN_A_ROW && d->refused < REFUSED_ASKED_SOON &&
	    !(q && q->of_doubts))
		hold_ask_soon(&d->hold, &waits, d->now_ns);
}

static void doubt(struct dispatch *d, struct record *r, const struct verdict *v)
{
	struct doubt_words words = {.code = v->code};

	(void)snprintf(words.said, sizeof words.said, "%s", v->said);
	(void)snprintf(words.text, sizeof words.text, "%s", v->text);
	doubts_put(&d->doubts, r, &words, d->hold.number);
}

void dispatch_others_taken(struct dispatch *d)
{
	struct doubt_words words;
	struct record *r;

	if (hold_is_on(&d->hold) || d->doubts.hold != d->hold.number) {
		doubts_settle(&d->doubts);
		return;
	}
	while ((r = doubts_take_fresh(&d->doubts, &words)))
		dispatch_refused(d, r, words.code, words.said, words.text);
}

void dispatch_refused_alone(struct dispatch *d, struct request *q, struct record *r, const struct verdict *v)
{
	d->refused += !q->of_doubts;
	r->attempts++;
	(void)snprintf(d->doubted_code, sizeof d->doubted_code, "%s", v->said);
	if (is_settled(d, q, r)) {
		dispatch_refused(d, r, v->code, v->said, v->text);
	} else if ((d->refused <= REFUSED_IN_A_ROW || q->of_doubts) && has_room(d)) {
		doubt(d, r, v);
	} else {
		back_behind_others(d, r, v);
	}
	if (d->refused > REFUSED_IN_A_ROW || hold_is_on(&d->hold))
		dispatch_hold_refused(d, q, v->said);
}

void dispatch_doubts_tend(struct dispatch *d)
{
	if (d->doubts.count == 0 || d->doubts.due_count > 0 || d->requests.count > 0 || d->phase == DISPATCH_STOPPING ||
	    hold_is_on(&d->hold) || dispatch_held(d) > d->doubts.count + d->lanes.records ||
	    lanes_due_ns(&d->lanes) != INT64_MAX)
		return;
	if (tells_nobody_more(d))
		doubts_settle(&d->doubts);
	else
		dispatch_hold_refused(d, NULL, d->doubted_code);
}
