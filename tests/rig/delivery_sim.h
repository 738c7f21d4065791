/*
 * delivery_sim: the dispatcher between a fake journal and a scripted sink, on a fake clock.
 *
 * The sink remembers what it stored and what its own entries said; every settlement is checked against that when it is
 * made (promise 2), and sim_check says whether anything was lost (promise 1) or repeated without a count (promise 7).
 */
#ifndef KSPOOL_TESTS_DELIVERY_SIM_H
#define KSPOOL_TESTS_DELIVERY_SIM_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "delivery/dispatch.h"
#include "delivery/dispatch_internal.h"

#ifndef SIM_ROWS_MOST /* whoever makes a world thousands of times a second makes a small one */
#define SIM_ROWS_MOST 40000
#endif

enum { SIM_ROWS = SIM_ROWS_MOST, SIM_REQUESTS = 128 };

enum sim_fate { SIM_OUTSIDE, SIM_INSIDE, SIM_DELIVERED, SIM_RETRY, SIM_DEAD, SIM_FILTERED, SIM_EXPIRED, SIM_PARKED };

struct sim {
	struct dispatch *d;
	struct dispatch_settings set;
	int64_t now_ns, wall_ms, due_ns;
	uint64_t seed;
	struct request *requests[SIM_REQUESTS]; /* under way, oldest first */
	size_t request_count;
	uint64_t sent_requests, sent_records;
	uint64_t next_id;
	unsigned char fate[SIM_ROWS];
	unsigned char acked[SIM_ROWS]; /* an entry of its own said stored */
	uint16_t stored[SIM_ROWS];     /* copies the sink has */
	uint32_t attempts[SIM_ROWS];
	int64_t wait_ms[SIM_ROWS];
	char dead_code[96];
	uint64_t fates[SIM_PARKED + 1];
	uint64_t parked;
	uint64_t fetched[SIM_ROWS]; /* asked for again: given by sim_give_fetched */
	size_t fetched_count;
	uint64_t duplicates_before;
	unsigned stale, learned, suspect;
	int64_t learned_ms;
	uint64_t pieces; /* > 1: every row becomes so many records */
	uint64_t part;   /* > 0: at most so many rows of a batch are prepared at once */
	/* Batches are prepared later: after a time of chance up to this, or (INT64_MAX) when sim_prepared is called. */
	int64_t prepare_ns;
	struct batch *preparing;
	int64_t prepared_at_ns;
	uint64_t prepared_later;
	struct transport_link way; /* of the answers that follow */
};

static inline double sim_unit(void *arg)
{
	struct sim *s = arg;

	s->seed = s->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double)(s->seed >> 11) / 9007199254740992.0;
}

static inline void sim_send(void *arg, struct request *q)
{
	struct sim *s = arg;

	must(s->request_count < SIM_REQUESTS && s->d->phase != DISPATCH_STOPPING);
	must(q->count >= 1 && q->count <= s->set.kspool.max_request_records);
	must(q->put.body.len == q->aws.body_bytes && q->count == q->put.added);
	must(q->count == 1 || q->put.accounted_bytes <= s->set.kspool.max_request_bytes_bytes);
	for (uint32_t i = 0; i < q->count; i++) { /* the body holds what the row held */
		char text[64], want[64];

		must(q->records[i]->data_bytes < sizeof text - 2);
		putrecords_data(&q->put, q->records[i]->data_at, q->records[i]->data_bytes, text);
		(void)snprintf(want, sizeof want, "%" PRIu64, q->records[i]->id);
		must(memcmp(text, want, strlen(want)) == 0);
		must(s->fate[q->records[i]->id] == SIM_INSIDE);
	}
	s->requests[s->request_count++] = q;
	s->sent_requests++;
	s->sent_records += q->count;
}

static inline void sim_settle(void *arg, const struct store_settlement *x, uint32_t row_bytes)
{
	static const enum sim_fate FATES[] = {[SETTLE_DELIVERED] = SIM_DELIVERED,
	                                      [SETTLE_RETRY] = SIM_RETRY,
	                                      [SETTLE_DEAD] = SIM_DEAD,
	                                      [SETTLE_FILTERED] = SIM_FILTERED,
	                                      [SETTLE_EXPIRED] = SIM_EXPIRED};
	struct sim *s = arg;

	if (x->is_note && s->fate[x->id] == SIM_PARKED) { /* what is known of it, at the end */
		must(x->kind == SETTLE_RETRY && x->attempts > 0 && s->d->phase == DISPATCH_STOPPING);
		s->attempts[x->id] = x->attempts;
		free(x->reason);
		return;
	}
	must(x->id < SIM_ROWS && s->fate[x->id] == SIM_INSIDE);
	must(row_bytes > 0 || x->is_note);
	if (x->kind == SETTLE_RELEASE) {
		s->fate[x->id] = SIM_PARKED;
		s->parked++;
		return;
	}
	s->fate[x->id] = (unsigned char)FATES[x->kind];
	s->fates[FATES[x->kind]]++;
	s->attempts[x->id] = x->attempts;
	s->wait_ms[x->id] = x->wait_ms;
	if (x->kind == SETTLE_DELIVERED)
		must(s->acked[x->id]); /* promise 2 */
	if (x->kind == SETTLE_DEAD)
		(void)snprintf(s->dead_code, sizeof s->dead_code, "%s", x->code);
	if (x->kind == SETTLE_RETRY)
		must(x->wait_ms >= 0 && x->code);
	free(x->reason);
}

