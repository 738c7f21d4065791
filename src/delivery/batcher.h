/*
 * batcher: which messages make a batch (Redpanda Connect's batching policy, with ceilings that are ceilings).
 *
 * What it is: a batch is complete by count, by payload bytes (a message that would pass the ceiling begins the next
 * one), by the check on its newest message, or when its oldest message has waited `period`. A batch that is due by time
 * stays open while no request can be sent anyway. Without any setting the policy is that of a spooler: full requests
 * from the backlog, and at most `linger` of waiting.
 * Promises: 6 (an open batch is complete at its share of memory). Owner: of its messages until batcher_take.
 * Thread: delivery. Fails: never. Does not: read a clock; time comes in.
 */
#ifndef KSPOOL_DELIVERY_BATCHER_H
#define KSPOOL_DELIVERY_BATCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/metrics.h"
#include "pipeline/pipeline.h"

struct batch {
	STAILQ_ENTRY(batch) link;
	struct pipeline_batch list;
	uint64_t payload_bytes;
	uint64_t cost_bytes;
	uint64_t first_id, last_id; /* of its messages as they came: least and greatest */
	int64_t oldest_ns;          /* monotonic: when its period began */
	enum metric mechanism;
	bool is_rest; /* of one that was taken before */
};

STAILQ_HEAD(batch_queue, batch);

struct batcher_policy {
	uint64_t count;         /* 0: no */
	uint64_t payload_bytes; /* 0: no */
	int64_t period_ns;      /* 0: no */
	uint64_t cost_bytes;    /* memory: an open batch never holds more, or nothing could complete it */
	uint64_t memory_count;
	bool (*check)(void *arg, const struct batch *open); /* null: no. Looks at the newest. */
	void *arg;
};

struct batcher {
	struct batcher_policy policy;
	struct batch *open;
	struct batch_queue closed;
	uint32_t messages;
};

void batcher_init(struct batcher *b, const struct batcher_policy *policy);
void batcher_set_policy(struct batcher *b, const struct batcher_policy *policy);
/* Takes the message over. age_ns: how long ago it was received; less than the period counts towards it. */
void batcher_add(struct batcher *b, struct message *m, int64_t age_ns, int64_t now_ns);
/* The next complete batch, or the open one when its time has come or `flush` asks for it; null: none. */
struct batch *batcher_take(struct batcher *b, int64_t now_ns, bool flush);
/* What is left of one that was taken, which has some: it is the next. */
void batcher_put_back(struct batcher *b, struct batch *batch);
/* When the open batch is due; INT64_MAX: not by time. Now or before when a complete one waits. */
int64_t batcher_due_ns(const struct batcher *b);
/* Frees the messages left in it too. */
void batch_free(struct batch *batch);
void batcher_fini(struct batcher *b);

#endif
