/*
 * The shelf of messages that were set aside: look, put back, throw away.
 *
 * Invariants:
 * 1. What is not what was written is shown as such, and never put back; who asked for all is told how many stayed.
 * 2. A note that is not what was written is no reason: the message is put back all the same.
 */
#include "store/store_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "store/store_byway.h"

enum {
	RETRY_ROWS = 256,      /* put back in one transaction, */
	RETRY_BYTES = 1 << 20, /* or with the message that reaches so many */
	PURGE_ROWS = 8,        /* on a full disk; with pages as large as they may be */
};

static sqlite3_stmt *bind_walk(struct store *s, uint64_t after_id, int64_t limit)
{
	sqlite3_stmt *st = store_statement(s, ST_DEAD_WALK);

	sql_bind_u64(st, 1, after_id);
	(void)sqlite3_bind_int64(st, 2, limit);
	return st;
}

static const char *text_of(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text ? text : "";
}

static struct store_dead dead_of(const struct store *s, sqlite3_stmt *st)
{
	const struct store_row row = row_read(st);
	const bool note_is_sound = sqlite3_column_int(st, 9) != 0;

	return (struct store_dead){
	    .is_damaged = !row_is_sound(&row, s->tag),
	    .id = row.id,
	    .received_ms = row.received_ms,
	    .died_ms = sqlite3_column_int64(st, 5),
	    .attempts = (uint32_t)sqlite3_column_int64(st, 6),
	    .code = note_is_sound ? text_of(st, 7) : STORE_NOTE_LOST_CODE,
	    .reason = note_is_sound ? text_of(st, 8) : STORE_NOTE_LOST_REASON,
	    .meta = row.meta,
	    .meta_bytes = row.meta_bytes,
	    .body = row.body,
	    .body_bytes = row.body_bytes,
	};
}

enum err store_dead_walk(struct store *s, uint64_t after_id, uint32_t limit, store_dead_visit *visit, void *arg,
                         struct error *e)
{
	sqlite3_stmt *st = bind_walk(s, after_id, limit);
	int rc;

	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct store_dead d = dead_of(s, st);

		if (!visit(arg, &d))
			break;
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read the shelf");
}

enum err store_dead_get(struct store *s, uint64_t id, store_dead_visit *visit, void *arg, struct error *e)
{
	sqlite3_stmt *st = bind_walk(s, id - 1, 1);
	int rc = sqlite3_step(st);
	bool found = rc == SQLITE_ROW && sql_column_u64(st, 0) == id;

	if (found) {
		struct store_dead d = dead_of(s, st);

		(void)visit(arg, &d);
	}
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "read the shelf");
	return found ? ERR_OK : error_set(e, ERR_INPUT, "no message %llu is set aside", (unsigned long long)id);
}

static enum err delete_dead(struct store *s, uint64_t first, uint64_t last, uint64_t *ret_gone, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_DEAD_DELETE_RUN);
	enum err err;

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, store_least(last, INT64_MAX));
	err = store_run(s, st, e, "take from the shelf");
	*ret_gone = err == ERR_OK ? (uint64_t)sqlite3_changes(s->db) : 0;
	return err;
}

/* The ledger counts the old id out of `dead` and, through store_append's own count, the new one in: once accepted. */
static enum err put_back(struct store *s, struct message *m, uint64_t old_id, struct error *e)
{
	uint64_t gone = 0;
	enum err err = store_left_note_shelf(s, old_id, old_id, e);

	if (err == ERR_OK)
		err = delete_dead(s, old_id, old_id, &gone, e);
	if (err != ERR_OK)
		return err;
	if (gone != 1)
		return error_set(e, ERR_DAMAGED,
		                 "message %llu was read from the shelf and is not there: run kspool repair",
		                 (unsigned long long)old_id);
	err = store_append(s, m, e);
	if (err != ERR_OK)
		return err;
	store_count_out(s, &s->now.ledger.dead, 1);
	s->now.ledger.accepted--;
	return ERR_OK;
}

struct batch {
	struct message *items[RETRY_ROWS];
	uint64_t old_ids[RETRY_ROWS];
	size_t count;
	uint64_t last_id, bytes;
	uint64_t damaged;
	bool is_last; /* behind it the shelf is empty */
};

/*
 * Copies up to `most` rows out first: the table changes while they are put back. Damaged ones stay on the shelf. A
 * message is received anew, or one set aside for its age would be too old again at once.
 */
static enum err load_batch(struct store *s, uint64_t after_id, uint64_t only_id, int64_t most, struct batch *b,
                           struct error *e)
{
	sqlite3_stmt *st = bind_walk(s, only_id ? only_id - 1 : after_id, most);
	int64_t now_ms = clock_wall_ms(), rows = 0;
	int rc = SQLITE_ROW;

