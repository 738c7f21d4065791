/*
 * dispatch: which record is sent when.
 *
 * Invariants:
 * 1. A message handed over is in the batcher, being prepared, in one record, or settled; a record is in one place
 *    (isolate.c, 3). One batch is prepared at a time, so that they stay in order.
 * 2. While the stream is held or offline at most one request is sent at a time, the probe.
 * 3. Once stopping, no request begins.
 * 4. memory_bytes is 0 when nothing is held and nothing under way.
 * 5. dispatch_run returns a time after now, or INT64_MAX when only an event can change anything.
 */
#include "delivery/dispatch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "delivery/dispatch_internal.h"

enum { SHARDS_APART = 4 };                      /* limited ones that each go when they may */
#define DRAIN_WAIT_NS (INT64_C(20) * NS_PER_MS) /* of the last batch, for rows still on their way */

static uint32_t max_in_flight(const struct dispatch *d) { return (uint32_t)d->set.output.max_in_flight; }

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t linger_ns(const struct dispatch *d) { return d->set.kspool.linger_ns; }

struct dispatch *dispatch_new(const struct dispatch_settings *settings, const struct dispatch_ports *ports,
                              int64_t now_ns, int64_t wall_ms)
{
	struct dispatch *d = mem_zero(sizeof *d);

	d->ports = *ports;
	d->set = *settings;
	d->now_ns = now_ns;
	d->wall_ms = wall_ms;
	ready_init(&d->ready);
	suspects_init(&d->suspects);
	doubts_init(&d->doubts);
	culprits_init(&d->culprits);
	batcher_init(&d->batcher, &settings->policy);
	dispatch_lanes_begin(d);
	hold_init(&d->hold, wall_ms);
	pace_init(&d->pace, max_in_flight(d));
	ceiling_limit(&d->ceiling, settings->kspool.max_request_bytes_bytes);
	link_init(&d->link, !ports->tells_way);
	d->ceiling.way_bytes = d->link.bytes;
	d->wire = settings->wire;
	return d;
}

/* While draining the period is short, not nothing: rows still on their way from the journal fill the batch. */
static void apply_policy(struct dispatch *d)
{
	struct batcher_policy policy = d->set.policy;

	if (d->phase == DISPATCH_DRAINING && (policy.period_ns <= 0 || policy.period_ns > DRAIN_WAIT_NS))
		policy.period_ns = DRAIN_WAIT_NS;
	batcher_set_policy(&d->batcher, &policy);
}

void dispatch_drain(struct dispatch *d)
{
	if (d->phase == DISPATCH_RUNNING)
		d->phase = DISPATCH_DRAINING;
	lanes_hasten(&d->lanes, DRAIN_WAIT_NS, d->now_ns);
	apply_policy(d);
}

void dispatch_configure(struct dispatch *d, const struct dispatch_settings *settings)
{
	must(settings->lanes.is_on == d->set.lanes.is_on); /* the options are not for a reload */
	d->set = *settings;
	ceiling_limit(&d->ceiling, settings->kspool.max_request_bytes_bytes);
	apply_policy(d);
	pace_limit(&d->pace, max_in_flight(d));
}

void dispatch_free(struct dispatch *d)
{
	if (!d)
		return;
	must(d->requests.count == 0 && !d->preparing.batch);
	dispatch_lanes_end(d);
	ready_fini(&d->ready);
	parked_fini(&d->asked);
	waiting_fini(&d->waiting);
	isolate_fini(&d->isolations);
	suspects_fini(&d->suspects);
	doubts_fini(&d->doubts);
	batcher_fini(&d->batcher);
	tracked_fini(&d->tracked);
	tries_fini(&d->tried);
	free(d);
}

static void tell_budget(const struct dispatch *d) { budget_tell(BUDGET_DELIVERY, dispatch_held_bytes(d)); }

