/* A group ends well: the ledger with it, synced; and the log goes into the database. */
#include "store/store_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"

enum {
	ROW_COMMITS = 32, /* that the ledger's row may be behind */
	ROW_MS = 10000,   /* of own time that a power cut may take back */
	LOG_LEAST_PAGES = 16,
};

static enum err recount_bytes(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PENDING_BYTES);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		s->now.pending_bytes = sql_column_u64(st, 0);
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "count bytes");
}

void store_let_ledger_wait(struct store *s)
{
	must(s->in_group);
	s->lag.may_wait = true;
}

/* The group changed nothing but by the blocks that it inserted, and neither clock nor flight have gone far. */
static bool row_can_wait(const struct store *s)
{
	struct totals with_blocks = s->durable;

	with_blocks.ledger.accepted += s->lag.group_messages;
	with_blocks.ledger.pending += s->lag.group_messages;
	with_blocks.pending_bytes += s->lag.group_bytes;
	with_blocks.next_id = s->now.next_id;
	return s->lag.may_wait && !s->clock_is_due && s->lag.commits < ROW_COMMITS &&
	       memcmp(&with_blocks, &s->now, offsetof(struct totals, retrying)) == 0 &&
	       (uint64_t)store_clock_ms(s) - s->lag.clock_ms < ROW_MS && s->handed_noted <= s->lag.handed &&
	       s->possible_noted <= s->now.possible;
}

/*
 * Once what may have been the lowest has left; what is inserted lower says so itself. In a tree whose pages were
 * exchanged what stands first is not found by its id: rows below it would be taken for gone.
 */
static enum err note_lowest(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LOWEST);
	bool in_order = true;
	int rc;

	sql_bind_u64(st, 1, s->now.next_id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		s->now.blocks_from = sql_column_u64(st, 0);
		s->now.rows_from = sql_column_u64(st, 1);
		in_order = sqlite3_column_int(st, 2) != 0;
	}
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW)
		return store_fail(s, rc, e, "look for the lowest id");
	return in_order ? ERR_OK : store_out_of_order(s, e);
}

/* What the group inserted stands in the tables. */
static enum err put_row(struct store *s, struct error *e)
{
	enum err err = s->left_low ? note_lowest(s, e) : ERR_OK;

	if (err != ERR_OK)
		return err;
	s->now.commits++;
	s->now.clock_ms = (uint64_t)store_clock_ms(s);
	s->now.handed = s->handed_noted + s->handed_noted / HANDED_SPARE;
	s->now.possible = store_most(s->now.possible, s->possible_noted);
	return store_ledger_put(s, e);
}

/* But for ids that a group which was refused had given out; a start may have found out more of them. */
static bool has_moved(const struct store *s)
{
	struct totals with_gap = s->durable;

	if (s->lag.may_wait)
		with_gap.next_id = s->now.next_id;
	return memcmp(&s->now, &with_gap, offsetof(struct totals, retrying)) != 0;
}

static void committed(struct store *s, bool row_is_put)
{
	const uint64_t old_next = s->durable.next_id;
	const bool is_proven = row_is_put || s->lag.group_messages > 0;

	s->in_group = false;
	if (s->left) /* a database that is being made moves no message */
		left_keep(s->left, s->now.commits);
	s->possible_untold += s->possible_in_group;
	s->possible_in_group = 0;
	store_forget_group(s);
	s->clock_is_due = false;
	s->leads_durable = s->lead_count;
	s->rows_durable = s->rows;
	s->durable = s->now;
	if (!is_proven) /* of a group that was refused: nothing on the disk says that they were given out */
		s->durable.next_id = old_next;
	if (row_is_put) {
		s->lag = (struct row_lag){.clock_ms = s->now.clock_ms, .handed = s->now.handed};
		s->row = s->now;
	} else if (s->durable.next_id != old_next) {
		s->lag.commits++;
	}
	if (row_is_put || s->durable.next_id != old_next)
		store_tide_write(s);
	store_space_after_commit(s, s->now.next_id != s->id_before);
}

enum err store_commit(struct store *s, struct error *e)
{
	bool moved = has_moved(s);
	enum err err;

