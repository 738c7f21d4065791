/*
 * Rows that are gone with the page or the file that had them, or are of an earlier time with it. Positions of inputs,
 * notes of imports and keys of processors leave nothing that could say so: PATH.tide has how many there were, and of
 * the first two the sum of their checksums, of the last commit that changed the ledger's row or an id.
 *
 * Invariants:
 * 1. PATH.tide is never ahead of the database. Positions and notes are never taken away, so fewer than it had are gone,
 *    however old it is; keys expire, so what is older than the database proves only that there were some. A sum proves
 *    something only when it is of the very commit, or of a later one.
 * 2. What is gone, or off the sum, stays in the tide mark, beside what there is, until it came back or was counted or
 *    noted in the rows themselves: a kill forgets none.
 * 3. Nothing is told before all that was set aside is read back.
 */
#include "store/store_salvage_internal.h"

#include <string.h>

#include "base/check.h"

struct tide store_tide_of_run(const struct store *s)
{
	struct tide t = {.id = s->now.next_id - 1, .commits = s->now.commits};

	store_rows_into(&s->rows_durable, &t);
	t.counts[TIDE_LEFT] = left_commit_due(s->left);
	t.counts[TIDE_POSSIBLE] = s->now.possible;
	store_clock_into(&s->now, &t);
	t.counts[TIDE_LEAD] = store_lead_told(s);
	return t;
}

/* Positions and notes of imports. */
struct totals_beside {
	struct side_total positions, imports;
};

static enum err count_beside(struct store *s, struct totals_beside *ret, struct error *e)
{
	enum err err = side_positions_total(s->db, &ret->positions, e);

	if (err == ERR_OK)
		err = side_imports_total(s->db, &ret->imports, e);
	return err == ERR_OK ? ERR_OK : store_failed(s, err, e);
}

static enum err count_sides(struct store *s, bool all, struct side_rows *ret, struct totals_beside *t, struct error *e)
{
	const char *keys =
	    all ? "SELECT count(*) FROM cache NOT INDEXED" : "SELECT EXISTS (SELECT 1 FROM cache NOT INDEXED)";
	int64_t count = 0;
	enum err err = store_number(s, keys, &count, e);

	*t = (struct totals_beside){0};
	if (err == ERR_OK)
		err = count_beside(s, t, e);
	*ret = (struct side_rows){.positions = t->positions.rows,
	                          .keys = (uint64_t)count,
	                          .imports = t->imports.rows,
	                          .positions_sum = t->positions.sum,
	                          .imports_sum = t->imports.sum,
	                          .back = s->rows.back};
	return err;
}

/* A row that is not what was written explains the difference, and is told by itself. */
static void hold_against_sums(struct side_rows *r, const struct totals_beside *t, uint64_t positions, uint64_t imports)
{
	r->positions_off = t->positions.wrong > 0 ? 0 : positions - r->positions_sum;
	r->imports_off = t->imports.wrong > 0 ? 0 : imports - r->imports_sum;
}

enum err store_rows_load(struct store *s, const struct totals *found, uint64_t keys_mended, bool all, struct error *e)
{
	const struct tide *tide = &s->tide;
	const uint64_t keys = store_beyond(tide->counts[TIDE_KEYS], keys_mended);
	const bool is_behind = store_tide_is_behind(tide, found);
	struct side_rows *r = &s->rows;
	struct totals_beside beside;
	struct note counted;
	enum err err;

	err = count_sides(s, all, r, &beside, e);
	if (err == ERR_OK)
		err = store_put_backs(s, &r->back, e);
	if (err == ERR_OK)
		err = store_note_get(s, SALVAGE_KEYS, &counted, e);
	if (err != ERR_OK)
		return err;
	if (!all && r->keys > 0 && !is_behind && keys > 0)
		r->keys = keys;
	r->positions_gone = store_beyond(tide->counts[TIDE_POSITIONS], r->positions);
	r->imports_gone = store_beyond(tide->counts[TIDE_IMPORTS], r->imports);
	if (tide->has_more && !is_behind)
		hold_against_sums(r, &beside, tide->counts[TIDE_POSITIONS_SUM], tide->counts[TIDE_IMPORTS_SUM]);
	if (!is_behind || (r->keys == 0 && counted.after <= tide->commits))
		r->keys_gone = store_beyond(keys, r->keys);
	s->rows_durable = *r; /* a row of the ledger is not written for it: a full disk must not refuse a start */
	s->positions_are_untold = r->positions_gone > 0 || r->positions_off != 0;
	return ERR_OK;
}

enum err store_rows_recount(struct store *s, struct error *e)
{
	struct side_rows had = s->rows, has;
	struct totals_beside beside;
	enum err err = count_sides(s, true, &has, &beside, e);

	if (err != ERR_OK)
		return err;
	has.positions_gone = store_beyond(had.positions + had.positions_gone, has.positions);
	has.keys_gone = store_beyond(had.keys + had.keys_gone, has.keys);
	has.imports_gone = store_beyond(had.imports + had.imports_gone, has.imports);
	hold_against_sums(&has, &beside, had.positions_sum + had.positions_off, had.imports_sum + had.imports_off);
	s->positions_are_untold |= has.positions_off != 0;
	s->rows = has;
	return ERR_OK;
}

