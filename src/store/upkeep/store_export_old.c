/*
 * A copy in the form of the first release: schema/0001-spool.sql and nothing else, a row a message, checksums of no
 * spool. It is made of a copy that store_export wrote, so that nothing waits for it.
 *
 * Invariants:
 * 1. What waits in it, and what is on its shelf, is what was written, under the id it had: the first release takes in
 *    all of a copy or nothing.
 * 2. What is not what was written is in its table `damaged`, as it was found, and counted so.
 * 3. The ledger is that of the rows: what the other one counts besides is gone, and damaged.
 * 4. Memory is a block and a page cache, however much waits.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/files/new_file.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/upkeep/store_copy.h"

enum {
	OLD_CACHE_KIB = 2048,
	ROOM_STEP_BYTES = 4 << 20, /* written between two looks at what is free */
	ROW_BYTES = 64,            /* of a row beside metadata and payload, at most */
};

enum old_table { OLD_MESSAGES, OLD_DEAD, OLD_DAMAGED, OLD_TABLES };

struct old_copy {
	sqlite3 *from, *to;
	sqlite3_stmt *puts[OLD_TABLES];
	const struct store_options *spool; /* beside which it is made; null: none */
	int fd;                            /* of the file that is made */
	uint64_t unlooked_bytes;           /* written since the last look at what is free */
	struct totals totals;              /* of the other copy */
	bool has_ledger;
	bool has_sides; /* its rows beside the messages say whether they are what was written */
	uint32_t tag;
	int64_t lead_ms; /* the wall clock is so far ahead of its own time, which the old form has not */
	int64_t found_ms;
	uint64_t pending_bytes;
	uint64_t rows[OLD_TABLES]; /* put there by put_row */
};

static const uint32_t no_tag = 0;

static enum err open_target(struct old_copy *c, const char *part, struct error *e)
{
	/* thrown away when it is not whole: a journal would serve nobody. The commit's sync tells a write that failed.
	 */
	AUTOFREE char *setup = mem_format("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=OFF;"
	                                  "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA cache_size=-%d;"
	                                  "PRAGMA page_size=%d; PRAGMA auto_vacuum=INCREMENTAL;"
	                                  "PRAGMA application_id=%d; BEGIN IMMEDIATE",
	                                  OLD_CACHE_KIB, DEFAULT_PAGE_BYTES, APPLICATION_ID);
	static const char *const sql[OLD_TABLES] = {
	    [OLD_MESSAGES] = "INSERT OR IGNORE INTO messages (id, received_ms, checksum, meta, body)"
	                     " VALUES (?1, ?2, ?3, ?4, ?5)",
	    [OLD_DEAD] = "INSERT OR IGNORE INTO dead (id, received_ms, checksum, meta, body, died_ms, attempts, code,"
	                 " reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	    [OLD_DAMAGED] = "INSERT OR IGNORE INTO damaged (id, received_ms, checksum, meta, body, found_ms)"
	                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	};
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(part, &c->to, flags, vfs_register(NULL));
	enum err err = rc == SQLITE_OK ? sql_exec(c->to, setup, e, part) : sql_error(c->to, rc, e, part);

	if (err == ERR_OK)
		err = sql_exec(c->to, schema_steps[0].sql, e, "make the tables of the first release");
	if (err == ERR_OK)
		err = side_functions(c->to, &no_tag, e);
	for (int i = 0; i < OLD_TABLES && err == ERR_OK; i++) {
		rc = sqlite3_prepare_v2(c->to, sql[i], -1, &c->puts[i], NULL);
		if (rc != SQLITE_OK)
			err = sql_error(c->to, rc, e, part);
	}
	return err;
}

static enum err open_source(struct old_copy *c, const char *copy, struct error *e)
{
	struct totals t;
	enum err err = sql_reader_open(copy, NULL, &c->from, e);
	int rc;

	if (err == ERR_OK)
		err = store_check_source(c->from, copy, e);
	if (err == ERR_OK)
		err = store_ledger_of(c->from, &c->totals, &c->has_ledger, e);
	if (err != ERR_OK)
		return err;
	t = c->totals;
	if (!c->has_ledger)
		t = c->totals = (struct totals){0};
	c->tag = sum_tag_of(store_totals_id(&t));
	store_clock_begin(&t);
	c->lead_ms = clock_wall_ms() - clock_mono_ms() - (int64_t)t.clock_offset;
	rc = sql_has_column(c->from, "failures", "checksum", &c->has_sides);
	return rc == SQLITE_OK ? side_functions(c->from, &c->tag, e) : sql_error(c->from, rc, e, copy);
}

