/*
 * dispatch_invariants: what the dispatcher's files say of themselves under "Invariants:", as one function.
 *
 * dispatch_check looks at a dispatcher between two events and aborts at the first invariant that does not hold. Each
 * check names the file and the number. What only a course of events shows is the simulator's: sim_settle (answer 1),
 * sim_check (answer 3), sim_run (dispatch 5), sim_send (dispatch 3).
 */
#ifndef KSPOOL_TESTS_DISPATCH_INVARIANTS_H
#define KSPOOL_TESTS_DISPATCH_INVARIANTS_H

#include <search.h>

#include "kinesis/limits.h"
#include "rig/delivery_sim.h"

/* What one walk over all places of records finds. */
struct dispatch_sums {
	const struct sim *sim;
	uint16_t places[SIM_ROWS]; /* of a row: in the batcher, in an untracked record, or 1 for the records of a
	                              tracked one */
	uint32_t pieces[SIM_ROWS]; /* undecided records of a tracked row */
	bool parked[SIM_ROWS];
	uint64_t memory_bytes;
	size_t tracked;
};

static inline void check_record(struct dispatch_sums *sums, const struct record *r, bool in_request)
{
	must(!r->message == in_request); /* request 1, ready 3 */
	if (r->message)
		sums->memory_bytes += message_cost(r->message); /* record 2 */
	must(r->id < sums->sim->next_id && !r->origin);
	if (r->tracked)
		sums->pieces[r->id]++;
	else
		sums->places[r->id]++; /* isolate 3 */
}

static inline uint32_t check_queue(struct dispatch_sums *sums, const struct record_queue *queue, uint64_t *ret_bytes,
                                   uint64_t *ret_cost)
{
	const struct record *r;
	uint32_t count = 0;

	TAILQ_FOREACH (r, queue, link) {
		check_record(sums, r, false);
		*ret_bytes += record_accounted(r);
		*ret_cost += message_cost(r->message);
		count++;
	}
	return count;
}

/* shards 2: a parked row's id stands once, and it is the journal's until it comes again. */
static inline void check_parked(struct dispatch_sums *sums, const struct parked *p)
{
	uint64_t ids = 0;

	for (size_t i = p->first; i < p->first + p->count; i++) {
		must(i == p->first || p->pieces[i - 1].base < p->pieces[i].base);
		for (uint64_t bit = 0; bit < PARKED_PIECE; bit++) {
			uint64_t id = p->pieces[i].base * PARKED_PIECE + bit;
			uint64_t left = p->pieces[i].bits[bit / 64] >> (bit % 64);

			bit |= left ? 0 : 63; /* none in this word */
			if (!(left & 1))
				continue;
			must(sums->sim->fate[id] == SIM_PARKED && !sums->parked[id]);
			sums->parked[id] = true;
			ids++;
		}
	}
	must(ids == p->ids);
}

static inline void check_batcher(struct dispatch_sums *sums, const struct batcher *b)
{
	const struct batch *batch;
	uint32_t messages = 0;

	for (batch = STAILQ_FIRST(&b->closed); batch || b->open; batch = STAILQ_NEXT(batch, link)) {
		const struct batch *at = batch ? batch : b->open;

		for (size_t i = 0; i < at->list.count; i++) {
			sums->memory_bytes += message_cost(at->list.items[i]);
			sums->places[at->list.items[i]->id]++;
			messages++;
		}
		if (!batch)
			break;
	}
	must(messages == b->messages);
}

/* What is with the preparer is as it was given. */
static inline void check_preparing(struct dispatch_sums *sums, const struct preparing *p)
{
	uint64_t bytes = 0;

	for (size_t i = 0; p->batch && i < p->batch->list.count; i++) {
		bytes += message_cost(p->batch->list.items[i]);
		sums->places[p->batch->list.items[i]->id]++;
	}
	must(bytes == p->bytes && p->messages == (p->batch ? p->batch->list.count : 0));
	sums->memory_bytes += bytes;
}

