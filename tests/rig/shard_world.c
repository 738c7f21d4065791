#include "rig/shard_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kinesis/hash.h"
#include "delivery/dispatch.h"
#include "delivery/dispatch_internal.h"

enum {
	ROW_MEMORY = 12000,
	HEAD_BYTES = 700,
	FATES = 1024,
	FATE_WAITS = 0,
	FATE_INSIDE,
	FATE_PARKED,
	FATE_ASKED,
	FATE_DELIVERED,
	FATE_OTHER,
	FATE_GONE
};
#define IDLE_NS (125 * NS_PER_S)

/* Of a row: entries that refused it in answers that came, and what the journal knows of that. */
struct world_tries {
	uint32_t refused, noted;
};

struct world_node {
	struct world *w;
	struct dispatch_settings set;
	struct dispatch *d;
	struct world_rows rows;
	unsigned char *fate; /* of the rows that were given */
	struct world_tries *tries;
	uint64_t fates;
	uint64_t next_id;
	uint64_t *asked;
	size_t asked_count;
	uint64_t inside;
	uint64_t delivered, other, gone;
	int64_t due_ns, began_ns;
	int64_t sent_ns; /* the newest request, or when it began */
	int64_t line_free_ns, rtt_ns;
	uint32_t turns;
};

struct world_event {
	int64_t at_ns;
	struct world_node *node;
	struct request *request; /* null: the node's turn has come, or its row comes back */
	char *body;              /* null: it arrives at the service */
	bool *failed;            /* of its records; null: not by themselves */
	bool is_lost, is_unsent;
	int status;
	uint32_t turn;
	uint64_t row; /* 0: none */
	struct transport_link way;
};

double world_random(struct world *w)
{
	w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double)(w->seed >> 11) / 9007199254740992.0;
}

static void put_event(struct world *w, struct world_event e)
{
	size_t at = w->event_count++;

	if (at == w->event_capacity) {
		w->event_capacity = w->event_capacity ? 2 * w->event_capacity : 64;
		w->events = mem_grow(w->events, w->event_capacity, sizeof *w->events);
	}
	for (; at > 0 && w->events[(at - 1) / 2].at_ns > e.at_ns; at = (at - 1) / 2)
		w->events[at] = w->events[(at - 1) / 2];
	w->events[at] = e;
}

static struct world_event take_event(struct world *w)
{
	struct world_event first = w->events[0], last = w->events[--w->event_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < w->event_count && w->events[child + 1].at_ns < w->events[child].at_ns)
			child++;
		if (child >= w->event_count || w->events[child].at_ns >= last.at_ns)
			break;
		w->events[at] = w->events[child];
		at = child;
	}
	w->events[at] = last;
	return first;
}

/* The whole of it. */
static void refuse(struct world *w, const struct world_event *e, const struct world_refusal *refusal)
{
	w->offered += e->request->count;
	put_event(w, (struct world_event){.at_ns = w->now_ns + e->node->rtt_ns / 2,
	                                  .node = e->node,
	                                  .request = e->request,
	                                  .body = world_refusal_body(w, e->request, refusal),
	                                  .status = refusal->status});
}

/* Nobody is there, it is refused as a whole, or it does not arrive. */
static bool is_turned_away(struct world *w, const struct world_event *e, bool lose)
{
	struct world_event lost = {.at_ns = w->now_ns + (w->is_away ? e->node->rtt_ns / 2 : e->node->rtt_ns),
	                           .node = e->node,
	                           .request = e->request,
	                           .is_lost = true,
	                           .is_unsent = w->is_away};

	if (!w->is_away && (w->refusal || world_is_barred(w, e->request))) {
		refuse(w, e, w->refusal ? w->refusal : w->bars);
		return true;
	}
	if (!w->is_away && (!lose || world_random(w) >= 0.5))
		return false;
	lost.body = mem_string("");
	put_event(w, lost);
	return true;
}

