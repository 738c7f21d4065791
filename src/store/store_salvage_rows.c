/*
 * What is read of a file that was set aside becomes rows of the spool again: messages under their old ids, and what
 * stands beside them.
 *
 * Invariants:
 * 1. What waited in a file was counted as damaged when it was set aside, and as expected; each message that comes back
 *    is taken out of both, but one above all ids that were known then: it hides none that is missing. One that nobody
 *    expected is taken out of the damaged when PATH.left proves that it had no end; else it is accepted now: the
 *    ledger balances whatever comes back.
 * 2. A row comes back at most once: its id is the key, and what is there stays. Another message of that id gets a new
 *    one.
 * 3. What comes back and may have left before, because the page that says so cannot be read, is a possible duplicate.
 * 4. A step that has no room for what comes next ends before it (`ends_here`): nothing of that was written or counted.
 */
#include "store/store_salvage_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	KEY_COLUMNS = 3,
	NOTE_COLUMNS = 4,
	FAILURE_COLUMNS = 6,
	LOSS_COLUMNS = 5,
	NOTE_CHECKSUM = 9,
	ROW_BYTES = 64, /* of a row, beside what it holds */
};

/* Of it nobody need be told any more, nor is anybody told already of the next one. */
static void count_undamaged(struct store *s)
{
	s->now.ledger.damaged--;
	s->came_back++;
	s->now.told = store_least(s->now.told, s->now.ledger.damaged);
}

/* True: as one of the damaged, which it is proven to be. `is_its_own`: the id is not another message's by now. */
static bool count_in(struct store *s, uint64_t id, bool is_its_own, uint64_t *counter)
{
	struct salvage *v = s->salvage;
	const bool had_left = left_has(s->left, id), is_known = id < v->next_id;
	const bool is_expected = !had_left && is_known && v->expected > 0;
	const bool is_proven = is_its_own && v->gone > 0 && is_known && store_left_denies(s, id);

	if (had_left)
		left_note_back(s->left, id);
	if ((is_expected || is_proven) && s->now.ledger.damaged > 0) {
		v->expected -= is_expected;
		v->gone -= v->gone > 0;
		count_undamaged(s);
	} else if (had_left && counter == &s->now.ledger.dead && store_take_back_purged(&s->now, 1) > 0) {
		store_count_possible(s, 1);
	} else if ((had_left || v->marks_lost > 0 || id < v->counted) && store_take_back_ends(s, &s->now, 1) > 0) {
		/* it had left, which is forgotten */
		if (v->marks_lost > 0)
			v->marks_lost--;
		else
			store_count_possible(s, 1);
	} else {
		s->now.ledger.accepted++;
		if (had_left)
			store_count_possible(s, 1);
	}
	++*counter;
	return is_proven;
}

static void bind_value(sqlite3_stmt *st, int at, const struct stored_value *v)
{
	if (v->type == VALUE_INT)
		(void)sqlite3_bind_int64(st, at, v->number);
	else if (v->type == VALUE_TEXT)
		(void)sqlite3_bind_text(st, at, (const char *)v->bytes, (int)v->count, SQLITE_STATIC);
	else
		(void)sqlite3_bind_blob64(st, at, v->count ? (const void *)v->bytes : "", v->count, SQLITE_STATIC);
}

/* died_ms, attempts, code and reason; what is not what was written must not become it. */
static void bind_note(sqlite3_stmt *st, const struct store *s, const struct stored_record *r)
{
	const struct stored_value *v = r->values;
	const struct stored_value note[] = {{.type = VALUE_INT, .number = r->rowid}, v[3], v[4], v[5], v[6]};
	const bool is_sound =
	    r->count <= NOTE_CHECKSUM || side_is_sound(s->salvage->block->tag, SIDE_DEAD_NOTE, v[NOTE_CHECKSUM].number,
	                                               note, sizeof note / sizeof *note);

	for (int i = 3; i < 7; i++)
		bind_value(st, i + 3, &v[i]);
	if (is_sound)
		return;
	(void)sqlite3_bind_int64(st, 7, 0);
	(void)sqlite3_bind_text(st, 8, STORE_NOTE_LOST_CODE, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 9, STORE_NOTE_LOST_REASON, -1, SQLITE_STATIC);
}

enum err store_salvage_waits(const struct store *s, struct error *e)
{
	return error_set(e, ERR_FULL,
	                 "there is no room to read back what was set aside (kspool.min_free is left to what comes in):"
	                 " it goes on when messages have left, or when there is more room on the disk of %s",
	                 s->path);
}

