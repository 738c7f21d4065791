/*
 * dispatch_lanes: a key's messages in their order, or several of them as one.
 *
 * Invariants:
 * 1. In order a key has at most one request with records of it under way, and nothing newer of it is sent before all of
 *    these have their end.
 * 2. What was sent once is sent again as it was: a unit changes only by kspool's own rules of age, or is taken apart
 *    when it is refused for itself.
 * 3. In order a row that goes back to disk keeps its place: those of its key behind it go back too, or wait. What its
 *    shard has on disk of a key is newer than what its lane has there.
 * 4. In order nothing is given back with a time to wait (SETTLE_RETRY): the journal would send others before it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"
#include "delivery/queues/unit.h"

enum {
	UNIT_PARTS = 4096,
	LANE_PART = 16,    /* of the memory: what one key may have in it */
	TENDED_LANES = 64, /* looked after at once */
	FETCH_MOST = 256,  /* rows of a key asked back at once */
};
#define ORDERED_UNIT_BYTES (UINT64_C(256) << 10) /* of a key that waits for its answers; a bucket of 1/4 s has room */
#define TEND_NS (INT64_C(100) * NS_PER_MS)

static uint64_t memory_bytes(const struct dispatch *d) { return 2 * d->set.policy.cost_bytes; }

static uint64_t lane_most(const struct dispatch *d)
{
	uint64_t most = memory_bytes(d) / LANE_PART;

	return most == 0 || d->set.lanes.is_total ? UINT64_MAX : most;
}

static uint64_t most_unit_bytes(const struct dispatch *d)
{
	uint64_t most = d->set.lanes.target_bytes, limit = d->set.kspool.max_record_bytes_bytes;

	if (d->set.lanes.is_ordered && most < ORDERED_UNIT_BYTES)
		most = ORDERED_UNIT_BYTES;
	return most < limit ? most : limit;
}

void dispatch_lanes_begin(struct dispatch *d)
{
	struct error e;

	lanes_init(&d->lanes, &d->set.lanes);
	if (d->set.lanes.aggregates)
		must(aggregate_writer_new(&d->aggregates, &e) == ERR_OK); /* delivery_start tried */
}

void dispatch_lanes_end(struct dispatch *d)
{
	lanes_fini(&d->lanes);
	aggregate_writer_free(d->aggregates);
}

bool dispatch_lanes_give(struct dispatch *d, bool force)
{
	struct lane *l = lanes_next(&d->lanes, d->now_ns, force);
	struct record *taken[UNIT_PARTS];
	uint32_t n;
	bool joins;

	if (!l)
		return false;
	joins = d->set.lanes.aggregates && TAILQ_FIRST(&l->queue)->id > l->plain_to;
	n = lanes_take(&d->lanes, l, most_unit_bytes(d), taken, UNIT_PARTS);
	if (joins) {
		struct record *r = dispatch_unit(d, taken, n, taken[0]->lane);

		dispatch_put_ready(d, r);
		return true;
	}
	for (uint32_t i = 0; i < n; i++)
		dispatch_put_ready(d, taken[i]);
	return true;
}

/* A key with much waits on disk with what is newest; the others are read past it. */
static void keep_in_bounds(struct dispatch *d, struct lane *l)
{
	uint64_t most = lane_most(d);

	while (l->cost > most && l->count > 1) {
		struct record *r = lanes_take_newest(&d->lanes, l);

		if (!dispatch_may_park(d, r)) {
			lanes_put(&d->lanes, l, r, false);
			return;
		}
		dispatch_put_away(d, l, r);
	}
}

void dispatch_lane_put(struct dispatch *d, struct record *r)
{
	struct lane *l = lanes_find(&d->lanes, r);
	bool is_its = l && lanes_remove_away(&d->lanes, l, r->id), may_park;

	r->is_back = dispatch_is_asked(d, r) || is_its;
	may_park = !is_its && dispatch_may_park(d, r);
	if (may_park && dispatch_park_behind(d, r))
		return;
	if (may_park && l && l->before_id < r->id) {
		dispatch_put_away(d, l, r);
		return;
	}
	l = l ? l : lanes_of(&d->lanes, r);
	if (d->set.lanes.is_ordered)
		l->newest_hash = ready_hash(&d->ready, r);
	lanes_put(&d->lanes, l, r, false);
	if (d->set.lanes.is_ordered)
		keep_in_bounds(d, l);
}

