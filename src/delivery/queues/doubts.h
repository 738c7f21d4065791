/*
 * doubts: records that the service refused alone while it took no other: it may be the record, or it refuses all.
 *
 * What it is: two queues. Nothing was taken since the refusal of who is in `fresh`; with the first that is, they go
 * over to `due`, where each is asked about once more. Refused again it is the record. Promises: 2 (nobody is set aside
 * on the word of an endpoint that takes nothing), 6 (few, and of few bytes). Owner: dispatch; the queues own their
 * records. Thread: delivery. Fails: never. Does not: send, settle, or look at the clock.
 */
#ifndef KSPOOL_DELIVERY_DOUBTS_H
#define KSPOOL_DELIVERY_DOUBTS_H

#include "delivery/queues/record.h"

struct doubts {
	struct record_queue fresh, due;
	uint32_t count, due_count; /* of both; of these due */
	uint64_t bytes;            /* accounted */
};

void doubts_init(struct doubts *all);
/* Last of the fresh ones. */
void doubts_put(struct doubts *all, struct record *r);
/* Another was taken. */
void doubts_settle(struct doubts *all);
/* The next that is due, else the oldest fresh one; null: there is none. */
struct record *doubts_take(struct doubts *all);
/* Frees the records. */
void doubts_fini(struct doubts *all);

#endif
