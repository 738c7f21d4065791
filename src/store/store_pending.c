/*
 * What of the blocks is pending: marks of what left one, and the walk over all messages in the order of their ids,
 * whether they stand alone or in a block.
 *
 * Invariants:
 * 1. Marks ascend by block. Begin and end of a group drop them all; between groups one is what `partial` says.
 * 2. A dirty mark belongs to the open group.
 * 3. A walk shows a message once, in the order the tables give: that their order is right is for the caller to check.
 */
#include "store/store_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"

/* Index of the first mark at or above the block. */
static size_t seek(const struct block_marks *marks, uint64_t id)
{
	size_t low = 0, high = marks->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (marks->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool store_marks_has(const struct store *s, uint64_t block_id)
{
	size_t at = seek(&s->marks, block_id);

	return at < s->marks.count && s->marks.items[at].id == block_id;
}

static enum err load(struct store *s, uint64_t block_id, uint32_t count, struct block_mark *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PARTIAL_GET);
	int rc;

	*ret = (struct block_mark){.id = block_id, .count = count};
	sql_bind_u64(st, 1, block_id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = store_block_mark_read(st, 0, block_id, count, s->tag);
	s->mend_is_due |= ret->is_lost;
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read what left a block");
}

enum err store_marks_get(struct store *s, uint64_t block_id, uint32_t count, struct block_mark **ret, struct error *e)
{
	struct block_marks *marks = &s->marks;
	size_t at = seek(marks, block_id);
	struct block_mark mark;
	enum err err;

	if (at == marks->count || marks->items[at].id != block_id) {
		err = load(s, block_id, count, &mark, e);
		if (err != ERR_OK)
			return err;
		if (marks->count == marks->capacity) {
			marks->capacity = marks->capacity ? marks->capacity * 2 : 16;
			marks->items = mem_grow(marks->items, marks->capacity, sizeof *marks->items);
		}
		memmove(marks->items + at + 1, marks->items + at, (marks->count - at) * sizeof *marks->items);
		marks->items[at] = mark;
		marks->count++;
	}
	*ret = &marks->items[at];
	return ERR_OK;
}

static enum err run_with_id(struct store *s, enum store_statement id, uint64_t first, uint64_t last, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);

	sql_bind_u64(st, 1, first);
	if (id == ST_BLOCKS_DELETE_RUN)
		sql_bind_u64(st, 2, last);
	return store_run(s, st, e, "delete a block");
}

static enum err put(struct store *s, const struct block_mark *m, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PARTIAL_PUT);

	sql_bind_u64(st, 1, m->id);
	(void)sqlite3_bind_int64(st, 2, m->settled);
	sql_bind_u64(st, 3, m->bytes);
	(void)sqlite3_bind_int64(st, 4, store_block_mark_checksum(m, s->tag));
	(void)sqlite3_bind_blob64(st, 5, m->bits, sizeof m->bits, SQLITE_STATIC);
	return store_run(s, st, e, "note what left a block");
}

enum err store_marks_flush(struct store *s, struct error *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < s->marks.count && err == ERR_OK; i++) {
		struct block_mark *m = &s->marks.items[i];

		if (!m->is_dirty)
			continue;
		must(s->in_group && m->settled <= m->count);
		if (m->settled < m->count) {
			err = put(s, m, e);
			m->is_stored = true;
		} else {
			err = run_with_id(s, ST_BLOCKS_DELETE_RUN, m->id, m->id, e);
			if (err == ERR_OK && m->is_stored)
				err = run_with_id(s, ST_PARTIAL_DELETE, m->id, 0, e);
		}
		m->is_dirty = false;
	}
	return err;
}

void store_walk_start(struct block_walk *w, sqlite3_stmt *rows, sqlite3_stmt *blocks, struct stored_block *block,
                      uint64_t first, uint64_t last)
{
	last = last > INT64_MAX ? INT64_MAX : last;
	*w = (struct block_walk){.rows = rows, .blocks = blocks, .block = block, .first = first, .last = last};
	w->rows_used = true;
	sql_bind_u64(rows, 1, first);
	sql_bind_u64(rows, 2, last);
	if (!blocks) {
		w->blocks_rc = SQLITE_DONE;
		return;
	}
	sql_bind_u64(blocks, 1, first);
	sql_bind_u64(blocks, 2, last);
}