static enum err charge(struct store *s, uint64_t bytes, struct error *e)
{
	struct salvage *v = s->salvage;

	bytes += ROW_BYTES;
	/* When nothing waits nothing will leave: then one thing at a time is tried whatever the room. */
	v->ends_here = v->step_bytes + bytes > v->room_bytes &&
	               (s->durable.ledger.pending > 0 || (v->step_bytes > 0 && v->again_count == 0));
	if (v->ends_here)
		return store_salvage_waits(s, e);
	v->step_bytes += bytes;
	v->step_parts++;
	return ERR_OK;
}

static enum err insert(struct store *s, enum store_statement id, const struct store_row *row,
                       const struct stored_record *r, bool *ret_new, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);
	enum err err = charge(s, row->meta_bytes + row->body_bytes, e);

	*ret_new = false;
	if (err != ERR_OK)
		return err;
	row_put(st, 1, row);
	if (id == ST_SALVAGE_DAMAGED)
		(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	if (id == ST_SALVAGE_DEAD)
		bind_note(st, s, r);
	err = store_run(s, st, e, "salvage a row");
	*ret_new = err == ERR_OK && sqlite3_changes(s->db) == 1;
	(void)sqlite3_clear_bindings(st);
	return err;
}

/* Its bytes are not what was written: kept as found. An id that was never given out is no id, a message that is here
 * whole was read from another page, and what had left is no loss. */
static enum err keep_damaged(struct store *s, const struct store_row *row, const struct stored_record *r,
                             struct error *e)
{
	struct pending found = {0};
	bool is_new = false;
	enum err err = store_find(s, row->id, &found, e);

	(void)store_statement(s, ST_READ);
	if (err == ERR_OK && !found.is_sound && row->id < s->now.next_id && !left_has(s->left, row->id))
		err = insert(s, ST_SALVAGE_DAMAGED, row, r, &is_new, e);
	if (!is_new)
		return err;
	(void)count_in(s, row->id, sum_tag(row->checksum) == s->tag, &s->now.ledger.damaged);
	store_lose(s, LOSS_BYTES, 1, row->id, row->id);
	return ERR_OK;
}

static bool is_failure(const struct stored_record *r)
{
	return !r->is_index && (row_has_types(r, "niiitt") || row_has_types(r, "niiitti"));
}

/* `columns` of a row beside the messages, and the checksum when the record has one. */
static bool record_is_sound(const struct store *s, enum side_kind kind, const struct stored_record *r, int columns)
{
	return r->count <= columns ||
	       side_is_sound(s->salvage->block->tag, kind, r->values[columns].number, r->values, (size_t)columns);
}

/* Attempts of what comes back: of all the file before any of it comes, since what came back may leave at once. */
void store_salvage_note_failure(struct store *s, const struct stored_record *r)
{
	struct salvage *v = s->salvage;
	struct stored_record with_id = *r;
	struct tried *f;

	with_id.values[0] =
	    (struct stored_value){.type = VALUE_INT, .number = r->rowid}; /* stands as null in the record */
	if (!is_failure(r) || v->failure_count == FAILURES_MAX ||
	    !record_is_sound(s, SIDE_FAILURE, &with_id, FAILURE_COLUMNS))
		return;
	v->failures = mem_grow(v->failures, v->failure_count + 1, sizeof *v->failures);
	f = &v->failures[v->failure_count++];
	*f = (struct tried){.id = (uint64_t)r->rowid, .attempts = (uint32_t)r->values[1].number};
	(void)snprintf(f->code, sizeof f->code, "%.*s",
	               (int)(r->values[4].count < sizeof f->code ? r->values[4].count : 0),
	               (const char *)r->values[4].bytes);
}

static int by_id(const void *a, const void *b)
{
	const uint64_t x = ((const struct tried *)a)->id, y = ((const struct tried *)b)->id;

	return (x > y) - (x < y);
}

void store_salvage_sort_failures(struct salvage *v)
{
	if (v->failure_count > 0)
		qsort(v->failures, v->failure_count, sizeof *v->failures, by_id);
}

/* It failed before: so often it was tried. One whose row could not be read starts afresh. */
static enum err give_attempts(struct store *s, uint64_t was_id, uint64_t id, struct error *e)
{
	const struct salvage *v = s->salvage;
	const struct tried key = {.id = was_id};
	const struct tried *f =
	    v->failure_count == 0 ? NULL : bsearch(&key, v->failures, v->failure_count, sizeof key, by_id);
	const uint64_t before = s->unexpected_settlements;
	struct store_settlement again = {.id = id, .kind = SETTLE_RETRY, .may_be_gone = true};
	enum err err;