static inline void sim_fetch(void *arg, uint64_t id)
{
	struct sim *s = arg;

	must(s->fate[id] == SIM_PARKED);
	s->fetched[s->fetched_count++] = id;
}

static inline struct record *sim_record(struct message *m) { return record_new(m, "k", 1, true, NULL, 0); }

static inline void sim_make(struct sim *s, struct batch *batch, struct prepared *ret)
{
	size_t pieces = s->pieces > 1 ? s->pieces : 1, count = batch->list.count;

	if (s->part > 0 && count > s->part)
		count = s->part;
	ret->records = mem_zero(count * pieces * sizeof *ret->records);
	ret->rows = mem_zero(count * sizeof *ret->rows);
	for (size_t i = 0; i < count; i++) {
		struct message *m = batch->list.items[i];

		batch->list.items[i] = NULL;
		if (pieces > 1)
			ret->rows[ret->row_count++] = (struct prepared_row){m->id, m->body_bytes};
		for (size_t piece = 1; piece < pieces; piece++) {
			struct message *copy = message_new(NULL, 0, message_body(m), m->body_bytes, m->received_ms);

			copy->accepted_ms = m->accepted_ms;
			copy->id = m->id;
			ret->records[ret->count++].record = sim_record(copy);
		}
		ret->records[ret->count++].record = sim_record(m);
	}
	batch->list.count -= count;
	memmove(batch->list.items, batch->list.items + count, batch->list.count * sizeof *batch->list.items);
}

static inline bool sim_prepare(void *arg, struct batch *batch, struct prepared *ret)
{
	struct sim *s = arg;

	must(!s->preparing && batch->list.count > 0);
	if (s->prepare_ns == 0) {
		sim_make(s, batch, ret);
		return true;
	}
	s->preparing = batch;
	s->prepared_at_ns = INT64_MAX;
	if (s->prepare_ns < INT64_MAX)
		s->prepared_at_ns = s->now_ns + 1 + (int64_t)(sim_unit(s) * (double)s->prepare_ns);
	return false;
}

/* What is being prepared is ready. */
static inline void sim_prepared(struct sim *s)
{
	struct batch *batch = s->preparing;
	struct prepared made = {0};

	must(batch);
	for (size_t i = 0; i < batch->list.count; i++)
		must(s->fate[batch->list.items[i]->id] == SIM_INSIDE);
	sim_make(s, batch, &made);
	s->preparing = NULL;
	s->prepared_later++;
	dispatch_prepared(s->d, batch, &made, s->now_ns, s->wall_ms);
}

static inline void sim_stale(void *arg) { ((struct sim *)arg)->stale++; }

static inline void sim_learn(void *arg, int64_t ms)
{
	((struct sim *)arg)->learned++;
	((struct sim *)arg)->learned_ms = ms;
}

static inline void sim_suspect(void *arg) { ((struct sim *)arg)->suspect++; }

static inline struct dispatch_settings sim_defaults(void)
{
	static char sim_stream[] = "test";

	return (struct dispatch_settings){
	    .kspool = {.max_request_records = 500,
	               .max_request_bytes_bytes = 5 << 20,
	               .linger_ns = 10 * NS_PER_MS,
	               .throttle_max_ns = 5 * NS_PER_S / 2,
	               .probe_initial_ns = NS_PER_S,
	               .probe_max_ns = 60 * NS_PER_S},
	    .output = {.stream = sim_stream,
	               .max_in_flight = 8,
	               .backoff = {.initial_interval_ns = NS_PER_S,
	                           .max_interval_ns = 5 * NS_PER_S,
	                           .max_elapsed_time_ns = 30 * NS_PER_S}},
	    .wire = PUTRECORDS_JSON,
	    .fills = true,
	    .policy = {.count = 500, .payload_bytes = 5 << 20, .period_ns = 10 * NS_PER_MS, .cost_bytes = 8 << 20},
	};
}

