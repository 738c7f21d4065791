/*
 * Salvage: what can still be read of files that were set aside comes back under its old id when its checksum holds.
 *
 * Invariants:
 * 1. A file is read page by page, each group of pages in one transaction with the place it reached: a restart goes on
 *    there. It is never opened by SQLite, which might change it.
 * 2. What waited in a file was counted as damaged when it was set aside, and as expected; each message that comes back
 *    is taken out of both. One that nobody expected is accepted now: the ledger balances whatever comes back.
 * 3. A row comes back at most once: its id is the key, and what is there stays. Another message of that id gets a new
 * one.
 * 4. A page that cannot be read is left out as a whole, a record that goes on in one alone; each is noted in the group
 *    that passes it, and tried at the next start.
 * 5. What comes back and may have left before, because the page that says so cannot be read, is a possible duplicate.
 * 6. It takes no room that intake needs (store_own_room): then it waits for messages to leave, unless none is left.
 */
#include "store/store_salvage_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum {
	ROWS_AT_ONCE = 4096,
	PAGES_AT_ONCE = 4096,
	KEY_COLUMNS = 3,
	NOTE_COLUMNS = 4,
	FAILURE_COLUMNS = 6,
	LOSS_COLUMNS = 5,
	NOTE_CHECKSUM = 9,
	ROOM_PART = 4,  /* of the room, in one step: what it writes stands in the log, and then in the file too */
	ROW_BYTES = 64, /* of a row, beside what it holds */
	LEAST_BYTES = 256 << 10, /* when nothing waits, with or without room */
};

