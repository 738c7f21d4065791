/*
 * store: the spool's file, used by one thread; this page has the verbs of the hot path.
 *
 * What it is: the room that speaks SQL, with upkeep/ inside it. A row is a block of messages, or one that stands
 * alone; failed ones have a second row in `failures`. Blocks, messages and what stands beside them carry checksums. The
 * ledger changes in the transaction of the rows it counts.
 * Beside this page: store_open.h, store_settlement.h, store_ledger.h (counts), store_space.h (full disks),
 * store_damage.h (salvage), store_dead.h (the shelf); upkeep/ checks, repairs and copies.
 * Promises: 1 (a commit is synced), 2, 3, 9.
 * Owner: who opened it. Messages stay the caller's; store_read's become the caller's.
 * Thread: the one that opened it.
 * Fails: ERR_DISK: the process must stop trusting the file. ERR_FULL: nothing of the group is written. ERR_DAMAGED:
 * store_restart_damaged. Any failure of a statement ends the group (store_in_group tells).
 * Does not: start threads, log, retry, decide what a settlement should be.
 */
#ifndef KSPOOL_STORE_STORE_H
#define KSPOOL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "message/message.h"
#include "store/store_settlement.h"

struct store;

/* A group. Everything between begin and commit is all or nothing; on any failure the group is rolled back. */
enum err store_begin(struct store *s, struct error *e) MUST_CHECK;
/* Gives m its id. ERR_FULL: admission (limits, disk); ERR_TOOBIG. Neither ends the group. */
enum err store_append(struct store *s, struct message *m, struct error *e) MUST_CHECK;
/*
 * Would these fit, all together, with so many bytes that come beside them (their keys, what goes to the shelf)? Makes
 * room by evicting when that is the policy.
 */
enum err store_admit(struct store *s, const struct message_list *list, uint64_t beside, struct error *e) MUST_CHECK;
/*
 * ERR_FULL: so many bytes would take the last part of max_bytes, or of what is free beyond min_free, which those have
 * who cannot wait. Nothing is left for others in a spool that holds next to nothing, or that evicts.
 */
enum err store_leave_some(struct store *s, uint64_t bytes, struct error *e) MUST_CHECK;
/* What store_append_dead and store_cache_add take of the disk, at most. */
uint64_t store_room_of_dead(const struct message *m);
uint64_t store_room_of_key(const struct store *s, size_t key_bytes);
/* Rows that store_admit admitted; each message gets its id. */
enum err store_append_list(struct store *s, struct message_list *list, struct error *e) MUST_CHECK;
/*
 * Within the group: when the messages of a door were received, as the clock stands that this group goes by. Only where
 * the wall clock was set while they were on their way do they say anything else.
 */
enum err store_clock_stamp(struct store *s, const struct message_list *list, struct error *e) MUST_CHECK;
/* Counted accepted and dead; m->failure is the reason, `code` a static word such as "too_long". */
enum err store_append_dead(struct store *s, struct message *m, const char *code, struct error *e) MUST_CHECK;
/* Counts messages accepted and filtered that never became rows. */
void store_count_filtered(struct store *s, uint32_t count);
/* So many messages of the open group will be sent though they may be stored already. */
void store_count_possible(struct store *s, uint64_t messages);
/* Where the source `key` names was read to; durable with the group. */
enum err store_position_put(struct store *s, const char *key, const char *value, struct error *e) MUST_CHECK;
/*
 * What became of rows, by id, none twice. ERR_DAMAGED: one that was read is not there, which only a damaged file can
 * answer; with may_be_gone it is counted as unexpected and changes nothing else.
 */
enum err store_settle(struct store *s, const struct store_settlement *items, size_t count, struct error *e) MUST_CHECK;
/*
 * The open group may leave the ledger's row behind when it only adds blocks: they say themselves what they hold. At
 * most 32 commits and ten seconds; whoever reads a spool counts them (store_ledger_catch_up).
 */
void store_let_ledger_wait(struct store *s);
/* *ret: a message of that id waits. Outside a group. */
enum err store_is_pending(struct store *s, uint64_t id, bool *ret, struct error *e) MUST_CHECK;
/* Synced when it returns ERR_OK. */
enum err store_commit(struct store *s, struct error *e) MUST_CHECK;
/* Nothing of the open group happened; harmless when none is open. */
void store_rollback(struct store *s);
/* False after a failure ended the group by itself. */
bool store_in_group(const struct store *s);
/* ERR_DISK after a disk error of any call, also one whose caller kept it to itself: the process must end. */
enum err store_trust(const struct store *s, struct error *e) MUST_CHECK;
/* Checkpoints when the WAL has grown past its mark, or now when force is set. */
enum err store_checkpoint(struct store *s, bool force, struct error *e) MUST_CHECK;

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
/* Failed rows due at now_ms of the spool's own time (store_ledger.h), earliest first, up to the limits, that
 * `is_claimed` does not refuse. */
enum err store_read_due(struct store *s, int64_t now_ms, uint32_t max_rows, uint64_t max_bytes,
                        bool (*is_claimed)(void *arg, uint64_t id), void *arg, struct message_list *list,
                        uint32_t *ret_count, struct error *e) MUST_CHECK;
/*
 * null when the key has no position; free() the result. *ret_damaged: it has one that is not what was written, or it
 * may have had one; when there is a result, that this may be of an earlier time.
 */
enum err store_position_get(struct store *s, const char *key, char **ret, bool *ret_damaged,
                            struct error *e) MUST_CHECK;

/* True when the key is there and has not expired; the open group's own included. */
enum err store_cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, bool *ret,
                         struct error *e) MUST_CHECK;
/* Keys of processors (dedupe) that must survive a restart; *ret_was_new is false when the key was there. */
enum err store_cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t ttl_ms,
                         bool *ret_was_new, struct error *e) MUST_CHECK;

#endif