/* ready 1, 2, 4; shards 1 to 4. */
static inline void check_ready(struct dispatch_sums *sums, const struct ready *q)
{
	uint64_t bytes = 0, cost = 0, unused = 0;
	uint32_t queued = 0;

	must(check_queue(sums, &q->queue, &bytes, &unused) == q->count && bytes == q->bytes);
	must((q->count == 0) == TAILQ_EMPTY(&q->queue) && (q->count > 0 || q->bytes == 0));
	must(q->by_shard || (q->shards.count == 0 && q->shards.queued == 0));
	for (size_t i = 0; i < q->shards.count; i++) {
		const struct shard *s = q->shards.items[i];
		uint64_t own = 0;
		uint32_t count = check_queue(sums, &s->queue, &unused, &own);

		must(count == s->count && own == s->cost);
		queued += count;
		cost += own;
		must(s->first <= s->last && (i == 0 || q->shards.items[i - 1]->last < s->first));
		for (size_t k = 0; k < i && s->name[0]; k++)
			must(strcmp(q->shards.items[k]->name, s->name) != 0);
		must(s->rate.speed >= 0);
		check_parked(sums, &s->parked);
	}
	must(queued == q->shards.queued && cost == q->shards.cost);
	must(!q->shards.is_blind || q->shards.count <= 1);
	check_parked(sums, &q->shards.lost);
}

/* isolate 1, 2; suspects' counts. */
static inline void check_refused(struct dispatch_sums *sums, const struct dispatch *d)
{
	const struct isolation *s;
	uint64_t bytes = 0, unused = 0;
	uint32_t records = 0, untried;

	LIST_FOREACH (s, &d->isolations.list, link) {
		const struct request *q;
		uint32_t in_flight = 0;

		must(check_queue(sums, &s->suspects, &unused, &unused) == s->count);
		records += s->count;
		LIST_FOREACH (q, &d->requests.list, link)
			in_flight += q->isolation == s;
		must(in_flight == s->in_flight && (s->count > 0 || s->in_flight));
	}
	must(records == d->isolations.records);
	untried = check_queue(sums, &d->suspects.queue, &bytes, &unused);
	must(untried == d->suspects.untried);
	must(untried + check_queue(sums, &d->suspects.refused, &bytes, &unused) == d->suspects.count);
	must(bytes == d->suspects.bytes);
	bytes = 0;
	must(check_queue(sums, &d->doubts.due, &bytes, &unused) == d->doubts.due_count);
	must(d->doubts.due_count + check_queue(sums, &d->doubts.fresh, &bytes, &unused) == d->doubts.count);
	must(bytes == d->doubts.bytes && d->doubts.count <= DOUBTS_MOST);
}

/* request 1 to 3; dispatch 2; answer 2: what was answered is not under way. */
static inline void check_requests(struct dispatch_sums *sums, const struct dispatch *d)
{
	uint32_t count = 0, probes = 0, of_suspects = 0;
	const struct request *q;

	LIST_FOREACH (q, &d->requests.list, link) {
		must(q->count >= 1 && q->count <= KINESIS_REQUEST_RECORDS);
		for (uint32_t i = 0; i < q->count; i++)
			check_record(sums, q->records[i], true);
		sums->memory_bytes += q->put.body.cap;
		count++;
		probes += hold_is_on(&d->hold) && q->probe &&
		          q->hold == d->hold.number; /* one may be left of an earlier hold */
		of_suspects += q->of_suspects;
	}
	must(count == d->requests.count && count == sums->sim->request_count);
	must(probes == (hold_is_on(&d->hold) && d->hold.probing));
	must(of_suspects <= 1);
	must((of_suspects == 1) == d->suspects.in_flight);
}

