/*
 * How old the messages of a copy are.
 *
 * A message knows the wall clock of its acceptance, and its spool how far that clock was ahead of the spool's own time,
 * which no step moves. Of a copy both are known: a message's age when the copy was made is a difference of own times.
 * It comes here with that age. The time that a copy lay somewhere does not count: nobody knows which clock measured it.
 *
 * Invariants:
 * 1. Messages that are taken in are never older here than they were in the copy.
 * 2. What the copy does not tell soundly makes its messages as young as can be.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define TIME_MAX_MS (INT64_C(1) << 52) /* later than any clock shows; CLOCK_LEAD_UNKNOWN is none either */

static bool is_time(int64_t ms) { return ms > -TIME_MAX_MS && ms < TIME_MAX_MS; }

enum err copy_clock_read(sqlite3 *db, uint32_t tag, int64_t own_ms, struct copy_clock *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	struct totals there;
	bool is_sound, has_sums = false;
	int rc;
	enum err err = store_ledger_of(db, &there, &is_sound, e);

	*ret = (struct copy_clock){0};
	if (err != ERR_OK || !is_sound || there.clock_ms == 0 || !is_time((int64_t)there.clock_ms))
		return err;
	rc = sql_has_column(db, "clock", "checksum", &has_sums); /* an older kspool's rows have none */
	if (rc == SQLITE_OK && !has_sums)
		return ERR_OK;
	ret->ahead_ms = (int64_t)there.clock_ms - own_ms;
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, "SELECT first_id, lead_ms, checksum FROM clock ORDER BY first_id", -1, &st,
		                        NULL);
	if (rc == SQLITE_OK)
		while (is_sound && (rc = sqlite3_step(st)) == SQLITE_ROW) {
			is_sound = store_lead_is_sound(st, tag) && is_time(sqlite3_column_int64(st, 1)) &&
			           ret->count < CLOCK_LEADS_MAX;
			if (ret->count == ret->capacity) {
				ret->capacity = ret->capacity ? ret->capacity * 2 : 8;
				ret->leads = mem_grow(ret->leads, ret->capacity, sizeof *ret->leads);
			}
			ret->leads[ret->count++] =
			    (struct clock_lead){sql_column_u64(st, 0), sqlite3_column_int64(st, 1)};
		}
	if (!is_sound)
		ret->count = 0;
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_OK : sql_error(db, rc, e, "read the other spool's clock");
}

int64_t copy_clock_lead(struct copy_clock *c, uint64_t id)
{
	if (c->at > 0 && c->leads[c->at - 1].first_id > id) /* the ids of another table begin anew */
		c->at = 0;
	while (c->at < c->count && c->leads[c->at].first_id <= id)
		c->at++;
	return c->at > 0 ? c->leads[c->at - 1].lead_ms + c->ahead_ms : CLOCK_LEAD_UNKNOWN;
}

void copy_clock_fini(struct copy_clock *c) { free(c->leads); }
