/* A transaction begins, runs its statements, or fails: the floor of the room. store_commit.c ends one well. And what
 * the exit is prepaid with: the reserve, and the log at its largest. */
#include "store/store_internal.h"

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "store/files/vfs.h"
#include "store/files/wal_format.h"

enum { TAKE_BACK_PART = 32 };

sqlite3_stmt *store_statement(struct store *s, enum store_statement id)
{
	sqlite3_stmt *st = s->statements[id];

	(void)sqlite3_reset(st);
	return st;
}

enum err store_distrust(struct store *s, const struct error *why)
{
	store_rollback(s);
	if (!s->is_looked_at)
		files_marker_put(&s->files, why->text);
	s->untrusted = true;
	s->untrusted_why = *why;
	return why->code;
}

static void note_refusal(struct store *s)
{
	if (!s->disk_refused || s->tries_disk)
		s->refusals++;
	s->disk_refused = true;
	s->tries_disk = false;
	s->refused_ms = clock_mono_ms();
}

/* FULL, IOERR, NOMEM and others may have ended the transaction by themselves. */
enum err store_failed(struct store *s, enum err code, struct error *e)
{
	(void)error_wrap(e, "spool %s", s->path);
	store_rollback(s);
	if (code == ERR_FULL)
		note_refusal(s);
	return code == ERR_DISK ? store_distrust(s, e) : code;
}

enum err store_fail(struct store *s, int rc, struct error *e, const char *what)
{
	struct error local;
	struct error *to = e ? e : &local;

	return store_failed(s, sql_error(s->db, rc, to, what), to);
}

enum err store_number(struct store *s, const char *sql, int64_t *ret, struct error *e)
{
	struct error local;
	struct error *to = e ? e : &local;
	enum err err = sql_number(s->db, sql, ret, to);

	return err == ERR_OK ? ERR_OK : store_failed(s, err, to);
}

enum err store_exec(struct store *s, const char *sql, struct error *e, const char *what)
{
	struct error local;
	struct error *to = e ? e : &local;
	const enum err err = sql_exec(s->db, sql, to, what);

	return err == ERR_OK ? ERR_OK : store_failed(s, err, to);
}

enum err store_no_fault(const char *path, struct error *e)
{
	if (vfs_fault() == 0 && sql_lacked_memory())
		return error_set(e, ERR_MEMORY,
		                 "%s: there was no memory to look at it; nothing was set aside, a restart is safe",
		                 path);
	if (vfs_fault() == 0)
		return ERR_OK;
	return error_set(e, ERR_DISK, "%s could not be read: %s; nothing was set aside, a restart is safe%s", path,
	                 strerror(vfs_fault()), vfs_fault() == EIO ? FILES_DEAD_WAY : "");
}

enum err store_told_fault(const struct store *s, enum err err, struct error *e)
{
	struct error fault;
	const bool is_told = err == ERR_DISK || err == ERR_FULL || err == ERR_MEMORY;
	const enum err found = is_told ? ERR_OK : store_no_fault(s->path, &fault);

	if (found != ERR_OK && e)
		*e = fault;
	return found != ERR_OK ? found : err;
}

enum err store_is_no_producer(enum err err, struct error *e)
{
	if (err != ERR_FULL)
		return err;
	if (e)
		e->code = ERR_NOSPACE;
	(void)error_wrap(e, "no room for it; make some and try again");
	return ERR_NOSPACE;
}

enum err store_run(struct store *s, sqlite3_stmt *st, struct error *e, const char *what)
{
	int rc = sqlite3_step(st);

	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, what);
}

enum err store_begin(struct store *s, struct error *e)
{
	enum err err;

	must(!s->in_group);
	must(memcmp(&s->now.ledger, &s->durable.ledger, sizeof s->now.ledger) == 0);
	must(s->now.next_id >= s->durable.next_id);
	if (s->log_given) {
		s->log_given = false;
		store_reserve(s);
	}
	FAILPOINT("before_begin");
	err = store_run(s, store_statement(s, ST_BEGIN), e, "begin");
	if (err != ERR_OK)
		return err;
	s->in_group = true;
	s->changes_before = sqlite3_total_changes(s->db);
	s->id_before = s->now.next_id;
	s->recount = s->left_low = false;
	s->possible_in_group = 0;
	s->lag.may_wait = s->lead_is_noted = s->tries_disk = s->size.is_known = false;
	s->lag.group_messages = s->lag.group_bytes = s->group_beside = 0;
	must(s->fill.count == 0);
	store_forget_group(s);
	return ERR_OK;
}

void store_forget_group(struct store *s)
{
	s->marks.count = 0;
	block_fill_clear(&s->fill);
	memset(s->losses, 0, sizeof s->losses);
	if (s->left)
		left_forget(s->left);
	s->came_back = 0;
}

bool store_in_group(const struct store *s) { return s->in_group; }

enum err store_trust(const struct store *s, struct error *e)
{
	if (!s->untrusted)
		return ERR_OK;
	*e = s->untrusted_why;
	return e->code;
}

void store_rollback(struct store *s)
{
	uint64_t next_id = s->now.next_id;

	if (s->db && !sqlite3_get_autocommit(s->db)) {
		sqlite3_stmt *st = s->statements[ST_ROLLBACK];

		if (!st || sqlite3_step(st) != SQLITE_DONE)
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		(void)sqlite3_reset(st);
	}
	store_forget_group(s);
	if (!s->in_group)
		return;
	s->in_group = false;
	s->evict_after = 0;
	s->clock_is_due = false;
	s->lead_count = s->leads_durable;
	s->rows = s->rows_durable;
	s->now = s->durable;
	s->now.next_id = next_id; /* an id that was given out once is not given out again */
}

uint64_t store_spare_bytes(const struct store *s)
{
	uint64_t least = s->options.min_free_bytes;

	return least > UINT64_MAX / 11 * 10 ? least : least + least / 10;
}

bool store_make_reserve(const struct store *s)
{
	return files_reserve_make(&s->files, files_share(&s->files, s->options.reserve_bytes), store_spare_bytes(s));
}

/* Of the log's blocks, what commits may still fill: the database must take what is in it before that is free again. */
uint64_t store_log_room(struct store *s)
{
	const uint64_t held = files_held(&s->files, "-wal"),
	               used = s->wal_frames * (UINT64_C(0) + WAL_FRAME_HEADER_BYTES + s->page_bytes);

	return store_beyond(held, used);
}

void store_take_back(struct store *s, uint64_t had_bytes)
{
	const uint64_t has = files_held(&s->files, ".reserve"), free = files_free_bytes(&s->files);
	uint64_t bytes = files_share(&s->files, s->options.reserve_bytes);

	if (!s->reserve_given)
		return;
	s->reserve_given = !store_make_reserve(s);
	bytes = store_least(store_least(bytes, had_bytes), has + free);
	/* The file system's own part of what is free: it does not say how much that is. */
	while (s->reserve_given && bytes > has && !files_reserve_make(&s->files, bytes, 0))
		bytes -= bytes / TAKE_BACK_PART + 1;
	s->free_checked_ms = 0;
}

int store_cut_log(struct store *s)
{
	const uint64_t had = files_held(&s->files, "-wal") + files_held(&s->files, ".reserve");
	const int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	if (rc == SQLITE_OK)
		store_take_back(s, had);
	return rc;
}

void store_reserve(struct store *s)
{
	if (s->options.reserve_bytes == 0)
		return;
	s->reserve_given = !store_make_reserve(s);
	s->log_held = files_wal_hold(&s->files, WAL_HOLD_BYTES, store_spare_bytes(s));
}
