/*
 * Rows beside the messages that are not what was written: mended when one wrong bit explains them, else cleared away.
 *
 * Invariants:
 * 1. A row that says that something left, or was read, or waits is believed only when its checksum holds: what is then
 *    sent again is counted, and nothing waits for a time that a damaged row names.
 * 2. An index is held against its table, and made anew when they differ: the table's rows have checksums.
 * 3. A row is mended only when exactly one bit of it is wrong, and what the row then says of itself agrees.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum { SUSPECT_MS = 60 * 1000 };

/* What is run has no parameters, and gives one number. */
static enum err number_of(struct store *s, enum store_statement id, int64_t *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);
	int rc = sqlite3_step(st);

	*ret = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "look at rows beside the messages");
}

/* The index is made anew when it does not have what the table has; then wrong rows go. */
static enum err mend_indexed(struct store *s, enum store_statement index, const char *again, enum store_statement wrong,
                             int64_t *ret_differ, int64_t *ret_gone, struct error *e)
{
	enum err err = number_of(s, index, ret_differ, e);

	if (err == ERR_OK && *ret_differ > 0)
		err = store_exec(s, again, e, "make an index anew");
	if (err == ERR_OK)
		err = store_run(s, store_statement(s, wrong), e, "clear damaged rows away");
	if (err == ERR_OK)
		*ret_gone = sqlite3_changes(s->db);
	return err;
}

static enum err mend_failures(struct store *s, struct store_report *report, struct error *e)
{
	int64_t differ, gone;
	enum err err =
	    mend_indexed(s, ST_FAILURES_INDEX, "REINDEX failures_next", ST_FAILURES_WRONG, &differ, &gone, e);

	if (err != ERR_OK)
		return err;
	if (differ > 0)
		store_warn(report, "the index of retry times was damaged and was made anew");
	if (gone > 0)
		store_warn(report, "of %lld messages the attempts were damaged: they are sent at once, as if anew",
		           (long long)gone);
	return ERR_OK;
}

static enum err mend_keys(struct store *s, struct side_mended *m, struct store_report *report, struct error *e)
{
	int64_t differ, gone;
	enum err err = mend_indexed(s, ST_CACHE_INDEX, "REINDEX cache_expires", ST_CACHE_WRONG, &differ, &gone, e);

	if (err != ERR_OK)
		return err;
	if (differ > 0)
		store_warn(report, "the index of dedupe keys was damaged and was made anew");
	if (gone > 0)
		store_warn(report, "%lld dedupe keys were damaged and are forgotten: what they kept back may be sent",
		           (long long)gone);
	m->possible += (uint64_t)gone;
	s->rows.keys = store_beyond(s->rows.keys, (uint64_t)gone);
	return ERR_OK;
}

/* A row of `partial` that is not what was written, as it stands. */
struct wrong_mark {
	struct block_mark mark;
	int64_t checksum;
	bool has_bits; /* as many as there must be */
	bool has_block;
	uint32_t block_count;
};

static enum err next_wrong_mark(struct store *s, struct wrong_mark *ret, bool *ret_found, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_MARKS_WRONG);
	int rc = sqlite3_step(st);
	const void *bits = rc == SQLITE_ROW ? sqlite3_column_blob(st, 4) : NULL;

	*ret = (struct wrong_mark){.mark = {.id = sql_column_u64(st, 0),
	                                    .settled = (uint32_t)sqlite3_column_int64(st, 1),
	                                    .bytes = sql_column_u64(st, 2)},
	                           .checksum = sqlite3_column_int64(st, 3),
	                           .has_block = sqlite3_column_int(st, 5) != 0,
	                           .block_count = block_count(sqlite3_column_int64(st, 6))};
	ret->has_bits = bits && (size_t)sqlite3_column_bytes(st, 4) == sizeof ret->mark.bits;
	if (ret->has_bits)
		memcpy(ret->mark.bits, bits, sizeof ret->mark.bits);
	(void)sqlite3_reset(st);
	*ret_found = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look at what left blocks");
}

static bool mark_agrees(const struct store *s, const struct block_mark *m, int64_t checksum)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < sizeof m->bits; i++)
		bits += (uint32_t)__builtin_popcount(m->bits[i]);
	return bits == m->settled && mark_is_sound(m, checksum, s->tag);
}

