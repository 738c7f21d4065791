/* A group ends well: the ledger with it, synced; and the log goes into the database. */
#include "store/store_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "store/schema.h"

static enum err recount_bytes(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PENDING_BYTES);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		s->now.pending_bytes = sql_column_u64(st, 0);
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "count bytes");
}

enum err store_commit(struct store *s, struct error *e)
{
	bool moved = memcmp(&s->now, &s->durable, offsetof(struct totals, retrying)) != 0;
	uint64_t old_next = s->durable.next_id;
	enum err err;

	moved |= s->clock_is_due;
	must(s->in_group);
	must(store_ledger_balances(&s->now));
	err = store_block_flush(s, e);
	if (err == ERR_OK)
		err = store_marks_flush(s, e);
	if (err != ERR_OK)
		return err;
	must(s->now.next_id >= old_next);
	if (s->now.ledger.pending == 0)
		s->now.pending_bytes = 0;
	else if (s->recount)
		err = recount_bytes(s, e);
	if (moved) {
		s->now.clock_ms = (uint64_t)store_clock_ms(s);
		s->now.handed = s->handed_noted;
		if (s->possible_noted > s->now.possible)
			s->now.possible = s->possible_noted;
	}
	if (err == ERR_OK && moved)
		err = store_ledger_put(s, e);
	if (err != ERR_OK)
		return err;
	FAILPOINT("before_commit");
	err = store_run(s, store_statement(s, ST_COMMIT), e, "commit");
	if (err != ERR_OK)
		return err;
	FAILPOINT("after_commit");
	s->in_group = false;
	store_forget_group(s);
	s->clock_is_due = false;
	s->leads_durable = s->lead_count;
	s->durable = s->now;
	if (s->now.next_id != old_next)
		files_tide_write(&s->files, (uint32_t)schema_steps[schema_step_count - 1].version, s->now.next_id - 1);
	store_space_after_commit(s);
	return ERR_OK;
}

/* The database must be able to take what the log holds: near a full disk the log stays short. */
static uint64_t log_limit(const struct store *s)
{
	uint64_t limit = files_free_bytes(&s->files) / 4;
	uint64_t held = s->log_held - s->log_held / 5; /* the last commits of a log may pass its mark by so much */

	if (s->options.reserve_bytes > 0 && limit > held)
		limit = held;
	if (limit > CHECKPOINT_BYTES)
		limit = CHECKPOINT_BYTES;
	return limit > MIN_CHECKPOINT_BYTES ? limit : MIN_CHECKPOINT_BYTES;
}

enum err store_checkpoint(struct store *s, bool force, struct error *e)
{
	int in_log = 0, written = 0;
	int rc;

	must(!s->in_group);
	if (!force && (uint64_t)s->wal_frames * s->page_bytes < MIN_CHECKPOINT_BYTES)
		return ERR_OK;
	if (!force && (uint64_t)s->wal_frames * s->page_bytes < log_limit(s))
		return ERR_OK;
	FAILPOINT("before_checkpoint");
	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &written);
	if (rc != SQLITE_OK)
		return store_fail(s, rc, e, "checkpoint");
	must(in_log == written); /* one connection: no reader can hold it back */
	FAILPOINT("after_checkpoint");
	s->wal_frames = 0; /* the next commit starts the log from its beginning */
	s->checkpoints++;
	s->free_checked_ms = 0;
	store_watch_note(s);
	return ERR_OK;
}
