/*
 * claims: which rows are with delivery, and how large they are.
 *
 * What it is: a hash from id to bytes, and sorted ranges of ids. In memory only. Made by hand: a slot is 16 bytes and
 * no allocation, where uthash hangs 56 bytes and an allocation on every row in flight. Promises: 3 (a restart forgets
 * them), 6 (its memory follows the rows in flight). Owner: the journal. Thread: the journal's. Fails: never; what is
 * claimed was charged to delivery's credit before. Does not: know why a row is claimed, or touch the disk.
 */
#ifndef KSPOOL_JOURNAL_CLAIMS_H
#define KSPOOL_JOURNAL_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct claim_slot {
	uint64_t id; /* 0: free; UINT64_MAX: removed, and the search goes on behind it */
	uint32_t bytes;
	bool is_leaving; /* its settlement was taken */
	bool is_orphan;  /* the file it was read from was set aside since */
};

struct claims {
	struct claim_slot *slots;
	size_t capacity; /* a power of two */
	size_t count;
	size_t used; /* count and the removed ones */
};

void claims_fini(struct claims *c);
/* False when it is claimed already, which a damaged file can make happen: nothing changed. */
bool claims_add(struct claims *c, uint64_t id, uint32_t bytes) MUST_CHECK;
/* False when it was not claimed. *ret_bytes may be null. */
bool claims_remove(struct claims *c, uint64_t id, uint32_t *ret_bytes);
/* Null when it is not claimed; valid until the next claims_add. */
struct claim_slot *claims_find(const struct claims *c, uint64_t id);
/* All that is claimed now becomes an orphan. */
void claims_orphan(struct claims *c);

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
/* Takes the smallest id out, if it is not above `last`; false: there is none. */
bool ranges_take(struct ranges *r, uint64_t last, uint64_t *ret);

#endif
