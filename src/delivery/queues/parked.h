/*
 * parked: ids of rows that wait on disk until their shard can take them.
 *
 * What it is: a set of ids in pieces of 1024, a bit each: a backlog of ten million rows of which a quarter is parked
 * takes 1.4 MiB. Rows come mostly in ascending order and leave from the front. Promises: 6 (parked_bytes says what it
 * takes). Owner: the shard. Thread: delivery. Fails: never. Does not: know rows, or that they still exist.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_PARKED_H
#define KSPOOL_DELIVERY_QUEUES_PARKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PARKED_PIECE = 1024 };

struct parked_piece {
	uint64_t base; /* id / PARKED_PIECE */
	uint64_t bits[PARKED_PIECE / 64];
};

struct parked {
	struct parked_piece *pieces; /* ascending; from `first` on */
	size_t first, count, capacity;
	uint64_t ids;
};

/* False: it was there. */
bool parked_add(struct parked *p, uint64_t id);
/* False: it was not there. */
bool parked_remove(struct parked *p, uint64_t id);
/* Takes up to `most` of the smallest ids out; returns how many. */
size_t parked_take(struct parked *p, uint64_t *ret, size_t most);
/* All of `from` too; it is empty then. */
void parked_join(struct parked *p, struct parked *from);
/* UINT64_MAX: none is there. */
uint64_t parked_smallest(const struct parked *p);
size_t parked_bytes(const struct parked *p);
void parked_fini(struct parked *p);

#endif