/* As store_export: what is to stay free beside the spool does. */
static enum err has_room(struct old_copy *c, uint64_t bytes, struct error *e)
{
	const struct files there = {.dir_fd = c->fd};
	struct stat made, spool;
	uint64_t keep;

	c->unlooked_bytes += bytes + ROW_BYTES;
	if (!c->spool || c->unlooked_bytes < ROOM_STEP_BYTES)
		return ERR_OK;
	if (stat(c->spool->path, &spool) != 0 || fstat(c->fd, &made) != 0 || spool.st_dev != made.st_dev)
		return ERR_OK;
	keep = c->spool->min_free_bytes;
	if (c->spool->min_free_is_default)
		keep = files_share(&there, keep);
	if (store_beyond(files_free_bytes(&there), keep) < c->unlooked_bytes + ROOM_STEP_BYTES)
		return error_set(e, ERR_INPUT,
		                 "a copy of schema 1 needs more room beside the %" PRIu64
		                 " bytes that stay free for the spool (kspool.min_free); name a file on another file"
		                 " system, or free some space",
		                 keep);
	c->unlooked_bytes = 0;
	return ERR_OK;
}

/* What follows the columns of a message is bound. */
static enum err put_row(struct old_copy *c, enum old_table to, const struct store_row *row, struct error *e)
{
	sqlite3_stmt *st = c->puts[to];
	enum err err = has_room(c, row->meta_bytes + row->body_bytes, e);
	int rc;

	if (err != ERR_OK)
		return err;
	row_put(st, 1, row);
	rc = sqlite3_step(st);
	(void)sqlite3_reset(st);
	if (rc != SQLITE_DONE)
		return sql_error(c->to, rc, e, "write a message");
	if (sqlite3_changes(c->to) > 0) {
		c->rows[to]++;
		c->pending_bytes += to == OLD_MESSAGES ? row->meta_bytes + row->body_bytes : 0;
	}
	return ERR_OK;
}

static enum err put_message(struct old_copy *c, enum old_table to, struct store_row row, bool is_sound, struct error *e)
{
	if (is_sound)
		row.checksum = row_plain_sum(&row);
	else
		(void)sqlite3_bind_int64(c->puts[OLD_DAMAGED], ROW_COLUMNS + 1, c->found_ms);
	return put_row(c, is_sound ? to : OLD_DAMAGED, &row, e);
}

static enum err copy_pending(struct old_copy *c, struct error *e)
{
	struct block_message m;
	struct block_walk w;
	enum err err = ERR_OK;
	int rc = walk_open(&w, c->from, c->tag, 0, INT64_MAX);

	if (rc == SQLITE_OK)
		while (err == ERR_OK && (rc = walk_next(&w, &m)) == SQLITE_ROW)
			err = put_message(c, OLD_MESSAGES, m.row, m.is_sound, e);
	walk_close(&w);
	return err != ERR_OK || rc == SQLITE_DONE ? err : sql_error(c->from, rc, e, "read what waits");
}

static enum err copy_dead(struct old_copy *c, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	AUTOFREE char *sql = mem_format("SELECT id, received_ms, checksum, meta, body, CAST(died_ms AS INTEGER),"
	                                " CAST(attempts AS INTEGER), CAST(code AS TEXT), CAST(reason AS TEXT), %s"
	                                " FROM dead ORDER BY id",
	                                c->has_sides ? DEAD_NOTE_IS_SOUND : "1");
	sqlite3_stmt *put = c->puts[OLD_DEAD];
	int rc = sqlite3_prepare_v2(c->from, sql, -1, &st, NULL);
	enum err err = ERR_OK;

	if (rc == SQLITE_OK)
		while (err == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
			const struct store_row row = row_read(st);
			const bool is_noted = sqlite3_column_int(st, 9) != 0;

			for (int i = ROW_COLUMNS; i < 9; i++)
				(void)sqlite3_bind_value(put, i + 1, sqlite3_column_value(st, i));
			if (!is_noted) {
				(void)sqlite3_bind_int64(put, 7, 0);
				row_bind_text(put, 8, STORE_NOTE_LOST_CODE);
				row_bind_text(put, 9, STORE_NOTE_LOST_REASON);
			}
			err = put_message(c, OLD_DEAD, row, row_is_sound(&row, c->tag), e);
		}
	return err != ERR_OK || rc == SQLITE_DONE ? err : sql_error(c->from, rc, e, "read the shelf");
}