static void fetch(struct dispatch *d, struct lane *l)
{
	uint64_t ids[FETCH_MOST], most = lane_most(d), each = l->count ? l->cost / l->count : 1 << 10;
	const struct shard *s = shards_find(&d->ready.shards, l->newest_hash);
	size_t n;

	/* What its shard takes is here, and more would only go back to disk. */
	if (l->out > 0 && s && s->rate.is_limited && dispatch_is_pressed(d))
		return;
	if (l->asked.ids > 0 || (l->cost > most / 2 && TAILQ_FIRST(&l->queue)->id < l->before_id))
		return;
	n = l->cost < most ? (size_t)((most - l->cost) / 2 / (each + 1)) + 1 : 1;
	n = lanes_ask(&d->lanes, l, ids, n < FETCH_MOST ? n : FETCH_MOST);
	for (size_t i = 0; i < n; i++)
		d->ports.fetch(d->ports.arg, ids[i]);
}

int64_t dispatch_tend_lanes(struct dispatch *d)
{
	struct lane *l;

	if (d->phase == DISPATCH_STOPPING || TAILQ_EMPTY(&d->lanes.behind))
		return INT64_MAX;
	for (uint32_t i = 0; i < TENDED_LANES && (l = TAILQ_FIRST(&d->lanes.behind)); i++) {
		TAILQ_REMOVE(&d->lanes.behind, l, behind);
		TAILQ_INSERT_TAIL(&d->lanes.behind, l, behind);
		fetch(d, l);
	}
	return TAILQ_EMPTY(&d->lanes.behind) ? INT64_MAX : d->now_ns + TEND_NS;
}

void dispatch_gone(struct dispatch *d, uint64_t id)
{
	struct lane *l;

	tries_forget(&d->tried, id);
	if (dispatch_shards_gone(d, id))
		return;
	TAILQ_FOREACH (l, &d->lanes.behind, behind)
		if (lanes_lose_asked(&d->lanes, l, id))
			return;
}

void dispatch_lanes_collect(struct dispatch *d)
{
	struct record *r;

	while (d->set.lanes.records > 1 && (r = waiting_first(&d->waiting)) && r->due_ns <= d->now_ns && r->lane)
		lanes_put(&d->lanes, r->lane, waiting_take(&d->waiting), true);
}

bool dispatch_lane_holds_back(struct dispatch *d, struct record *r)
{
	const struct record *first = r->lane ? TAILQ_FIRST(&r->lane->queue) : NULL;

	if (!r->lane || (r->lane->in_requests == 0 && (!first || first->id > r->id)))
		return false;
	lanes_put(&d->lanes, r->lane, r, true);
	return true;
}

void dispatch_lanes_sent(const struct request *q, int by)
{
	for (uint32_t i = 0; i < q->count; i++)
		if (q->records[i]->lane)
			q->records[i]->lane->in_requests += (uint32_t)by;
}

static void breach(struct record *r, const char *why)
{
	metric_add(M_ORDER_BREACHES, record_rows(r));
	LOG_LIMITED(LOG_ERROR, "order of a key was not kept", LOG_U("id", r->id), LOG_S("reason", why));
}

void dispatch_lanes_check(struct dispatch *d, struct request *q, const struct answer *a)
{
	d->answers++;
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];
		struct lane *l = r->lane;

		if (!l)
			continue;
		if (!a->entries[i].stored) {
			l->failed_in = d->answers;
			r->is_late = true;
			continue;
		}
		if (l->failed_in == d->answers)
			breach(r, "it was stored, one before it in the same request was not");
		else if (r->id < l->newest_stored && !r->is_late)
			breach(r, "a newer one was stored before it");
		else if (!lanes_mark(l, answer_shard(a, i), answer_sequence(a, i)))
			breach(r, "its sequence number is below the one before it");
		if (r->id > l->newest_stored)
			l->newest_stored = r->id;
	}
}

static void hold_key(struct dispatch *d, struct record *r, const char *said)
{
	d->keys_held += !r->holds_key;
	metric_set(M_KEYS_HELD, d->keys_held);
	r->holds_key = true;
	r->due_ns = d->now_ns + d->set.kspool.probe_max_ns;
	LOG_LIMITED(LOG_ERROR, "a key is held by a message that is refused", LOG_U("id", r->id), LOG_S("code", said),
	            LOG_S("fix", "kspool.order_poison: set_aside lets the others go on"));
	waiting_put(&d->waiting, r);
}

void dispatch_refused(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text)
{
	if (r->parts)
		dispatch_take_apart(d, r);
	else if (r->lane && d->set.kspool.order_poison == ORDER_HOLDS_KEY)
		hold_key(d, r, said);
	else
		dispatch_dead(d, r, code, said, text);
}
