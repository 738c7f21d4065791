/*
 * Settlements: what became of messages that delivery had. Runs of neighbouring ids leave together, and a block of which
 * nothing stays leaves with its neighbours.
 *
 * Invariants:
 * 1. No block is being filled while something is settled: every pending id is in `messages` or in a block's span.
 * 2. A message leaves a block by its bit; one whose bit is set already may stand alone in `messages`.
 * 3. What goes to the shelf has left its block, or its row, before it is written anew, in the same group: what it
 * leaves is the room that it takes.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"

enum { MOVE_OUT_ATTEMPTS = 2, MOVE_OUT_WAIT_MS = 1000 };

static uint64_t *counter_of(struct store *s, enum settle_kind kind)
{
	switch (kind) {
#define LEDGER_END(id, column, meaning) \
	case SETTLE_##id:               \
		return &s->now.ledger.column;
#include "base/ledger.def"
	case SETTLE_RETRY:
	case SETTLE_RELEASE:
	case SETTLE_FETCH:
		break;
	}
	never("this settlement moves no count");
}

static sqlite3_stmt *bind_run(struct store *s, enum store_statement id, uint64_t first, uint64_t last)
{
	sqlite3_stmt *st = store_statement(s, id);

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, last);
	return st;
}

static enum err size_of_run(struct store *s, uint64_t first, uint64_t last, uint64_t *ret_bytes, struct error *e)
{
	sqlite3_stmt *st = bind_run(s, ST_SIZE_RUN, first, last);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		*ret_bytes = sql_column_u64(st, 1);
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "measure rows");
}

/*
 * Rows that were read, and cannot be found: the tree leads elsewhere than the walk along its leaves did. To go on would
 * be to read and to send them again, for ever.
 */
static enum err impossible(struct store *s, uint64_t first, uint64_t last, uint64_t missing, struct error *e)
{
	store_rollback(s);
	return error_set(e, ERR_DAMAGED,
	                 "%s: messages %" PRIu64 " to %" PRIu64 " were read, and %" PRIu64
	                 " of them are not where they must be",
	                 s->path, first, last, missing);
}

/* A run of settlements, and what of it has left. */
struct leaving {
	const struct store_settlement *items;
	uint64_t first, last;
	uint64_t gone, bytes;
};

/* What the messages a to b weigh; false when the settlements do not know. */
static bool weight_of(const struct leaving *l, uint64_t a, uint64_t b, uint64_t *ret)
{
	bool known = true;

	*ret = 0;
	for (uint64_t id = a; id <= b; id++) {
		*ret += l->items[id - l->first].bytes;
		known &= l->items[id - l->first].bytes > 0;
	}
	return known;
}

/* Those that stand alone. */
static enum err leave_rows(struct store *s, struct leaving *l, uint64_t a, uint64_t b, struct error *e)
{
	uint64_t bytes, gone;
	enum err err = ERR_OK;

	if (!weight_of(l, a, b, &bytes))
		err = size_of_run(s, a, b, &bytes, e);
	if (err == ERR_OK)
		err = store_run(s, bind_run(s, ST_DELETE_RUN, a, b), e, "delete");
	if (err != ERR_OK)
		return err;
	gone = (uint64_t)sqlite3_changes(s->db);
	s->recount |= gone != b - a + 1;
	l->gone += gone;
	l->bytes += bytes;
	return ERR_OK;
}

struct span {
	uint64_t first, last; /* ids of the block */
	uint64_t bytes;
	bool is_whole; /* nothing of it has left */
};
enum { SPANS = 64 };

static enum err read_spans(struct store *s, uint64_t a, uint64_t b, struct span *spans, size_t *ret_count,
                           struct error *e)
{
	sqlite3_stmt *st = bind_run(s, ST_BLOCK_SPANS, a, b);
	size_t n = 0;
	int rc = SQLITE_DONE;

