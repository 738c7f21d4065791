/*
 * Salvage: what can still be read of a file that was set aside comes back under its old id when its checksum holds.
 *
 * Inside a window a table is read forwards until it errs, then backwards from the end; what is left between is halved.
 *
 * Invariants:
 * 1. The ids are walked in windows, each its own transaction with the place it reached: a restart goes on there.
 * 2. `after_id` of the open salvage is what the last commit noted in the table `salvage`.
 * 3. Rows of the old file were counted as damaged when it was set aside; each that comes back is taken out again, so
 *    the ledger balances whatever comes back.
 * 4. A row comes back at most once: its id is the key, and what is there stays.
 * 5. `salvage` is null or open; null and `salvage_is_done` says that no file is left.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum { FIRST_BUDGET_MS = 1000, WINDOW_IDS = 4096 };
enum { MESSAGES, DEAD, BLOCKS, TABLES };

struct salvage {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *up[TABLES], *down[TABLES]; /* null: this file has no such table */
	struct stored_block *block;
	uint64_t after_id;
	uint64_t end_id; /* no id above it */
	uint64_t rows;
	uint64_t first, last; /* messages that came back in this step */
};

static const char *const walks[TABLES][2] = {
    [MESSAGES] =
        {"SELECT id, received_ms, checksum, meta, body FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
         "SELECT id, received_ms, checksum, meta, body FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"},
    [DEAD] = {"SELECT id, received_ms, checksum, meta, body, died_ms, attempts, code, reason FROM dead"
              " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
              "SELECT id, received_ms, checksum, meta, body, died_ms, attempts, code, reason FROM dead"
              " WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"},
    [BLOCKS] = {BLOCK_SELECT " WHERE b.id BETWEEN ?1 AND ?2 ORDER BY b.id",
                BLOCK_SELECT " WHERE b.id BETWEEN ?1 AND ?2 ORDER BY b.id DESC"},
};

static void salvage_free(struct salvage *v)
{
	if (!v)
		return;
	for (int i = 0; i < TABLES; i++) {
		(void)sqlite3_finalize(v->up[i]);
		(void)sqlite3_finalize(v->down[i]);
	}
	(void)sqlite3_close_v2(v->db);
	store_block_free(v->block);
	free(v->path);
	free(v);
}

void store_salvage_end(struct store *s)
{
	salvage_free(take(s->salvage));
	s->salvage_is_done = false;
}

static enum err insert_copy(struct store *s, enum store_statement id, sqlite3_stmt *from, int columns, int64_t found_ms,
                            bool *ret_new, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);
	enum err err;

	store_row_bind_found(st, from, columns);
	if (id == ST_SALVAGE_DAMAGED)
		(void)sqlite3_bind_int64(st, 6, found_ms);
	err = store_run(s, st, e, "salvage a row");
	*ret_new = err == ERR_OK && sqlite3_changes(s->db) == 1;
	(void)sqlite3_clear_bindings(st);
	return err;
}

static void count_in(struct store *s, uint64_t *counter)
{
	if (s->now.ledger.damaged > 0)
		s->now.ledger.damaged--;
	else
		s->now.ledger.accepted++;
	++*counter;
}

/* A message that is pending again. */
static void note_pending(struct store *s, const struct store_row *row)
{
	struct salvage *v = s->salvage;

	if (row->id >= s->now.next_id) /* the old ledger was older than its rows, or gone */
		s->now.next_id = row->id + 1;
	v->rows++;
	count_in(s, &s->now.ledger.pending);
	s->now.pending_bytes += row->meta_bytes + row->body_bytes;
	if (v->first == 0 || row->id < v->first)
		v->first = row->id;
	if (row->id > v->last)
		v->last = row->id;
}

static enum err bring_back_row(struct store *s, sqlite3_stmt *row, bool is_dead, struct error *e)
{
	const struct store_row found = store_row_read(row);
	const bool sound = sqlite3_column_type(row, 4) == SQLITE_BLOB && store_row_is_sound(&found);
	bool is_new = false;
	enum err err;

	if (!sound) {
		err = insert_copy(s, ST_SALVAGE_DAMAGED, row, 5, clock_wall_ms(), &is_new, e);
		if (is_new)
			count_in(s, &s->now.ledger.damaged);
		return err;
	}
	err = insert_copy(s, is_dead ? ST_SALVAGE_DEAD : ST_SALVAGE_MESSAGE, row, is_dead ? 9 : 5, 0, &is_new, e);
	if (!is_new)
		return err;
	if (!is_dead) {
		note_pending(s, &found);
		return ERR_OK;
	}
	if (found.id >= s->now.next_id)
		s->now.next_id = found.id + 1;
	s->salvage->rows++;
	count_in(s, &s->now.ledger.dead);
	return ERR_OK;
}

