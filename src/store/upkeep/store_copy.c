/*
 * Another spool's messages, taken in from a copy of it.
 *
 * Invariants:
 * 1. An import is one group: all that is sound of the other spool and the note that it was taken in, or nothing.
 * 2. The other spool stays as it is, and nothing is made beside it.
 * 3. Of the copy only what a checksum bears out is taken over.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"
#include "store/files/sql_schema.h"
#include "store/files/taken.h"
#include "store/files/wal.h"
#include "store/store_byway.h"
#include "store/store_mend.h"
#include "store/upkeep/store_copy.h"

struct import {
	sqlite3 *db; /* the other spool */
	struct copy_mark mark;
	uint32_t tag;   /* of it */
	bool has_sides; /* its rows beside the messages say whether they are what was written */
	bool again;
	bool is_own;   /* a copy of this very spool */
	bool is_known; /* all of it: taken in before, or made of this spool */
	bool is_lost;  /* whose copy it is, for sure */
	uint64_t next_id;
	struct copy_taken before;
	struct taken now;
	struct byway way;
	struct copy_clock clock;
	uint64_t rows, left_out, damaged;
	uint64_t gone; /* of an own copy: not here any more */
};

static void bind_mark(sqlite3_stmt *st, const struct copy_mark *m)
{
	(void)sqlite3_bind_blob(st, 1, m, MARK_BYTES, SQLITE_STATIC);
}

/* The very message waits here, under the very id: the copy was made of this spool. */
static enum err is_own_copy(struct store *s, const struct copy_mark *m, bool *ret, struct error *e)
{
	struct pending p;
	enum err err = store_find(s, m->first_id, &p, e);

	*ret = err == ERR_OK && p.is_sound && row_plain_sum(&p.row) == m->first_checksum;
	(void)store_statement(s, ST_READ);
	return err;
}

static enum err refuse_known_copy(struct store *s, const struct copy_mark *m, bool *ret_known, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORT_GET);
	int64_t when = 0, messages = 0;
	char text[40];
	int rc;

	bind_mark(st, m);
	rc = sqlite3_step(st);
	*ret_known = rc == SQLITE_ROW;
	if (*ret_known) {
		when = sqlite3_column_int64(st, 0);
		messages = sqlite3_column_int64(st, 1);
	}
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "look for the copy");
	if (*ret_known)
		return error_set(
		    e, ERR_INPUT,
		    "all %lld messages of this copy were taken in at %s; with --again they are taken in once "
		    "more, and sent twice",
		    (long long)messages, dates_format_iso(when, text));
	return ERR_OK;
}

/* One of this spool's own that is here is left out, one that is not was sent or lost: who knows must say. */
static enum err look_here(struct store *s, struct import *m, const struct store_row *row, bool *ret_out,
                          struct error *e)
{
	struct pending p = {0};
	enum err err = store_find(s, row->id, &p, e);
	bool is_here = err == ERR_OK && p.is_sound && copy_sum(&p.row) == copy_sum(row);
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_CHECKSUM);
	int rc = SQLITE_DONE;

	(void)store_statement(s, ST_READ);
	sql_bind_u64(st, 1, row->id);
	if (err == ERR_OK && !is_here) /* on the shelf */
		rc = sqlite3_step(st);
	is_here |= rc == SQLITE_ROW && row_has_sum(row, sqlite3_column_int64(st, 0));
	(void)sqlite3_reset(st);
	*ret_out = true;
	m->left_out += is_here;
	m->gone += !is_here;
	return err != ERR_OK || rc == SQLITE_ROW || rc == SQLITE_DONE ? err : store_fail(s, rc, e, "look at the shelf");
}

/* *ret_out: it was taken in before; else it is noted as taken now. */
static enum err leave_out(struct store *s, struct import *m, const struct store_row *row, bool *ret_out,
                          struct error *e)
{
	const bool was_taken = copy_was_taken(&m->before, row->id, copy_sum(row));

	*ret_out = was_taken && !m->again;
	m->left_out += *ret_out;
	if (*ret_out)
		return ERR_OK;
	if (m->is_own && !m->again && row->id < m->next_id)
		return look_here(s, m, row, ret_out, e);
	if (!m->is_known && copy_may_have_been_taken(&m->before, row->id, copy_sum(row)))
		s->now.possible++;
	else if (!m->is_known && store_byway_has(&m->way, row->id)) {
		s->now.possible++;
		s->import_by_way++;
	}
	taken_add(&m->now, row->id, copy_sum(row));
	m->rows++;
	return ERR_OK;
}

