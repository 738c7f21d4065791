/* dispatch_pick: what goes into the next request. */
#include "base/clock.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

struct picking {
	struct record *records[KINESIS_REQUEST_RECORDS];
	uint32_t count;
	uint32_t limit;
	uint64_t accounted;
	uint64_t payload;
};

static bool fits(const struct dispatch *d, const struct picking *p, const struct record *r)
{
	if (p->count == 0)
		return true;
	return p->count < p->limit && p->accounted + record_accounted(r) <= ceiling_bytes(&d->ceiling) &&
	       (d->set.policy.payload_bytes == 0 || d->set.fills ||
	        p->payload + r->data_bytes <= d->set.policy.payload_bytes);
}

static void pick(struct dispatch *d, struct picking *p, struct record *r)
{
	if (dispatch_lane_holds_back(d, r) || !(r = dispatch_within_age(d, r)))
		return;
	p->records[p->count++] = r;
	p->accounted += record_accounted(r);
	p->payload += r->data_bytes;
}

static bool may_go(struct dispatch *d, bool is_probe) { return is_probe || stream_rate_allows(&d->stream, d->now_ns); }

/* False: it was not picked. A probe of a shard that takes nothing says nothing of the stream. */
static bool pick_counted(struct dispatch *d, struct picking *p, struct record *r, bool is_for_itself)
{
	double cost = shard_cost(record_accounted(r));
	uint32_t before = p->count;

	pick(d, p, r);
	if (p->count > before && !is_for_itself)
		stream_rate_sent(&d->stream, cost);
	return p->count > before;
}

/* From each shard that is limited what it may take now. */
static void pick_limited(struct dispatch *d, struct picking *p)
{
	struct shard *s, *next;
	struct record *r;

	for (s = LIST_FIRST(&d->ready.shards.listed); s; s = next) {
		next = LIST_NEXT(s, link);
		while ((r = TAILQ_FIRST(&s->queue)) && shard_rate_allows(&s->rate, d->now_ns) && fits(d, p, r) &&
		       (s->rate.is_dead || may_go(d, false))) {
			double cost = shard_cost(record_accounted(r));

			if (pick_counted(d, p, shards_take(&d->ready.shards, s), s->rate.is_dead))
				shard_rate_sent(&s->rate, cost, d->now_ns);
		}
		shards_list(&d->ready.shards, s);
	}
	d->picked_ns = p->count < p->limit ? d->now_ns : 0; /* of a full request more may be left */
}

/* The stream is asked, and nothing else is there to ask with. */
static void pick_any_limited(struct dispatch *d, struct picking *p)
{
	struct shard *s;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		while (p->count == 0 && s->count > 0)
			pick(d, p, shards_take(&d->ready.shards, s));
}

static struct request *compose(struct dispatch *d, struct record *const *records, uint32_t count)
{
	return request_new(d->wire, d->set.output.stream, records, count, &d->memory_bytes);
}

struct request *dispatch_next_ordinary(struct dispatch *d, uint32_t limit, bool is_probe)
{
	struct picking p = {.limit = limit};
	bool has_moved = false;
	struct record *r;

	if (!is_probe)
		pick_limited(d, &p);
	while ((r = waiting_first(&d->waiting)) && (is_probe ? !ready_first(&d->ready) : r->due_ns <= d->now_ns) &&
	       fits(d, &p, r) && may_go(d, is_probe)) {
		if (!is_probe && ready_is_limited(&d->ready, r)) {
			dispatch_first(d, waiting_take(&d->waiting));
			has_moved = true;
		} else {
			(void)pick_counted(d, &p, waiting_take(&d->waiting), false);
		}
	}
	if (has_moved) /* its shard may take it now: nothing else would wake us */
		pick_limited(d, &p);
	while (p.count < p.limit && (r = ready_first(&d->ready)) && fits(d, &p, r) && may_go(d, is_probe)) {
		bool ends = r->ends_batch;

		(void)pick_counted(d, &p, ready_take(&d->ready), false);
		if (ends)
			break;
	}
	if (is_probe && p.count == 0)
		pick_any_limited(d, &p);
	return p.count ? compose(d, p.records, p.count) : NULL;
}

struct request *dispatch_next_isolated(struct dispatch *d)
{
	struct record *half[KINESIS_REQUEST_RECORDS];
	struct isolation *s;

	while ((s = isolate_next(&d->isolations, d->now_ns))) {
		uint32_t taken = isolate_take_half(&d->isolations, s, dispatch_searched_records(d, s->count), half),
		         count = 0;

		for (uint32_t i = 0; i < taken; i++)
			if ((half[count] = dispatch_within_age(d, half[i])))
				count++;
		if (count > 0) {
			struct request *q = compose(d, half, count);

			isolate_sent(s, q);
			return q;
		}
		isolate_not_sent(&d->isolations, &d->ready, s);
	}
	return NULL;
}

struct request *dispatch_next_doubt(struct dispatch *d)
{
	struct picking p = {0};
	struct record *r = doubts_take(&d->doubts);
	struct request *q;

	if (r)
		pick(d, &p, r);
	if (p.count == 0)
		return NULL;
	q = compose(d, p.records, p.count);
	q->of_doubts = true;
	return q;
}

struct request *dispatch_next_suspects(struct dispatch *d, uint32_t limit)
{
	struct picking p = {.limit = limit < dispatch_request_records(d) ? limit : dispatch_request_records(d)};
	struct record *r, *next;
	struct request *q;

	for (r = suspects_begin_at(&d->suspects, d->ports.unit(d->ports.arg)); r && p.count < p.limit && fits(d, &p, r);
	     r = next) {
		next = suspects_behind(r);
		suspects_take(&d->suspects, r);
		pick(d, &p, r);
	}
	if (p.count == 0)
		return NULL;
	q = compose(d, p.records, p.count);
	q->of_suspects = d->suspects.in_flight = true;
	return q;
}

struct request *dispatch_next_from_end(struct dispatch *d)
{
	struct picking p = {0};
	struct record *r = d->refused < REFUSED_IN_A_ROW ? NULL : ready_take_last(&d->ready);

	if (r)
		pick(d, &p, r);
	return p.count ? compose(d, p.records, p.count) : NULL;
}
