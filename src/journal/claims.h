/*
 * claims: which rows are with delivery, and how large they are.
 *
 * What it is: a hash from id to bytes, and the sorted ranges of ids that were given back and must be read again. Both
 * live in memory only (promise 3). Owner: the journal thread. Fails: never; memory follows the rows in flight.
 */
#ifndef KSPOOL_JOURNAL_CLAIMS_H
#define KSPOOL_JOURNAL_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct claim_slot {
	uint64_t id; /* 0: free; UINT64_MAX: removed, and the search goes on behind it */
	uint32_t bytes;
};

struct claims {
	struct claim_slot *slots;
	size_t capacity; /* a power of two */
	size_t count;
	size_t used; /* count and the removed ones */
};

void claims_fini(struct claims *c);
/* The id must not be claimed. */
void claims_add(struct claims *c, uint64_t id, uint32_t bytes);
/* False when it was not claimed. *ret_bytes may be null. */
bool claims_remove(struct claims *c, uint64_t id, uint32_t *ret_bytes);
/* False when it is not claimed. */
bool claims_get(const struct claims *c, uint64_t id, uint32_t *ret_bytes);

struct id_range {
	uint64_t first, last;
};

struct ranges {
	struct id_range *items; /* ascending, never touching */
	size_t count, capacity;
};

void ranges_fini(struct ranges *r);
void ranges_add(struct ranges *r, uint64_t first, uint64_t last);
/* Drops every id up to and including `last` from the first range. */
void ranges_drop_upto(struct ranges *r, uint64_t last);

#endif
