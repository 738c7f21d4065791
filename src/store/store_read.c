/*
 * Reading pending rows in order, and failed rows as they come due. A row with a wrong checksum is set aside; rows out
 * of order are damage of the tree, of which nothing more is believed.
 *
 * Invariants:
 * 1. What is handed out ascends; a message that failed is handed out when it is due, and only then.
 * 2. A block that is not sound is never handed out: it is taken apart first, in a transaction of its own.
 * 3. What was put into the caller's list is sound.
 */
#include "store/store_internal.h"

#include <inttypes.h>

#include "base/clock.h"

struct damaged_ids {
	uint64_t ids[DAMAGED_PER_READ];
	size_t count;
};

struct reading {
	const struct store *store;
	struct message_list *list;
	uint32_t max_rows;
	uint64_t max_bytes;
	uint32_t rows;
	uint64_t bytes;
	struct damaged_ids damaged;
	struct damaged_ids orphans; /* of `failures`: no message has that id */
	bool failed_among;
	uint64_t next_failed; /* the first failed id at or above the last that was asked for */
};

/* The first row is taken whatever its size. */
static bool has_room(const struct reading *r, uint64_t cost)
{
	return r->rows < r->max_rows && (r->rows == 0 || r->bytes + cost <= r->max_bytes);
}

/* False: the limits are reached and the message was not taken. */
static bool take_message(struct reading *r, const struct store_row *row, bool is_sound, uint32_t attempts)
{
	const uint64_t cost = sizeof(struct message) + row->meta_bytes + row->body_bytes;
	struct message *m;

	if (!has_room(r, cost) || r->damaged.count == DAMAGED_PER_READ)
		return false;
	if (!is_sound) {
		r->damaged.ids[r->damaged.count++] = row->id;
		return true;
	}
	m = row_message(row);
	m->attempts = attempts;
	m->accepted_ms = clock_mono_ms() - store_clock_age_ms(r->store, row->id, row->received_ms);
	STAILQ_INSERT_TAIL(r->list, m, link);
	r->rows++;
	r->bytes += cost;
	return true;
}

/* A page of an earlier time brings back what had left, and hides as many: all is counted before any of it leaves. */
static void look_for_left(struct store *s, const struct message_list *list)
{
	const struct message *m;
	uint64_t first = UINT64_MAX, last = 0;

	STAILQ_FOREACH (m, list, link) {
		first = store_least(first, m->id);
		last = store_most(last, m->id);
	}
	if (last == 0 || left_count(s->left, first, last) == 0)
		return;
	STAILQ_FOREACH (m, list, link)
		s->came_again |= left_has(s->left, m->id);
	s->mend_is_due |= s->came_again;
}

static enum err move_all(struct store *s, const uint64_t *ids, size_t count, bool may_be_gone, struct error *e)
{
	enum err err;

	if (count == 0)
		return ERR_OK;
	err = store_begin(s, e);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		const struct store_settlement item = {.id = ids[i], .kind = SETTLE_DAMAGED, .may_be_gone = may_be_gone};

		err = store_settle(s, &item, 1, e);
	}
	return err == ERR_OK ? store_commit(s, e) : err;
}

enum err store_move_damaged(struct store *s, const uint64_t *ids, size_t count, struct error *e)
{
	return move_all(s, ids, count, false, e);
}

/* A full disk: the bad rows stay and are met again at the next start. */
static enum err put_away(struct store *s, const struct reading *r, struct error *e)
{
	enum err err = store_move_damaged(s, r->damaged.ids, r->damaged.count, e);

	if (err == ERR_OK)
		err = move_all(s, r->orphans.ids, r->orphans.count, true, e);
	return err == ERR_FULL ? ERR_OK : err;
}

/* One message of the block: alone, or damaged. */
static enum err dissolve_message(struct store *s, uint64_t id, int64_t now_ms, uint64_t *lost, struct error *e)
{
	const struct store_row *found = block_row(s->block, id), *row = found ? found : &(struct store_row){.id = id};
	const bool is_sound = found && row_is_sound(found, s->tag);
	sqlite3_stmt *st = store_statement(s, is_sound ? ST_SALVAGE_MESSAGE : ST_DAMAGED_INSERT);

	row_put(st, 1, row);
	if (is_sound) {
		store_stands_from(&s->now.rows_from, id);
	} else {
		(void)sqlite3_bind_int64(st, 6, now_ms);
		store_lose(s, LOSS_BYTES, 1, id, id);
		++*lost;
	}
	return store_run(s, st, e, "take a damaged block apart");
}

/*
 * Of a block that lies about its count no more is believed than fits before the next; of the last one no more than was
 * ever given out, but for messages that prove themselves.
 */
