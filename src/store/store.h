/*
 * store: the spool's file, used by one thread.
 *
 * What it is: the only room that speaks SQL. A folder-owned database file plus its companions: PATH-wal (SQLite's),
 * PATH.lock, PATH.reserve, PATH.tide (highest acknowledged id, advisory), PATH.unsafe (marker after a disk error).
 * One row per message; failed ones have a second row in `failures`. Ids are never reused. Each row carries a checksum
 * over id, time, metadata and body. The ledger is changed in the same transaction as the rows it counts.
 * Promises: 1 (commit = synced), 3, 5, 8, 9. Owner: the caller. Thread: the one that opened it.
 * Fails: ERR_DISK means the process must stop trusting the file (see journal.h); ERR_FULL and ERR_DAMAGED do not.
 */
#ifndef KSPOOL_STORE_STORE_H
#define KSPOOL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/message.h"

struct store;

struct store_options {
	const char *path;
	uint64_t max_bytes; /* 0: no limit */
	uint64_t min_free_bytes;
	uint64_t reserve_bytes;
	bool evict_oldest;  /* when full: evict instead of refusing */
	uint32_t page_size; /* of a new spool; 0: our choice */
	uint64_t max_message_bytes;
	bool create;               /* make a new spool when there is none */
	bool normal_sync_for_test; /* synchronous=NORMAL, so that the power-cut test can be shown to fail */
	const char *vfs;           /* SQLite VFS name for tests; null: default */
};

/* What opening found. */
struct store_report {
	bool created;
	bool unclean;     /* the last run did not close the spool */
	bool marker;      /* a disk error ended the last run */
	bool quarantined; /* structure damage: the old file was moved aside, a new one started */
	char quarantine_path[512];
	bool wal_mended;          /* the WAL was damaged in the middle; it was copied aside and joined again */
	uint64_t wal_frames_lost; /* commit frames behind that break that could not be joined */
	uint64_t rows;
	uint64_t salvaged_rows;
	uint64_t missing_rows; /* ledger says they were here; they are not (counted as damaged) */
	bool copy_on_write;    /* the file system needs new blocks to overwrite */
	char warning[512];     /* "" or one sentence for the log */
};

/* accepted = delivered + pending + dead + expired + evicted + damaged + filtered + purged (promise 9). */
struct store_ledger {
	uint64_t accepted;
	uint64_t delivered;
	uint64_t pending;
	uint64_t dead;
	uint64_t expired;
	uint64_t evicted;
	uint64_t damaged;
	uint64_t filtered; /* dropped by a processor the operator configured */
	uint64_t purged;   /* removed from the set-aside shelf by the operator */
};

struct store_state {
	struct store_ledger ledger;
	uint64_t pending_bytes;
	uint64_t next_id;
	uint64_t retrying;          /* rows of `failures` */
	int64_t oldest_received_ms; /* 0: none */
	int64_t next_retry_ms;      /* earliest time a failed message is due; 0: none */
	uint64_t database_bytes;
	uint64_t wal_bytes;
	uint64_t free_bytes;             /* of the file system */
	uint64_t unexpected_settlements; /* settlements of ids that were not there: a bug somewhere, never a crash */
	uint64_t checkpoints;
};

enum settle_kind {
	SETTLE_DELIVERED,
	SETTLE_RETRY, /* stays; attempts and next_ms are written to `failures` */
	SETTLE_DEAD,  /* moves to `dead` with its reason */
	SETTLE_EXPIRED,
	SETTLE_FILTERED,
	SETTLE_RELEASE, /* stays pending, unclaimed, no attempt counted: given back in order after a stop or hold */
};

struct store_settlement {
	uint64_t id;
	enum settle_kind kind;
	uint32_t bytes;    /* metadata and body of the row when known (the journal fills it in); 0: looked up */
	uint32_t attempts; /* RETRY, DEAD: total so far */
	int64_t next_ms;   /* RETRY: wall clock when it is due */
	const char *code;  /* RETRY, DEAD: static text such as "ProvisionedThroughputExceededException" */
	char *reason;      /* RETRY, DEAD: owned, may be null */
};

