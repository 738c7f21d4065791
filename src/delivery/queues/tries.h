/*
 * tries: what is known of rows that were tried and wait on disk.
 *
 * What it is: attempts, tries and the first failure, by id, of rows that are not in memory while their shard takes
 * nothing: a record that is read again goes on where it stopped. Promises: 6 (tries_bytes says what it takes). Owner:
 * dispatch. Thread: delivery. Fails: never. Does not: know shards, or that the rows still exist; write anything.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_TRIES_H
#define KSPOOL_DELIVERY_QUEUES_TRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delivery/queues/record.h"

struct tries_row {
	uint64_t id;
	int64_t first_failure_ns;
	uint32_t attempts, tries;
	bool is_noted; /* the journal has a note of it */
};

struct tries {
	void *tree; /* of tsearch, by id */
	size_t count;
};

/* Of a part what is known of its unit. Nothing, when it was not tried. */
void tries_note(struct tries *t, uint64_t id, const struct record *r, bool is_noted);
/* The record is what became of that row, alone or with others: it takes over what is known. */
void tries_give_back(struct tries *t, uint64_t id, struct record *r);
void tries_forget(struct tries *t, uint64_t id);
/* Takes any one out. False: there is none. */
bool tries_take(struct tries *t, struct tries_row *ret);
size_t tries_bytes(const struct tries *t);
void tries_fini(struct tries *t);

#endif
