/* A group: begin, append, commit. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "store/schema.h"

enum {
	ROWS_AT_ONCE = 8, /* of INSERT_8: against one statement a row it saves a sixth of the thread's instructions */
	ROW_COLUMNS = 5,
};

sqlite3_stmt *store_statement(struct store *s, enum statement id)
{
	sqlite3_stmt *st = s->statements[id];

	(void)sqlite3_reset(st);
	return st;
}

/* FULL, IOERR, NOMEM and others may have ended the transaction by themselves. */
enum err store_fail(struct store *s, int rc, struct error *e, const char *what)
{
	struct error local;
	struct error *to = e ? e : &local;
	enum err code = sql_error(s->db, rc, to, what);

	(void)error_wrap(to, "spool %s", s->path);
	store_rollback(s);
	if (code == ERR_FULL)
		s->disk_refused = true;
	if (code == ERR_DISK) {
		files_marker_put(&s->files, to->text);
		s->untrusted = true;
		s->untrusted_why = *to;
	}
	return code;
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
	FAILPOINT("before_begin");
	err = store_run(s, store_statement(s, ST_BEGIN), e, "begin");
	if (err != ERR_OK)
		return err;
	s->in_group = true;
	s->recount = false;
	return ERR_OK;
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
	if (!s->in_group)
		return;
	s->in_group = false;
	s->evict_after = 0;
	s->now = s->durable;
	s->now.next_id = next_id; /* an id that was given out once is not given out again */
}

static void put_little(unsigned char *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

uint32_t store_row_checksum(uint64_t id, int64_t received_ms, const void *meta, size_t meta_bytes, const void *body,
                            size_t body_bytes)
{
	unsigned char head[24];
	uint32_t crc;

	put_little(head, id, 8);
	put_little(head + 8, (uint64_t)received_ms, 8);
	put_little(head + 16, meta_bytes, 4);
	put_little(head + 20, body_bytes, 4);
	crc = crc32c(0, head, sizeof head);
	crc = crc32c(crc, meta, meta_bytes);
	return crc32c(crc, body, body_bytes);
}

static enum err check_size(const struct store *s, const struct message *m, struct error *e)
{
	uint64_t bytes = (uint64_t)m->meta_bytes + m->body_bytes;

	if (s->options.max_message_bytes && m->body_bytes > s->options.max_message_bytes)
		return error_set(e, ERR_TOOBIG, "the message has %" PRIu32 " bytes, the limit is %" PRIu64,
		                 m->body_bytes, s->options.max_message_bytes);
	if (bytes > 900u << 20) /* below SQLite's limit of one row, 10^9 */
		return error_set(e, ERR_TOOBIG, "the message has %" PRIu64 " bytes with its metadata", bytes);
	return ERR_OK;
}

static void bind_row(sqlite3_stmt *st, int meta_at, const struct message *m)
{
	if (m->meta_bytes)
		(void)sqlite3_bind_blob64(st, meta_at, message_meta(m), m->meta_bytes, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(st, meta_at);
	(void)sqlite3_bind_blob64(st, meta_at + 1, message_body(m), m->body_bytes, SQLITE_STATIC);
}

static int32_t message_checksum(const struct message *m, uint64_t id)
{
	return (int32_t)store_row_checksum(id, m->received_ms, message_meta(m), m->meta_bytes, message_body(m),
	                                   m->body_bytes);
}

enum err store_admit(struct store *s, const struct message_list *list, struct error *e)
{
	const struct message *m;
	uint64_t bytes = 0;

	must(s->in_group);
	STAILQ_FOREACH (m, list, link) {
		enum err err = check_size(s, m, e);

		if (err != ERR_OK)
			return err;
		bytes += (uint64_t)m->meta_bytes + m->body_bytes;
	}
	return store_make_room(s, bytes, e);
}

enum err store_append(struct store *s, struct message *m, struct error *e)
{
	enum err err = check_size(s, m, e);

	must(s->in_group);
	if (err == ERR_OK)
		err = store_make_room(s, (uint64_t)m->meta_bytes + m->body_bytes, e);
	return err == ERR_OK ? store_append_admitted(s, m, e) : err;
}

static void count_in(struct store *s, struct message *m)
{
	FAILPOINT("after_insert");
	m->id = s->now.next_id++;
	s->now.ledger.accepted++;
	s->now.ledger.pending++;
	s->now.pending_bytes += (uint64_t)m->meta_bytes + m->body_bytes;
}

/* `count` is 1 or ROWS_AT_ONCE. */
static enum err insert(struct store *s, struct message *const *rows, uint32_t count, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, count == 1 ? ST_INSERT : ST_INSERT_8);
	enum err err;

	must(s->in_group);
	for (uint32_t i = 0; i < count; i++) {
		const int at = (int)i * ROW_COLUMNS;
		const uint64_t id = s->now.next_id + i;

		sql_bind_u64(st, at + 1, id);
		(void)sqlite3_bind_int64(st, at + 2, rows[i]->received_ms);
		(void)sqlite3_bind_int64(st, at + 3, message_checksum(rows[i], id));
		bind_row(st, at + 4, rows[i]);
	}
	err = store_run(s, st, e, "insert");
	for (uint32_t i = 0; i < count && err == ERR_OK; i++)
		count_in(s, rows[i]);
	return err;
}

enum err store_append_admitted(struct store *s, struct message *m, struct error *e) { return insert(s, &m, 1, e); }

enum err store_append_list(struct store *s, struct message_list *list, struct error *e)
{
	struct message *rows[ROWS_AT_ONCE];
	struct message *m;
	uint32_t count = 0;
	enum err err = ERR_OK;

	STAILQ_FOREACH (m, list, link) {
		rows[count++] = m;
		if (count < ROWS_AT_ONCE)
			continue;
		err = insert(s, rows, count, e);
		if (err != ERR_OK)
			return err;
		count = 0;
	}
	for (uint32_t i = 0; i < count && err == ERR_OK; i++)
		err = insert(s, &rows[i], 1, e);
	return err;
}

static void bind_reason(sqlite3_stmt *st, int at, const char *reason)
{
	(void)sqlite3_bind_text(st, at, reason ? reason : "", reason ? (int)strnlen(reason, REASON_MAX) : 0,
	                        SQLITE_STATIC);
}

enum err store_append_dead(struct store *s, struct message *m, const char *code, struct error *e)
{
	uint64_t id = s->now.next_id;
	sqlite3_stmt *st;
	enum err err;

	must(s->in_group);
	err = store_make_room(s, 0, e); /* the shelf is bounded by the disk alone */
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_DEAD_INSERT);
	sql_bind_u64(st, 1, id);
	(void)sqlite3_bind_int64(st, 2, m->received_ms);
	(void)sqlite3_bind_int64(st, 3, message_checksum(m, id));
	(void)sqlite3_bind_int64(st, 4, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 5, m->attempts);
	(void)sqlite3_bind_text(st, 6, code, -1, SQLITE_STATIC);
	bind_reason(st, 7, m->failure);
	bind_row(st, 8, m);
	err = store_run(s, st, e, "set aside");
	if (err != ERR_OK)
		return err;
	m->id = id;
	s->now.next_id++;
	s->now.ledger.accepted++;
	s->now.ledger.dead++;
	return ERR_OK;
}