static uint32_t attempts_of(sqlite3_stmt *st, int column)
{
	const int64_t attempts = sqlite3_column_int64(st, column);

	return attempts < 0 || attempts > UINT32_MAX ? 0 : (uint32_t)attempts;
}

/* What the other spool noted of a message that failed; attempts, code, reason. */
static enum err import_failure(struct store *s, sqlite3_stmt *failure, uint64_t old_id, uint64_t new_id,
                               struct error *e)
{
	struct store_settlement again = {.id = new_id, .kind = SETTLE_RETRY};
	int rc;

	(void)sqlite3_reset(failure);
	sql_bind_u64(failure, 1, old_id);
	rc = sqlite3_step(failure);
	if (rc == SQLITE_DONE)
		return ERR_OK;
	if (rc != SQLITE_ROW)
		return sql_error(sqlite3_db_handle(failure), rc, e, "read the other spool");
	again.attempts = attempts_of(failure, 0);
	again.code = (const char *)sqlite3_column_text(failure, 1);
	return store_settle(s, &again, 1, e);
}

static enum err import_walk(struct store *s, struct import *im, struct block_walk *w, sqlite3_stmt *failure,
                            struct error *e)
{
	struct block_message found;
	enum err err = ERR_OK;
	int rc = SQLITE_DONE;

	while (err == ERR_OK && (rc = walk_next(w, &found)) == SQLITE_ROW) {
		struct message *m;
		bool out = false;

		im->damaged += !found.is_sound;
		if (!found.is_sound)
			continue;
		err = leave_out(s, im, &found.row, &out, e);
		if (err != ERR_OK || out)
			continue;
		m = row_message(&found.row);
		err = store_leads_note_as(s, copy_clock_lead(&im->clock, found.row.id), e);
		if (err == ERR_OK)
			err = store_append(s, m, e);
		if (err == ERR_OK)
			err = import_failure(s, failure, found.row.id, m->id, e);
		message_free(m);
	}
	if (err != ERR_OK || rc == SQLITE_DONE)
		return err;
	return sql_error(im->db, rc, e, "read the other spool");
}

static enum err import_pending(struct store *s, struct import *im, struct error *e)
{
	sqlite3 *db = im->db;
	CLEANUP(sql_finish) sqlite3_stmt *failure = NULL;
	struct block_walk w;
	int rc = sqlite3_prepare_v2(
	    db,
	    im->has_sides ? "SELECT attempts, code, reason FROM failures WHERE id = ?1 AND " FAILURE_IS_SOUND
	                  : "SELECT attempts, code, reason FROM failures WHERE id = ?1",
	    -1, &failure, NULL);
	enum err err;

	if (rc == SQLITE_OK)
		rc = store_walk_whole(&w, db);
	if (rc != SQLITE_OK)
		return sql_error(db, rc, e, "read the other spool");
	err = import_walk(s, im, &w, failure, e);
	walk_close(&w);
	return err;
}

/* Columns from 5 on: attempts, code, reason, and whether these are what was written. */
static enum err import_dead_row(struct store *s, struct import *im, sqlite3_stmt *st, struct error *e)
{
	const struct store_row row = row_read(st);
	const bool is_noted = sqlite3_column_int(st, 8) != 0;
	const char *code = is_noted ? (const char *)sqlite3_column_text(st, 6) : STORE_NOTE_LOST_CODE;
	const char *reason = is_noted ? (const char *)sqlite3_column_text(st, 7) : STORE_NOTE_LOST_REASON;
	struct message *m;
	bool out = !row_is_sound(&row, im->tag);
	enum err err = ERR_OK;

	im->damaged += out;
	if (!out)
		err = leave_out(s, im, &row, &out, e);
	if (err != ERR_OK || out)
		return err;
	m = row_message(&row);
	m->attempts = is_noted ? attempts_of(st, 5) : 0;
	message_fail(m, NULL, reason);
	err = store_append_dead(s, m, code ? code : "", e);
	message_free(m);
	return err;
}