	b->count = b->damaged = b->bytes = b->last_id = 0;
	while (b->bytes < RETRY_BYTES && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const struct store_row row = row_read(st);
		struct message *m;

		if (only_id && row.id != only_id)
			break;
		rows++;
		b->last_id = row.id;
		if (!row_is_sound(&row, s->tag)) {
			b->damaged++;
			continue;
		}
		m = row_message(&row);
		m->received_ms = now_ms;
		b->bytes += (uint64_t)m->meta_bytes + m->body_bytes;
		b->old_ids[b->count] = row.id;
		b->items[b->count++] = m;
	}
	(void)sqlite3_reset(st);
	b->is_last = only_id || (rc == SQLITE_DONE && rows < most);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return ERR_OK;
	while (b->count > 0)
		message_free(b->items[--b->count]);
	return store_fail(s, rc, e, "read the shelf");
}

/* What was put back under ids that follow each other is one span. */
static enum err put_back_batch(struct store *s, const struct batch *b, struct put_back *span, struct error *e)
{
	const uint64_t first_id = s->now.next_id;
	enum err err = store_begin(s, e);

	for (size_t i = 0; i < b->count && err == ERR_OK; i++)
		err = put_back(s, b->items[i], b->old_ids[i], e);
	if (span->count == 0 || span->last + 1 != first_id)
		*span = (struct put_back){.first = first_id};
	if (err == ERR_OK && b->count > 0)
		err = store_byway_note(s, span->first, span->count, b->count, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK) {
		store_rollback(s);
		return err;
	}
	span->last = first_id + b->count - 1;
	span->count += b->count;
	return ERR_OK;
}

static enum err retry_step(struct store *s, uint64_t after_id, uint64_t only_id, int64_t most, struct batch *b,
                           struct put_back *span, struct error *e)
{
	enum err err = load_batch(s, after_id, only_id, most, b, e);

	if (err != ERR_OK)
		return err;
	err = put_back_batch(s, b, span, e);
	for (size_t i = 0; i < b->count; i++)
		message_free(b->items[i]);
	return err;
}

/* What has left the shelf gives its room to what follows once the log is in the database. */
static enum err empty_log(struct store *s, struct error *e)
{
	const enum err err = store_empty_log(s, e);

	s->free_checked_ms = 0;
	return err == ERR_FULL ? ERR_OK : err;
}

/* On a disk that has little room by ever smaller steps. */
static enum err retry_by_steps(struct store *s, uint64_t id, uint64_t *ret_count, uint64_t *ret_damaged,
                               struct error *e)
{
	struct batch b = {.is_last = false};
	struct put_back span = {0};
	int64_t most = RETRY_ROWS;
	uint64_t after = 0;
	enum err err;

	do {
		err = retry_step(s, after, id, most, &b, &span, e);
		if (err == ERR_OK) {
			*ret_count += b.count;
			*ret_damaged += b.damaged;
			after = b.last_id;
		}
		if (err == ERR_FULL && id == 0 && most > 1) {
			most /= 4;
			b.is_last = false;
			err = ERR_OK;
		}
		if (err == ERR_OK && most < RETRY_ROWS && !b.is_last)
			err = empty_log(s, e);
	} while (err == ERR_OK && !b.is_last);
	return err;
}

enum err store_dead_retry(struct store *s, uint64_t id, uint64_t *ret_count, uint64_t *ret_damaged, struct error *e)
{
	enum err err;

	*ret_count = *ret_damaged = 0;
	s->evict_end = s->durable.next_id; /* or one step's would give way to the next's */
	err = retry_by_steps(s, id, ret_count, ret_damaged, e);
	s->evict_end = 0;
	if (err == ERR_OK && id && *ret_count == 0)
		return error_set(e, ERR_INPUT, "no sound message %llu is set aside", (unsigned long long)id);
	if (err != ERR_OK && id == 0)
		(void)error_wrap(e, "%llu messages were put back and %llu stay on the shelf",
		                 (unsigned long long)*ret_count, (unsigned long long)s->durable.ledger.dead);
	return err;
}

static enum err move_dead(struct store *s, const struct store_row *row, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_DAMAGED_INSERT);
	uint64_t gone;
	enum err err;

	row_put(st, 1, row);
	(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	err = store_run(s, st, e, "set a damaged row aside");
	if (err == ERR_OK)
		err = delete_dead(s, row->id, row->id, &gone, e);
	if (err != ERR_OK)
		return err;
	store_count_out(s, &s->now.ledger.dead, gone);
	s->now.ledger.damaged += gone;
	store_lose(s, LOSS_BYTES, gone, row->id, row->id);
	return ERR_OK;
}