/* True: with one bit turned, of any column, the row is what was written; *m is that row. */
static bool turn_one_bit(const struct store *s, struct block_mark *m, int64_t checksum)
{
	const struct {
		void *at;
		size_t bytes;
	} columns[] = {{&m->id, sizeof m->id},
	               {&m->settled, sizeof m->settled},
	               {&m->bytes, sizeof m->bytes},
	               {m->bits, sizeof m->bits},
	               {&checksum, sizeof checksum}};

	if (mark_agrees(s, m, checksum)) /* one above what fits here */
		return true;
	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		for (size_t bit = 0; bit < columns[i].bytes * 8; bit++) {
			unsigned char *byte = (unsigned char *)columns[i].at + bit / 8;

			*byte ^= (unsigned char)(1 << bit % 8);
			if (mark_agrees(s, m, checksum))
				return true;
			*byte ^= (unsigned char)(1 << bit % 8);
		}
	return false;
}

/* Of a block that has none; *ret_count: how many messages it has. */
static enum err can_take_mark(struct store *s, uint64_t id, uint32_t settled, bool *ret, struct error *e)
{
	AUTOFREE char *sql =
	    mem_format("SELECT (SELECT count FROM blocks WHERE id = %" PRIu64 ")"
	               " > %" PRIu32 " AND NOT EXISTS (SELECT 1 FROM partial WHERE block_id = %" PRIu64 ")",
	               id, settled, id);
	int64_t can = 0;
	enum err err = id > INT64_MAX ? ERR_OK : store_number(s, sql, &can, e);

	*ret = can == 1;
	return err;
}

static enum err delete_mark(struct store *s, uint64_t id, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PARTIAL_DELETE);

	sql_bind_u64(st, 1, id);
	return store_run(s, st, e, "clear a damaged row away");
}

/* What stands elsewhere has left its block, whatever the mark says. */
static enum err mark_what_stands_elsewhere(struct store *s, uint64_t id, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCKS);
	struct block_mark *m = NULL;
	enum err err;
	int rc;

	sql_bind_u64(st, 1, id);
	sql_bind_u64(st, 2, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		block_read(s->block, st);
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW)
		return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a block");
	err = store_marks_get(s, s->block->id, s->block->count, &m, e);
	if (err != ERR_OK || s->block->count == 0)
		return err;
	st = store_statement(s, ST_LEFT_BLOCK);
	sql_bind_u64(st, 1, m->id);
	sql_bind_u64(st, 2, m->id + m->count - 1);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		const uint64_t gone = sql_column_u64(st, 0);
		const struct store_row *row = block_row(s->block, gone);

		mark_set(m, gone, row ? row->meta_bytes + row->body_bytes : 0);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for what left a block");
}

static enum err put_mark(struct store *s, const struct block_mark *mended, uint32_t count, struct error *e)
{
	struct block_mark *m;
	enum err err = store_marks_get(s, mended->id, count, &m, e);

	if (err != ERR_OK)
		return err;
	m->settled = mended->settled;
	m->bytes = mended->bytes;
	memcpy(m->bits, mended->bits, sizeof m->bits);
	m->is_dirty = true;
	return ERR_OK;
}

/* One wrong row less. */
static enum err mend_mark(struct store *s, const struct wrong_mark *w, bool *ret_mended, struct error *e)
{
	struct block_mark m = w->mark;
	enum err err = delete_mark(s, w->mark.id, e);

	*ret_mended = false;
	if (err == ERR_OK && w->has_bits && turn_one_bit(s, &m, w->checksum))
		err = can_take_mark(s, m.id, m.settled, ret_mended, e);
	if (err == ERR_OK && *ret_mended)
		err = put_mark(s, &m, BLOCK_MESSAGES, e);
	else if (err == ERR_OK && w->has_block)
		err = mark_what_stands_elsewhere(s, w->mark.id, e);
	return err == ERR_OK ? store_marks_flush(s, e) : err;
}

/* Marks whose blocks nobody knows: what stands elsewhere says of which it has left. */
enum err store_mend_unmarked(struct store *s, struct error *e)
{
	enum err err = ERR_OK;

	while (err == ERR_OK) {
		sqlite3_stmt *st = store_statement(s, ST_BLOCK_UNMARKED);
		const int rc = sqlite3_step(st);
		const uint64_t id = rc == SQLITE_ROW ? sql_column_u64(st, 0) : 0;

		(void)sqlite3_reset(st);
		if (rc != SQLITE_ROW)
			return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for what left a block");
		err = mark_what_stands_elsewhere(s, id, e);
		if (err == ERR_OK)
			err = store_marks_flush(s, e);
	}
	return err;
}

static enum err mend_marks(struct store *s, struct side_mended *ret, struct store_report *report, struct error *e)
{
	uint64_t mended = 0, lost = 0;
	bool found = true, strays = false;
	enum err err = ERR_OK;