void dispatch_message(struct dispatch *d, struct message *m, int64_t now_ns, int64_t wall_ms)
{
	dispatch_tick(d, now_ns, wall_ms);
	d->memory_bytes += message_cost(m);
	batcher_add(&d->batcher, m, dispatch_age_ms(d, m->accepted_ms) * NS_PER_MS, now_ns);
}

/*
 * The turn of a batch's messages has come: what is too old for that is not worth a processor's time. Returns the cost
 * of the others.
 */
static uint64_t drop_expired(struct dispatch *d, struct pipeline_batch *list)
{
	uint64_t bytes = 0;
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		uint64_t cost = message_cost(list->items[i]), id = list->items[i]->id;

		if (dispatch_expire_message(d, list->items[i])) {
			dispatch_gone(d, id);
			d->memory_bytes -= cost;
		} else {
			list->items[kept++] = list->items[i];
			bytes += cost;
		}
	}
	list->count = kept;
	return bytes;
}

/*
 * While memory is full, only when nothing else can move: what is held then lies with shards that are full, or waits,
 * and goes back to disk when it fails, except where it has an order.
 */
static bool may_prepare(const struct dispatch *d)
{
	return !dispatch_is_full(d) ||
	       (d->requests.count == 0 && d->ready.count == 0 && (!d->set.lanes.is_on || d->tracked_records == 0));
}

/* What was asked for again does not wait behind what nobody takes. */
static int64_t read_after_ns(const struct dispatch *d)
{
	return d->asked.ids == 0 && d->rest_until_ns > d->pull_after_ns ? d->rest_until_ns : d->pull_after_ns;
}

static void end_preparing(struct dispatch *d, struct prepared *made)
{
	struct batch *batch = d->preparing.batch;
	const bool is_part = batch->list.count > 0 && made->count + made->row_count > 0; /* or it was given up */

	d->memory_bytes -= d->preparing.bytes;
	d->preparing = (struct preparing){0};
	if (made->not_before_ns > 0)
		d->pull_after_ns = made->not_before_ns;
	dispatch_take_prepared(d, made, batch->oldest_ns);
	for (size_t i = 0; is_part && i < batch->list.count; i++)
		d->memory_bytes += message_cost(batch->list.items[i]);
	tell_budget(d);
	budget_give(made->charged_bytes);
	if (is_part) {
		batcher_put_back(&d->batcher, batch);
		return;
	}
	if (!d->set.fills)
		ready_end_batch(&d->ready);
	batch_free(batch);
}

static void begin_preparing(struct dispatch *d, struct batch *batch)
{
	struct prepared made = {0};

	d->preparing = (struct preparing){.batch = batch, .bytes = drop_expired(d, &batch->list)};
	d->preparing.messages = (uint32_t)batch->list.count;
	if (d->preparing.messages == 0 || d->ports.prepare(d->ports.arg, batch, &made))
		end_preparing(d, &made);
}

void dispatch_prepared(struct dispatch *d, struct batch *batch, struct prepared *made, int64_t now_ns, int64_t wall_ms)
{
	dispatch_tick(d, now_ns, wall_ms);
	must(batch && batch == d->preparing.batch);
	must(made->count > 0 || made->row_count > 0 || d->phase == DISPATCH_STOPPING);
	end_preparing(d, made);
}

bool dispatch_is_preparing(const struct dispatch *d) { return d->preparing.batch; }

/* A request's bytes are not ready yet, nor are so many records. */
static bool wants_more(const struct dispatch *d, uint32_t records)
{
	return d->ready.count < records && d->ready.bytes < ceiling_bytes(&d->ceiling);
}

/* Takes complete batches, and what lanes give, until `records` or the request's bytes are ready. */
static void pull(struct dispatch *d, uint32_t records)
{
	struct batch *batch;

	dispatch_lanes_collect(d);
	while (wants_more(d, records)) {
		if (d->set.lanes.is_on &&
		    dispatch_lanes_give(d, d->flush && d->batcher.messages == 0 && !d->preparing.batch))
			continue;
		if (d->preparing.batch || d->now_ns < read_after_ns(d) || !may_prepare(d) ||
		    !(batch = batcher_take(&d->batcher, d->now_ns, d->flush)))
			return;
		begin_preparing(d, batch);
	}
}