	while (n < SPANS && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const uint64_t id = sql_column_u64(st, 0);
		const uint32_t count = block_count(sqlite3_column_int64(st, 1));

		if (n > 0 && id <= spans[n - 1].last) { /* two blocks with one id */
			(void)sqlite3_reset(st);
			return impossible(s, id, spans[n - 1].last, 1, e);
		}
		spans[n++] = (struct span){
		    .first = id,
		    .last = id + count - 1,
		    .bytes = sql_column_u64(st, 2),
		    .is_whole = sqlite3_column_type(st, 3) == SQLITE_NULL && !store_marks_has(s, id),
		};
	}
	(void)sqlite3_reset(st);
	*ret_count = n;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for blocks");
}

/* Neighbouring blocks leave whole with one statement. */
static enum err leave_blocks(struct store *s, struct leaving *l, const struct span *spans, size_t count,
                             struct error *e)
{
	const uint64_t last = spans[count - 1].last;
	enum err err =
	    store_run(s, bind_run(s, ST_BLOCKS_DELETE_RUN, spans[0].first, spans[count - 1].first), e, "delete blocks");

	if (err != ERR_OK)
		return err;
	if ((size_t)sqlite3_changes(s->db) != count)
		return impossible(s, spans[0].first, last, last - spans[0].first + 1, e);
	for (size_t i = 0; i < count; i++) {
		uint64_t bytes;

		l->gone += spans[i].last - spans[i].first + 1;
		l->bytes += weight_of(l, spans[i].first, spans[i].last, &bytes) ? bytes : spans[i].bytes;
	}
	return ERR_OK;
}

static enum err load_block(struct store *s, uint64_t id, bool *ret_there, struct error *e)
{
	sqlite3_stmt *st = bind_run(s, ST_BLOCKS, id, id);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		block_read(s->block, st);
	(void)sqlite3_reset(st);
	*ret_there = rc == SQLITE_ROW && id >= s->block->id && id - s->block->id < s->block->count;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a block");
}

static uint64_t bytes_in_block(const struct stored_block *b, uint64_t id)
{
	const uint64_t i = id - b->id;

	return i < b->framed ? b->rows[i].meta_bytes + b->rows[i].body_bytes : 0;
}

/* a to b are in the block. */
static enum err leave_block(struct store *s, struct leaving *l, const struct span *span, uint64_t a, uint64_t b,
                            struct error *e)
{
	struct block_mark *mark;
	uint64_t bytes;
	bool there = false, known = weight_of(l, a, b, &bytes);
	enum err err = known ? ERR_OK : load_block(s, a, &there, e);

	if (err == ERR_OK)
		err = store_marks_get(s, span->first, (uint32_t)(span->last - span->first + 1), &mark, e);
	for (uint64_t id = a; id <= b && err == ERR_OK; id++) {
		if (block_bit(mark, id)) {
			err = leave_rows(s, l, id, id, e);
			continue;
		}
		bytes = l->items[id - l->first].bytes;
		if (bytes == 0 && there)
			bytes = bytes_in_block(s->block, id);
		mark_set(mark, id, bytes);
		l->gone++;
		l->bytes += bytes;
	}
	return err;
}

/* The spans lie at or above `*at`, which moves behind what left. */
static enum err leave_spans(struct store *s, struct leaving *l, const struct span *spans, size_t count, uint64_t *at,
                            struct error *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0, n; i < count && err == ERR_OK; i += n) {
		const struct span *span = &spans[i];
		const uint64_t last = store_least(span->last, l->last);

		n = 1;
		if (span->first > *at)
			err = leave_rows(s, l, *at, span->first - 1, e);
		if (err != ERR_OK)
			break;
		*at = store_most(*at, span->first);
		if (span->is_whole && span->first == *at && span->last == last) {
			while (i + n < count && spans[i + n].is_whole &&
			       spans[i + n].first == spans[i + n - 1].last + 1 && spans[i + n].last <= l->last)
				n++;
			err = leave_blocks(s, l, span, n, e);
			*at = spans[i + n - 1].last + 1;
		} else {
			err = leave_block(s, l, span, *at, last, e);
			*at = last + 1;
		}
	}
	return err;
}

/* Takes the messages of the run out of messages, blocks and failures. */
static enum err leave(struct store *s, struct leaving *l, struct error *e)
{
	uint64_t at = l->first;
	enum err err = ERR_OK;

