/*
 * Small blocks become large ones, and rows of the first schema blocks: what waits for long takes little room, however
 * it came in. One step is one transaction over at most BLOCK_MESSAGES messages and BLOCK_BYTES; a kill leaves either
 * form.
 *
 * A day of single messages of 500 bytes is otherwise a page for seven of them, and compressed one by one they are 0.7
 * of their size, 512 together a fifth.
 *
 * Invariants:
 * 1. What becomes one block has neighbouring ids, none of them claimed, settled in part, or not what was written: each
 *    message keeps its id, its checksum and its row in `failures`.
 * 2. Nothing is deleted but what was put into the new block, and all of it: else the group is undone.
 * 3. A new block is kept only when it is smaller than what it stands for; from rows, always.
 */
#include "store/store_internal.h"

#include <inttypes.h>

#include "base/check.h"

enum {
	SMALL_STORED = 16384, /* a block whose body is as stored at most this is small */
	SMALL_COUNT = 128,    /* and has at most so many messages */
	WORTH_BLOCKS = 8,     /* fewer than this are left as they are when no more can follow them */
	LOOK_ROWS = 1024,     /* of blocks, in one step */
	LOOK_AGAIN = 64,      /* messages later: a run that may still grow */
	SKIP_RUNS = 15,       /* after one that did not become smaller */
};

/* Neighbours that may become one block. */
struct run {
	uint64_t first, last; /* messages */
	uint64_t last_block;  /* id of it; of rows: not used */
	uint32_t count, blocks;
	uint64_t bytes, stored_bytes;
};

static bool is_free(const struct store *s, uint64_t first, uint64_t last)
{
	for (uint64_t id = first; s->is_claimed && id <= last; id++)
		if (s->is_claimed(s->is_claimed_arg, id))
			return false;
	return true;
}

static bool continues(const struct run *r, uint64_t id, uint32_t count, uint64_t bytes)
{
	return r->count == 0 ||
	       (id == r->last + 1 && r->count + count <= BLOCK_MESSAGES && r->bytes + bytes <= BLOCK_BYTES);
}

static void add_to(struct run *r, uint64_t id, uint32_t count, uint64_t bytes, uint64_t stored_bytes)
{
	if (r->count == 0)
		r->first = id;
	r->last = id + count - 1;
	r->last_block = id;
	r->count += count;
	r->blocks++;
	r->bytes += bytes;
	r->stored_bytes += stored_bytes;
}

/* Of the group's fill: written as one block, small if it can be. */
static enum err put_block(struct store *s, const struct run *r, struct error *e)
{
	const bool waits = s->backlog_waits;
	enum err err;

	must(s->fill.count == r->count && s->fill.first == r->first);
	s->backlog_waits = true;
	err = store_block_flush(s, e);
	s->backlog_waits = waits;
	return err;
}

static enum err delete_run(struct store *s, enum store_statement id, uint64_t first, uint64_t last, uint32_t count,
                           struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);
	enum err err;

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, last);
	err = store_run(s, st, e, "delete what was joined");
	if (err == ERR_OK && (uint32_t)sqlite3_changes(s->db) != count)
		err =
		    error_set(e, ERR_DAMAGED, "%s: %" PRIu32 " rows from %" PRIu64 " on were read, %d could be deleted",
		              s->path, count, first, sqlite3_changes(s->db));
	return err;
}

/* It gets our tag on the way. */
static bool fill(struct store *s, struct store_row *row)
{
	if (sum_tag(row->checksum) != s->tag)
		row_renumber(row, row->id, s->tag);
	return block_add(&s->fill, row);
}

/* Fills from the walk; *ret_whole: all of the run, and all sound. */
static enum err fill_from(struct store *s, const struct run *r, bool from_rows, bool *ret_whole, struct error *e)
{
	struct block_walk w;
	struct block_message m;
	uint64_t next = r->first;
	int rc;

	walk_start(&w, store_statement(s, ST_READ), store_statement(s, ST_BLOCKS), s->block, r->first, r->last);
	while ((rc = walk_next(&w, &m)) == SQLITE_ROW) {
		if (m.row.id != next || m.in_block == from_rows || !m.is_sound || (m.in_block && !s->block->is_sound) ||
		    !fill(s, &m.row))
			break;
		next++;
	}
	walk_end(&w);
	*ret_whole = rc == SQLITE_DONE && next == r->last + 1;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read what is to be joined");
}