static enum err bound_count(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCK_BEHIND);
	struct stored_block *b = s->block;
	bool is_last;
	uint64_t end = store_most(s->now.next_id, b->id);
	int rc;

	sql_bind_u64(st, 1, b->id);
	rc = sqlite3_step(st);
	is_last = rc == SQLITE_ROW && sqlite3_column_type(st, 0) == SQLITE_NULL;
	if (rc == SQLITE_ROW && !is_last)
		end = sql_column_u64(st, 0);
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW)
		return store_fail(s, rc, e, "look for the next block");
	for (uint64_t id = end; is_last && id - b->id < b->framed; id++)
		if (row_is_sound(&b->rows[id - b->id], s->tag))
			end = id + 1;
	if (is_last && b->framed == 0 && s->durable.next_id == 0) /* no ledger says it, and the block itself is all */
		end = store_most(end, b->id + b->count);
	s->now.next_id = store_most(s->now.next_id, end);
	b->count = (uint32_t)store_least(b->count, end - b->id);
	return ERR_OK;
}

/* The block that was read last. */
static enum err dissolve(struct store *s, struct error *e)
{
	const struct stored_block *b = s->block;
	const int64_t now_ms = clock_wall_ms();
	struct block_mark *mark;
	uint64_t lost = 0;
	enum err err = bound_count(s, e);

	if (err == ERR_OK)
		err = store_marks_get(s, b->id, b->count, &mark, e);
	for (uint64_t id = b->id; id < b->id + b->count && err == ERR_OK; id++)
		if (!block_bit(mark, id))
			err = dissolve_message(s, id, now_ms, &lost, e);
	if (err != ERR_OK)
		return err;
	mark->settled = mark->count;
	mark->is_dirty = true;
	store_count_out(s, &s->now.ledger.pending, lost);
	s->now.ledger.damaged += lost;
	s->recount = true;
	return ERR_OK;
}

enum err store_dissolve_block(struct store *s, struct error *e)
{
	enum err err = store_no_fault(s->path, e);

	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = dissolve(s, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	block_forget(s->block);
	return err;
}

enum err store_dissolve_all(struct store *s, struct error *e)
{
	uint64_t from = 0;
	enum err err = ERR_OK;

	while (err == ERR_OK) {
		sqlite3_stmt *st = store_statement(s, ST_BLOCK_FROM);
		int rc;

		sql_bind_u64(st, 1, from);
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW)
			block_read(s->block, st);
		(void)sqlite3_reset(st);
		if (rc == SQLITE_DONE)
			break;
		if (rc != SQLITE_ROW)
			return store_fail(s, rc, e, "read what waits");
		from = s->block->id + 1;
		if (!s->block->is_sound)
			err = dissolve(s, e);
	}
	return err == ERR_OK ? store_marks_flush(s, e) : err;
}

/* A message in a block that failed is read when it is due. */
static enum err is_failed(struct store *s, struct reading *r, uint64_t id, bool *ret, struct error *e)
{
	*ret = false;
	if (!r->failed_among)
		return ERR_OK;
	if (id > r->next_failed) {
		sqlite3_stmt *st = store_statement(s, ST_FAILURES_FROM);
		int rc;

		sql_bind_u64(st, 1, id);
		rc = sqlite3_step(st);
		r->next_failed = rc == SQLITE_ROW ? sql_column_u64(st, 0) : UINT64_MAX;
		(void)sqlite3_reset(st);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return store_fail(s, rc, e, "look for failed messages");
	}
	*ret = id == r->next_failed;
	return ERR_OK;
}

/* Reads on from first; *ret_broken: a block stands in the way that is not what was written. */
static enum err read_on(struct store *s, struct reading *r, uint64_t first, uint64_t last, uint64_t *ret_last,
                        bool *ret_broken, struct error *e)
{
	struct block_walk w;
	struct block_message m;
	enum err err = ERR_OK;
	int rc;

	*ret_broken = false;
	walk_start(&w, store_statement(s, r->failed_among ? ST_READ_FRESH : ST_READ), store_statement(s, ST_BLOCKS),
	           s->block, first, last);
	while ((rc = walk_next(&w, &m)) == SQLITE_ROW) {
		bool skip = false;

		*ret_broken = m.in_block && !s->block->is_sound;
		if (*ret_broken)
			break;
		if (m.row.id <= *ret_last || m.row.id > last)
			err = error_set(e, ERR_DAMAGED, "%s: message %" PRIu64 " stands behind message %" PRIu64,
			                s->path, m.row.id, *ret_last);
		else if (m.in_block)
			err = is_failed(s, r, m.row.id, &skip, e);
		if (err != ERR_OK || (!skip && !take_message(r, &m.row, m.is_sound, 0)))
			break;
		*ret_last = m.row.id;
	}
	if (err == ERR_OK && rc == SQLITE_DONE)
		*ret_last = last;
	else if (err == ERR_OK && rc != SQLITE_ROW)
		err = store_fail(s, rc, e, "read");
	s->mend_is_due |= w.lost_mark;
	walk_end(&w);
	return err;
}

