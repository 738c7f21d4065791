/*
 * store_upkeep_internal: another spool's database, as those who look at it or take it in know it.
 *
 * What it is: whether it is one, and whose copy. Promises: 7, 8. Owner: the caller. Thread: the caller's.
 * Fails: ERR_INPUT what is no spool of ours; as reading does. Does not: change the source.
 */
#ifndef KSPOOL_STORE_UPKEEP_STORE_UPKEEP_INTERNAL_H
#define KSPOOL_STORE_UPKEEP_STORE_UPKEEP_INTERNAL_H

#include "store/store_internal.h"

/* store_peek.c: another spool's tables, as this kspool knows them, and nothing else. */
enum err store_check_source(sqlite3 *db, const char *path, struct error *e) MUST_CHECK;
/* store_copy_of.c */
/* Whose copy it is, when its ledger is not what was written; 0: of an older kspool, or nobody knows. *ret_is_lost: it
 * is not sure, and may be another one. */
enum err store_copy_of(struct store *s, sqlite3 *source, struct spool_id *ret, bool *ret_is_lost,
                       struct error *e) MUST_CHECK;

/* store_copy_clock.c */
struct copy_clock {
	struct clock_lead *leads; /* ascending by first_id; none: nothing is known */
	size_t count, capacity, at;
	int64_t ahead_ms; /* its own time, when it was made, of ours now */
};
/* tag: of its checksums. own_ms: our own time. */
enum err copy_clock_read(sqlite3 *db, uint32_t tag, int64_t own_ms, struct copy_clock *ret, struct error *e) MUST_CHECK;
/* The lead (store_internal.h) under which the message with this id there comes in here. */
int64_t copy_clock_lead(struct copy_clock *c, uint64_t id);
void copy_clock_fini(struct copy_clock *c);

#endif