	if (!f)
		return ERR_OK;
	again.attempts = f->attempts;
	again.code = f->code;
	err = store_settle(s, &again, 1, e);
	s->unexpected_settlements = before;
	return err;
}

static enum err bring_back(struct store *s, struct store_row row, bool is_dead, const struct stored_record *r,
                           struct error *e)
{
	const enum store_statement id = is_dead ? ST_SALVAGE_DEAD : ST_SALVAGE_MESSAGE;
	struct salvage *v = s->salvage;
	const uint64_t was_id = row.id;
	const bool is_tagged = sum_tag(row.checksum) == s->tag;
	bool is_new = false, taken = false, same = false, kept = false, is_proven = false;
	enum err err;

	if (!sum_is_ours(row.checksum, v->block->tag)) /* a page of another spool: never a message of this one */
		return ERR_OK;
	if (!row_is_sound(&row, v->block->tag)) /* of a cut record no more can be said than that it lacks some */
		return r->is_cut ? ERR_OK : keep_damaged(s, &row, r, e);
	err = store_is_here(s, &row, is_dead, &taken, &same, e);
	if (err != ERR_OK || same)
		return err;
	if (taken || !is_tagged)
		row_renumber(&row, taken ? s->now.next_id : row.id, s->tag);
	err = insert(s, id, &row, r, &is_new, e);
	if (err != ERR_OK || !is_new)
		return err;
	s->now.next_id = store_most(s->now.next_id, row.id + 1); /* the old ledger was older than its rows, or gone */
	v->rows++;
	v->step_rows++;
	err = store_forget_kept(s, was_id, &kept, e);
	if (err != ERR_OK)
		return err;
	if (kept) {
		count_undamaged(s);
		++*(is_dead ? &s->now.ledger.dead : &s->now.ledger.pending);
	} else {
		is_proven =
		    count_in(s, was_id, is_tagged && !taken, is_dead ? &s->now.ledger.dead : &s->now.ledger.pending);
	}
	if (!left_has(s->left, was_id) &&
	    ((v->is_repeat && !is_proven) || pages_map_is_lost(v->pages) || (v->marks_unread && !is_dead)))
		store_count_possible(s, 1);
	if (is_dead)
		return ERR_OK;
	store_stands_from(&s->now.rows_from, row.id);
	s->now.pending_bytes += row.meta_bytes + row.body_bytes;
	if (v->first == 0 || row.id < v->first)
		v->first = row.id;
	v->last = store_most(v->last, row.id);
	return give_attempts(s, was_id, row.id, e);
}

/* Null: nothing left it, or its mark is not there any more. */
static const struct block_mark *mark_of(const struct salvage *v, uint64_t block_id)
{
	for (size_t i = 0; i < v->mark_count; i++)
		if (v->marks[i].id == block_id)
			return &v->marks[i];
	return NULL;
}

/* What had not left it comes back, each message alone. */
static enum err bring_back_block(struct store *s, const struct stored_record *r, struct error *e)
{
	struct salvage *v = s->salvage;
	const struct block_mark *mark = mark_of(v, (uint64_t)r->rowid);
	struct stored_block *b = v->block;
	enum err err = ERR_OK;

	block_of_record(b, r);
	for (uint32_t i = v->at.message; i < b->framed && err == ERR_OK; i++) {
		v->at.message = i;
		if (block_row(b, b->id + i) && (!mark || !block_bit(mark, b->id + i)))
			err = bring_back(s, b->rows[i], false, r, e);
	}
	return err;
}

static bool is_note_of_file(const struct stored_value *key)
{
	static const char *const words[] = {"pages:", "part:", "bad:", "size:"};
	bool found = false;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		found |= key->count > strlen(words[i]) && memcmp(key->bytes, words[i], strlen(words[i])) == 0;
	return found;
}

/* Positions, keys of processors, and how far other files were read: tables WITHOUT ROWID. */
static enum err keep_key(struct store *s, const struct stored_record *r, struct error *e)
{
	enum store_statement id;
	sqlite3_stmt *st;
	uint64_t bytes = 0;
	bool is_forgotten;
	enum err err;