enum err store_read_range(struct store *s, uint64_t first, uint64_t last, uint32_t max_rows, uint64_t max_bytes,
                          struct message_list *list, uint32_t *ret_count, uint64_t *ret_last, struct error *e)
{
	struct reading r = {.store = s, .list = list, .max_rows = max_rows, .max_bytes = max_bytes};
	bool broken = true;
	enum err err = ERR_OK;

	*ret_last = first - 1;
	r.failed_among = s->durable.retrying > 0 && first <= s->failures_max_id;
	while (err == ERR_OK && broken && r.rows == 0) {
		err = read_on(s, &r, *ret_last + 1, last, ret_last, &broken, e);
		if (err == ERR_OK && broken) {
			const uint64_t block_last = s->block->id + s->block->count - 1;

			err = store_dissolve_block(s, e);
			if (err == ERR_FULL) /* it stays as it is, and is met again at the next start */
				*ret_last = store_least(block_last, last);
		}
	}
	*ret_count = r.rows;
	look_for_left(s, list);
	return err == ERR_OK || err == ERR_FULL ? put_away(s, &r, e) : err;
}

enum err store_read(struct store *s, uint64_t after_id, uint32_t max_rows, uint64_t max_bytes,
                    struct message_list *list, uint32_t *ret_count, uint64_t *ret_last, struct error *e)
{
	return store_read_range(s, after_id + 1, s->durable.next_id > after_id ? s->durable.next_id - 1 : after_id,
	                        max_rows, max_bytes, list, ret_count, ret_last, e);
}

/* One failed row by its id. *ret_taken is false when the limits are reached. One without its message is cleared away.
 */
static enum err take_failed(struct store *s, struct reading *r, uint64_t id, uint32_t attempts, bool *ret_taken,
                            struct error *e)
{
	struct pending p;
	enum err err = store_find(s, id, &p, e);

	*ret_taken = false;
	if (err == ERR_OK && p.is_there)
		*ret_taken = take_message(r, &p.row, p.is_sound, attempts);
	else if (err == ERR_OK && r->orphans.count < DAMAGED_PER_READ) {
		r->orphans.ids[r->orphans.count++] = id;
		*ret_taken = true;
	}
	(void)store_statement(s, ST_READ);
	return err;
}

enum err store_read_due(struct store *s, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes,
                        bool (*is_claimed)(void *arg, uint64_t id), void *arg, struct message_list *list,
                        uint32_t *ret_count, struct error *e)
{
	struct reading r = {.store = s, .list = list, .max_rows = max_rows, .max_bytes = max_bytes};
	const int64_t due_ms = s->due_ms;
	const uint64_t due_id = s->due_id;
	enum err err = ERR_OK;
	bool taken = true;
	int rc = SQLITE_DONE;

	*ret_count = 0;
	if (s->durable.retrying == 0)
		return ERR_OK;
	while (taken && err == ERR_OK) {
		sqlite3_stmt *st = store_statement(s, ST_FAILURES_DUE);
		int64_t next_ms;
		uint64_t id;
		uint32_t attempts;
		bool is_sound;

		(void)sqlite3_bind_int64(st, 1, now_ms);
		(void)sqlite3_bind_int64(st, 2, s->due_ms);
		sql_bind_u64(st, 3, s->due_id);
		rc = sqlite3_step(st);
		id = sql_column_u64(st, 0);
		attempts = (uint32_t)sqlite3_column_int64(st, 1);
		next_ms = sqlite3_column_int64(st, 2);
		is_sound = sqlite3_column_int(st, 3) != 0;
		(void)sqlite3_reset(st);
		s->mend_is_due |= rc == SQLITE_ROW && !is_sound;
		if (rc != SQLITE_ROW || !is_sound)
			break;
		if (!is_claimed || !is_claimed(arg, id))
			err = take_failed(s, &r, id, attempts, &taken, e);
		if (taken) {
			s->due_ms = next_ms;
			s->due_id = id;
		}
	}
	if (err == ERR_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
		err = store_fail(s, rc, e, "read failed rows");
	*ret_count = r.rows;
	look_for_left(s, list);
	if (err == ERR_OK)
		err = put_away(s, &r, e);
	if (err != ERR_OK) { /* the caller drops what was read: it is due still */
		s->due_ms = due_ms;
		s->due_id = due_id;
	}
	return err;
}