/* Rows beside the messages, as SQL has them. */
static enum err copy_rows(struct old_copy *c, const char *select, const char *insert, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	CLEANUP(sql_finish) sqlite3_stmt *put = NULL;
	enum err err = ERR_OK;
	int rc = sqlite3_prepare_v2(c->from, select, -1, &st, NULL);

	if (rc != SQLITE_OK)
		return sql_error(c->from, rc, e, select);
	rc = sqlite3_prepare_v2(c->to, insert, -1, &put, NULL);
	if (rc != SQLITE_OK)
		return sql_error(c->to, rc, e, insert);
	while (err == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		uint64_t bytes = 0;

		for (int i = 0; i < sqlite3_column_count(st); i++) {
			(void)sqlite3_bind_value(put, i + 1, sqlite3_column_value(st, i));
			bytes += (uint64_t)sqlite3_column_bytes(st, i);
		}
		err = has_room(c, bytes, e);
		if (err != ERR_OK)
			break;
		rc = sqlite3_step(put);
		(void)sqlite3_reset(put);
		if (rc != SQLITE_DONE)
			err = sql_error(c->to, rc, e, insert);
	}
	return err != ERR_OK || rc == SQLITE_DONE ? err : sql_error(c->from, rc, e, select);
}

/* Times of the spool's own are the wall clock's there. */
#define WALL_MS(column) "min(max(CAST(" column " AS INTEGER), 0), 4503599627370496) + (%" PRId64 ")"

static enum err copy_sides(struct old_copy *c, struct error *e)
{
	AUTOFREE char *failures =
	    mem_format("SELECT id, CAST(attempts AS INTEGER), " WALL_MS(
	                   "next_ms") ", CAST(first_ms AS INTEGER), CAST(code AS TEXT), CAST(reason AS TEXT)"
	                              " FROM failures NOT INDEXED WHERE %s",
	               c->lead_ms, c->has_sides ? FAILURE_IS_SOUND : "1");
	AUTOFREE char *keys = mem_format(
	    "SELECT CAST(cache AS TEXT), CAST(key AS BLOB), " WALL_MS("expires_ms") " FROM cache NOT INDEXED WHERE %s",
	    c->lead_ms, c->has_sides ? KEY_IS_SOUND : "1");
	const struct {
		const char *select, *insert;
	} tables[] = {
	    {"SELECT id, CAST(found_ms AS INTEGER), CAST(received_ms AS INTEGER), CAST(checksum AS INTEGER),"
	     " CAST(meta AS BLOB), CAST(body AS BLOB) FROM damaged",
	     "INSERT OR IGNORE INTO damaged (id, found_ms, received_ms, checksum, meta, body)"
	     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"},
	    {failures, "INSERT OR IGNORE INTO failures (id, attempts, next_ms, first_ms, code, reason)"
	               " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM messages WHERE id = ?1)"},
	    {"SELECT CAST(key AS TEXT), CAST(value AS TEXT) FROM positions WHERE " POSITION_IS_SOUND,
	     "INSERT OR IGNORE INTO positions (key, value, checksum) VALUES (?1, ?2, position_sum(?1, ?2))"},
	    {keys, "INSERT OR IGNORE INTO cache (cache, key, expires_ms) VALUES (?1, ?2, ?3)"},
	};
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof tables / sizeof *tables && err == ERR_OK; i++)
		err = copy_rows(c, tables[i].select, tables[i].insert, e);
	return err;
}