static enum err import_dead(struct store *s, struct import *im, struct error *e)
{
	sqlite3 *db = im->db;
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	AUTOFREE char *sql = mem_format(ROW_SELECT ", attempts, code, reason, %s FROM"
	                                           " dead ORDER BY id",
	                                im->has_sides ? DEAD_NOTE_IS_SOUND : "1");
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	enum err err = ERR_OK;

	if (rc == SQLITE_OK)
		while (err == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
			err = import_dead_row(s, im, st, e);
	if (err != ERR_OK || rc == SQLITE_DONE)
		return err;
	return sql_error(db, rc, e, "read the other spool");
}

static enum err put_note(struct store *s, const struct import *m, const void *key, size_t bytes, uint64_t messages,
                         struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORT_PUT);

	(void)sqlite3_bind_blob64(st, 1, key, bytes, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, clock_wall_ms());
	sql_bind_u64(st, 3, messages);
	sql_bind_u64(st, 4, m->next_id);
	return store_run(s, st, e, "note the copy");
}

/* The copy, and which messages of that spool were taken in now. */
static enum err note_copy(struct store *s, struct import *m, struct error *e)
{
	AUTOFREE unsigned char *key = mem_zero(TAKEN_KEY + TAKEN_PIECE_BYTES);
	uint64_t number = 0;
	size_t at = 0, bytes;
	enum err err;

	memcpy(key, &m->mark, MARK_BYTES);
	err = put_note(s, m, key, MARK_BYTES + 1, m->mark.messages, e);
	put_little(key, TAKEN_MAGIC, 8);
	while (err == ERR_OK && (bytes = taken_write(&m->now, &at, key + TAKEN_KEY)) > 0) {
		put_little(key + 16, number++, 8);
		err = put_note(s, m, key, TAKEN_KEY + bytes, 0, e);
	}
	return err;
}

/* Nothing is new, or nobody can know. */
static enum err refuse_nothing_new(const struct import *m, struct error *e)
{
	if (m->gone > 0)
		return error_set(
		    e, ERR_INPUT,
		    "this is a copy of this very spool: %" PRIu64 " of its messages are here, and %" PRIu64
		    " are not any more, be it that they were sent or lost; with --again all are taken in once"
		    " more, and sent twice",
		    m->left_out, m->gone);
	if (m->rows == 0 && m->left_out == 0 && m->damaged > 0)
		return error_set(e, ERR_DAMAGED, "none of its %" PRIu64 " messages is what was written", m->damaged);
	if (m->rows > 0 || m->left_out == 0)
		return ERR_OK;
	return error_set(e, ERR_INPUT,
	                 m->is_own ? "this is a copy of this very spool, which holds its %" PRIu64
	                             " messages still; with --again they are taken in once more, and sent twice"
	                           : "all %" PRIu64
	                             " messages of this copy were taken in before, with other copies of that"
	                             " spool; with --again they are taken in once more, and sent twice",
	                 m->left_out);
}

/* Of one copy at least it is not known any more that it was taken in: this may be it. */
static enum err is_copy_lost(struct store *s, bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORTS_LOST);
	const int rc = sqlite3_step(st);

	*ret = rc == SQLITE_ROW && (sqlite3_column_int64(st, 0) > 0 || store_imports_are_lost(s));
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "look for other copies");
}

/* Ids begin at 1: no walk comes to what stands below. */
static enum err refuse_hidden(struct import *m, struct error *e)
{
	static const char *const tables[] = {"messages", "blocks"};
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof tables / sizeof *tables && err == ERR_OK; i++) {
		AUTOFREE char *sql = mem_format("SELECT count(*) FROM %s WHERE id < 1", tables[i]);
		int64_t rows = 0;
		bool is_there;
		const int rc = sql_has_column(m->db, tables[i], "id", &is_there);

		if (rc != SQLITE_OK)
			err = sql_error(m->db, rc, e, "look for a table");
		else if (is_there)
			err = sql_number(m->db, sql, &rows, e);
		if (err == ERR_OK && rows > 0)
			err = error_set(e, ERR_DAMAGED,
			                "%" PRId64 " rows of %s there have an id that none can have; repair it first",
			                rows, tables[i]);
	}
	return err;
}

static enum err import_mark(struct store *s, struct import *m, struct error *e)
{
	int64_t version = 0;
	enum err err = copy_mark_read(s, m->db, &m->mark, &m->is_lost, e);

