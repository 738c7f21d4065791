/*
 * store_count_internal: what the tables of a spool say of its ledger.
 *
 * What it is: rows are counted, and the ledger is made what they say; a ledger without its row is counted anew.
 * Promises: 8, 9. Owner: the store. Thread: its owner's. Fails: as statements do. Does not: commit.
 */
#ifndef KSPOOL_STORE_STORE_COUNT_INTERNAL_H
#define KSPOOL_STORE_STORE_COUNT_INTERNAL_H

#include "store/store_internal.h"

/* store_count_anew.c: when its row is not what was written, inside a group. `may_mend`: blocks are taken apart first.
 */
enum err store_count_anew(struct store *s, bool may_mend, struct totals *t, struct store_report *report,
                          struct error *e) MUST_CHECK;

/* store_correct.c */
/* What the tables themselves say; possible: so many of them had left, as PATH.left knows. */
enum err store_count_rows(struct store *s, struct totals *ret, struct error *e) MUST_CHECK;
enum err store_highest_id(struct store *s, uint64_t *ret, struct error *e) MUST_CHECK;
/* Into s->unnumbered: rows alone that have ids from there on; of blocks the ledger has been told. */
enum err store_count_unnumbered(struct store *s, uint64_t next_id, struct error *e) MUST_CHECK;
/*
 * What had left, and is here again, hides none that is not here, nor do those that the ledger had no ids for
 * (`unnumbered`), which are accepted now. Rows that are not there count as damaged; found->ledger.damaged: of so many
 * it is told why. Of rows that nobody counted it is forgotten that they left: they may be sent twice.
 */
enum err store_correct(struct store *s, struct totals *t, const struct totals *found, uint64_t unnumbered,
                       struct store_report *report, struct error *e) MUST_CHECK;

/* How many had an end, whichever, since the row in the file was written. */
uint64_t store_ends_since(const struct store *s, const struct totals *t);

/* store_left.c */
/* Inside a group, the tide mark being of after the row: what was put back from the shelf since stands here as before.
 * It is what its new ids are not any more, and has not left; `found` says so, and what of the rest was purged since.
 * ended: store_ends_since, of which each may be one that stands here again. */
enum err store_left_put_back_again(struct store *s, const struct totals *t, uint64_t ended, struct totals *found,
                                   struct store_report *report, struct error *e) MUST_CHECK;
/* Inside a group, all else that was counted being here: what had left the shelf goes from it again. */
enum err store_left_clear_shelf(struct store *s, struct totals *found, struct store_report *report,
                                struct error *e) MUST_CHECK;

#endif
