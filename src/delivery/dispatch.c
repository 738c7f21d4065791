#include "delivery/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

void ready_put_last(struct dispatch *d, struct record *r)
{
	TAILQ_INSERT_TAIL(&d->ready, r, link);
	d->ready_count++;
	d->ready_bytes += record_accounted(r);
}

void ready_put_first(struct dispatch *d, struct record *r)
{
	TAILQ_INSERT_HEAD(&d->ready, r, link);
	d->ready_count++;
	d->ready_bytes += record_accounted(r);
}

struct record *ready_take(struct dispatch *d)
{
	struct record *r = TAILQ_FIRST(&d->ready);

	if (r) {
		TAILQ_REMOVE(&d->ready, r, link);
		d->ready_count--;
		d->ready_bytes -= record_accounted(r);
	}
	return r;
}

struct dispatch *dispatch_new(const struct dispatch_settings *settings, const struct dispatch_ports *ports,
                              int64_t now_ns, int64_t wall_ms)
{
	struct dispatch *d = mem_zero(sizeof *d);

	d->ports = *ports;
	d->now_ns = now_ns;
	d->wall_ms = wall_ms;
	TAILQ_INIT(&d->ready);
	LIST_INIT(&d->isolations);
	LIST_INIT(&d->under_way);
	batcher_init(&d->batcher, &settings->policy);
	hold_init(&d->hold, wall_ms);
	pace_init(&d->pace, settings->max_in_flight);
	d->set = *settings;
	d->wire = settings->wire;
	d->request_bytes = settings->request_bytes;
	return d;
}

/* While draining the period is short, not nothing: rows still on their way from the journal fill the batch. */
static void apply_policy(struct dispatch *d)
{
	struct batcher_policy policy = d->set.policy;

	if (d->draining && (policy.period_ns <= 0 || policy.period_ns > DRAIN_WAIT_NS))
		policy.period_ns = DRAIN_WAIT_NS;
	batcher_set_policy(&d->batcher, &policy);
}

void dispatch_drain(struct dispatch *d)
{
	d->draining = true;
	apply_policy(d);
}

void dispatch_configure(struct dispatch *d, const struct dispatch_settings *settings)
{
	d->set = *settings;
	if (d->request_bytes > settings->request_bytes)
		d->request_bytes = settings->request_bytes;
	apply_policy(d);
	pace_limit(&d->pace, settings->max_in_flight);
}

void dispatch_free(struct dispatch *d)
{
	struct record *r;

	if (!d)
		return;
	must(d->in_flight == 0);
	while ((r = ready_take(d)))
		record_free(r);
	waiting_fini(&d->waiting);
	isolate_fini(d);
	batcher_fini(&d->batcher);
	rows_fini(&d->rows);
	free(d);
}

void dispatch_message(struct dispatch *d, struct message *m, int64_t now_ns, int64_t wall_ms)
{
	int64_t age_ms = wall_ms - m->received_ms;

	d->memory_bytes += message_cost(m);
	batcher_add(&d->batcher, m, age_ms > 0 && age_ms < INT64_MAX / NS_PER_MS ? age_ms * NS_PER_MS : 0, now_ns);
}

bool dispatch_is_too_old(const struct dispatch *d, const struct record *r)
{
	return d->set.dead_after_age_ns > 0 && d->wall_ms - r->received_ms >= d->set.dead_after_age_ns / NS_PER_MS;
}

void dispatch_add(struct dispatch *d, struct record *r)
{
	r->since_ns = d->batch_oldest_ns;
	d->memory_bytes += message_cost(r->message);
	if (dispatch_is_too_old(d, r))
		dispatch_dead(d, r, "TooOld", "TooOld", "kspool.dead_after_age passed before it could be delivered");
	else
		ready_put_last(d, r);
}

void dispatch_set_aside(struct dispatch *d, struct record *r, const char *code, const char *reason)
{
	d->memory_bytes += message_cost(r->message);
	dispatch_dead(d, r, code, code, reason);
}