	store_forget_group(s); /* what was read of the rows is not believed */
	while (err == ERR_OK) {
		struct wrong_mark w;
		bool is_mended;

		err = next_wrong_mark(s, &w, &found, e);
		if (err != ERR_OK || !found)
			break;
		err = mend_mark(s, &w, &is_mended, e);
		mended += is_mended;
		lost += !is_mended;
		strays |= !is_mended && !w.has_block;
		if (!is_mended)
			ret->waits_again += w.has_block ? w.block_count : BLOCK_MESSAGES;
	}
	if (err == ERR_OK && strays)
		err = store_mend_unmarked(s, e);
	store_forget_group(s);
	if (mended > 0)
		store_warn(report, "one bit of %llu rows that say what left its block was wrong and was mended",
		           (unsigned long long)mended);
	if (lost > 0)
		store_warn(report, "what left %llu blocks was damaged and is forgotten", (unsigned long long)lost);
	return err;
}

enum { POSITION_MAX_BYTES = 1024, POSITIONS_AT_ONCE = 64 };

/* A position as bytes: key, a zero byte, value; and its checksum. One that is longer than any of ours has no bytes. */
struct position_row {
	struct buf text;
	size_t key_bytes;
	int64_t checksum;
};

static bool position_agrees(const struct store *s, const struct position_row *r)
{
	const unsigned char *bytes = (const unsigned char *)r->text.data;
	const struct stored_value key = {.bytes = bytes, .count = r->key_bytes};
	const struct stored_value value = {.bytes = bytes + r->key_bytes + 1, .count = r->text.len - r->key_bytes - 1};

	return memchr(key.bytes, 0, key.count) == NULL && memchr(value.bytes, 0, value.count) == NULL &&
	       side_position_is_sound(&key, &value, r->checksum, s->tag);
}

static bool turn_one_bit_of_text(const struct store *s, struct position_row *r)
{
	for (size_t bit = 0; !r->text.overflow && bit < (r->text.len + sizeof r->checksum) * 8; bit++) {
		const size_t at = bit / 8;
		unsigned char *byte = at < r->text.len ? (unsigned char *)r->text.data + at
		                                       : (unsigned char *)&r->checksum + (at - r->text.len);

		*byte ^= (unsigned char)(1 << bit % 8);
		if (at != r->key_bytes && position_agrees(s, r))
			return true;
		*byte ^= (unsigned char)(1 << bit % 8);
	}
	return false;
}

/* Wrong rows, as many as fit: the table changes while they are mended. */
static enum err wrong_positions(struct store *s, struct position_row *rows, size_t *ret_count, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_POSITIONS_WRONG);
	int rc;

	*ret_count = 0;
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct position_row *r = &rows[*ret_count];

		if (*ret_count == POSITIONS_AT_ONCE)
			break;
		buf_init(&r->text, POSITION_MAX_BYTES);
		r->checksum = sqlite3_column_int64(st, 2);
		for (int i = 0; i < 2; i++) {
			(void)buf_add(&r->text, sqlite3_column_blob(st, i), (size_t)sqlite3_column_bytes(st, i));
			if (i == 0) {
				r->key_bytes = r->text.len;
				(void)buf_add_char(&r->text, '\0');
			}
		}
		++*ret_count;
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look at positions");
}

static enum err mend_position(struct store *s, struct position_row *r, bool *ret_mended, struct error *e)
{
	AUTOFREE char *key = mem_string_n(r->text.data, r->key_bytes);
	const uint64_t old = (uint64_t)r->checksum;
	sqlite3_stmt *st = store_statement(s, ST_POSITION_DELETE);
	enum err err;

	*ret_mended = turn_one_bit_of_text(s, r);
	if (!*ret_mended)
		return ERR_OK;
	(void)sqlite3_bind_text(st, 1, key, (int)r->key_bytes, SQLITE_STATIC);
	err = store_run(s, st, e, "clear a damaged position away");
	if (err != ERR_OK)
		return err;
	s->rows.positions_sum -= old;
	s->rows.positions--; /* it comes back at once */
	s->rows.positions_gone++;
	return store_position_put(s, r->text.data, r->text.data + r->key_bytes + 1, e);
}

/* Those of which more is wrong stay as they are: their source is read from its start (store_position_get). */
static enum err mend_positions(struct store *s, struct store_report *report, struct error *e)
{
	struct position_row rows[POSITIONS_AT_ONCE];
	uint64_t mended = 0;
	size_t count;
	enum err err = wrong_positions(s, rows, &count, e);

	s->positions_lost = 0;
	for (size_t i = 0; i < count; i++) {
		bool is_mended = false;

		if (err == ERR_OK)
			err = mend_position(s, &rows[i], &is_mended, e);
		mended += is_mended;
		s->positions_lost += !is_mended;
		buf_fini(&rows[i].text);
	}
	if (mended > 0)
		store_warn(report, "one bit of %llu positions of inputs was wrong and was mended",
		           (unsigned long long)mended);
	if (s->positions_lost > 0)
		store_warn(report,
		           "%llu positions of inputs are damaged: what they are of is read again from its start",
		           (unsigned long long)s->positions_lost);
	return err;
}