struct store_settlements {
	uint32_t count;
	uint32_t capacity;
	struct store_settlement items[];
};

struct store_settlements *store_settlements_new(uint32_t capacity);
void store_settlements_free(struct store_settlements *s);

enum err store_open(const struct store_options *options, struct store **ret, struct store_report *ret_report,
                    struct error *e) MUST_CHECK;
/* Checkpoints when clean and closes. Accepts null. */
enum err store_close(struct store *s, struct error *e);
/* Lets go of descriptors without touching the disk (after ERR_DISK). */
void store_abandon(struct store *s);
void store_reconfigure(struct store *s, const struct store_options *options);
/*
 * After ERR_DAMAGED from a running store: sets the files aside, starts new ones in their place under the same lock and
 * begins to salvage. Ids go on where they were. On failure s can only be abandoned.
 */
enum err store_restart_damaged(struct store *s, struct store_report *ret_report, struct error *e) MUST_CHECK;
/*
 * Brings back up to max_ids ids' worth of rows of files that were set aside. Rows first..last may have become pending
 * (*ret_last 0: none); *ret_more is false when nothing is left to do. Its own transaction.
 */
enum err store_salvage(struct store *s, uint32_t max_ids, uint64_t *ret_first, uint64_t *ret_last, bool *ret_more,
                       struct error *e) MUST_CHECK;
/* Counts all rows and corrects the ledger; missing ones are counted as damaged. Slow on a large backlog. */
enum err store_recount(struct store *s, uint64_t *ret_missing, struct error *e) MUST_CHECK;
/* Tells evict_oldest which rows are on their way and must stay; without it none are. */
void store_set_claims(struct store *s, bool (*is_claimed)(void *arg, uint64_t id), void *arg);
/*
 * Settles in steps small enough for a full disk: 64 rows a commit, a checkpoint after every second one, and the
 * reserve given up once. *ret_done tells how many were settled, whatever the outcome.
 */
enum err store_settle_full(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_done,
                           struct error *e) MUST_CHECK;
/* A small step towards a smaller file when most of it is free; for idle moments. *ret_more: there is more to do. */
enum err store_shrink(struct store *s, bool *ret_more, struct error *e) MUST_CHECK;

/* A group. Everything between begin and commit is all or nothing; on any failure the group is rolled back. */
enum err store_begin(struct store *s, struct error *e) MUST_CHECK;
/* Gives m its id. ERR_FULL: admission (limits, disk); ERR_TOOBIG. Neither ends the group. */
enum err store_append(struct store *s, struct message *m, struct error *e) MUST_CHECK;
/* Would these fit, all together? Makes room by evicting when that is the policy. Then store_append_admitted. */
enum err store_admit(struct store *s, const struct message_list *list, struct error *e) MUST_CHECK;
enum err store_append_admitted(struct store *s, struct message *m, struct error *e) MUST_CHECK;
enum err store_append_list(struct store *s, struct message_list *list, struct error *e) MUST_CHECK;
/* Counted accepted and dead; m->failure is the reason, `code` a static word such as "too_long". */
enum err store_append_dead(struct store *s, struct message *m, const char *code, struct error *e) MUST_CHECK;
/* Counts messages accepted and filtered that never became rows. */
enum err store_count_filtered(struct store *s, uint32_t count, struct error *e) MUST_CHECK;
enum err store_position_put(struct store *s, const char *key, const char *value, struct error *e) MUST_CHECK;
enum err store_settle(struct store *s, const struct store_settlement *items, size_t count, struct error *e) MUST_CHECK;
/* Synced when it returns ERR_OK. */
enum err store_commit(struct store *s, struct error *e) MUST_CHECK;
void store_rollback(struct store *s);
/* False after a failure ended the group by itself. */
bool store_in_group(const struct store *s);
/* ERR_DISK after a disk error of any call, also one whose caller kept it to itself: the process must end. */
enum err store_trust(const struct store *s, struct error *e) MUST_CHECK;
/* Checkpoints when the WAL has grown past its mark, or now when force is set. */
enum err store_checkpoint(struct store *s, bool force, struct error *e) MUST_CHECK;