	FAILPOINT("before_delete");
	s->left_low |= s->now.blocks_from == 0 || l->first < s->now.blocks_from + BLOCK_MESSAGES ||
	               (l->first <= s->now.rows_from && s->now.rows_from <= l->last);
	while (err == ERR_OK && at <= l->last) {
		struct span spans[SPANS];
		size_t count = 0;

		err = read_spans(s, at, l->last, spans, &count, e);
		if (err == ERR_OK)
			err = leave_spans(s, l, spans, count, &at, e);
		if (err == ERR_OK && count < SPANS && at <= l->last) {
			err = leave_rows(s, l, at, l->last, e);
			at = l->last + 1;
		}
	}
	if (err != ERR_OK || s->now.retrying == 0 || l->first > s->failures_max_id)
		return err;
	err = store_run(s, bind_run(s, ST_FAILURES_DELETE_RUN, l->first, l->last), e, "delete failures");
	if (err == ERR_OK)
		s->now.retrying -= (uint64_t)sqlite3_changes(s->db);
	return err;
}

/* items[0..count) have neighbouring ids and leave for the same reason. */
static enum err settle_run(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	struct leaving l = {.items = items, .first = items[0].id, .last = items[count - 1].id};
	enum err err = leave(s, &l, e);

	if (err != ERR_OK)
		return err;
	if (l.gone != count && !items[0].may_be_gone)
		return impossible(s, l.first, l.last, count - l.gone, e);
	if (l.gone == count && items[0].kind != SETTLE_DEAD && items[0].kind != SETTLE_DAMAGED)
		left_note(s->left, l.first, l.last);
	s->unexpected_settlements += count - l.gone;
	store_count_out(s, &s->now.ledger.pending, l.gone);
	*counter_of(s, items[0].kind) += l.gone;
	s->now.pending_bytes = store_beyond(s->now.pending_bytes, l.bytes);
	return ERR_OK;
}

enum err store_find(struct store *s, uint64_t id, struct pending *ret, struct error *e)
{
	sqlite3_stmt *st;
	bool in_span = false;
	int rc;
	enum err err = load_block(s, id, &in_span, e);

	*ret = (struct pending){0};
	if (err == ERR_OK && in_span)
		err = store_marks_get(s, s->block->id, s->block->count, &ret->mark, e);
	if (err != ERR_OK)
		return err;
	if (ret->mark && !block_bit(ret->mark, id)) {
		const struct store_row *found = block_row(s->block, id);

		ret->is_there = true;
		ret->row = found ? *found : (struct store_row){.id = id};
		ret->is_sound = found && row_is_sound(found, s->tag);
		return ERR_OK;
	}
	ret->mark = NULL;
	st = bind_run(s, ST_READ, id, id);
	rc = sqlite3_step(st);
	ret->is_there = rc == SQLITE_ROW;
	if (ret->is_there) {
		ret->row = row_read(st);
		ret->is_sound = row_is_sound(&ret->row, s->tag);
	}
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a message");
}

enum err store_is_pending(struct store *s, uint64_t id, bool *ret, struct error *e)
{
	struct pending p;
	enum err err = store_find(s, id, &p, e);

	*ret = err == ERR_OK && p.is_there;
	(void)store_statement(s, ST_READ);
	store_forget_group(s);
	return err;
}

static enum err put_on_shelf(struct store *s, const struct store_settlement *item, const struct store_row *row,
                             struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_DEAD_INSERT);

	row_put(st, 1, row);
	(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 7, item->attempts);
	row_bind_text(st, 8, item->code);
	row_bind_text(st, 9, item->reason);
	return store_run(s, st, e, "set aside");
}

/* Its bytes are SQLite's, and go with its row. */
static enum err shelve_alone(struct store *s, const struct store_settlement *item, const struct store_row *found,
                             struct error *e)
{
	struct store_row row = *found;
	AUTOFREE char *bytes = mem_alloc(row.meta_bytes + row.body_bytes + 1);
	enum err err;