static inline struct sim *sim_new(const struct dispatch_settings *set)
{
	const struct log_options quiet = {.level = LOG_OFF, .fd = 2};
	struct sim *s = mem_zero(sizeof *s);
	struct dispatch_ports ports = {.arg = s,
	                               .send = sim_send,
	                               .settle = sim_settle,
	                               .prepare = sim_prepare,
	                               .fetch = sim_fetch,
	                               .unit = sim_unit,
	                               .credentials_stale = sim_stale,
	                               .clock_learn = sim_learn,
	                               .connections_suspect = sim_suspect};

	log_configure(&quiet);
	s->set = *set;
	s->now_ns = 1000 * NS_PER_S;
	s->wall_ms = INT64_C(1700000000000);
	s->seed = 42;
	s->next_id = 1;
	s->duplicates_before = (uint64_t)metric_get(M_POSSIBLE_DUPLICATES);
	s->d = dispatch_new(&s->set, &ports, s->now_ns, s->wall_ms);
	return s;
}

/* What was parked and is asked for again comes as the journal would bring it. */
static inline void sim_bring(struct sim *s)
{
	for (size_t i = 0; i < s->fetched_count; i++) {
		uint64_t id = s->fetched[i];
		char text[32];
		int n = snprintf(text, sizeof text, "%" PRIu64 " ", id);
		struct message *m = message_new(NULL, 0, text, (size_t)n, s->wall_ms);

		m->accepted_ms = s->now_ns / NS_PER_MS;
		m->id = id;
		s->fate[id] = SIM_INSIDE;
		dispatch_message(s->d, m, s->now_ns, s->wall_ms);
	}
	s->fetched_count = 0;
}

static inline void sim_run(struct sim *s)
{
	sim_bring(s);
	if (s->preparing && s->now_ns >= s->prepared_at_ns)
		sim_prepared(s);
	s->due_ns = dispatch_run(s->d, s->now_ns, s->wall_ms);
	must(s->due_ns > s->now_ns); /* no timer in the past */
	must(dispatch_is_preparing(s->d) == (s->preparing != NULL));
	if (s->preparing && s->prepared_at_ns < s->due_ns)
		s->due_ns = s->prepared_at_ns;
}

/* Accepted so long ago. */
static inline void sim_rows_aged(struct sim *s, uint64_t count, int64_t age_ms)
{
	for (uint64_t i = 0; i < count; i++) {
		char text[32];
		int n = snprintf(text, sizeof text, "%" PRIu64 " ", s->next_id);
		struct message *m = message_new(NULL, 0, text, (size_t)n, s->wall_ms - age_ms);

		must(s->next_id < SIM_ROWS);
		m->accepted_ms = s->now_ns / NS_PER_MS - age_ms;
		m->id = s->next_id++;
		s->fate[m->id] = SIM_INSIDE;
		dispatch_message(s->d, m, s->now_ns, s->wall_ms);
	}
}

static inline void sim_rows(struct sim *s, uint64_t count) { sim_rows_aged(s, count, 0); }

static inline void sim_advance(struct sim *s, int64_t ns)
{
	s->now_ns += ns;
	s->wall_ms += ns / NS_PER_MS;
}

static inline struct request *sim_take(struct sim *s, size_t at)
{
	struct request *q = s->requests[at];

	must(at < s->request_count);
	memmove(&s->requests[at], &s->requests[at + 1], (s->request_count - at - 1) * sizeof(struct request *));
	s->request_count--;
	return q;
}

static inline void sim_give(struct sim *s, struct request *q, struct aws_answer *answer)
{
	answer->link = s->way;
	dispatch_answered(s->d, q, answer, s->now_ns, s->wall_ms);
}

static inline void sim_status(struct sim *s, size_t at, int status, const char *body)
{
	struct aws_answer a = {.outcome = AWS_ANSWERED, .status = status, .body = body, .body_bytes = strlen(body)};

	a.retry_after_ms = -1;
	sim_give(s, sim_take(s, at), &a);
}

static inline void sim_error(struct sim *s, size_t at, const char *code, const char *text)
{
	char body[1024];

	(void)snprintf(body, sizeof body, "{\"__type\":\"%s\",\"message\":\"%s\"}", code, text);
	sim_status(s, at, 400, body);
}

static inline void sim_transport(struct sim *s, size_t at, enum aws_outcome outcome, bool stored)
{
	struct aws_answer a = {.outcome = outcome, .retry_after_ms = -1, .error = {.text = "scripted"}, .body = ""};
	struct request *q = sim_take(s, at);

	for (uint32_t i = 0; stored && i < q->count; i++)
		s->stored[q->records[i]->id]++;
	sim_give(s, q, &a);
}