/* The service deals with a request, and its answer is on its way. */
static void serve(struct world *w, struct world_event *e)
{
	struct request *q = e->request;
	struct world_event answer;
	bool *failed;
	const bool lose = w->random_lost > 0 && world_random(w) < w->random_lost;
	struct buf b;

	if (is_turned_away(w, e, lose))
		return;
	failed = mem_zero(q->count * sizeof *failed);
	buf_init(&b, 1 << 20);
	(void)buf_add_text(&b, "{\"Records\":[");
	for (uint32_t i = 0; i < q->count; i++) {
		const struct record *r = q->records[i];
		struct world_shard *s = world_shard_of(w, hasher_key(w->hasher, r->key, r->key_bytes));

		w->offered++;
		s->offered++;
		(void)buf_add_text(&b, i ? "," : "");
		if (world_is_poisoned(w, r)) {
			(void)buf_add_text(&b, "{\"ErrorCode\":\"ValidationException\",\"ErrorMessage\":\"No.\"}");
			continue;
		}
		if (world_takes(w, s, (double)record_accounted(r))) {
			w->stored++;
			s->stored++;
			world_tell_stored(w, r);
			(void)buf_addf(&b, "{\"SequenceNumber\":\"%" PRIu64 "\",\"ShardId\":\"%s\"}", w->stored,
			               w->names_lie ? w->shards[w->stored % w->shard_count].name : s->name);
			continue;
		}
		s->refused++;
		failed[i] = true;
		if (s->mood == WORLD_FAILS)
			(void)buf_add_text(
			    &b, "{\"ErrorCode\":\"InternalFailure\",\"ErrorMessage\":\"Internal service failure.\"}");
		else
			(void)buf_addf(&b,
			               "{\"ErrorCode\":\"ProvisionedThroughputExceededException\",\"ErrorMessage\":"
			               "\"Rate exceeded%s%s in stream s under account 1.\"}",
			               w->is_silent ? "" : " for shard ", w->is_silent ? "" : s->name);
	}
	(void)buf_add_text(&b, "]}");
	must(!b.overflow);
	answer = (struct world_event){.at_ns = w->now_ns + e->node->rtt_ns / 2,
	                              .node = e->node,
	                              .request = q,
	                              .body = buf_take(&b, NULL),
	                              .failed = failed,
	                              .is_lost = lose,
	                              .way = e->way};
	if (w->random_late > 0 && world_random(w) < w->random_late)
		answer.at_ns += (int64_t)(world_random(w) * 10 * (double)e->node->rtt_ns);
	put_event(w, answer);
}

/* Over the line, behind what is on it. Returns when the last byte is on its way. */
static int64_t carry(struct world_node *n, const struct request *q, struct transport_link *ret)
{
	const struct world *w = n->w;
	const uint64_t wire = q->put.body.len + HEAD_BYTES;
	int64_t begins_ns = n->line_free_ns > w->now_ns ? n->line_free_ns : w->now_ns, steady_ns, ends_ns;

	*ret = (struct transport_link){0};
	if (w->line_bytes_s <= 0)
		return w->now_ns;
	ends_ns = n->line_free_ns = begins_ns + (int64_t)((double)wire / w->line_bytes_s * (double)NS_PER_S);
	*ret = (struct transport_link){.is_known = true,
	                               .wire_bytes = wire,
	                               .upload_ns = ends_ns - w->now_ns + n->rtt_ns,
	                               .heard_ns = ends_ns - w->now_ns + n->rtt_ns,
	                               .rtt_ns = n->rtt_ns};
	steady_ns = ret->upload_ns - NS_PER_S;
	if (steady_ns > 0) {
		double bytes = (double)steady_ns / (double)NS_PER_S * w->line_bytes_s;

		ret->steady_ns = steady_ns;
		ret->steady_bytes = bytes < (double)wire ? (uint64_t)bytes : wire;
	}
	return ends_ns;
}

static void port_send(void *arg, struct request *q)
{
	struct world_node *n = arg;
	struct world *w = n->w;
	struct world_event e = {.node = n, .request = q};

	w->requests++;
	n->sent_ns = w->now_ns;
	e.at_ns = carry(n, q, &e.way) + n->rtt_ns / 2;
	put_event(w, e);
}

/* The journal keeps how often it was tried, and so does the world. */
static void note(struct world_node *n, const struct store_settlement *x)
{
	if (x->kind != SETTLE_RETRY && x->kind != SETTLE_DEAD)
		return;
	n->tries[x->id].noted = x->attempts;
	if (n->w->counts_tries && x->attempts != n->tries[x->id].refused)
		must(!"it was tried as often as it was refused");
}