static uint32_t record_limit(const struct dispatch *d)
{
	uint64_t count = d->set.fills ? 0 : d->set.policy.count;
	uint32_t most = pace_records(&d->pace, dispatch_request_records(d));

	if (count > 0 && count < most)
		most = (uint32_t)count;
	return dispatch_searched_records(d, most);
}

/* Many limited shards go together, or each would have requests of its own. */
static int64_t shards_due_ns(const struct dispatch *d)
{
	int64_t due = ready_shards_due_ns(&d->ready, d->now_ns);
	const struct shard *s;
	uint32_t n = 0;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		n++;
	return n > SHARDS_APART && due < d->picked_ns + SHARD_STEP_NS ? d->picked_ns + SHARD_STEP_NS : due;
}

/* When what is ready or due should go even if a request is not full. */
static int64_t ripe_ns(struct dispatch *d)
{
	const struct record *first = ready_first(&d->ready), *waiting = waiting_first(&d->waiting);
	int64_t ripe = INT64_MAX, due = stream_rate_due_ns(&d->stream, d->now_ns);

	if (first)
		ripe = !d->set.fills || d->flush || d->ready.count >= dispatch_request_records(d) ||
		               d->ready.bytes >= ceiling_bytes(&d->ceiling)
		           ? INT64_MIN
		           : first->since_ns + linger_ns(d);
	if (waiting)
		ripe = earlier(ripe, waiting->due_ns + linger_ns(d));
	ripe = earlier(ripe, shards_due_ns(d));
	return d->stream.is_limited && ripe < due ? due : ripe;
}

static struct request *next_probe(struct dispatch *d)
{
	struct request *q;

	/* Where one after the other was refused the newest is asked with: it must be here. */
	pull(d, d->refused < REFUSED_IN_A_ROW ? 1 : dispatch_request_records(d));
	if (d->ready.count == 0)
		(void)dispatch_lanes_give(d, true);
	if (d->ready.count == 0 && d->preparing.batch)
		return NULL; /* a new one will soon be there */
	q = dispatch_next_from_end(d);
	if (!q)
		q = dispatch_next_ordinary(d, 1, true);
	if (!q && d->hold.next_probe_ns > d->now_ns)
		return NULL; /* what is asked with again has its time */
	if (!q)
		q = dispatch_next_isolated(d);
	if (!q)
		q = dispatch_next_doubt(d);
	if (!q && !d->suspects.in_flight)
		q = dispatch_next_suspects(d, 1);
	if (q)
		q->probe = true;
	return q;
}

static uint32_t wanted_records(const struct dispatch *d) { return d->set.fills ? dispatch_request_records(d) : 1; }

static struct request *next_request(struct dispatch *d)
{
	struct request *q;

	if (hold_is_on(&d->hold))
		return next_probe(d);
	q = dispatch_next_isolated(d);
	if (!q && d->doubts.due_count > 0 && d->turned_away < REFUSED_EACH)
		q = dispatch_next_doubt(d);
	if (!q && suspects_due_ns(&d->suspects) <= d->now_ns)
		q = dispatch_next_suspects(d, d->suspects.limit);
	if (q)
		return q;
	pull(d, wanted_records(d));
	q = ripe_ns(d) <= d->now_ns ? dispatch_next_ordinary(d, record_limit(d), false) : NULL;
	return q || d->doubts.due_count == 0 || d->requests.count > 0 ? q : dispatch_next_doubt(d);
}

/* By the link, and by what became of the last ones; INT64_MAX: not before an answer. */
static int64_t ask_due_ns(const struct dispatch *d)
{
	int64_t due = !dispatch_is_dry(d)     ? INT64_MIN
	              : d->requests.count > 0 ? INT64_MAX
	                                      : d->asked_ns + NS_PER_S,
	        link = link_due_ns(&d->link, d->requests.count);

	return due > link ? due : link;
}