/* Stands on the next message of a block that is pending; false when there is none. */
static bool seek_in_block(struct block_walk *w)
{
	for (; w->index < w->block->count; w->index++) {
		uint64_t id = w->block->id + w->index;

		if (id >= w->first && id <= w->last && !block_bit(&w->mark, id))
			return true;
	}
	return false;
}

static void step_blocks(struct block_walk *w)
{
	while (w->blocks_rc != SQLITE_DONE) {
		if (w->in_block && seek_in_block(w))
			return;
		w->in_block = false;
		w->blocks_rc = sqlite3_step(w->blocks);
		if (w->blocks_rc != SQLITE_ROW)
			return;
		store_block_read(w->block, w->blocks);
		w->mark = store_block_mark_read(w->blocks, BLOCK_COLUMNS, w->block->id, w->block->count, w->block->tag);
		w->lost_mark |= w->mark.is_lost;
		w->index = 0;
		w->in_block = true;
	}
}

static void show_block_message(struct block_walk *w, struct block_message *ret)
{
	const struct store_row *found = block_row(w->block, w->block->id + w->index);

	ret->in_block = true;
	ret->row = found ? *found : (struct store_row){.id = w->block->id + w->index};
	ret->is_sound = found && row_is_sound(found, w->block->tag);
	w->index++;
}

static bool is_failure(int rc) { return rc != SQLITE_ROW && rc != SQLITE_DONE; }

int store_walk_next(struct block_walk *w, struct block_message *ret)
{
	for (;;) {
		bool has_row;
		uint64_t row_id, block_id;

		if (w->rows_used && w->rows_rc != SQLITE_DONE)
			w->rows_rc = sqlite3_step(w->rows);
		w->rows_used = false;
		if (is_failure(w->rows_rc))
			return w->rows_rc;
		step_blocks(w);
		if (is_failure(w->blocks_rc))
			return w->blocks_rc;
		has_row = w->rows_rc == SQLITE_ROW;
		if (!has_row && !w->in_block)
			return SQLITE_DONE;
		row_id = has_row ? sql_column_u64(w->rows, 0) : UINT64_MAX;
		block_id = w->in_block ? w->block->id + w->index : UINT64_MAX;
		if (block_id <= row_id) {
			w->rows_used = block_id == row_id; /* the same message twice: once is enough */
			show_block_message(w, ret);
			return SQLITE_ROW;
		}
		w->rows_used = true;
		ret->row = row_read(w->rows);
		ret->is_sound = row_is_sound(&ret->row, w->block->tag);
		ret->in_block = false;
		return SQLITE_ROW;
	}
}

void store_walk_end(struct block_walk *w)
{
	(void)sqlite3_reset(w->rows);
	(void)sqlite3_reset(w->blocks);
}

int store_walk_open(struct block_walk *w, sqlite3 *db, uint64_t first, uint64_t last)
{
	sqlite3_stmt *rows = NULL, *blocks = NULL;
	struct totals of;
	bool found = false;
	int rc = sqlite3_prepare_v2(db,
	                            "SELECT id, received_ms, checksum, meta, body FROM messages"
	                            " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
	                            -1, &rows, NULL);

	*w = (struct block_walk){0};
	if (rc != SQLITE_OK)
		return rc;
	if (sqlite3_table_column_metadata(db, NULL, "blocks", "id", NULL, NULL, NULL, NULL, NULL) == SQLITE_OK)
		rc = sqlite3_prepare_v2(db, BLOCK_SELECT BLOCK_RANGE, -1, &blocks, NULL);
	if (rc == SQLITE_OK)
		rc = store_ledger_read(db, &of, &found);
	if ((rc & 0xff) == SQLITE_CORRUPT) /* the walk tells it when the messages are concerned */
		rc = SQLITE_OK;
	if (rc == SQLITE_OK) {
		store_walk_start(w, rows, blocks, store_block_new(), first, last);
		w->block->tag = found ? sum_tag_of(store_totals_id(&of)) : 0; /* a damaged row names no spool */
		return SQLITE_OK;
	}
	(void)sqlite3_finalize(rows);
	(void)sqlite3_finalize(blocks);
	return rc;
}

void store_walk_close(struct block_walk *w)
{
	(void)sqlite3_finalize(take(w->rows));
	(void)sqlite3_finalize(take(w->blocks));
	store_block_free(take(w->block));
}