static void port_settle(void *arg, const struct store_settlement *x, uint32_t row_bytes)
{
	struct world_node *n = arg;

	(void)row_bytes;
	note(n, x);
	if (x->is_note && n->fate[x->id] != FATE_INSIDE) { /* what is known of it, at the end */
		must(x->kind == SETTLE_RETRY && n->d->phase == DISPATCH_STOPPING);
		free(x->reason);
		return;
	}
	must(n->fate[x->id] == FATE_INSIDE);
	n->fate[x->id] = x->kind == SETTLE_DELIVERED ? FATE_DELIVERED
	                 : x->kind == SETTLE_RELEASE ? FATE_PARKED
	                                             : FATE_OTHER;
	n->delivered += x->kind == SETTLE_DELIVERED;
	n->other += x->kind != SETTLE_DELIVERED && x->kind != SETTLE_RELEASE;
	n->inside--;
	free(x->reason);
	if (x->kind == SETTLE_RETRY)
		put_event(n->w, (struct world_event){
		                    .at_ns = n->w->now_ns + x->wait_ms * NS_PER_MS, .node = n, .row = x->id});
}

static void ask(struct world_node *n, uint64_t id)
{
	n->fate[id] = FATE_ASKED;
	n->asked = mem_grow(n->asked, n->asked_count + 1, sizeof *n->asked);
	n->asked[n->asked_count++] = id;
}

static void port_fetch(void *arg, uint64_t id)
{
	struct world_node *n = arg;

	must(n->fate[id] == FATE_PARKED);
	ask(n, id);
}

static bool port_prepare(void *arg, struct batch *batch, struct prepared *ret)
{
	struct world_node *n = arg;

	ret->records = mem_zero(batch->list.count * sizeof *ret->records);
	for (size_t i = 0; i < batch->list.count; i++) {
		struct message *m = batch->list.items[i];
		char key[64];

		batch->list.items[i] = NULL;
		if (n->rows.key_of)
			n->rows.key_of(n->rows.arg, m->id, key);
		else
			(void)snprintf(key, sizeof key, "%" PRIu64, m->id * UINT64_C(0x9e3779b97f4a7c15));
		ret->records[ret->count++].record = record_new(m, key, (uint32_t)strlen(key), false, NULL, 0);
	}
	batch->list.count = 0;
	return true;
}

static double port_unit(void *arg) { return world_random(((struct world_node *)arg)->w); }

static void port_nothing(void *arg) { (void)arg; }

static void port_clock(void *arg, int64_t ms) { (void)arg, (void)ms; }

/* Its next turn is then, and none before. */
static void due(struct world_node *n, int64_t at_ns)
{
	n->due_ns = at_ns;
	n->turns++;
	if (at_ns < INT64_MAX)
		put_event(n->w, (struct world_event){.at_ns = at_ns, .node = n, .turn = n->turns});
}

struct world *world_new(size_t shards, int64_t rtt_ns, uint64_t seed)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	struct world *w = mem_zero(sizeof *w);

	log_configure(&quiet);
	w->now_ns = 1000 * NS_PER_S;
	w->wall_ms = INT64_C(1700000000000);
	w->rtt_ns = rtt_ns;
	w->line_bytes_s = WORLD_FAST_LINE;
	w->seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	w->hasher = hasher_new();
	w->shards = mem_zero(shards * sizeof *w->shards);
	w->shard_count = shards;
	world_part_evenly(w);
	for (size_t i = 0; i < shards; i++) {
		struct world_shard *one = &w->shards[i];

		one->records_s = 1000;
		one->bytes_s = 1 << 20;
		one->burst_s = 1;
		one->at_ns = w->now_ns;
		one->records = 1000;
		one->bytes = 1 << 20;
	}
	return w;
}

struct world_node *world_add(struct world *w, const struct world_rows *rows)
{
	static char stream[] = "s";
	struct world_node *n = mem_zero(sizeof *n);
	uint64_t memory = rows->memory_bytes ? rows->memory_bytes : 15 << 20;
	uint64_t most = rows->memory_rows ? rows->memory_rows : ROW_MEMORY;
	const struct dispatch_ports ports = {.arg = n,
	                                     .send = port_send,
	                                     .settle = port_settle,
	                                     .prepare = port_prepare,
	                                     .fetch = port_fetch,
	                                     .unit = port_unit,
	                                     .credentials_stale = port_nothing,
	                                     .clock_learn = port_clock,
	                                     .connections_suspect = port_nothing,
	                                     .tells_way = w->line_bytes_s > 0};

