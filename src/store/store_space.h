/*
 * store_space: limits, evictions, full disks, smaller files.
 *
 * What it is: the ways in and out when there is little room. Intake stops early; what leaves is always possible.
 * Promises: 5 (the exit is prepaid), 12.
 * Owner: the caller of the store.
 * Thread: the store's.
 * Fails: ERR_FULL with the numbers in its text; otherwise as the store.
 * Does not: wait for space; whoever was refused tries again.
 */
#ifndef KSPOOL_STORE_STORE_SPACE_H
#define KSPOOL_STORE_STORE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/store_settlement.h"

struct store;

enum { EXIT_PAGES = 16 }; /* of the log: less takes no settlement for certain */

/* ERR_FULL with the reason when an append would be refused just now. */
enum err store_admission(struct store *s, struct error *e) MUST_CHECK;
/* A write was refused for want of room, and none has worked since: store_admission refuses, whatever is free. */
bool store_disk_refuses(const struct store *s);
/* Now and then, while that is so and there is room by the numbers: one small commit, that tells. Its own transaction.
 */
enum err store_probe_disk(struct store *s, struct error *e) MUST_CHECK;
/* Tells evict_oldest which rows are on their way and must stay; without it none are. */
void store_set_claims(struct store *s, bool (*is_claimed)(void *arg, uint64_t id), void *arg);
/* Not even that a message has left can be written: what is sent now would be sent again by each start. */
bool store_is_shut(struct store *s);
/* Bytes that it writes anew, at most: RETRY and what is set aside write more than they free. 0: it only leaves. */
uint64_t store_room_of(const struct store_settlement *item);
/* So many bytes anew could be stored and settled, as of a group that comes in; else store_settle_full settles them. */
bool store_has_room_for(struct store *s, uint64_t bytes);
/*
 * Settles in steps small enough for a full disk: 64 rows a commit, a checkpoint after every second one, and the
 * reserve given up by parts. What takes room goes in steps of 64 KiB, each with its checkpoint; a step for which there
 * is none is tried in smaller ones. *ret_done tells how many were settled, whatever the outcome.
 */
enum err store_settle_full(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_done,
                           struct error *e) MUST_CHECK;
/*
 * A small step towards fewer and smaller rows: small blocks of messages above after_id become one, rows that
 * stood alone when the spool was opened (of the first schema, or salvaged) become blocks. None that store_set_claims
 * names is touched; ids, marks and failures stay as they are. *ret_more: there is more to do at once.
 */
enum err store_merge(struct store *s, uint64_t after_id, bool *ret_more, struct error *e) MUST_CHECK;
/* What of those rows is behind it, in hundredths; 100: all, or there were none. */
int store_merge_percent(const struct store *s);
/* A small step towards a smaller file when most of it is free; for idle moments. *ret_more: there is more to do. */
enum err store_shrink(struct store *s, bool *ret_more, struct error *e) MUST_CHECK;
/* Likewise, when nothing happened for long: every free page, and the log with what was held for it. */
enum err store_give_back(struct store *s, bool *ret_more, struct error *e) MUST_CHECK;
/* A small step of the same when something was refused for want of room that the files have and do not use. */
enum err store_give_room(struct store *s, bool *ret_more, struct error *e) MUST_CHECK;
/* Of the log's blocks, what commits may still fill. */
uint64_t store_log_room(struct store *s);
/* Bytes of the database that hold nothing: they take new rows without a new block. */
uint64_t store_free_inside(struct store *s);
/*
 * The reserve gets as much as there is of `had_bytes`, which were the exit's, whatever min_free says: or a neighbour
 * has them.
 */
void store_take_back(struct store *s, uint64_t had_bytes);
/* A full disk: a part of the reserve is given up, and the log begins again if the database has room for what it holds.
 * *ret_more: there is another part. */
enum err store_make_way(struct store *s, bool *ret_more, struct error *e) MUST_CHECK;
/* The log begins again, by the room that what left gives back; where that is too little it stays as it is. */
enum err store_empty_log(struct store *s, struct error *e) MUST_CHECK;
/*
 * All of the log goes into the database, and it is cut to nothing. What a drain took of the reserve comes out of its
 * blocks. Returns SQLite's.
 */
int store_cut_log(struct store *s);

#endif
