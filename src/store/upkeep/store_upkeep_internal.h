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

#endif