struct rows *dispatch_rows(struct dispatch *d) { return &d->rows; }

/* What the service takes, or what the link carries in time. */
static uint64_t request_ceiling(const struct dispatch *d)
{
	return d->link_bytes > 0 && d->link_bytes < d->request_bytes ? d->link_bytes : d->request_bytes;
}

/* Takes complete batches until `records` or the request's bytes are ready. */
static void pull(struct dispatch *d, uint32_t records)
{
	struct batch *batch;

	while (d->ready_count < records && d->ready_bytes < request_ceiling(d) && d->now_ns >= d->pull_after_ns &&
	       (batch = batcher_take(&d->batcher, d->now_ns, d->flush))) {
		struct record *last;

		d->batch_oldest_ns = batch->oldest_ns;
		for (size_t i = 0; i < batch->list.count; i++)
			d->memory_bytes -= message_cost(batch->list.items[i]);
		d->pull_after_ns = d->ports.prepare(d->ports.arg, d, batch);
		last = TAILQ_LAST(&d->ready, record_queue);
		if (last && !d->set.fills)
			last->ends_batch = true;
		batch_free(batch);
	}
}

static void encode(struct dispatch *d, struct request *q)
{
	size_t wire_bytes = putrecords_frame_bytes(d->wire, d->set.stream, q->count);

	for (uint32_t i = 0; i < q->count; i++) {
		const struct record *r = q->records[i];
		struct putrecords_item item = {message_body(r->message), r->data_bytes,    r->key, r->key_bytes,
		                               record_hash_key(r),       r->hash_key_bytes};

		wire_bytes += putrecords_item_bytes(d->wire, &item);
	}
	putrecords_begin(&q->put, d->wire, d->set.stream, q->count, wire_bytes);
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];
		struct putrecords_item item = {message_body(r->message), r->data_bytes,    r->key, r->key_bytes,
		                               record_hash_key(r),       r->hash_key_bytes};

		r->data_at = putrecords_add(&q->put, &item);
		q->payload_bytes += r->data_bytes;
		d->memory_bytes -= message_cost(r->message);
		message_free(r->message);
		r->message = NULL;
	}
	putrecords_finish(&q->put);
	d->memory_bytes += q->put.body.cap;
}

struct request *dispatch_compose(struct dispatch *d, struct record **records, uint32_t count)
{
	struct request *q = mem_zero(sizeof *q);

	must(count > 0 && count <= KINESIS_REQUEST_RECORDS);
	q->records = mem_array(count, sizeof(struct record *));
	memcpy(q->records, records, count * sizeof(struct record *));
	q->count = count;
	encode(d, q);
	q->aws.target = KINESIS_PUT_RECORDS;
	q->aws.content_type = putrecords_content_type(q->put.wire);
	q->aws.body = q->put.body.data;
	q->aws.body_bytes = q->put.body.len;
	return q;
}

void dispatch_restore(struct dispatch *d, struct request *q)
{
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];

		if (!r || r->message)
			continue;
		r->message = message_new_room(r->data_bytes, r->received_ms);
		r->message->id = r->id;
		putrecords_data(&q->put, r->data_at, r->data_bytes, r->message->bytes);
		d->memory_bytes += message_cost(r->message);
	}
}

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
	return p->count < p->limit && p->accounted + record_accounted(r) <= request_ceiling(d) &&
	       (d->set.policy.payload_bytes == 0 || d->set.fills ||
	        p->payload + r->data_bytes <= d->set.policy.payload_bytes);
}

static void pick(struct dispatch *d, struct picking *p, struct record *r)
{
	if (dispatch_is_too_old(d, r)) {
		dispatch_dead(d, r, "TooOld", "TooOld", "kspool.dead_after_age passed before it could be delivered");
		return;
	}
	p->records[p->count++] = r;
	p->accounted += record_accounted(r);
	p->payload += r->data_bytes;
}

/* Records whose wait is over first, then new ones up to the batch's end. */
static struct request *next_ordinary(struct dispatch *d, uint32_t limit, bool any_waiting)
{
	struct picking p = {.limit = limit};
	struct record *r;