	n->w = w;
	n->rtt_ns = w->rtt_ns;
	if (w->rtt_spread > 0)
		n->rtt_ns += (int64_t)((2 * world_random(w) - 1) * w->rtt_spread * (double)w->rtt_ns);
	n->rows = *rows;
	n->rows.memory_bytes = memory;
	n->rows.memory_rows = most;
	n->set = (struct dispatch_settings){
	    .kspool = {.max_request_records = 500,
	               .max_request_bytes_bytes = 5 << 20,
	               .max_record_bytes_bytes = 1 << 20,
	               .linger_ns = 5 * NS_PER_MS,
	               .throttle_max_ns = 5 * NS_PER_S / 2,
	               .probe_initial_ns = NS_PER_S,
	               .probe_max_ns = 60 * NS_PER_S},
	    .output = {.stream = stream,
	               .max_in_flight = 64,
	               .backoff = {.initial_interval_ns = NS_PER_S,
	                           .max_interval_ns = 5 * NS_PER_S,
	                           .max_elapsed_time_ns = 30 * NS_PER_S}},
	    .wire = PUTRECORDS_JSON,
	    .fills = true,
	    .policy = {.count = 500,
	               .payload_bytes = 5 << 20,
	               .period_ns = 5 * NS_PER_MS,
	               .cost_bytes = memory / 2,
	               .memory_count = (uint32_t)most / 2},
	};
	n->set.lanes = rows->lanes;
	n->next_id = 1;
	n->began_ns = n->sent_ns = w->now_ns;
	n->d = dispatch_new(&n->set, &ports, w->now_ns, w->wall_ms);
	w->nodes = mem_grow(w->nodes, w->node_count + 1, sizeof *w->nodes);
	w->nodes[w->node_count++] = n;
	due(n, w->now_ns);
	return n;
}

static bool has_credit(const struct world_node *n)
{
	return n->inside < n->rows.memory_rows &&
	       n->inside * (n->rows.bytes + sizeof(struct message)) < n->rows.memory_bytes;
}

static void give(struct world_node *n, uint64_t id)
{
	struct message *m;

	if (id >= n->fates) {
		n->fate = mem_grow(n->fate, id + FATES, 1);
		n->tries = mem_grow(n->tries, id + FATES, sizeof *n->tries);
		memset(n->fate + n->fates, FATE_WAITS, id + FATES - n->fates);
		memset(n->tries + n->fates, 0, (id + FATES - n->fates) * sizeof *n->tries);
		n->fates = id + FATES;
	}
	if (n->fate[id] == FATE_ASKED && n->w->random_gone > 0 && world_random(n->w) < n->w->random_gone) {
		n->fate[id] = FATE_GONE;
		n->gone++;
		dispatch_gone(n->d, id);
		return;
	}
	m = message_new_room(n->rows.bytes, n->w->now_ns / NS_PER_MS);
	m->id = id;
	m->attempts = n->tries[id].noted;
	n->fate[id] = FATE_INSIDE;
	n->inside++;
	dispatch_message(n->d, m, n->w->now_ns, n->w->wall_ms);
}

static uint64_t there(const struct world_node *n)
{
	double passed = (double)(n->w->now_ns - n->began_ns) / (double)NS_PER_S;
	uint64_t come = n->rows.per_second > 0 ? (uint64_t)(passed * n->rows.per_second) : n->rows.count;

	return come < n->rows.count ? come : n->rows.count;
}

static void feed(struct world_node *n)
{
	size_t at = 0;
	uint64_t last = there(n);

	while (at < n->asked_count && has_credit(n))
		give(n, n->asked[at++]);
	if (at > 0)
		memmove(n->asked, n->asked + at, (n->asked_count - at) * sizeof *n->asked);
	n->asked_count -= at;
	while (n->next_id <= last && has_credit(n))
		give(n, n->next_id++);
}

/* Never idle with work: the longest of all waits, a probe's, is over, and nothing of what is left was sent. */
static void check_idle(struct world_node *n)
{
	const bool rests = hold_is_on(&n->d->hold) || n->d->requests.count > 0 || n->d->phase != DISPATCH_RUNNING ||
	                   n->delivered + n->other + n->gone >= there(n);

	if (rests)
		n->sent_ns = n->w->now_ns;
	else if (n->w->now_ns - n->sent_ns > IDLE_NS)
		must(!"rows wait, and nothing is sent");
}