	m->tag = sum_tag_of(copy_mark_spool(&m->mark));
	if (err == ERR_OK)
		err = sql_number(m->db, "PRAGMA user_version", &version, e);
	m->has_sides = version == schema_steps[schema_step_count - 1].version;
	if (err == ERR_OK)
		err = refuse_hidden(m, e);
	return err == ERR_OK && m->has_sides ? side_functions(m->db, &m->tag, e) : err;
}

static enum err import_all(struct store *s, struct import *m, struct error *e)
{
	enum err err = import_mark(s, m, e);

	m->next_id = s->now.next_id;
	m->is_own = spool_id_is_known(s->id) && m->mark.spool_high == s->id.high && m->mark.spool_low == s->id.low;
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err == ERR_OK)
		err = refuse_known_copy(s, &m->mark, &m->is_known, e);
	if (err == ERR_INPUT && m->again)
		err = ERR_OK;
	if (err == ERR_OK)
		err = copy_taken_read(s, m->db, &m->mark, &m->before, e);
	if (err == ERR_OK && m->tag == 0 && !m->before.is_same)
		err = is_own_copy(s, &m->mark, &m->is_own, e);
	m->is_known |= m->is_own && m->again;
	if (err == ERR_OK && !m->is_known)
		err = is_copy_lost(s, &m->is_known, e);
	m->is_known |= m->is_lost && m->tag == 0;
	if (err == ERR_OK)
		err = store_byway_each(s, m->db, m->tag, &m->way, e);
	if (err == ERR_OK)
		err = copy_clock_read(m->db, m->tag, store_clock_ms(s), &m->clock, e);
	if (err == ERR_OK)
		err = import_pending(s, m, e);
	if (err == ERR_OK)
		err = import_dead(s, m, e);
	if (err == ERR_OK)
		err = refuse_nothing_new(m, e);
	if (err == ERR_OK && m->mark.messages > 0)
		err = note_copy(s, m, e);
	if (err == ERR_OK)
		err = store_byway_each(s, m->db, m->tag, NULL, e);
	if (err == ERR_OK && m->is_lost) /* what comes from a sound copy of that spool is not told from it */
		err = store_exec(s, STORE_IMPORTS_UNKNOWN_SQL, e, "note the copy");
	if (err == ERR_OK)
		err = store_rows_changed(s, e);
	if (err == ERR_OK && m->is_known)
		s->now.possible += m->rows;
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err != ERR_OK)
		store_rollback(s);
	return err;
}

enum err store_import(struct store *s, const char *source, bool again, uint64_t *ret_rows, struct error *e)
{
	struct import m = {.again = again};
	struct stat st, own;
	enum err err;

	*ret_rows = s->import_left_out = s->import_damaged = s->import_by_way = 0;
	if (lstat(source, &st) != 0)
		return error_set_errno(e, ERR_NOINPUT, "%s", source);
	if (!S_ISREG(st.st_mode))
		return error_set(e, ERR_INPUT, "%s is not a plain file", source);
	if (stat(s->path, &own) == 0 && own.st_dev == st.st_dev && own.st_ino == st.st_ino)
		return error_set(e, ERR_INPUT, "%s is this very spool; name the copy of another one", source);
	err = wal_must_be_whole(source, e);
	if (err == ERR_OK)
		err = sql_reader_open(source, NULL, &m.db, e);
	if (err == ERR_OK)
		err = store_check_source(m.db, source, e);
	if (err == ERR_OK)
		err = import_all(s, &m, e);
	(void)sqlite3_close_v2(m.db);
	copy_taken_fini(&m.before);
	taken_fini(&m.now);
	copy_clock_fini(&m.clock);
	store_byway_fini(&m.way);
	if (err == ERR_OK) {
		*ret_rows = m.rows;
		s->import_left_out = m.left_out;
		s->import_damaged = m.damaged;
		return ERR_OK;
	}
	err = store_is_no_producer(err, e);
	if (err == ERR_DAMAGED) /* of the source: the caller must not take it for its own */
		err = ERR_INPUT;
	if (e)
		e->code = err;
	(void)error_wrap(e, "import of %s", source);
	return err;
}

uint64_t store_import_left_out(const struct store *s) { return s->import_left_out; }

uint64_t store_import_damaged(const struct store *s) { return s->import_damaged; }

uint64_t store_import_by_way(const struct store *s) { return s->import_by_way; }
