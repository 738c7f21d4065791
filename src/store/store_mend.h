/*
 * store_mend: what is done about rows beside the messages that are not what was written.
 *
 * What it is: when a spool is opened and when one is met later, such rows (store/blocks/side.h) are mended, or cleared
 * away. Promises: 7 (what is sent again because of it is counted), 8, 9, 11 (no message waits for a row that lies).
 * Owner: the store. Thread: the store's. Fails: as statements do. Does not: touch messages and blocks.
 */
#ifndef KSPOOL_STORE_STORE_MEND_H
#define KSPOOL_STORE_STORE_MEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct store;
struct store_report;
struct totals;

/* Stands for a position that is lost: no input writes such a text. */
#define STORE_POSITION_LOST "damaged"
/* What the shelf says of a message whose note is not what was written. */
#define STORE_NOTE_LOST_CODE "damaged_note"
#define STORE_NOTE_LOST_REASON "why it was set aside, and after how many attempts, is not what was written"

/* A note that stands for copies of which it is forgotten that they were taken in. */
#define STORE_IMPORTS_UNKNOWN_SQL                                                          \
	"INSERT OR REPLACE INTO imports (copy, imported_ms, messages, first_id, checksum)" \
	" VALUES (x'', 0, 0, 0, side_sum(11, x'', 0, 0, 0))"

/* What was done about such rows. */
struct side_mended {
	uint64_t waits_again; /* of so many messages at most it is forgotten that they left */
	uint64_t possible;    /* duplicates that keys kept back, and do not any more */
};
/*
 * Inside a group: what is wrong is mended, or cleared away, and told in the report. `all`: keys of processors too, of
 * which there may be many.
 */
enum err store_mend_rows(struct store *s, bool all, struct side_mended *ret, struct store_report *report,
                         struct error *e) MUST_CHECK;
/* Inside a group: what stands below the lowest id that stood in its table had left, and goes: a page is as it was at an
 * earlier time. */
enum err store_drop_left(struct store *s, const struct totals *t, struct store_report *report,
                         struct error *e) MUST_CHECK;
/* Inside a group: blocks without a mark get one for what stands elsewhere, and so has left them. */
enum err store_mend_unmarked(struct store *s, struct error *e) MUST_CHECK;
/*
 * What cannot be mended says so from now on, in a group of its own: how many notes of the shelf, positions (whose
 * text is none that was ever written, so that their source is read again, and counted) and notes of copies that were
 * taken in (whatever is taken in from then on may be one of them, and is counted).
 */
struct sides_settled {
	uint64_t notes, positions, copies;
};
enum err store_settle_sides(struct store *s, struct sides_settled *ret, struct error *e) MUST_CHECK;

#endif
