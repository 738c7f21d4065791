/*
 * Reading pending rows in order, and failed rows as they come due. A row with a wrong checksum is set aside; rows out
 * of order are damage of the tree, of which nothing more is believed.
 */
#include "store/store_internal.h"

#include <inttypes.h>

struct damaged_ids {
	uint64_t ids[DAMAGED_PER_READ];
	size_t count;
};

struct reading {
	struct message_list *list;
	uint32_t max_rows;
	uint64_t max_bytes;
	uint32_t rows;
	uint64_t bytes;
	struct damaged_ids damaged;
	struct damaged_ids orphans; /* of `failures`: no message has that id */
};

/* The first row is taken whatever its size. */
static bool has_room(const struct reading *r, uint64_t cost)
{
	return r->rows < r->max_rows && (r->rows == 0 || r->bytes + cost <= r->max_bytes);
}

/* False: the limits are reached and the row was not taken. */
static bool take_row(struct reading *r, sqlite3_stmt *st, uint32_t attempts)
{
	const struct store_row row = store_row_read(st);
	const uint64_t cost = sizeof(struct message) + row.meta_bytes + row.body_bytes;
	struct message *m;

	if (!has_room(r, cost) || r->damaged.count == DAMAGED_PER_READ)
		return false;
	if (!store_row_is_sound(&row)) {
		r->damaged.ids[r->damaged.count++] = row.id;
		return true;
	}
	m = store_row_message(&row);
	m->attempts = attempts;
	STAILQ_INSERT_TAIL(r->list, m, link);
	r->rows++;
	r->bytes += cost;
	return true;
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

enum err store_read_range(struct store *s, uint64_t first, uint64_t last, uint32_t max_rows, uint64_t max_bytes,
                          struct message_list *list, uint32_t *ret_count, uint64_t *ret_last, struct error *e)
{
	struct reading r = {.list = list, .max_rows = max_rows, .max_bytes = max_bytes};
	bool failed_among = s->durable.retrying > 0 && first <= s->failures_max_id;
	sqlite3_stmt *st = store_statement(s, failed_among ? ST_READ_FRESH : ST_READ);
	int rc;
	enum err err = ERR_OK;

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, last > INT64_MAX ? INT64_MAX : last);
	*ret_last = first - 1;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t id = sql_column_u64(st, 0);

		if (id <= *ret_last || id > last) {
			err = error_set(e, ERR_DAMAGED, "%s: message %" PRIu64 " stands behind message %" PRIu64,
			                s->path, id, *ret_last);
			break;
		}
		if (!take_row(&r, st, 0))
			break;
		*ret_last = id;
	}
	(void)sqlite3_reset(st);
	if (rc == SQLITE_DONE)
		*ret_last = last;
	else if (rc != SQLITE_ROW)
		err = store_fail(s, rc, e, "read");
	*ret_count = r.rows;
	return err == ERR_OK ? put_away(s, &r, e) : err;
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
	sqlite3_stmt *st = store_statement(s, ST_READ);
	int rc;

	sql_bind_u64(st, 1, id);
	sql_bind_u64(st, 2, id);
	rc = sqlite3_step(st);
	*ret_taken = rc == SQLITE_ROW && take_row(r, st, attempts);
	if (rc == SQLITE_DONE && r->orphans.count < DAMAGED_PER_READ) {
		r->orphans.ids[r->orphans.count++] = id;
		*ret_taken = true;
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "read a failed row");
}

enum err store_read_due(struct store *s, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes,
                        bool (*is_claimed)(void *arg, uint64_t id), void *arg, struct message_list *list,
                        uint32_t *ret_count, struct error *e)
{
	struct reading r = {.list = list, .max_rows = max_rows, .max_bytes = max_bytes};
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

		(void)sqlite3_bind_int64(st, 1, now_ms);
		(void)sqlite3_bind_int64(st, 2, s->due_ms);
		sql_bind_u64(st, 3, s->due_id);
		rc = sqlite3_step(st);
		id = sql_column_u64(st, 0);
		attempts = (uint32_t)sqlite3_column_int64(st, 1);
		next_ms = sqlite3_column_int64(st, 2);
		(void)sqlite3_reset(st);
		if (rc != SQLITE_ROW)
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
	if (err == ERR_OK)
		err = put_away(s, &r, e);
	if (err != ERR_OK) { /* the caller drops what was read: it is due still */
		s->due_ms = due_ms;
		s->due_id = due_id;
	}
	return err;
}