static void count_in(struct store *s, uint64_t id, uint64_t *counter)
{
	struct salvage *v = s->salvage;
	const bool had_left = left_has(s->left, id);

	if (had_left)
		left_note_back(s->left, id);
	if (!had_left && v->expected > 0 && s->now.ledger.damaged > 0) {
		v->expected--;
		s->now.ledger.damaged--;
		s->came_back++;
		if (s->now.told > s->now.ledger.damaged)
			s->now.told = s->now.ledger.damaged;
	} else if (s->now.ledger.delivered > 0 && (had_left || v->marks_lost > 0 || id < v->counted)) {
		/* it had left, which is forgotten */
		if (v->marks_lost > 0)
			v->marks_lost--;
		else
			store_count_possible(s, 1);
		s->now.ledger.delivered--;
	} else {
		s->now.ledger.accepted++;
	}
	++*counter;
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

static enum err wait_for_room(const struct store *s, struct error *e)
{
	return error_set(e, ERR_FULL,
	                 "there is no room to read back what was set aside (kspool.min_free is left to what comes in):"
	                 " it goes on when messages have left, or when there is more room on the disk of %s",
	                 s->path);
}

static enum err charge(struct store *s, uint64_t bytes, struct error *e)
{
	struct salvage *v = s->salvage;

	v->step_bytes += bytes + ROW_BYTES;
	return v->step_bytes <= v->room_bytes ? ERR_OK : wait_for_room(s, e);
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
	count_in(s, row->id, &s->now.ledger.damaged);
	store_lose(s, LOSS_BYTES, 1, row->id, row->id);
	return ERR_OK;
}

static enum err bring_back(struct store *s, struct store_row row, bool is_dead, const struct stored_record *r,
                           struct error *e)
{
	const enum store_statement id = is_dead ? ST_SALVAGE_DEAD : ST_SALVAGE_MESSAGE;
	struct salvage *v = s->salvage;
	const uint64_t was_id = row.id;
	bool is_new = false, taken = false, same = false, kept = false;
	enum err err;

	if (!sum_is_ours(row.checksum, v->block->tag)) /* a page of another spool: never a message of this one */
		return ERR_OK;
	if (!row_is_sound(&row, v->block->tag)) /* of a cut record no more can be said than that it lacks some */
		return r->is_cut ? ERR_OK : keep_damaged(s, &row, r, e);
	err = store_is_here(s, &row, is_dead, &taken, &same, e);
	if (err != ERR_OK || same)
		return err;
	if (taken || sum_tag(row.checksum) != s->tag)
		row_renumber(&row, taken ? s->now.next_id : row.id, s->tag);
	err = insert(s, id, &row, r, &is_new, e);
	if (err != ERR_OK || !is_new)
		return err;
	if (row.id >= s->now.next_id) /* the old ledger was older than its rows, or gone */
		s->now.next_id = row.id + 1;
	v->rows++;
	v->step_rows++;
	err = store_forget_kept(s, was_id, &kept, e);
	if (err != ERR_OK)
		return err;
	if (kept) {
		s->now.ledger.damaged--;
		++*(is_dead ? &s->now.ledger.dead : &s->now.ledger.pending);
	} else {
		count_in(s, was_id, is_dead ? &s->now.ledger.dead : &s->now.ledger.pending);
	}
	if (!left_has(s->left, was_id) &&
	    (v->is_repeat || pages_map_is_lost(v->pages) || (v->marks_unread && !is_dead)))
		store_count_possible(s, 1);
	if (is_dead)
		return ERR_OK;
	store_stands_from(&s->now.rows_from, row.id);
	s->now.pending_bytes += row.meta_bytes + row.body_bytes;
	if (v->first == 0 || row.id < v->first)
		v->first = row.id;
	if (row.id > v->last)
		v->last = row.id;
	return ERR_OK;
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
	const struct block_mark *mark = mark_of(s->salvage, (uint64_t)r->rowid);
	struct stored_block *b = s->salvage->block;
	enum err err = ERR_OK;

	block_of_record(b, r);
	for (uint32_t i = 0; i < b->framed && err == ERR_OK; i++)
		if (block_row(b, b->id + i) && (!mark || !block_bit(mark, b->id + i)))
			err = bring_back(s, b->rows[i], false, r, e);
	return err;
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
	else if ((row_has_types(r, "tiii") || row_has_types(r, "tiiii")) && r->values[0].count > 6 &&
	         (memcmp(r->values[0].bytes, "pages:", 6) == 0 || memcmp(r->values[0].bytes, "bad:", 4) == 0))
		id = ST_SALVAGE_KEEP;
	else
		return ERR_OK;
	if (id == ST_CACHE_KEEP && !record_is_sound(s, SIDE_KEY, r, KEY_COLUMNS)) {
		store_count_possible(s, 1); /* what it kept back may come again */
		store_rows_left(&s->rows.keys_gone, 1);
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
	for (int i = 0; i < r->count && (id != ST_IMPORT_KEEP || i < NOTE_COLUMNS); i++)
		bind_value(st, i + 1, &r->values[i]);
	is_forgotten = id == ST_IMPORT_KEEP && !record_is_sound(s, SIDE_IMPORT, r, NOTE_COLUMNS);
	if (is_forgotten)
		(void)sqlite3_bind_blob(st, 1, "", 0, SQLITE_STATIC); /* of a copy that is not known any more */
	if (id == ST_CACHE_KEEP && r->count == KEY_COLUMNS)
		(void)sqlite3_bind_int64(st, KEY_COLUMNS + 1, 0);
	if (id == ST_SALVAGE_KEEP && r->count == NOTE_COLUMNS)
		(void)sqlite3_bind_int64(st, NOTE_COLUMNS + 1, 0);
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

static enum err take_record(void *arg, const struct stored_record *r, struct error *e)
{
	struct store *s = arg;
	struct salvage *v = s->salvage;
	struct store_row row;
	enum stored_kind kind;

	if (v->only > 0 && v->only != r->cell + 1)
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
	if (is_failure(r) && v->failure_page_count < FAILURE_PAGES_MAX &&
	    (v->failure_page_count == 0 || v->failure_pages[v->failure_page_count - 1] != v->page))
		v->failure_pages[v->failure_page_count++] = v->page;
	if (!r->is_index && (row_has_types(r, "ni") || row_has_types(r, "nii")))
		return keep_lead(s, r, e);
	if (!r->is_index && row_has_types(r, "niiiii"))
		return keep_loss(s, r, e);
	return r->is_index ? keep_key(s, r, e) : ERR_OK;
}

/* Attempts of what came back; a failed one that cannot be read starts afresh. */
static enum err take_failure(void *arg, const struct stored_record *r, struct error *e)
{
	struct store *s = arg;
	char code[64];
	struct store_settlement again = {
	    .id = (uint64_t)r->rowid, .kind = SETTLE_RETRY, .code = code, .may_be_gone = true};
	uint64_t before = s->unexpected_settlements;
	enum err err;
	struct stored_record with_id = *r;

	with_id.values[0] =
	    (struct stored_value){.type = VALUE_INT, .number = r->rowid}; /* stands as null in the record */
	if (!is_failure(r) || !record_is_sound(s, SIDE_FAILURE, &with_id, FAILURE_COLUMNS))
		return ERR_OK;
	(void)snprintf(code, sizeof code, "%.*s", (int)(r->values[4].count < sizeof code ? r->values[4].count : 0),
	               (const char *)r->values[4].bytes);
	again.attempts = (uint32_t)r->values[1].number;
	err = store_settle(s, &again, 1, e);
	s->unexpected_settlements = before;
	return err;
}

static bool is_bad(const struct salvage *v, uint32_t page)
{
	for (size_t i = 0; i < v->bad_count; i++)
		if (v->bad[i].page == page && v->bad[i].record == 0)
			return true;
	return false;
}

static enum err note_part(struct store *s, const struct bad_part *p, bool done, struct error *e)
{
	const struct note note = {.after = p->page, .rows = p->record, .done = done};
	AUTOFREE char *page = mem_format("bad:%s:%" PRIu32, s->salvage->suffix, p->page);
	AUTOFREE char *record = p->record > 0 ? mem_format("%s:%" PRIu32, page, p->record) : NULL;

	return store_note_put(s, record ? record : page, &note, e);
}

/* One part that an earlier start could not read. */
static enum err read_again(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	const struct bad_part part = v->again[v->again_count - 1];
	enum err err;

	v->page = part.page;
	v->only = part.record;
	err = pages_records(v->pages, v->page, take_record, s, e);
	v->only = 0;
	if (err == ERR_OK)
		err = note_part(s, &part, true, e);
	v->page = err == ERR_OK ? v->after_page : v->page;
	return err;
}

static enum err read_pages(struct store *s, uint32_t max_rows, bool *ret_done, struct error *e)
{
	struct salvage *v = s->salvage;
	const uint32_t count = pages_count(v->pages), end = v->stop_before ? v->stop_before - 1 : count;
	uint32_t pages = 0;
	enum err err = ERR_OK;

	if (v->again_count > 0)
		return read_again(s, e);
	v->page = v->after_page;
	while (err == ERR_OK && v->page < end && v->step_rows < max_rows && pages++ < PAGES_AT_ONCE &&
	       v->step_bytes <= v->room_bytes / 2) {
		v->page++;
		if (!is_bad(v, v->page))
			err = pages_records(v->pages, v->page, take_record, s, e);
	}
	*ret_done = err == ERR_OK && v->page >= count;
	for (size_t i = 0; i < v->failure_page_count && err == ERR_OK && *ret_done; i++) {
		err = pages_records(v->pages, v->failure_pages[i], take_failure, s, e);
		if (store_source_failed(s, err))
			err = ERR_OK; /* these start afresh */
	}
	return err;
}

static enum err note_step(struct store *s, bool done, struct error *e)
{
	struct salvage *v = s->salvage;
	AUTOFREE char *key = mem_format("pages:%s", v->suffix);
	const bool all = done && v->bad_count == 0;
	enum err err = store_note_put(s, key, &(struct note){.after = v->page, .rows = v->rows, .done = all}, e);

	for (size_t i = v->bad_noted; i < v->bad_count && err == ERR_OK; i++)
		err = note_part(s, &v->bad[i], false, e);
	return err == ERR_OK ? store_salvage_expect(s, v->expected, e) : err;
}

/* What a step changes in memory beside the ledger. */
struct step {
	uint64_t rows, expected;
	size_t failure_pages, bad;
};

/* Nothing of this step happened; what stands before the page that it met is kept first. False: that is nothing. */
static bool take_back(struct store *s, const struct step *before)
{
	struct salvage *v = s->salvage;

	store_rollback(s);
	v->rows = before->rows;
	v->expected = before->expected;
	v->failure_page_count = before->failure_pages;
	v->bad_count = before->bad;
	v->stop_before = v->again_count > 0 || v->page <= v->after_page + 1 ? 0 : v->page;
	v->page = v->after_page;
	return v->stop_before != 0;
}

/* ERR_OK: a smaller step may do. */
static enum err lacks_room(struct store *s, const struct step *before, enum err err)
{
	struct salvage *v = s->salvage;

	if (take_back(s, before))
		return ERR_OK;
	if (s->durable.ledger.pending > 0 || v->is_last_resort)
		return err;
	v->is_last_resort = true;
	v->stop_before = v->again_count > 0 ? 0 : v->after_page + 2;
	return ERR_OK;
}

/* The page being read cannot be: it is left out of the next steps. */
static enum err leave_out(struct store *s, const struct step *before, const struct error *why)
{
	struct salvage *v = s->salvage;
	const uint32_t page = v->page;

	(void)take_back(s, before);
	if (v->bad_count == BAD_PARTS_MAX) {
		store_source_put_off(s, v->suffix, why);
		store_salvage_end(s);
		return ERR_OK;
	}
	v->bad[v->bad_count++] = v->again_count > 0 ? v->again[v->again_count - 1] : (struct bad_part){.page = page};
	if (v->again_count > 0) /* it is noted */
		v->again_count--;
	return ERR_OK;
}

static enum err step(struct store *s, uint32_t max_rows, bool *ret_done, struct error *e)
{
	struct salvage *v = s->salvage;
	const struct step before = {v->rows, v->expected, v->failure_page_count, v->bad_count};
	const bool again = v->again_count > 0;
	enum err err = store_begin(s, e);

	v->first = v->last = v->step_rows = v->step_bytes = 0;
	if (err == ERR_OK && !v->marks_counted)
		store_count_possible(s, v->marks_lost);
	if (err == ERR_OK) {
		err = read_pages(s, max_rows, ret_done, e);
		if (store_source_failed(s, err))
			return leave_out(s, &before, e);
	}
	if (err == ERR_OK)
		err = note_step(s, *ret_done, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err == ERR_FULL) {
		*ret_done = false;
		return lacks_room(s, &before, err);
	}
	if (err != ERR_OK) { /* the place reached is read again from the table */
		store_rollback(s);
		store_salvage_end(s);
		return err;
	}
	if (again)
		v->again_count--;
	v->bad_noted = v->bad_count;
	v->marks_counted = true;
	v->stop_before = 0;
	v->after_page = v->page;
	v->is_last_resort = s->salvage_waits = false;
	s->free_checked_ms = 0;
	return ERR_OK;
}

static enum err find_room(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	enum err err = store_own_room(s, &v->room_bytes, e);

	if (err != ERR_OK)
		return err;
	v->room_bytes /= ROOM_PART;
	if (s->durable.ledger.pending == 0 && v->room_bytes < LEAST_BYTES)
		v->room_bytes = LEAST_BYTES;
	if (v->is_last_resort)
		v->room_bytes = UINT64_MAX;
	return v->room_bytes > 0 ? ERR_OK : wait_for_room(s, e);
}

enum err store_salvage(struct store *s, uint32_t max_rows, uint64_t *ret_first, uint64_t *ret_last, bool *ret_more,
                       struct error *e)
{
	struct error local;
	bool done = false;
	enum err err = s->salvage || s->salvage_is_done ? ERR_OK : store_source_next(s, e);

	s->salvage_waits &= !s->salvage_is_done;
	*ret_first = *ret_last = 0;
	*ret_more = err == ERR_OK && !s->salvage_is_done;
	if (err != ERR_OK || !s->salvage)
		return err;
	err = find_room(s, e);
	if (err == ERR_OK)
		err = step(s, max_rows, &done, e ? e : &local);
	s->salvage_waits |= err == ERR_FULL;
	if (err != ERR_OK || !s->salvage)
		return err;
	*ret_first = s->salvage->first;
	*ret_last = s->salvage->last;
	if (!done)
		return ERR_OK;
	err = store_leads_load(s, NULL, e);
	if (err == ERR_OK && s->leads_are_lost) {
		err = store_begin(s, e);
		if (err == ERR_OK)
			err = store_leads_mend(s, e);
		if (err == ERR_OK)
			err = store_commit(s, e);
	}
	return err == ERR_OK ? store_source_done(s, e) : err;
}

enum err store_salvage_for(struct store *s, int64_t budget_ms, uint64_t *ret_rows, struct error *e)
{
	int64_t end = clock_mono_ms() + budget_ms;
	bool more = true;
	enum err err = ERR_OK;

	while (err == ERR_OK && more && clock_mono_ms() <= end) {
		uint64_t before = s->durable.ledger.pending + s->durable.ledger.dead;
		uint64_t first, last;

		err = store_salvage(s, ROWS_AT_ONCE, &first, &last, &more, e);
		if (err == ERR_OK)
			err = store_checkpoint(s, false, e);
		*ret_rows += s->durable.ledger.pending + s->durable.ledger.dead - before;
	}
	return err == ERR_FULL ? ERR_OK : err;
}
