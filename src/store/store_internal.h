/*
 * store_inner: what the files of the store share. Nothing outside store_*.c includes it.
 *
 * Invariants: `durable` is what the last commit wrote, `now` what the open group makes of it. Between groups the two
 * are equal but for next_id, which never goes back. Every change of a row goes with its change of `now` in one group.
 */
#ifndef KSPOOL_STORE_STORE_INTERNAL_H
#define KSPOOL_STORE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "store/spool_files.h"
#include "store/sql.h"
#include "store/store.h"

enum {
	APPLICATION_ID = 0x4b53504c, /* "KSPL" */
	DEFAULT_PAGE_BYTES = 8192,   /* measured: tests/programs/bench_journal.c */
	CHECKPOINT_BYTES = 64 << 20,
	MIN_CHECKPOINT_BYTES = 1 << 20,
	WAL_HOLD_BYTES = CHECKPOINT_BYTES + CHECKPOINT_BYTES / 4, /* the log at its largest */
	CACHE_KIB = 8192,
	REASON_MAX = 2048,
	DAMAGED_PER_READ = 256,
	MAX_RETRY_WAIT_MS = 3600 * 1000, /* at open: a clock that jumped must not hide a message longer */
};

enum statement {
#define STATEMENT(id, sql) ST_##id,
#include "store/statements.def"
#undef STATEMENT
	STATEMENT_COUNT
};

/* The ledger row, then what is counted anew at every open. */
struct totals {
	struct store_ledger ledger;
	uint64_t next_id;
	uint64_t pending_bytes;
	uint64_t retrying;
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct store_options options;
	char *path;
	char *vfs;
	struct files files;
	struct totals durable, now;
	bool in_group;
	bool recount; /* the group met rows it did not expect: count pending_bytes anew before its commit */
	uint64_t unexpected_settlements;
	uint64_t failures_max_id;
	/* Failed rows up to this place of the order (next_ms, id) were handed out or are claimed. */
	int64_t due_ms;
	uint64_t due_id;
	uint32_t page_bytes;
	uint32_t wal_frames;
	uint64_t checkpoints;
	/* space */
	bool full_bytes;    /* max_bytes was reached and 10 % are not yet free again */
	bool full_disk;     /* likewise min_free */
	bool disk_refused;  /* a write met a full disk since the last commit that worked */
	bool reserve_given; /* or never made: made as soon as there is space */
	bool untrusted;     /* a disk error: nothing that the file says may be believed before a restart */
	struct error untrusted_why;
	uint64_t free_bytes;
	int64_t free_checked_ms;
	uint64_t evict_after;
	bool (*is_claimed)(void *arg, uint64_t id);
	void *is_claimed_arg;
	struct salvage *salvage; /* null: not known yet, or nothing to do */
	bool salvage_is_done;
};

/* The statement, reset and ready to bind. */
sqlite3_stmt *store_statement(struct store *s, enum statement id);
/* Steps a statement that gives no rows; resets it. */
enum err store_run(struct store *s, sqlite3_stmt *st, struct error *e, const char *what) MUST_CHECK;
/* Maps a failure; a group that is open is rolled back. */
enum err store_fail(struct store *s, int rc, struct error *e, const char *what) MUST_CHECK;

/* store_open.c: the connection alone. */
enum err store_connect(struct store *s, bool created, struct error *e) MUST_CHECK;
void store_disconnect(struct store *s);

/* store_inspect.c */
enum file_kind { FILE_MISSING, FILE_OURS, FILE_DAMAGED };
enum err store_inspect(const struct files *f, enum file_kind *ret, struct error *e) MUST_CHECK;
enum err store_mend_wal(const struct files *f, struct store_report *report, struct error *e) MUST_CHECK;

/* store_ledger.c */
/* Takes `rows` out of pending or dead; ones that nobody had counted become accepted, so that no count goes below 0. */
void store_count_out(struct store *s, uint64_t *counter, uint64_t rows);
/* A new file in the place of one that this run knew: what waited there is damaged until it comes back. */
enum err store_ledger_adopt(struct store *s, const struct totals *known, struct error *e) MUST_CHECK;
enum err store_ledger_load(struct store *s, bool created, struct store_report *report, struct error *e) MUST_CHECK;
enum err store_ledger_put(struct store *s, struct error *e) MUST_CHECK;
/* False when there is none or its checksum is wrong. */
bool store_ledger_parse(sqlite3_stmt *st, struct totals *ret);
bool store_ledger_balances(const struct totals *t);

/* store_quarantine.c, store_salvage.c */
enum err store_set_aside(struct store *s, struct store_report *report, struct error *e) MUST_CHECK;
enum err store_reader_open(const char *path, const char *vfs, sqlite3 **ret, struct error *e) MUST_CHECK;
enum err store_salvage_start(struct store *s, const char *path, struct store_report *report,
                             struct error *e) MUST_CHECK;
/* Salvages for at most budget_ms. */
enum err store_salvage_for(struct store *s, int64_t budget_ms, uint64_t *ret_rows, struct error *e) MUST_CHECK;
void store_salvage_end(struct store *s);

/* store_schema.c */
/* ERR_DAMAGED: a definition is not what was written. ERR_ENVIRONMENT: there are strange ones. */
enum err store_schema_check(struct store *s, struct error *e) MUST_CHECK;
/* A file set aside whose first page cannot be read gets a new one. True when it can be read. */
bool store_schema_mend(struct store *s, const char *path);

/* store_read.c */
uint32_t store_row_checksum(uint64_t id, int64_t received_ms, const void *meta, size_t meta_bytes, const void *body,
                            size_t body_bytes);
/* A row's columns: id, received_ms, checksum, meta, body from column `first`. False: the checksum is wrong. */
bool store_row_is_sound(sqlite3_stmt *st, int first);
enum err store_move_damaged(struct store *s, const uint64_t *ids, size_t count, struct error *e) MUST_CHECK;

/* store_space.c */
enum err store_make_room(struct store *s, uint64_t bytes, struct error *e) MUST_CHECK;
void store_space_after_commit(struct store *s);

void store_warn(struct store_report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