	if (row.meta)
		row.meta = memcpy(bytes, row.meta, row.meta_bytes);
	if (row.body)
		row.body = memcpy(bytes + row.meta_bytes, row.body, row.body_bytes);
	(void)store_statement(s, ST_READ);
	err = settle_run(s, item, 1, e);
	return err == ERR_OK ? put_on_shelf(s, item, &row, e) : err;
}

/* How many of items[0..count) stand in the block that is read, and go to the shelf. */
static size_t length_in_block(const struct store *s, const struct store_settlement *items, size_t count,
                              struct block_mark *mark)
{
	const struct stored_block *b = s->block;
	size_t n = 1;

	while (n < count && items[n].kind == SETTLE_DEAD && items[n].id > items[n - 1].id &&
	       items[n].id - b->id < b->count && !items[n].may_be_gone && !block_bit(mark, items[n].id))
		n++;
	return n;
}

/* The block keeps what it showed when its row is gone. */
static enum err shelve_of_block(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = settle_run(s, &items[i], 1, e);
	if (err == ERR_OK)
		err = store_marks_flush(s, e);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		const struct store_row *found = block_row(s->block, items[i].id);

		err = put_on_shelf(s, &items[i], found ? found : &(struct store_row){.id = items[i].id}, e);
	}
	return err;
}

/* items[0], of kind DEAD, and those of its block that follow it. */
static enum err shelve(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_count,
                       struct error *e)
{
	struct pending p;
	enum err err = store_find(s, items[0].id, &p, e);

	*ret_count = 1;
	if (err != ERR_OK)
		return err;
	if (!p.is_there)
		return settle_run(s, items, 1, e);
	if (!p.mark)
		return shelve_alone(s, items, &p.row, e);
	*ret_count = length_in_block(s, items, count, p.mark);
	return shelve_of_block(s, items, *ret_count, e);
}

/* Kept as found, and never delivered. */
static enum err settle_damaged(struct store *s, const struct store_settlement *item, struct error *e)
{
	const uint64_t before = s->now.ledger.damaged;
	struct pending p;
	sqlite3_stmt *st;
	enum err err = store_find(s, item->id, &p, e);

	if (err != ERR_OK)
		return err;
	(void)store_statement(s, ST_READ);
	if (!s->left_is_behind && left_has(s->left, item->id)) /* nothing is lost with it */
		return settle_run(s,
		                  &(struct store_settlement){
		                      .id = item->id, .kind = SETTLE_DELIVERED, .may_be_gone = item->may_be_gone},
		                  1, e);
	st = store_statement(s, p.mark ? ST_DAMAGED_INSERT : ST_TO_DAMAGED); /* a row's columns may hold anything */
	if (p.mark) {
		row_put(st, 1, &p.row);
		(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	} else {
		sql_bind_u64(st, 1, item->id);
		(void)sqlite3_bind_int64(st, 2, clock_wall_ms());
	}
	err = store_run(s, st, e, "set a damaged row aside");
	if (err == ERR_OK)
		err = settle_run(s, item, 1, e);
	if (err == ERR_OK)
		store_lose(s, LOSS_BYTES, s->now.ledger.damaged - before, item->id, item->id);
	s->recount = true; /* its length is as untrustworthy as its bytes */
	return err;
}

/* Out of its block, so that it does not keep a megabyte while it waits; where room is short it would take more. */
static enum err move_out(struct store *s, const struct pending *p, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_MESSAGE);
	enum err err;

	row_put(st, 1, &p->row);
	store_stands_from(&s->now.rows_from, p->row.id);
	err = store_run(s, st, e, "move a message out of its block");
	if (err == ERR_OK)
		mark_set(p->mark, p->row.id, p->row.meta_bytes + p->row.body_bytes);
	return err;
}

static enum err note_failure(struct store *s, const struct store_settlement *item, int64_t next_ms, struct error *e)
{
	static const enum store_statement ways[] = {ST_FAILURE_UPDATE, ST_FAILURE_INSERT};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		sqlite3_stmt *st = store_statement(s, ways[i]);
		enum err err;