	moved |= s->clock_is_due || (s->lag.commits > 0 && !s->lag.may_wait);
	must(s->in_group);
	must(store_ledger_balances(&s->now));
	err = store_block_flush(s, e);
	if (err == ERR_OK)
		err = store_marks_flush(s, e);
	if (err == ERR_OK)
		err = store_losses_flush(s, e);
	if (err == ERR_OK)
		err = store_left_note_commit(s, e);
	if (err != ERR_OK)
		return err;
	must(s->now.next_id >= s->durable.next_id);
	if (s->now.ledger.pending == 0)
		s->now.pending_bytes = 0;
	else if (s->recount)
		err = recount_bytes(s, e);
	moved = moved && !row_can_wait(s);
	/* Else nothing would say that the tide mark, which counts these rows, is older. */
	moved |= s->lag.group_messages == 0 && memcmp(&s->rows, &s->rows_durable, sizeof s->rows) != 0;
	/* A log begins with a ledger, whatever its first commit is about: it names the spool. */
	moved |= s->wal_frames == 0 && sqlite3_total_changes(s->db) != s->changes_before;
	if (err == ERR_OK && moved)
		err = put_row(s, e);
	if (err == ERR_OK) /* before a byte is written: what goes behind another's frames is not durable */
		err = store_watch_log(s, e);
	if (err != ERR_OK)
		return err;
	FAILPOINT("before_commit");
	err = store_run(s, store_statement(s, ST_COMMIT), e, "commit");
	if (err != ERR_OK)
		return err;
	FAILPOINT("after_commit");
	committed(s, moved);
	return ERR_OK;
}

enum err store_put_ledger(struct store *s, struct error *e)
{
	enum err err;

	if (s->lag.commits == 0)
		return ERR_OK;
	err = store_begin(s, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

enum err store_put_possible(struct store *s, uint64_t possible, struct error *e)
{
	enum err err = store_begin(s, e);

	if (err != ERR_OK)
		return err;
	s->now.possible = store_most(s->now.possible, possible);
	return store_commit(s, e);
}

/* A log is not worth a checkpoint before. */
static uint64_t log_least(const struct store *s)
{
	const uint64_t least = LOG_LEAST_PAGES * (uint64_t)s->page_bytes, room = s->free_bytes / 4;

	return store_least(store_most(room, least), s->log_least);
}

/* The database must be able to take what the log holds: near a full disk the log stays short. */
static uint64_t log_limit(const struct store *s)
{
	const uint64_t room = files_free_bytes(&s->files) / 4;
	const uint64_t held =
	    s->log_held - s->log_held / 5; /* the last commits of a log may pass its mark by so much */
	const uint64_t limit = s->options.reserve_bytes > 0 ? store_least(room, held) : room;

	return store_most(store_least(limit, CHECKPOINT_BYTES), log_least(s));
}

enum err store_checkpoint(struct store *s, bool force, struct error *e)
{
	int in_log = 0, written = 0;
	enum err err;
	int rc;

	must(!s->in_group);
	force |= s->log_is_due;
	if (!force && (uint64_t)s->wal_frames * s->page_bytes < log_least(s))
		return ERR_OK;
	if (!force && (uint64_t)s->wal_frames * s->page_bytes < log_limit(s))
		return ERR_OK;
	/* The row in the file says exactly which state the file has: what a log must fit. */
	err = store_put_ledger(s, e);
	if (err != ERR_OK && err != ERR_FULL)
		return err;
	err = store_watch_inside(s, e);
	if (err != ERR_OK)
		return err;
	if (s->left)
		left_sync(s->left, s->durable.commits); /* what the log could prove besides goes with it */
	FAILPOINT("before_checkpoint");
	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &written);
	if (rc != SQLITE_OK) {
		store_watch_note(s);
		return store_fail(s, rc, e, "checkpoint");
	}
	must(in_log == written); /* one connection: no reader can hold it back */
	FAILPOINT("after_checkpoint");
	store_ledger_log_begins(s);
	s->log_is_due = false;
	s->wal_frames = 0; /* the next commit starts the log from its beginning */
	s->checkpoints++;
	s->free_checked_ms = 0;
	store_watch_note(s);
	return ERR_OK;
}
