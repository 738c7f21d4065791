/*
 * The walk over all pending messages in the order of their ids, whether they stand alone or in a block.
 *
 * Invariants:
 * 1. A walk shows a message once, in the order the tables give: that their order is right is for the caller to check.
 */
#include "store/blocks/walk.h"

#include "base/cleanup.h"
#include "store/files/sql.h"

void walk_start(struct block_walk *w, sqlite3_stmt *rows, sqlite3_stmt *blocks, struct stored_block *block,
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
		block_read(w->block, w->blocks);
		w->mark = mark_read(w->blocks, BLOCK_COLUMNS, w->block->id, w->block->count, w->block->tag);
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

int walk_next(struct block_walk *w, struct block_message *ret)
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

void walk_end(struct block_walk *w)
{
	(void)sqlite3_reset(w->rows);
	(void)sqlite3_reset(w->blocks);
}

int walk_open(struct block_walk *w, sqlite3 *db, uint32_t tag, uint64_t first, uint64_t last)
{
	sqlite3_stmt *rows = NULL, *blocks = NULL;
	bool has_blocks = false; /* a file of the first schema has none */
	int rc = sqlite3_prepare_v2(db,
	                            ROW_SELECT " FROM messages"
	                                       " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
	                            -1, &rows, NULL);

	*w = (struct block_walk){0};
	if (rc != SQLITE_OK)
		return rc;
	rc = sql_has_column(db, "blocks", "id", &has_blocks);
	if (rc == SQLITE_OK && has_blocks)
		rc = sqlite3_prepare_v2(db, BLOCK_SELECT BLOCK_RANGE, -1, &blocks, NULL);
	if (rc == SQLITE_OK) {
		walk_start(w, rows, blocks, block_new(), first, last);
		w->block->tag = tag;
		return SQLITE_OK;
	}
	(void)sqlite3_finalize(rows);
	(void)sqlite3_finalize(blocks);
	return rc;
}

void walk_close(struct block_walk *w)
{
	(void)sqlite3_finalize(take(w->rows));
	(void)sqlite3_finalize(take(w->blocks));
	block_free(take(w->block));
}