	if (row_has_types(r, "tti"))
		id = ST_POSITION_KEEP;
	else if (row_has_types(r, "tbi") || row_has_types(r, "tbii"))
		id = ST_CACHE_KEEP;
	else if (row_has_types(r, "biii") || row_has_types(r, "biiii"))
		id = ST_IMPORT_KEEP;
	else if ((row_has_types(r, "tiii") || row_has_types(r, "tiiii")) && is_note_of_file(&r->values[0]))
		id = ST_SALVAGE_KEEP;
	else
		return ERR_OK;
	if (id == ST_CACHE_KEEP && !record_is_sound(s, SIDE_KEY, r, KEY_COLUMNS)) {
		store_count_possible(s, 1); /* what it kept back may come again */
		s->rows.keys_gone = store_beyond(s->rows.keys_gone, 1);
		return ERR_OK;
	}
	if (id == ST_SALVAGE_KEEP && !record_is_sound(s, SIDE_SALVAGE_NOTE, r, NOTE_COLUMNS))
		return ERR_OK;
	for (int i = 0; i < r->count; i++)
		bytes += r->values[i].count;
	err = charge(s, bytes, e);
	if (err != ERR_OK)
		return err;
	st = store_statement(s, id);
	for (int i = 0; i < r->count; i++) /* a checksum that is made anew has no place */
		bind_value(st, i + 1, &r->values[i]);
	is_forgotten = id == ST_IMPORT_KEEP && !record_is_sound(s, SIDE_IMPORT, r, NOTE_COLUMNS);
	if (is_forgotten)
		(void)sqlite3_bind_blob(st, 1, "", 0, SQLITE_STATIC); /* of a copy that is not known any more */
	err = store_run(s, st, e, "salvage a key");
	store_rows_came_back(s, id, r, is_forgotten);
	(void)sqlite3_clear_bindings(st);
	return err;
}

/*
 * Of the spool's own time, which the ledger has inherited. One that is not what was written comes back too, so that
 * store_leads_load sees it: there was one.
 */
static enum err keep_lead(struct store *s, const struct stored_record *r, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_CLOCK_KEEP);

	(void)sqlite3_bind_int64(st, 1, r->rowid);
	(void)sqlite3_bind_int64(st, 2, r->values[1].number);
	(void)sqlite3_bind_int64(st, 3, r->count > 2 ? r->values[2].number : 0);
	return store_run(s, st, e, "salvage the clock");
}

/* Why some of the damaged ones that the ledger has inherited are. */
static enum err keep_loss(struct store *s, const struct stored_record *r, struct error *e)
{
	struct stored_record with_reason = *r;

	with_reason.values[0] = (struct stored_value){.type = VALUE_INT, .number = r->rowid};
	return record_is_sound(s, SIDE_LOSS, &with_reason, LOSS_COLUMNS) ? store_losses_keep(s, r, e) : ERR_OK;
}

/* *e says why. */
static enum err note_unread(struct salvage *v, uint32_t record, struct error *e)
{
	if (v->bad_count == BAD_PARTS_MAX)
		return e ? e->code : ERR_DISK;
	v->bad[v->bad_count++] = (struct bad_part){v->page, record};
	return ERR_OK;
}

/* It is of a page that is old: it waited no more when the file was set aside. */
static bool had_left(const struct salvage *v, enum stored_kind kind, uint64_t id)
{
	return (kind == ROW_BLOCK && id < v->blocks_from) || (kind == ROW_MESSAGE && id < v->rows_from);
}

/* An earlier step took it, or all before v->at of it. */
static bool is_behind_us(struct salvage *v, uint32_t cell)
{
	const bool is_begun = v->reached.page == v->page && v->only == 0;

	v->at = (struct place){v->page, cell, is_begun && cell == v->reached.cell ? v->reached.message : 0};
	return is_begun && cell < v->reached.cell;
}

enum err store_salvage_record(void *arg, const struct stored_record *r, struct error *e)
{
	struct store *s = arg;
	struct salvage *v = s->salvage;
	struct store_row row;
	enum stored_kind kind;

	if (is_behind_us(v, r->cell) || (v->only > 0 && v->only != r->cell + 1))
		return ERR_OK;
	if (r->is_unread)
		return note_unread(v, r->cell + 1, e);
	kind = row_of_record(r, &row);
	if (had_left(v, kind, (uint64_t)r->rowid))
		return ERR_OK;
	if (kind == ROW_BLOCK)
		return bring_back_block(s, r, e);
	if (r->is_cut) /* of a block's messages each proves itself */
		return ERR_OK;
	if (kind == ROW_MESSAGE || kind == ROW_DEAD)
		return bring_back(s, row, kind == ROW_DEAD, r, e);
	if (!r->is_index && (row_has_types(r, "ni") || row_has_types(r, "nii")))
		return keep_lead(s, r, e);
	if (!r->is_index && row_has_types(r, "niiiii"))
		return keep_loss(s, r, e);
	return r->is_index ? keep_key(s, r, e) : ERR_OK;
}