/* *ret_joined is false when it was not worth it, or cannot be: then nothing happened. */
static enum err join(struct store *s, const struct run *r, bool from_rows, bool *ret_joined, struct error *e)
{
	enum err err = store_begin(s, e);

	*ret_joined = false;
	if (err == ERR_OK)
		err = fill_from(s, r, from_rows, ret_joined, e);
	if (err == ERR_OK && *ret_joined)
		err = from_rows ? delete_run(s, ST_DELETE_RUN, r->first, r->last, r->count, e)
		                : delete_run(s, ST_BLOCKS_DELETE_RUN, r->first, r->last_block, r->blocks, e);
	if (err == ERR_OK && *ret_joined) {
		err = put_block(s, r, e);
		*ret_joined = from_rows || s->stored_block_bytes < r->stored_bytes - r->stored_bytes / 8;
	}
	if (err == ERR_OK && *ret_joined)
		err = store_commit(s, e);
	if (err != ERR_OK || !*ret_joined)
		store_rollback(s);
	block_forget(s->block);
	return err;
}

static bool is_small(const struct store *s, sqlite3_stmt *st)
{
	const uint64_t id = sql_column_u64(st, 0);
	const int64_t count = sqlite3_column_int64(st, 1), bytes = sqlite3_column_int64(st, 2);

	return count > 0 && count <= SMALL_COUNT && bytes >= 0 && bytes <= BLOCK_BYTES &&
	       sqlite3_column_int64(st, 3) <= SMALL_STORED && sqlite3_column_type(st, 4) == SQLITE_NULL &&
	       is_free(s, id, id + (uint64_t)count - 1);
}

/* The next run of small blocks at or above `at`; *ret_open: more may follow it. Its count is 0 when there is none. */
static enum err find_blocks(struct store *s, uint64_t *at, struct run *r, bool *ret_open, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCKS_SIZES);
	int rc = SQLITE_ROW;
	bool ended = false;

	*r = (struct run){0};
	sql_bind_u64(st, 1, *at);
	sql_bind_u64(st, 2, s->durable.next_id - 1);
	for (int looked = 0; looked < LOOK_ROWS && !ended && (rc = sqlite3_step(st)) == SQLITE_ROW; looked++) {
		const uint64_t id = sql_column_u64(st, 0), bytes = sql_column_u64(st, 2);
		const uint32_t count = block_count(sqlite3_column_int64(st, 1));
		const bool small = is_small(s, st);

		ended = r->count > 0 && !(small && continues(r, id, count, bytes));
		if (ended && r->blocks < WORTH_BLOCKS) {
			*r = (struct run){0};
			ended = false;
		}
		if (!ended && small)
			add_to(r, id, count, bytes, (uint64_t)sqlite3_column_int64(st, 3));
		if (!ended)
			*at = r->count > 0 ? r->first : id + count;
	}
	(void)sqlite3_reset(st);
	if (!ended && r->blocks < WORTH_BLOCKS)
		r->count = 0;
	*ret_open = rc == SQLITE_DONE;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for small blocks");
}

static enum err merge_blocks(struct store *s, uint64_t after_id, bool *ret_more, struct error *e)
{
	struct merging *g = &s->merging;
	struct run r;
	bool open, joined;
	enum err err;

	if (g->at <= after_id)
		g->at = after_id + 1;
	if (s->options.compress == STORE_COMPRESS_NEVER || s->durable.next_id < g->from_id ||
	    s->durable.next_id <= g->at + LOOK_AGAIN)
		return ERR_OK;
	err = find_blocks(s, &g->at, &r, &open, e);
	if (err != ERR_OK)
		return err;
	if (open) {
		g->from_id = s->durable.next_id + LOOK_AGAIN;
		return ERR_OK;
	}
	*ret_more = true;
	if (r.count == 0)
		return ERR_OK;
	if (g->skip > 0) {
		g->skip--;
	} else {
		err = join(s, &r, false, &joined, e);
		*ret_more = err == ERR_OK;
		if (err != ERR_OK) /* it is tried again when something comes */
			return err;
		g->skip = joined ? 0 : SKIP_RUNS;
	}
	g->at = r.last + 1;
	return ERR_OK;
}