	while ((r = waiting_first(&d->waiting)) && (r->due_ns <= d->now_ns || (any_waiting && p.count == 0)) &&
	       fits(d, &p, r))
		pick(d, &p, waiting_take(&d->waiting));
	while (p.count < p.limit && (r = TAILQ_FIRST(&d->ready)) && fits(d, &p, r)) {
		bool ends = r->ends_batch;

		pick(d, &p, ready_take(d));
		if (ends)
			break;
	}
	return p.count ? dispatch_compose(d, p.records, p.count) : NULL;
}

static uint32_t record_limit(const struct dispatch *d)
{
	uint64_t count = d->set.fills ? 0 : d->set.policy.count;

	return count > 0 && count < d->set.request_records ? (uint32_t)count : d->set.request_records;
}

/* When what is ready or due should go even if a request is not full. */
static int64_t ripe_ns(const struct dispatch *d)
{
	const struct record *first = TAILQ_FIRST(&d->ready), *waiting = waiting_first(&d->waiting);
	int64_t ripe = INT64_MAX;

	if (first) {
		if (!d->set.fills || d->flush || d->ready_count >= d->set.request_records ||
		    d->ready_bytes >= request_ceiling(d))
			return INT64_MIN;
		ripe = first->since_ns + d->set.linger_ns;
	}
	if (waiting && waiting->due_ns + d->set.linger_ns < ripe)
		ripe = waiting->due_ns + d->set.linger_ns;
	return ripe;
}

static struct request *next_probe(struct dispatch *d)
{
	struct request *q;

	if (d->ready_count == 0 && d->waiting.count == 0)
		pull(d, 1);
	q = next_ordinary(d, 1, true);
	if (!q)
		q = isolate_next(d);
	if (q)
		q->probe = true;
	return q;
}

static struct request *next_request(struct dispatch *d)
{
	struct request *q;

	if (hold_is_on(&d->hold))
		return next_probe(d);
	q = isolate_next(d);
	if (q)
		return q;
	pull(d, d->set.fills ? d->set.request_records : 1);
	return ripe_ns(d) <= d->now_ns ? next_ordinary(d, record_limit(d), false) : NULL;
}

static bool may_send(const struct dispatch *d)
{
	if (d->stopping)
		return false;
	if (hold_is_on(&d->hold))
		return !d->hold.probing && d->now_ns >= d->hold.next_probe_ns;
	return d->in_flight < d->set.max_in_flight && pace_allows(&d->pace, d->now_ns, d->in_flight);
}

static void launch(struct dispatch *d, struct request *q)
{
	q->sent_ns = d->now_ns;
	LIST_INSERT_HEAD(&d->under_way, q, link);
	d->in_flight++;
	if (q->probe)
		d->hold.probing = true;
	metric_add(M_REQUESTS, 1);
	metric_add(M_RECORDS_SENT, q->count);
	metric_add(M_WIRE_OUT, q->put.body.len);
	metric_set(M_IN_FLIGHT, d->in_flight);
	d->ports.send(d->ports.arg, q);
}

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t pull_due_ns(const struct dispatch *d)
{
	int64_t due = batcher_due_ns(&d->batcher);

	return d->batcher.messages > 0 && due < d->pull_after_ns ? d->pull_after_ns : due;
}

/* The first time at which dispatch_run could do something that it cannot do now. */
static int64_t next_deadline(const struct dispatch *d)
{
	int64_t when = INT64_MAX;

	if (d->stopping)
		return INT64_MAX;
	if (d->hold.state == DELIVERY_THROTTLED && d->pace.level == 0)
		when = d->pace.throttled_ns + PACE_CALM_NS;
	if (hold_is_on(&d->hold) && d->hold.probing)
		return INT64_MAX;
	if (hold_is_on(&d->hold) && d->hold.next_probe_ns > d->now_ns)
		return d->hold.next_probe_ns;
	/* Nothing to probe with but a batch that is not complete: its time must wake us, or nothing ever does. */
	if (hold_is_on(&d->hold))
		return earlier(when, earlier(pull_due_ns(d), isolate_due_ns(d)));
	if (d->in_flight >= d->set.max_in_flight || !pace_allows(&d->pace, INT64_MAX, d->in_flight))
		return when;
	if (d->now_ns < d->pace.pause_until_ns)
		return earlier(when, d->pace.pause_until_ns);
	when = earlier(when, earlier(ripe_ns(d), pull_due_ns(d)));
	return earlier(when, isolate_due_ns(d));
}