/* Its columns are those of the first release, whatever others came since. */
static enum err write_ledger(struct old_copy *c, uint64_t next_id, const struct store_ledger *l, struct error *e)
{
	const uint64_t numbers[] = {next_id,    l->accepted, l->delivered, l->pending, l->dead,         l->expired,
	                            l->evicted, l->damaged,  l->filtered,  l->purged,  c->pending_bytes};
	const size_t count = sizeof numbers / sizeof *numbers;
	struct buf sql;
	enum err err;

	buf_init(&sql, 1024);
	(void)buf_add_text(&sql, "INSERT INTO ledger VALUES (1");
	for (size_t i = 0; i < count; i++)
		(void)buf_addf(&sql, ", %" PRId64, (int64_t)numbers[i]);
	(void)buf_addf(&sql, ", %" PRId64 ")", sum_numbers(0, SUM_OF_MESSAGE, numbers, count));
	err = sql_exec(c->to, sql.data, e, "write the ledger");
	buf_fini(&sql);
	return err;
}

/* Where no ledger is left each id was one accepted message, as a start counts. */
static enum err put_ledger(struct old_copy *c, struct error *e)
{
	struct store_ledger l = c->totals.ledger;
	const uint64_t counted = l.pending + l.dead, is = c->rows[OLD_MESSAGES] + c->rows[OLD_DEAD];
	int64_t highest, kept;
	enum err err =
	    sql_number(c->to,
	               "SELECT max((SELECT coalesce(max(id), 0) FROM messages),"
	               " (SELECT coalesce(max(id), 0) FROM dead), (SELECT coalesce(max(id), 0) FROM damaged))",
	               &highest, e);

	if (err == ERR_OK)
		err = sql_number(c->to, STORE_NOTED_SQL, &kept, e);
	if (err != ERR_OK)
		return err;
	l.damaged = store_most(l.damaged + store_beyond(counted, is), (uint64_t)kept);
	if (!c->has_ledger)
		l.delivered = store_beyond((uint64_t)highest, is + l.damaged);
	l.pending = c->rows[OLD_MESSAGES];
	l.dead = c->rows[OLD_DEAD];
	l.accepted = l.delivered + l.pending + l.dead + l.expired + l.evicted + l.damaged + l.filtered + l.purged;
	return write_ledger(c, store_most(c->totals.next_id, (uint64_t)highest + 1), &l, e);
}

static enum err fill(struct old_copy *c, const char *copy, const char *part, struct error *e)
{
	AUTOFREE char *end = mem_format("PRAGMA user_version=%d; COMMIT", schema_steps[0].version);
	enum err err = open_source(c, copy, e);

	if (err == ERR_OK)
		err = open_target(c, part, e);
	if (err == ERR_OK)
		err = copy_pending(c, e);
	if (err == ERR_OK)
		err = copy_dead(c, e);
	if (err == ERR_OK)
		err = copy_sides(c, e);
	if (err == ERR_OK)
		err = put_ledger(c, e);
	if (err == ERR_OK)
		err = sql_exec(c->to, end, e, part);
	for (int i = 0; i < OLD_TABLES; i++)
		(void)sqlite3_finalize(c->puts[i]);
	(void)sqlite3_close_v2(c->to);
	(void)sqlite3_close_v2(c->from);
	return err == ERR_OK ? store_no_fault(copy, e) : err;
}

enum err store_export_old(const char *copy, const char *target, const struct store_options *spool,
                          struct store_old_copy *ret, struct error *e)
{
	AUTOFREE char *part = mem_format("%s.kspool-part", target);
	AUTOCLOSE int fd = -1;
	struct old_copy c = {.spool = spool, .found_ms = clock_wall_ms()};
	struct stat st;
	bool is_theirs;
	enum err err;

	sql_global_setup();
	vfs_forget_fault();
	(void)sql_lacked_memory();
	*ret = (struct store_old_copy){0};
	err = new_file_begin(part, &fd, e);
	if (err != ERR_OK)
		return store_is_no_producer(err, e);
	c.fd = fd;
	/* Whoever may read the one copy may read the other; where that cannot be, it is ours. */
	is_theirs = stat(copy, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0;
	(void)is_theirs;
	err = fill(&c, copy, part, e);
	*ret = (struct store_old_copy){c.rows[OLD_MESSAGES], c.rows[OLD_DEAD], c.rows[OLD_DAMAGED]};
	return store_is_no_producer(new_file_finish(err, part, target, fd, e), e);
}
