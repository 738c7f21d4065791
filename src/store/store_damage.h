/*
 * store_damage: files and rows that are not what was written.
 *
 * What it is: setting aside, bringing back, counting anew.
 * Promises: 8 (damage is contained), 9.
 * Owner: the caller of the store; files set aside stay on disk until a person removes them.
 * Thread: the store's.
 * Fails: as the store; on failure of store_restart_damaged the store can only be abandoned.
 * Does not: delete anything that was set aside.
 */
#ifndef KSPOOL_STORE_STORE_DAMAGE_H
#define KSPOOL_STORE_STORE_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store_open.h"

/*
 * After ERR_DAMAGED from a running store: sets the files aside, starts new ones in their place under the same lock and
 * begins to salvage. Ids go on where they were. On failure s can only be abandoned.
 */
enum err store_restart_damaged(struct store *s, struct store_report *ret_report, struct error *e) MUST_CHECK;
/*
 * Brings back rows of files that were set aside, about max_rows of them. Rows first..last may have become pending
 * (*ret_last 0: none); *ret_more is false when nothing is left to do. Its own transaction.
 */
enum err store_salvage(struct store *s, uint32_t max_rows, uint64_t *ret_first, uint64_t *ret_last, bool *ret_more,
                       struct error *e) MUST_CHECK;
/*
 * Rows beside the messages (retry times, what left a block, positions, keys) that are not what was written were met,
 * or a message was read that had left, as PATH.left knows. store_mend is to be called, outside a group. It mends or
 * clears them away, counts what may be sent again because of it, and says in the report's warning what it did ("":
 * nothing was wrong). `all`: keys of processors too.
 */
bool store_mend_is_due(const struct store *s);
/* Something waits for what no row says: look, but not more than once a minute. */
void store_suspect(struct store *s);
enum err store_mend(struct store *s, bool all, struct store_report *report, struct error *e) MUST_CHECK;
/* Possible duplicates that the store counted by itself since it was asked; the caller adds them to its own count. */
uint64_t store_take_possible(struct store *s);

/* How many pending or dead messages of the ledger no table has. Slow on a large backlog. */
enum err store_count_missing(struct store *s, uint64_t *ret_missing, struct error *e) MUST_CHECK;
/*
 * Counts all rows and corrects the ledger; missing ones are counted as damaged, those that had left and are here again
 * as possible duplicates. The report has missing_rows, and in the warning what was corrected. Slow on a large backlog.
 */
enum err store_recount(struct store *s, struct store_report *ret, struct error *e) MUST_CHECK;

#endif