		sql_bind_u64(st, 1, item->id);
		(void)sqlite3_bind_int64(st, 2, item->attempts);
		(void)sqlite3_bind_int64(st, 3, next_ms);
		if (ways[i] == ST_FAILURE_INSERT)
			(void)sqlite3_bind_int64(st, 4, clock_wall_ms());
		row_bind_text(st, 5, item->code);
		row_bind_text(st, 6, item->reason);
		err = store_run(s, st, e, "note a failure");
		if (err != ERR_OK)
			return err;
		if (sqlite3_changes(s->db) == 0)
			continue;
		s->now.retrying += ways[i] == ST_FAILURE_INSERT;
		break;
	}
	return ERR_OK;
}

static enum err settle_retry(struct store *s, const struct store_settlement *item, int64_t now_ms, struct error *e)
{
	struct pending p;
	const int64_t wait_ms =
	    item->wait_ms < 0 ? 0 : (int64_t)store_least((uint64_t)item->wait_ms, MAX_RETRY_WAIT_MS);
	const int64_t next_ms = now_ms + wait_ms;
	enum err err = store_find(s, item->id, &p, e);

	if (err != ERR_OK)
		return err;
	if (!p.is_there) {
		if (!item->may_be_gone && !item->is_note)
			return impossible(s, item->id, item->id, 1, e);
		s->unexpected_settlements++;
		return ERR_OK;
	}
	if (p.mark && p.is_sound && (item->attempts >= MOVE_OUT_ATTEMPTS || wait_ms > MOVE_OUT_WAIT_MS) &&
	    !s->full_disk && !s->disk_refused)
		err = move_out(s, &p, e);
	(void)store_statement(s, ST_READ);
	if (err == ERR_OK)
		err = note_failure(s, item, next_ms, e);
	if (err != ERR_OK)
		return err;
	s->failures_max_id = store_most(s->failures_max_id, item->id);
	s->clock_is_due = true;
	if (next_ms <= s->due_ms) { /* due before the place the reader has reached */
		s->due_ms = next_ms;
		s->due_id = 0; /* no message has it */
	}
	return ERR_OK;
}

/* How many of items[0..count) are neighbours that leave for the same reason. What may be gone goes alone: PATH.left
 * must know which of them left. */
static size_t length_of_run(const struct store_settlement *items, size_t count)
{
	size_t n = 1;

	while (n < count && items[n].kind == items[0].kind && !items[0].may_be_gone && !items[n].may_be_gone &&
	       items[n].id == items[0].id + n)
		n++;
	return n;
}

enum err store_settle(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	const int64_t now_ms =
	    store_clock_ms(s); /* one for all: what failed together is due together, in the order of ids */
	enum err err;

	must(s->in_group);
	err = store_block_flush(s, e);
	for (size_t i = 0, n; i < count && err == ERR_OK; i += n) {
		n = 1;
		if (items[i].kind == SETTLE_RETRY) {
			err = settle_retry(s, &items[i], now_ms, e);
		} else if (items[i].kind == SETTLE_DEAD) {
			err = shelve(s, &items[i], count - i, &n, e);
		} else if (items[i].kind == SETTLE_DAMAGED) {
			err = settle_damaged(s, &items[i], e);
		} else {
			n = length_of_run(&items[i], count - i);
			err = settle_run(s, &items[i], n, e);
		}
	}
	return err;
}

struct store_settlements *store_settlements_new(uint32_t capacity)
{
	struct store_settlements *s = mem_zero(sizeof *s + capacity * sizeof *s->items);

	s->capacity = capacity;
	return s;
}

struct store_settlements *store_settlements_add(struct store_settlements *s, const struct store_settlement *item)
{
	if (!s || s->count == s->capacity) {
		const uint32_t count = s ? s->count : 0, capacity = (count + 1) * 2;

		s = mem_resize(s, sizeof *s + capacity * sizeof *s->items);
		s->count = count;
		s->capacity = capacity;
	}
	s->items[s->count++] = *item;
	return s;
}

void store_settlements_free(struct store_settlements *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		free(s->items[i].reason);
	free(s);
}
