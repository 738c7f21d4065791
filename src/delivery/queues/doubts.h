/*
 * doubts: records that the service refused alone while it took no other: it may be the record, or it refuses all.
 *
 * What it is: two queues. Nothing was taken since the refusal of who is in `fresh`. With the first that is, and the
 * stream was not held meanwhile, it was the record. Else what refused it may be mended: they go over to `due`, where
 * each is asked about once more. Promises: 2 (nobody is set aside on the word of an endpoint that takes nothing), 6
 * (few, and of few bytes). Owner: dispatch; the queues own their records. Thread: delivery. Fails: never. Does not:
 * send, settle, or look at the clock.
 */
#ifndef KSPOOL_DELIVERY_DOUBTS_H
#define KSPOOL_DELIVERY_DOUBTS_H

#include "delivery/queues/record.h"

enum { DOUBTS_MOST = 20 };

/* What the service said of one. */
struct doubt_words {
	const char *code; /* static storage */
	char said[96];
	char text[512];
};

struct doubts {
	struct record_queue fresh, due;
	uint32_t count, due_count;             /* of both; of these due */
	uint64_t bytes;                        /* accounted */
	uint32_t hold;                         /* hold.number when the oldest fresh one came */
	struct doubt_words words[DOUBTS_MOST]; /* of the fresh ones, in their order */
};

void doubts_init(struct doubts *all);
/* Last of the fresh ones: there is room for DOUBTS_MOST in all. */
void doubts_put(struct doubts *all, struct record *r, const struct doubt_words *words, uint32_t hold);
/* The oldest fresh one, with what was said of it; null: there is none. */
struct record *doubts_take_fresh(struct doubts *all, struct doubt_words *ret);
/* Another was taken: the fresh ones are due. */
void doubts_settle(struct doubts *all);
/* The next that is due, else the oldest fresh one; null: there is none. */
struct record *doubts_take(struct doubts *all);
/* Frees the records. */
void doubts_fini(struct doubts *all);

#endif