static enum err bring_back_framed(struct store *s, const struct store_row *row, struct error *e)
{
	const bool is_sound = store_row_is_sound(row);
	sqlite3_stmt *st = store_statement(s, is_sound ? ST_SALVAGE_MESSAGE : ST_SALVAGE_DAMAGED);
	enum err err;

	store_row_put(st, 1, row);
	if (!is_sound)
		(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	err = store_run(s, st, e, "salvage a message of a block");
	if (err != ERR_OK || sqlite3_changes(s->db) != 1)
		return err;
	if (is_sound)
		note_pending(s, row);
	else
		count_in(s, &s->now.ledger.damaged);
	return ERR_OK;
}

/* What had not left it comes back, each message alone. */
static enum err bring_back_block(struct store *s, sqlite3_stmt *st, struct error *e)
{
	struct stored_block *b = s->salvage->block;
	struct block_mark mark;
	enum err err = ERR_OK;

	store_block_read(b, st);
	mark = store_block_mark_read(st, BLOCK_COLUMNS, b->id, b->count);
	for (uint32_t i = 0; i < b->framed && err == ERR_OK; i++)
		if (!block_bit(&mark, b->id + i))
			err = bring_back_framed(s, &b->rows[i], e);
	return err;
}

static enum err bring_back(struct store *s, sqlite3_stmt *row, int table, struct error *e)
{
	return table == BLOCKS ? bring_back_block(s, row, e) : bring_back_row(s, row, table == DEAD, e);
}

/* *edge moves to the first id not seen in this direction; *ret_whole: the range was read to its end. */
static enum err walk(struct store *s, sqlite3_stmt *st, int table, uint64_t lo, uint64_t hi, bool upwards,
                     uint64_t *edge, bool *ret_whole, struct error *e)
{
	enum err err = ERR_OK;
	int rc;

	(void)sqlite3_reset(st);
	sql_bind_u64(st, 1, lo);
	sql_bind_u64(st, 2, hi);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && err == ERR_OK) {
		uint64_t id = sql_column_u64(st, 0);

		if (id < lo || id > hi || (upwards ? id < *edge : id > *edge))
			break; /* out of order: the tree is not one */
		err = bring_back(s, st, table, e);
		*edge = upwards ? id + 1 : id - 1;
	}
	(void)sqlite3_reset(st);
	*ret_whole = rc == SQLITE_DONE;
	return err;
}

static enum err salvage_range(struct store *s, int table, uint64_t lo, uint64_t hi, struct error *e)
{
	struct salvage *v = s->salvage;
	uint64_t low = lo, high = hi, middle;
	bool whole = false;
	enum err err;

	if (lo > hi || !v->up[table] || !v->down[table])
		return ERR_OK;
	err = walk(s, v->up[table], table, lo, hi, true, &low, &whole, e);
	if (err == ERR_OK && !whole && low <= high)
		err = walk(s, v->down[table], table, low, hi, false, &high, &whole, e);
	if (err != ERR_OK || whole || low >= high)
		return err;
	middle = low + (high - low) / 2;
	err = salvage_range(s, table, low, middle, e);
	return err == ERR_OK ? salvage_range(s, table, middle + 1, high, e) : err;
}

static uint64_t end_of(struct store *s, sqlite3 *db)
{
	struct totals old;
	int64_t max = 0, block_max = 0;

	if (store_ledger_of(db, &old))
		return old.next_id;
	if (sql_number(
	        db, "SELECT max(coalesce((SELECT max(id) FROM messages), 0), coalesce((SELECT max(id) FROM dead), 0))",
	        &max, NULL) != ERR_OK)
		return s->durable.next_id;
	if (sql_number(db, "SELECT coalesce((SELECT id + count - 1 FROM blocks ORDER BY id DESC LIMIT 1), 0)",
	               &block_max, NULL) == ERR_OK &&
	    block_max > max)
		return (uint64_t)block_max;
	return (uint64_t)max;
}

/* Null: the file cannot be read at all. */
static struct salvage *open_source(struct store *s, const char *path, uint64_t after_id, uint64_t rows)
{
	struct salvage *v = mem_zero(sizeof *v);
	struct error ignored;

