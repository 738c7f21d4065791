/*
 * Rows that are gone with the page or the file that had them. Positions of inputs and keys of processors leave nothing
 * that could say so: PATH.tide has how many there were, of the last commit that changed the ledger's row or an id.
 *
 * Invariants:
 * 1. PATH.tide is never ahead of the database. Positions are never taken away, so fewer than it had are gone, however
 *    old it is; keys expire, so what is older than the database proves only that there were some.
 * 2. What is gone stays in the tide mark, beside what there is, until it came back or was counted: a kill forgets none.
 * 3. Nothing is told before all that was set aside is read back.
 */
#include "store/store_salvage_internal.h"

#include "base/check.h"

static uint64_t more_than(uint64_t had, uint64_t has) { return had > has ? had - has : 0; }

struct tide store_tide_of_run(const struct store *s)
{
	struct tide t = {.id = s->now.next_id - 1, .commits = s->now.commits};

	t.counts[TIDE_POSITIONS] = s->rows_durable.positions + s->rows_durable.positions_gone;
	t.counts[TIDE_KEYS] = s->rows_durable.keys + s->rows_durable.keys_gone;
	return t;
}

static enum err count_sides(struct store *s, bool all, struct side_rows *ret, struct error *e)
{
	const char *keys =
	    all ? "SELECT count(*) FROM cache NOT INDEXED" : "SELECT EXISTS (SELECT 1 FROM cache NOT INDEXED)";
	int64_t numbers[2] = {0};
	enum err err = store_number(s, "SELECT count(*) FROM positions", &numbers[0], e);

	if (err == ERR_OK)
		err = store_number(s, keys, &numbers[1], e);
	*ret = (struct side_rows){.positions = (uint64_t)numbers[0], .keys = (uint64_t)numbers[1]};
	return err;
}

enum err store_rows_load(struct store *s, const struct totals *found, uint64_t keys_mended, bool all, struct error *e)
{
	const struct tide *tide = &s->tide;
	const uint64_t keys = more_than(tide->counts[TIDE_KEYS], keys_mended);
	const bool is_behind = store_tide_is_behind(tide, found);
	struct side_rows *r = &s->rows;
	struct note counted;
	enum err err = count_sides(s, all, r, e);

	if (err == ERR_OK)
		err = store_note_get(s, SALVAGE_KEYS, &counted, e);
	if (err != ERR_OK)
		return err;
	if (!all && r->keys > 0 && !is_behind && keys > 0)
		r->keys = keys;
	r->positions_gone = more_than(tide->counts[TIDE_POSITIONS], r->positions);
	if (!is_behind || (r->keys == 0 && counted.after <= tide->commits))
		r->keys_gone = more_than(keys, r->keys);
	s->rows_durable = *r; /* a row of the ledger is not written for it: a full disk must not refuse a start */
	s->positions_are_untold = r->positions_gone > 0;
	return ERR_OK;
}

enum err store_rows_recount(struct store *s, struct error *e)
{
	struct side_rows had = s->rows, has;
	enum err err = count_sides(s, true, &has, e);

	if (err != ERR_OK)
		return err;
	has.positions_gone = more_than(had.positions + had.positions_gone, has.positions);
	has.keys_gone = more_than(had.keys + had.keys_gone, has.keys);
	s->rows = has;
	return ERR_OK;
}

void store_rows_came_back(struct store *s, enum store_statement id)
{
	if (sqlite3_changes(s->db) == 0)
		return;
	if (id == ST_CACHE_KEEP)
		store_rows_come_back(&s->rows.keys, &s->rows.keys_gone);
	if (id == ST_POSITION_KEEP)
		store_rows_come_back(&s->rows.positions, &s->rows.positions_gone);
}

static enum err tell_keys(struct store *s, struct store_report *report, struct error *e)
{
	const uint64_t gone = s->rows.keys_gone;

	store_count_possible(s, gone);
	s->rows.keys_gone = 0;
	store_warn(report,
	           "%llu dedupe keys are gone: what they kept back may be sent, and is counted as possible duplicates",
	           (unsigned long long)gone);
	return store_note_put(s, SALVAGE_KEYS, &(struct note){.after = s->now.commits + 1}, e);
}

static enum err tell_positions(struct store *s, struct store_report *report, struct error *e)
{
	struct note told;
	enum err err = store_note_get(s, SALVAGE_POSITIONS, &told, e);

	s->positions_are_untold = false;
	if (err == ERR_OK && s->rows.positions_gone > told.after)
		store_warn(report,
		           "%llu positions of inputs are gone: what they are of is read again from its start, and"
		           " counted as possible duplicates",
		           (unsigned long long)s->rows.positions_gone);
	return err;
}

enum err store_rows_tell(struct store *s, struct store_report *report, struct error *e)
{
	enum err err = ERR_OK;

	must(s->in_group);
	if (!s->salvage_is_done)
		return ERR_OK;
	if (s->positions_are_untold)
		err = tell_positions(s, report, e);
	if (err == ERR_OK && s->rows.keys_gone > 0)
		err = tell_keys(s, report, e);
	return err;
}

enum err store_rows_tell_now(struct store *s, struct store_report *report, struct error *e)
{
	const struct store_report before = *report;
	enum err err;

	if (!s->positions_are_untold && s->rows.keys_gone == 0)
		return ERR_OK;
	err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_rows_tell(s, report, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err == ERR_OK)
		return ERR_OK;
	store_rollback(s);
	*report = before;
	return err == ERR_FULL ? ERR_OK : err; /* the tide mark has it still */
}

enum err store_rows_told(struct store *s, uint64_t *ret_positions, struct error *e)
{
	const uint64_t gone = s->salvage_is_done ? s->rows.positions_gone : 0;
	struct note told;
	enum err err = store_note_get(s, SALVAGE_POSITIONS, &told, e);

	*ret_positions = more_than(gone, told.after);
	if (err != ERR_OK || gone == told.after)
		return err;
	err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_note_put(s, SALVAGE_POSITIONS, &(struct note){.after = gone}, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}
