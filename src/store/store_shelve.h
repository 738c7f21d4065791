/*
 * store_shelve: how messages go to the shelf.
 *
 * What it is: the steps by which the shelf takes no more of the database than what goes there leaves.
 * Promises: 5 (the exit is prepaid). Owner: the store's. Thread: the store's. Fails: as the store.
 * Does not: ask for room, or appear outside this folder.
 */
#ifndef KSPOOL_STORE_STORE_SHELVE_H
#define KSPOOL_STORE_STORE_SHELVE_H

#include "store/store_internal.h"

/* store_settle.c: items[0..count) have neighbouring ids and leave for the same reason. */
enum err store_settle_run(struct store *s, const struct store_settlement *items, size_t count,
                          struct error *e) MUST_CHECK;
/* items[0], of kind DEAD, and those of its block that follow it; *ret_count: how many. */
enum err store_shelve(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_count,
                      struct error *e) MUST_CHECK;
/* The first few of some settlements. */
struct shelf_step {
	size_t count;
	uint64_t log, rows; /* bytes, at most, that it writes; by which the database grows */
};
/* Of items[0..count), the first of kind DEAD: all that stays of a block, by which the database does not grow, if they
 * are that. */
enum err store_shelf_step(struct store *s, const struct store_settlement *items, size_t count, struct shelf_step *ret,
                          struct error *e) MUST_CHECK;

#endif
