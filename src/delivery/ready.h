/*
 * ready: the records that may be sent now, in order.
 *
 * What it is: one queue with its sums. Everything that asks which record comes next asks here, so that queues by shard
 * and by key have one door to come in by.
 * Promises: 6 (bytes is what a request would count). Owner: dispatch; the queue owns its records. Thread: delivery.
 * Fails: never. Does not: wait (waiting.h), fill requests, look at the clock.
 */
#ifndef KSPOOL_DELIVERY_READY_H
#define KSPOOL_DELIVERY_READY_H

#include "delivery/record.h"

struct ready {
	struct record_queue queue;
	uint32_t count;
	uint64_t bytes; /* accounted */
};

void ready_init(struct ready *q);
void ready_put_last(struct ready *q, struct record *r);
void ready_put_first(struct ready *q, struct record *r);
/* The next one, or null; it stays. */
struct record *ready_first(const struct ready *q);
/* The batch ends with the newest record, if there is one. */
void ready_end_batch(struct ready *q);
/* Null when there is none. */
struct record *ready_take(struct ready *q);
struct record *ready_take_last(struct ready *q);
/* Frees the records. */
void ready_fini(struct ready *q);

#endif