/* ERR_FULL with the reason when an append would be refused just now. */
enum err store_admission(struct store *s, struct error *e);

/*
 * Pending rows with id > after_id in order, up to the limits, skipping those in `failures`. A row whose checksum is
 * wrong moves to `damaged` inside its own transaction and is not returned. *ret_last is the last id looked at.
 */
enum err store_read(struct store *s, uint64_t after_id, uint32_t max_rows, uint64_t max_bytes,
                    struct message_list *list, uint32_t *ret_count, uint64_t *ret_last, struct error *e) MUST_CHECK;
/* As store_read for first..last only; *ret_last is `last` when the end of the range was reached. */
enum err store_read_range(struct store *s, uint64_t first, uint64_t last, uint32_t max_rows, uint64_t max_bytes,
                          struct message_list *list, uint32_t *ret_count, uint64_t *ret_last,
                          struct error *e) MUST_CHECK;
/* Failed rows due at now_ms, earliest first, up to the limits, that `is_claimed` does not refuse. */
enum err store_read_due(struct store *s, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes,
                        bool (*is_claimed)(void *arg, uint64_t id), void *arg, struct message_list *list,
                        uint32_t *ret_count, struct error *e) MUST_CHECK;
/* null when the key has no position; free() the result. */
enum err store_position_get(struct store *s, const char *key, char **ret, struct error *e) MUST_CHECK;

void store_state(struct store *s, struct store_state *ret);
/* As of the last commit; cheap. */
const struct store_ledger *store_ledger(const struct store *s);
uint64_t store_pending_bytes(const struct store *s);
uint64_t store_next_id(const struct store *s);
uint64_t store_retrying(const struct store *s);
/* Earliest time a failed message that was not handed out is due; 0: none. */
int64_t store_next_retry_ms(struct store *s);

/* The set-aside shelf. */
struct store_dead {
	uint64_t id;
	int64_t received_ms;
	int64_t died_ms;
	uint32_t attempts;
	const char *code;
	const char *reason;
	const void *meta;
	size_t meta_bytes;
	const void *body;
	size_t body_bytes;
};
typedef bool store_dead_visit(void *arg, const struct store_dead *dead); /* false ends the walk */
enum err store_dead_walk(struct store *s, uint64_t after_id, uint32_t limit, store_dead_visit *visit, void *arg,
                         struct error *e) MUST_CHECK;
enum err store_dead_get(struct store *s, uint64_t id, store_dead_visit *visit, void *arg, struct error *e) MUST_CHECK;
/* id 0: all. Its own transaction. A retried message becomes pending again under a new id. */
enum err store_dead_retry(struct store *s, uint64_t id, uint64_t *ret_count, struct error *e) MUST_CHECK;
enum err store_dead_purge(struct store *s, uint64_t id, uint64_t *ret_count, struct error *e) MUST_CHECK;

/* A consistent copy of the spool to a new file, synced; the spool stays open. Refuses an existing target. */
enum err store_export(struct store *s, const char *target, struct error *e) MUST_CHECK;
/* Appends what another spool's copy holds pending and set aside; counted as accepted here. All or nothing. */
enum err store_import(struct store *s, const char *source, uint64_t *ret_rows, struct error *e) MUST_CHECK;

/* `kspool check`: structure, checksums, ledger of a stopped spool, without changing it. Text lines go to out. */
enum err store_check(const char *path, struct buf *out, uint64_t *ret_problems, struct error *e) MUST_CHECK;
/* `kspool repair`: moves damaged rows aside, recounts the ledger, salvages a quarantined file. */
enum err store_repair(const char *path, struct buf *out, struct error *e) MUST_CHECK;

/* True when the key is there and has not expired; the open group's own included. */
enum err store_cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, bool *ret,
                         struct error *e) MUST_CHECK;
/* Keys of processors (dedupe) that must survive a restart; *ret_was_new is false when the key was there. */
enum err store_cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t expires_ms,
                         bool *ret_was_new, struct error *e) MUST_CHECK;

#endif