/* Beside a request that only is silent no probe goes where none would have gone beside it before, until its time is
 * over: its connection may be dead, and another not. */
static int64_t probe_due_ns(const struct dispatch *d)
{
	int64_t timeout_ns = d->set.kspool.request_timeout_ns,
	        over = timeout_ns > 0 ? d->hold.entered_ns + timeout_ns : INT64_MAX,
	        due = dispatch_is_silent(d) ? earlier(link_due_ns(&d->link, d->requests.count), over) : INT64_MIN,
	        probe = earlier(d->hold.next_probe_ns, dispatch_untried_due_ns(d));

	return due > probe ? due : probe;
}

static bool may_send(const struct dispatch *d)
{
	if (d->phase == DISPATCH_STOPPING)
		return false;
	if (hold_is_on(&d->hold))
		return !d->hold.probing && d->now_ns >= probe_due_ns(d);
	if (d->requests.count > 0 && dispatch_is_full(d))
		return false; /* a request is larger than what it carries */
	return d->requests.count < max_in_flight(d) && pace_allows(&d->pace, d->now_ns, d->requests.count) &&
	       ask_due_ns(d) <= d->now_ns;
}

static void launch(struct dispatch *d, struct request *q)
{
	must(d->phase != DISPATCH_STOPPING && (!hold_is_on(&d->hold) || q->probe));
	requests_begin(&d->requests, q, d->now_ns);
	d->asked_ns = d->now_ns;
	link_sent(&d->link, q->put.accounted_bytes, d->now_ns);
	q->is_cut = q->count < dispatch_request_records(d) && link_cuts(&d->link, q->put.accounted_bytes);
	for (uint32_t i = 0; i < q->count; i++)
		q->messages += record_rows(q->records[i]);
	if (d->set.lanes.is_ordered)
		dispatch_lanes_sent(q, 1);
	if (d->ports.flight)
		flight_send(d->ports.flight, q->messages);
	if (q->probe) {
		d->hold.probing = true;
		d->others += !q->of_suspects && !q->of_doubts;
	}
	q->hold = d->hold.number;
	metric_add(M_REQUESTS, 1);
	metric_add(M_RECORDS_SENT, q->count);
	metric_add(M_WIRE_OUT, q->put.body.len);
	metric_set(M_IN_FLIGHT, d->requests.count);
	d->ports.send(d->ports.arg, q);
}

static int64_t pull_due_ns(const struct dispatch *d)
{
	int64_t due = batcher_due_ns(&d->batcher);

	if (d->preparing.batch || !may_prepare(d))
		return INT64_MAX; /* its end is an event, and what gives memory back has a time of its own */
	return d->batcher.messages > 0 && due < read_after_ns(d) ? read_after_ns(d) : due;
}

/* The first time at which dispatch_run could do something that it cannot do now. */
static int64_t next_deadline(struct dispatch *d)
{
	int64_t when = INT64_MAX;

	if (d->phase == DISPATCH_STOPPING)
		return INT64_MAX;
	if (d->hold.state == DELIVERY_THROTTLED)
		when = pace_is_throttled(&d->pace, d->now_ns) ? d->pace.throttled_ns + PACE_CALM_NS
		                                              : d->now_ns + PACE_CALM_NS;
	if (hold_is_on(&d->hold) && d->hold.probing)
		return INT64_MAX;
	if (hold_is_on(&d->hold) && probe_due_ns(d) > d->now_ns)
		return probe_due_ns(d);
	/* Nothing to probe with but a batch that is not complete: its time must wake us, or nothing ever does. */
	if (hold_is_on(&d->hold)) {
		when = earlier(when, pull_due_ns(d));
		return earlier(when, d->hold.next_probe_ns > d->now_ns ? d->hold.next_probe_ns
		                                                       : isolate_due_ns(&d->isolations));
	}
	if (d->requests.count >= max_in_flight(d) || !pace_allows(&d->pace, INT64_MAX, d->requests.count))
		return when;
	if (d->now_ns < d->pace.pause_until_ns)
		return earlier(when, d->pace.pause_until_ns);
	if (d->now_ns < ask_due_ns(d))
		return earlier(when, ask_due_ns(d));
	when = earlier(when, ripe_ns(d));
	if (wants_more(d, wanted_records(d)))
		when = earlier(when, earlier(pull_due_ns(d), lanes_due_ns(&d->lanes)));
	when = earlier(when, suspects_due_ns(&d->suspects));
	return earlier(when, isolate_due_ns(&d->isolations));
}