/* verdict(i): 's' stored, 't' throttled, 'i' internal failure, 'x' invalid argument, 'k' key disabled, 'u' unknown code
 */
typedef char sim_verdict(void *arg, uint64_t id, uint32_t index);

static inline char *sim_body(struct sim *s, struct request *q, sim_verdict *verdict, void *arg)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	(void)buf_add_text(&b, "{\"FailedRecordCount\":0,\"Records\":[");
	for (uint32_t i = 0; i < q->count; i++) {
		uint64_t id = q->records[i]->id;
		char v = verdict(arg, id, i);
		const char *code = v == 't'   ? "ProvisionedThroughputExceededException"
		                   : v == 'i' ? "InternalFailure"
		                   : v == 'x' ? "InvalidArgumentException"
		                   : v == 'k' ? "KMSDisabledException"
		                              : "SomethingNew";

		if (i)
			(void)buf_add_char(&b, ',');
		if (v == 's') {
			(void)buf_add_text(&b, "{\"SequenceNumber\":\"49\",\"ShardId\":\"shardId-0\"}");
			s->stored[id]++;
			s->acked[id] = 1;
		} else {
			(void)buf_addf(&b, "{\"ErrorCode\":\"%s\",\"ErrorMessage\":\"no\"}", code);
		}
	}
	(void)buf_add_text(&b, "]}");
	must(!b.overflow);
	return buf_take(&b, NULL);
}

static inline void sim_answer(struct sim *s, size_t at, sim_verdict *verdict, void *arg)
{
	struct request *q = sim_take(s, at);
	char *body = sim_body(s, q, verdict, arg);
	struct aws_answer a = {
	    .outcome = AWS_ANSWERED, .status = 200, .body = body, .body_bytes = strlen(body), .retry_after_ms = -1};

	sim_give(s, q, &a);
	free(body);
}

static inline char sim_all_stored(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id, (void)i;
	return 's';
}

static inline char sim_all_throttled(void *arg, uint64_t id, uint32_t i)
{
	(void)arg, (void)id, (void)i;
	return 't';
}

static inline uint64_t sim_inside(const struct sim *s)
{
	uint64_t n = 0;

	for (uint64_t id = 1; id < s->next_id; id++)
		n += s->fate[id] == SIM_INSIDE || s->fate[id] == SIM_PARKED;
	return n;
}

/* Copies beyond the first, over all rows, against what was counted as possible duplicates. */
static inline void sim_check(const struct sim *s)
{
	uint64_t extra = 0;

	for (uint64_t id = 1; id < s->next_id; id++) {
		if (s->fate[id] == SIM_DELIVERED)
			must(s->stored[id] >= 1); /* promise 1: delivered means it is there */
		if (s->pieces <= 1 && s->stored[id] > 1)
			extra += s->stored[id] - 1u;
	}
	must(extra <= (uint64_t)metric_get(M_POSSIBLE_DUPLICATES) - s->duplicates_before);
}

static inline enum delivery_state sim_state(const struct sim *s) { return s->d->hold.state; }

/* Answers everything with success, moving the clock, until nothing is inside; false when it takes more than limit_ns.
 */
static inline bool sim_drain(struct sim *s, int64_t limit_ns)
{
	int64_t end_ns = s->now_ns + limit_ns;

	while (sim_inside(s) > 0 && s->now_ns < end_ns) {
		sim_run(s);
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_stored, NULL);
		sim_run(s);
		if (s->request_count > 0 || sim_inside(s) == 0)
			continue;
		must(s->due_ns < INT64_MAX); /* never: wake me */
		sim_advance(s, s->due_ns - s->now_ns);
	}
	return sim_inside(s) == 0;
}

/* Past STARTING: the first request went well. */
static inline struct sim *sim_flowing(const struct dispatch_settings *set)
{
	struct sim *s = sim_new(set);

	for (int i = 0; i < 12; i++) { /* the window opens */
		sim_rows(s, 500);
		sim_run(s);
		while (s->request_count > 0)
			sim_answer(s, 0, sim_all_stored, NULL);
	}
	must(sim_state(s) == DELIVERY_FLOWING);
	must(sim_inside(s) == 0);
	return s;
}

static inline struct sim *sim_flowing_by_default(void)
{
	struct dispatch_settings set = sim_defaults();

	return sim_flowing(&set);
}

static inline void sim_free(struct sim *s)
{
	sim_check(s);
	dispatch_stop(s->d);
	while (s->request_count > 0)
		sim_transport(s, 0, AWS_CANCELLED, false);
	if (s->preparing)
		sim_prepared(s);
	dispatch_free(s->d);
	free(s);
}

#endif