/* Rows from `at` on that may become a block; a row that failed, is claimed or too large stays. */
static enum err find_rows(struct store *s, uint64_t *at, struct run *r, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SIZES);
	int rc = SQLITE_ROW;
	bool ended = false;

	*r = (struct run){0};
	sql_bind_u64(st, 1, *at);
	sql_bind_u64(st, 2, s->merging.last_row);
	for (int looked = 0; looked < LOOK_ROWS && !ended && (rc = sqlite3_step(st)) == SQLITE_ROW; looked++) {
		const uint64_t id = sql_column_u64(st, 0), bytes = sql_column_u64(st, 1);
		const bool fits =
		    bytes <= BLOCK_BYTES && sqlite3_column_type(st, 2) == SQLITE_NULL && is_free(s, id, id);

		ended = r->count > 0 && !(fits && continues(r, id, 1, bytes));
		if (!ended && fits)
			add_to(r, id, 1, bytes, bytes);
		if (!ended)
			*at = id + 1;
	}
	(void)sqlite3_reset(st);
	if (rc == SQLITE_DONE && r->count == 0)
		*at = s->merging.last_row + 1;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for single rows");
}

/* A row inside the span of a block left it: it stays alone. The run ends before the first block that has its ids. */
static enum err stay_clear_of_blocks(struct store *s, struct run *r, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCK_SPANS);
	uint64_t block = 0;
	int rc;

	sql_bind_u64(st, 1, r->first);
	sql_bind_u64(st, 2, r->last);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		block = sql_column_u64(st, 0);
	(void)sqlite3_reset(st);
	if (rc == SQLITE_ROW && block <= r->first)
		r->count = 0;
	else if (rc == SQLITE_ROW) {
		r->last = block - 1;
		r->count = (uint32_t)(r->last - r->first + 1);
	}
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for blocks");
}

static enum err bring_rows(struct store *s, uint64_t after_id, bool *ret_more, struct error *e)
{
	struct merging *g = &s->merging;
	uint64_t at = g->row_at <= after_id ? after_id + 1 : g->row_at;
	struct run r;
	bool joined;
	enum err err = find_rows(s, &at, &r, e);

	if (err == ERR_OK && r.count > 0)
		err = stay_clear_of_blocks(s, &r, e);
	if (err == ERR_OK && r.count > 0)
		err = join(s, &r, true, &joined, e);
	if (err != ERR_OK)
		return err;
	g->row_at = at;
	if (at > g->last_row)
		g->last_row = 0;
	*ret_more = true;
	return ERR_OK;
}

enum err store_merge(struct store *s, uint64_t after_id, bool *ret_more, struct error *e)
{
	must(!s->in_group);
	*ret_more = false;
	if (s->full_disk || s->disk_refused || s->files_lost)
		return ERR_OK;
	return s->merging.last_row > 0 ? bring_rows(s, after_id, ret_more, e) : merge_blocks(s, after_id, ret_more, e);
}

int store_merge_percent(const struct store *s)
{
	const struct merging *g = &s->merging;
	const uint64_t all = g->last_row - g->first_row + 1;

	if (g->last_row == 0)
		return 100;
	return g->row_at <= g->first_row ? 0 : (int)((double)(g->row_at - g->first_row) * 100 / (double)all);
}

/* A few rows that stay alone, long ones and such as wait for another try, are no rows of an older kspool. */
static enum err pass_those_that_stay(struct store *s, struct error *e)
{
	struct merging *g = &s->merging;
	struct run r;
	enum err err = g->last_row > 0 ? find_rows(s, &g->row_at, &r, e) : ERR_OK;

	if (err == ERR_OK && g->last_row > 0 && r.count == 0 && g->row_at > g->last_row)
		*g = (struct merging){0};
	else
		g->row_at = g->first_row;
	return err;
}

enum err store_merge_begin(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SPAN);
	int rc = sqlite3_step(st);

	s->merging = (struct merging){0};
	if (rc == SQLITE_ROW) {
		s->merging.first_row = s->merging.row_at = sql_column_u64(st, 0);
		s->merging.last_row = sql_column_u64(st, 1);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? pass_those_that_stay(s, e) : store_fail(s, rc, e, "look for single rows");
}