int64_t dispatch_run(struct dispatch *d, int64_t now_ns, int64_t wall_ms)
{
	struct request *q;
	int64_t when;

	d->now_ns = now_ns;
	d->wall_ms = wall_ms;
	if (d->hold.state == DELIVERY_THROTTLED && d->pace.level == 0 && !pace_is_throttled(&d->pace, now_ns)) {
		hold_move(&d->hold, HOLD_CALM, now_ns, wall_ms);
		waiting_hasten(&d->waiting, now_ns, PACE_CALM_NS, d->ports.unit, d->ports.arg);
	}
	while (may_send(d) && (q = next_request(d)))
		launch(d, q);
	if (d->batcher.messages == 0 && d->ready_count == 0)
		d->flush = false;
	metric_set(M_MEMORY_BYTES, (int64_t)d->memory_bytes);
	when = next_deadline(d);
	/* A held stream with nothing to probe with waits for the next message, not for the clock. */
	return when > now_ns ? when : INT64_MAX;
}

void dispatch_kick(struct dispatch *d, int64_t now_ns)
{
	d->flush = true;
	d->pace.pause_until_ns = now_ns;
	if (hold_is_on(&d->hold))
		d->hold.next_probe_ns = now_ns;
}

/* A record that was tried in this run; the others are simply pending in the journal. */
static void park(struct dispatch *d, struct record *r, int64_t wall_ms)
{
	if (r->tries > 0)
		dispatch_settle(d, r, SETTLE_RETRY, "Stopped", mem_string("kspool stopped before the next try"),
		                wall_ms);
	else
		record_free(r);
}

void dispatch_park(struct dispatch *d, int64_t wall_ms)
{
	struct record *r;

	must(d->stopping && d->in_flight == 0);
	while ((r = ready_take(d)))
		park(d, r, wall_ms);
	while ((r = waiting_take(&d->waiting)))
		park(d, r, wall_ms);
}

void dispatch_stop(struct dispatch *d)
{
	if (!d->stopping && d->in_flight == 0)
		hold_move(&d->hold, HOLD_STOP, d->now_ns, d->wall_ms);
	d->stopping = true;
}

uint32_t dispatch_in_flight(const struct dispatch *d) { return d->in_flight; }

uint64_t dispatch_unanswered(const struct dispatch *d)
{
	const struct request *q;
	uint64_t messages = 0;

	LIST_FOREACH (q, &d->under_way, link)
		for (uint32_t i = 0; i < q->count; i++)
			messages += record_rows(q->records[i]);
	return messages;
}

void dispatch_status(const struct dispatch *d, int64_t now_ns, int64_t wall_ms, struct delivery_status *ret)
{
	const struct hold *h = &d->hold;

	ret->state = h->state;
	ret->since_ms = h->since_wall_ms;
	(void)snprintf(ret->code, sizeof ret->code, "%s", h->code);
	(void)snprintf(ret->reason, sizeof ret->reason, "%s", h->reason);
	ret->next_probe_ms = hold_is_on(h) && !h->probing
	                         ? wall_ms + (h->next_probe_ns > now_ns ? (h->next_probe_ns - now_ns) / NS_PER_MS : 0)
	                         : 0;
	ret->in_flight = d->in_flight;
	ret->waiting_records = d->ready_count + (uint32_t)d->waiting.count + d->batcher.messages + d->isolated_records;
	ret->memory_bytes = d->memory_bytes;
	ret->last_ack_ms = d->last_ack_wall_ms;
}