enum err store_dead_move_damaged(struct store *s, struct error *e)
{
	uint64_t after = 0;
	enum err err = store_begin(s, e);

	while (err == ERR_OK) { /* one at a time: the statement stands on the row that moves */
		sqlite3_stmt *st = bind_walk(s, after, 1);
		const int rc = sqlite3_step(st);
		struct store_row row;

		if (rc != SQLITE_ROW)
			err = rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read the shelf");
		if (rc != SQLITE_ROW)
			break;
		row = row_read(st);
		after = row.id;
		if (!row_is_sound(&row, s->tag))
			err = move_dead(s, &row, e);
		(void)sqlite3_reset(st);
	}
	return err == ERR_OK ? store_commit(s, e) : err;
}

static enum err purge_range(struct store *s, uint64_t first, uint64_t last, uint64_t *ret_gone, struct error *e)
{
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_left_note_shelf(s, first, last, e);
	if (err == ERR_OK)
		err = delete_dead(s, first, last, ret_gone, e);
	if (err == ERR_OK && first == last && *ret_gone == 0)
		err = error_set(e, ERR_INPUT, "no message %llu is set aside", (unsigned long long)first);
	if (err == ERR_OK) {
		store_count_out(s, &s->now.ledger.dead, *ret_gone);
		s->now.ledger.purged += *ret_gone;
		err = store_commit(s, e);
	}
	if (err != ERR_OK)
		store_rollback(s);
	return err;
}

/* *ret_last: the id of the last of the first few; 0: the shelf is empty. */
static enum err first_few(struct store *s, uint64_t *ret_last, struct error *e)
{
	sqlite3_stmt *st = bind_walk(s, 0, PURGE_ROWS);
	int rc;

	*ret_last = 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		*ret_last = (uint64_t)sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read the shelf");
}

/* A few at a time fit into the log of a full disk. */
static enum err purge_by_parts(struct store *s, uint64_t *ret_count, struct error *e)
{
	const uint64_t had = files_held(&s->files, ".reserve");
	bool more = true;
	uint64_t last;
	enum err err = first_few(s, &last, e);

	while (err == ERR_OK && last > 0) {
		uint64_t gone;

		err = purge_range(s, 0, last, &gone, e);
		*ret_count += err == ERR_OK ? gone : 0;
		if (err == ERR_OK)
			err = store_empty_log(s, e);
		if (err == ERR_FULL && more)
			err = store_make_way(s, &more, e);
		if (err == ERR_OK)
			err = first_few(s, &last, e);
	}
	if (files_held(&s->files, ".reserve") < had)
		store_take_back(s, had);
	return err;
}

enum err store_dead_purge(struct store *s, uint64_t id, uint64_t *ret_count, struct error *e)
{
	uint64_t gone = 0;
	enum err err = purge_range(s, id, id ? id : INT64_MAX, &gone, e);

	*ret_count = err == ERR_OK ? gone : 0;
	return err == ERR_FULL && id == 0 ? purge_by_parts(s, ret_count, e) : err;
}

/* The shelf's row of that id. */
static enum err look_up_dead(struct store *s, const struct store_row *row, bool *ret_taken, bool *ret_same,
                             struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_CHECKSUM);
	int rc;

	sql_bind_u64(st, 1, row->id);
	rc = sqlite3_step(st);
	*ret_taken = rc == SQLITE_ROW;
	*ret_same = *ret_taken && row_has_sum(row, sqlite3_column_int64(st, 0));
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "compare a row");
}

enum err store_is_here(struct store *s, const struct store_row *row, bool is_dead, bool *ret_taken, bool *ret_same,
                       struct error *e)
{
	struct pending found = {0};
	bool is_on_shelf, same_on_shelf;
	enum err err = store_find(s, row->id, &found, e);
	const bool same = found.is_sound && row_has_sum(row, found.row.checksum);

	(void)store_statement(s, ST_READ); /* what it found is not looked at any more */
	if (err == ERR_OK)
		err = look_up_dead(s, row, &is_on_shelf, &same_on_shelf, e);
	if (err != ERR_OK)
		return err;
	*ret_taken = is_dead ? is_on_shelf : found.is_there;
	*ret_same = same || same_on_shelf;
	return ERR_OK;
}

enum err store_forget_kept(struct store *s, uint64_t id, bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_FORGET);
	enum err err;

	sql_bind_u64(st, 1, id);
	err = store_run(s, st, e, "forget a damaged row");
	*ret = err == ERR_OK && sqlite3_changes(s->db) == 1 && s->now.ledger.damaged > 0;
	return err;
}