enum err store_count_filtered(struct store *s, uint32_t count, struct error *e)
{
	(void)e;
	must(s->in_group);
	s->now.ledger.accepted += count;
	s->now.ledger.filtered += count;
	return ERR_OK;
}

static enum err recount_bytes(struct store *s, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SIZE_RUN);
	int rc;

	(void)sqlite3_bind_int64(st, 1, 0);
	(void)sqlite3_bind_int64(st, 2, INT64_MAX);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		s->now.pending_bytes = sql_column_u64(st, 1);
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "count bytes");
}

enum err store_commit(struct store *s, struct error *e)
{
	bool moved = memcmp(&s->now, &s->durable, offsetof(struct totals, retrying)) != 0;
	uint64_t old_next = s->durable.next_id;
	enum err err = ERR_OK;

	must(s->in_group);
	must(store_ledger_balances(&s->now));
	if (s->now.ledger.pending == 0)
		s->now.pending_bytes = 0;
	else if (s->recount)
		err = recount_bytes(s, e);
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
	s->durable = s->now;
	if (s->now.next_id != old_next)
		files_tide_write(&s->files, (uint32_t)schema_steps[schema_step_count - 1].version, s->now.next_id - 1);
	store_space_after_commit(s);
	return ERR_OK;
}

/* The database must be able to take what the log holds: near a full disk the log stays short. */
static uint64_t log_limit(const struct store *s)
{
	uint64_t quarter = files_free_bytes(&s->files) / 4;

	if (quarter >= CHECKPOINT_BYTES)
		return CHECKPOINT_BYTES;
	return quarter > MIN_CHECKPOINT_BYTES ? quarter : MIN_CHECKPOINT_BYTES;
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
	return ERR_OK;
}

void store_state(struct store *s, struct store_state *ret)
{
	sqlite3_stmt *st = store_statement(s, ST_OLDEST);

	*ret = (struct store_state){
	    .ledger = s->durable.ledger,
	    .pending_bytes = s->durable.pending_bytes,
	    .next_id = s->durable.next_id,
	    .retrying = s->durable.retrying,
	    .database_bytes = files_bytes(&s->files, ""),
	    .wal_bytes = files_bytes(&s->files, "-wal"),
	    .free_bytes = files_free_bytes(&s->files),
	    .unexpected_settlements = s->unexpected_settlements,
	    .checkpoints = s->checkpoints,
	};
	if (sqlite3_step(st) == SQLITE_ROW)
		ret->oldest_received_ms = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	ret->next_retry_ms = store_next_retry_ms(s);
}

int64_t store_next_retry_ms(struct store *s)
{
	sqlite3_stmt *st;
	int64_t next = 0;

	if (s->durable.retrying == 0)
		return 0;
	st = store_statement(s, ST_FAILURES_NEXT);
	(void)sqlite3_bind_int64(st, 1, s->due_ms);
	sql_bind_u64(st, 2, s->due_id);
	if (sqlite3_step(st) == SQLITE_ROW)
		next = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return next;
}

const struct store_ledger *store_ledger(const struct store *s) { return &s->durable.ledger; }

uint64_t store_pending_bytes(const struct store *s) { return s->durable.pending_bytes; }

uint64_t store_next_id(const struct store *s) { return s->durable.next_id; }

uint64_t store_retrying(const struct store *s) { return s->durable.retrying; }

struct store_settlements *store_settlements_new(uint32_t capacity)
{
	struct store_settlements *s = mem_zero(sizeof *s + capacity * sizeof s->items[0]);

	s->capacity = capacity;
	return s;
}

void store_settlements_free(struct store_settlements *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		free(s->items[i].reason);
	free(s);
}