/* One line for all that expired since the last. */
static void log_expired(struct dispatch *d)
{
	if (d->expiry.messages == 0)
		return;
	LOG(LOG_WARN, "messages expired", LOG_U("messages", d->expiry.messages),
	    LOG_I("oldest_ms", d->expiry.oldest_ms),
	    LOG_I("expire_after_ms", d->set.kspool.expire_after_ns / NS_PER_MS));
	d->expiry = (struct expiry){0};
}

/* Sends until nothing may be sent. Where records ended by age, or went back to their keys, it is the next one's turn.
 */
static void send_all(struct dispatch *d)
{
	while (may_send(d)) {
		uint32_t before = dispatch_held(d), ready = d->ready.count;
		struct request *q = next_request(d);

		if (q)
			launch(d, q);
		else if (dispatch_held(d) == before && d->ready.count == ready)
			return;
	}
}

int64_t dispatch_run(struct dispatch *d, int64_t now_ns, int64_t wall_ms)
{
	int64_t when, tend_ns;

	dispatch_tick(d, now_ns, wall_ms);
	d->random = d->ports.unit(d->ports.arg);
	tend_ns = earlier(earlier(dispatch_tend_shards(d), dispatch_tend_lanes(d)), dispatch_listen(d));
	if (dispatch_is_calm(d)) {
		hold_move(&d->hold, HOLD_CALM, now_ns, wall_ms);
		waiting_hasten(&d->waiting, now_ns, PACE_CALM_NS, d->ports.unit, d->ports.arg);
	}
	if (d->hold.state == DELIVERY_BLOCKED && d->suspects.count == 0 && !d->suspects.in_flight)
		hold_move(&d->hold, HOLD_CALM, now_ns, wall_ms);
	send_all(d);
	dispatch_doubts_tend(d);
	send_all(d); /* what that set free, or a first probe */
	if (d->requests.count > 0 && d->ports.moved)
		tend_ns = earlier(tend_ns, now_ns + SILENCE_S * NS_PER_S);
	log_expired(d);
	if (d->batcher.messages == 0 && !d->preparing.batch && d->ready.count == 0 && d->lanes.records == 0)
		d->flush = false;
	metric_set(M_MEMORY_BYTES, (int64_t)d->memory_bytes);
	tell_budget(d);
	when = next_deadline(d);
	/* A held stream with nothing to probe with waits for the next message, not for the clock. */
	return earlier(when > now_ns ? when : INT64_MAX, tend_ns);
}

void dispatch_credentials(struct dispatch *d, int64_t now_ns)
{
	suspects_hasten(&d->suspects, now_ns);
	if (hold_is_on(&d->hold))
		d->hold.next_probe_ns = now_ns;
}

void dispatch_kick(struct dispatch *d, int64_t now_ns)
{
	d->flush = true;
	d->pace.pause_until_ns = now_ns;
	d->dry = (struct chance_row){0};
	dispatch_credentials(d, now_ns);
}

uint32_t dispatch_in_flight(const struct dispatch *d) { return d->requests.count; }

uint64_t dispatch_unanswered(const struct dispatch *d) { return requests_messages(&d->requests); }