enum err store_rows_changed(struct store *s, struct error *e)
{
	struct totals_beside t;
	const enum err err = count_beside(s, &t, e);

	if (err != ERR_OK)
		return err;
	s->rows.positions = t.positions.rows;
	s->rows.positions_sum = t.positions.sum;
	s->rows.imports = t.imports.rows;
	s->rows.imports_sum = t.imports.sum;
	return ERR_OK;
}

/* Of an import as it is put: by our tag, and it may stand for copies that are not known any more. */
static uint64_t sum_of_note(const struct store *s, const struct stored_record *r, bool is_forgotten)
{
	struct stored_value values[4]; /* copy, imported_ms, messages, first_id */

	memcpy(values, r->values, sizeof values);
	if (is_forgotten)
		values[0] = (struct stored_value){.type = VALUE_BLOB};
	return (uint64_t)side_sum(s->tag, SIDE_IMPORT, values, 4);
}

void store_rows_came_back(struct store *s, enum store_statement id, const struct stored_record *r, bool is_forgotten)
{
	struct side_rows *rows = &s->rows;
	uint64_t sum;

	if (sqlite3_changes(s->db) == 0)
		return;
	if (id == ST_CACHE_KEEP)
		store_rows_come_back(&rows->keys, &rows->keys_gone);
	if (id == ST_POSITION_KEEP) {
		sum = (uint64_t)r->values[2].number;
		store_rows_come_back(&rows->positions, &rows->positions_gone);
		rows->positions_sum += sum;
		rows->positions_off -= rows->positions_off != 0 ? sum : 0;
	}
	if (id == ST_IMPORT_KEEP) {
		sum = sum_of_note(s, r, is_forgotten);
		store_rows_come_back(&rows->imports, &rows->imports_gone);
		rows->imports_sum += sum;
		rows->imports_off -= rows->imports_off != 0 ? sum : 0;
	}
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

/* Which of them are of an earlier time nobody knows: each says so of itself until it is moved. */
static enum err note_old_positions(struct store *s, struct store_report *report, struct error *e)
{
	enum err err = store_exec(s,
	                          "UPDATE positions SET checksum = old_position_sum(key, value)"
	                          " WHERE " POSITION_IS_SOUND,
	                          e, "note that positions may be old");
	const int rows = err == ERR_OK ? sqlite3_changes(s->db) : 0;

	if (err != ERR_OK)
		return err;
	s->rows.positions_off = 0;
	if (rows > 0)
		store_warn(report,
		           "%d positions of inputs are not those that were written last: what they are of is read on"
		           " from where they say, and counted as possible duplicates",
		           rows);
	return store_rows_changed(s, e);
}

static enum err tell_imports(struct store *s, struct store_report *report, struct error *e)
{
	const uint64_t gone = s->rows.imports_gone;
	enum err err = store_exec(s, STORE_IMPORTS_UNKNOWN_SQL, e, "note that copies are forgotten");

	if (err != ERR_OK)
		return err;
	s->rows.imports_gone = s->rows.imports_off = 0;
	store_warn(report,
	           "%llu notes of copies that were taken in, or of what was put back from the shelf, are %s: what is"
	           " taken in from a copy from now on may have been before, and counts as possible duplicates",
	           (unsigned long long)(gone > 0 ? gone : s->rows.imports),
	           gone > 0 ? "gone" : "not those that were written last");
	return store_rows_changed(s, e);
}

static enum err tell_positions(struct store *s, struct store_report *report, struct error *e)
{
	struct note told;
	enum err err = store_note_get(s, SALVAGE_POSITIONS, &told, e);

	s->positions_are_untold = false;
	if (err == ERR_OK && s->rows.positions_off != 0)
		err = note_old_positions(s, report, e);
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
	if (err == ERR_OK && store_imports_are_lost(s))
		err = tell_imports(s, report, e);
	if (err == ERR_OK && store_lead_is_untold(s))
		err = store_leads_tell(s, report, e);
	return err;
}

enum err store_rows_tell_now(struct store *s, struct store_report *report, struct error *e)
{
	const struct store_report before = *report;
	enum err err;

	if (!store_rows_are_untold(s))
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

enum err store_rows_gone(struct store *s, uint64_t *ret_positions, struct error *e)
{
	const uint64_t gone = s->salvage_is_done ? s->rows.positions_gone : 0;
	struct note told;
	enum err err = store_note_get(s, SALVAGE_POSITIONS, &told, e);

	*ret_positions = store_beyond(gone, told.after);
	return err;
}

enum err store_rows_told(struct store *s, struct error *e)
{
	const uint64_t gone = s->salvage_is_done ? s->rows.positions_gone : 0;
	struct note told;
	enum err err = store_note_get(s, SALVAGE_POSITIONS, &told, e);

	if (err != ERR_OK || gone == told.after)
		return err;
	err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_note_put(s, SALVAGE_POSITIONS, &(struct note){.after = gone}, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}