static void turn(struct world_node *n)
{
	struct world *w = n->w;
	uint64_t inside;
	int64_t at_ns;

	do {
		feed(n);
		inside = n->inside + n->asked_count;
		at_ns = dispatch_run(n->d, w->now_ns, w->wall_ms);
	} while (n->inside + n->asked_count != inside); /* what was parked makes room */
	if (n->rows.per_second > 0 && n->next_id <= n->rows.count && has_credit(n)) {
		int64_t next = n->began_ns + (int64_t)((double)n->next_id / n->rows.per_second * (double)NS_PER_S);

		next = next > w->now_ns ? next : w->now_ns + NS_PER_MS;
		at_ns = next < at_ns ? next : at_ns;
	}
	check_idle(n);
	due(n, at_ns);
}

static void count_tries(const struct world_event *e)
{
	for (uint32_t i = 0; e->failed && !e->is_lost && i < e->request->count; i++) {
		const struct record *r = e->request->records[i];

		for (uint32_t k = 0; k < r->part_count; k++)
			e->node->tries[r->parts[k]->id].refused += e->failed[i];
		if (!r->parts)
			e->node->tries[r->id].refused += e->failed[i];
	}
}

static void answer(struct world *w, struct world_event *e)
{
	struct aws_answer a = {.outcome = AWS_ANSWERED,
	                       .status = e->status ? e->status : 200,
	                       .body = e->body,
	                       .body_bytes = strlen(e->body),
	                       .retry_after_ms = -1,
	                       .link = e->way};
	const struct aws_answer lost = {.outcome = e->is_unsent ? AWS_NOT_SENT : AWS_UNKNOWN, .retry_after_ms = -1};

	if (e->way.is_known)
		a.link.heard_ns = w->now_ns - e->request->sent_ns;
	count_tries(e);
	dispatch_answered(e->node->d, e->request, e->is_lost ? &lost : &a, w->now_ns, w->wall_ms);
	free(e->body);
	free(e->failed);
	turn(e->node);
}

static void pass(struct world *w, int64_t to_ns)
{
	w->wall_ms += (to_ns - w->now_ns) / NS_PER_MS;
	w->now_ns = to_ns;
}

static void happen(struct world *w, struct world_event *e)
{
	if (e->row > 0) {
		ask(e->node, e->row);
		turn(e->node);
	} else if (!e->request) {
		if (e->turn == e->node->turns)
			turn(e->node);
	} else if (e->body) {
		answer(w, e);
	} else {
		serve(w, e);
	}
}

void world_run(struct world *w, int64_t ns)
{
	int64_t end_ns = w->now_ns + ns;

	while (w->event_count > 0 && w->events[0].at_ns < end_ns) {
		struct world_event e = take_event(w);

		pass(w, e.at_ns > w->now_ns ? e.at_ns : w->now_ns);
		happen(w, &e);
	}
	pass(w, end_ns);
	for (size_t i = 0; i < w->node_count; i++)
		check_idle(w->nodes[i]);
}

uint64_t world_delivered(const struct world_node *n) { return n->delivered; }

uint64_t world_other_ends(const struct world_node *n) { return n->other; }

uint64_t world_gone(const struct world_node *n) { return n->gone; }

struct dispatch *world_dispatch(const struct world_node *n) { return n->d; }

/* What was tried and not delivered is given back with all its tries. */
static void end_counted(struct world_node *n)
{
	dispatch_park(n->d);
	for (uint64_t id = 1; id < n->next_id; id++)
		if (n->fate[id] != FATE_DELIVERED && n->tries[id].noted != n->tries[id].refused)
			must(!"what was tried is known at the end");
}

void world_free(struct world *w)
{
	for (size_t i = 0; i < w->node_count; i++)
		dispatch_stop(w->nodes[i]->d);
	while (w->event_count > 0) {
		struct world_event e = take_event(w);
		const struct aws_answer a = {.outcome = AWS_CANCELLED, .retry_after_ms = -1, .body = ""};

		if (!e.request)
			continue;
		dispatch_answered(e.node->d, e.request, &a, w->now_ns, w->wall_ms);
		free(e.body);
		free(e.failed);
	}
	for (size_t i = 0; i < w->node_count; i++) {
		if (w->counts_tries)
			end_counted(w->nodes[i]);
		dispatch_free(w->nodes[i]->d);
		free(w->nodes[i]->fate);
		free(w->nodes[i]->tries);
		free(w->nodes[i]->asked);
		free(w->nodes[i]);
	}
	hasher_free(w->hasher);
	free(w->nodes);
	free(w->events);
	free(w->shards);
	free(w);
}