	v->path = mem_string(path);
	v->after_id = after_id;
	v->rows = rows;
	if (store_reader_open(path, s->vfs, &v->db, &ignored) != ERR_OK)
		goto fail;
	v->block = store_block_new();
	for (int i = 0; i < TABLES; i++)
		if ((sqlite3_prepare_v2(v->db, walks[i][0], -1, &v->up[i], NULL) != SQLITE_OK ||
		     sqlite3_prepare_v2(v->db, walks[i][1], -1, &v->down[i], NULL) != SQLITE_OK) &&
		    i != BLOCKS) /* a file of the first schema has none */
			goto fail;
	v->end_id = end_of(s, v->db);
	return v;
fail:
	salvage_free(v);
	return NULL;
}

static enum err note_progress(struct store *s, const char *path, uint64_t after_id, uint64_t rows, bool done,
                              struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_PUT);

	(void)sqlite3_bind_text(st, 1, path, -1, SQLITE_STATIC);
	sql_bind_u64(st, 2, after_id);
	sql_bind_u64(st, 3, rows);
	(void)sqlite3_bind_int64(st, 4, done);
	return store_run(s, st, e, "note what was salvaged");
}

/* Finds the file that is not done yet. Leaves s->salvage null when there is none that can be read. */
static enum err resume(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_NEXT);
	int rc = sqlite3_step(st);
	AUTOFREE char *path = NULL;
	uint64_t after = 0, rows = 0;
	enum err err;

	if (rc == SQLITE_ROW) {
		path = mem_string((const char *)sqlite3_column_text(st, 0));
		after = sql_column_u64(st, 1);
		rows = sql_column_u64(st, 2);
	}
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "look for files to salvage");
	s->salvage_is_done = rc == SQLITE_DONE;
	if (s->salvage_is_done)
		return ERR_OK;
	s->salvage = open_source(s, path, after, rows);
	if (s->salvage)
		return ERR_OK;
	err = store_no_fault(path, e);
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = note_progress(s, path, after, rows, true, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

/* Attempts and times of what came back; a failed one that cannot be read starts afresh. */
static enum err copy_failures(struct store *s, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	enum err err = ERR_OK;

	if (sqlite3_prepare_v2(s->salvage->db, "SELECT id, attempts, next_ms, first_ms, code, reason FROM failures", -1,
	                       &st, NULL) != SQLITE_OK)
		return ERR_OK;
	while (sqlite3_step(st) == SQLITE_ROW && err == ERR_OK) {
		const struct store_settlement again = {
		    .id = sql_column_u64(st, 0),
		    .kind = SETTLE_RETRY,
		    .attempts = (uint32_t)sqlite3_column_int64(st, 1),
		    .code = (const char *)sqlite3_column_text(st, 4),
		    .may_be_gone = true, /* not every one came back */
		};
		uint64_t before = s->unexpected_settlements;

		err = store_settle(s, &again, 1, e);
		s->unexpected_settlements = before;
	}
	return err;
}

/* Steps over ids that no row has, when the file can say so. */
static void skip_gap(struct salvage *v)
{
	char sql[200];
	int64_t next = 0, block = 0;

	(void)sqlite3_snprintf(sizeof sql, sql,
	                       "SELECT min(coalesce((SELECT min(id) FROM messages WHERE id > %lld), %lld),"
	                       " coalesce((SELECT min(id) FROM dead WHERE id > %lld), %lld))",
	                       (long long)v->after_id, (long long)v->end_id, (long long)v->after_id,
	                       (long long)v->end_id);
	if (sql_number(v->db, sql, &next, NULL) != ERR_OK)
		return;
	(void)sqlite3_snprintf(sizeof sql, sql, "SELECT coalesce((SELECT min(id) FROM blocks WHERE id > %lld), %lld)",
	                       (long long)v->after_id, (long long)v->end_id);
	if (v->up[BLOCKS] && sql_number(v->db, sql, &block, NULL) != ERR_OK)
		return;
	if (v->up[BLOCKS] && block < next)
		next = block;
	if ((uint64_t)next > v->after_id + 1)
		v->after_id = (uint64_t)next - 1;
}

enum err store_salvage(struct store *s, uint32_t max_ids, uint64_t *ret_first, uint64_t *ret_last, bool *ret_more,
                       struct error *e)
{
	struct salvage *v;
	uint64_t upto;
	bool done;
	enum err err = s->salvage || s->salvage_is_done ? ERR_OK : resume(s, e);

	*ret_first = *ret_last = 0;
	*ret_more = err == ERR_OK && !s->salvage_is_done;
	v = s->salvage;
	if (err != ERR_OK || !v)
		return err;
	v->first = v->last = 0;
	skip_gap(v);
	upto = v->after_id + max_ids < v->end_id ? v->after_id + max_ids : v->end_id;
	done = upto >= v->end_id;
	err = store_begin(s, e);
	for (int table = 0; table < TABLES && err == ERR_OK; table++)
		err = salvage_range(s, table, v->after_id + 1, upto, e);
	if (err == ERR_OK && done)
		err = copy_failures(s, e);
	if (err == ERR_OK)
		err = store_no_fault(v->path, e);
	if (err == ERR_OK)
		err = note_progress(s, v->path, upto, v->rows, done, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK) { /* the place reached is read again from the table */
		store_rollback(s);
		store_salvage_end(s);
		return err;
	}
	v->after_id = upto;
	*ret_first = v->first;
	*ret_last = v->last;
	if (done)
		store_salvage_end(s);
	return ERR_OK;
}

enum err store_salvage_for(struct store *s, int64_t budget_ms, uint64_t *ret_rows, struct error *e)
{
	int64_t end = clock_mono_ms() + budget_ms;
	bool more = true;
	enum err err = ERR_OK;

	while (err == ERR_OK && more && clock_mono_ms() <= end) {
		uint64_t before = s->durable.ledger.pending + s->durable.ledger.dead;
		uint64_t first, last;

		err = store_salvage(s, WINDOW_IDS, &first, &last, &more, e);
		if (err == ERR_OK)
			err = store_checkpoint(s, false, e);
		*ret_rows += s->durable.ledger.pending + s->durable.ledger.dead - before;
	}
	return err == ERR_FULL ? ERR_OK : err;
}

static enum err copy_table(struct store *s, sqlite3 *from, const char *select, const char *insert, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *in = NULL;
	CLEANUP(sql_finish) sqlite3_stmt *out = NULL;
	enum err err = ERR_OK;

	if (sqlite3_prepare_v2(from, select, -1, &in, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(s->db, insert, -1, &out, NULL) != SQLITE_OK)
		return ERR_OK;
	while (sqlite3_step(in) == SQLITE_ROW && err == ERR_OK) {
		for (int i = 0; i < 3; i++)
			(void)sqlite3_bind_value(out, i + 1, sqlite3_column_value(in, i));
		err = store_run(s, out, e, "salvage a key");
	}
	return err;
}

/* The counts of the old file, as far as they can be read. */
static void adopt_ledger(struct store *s, sqlite3 *db)
{
	struct totals old;

	if (s->now.ledger.accepted == 0 &&
	    store_ledger_of(db, &old)) /* a spool that has counts of its own keeps them */
		store_ledger_succeed(&s->now, &old);
}

enum err store_salvage_start(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	struct error ignored;
	struct totals old;
	sqlite3 *db = NULL;
	enum err err;

	store_salvage_end(s);
	if (!store_schema_mend(s, path))
		store_warn(report, "its head cannot be mended");
	err = store_reader_open(path, s->vfs, &db, &ignored);
	if (store_no_fault(path, e) != ERR_OK) {
		(void)sqlite3_close_v2(db);
		return ERR_DISK;
	}
	if (err != ERR_OK) {
		store_warn(report, "nothing of it can be read");
		return ERR_OK;
	}
	err = store_begin(s, e);
	if (err == ERR_OK) {
		adopt_ledger(s, db);
		err = copy_table(s, db, "SELECT key, value, checksum FROM positions",
		                 "INSERT OR IGNORE INTO positions (key, value, checksum) VALUES (?1, ?2, ?3)", e);
	}
	if (err == ERR_OK)
		err = copy_table(s, db, "SELECT cache, key, expires_ms FROM cache",
		                 "INSERT OR IGNORE INTO cache (cache, key, expires_ms) VALUES (?1, ?2, ?3)", e);
	if (err == ERR_OK)
		err = store_no_fault(path, e);
	if (err == ERR_OK && store_ledger_of(db, &old)) /* leads are of its own time, which the ledger knows */
		err = copy_table(s, db, "SELECT first_id, lead_ms FROM clock",
		                 "INSERT OR IGNORE INTO clock (first_id, lead_ms) VALUES (?1, ?2)", e);
	if (err == ERR_OK)
		err = note_progress(s, path, 0, 0, false, e);
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err == ERR_OK)
		err = store_leads_load(s, e);
	(void)sqlite3_close_v2(db);
	if (err == ERR_OK)
		err = store_salvage_for(s, FIRST_BUDGET_MS, &report->salvaged_rows, e);
	return err;
}