/* tracked 1; record 1. */
static inline void check_row(const void *node, VISIT which, void *arg)
{
	const struct row *row = *(struct row *const *)node;
	struct dispatch_sums *sums = arg;

	if (which != postorder && which != leaf)
		return;
	must(row->remaining > 0 && row->remaining == sums->pieces[row->id]);
	must(row->delivered + row->remaining <= sums->sim->pieces);
	sums->pieces[row->id] = 0;
	sums->places[row->id]++;
	sums->tracked++;
}

static inline void check_waiting(struct dispatch_sums *sums, const struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++) {
		check_record(sums, w->items[i], false);
		must(i == 0 || w->items[(i - 1) / 2]->due_ns <= w->items[i]->due_ns);
	}
}

/* hold 1, 3. */
static inline void check_hold(const struct hold *h)
{
	must(hold_is_on(h) || (!h->probing && h->next_probe_ns == 0));
	must(hold_is_on(h) || h->state == DELIVERY_BLOCKED || h->state == DELIVERY_THROTTLED ||
	     (h->code[0] == '\0' && h->reason[0] == '\0'));
}

/* A batch that nothing completes but its messages: no period was set. */
static inline bool waits_for_messages(const struct dispatch *d)
{
	return d->batcher.messages > 0 && batcher_due_ns(&d->batcher) == INT64_MAX;
}

/* Rows on disk that it has to ask for. */
static inline uint64_t rows_on_disk(const struct dispatch *d)
{
	uint64_t ids = d->ready.shards.lost.ids;
	const struct shard *s;
	const struct lane *l;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		ids += s->parked.ids;
	TAILQ_FOREACH (l, &d->lanes.behind, behind)
		ids += l->away.ids;
	return ids;
}

/*
 * Never "wake me": whoever has work asks for a time, unless something is under way whose end is an event: a request, a
 * batch that is prepared, rows that the journal was asked for. The longest of all waits is that of suspects.
 */
static inline void check_wakes(const struct sim *s)
{
	const struct dispatch *d = s->d;
	uint64_t work = d->ready.count + d->ready.shards.queued + d->waiting.count + d->suspects.count +
	                d->doubts.count + d->isolations.records + d->lanes.records + d->batcher.messages +
	                rows_on_disk(d);

	if (work == 0 || d->requests.count > 0 || s->preparing || d->asked.ids > 0 || d->phase == DISPATCH_STOPPING)
		return;
	if (waits_for_messages(d) && work == d->batcher.messages)
		return;
	must(s->due_ns < INT64_MAX);
	must(s->due_ns <= s->now_ns + d->set.kspool.probe_max_ns / 4 * 5 + d->set.kspool.throttle_max_ns);
}

/* After an event and the run that follows it. */
static inline void dispatch_check(const struct sim *s)
{
	static struct dispatch_sums sums;
	const struct dispatch *d = s->d;

	memset(sums.places, 0, s->next_id * sizeof *sums.places);
	memset(sums.pieces, 0, s->next_id * sizeof *sums.pieces);
	memset(sums.parked, 0, s->next_id * sizeof *sums.parked);
	sums.memory_bytes = sums.tracked = 0;
	sums.sim = s;
	check_batcher(&sums, &d->batcher);
	check_preparing(&sums, &d->preparing);
	check_ready(&sums, &d->ready);
	check_refused(&sums, d);
	check_requests(&sums, d);
	check_waiting(&sums, &d->waiting);
	twalk_r(d->tracked.tree, check_row, &sums);
	must(sums.tracked == d->tracked.count);
	check_hold(&d->hold);
	check_wakes(s);
	must(sums.memory_bytes == d->memory_bytes); /* dispatch 4, record 2 */
	for (uint64_t id = 1; id < s->next_id; id++) {
		must(sums.places[id] == (s->fate[id] == SIM_INSIDE)); /* dispatch 1 */
		must(sums.pieces[id] == 0);                           /* no record of a row that is not tracked */
	}
}

#endif
