/*
 * Salvage: what can still be read of files that were set aside comes back, step by step (store_salvage_rows.c).
 *
 * Invariants:
 * 1. A file is read page by page, each group of them in one transaction with the place it reached, within a page too: a
 *    restart goes on there. It is never opened by SQLite, which might change it.
 * 2. A page that cannot be read is left out as a whole, a record that goes on in one alone; each is noted in the group
 *    that passes them, and tried at the next start.
 * 3. It takes no room that intake needs (store_own_room): then it waits for messages to leave, unless none is left.
 * Then as little comes at a time as it must be, down to one message.
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
	ROOM_PART = 4,      /* of the room, in one step: what it writes stands in the log, and then in the file too */
	LAST_ROOM_PART = 8, /* of what there is at all: that it leaves is written there, too */
	LEAST_BYTES = 256 << 10, /* when nothing waits, where there is so much */
};

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
	err = pages_records(v->pages, v->page, store_salvage_record, s, e);
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
		const uint32_t next = pages_next(v->pages, v->page + 1);

		v->page = next <= end ? next : end;
		if (next <= end && !is_bad(v, v->page))
			err = pages_records(v->pages, v->page, store_salvage_record, s, e);
	}
	if (err == ERR_FULL && v->ends_here && v->step_parts > 0) {
		v->reached = v->at;
		v->page--;
		err = ERR_OK;
	}
	*ret_done = err == ERR_OK && v->page >= count;
	return err;
}

/* It says something only of the page behind those that were read. */
static enum err note_place(struct store *s, struct error *e)
{
	const struct place *p = &s->salvage->reached;
	AUTOFREE char *key = mem_format(SALVAGE_PLACE, s->salvage->suffix);

	return store_note_put(s, key, &(struct note){.after = p->page, .rows = (uint64_t)p->cell << 32 | p->message},
	                      e);
}

/* What it becomes later is told from what was read. */
static enum err note_parts(struct store *s, struct error *e)
{
	const struct salvage *v = s->salvage;
	AUTOFREE char *key = mem_format(SALVAGE_PARTS, v->suffix);

	return store_note_put(s, key, &(struct note){.after = v->parts.file, .rows = v->parts.log, .done = true}, e);
}

static enum err note_step(struct store *s, bool done, struct error *e)
{
	struct salvage *v = s->salvage;
	AUTOFREE char *key = mem_format("pages:%s", v->suffix);
	const bool all = done && v->bad_count == 0;
	enum err err = store_note_put(s, key, &(struct note){.after = v->page, .rows = v->rows, .done = all}, e);

	if (err == ERR_OK && !v->parts_noted)
		err = note_parts(s, e);
	if (err == ERR_OK && v->reached.page > v->page)
		err = note_place(s, e);
	for (size_t i = v->bad_noted; i < v->bad_count && err == ERR_OK; i++)
		err = note_part(s, &v->bad[i], false, e);
	return err == ERR_OK ? store_salvage_expect(s, v->expected, e) : err;
}

/* What a step changes in memory beside the ledger. */
struct step {
	uint64_t rows, expected, gone;
	size_t bad;
	struct place reached;
};

/* Nothing of this step happened. */
static void take_back(struct store *s, const struct step *before)
{
	struct salvage *v = s->salvage;

	store_rollback(s);
	v->rows = before->rows;
	v->expected = before->expected;
	v->gone = before->gone;
	v->bad_count = before->bad;
	v->reached = before->reached;
	v->first = v->last = 0;
}

/* ERR_OK: a smaller step may do. */
static enum err lacks_room(struct store *s, const struct step *before, enum err err)
{
	struct salvage *v = s->salvage;

	take_back(s, before);
	v->most_bytes = v->step_parts > 1 ? v->step_bytes / 2 : UINT64_MAX;
	return v->step_parts > 1 && v->again_count == 0 && !v->ends_here ? ERR_OK : err;
}

/* The page being read cannot be: it is left out of the next steps. */
static void leave_out(struct store *s, const struct step *before, const struct error *why)
{
	struct salvage *v = s->salvage;
	const uint32_t page = v->page;

	take_back(s, before);
	v->stop_before =
	    v->again_count > 0 || page <= v->after_page + 1 ? 0 : page; /* what stands before is kept first */
	if (v->bad_count == BAD_PARTS_MAX) {
		store_source_put_off(s, v->suffix, why);
		store_salvage_end(s);
		return;
	}
	v->bad[v->bad_count++] = v->again_count > 0 ? v->again[v->again_count - 1] : (struct bad_part){.page = page};
	if (v->again_count > 0) /* it is noted */
		v->again_count--;
}

static enum err step(struct store *s, uint32_t max_rows, bool *ret_done, struct error *e)
{
	struct salvage *v = s->salvage;
	const struct step before = {v->rows, v->expected, v->gone, v->bad_count, v->reached};
	const bool again = v->again_count > 0;
	enum err err = store_begin(s, e);

	v->first = v->last = v->step_rows = v->step_bytes = v->step_parts = 0;
	v->ends_here = false;
	if (err == ERR_OK && !v->marks_counted)
		store_count_possible(s, v->marks_lost);
	if (err == ERR_OK) {
		err = read_pages(s, max_rows, ret_done, e);
		if (store_source_failed(s, err)) {
			leave_out(s, &before, e);
			return ERR_OK;
		}
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
	v->parts_noted = true;
	v->marks_counted = true;
	v->stop_before = 0;
	v->after_page = v->page;
	v->most_bytes = UINT64_MAX;
	s->salvage_waits = false;
	s->free_checked_ms = 0;
	return ERR_OK;
}

static enum err find_room(struct store *s, struct error *e)
{
	struct salvage *v = s->salvage;
	const uint64_t log = (uint64_t)s->wal_frames * s->page_bytes;
	uint64_t last_room;
	enum err err = store_own_room(s, &v->room_bytes, e);

	if (err != ERR_OK)
		return err;
	v->room_bytes /= ROOM_PART;
	last_room = store_least((s->free_bytes + store_beyond(s->log_held, log)) / LAST_ROOM_PART, LEAST_BYTES);
	if (s->durable.ledger.pending == 0)
		v->room_bytes = store_most(v->room_bytes, last_room);
	v->room_bytes = store_least(v->room_bytes, v->most_bytes);
	return v->room_bytes > 0 || s->durable.ledger.pending == 0 ? ERR_OK : store_salvage_waits(s, e);
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
	err = store_leads_load(s, 0, NULL, e);
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