static enum err mend_losses(struct store *s, struct store_report *report, struct error *e)
{
	enum err err = store_exec(s, "DELETE FROM losses WHERE NOT " LOSS_IS_SOUND, e, "clear damaged rows away");
	const int gone = err == ERR_OK ? sqlite3_changes(s->db) : 0;

	if (gone > 0)
		store_warn(report, "%d rows that say why messages are damaged were not what was written", gone);
	return err;
}

enum err store_mend_rows(struct store *s, bool all, struct side_mended *ret, struct store_report *report,
                         struct error *e)
{
	enum err err;

	must(s->in_group);
	*ret = (struct side_mended){0};
	err = mend_failures(s, report, e);
	if (err == ERR_OK)
		err = mend_marks(s, ret, report, e);
	if (err == ERR_OK)
		err = mend_positions(s, report, e);
	if (err == ERR_OK)
		err = mend_losses(s, report, e);
	if (err == ERR_OK && all)
		err = mend_keys(s, ret, report, e);
	return err;
}

enum err store_settle_sides(struct store *s, struct sides_settled *ret, struct error *e)
{
	static const char notes[] =
	    "UPDATE dead SET attempts = 0, code = '" STORE_NOTE_LOST_CODE "', reason = '" STORE_NOTE_LOST_REASON
	    "', note_checksum = side_sum(7, id, died_ms, 0, '" STORE_NOTE_LOST_CODE "', '" STORE_NOTE_LOST_REASON
	    "') WHERE NOT " DEAD_NOTE_IS_SOUND;
	static const char positions[] =
	    "UPDATE positions SET value = '" STORE_POSITION_LOST "', checksum = position_sum(key, '" STORE_POSITION_LOST
	    "') WHERE NOT " POSITION_IS_SOUND;
	static const char copies[] = "DELETE FROM imports WHERE NOT " IMPORT_IS_SOUND;
	enum err err = store_begin(s, e);

	*ret = (struct sides_settled){0};
	if (err == ERR_OK)
		err = store_exec(s, notes, e, "mend the shelf's notes");
	ret->notes = err == ERR_OK ? (uint64_t)sqlite3_changes(s->db) : 0;
	if (err == ERR_OK)
		err = store_exec(s, positions, e, "forget damaged positions");
	ret->positions = err == ERR_OK ? (uint64_t)sqlite3_changes(s->db) : 0;
	if (err == ERR_OK)
		err = store_exec(s, copies, e, "forget damaged notes of copies");
	ret->copies = err == ERR_OK ? (uint64_t)sqlite3_changes(s->db) : 0;
	if (ret->copies > 0)
		err = store_exec(s, STORE_IMPORTS_UNKNOWN_SQL, e, "note that copies are forgotten");
	s->positions_lost = 0;
	if (err == ERR_OK)
		err = store_rows_changed(s, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

enum err store_failures_load(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_FAILURES_CLAMP);
	int rc;
	enum err err;

	(void)sqlite3_bind_int64(st, 1, store_clock_ms(s) + MAX_RETRY_WAIT_MS);
	err = store_run(s, st, e, "clamp retries");
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_FAILURES_TOTAL);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		s->now.retrying = sql_column_u64(st, 0);
		s->failures_max_id = sql_column_u64(st, 1);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "count failures");
}

enum err store_drop_left(struct store *s, const struct totals *t, struct store_report *report, struct error *e)
{
	const struct {
		const char *where;
		uint64_t from;
	} tables[] = {{"messages WHERE id", t->rows_from},
	              {"blocks WHERE id", t->blocks_from},
	              {"partial WHERE block_id", t->blocks_from}};
	uint64_t rows = 0;
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof tables / sizeof *tables && err == ERR_OK; i++) {
		AUTOFREE char *sql =
		    mem_format("DELETE FROM %s < %llu", tables[i].where, (unsigned long long)tables[i].from);

		err = store_exec(s, sql, e, "take away what had left");
		rows += err == ERR_OK ? (uint64_t)sqlite3_changes(s->db) : 0;
	}
	if (rows > 0)
		store_warn(report, "%llu rows of what had left stood there again, from an old page: taken away",
		           (unsigned long long)rows);
	return err;
}

bool store_mend_is_due(const struct store *s) { return s->mend_is_due; }

void store_suspect(struct store *s)
{
	const int64_t now_ms = clock_mono_ms();

	if (s->suspected_ms != 0 && now_ms - s->suspected_ms < SUSPECT_MS)
		return;
	s->suspected_ms = now_ms;
	s->mend_is_due = true;
}
