/*
 * ready: the records that may be sent now, in order.
 *
 * What it is: one queue with its sums, and, once shards have to be told apart, one beside it for each shard that does
 * not take what is there (shards.h). Everything that asks which record comes next asks here.
 * Promises: 6 (bytes is what a request would count), 12 (who waits for a full shard stands in no one's way).
 * Owner: dispatch; the queues own their records. Thread: delivery. Fails: never.
 * Does not: wait (waiting.h), fill requests, look at the clock.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_READY_H
#define KSPOOL_DELIVERY_QUEUES_READY_H

#include "delivery/queues/record.h"
#include "delivery/queues/shards.h"

struct hasher;

struct ready {
	struct record_queue queue; /* of no limited shard, as far as that was looked at */
	uint32_t count;
	uint64_t bytes; /* accounted */
	bool by_shard;  /* shards are told apart */
	struct shards shards;
	struct hasher *hasher;
};

void ready_init(struct ready *q);
/* To the queue of its shard where that is limited, else to the common one. */
void ready_put_last(struct ready *q, struct record *r);
void ready_put_first(struct ready *q, struct record *r);
/* The next one of no limited shard, or null; it stays. Who is found to be of one goes to that one's queue. */
struct record *ready_first(struct ready *q);
/* The batch ends with the newest record, if there is one. */
void ready_end_batch(struct ready *q);
/* What ready_first would give. Null when there is none. */
struct record *ready_take(struct ready *q);
struct record *ready_take_last(struct ready *q);

/* Begins to tell shards apart. */
void ready_tell_apart(struct ready *q);
/* No shard is limited and nothing is parked: what was learned is forgotten. */
void ready_tell_nothing(struct ready *q);
uint64_t ready_hash(struct ready *q, struct record *r);
/* Its shard, as far as it is known; null too while shards are not told apart. */
struct shard *ready_shard(struct ready *q, struct record *r);
/* Its shard is known and limited. */
bool ready_is_limited(struct ready *q, struct record *r);
/* In their order, before the others: what waited for shards that are forgotten, or was under suspicion. */
void ready_put_strays(struct ready *q, struct record_queue *strays);
/* A shard is limited from now on: what waits in the common queue for it goes to its own, in order. */
void ready_sort(struct ready *q);
/* A shard that is limited no more: what waited for it goes first. */
void ready_unlimit(struct ready *q, struct shard *s);
/* When the first of the limited shards may be sent to; INT64_MAX: none has anything. */
int64_t ready_shards_due_ns(const struct ready *q, int64_t now_ns);
/* Frees the records. */
void ready_fini(struct ready *q);

#endif
