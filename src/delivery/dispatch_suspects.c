/* dispatch_suspects: records of requests that are refused on the way, whatever the size. */
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

/* In words that nobody knows, and nothing was taken since: the stream, or what is asked with. */
static bool may_be_stream(const struct dispatch *d, const struct verdict *v)
{
	return v->outcome->action == ACTION_SUSPECT && d->barren.count > 0;
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
