/*
 * A ledger without its row, or with one that is not what was written: counted anew from the rows, and from what the
 * tide mark had counted.
 *
 * Invariants:
 * 1. What waits, stands on the shelf or in `damaged` is counted once, whatever left its block by a mark that is gone.
 * 2. An id that was given out, and has no row, had left as far as the tide mark does not say that it waited.
 */
#include "store/store_count_internal.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/mem.h"

/* What the tide mark counted; of what was committed after it the rows tell, and what has none had left, or is
 * *ret_noted in `damaged`. */
static enum err follow_tide(struct store *s, uint64_t highest, struct totals *t, uint64_t *ret_noted, struct error *e)
{
	AUTOFREE char *sql = mem_format(STORE_NOTED_SQL " WHERE id > %" PRIu64, s->tide.id);
	int64_t noted = 0;
	enum err err = store_count_unnumbered(s, s->tide.id + 1, e);
	bool behind;
	uint64_t rows;
	int rc;

	if (err == ERR_OK)
		err = store_number(s, sql, &noted, e);
	if (err != ERR_OK)
		return err;
	store_ledger_of_tide(t, &s->tide);
	t->spool_high = s->id.high;
	t->spool_low = s->id.low;
	rc = store_ledger_catch_up(s->db, t, &behind);
	if (rc != SQLITE_OK)
		return store_fail(s, rc, e, "count what the tide mark does not have");
	rows = t->ledger.accepted - s->tide.counts[0] + s->unnumbered;
	rows = store_beyond(highest, s->tide.id + rows); /* that are not here */
	*ret_noted = store_least(rows, (uint64_t)noted);
	t->ledger.accepted += rows;
	t->ledger.damaged += *ret_noted;
	t->ledger.delivered += rows - *ret_noted;
	t->next_id = store_most(t->next_id, highest + 1);
	return ERR_OK;
}

/* The row is gone or not what was written. Without a tide mark: every id was one accepted message, and what has no row
 * was delivered. */
enum err store_count_anew(struct store *s, bool may_mend, struct totals *t, struct store_report *report,
                          struct error *e)
{
	struct totals found = {0};
	int64_t damaged = 0;
	uint64_t highest = 0, held, taken, noted = 0;
	enum err err = may_mend ? store_mend_unmarked(s, e) : ERR_OK; /* the page of marks may be gone, too */

	if (s->tide.count > 0)
		s->now.next_id = s->tide.id + 1; /* so many ids were given out, whatever the last block says */
	if (err == ERR_OK && may_mend)
		err = store_dissolve_all(s, e);
	taken = s->now.ledger.damaged;
	if (err == ERR_OK)
		err = store_highest_id(s, &highest, e);
	highest = s->now.next_id > highest ? s->now.next_id - 1 : highest;
	if (err == ERR_OK)
		err = store_count_rows(s, &found, e);
	if (err == ERR_OK)
		err = store_number(s, STORE_NOTED_SQL, &damaged, e);
	if (err != ERR_OK)
		return err;
	*t = found;
	t->possible = s->tide.count > 0 ? 0 : found.possible; /* of a tide mark they are corrected */
	store_clock_inherit(t, &s->tide);
	t->base = s->file_print;
	store_warn(report, "the ledger row was damaged and was counted anew");
	if (s->tide.count > 0) {
		err = follow_tide(s, highest, t, &noted, e);
		if (err != ERR_OK)
			return err;
		found.ledger.damaged = store_beyond(taken, noted);
		err = store_correct(s, t, &found, s->unnumbered, report, e);
		s->unnumbered = 0; /* they are counted */
		return err;
	}
	t->next_id = highest + 1;
	t->ledger.damaged = (uint64_t)damaged;
	held = t->ledger.pending + t->ledger.dead + t->ledger.damaged;
	t->ledger.accepted = store_most(highest, held);
	t->ledger.delivered = t->ledger.accepted - held;
	return store_left_take_back(s, e);
}
