/*
 * left: which messages had their end, told apart from the database.
 *
 * What it is: PATH.left, a bit an id, set when its message was delivered, expired, evicted, filtered, purged, or put
 * back from the shelf under a new id. A page of the database that is lost or old brings back what had left, and hides
 * behind it what is gone: counts cannot tell these apart, ids can. It costs a bit a message while older ones wait, and
 * nothing where all below have left.
 * The file is slots of 4096 bytes, each with u32le CRC-32C of the bytes before it at its end and the spool's id in two
 * halves (u64le) at byte 8. The first: "ksleft01", and at byte 24 as u64le: the commit that last took something back,
 * left_whole_from, left_synced. Any other: "kspart01", and at byte 24 as u64le: number, how many parts after it are all
 * ones, commit that wrote it last; at byte 48 the bits of the ids number * 32256 + 1 and following, the lowest bit
 * first. A part that is not there, nor all ones behind another, has no bit. Of two of one number the later commit
 * counts. Promises: 8, 9 (what is gone is told from what came back). It is never ahead of the database, as PATH.tide:
 * written after each commit, without a sync, so that after a power cut it may know less, and never more. Owner: whoever
 * opened it. Thread: the store's.
 * Fails: never: what cannot be read or written is known to be missing (left_trouble), and nothing is proven by a bit
 * that is not set, but where the file is whole. Does not: decide what becomes of a message.
 */
#ifndef KSPOOL_STORE_FILES_LEFT_H
#define KSPOOL_STORE_FILES_LEFT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/files/spool_files.h"

struct left;

/*
 * Of this spool. `writes`: it is made where there is none, and what is no such file, or another spool's, or
 * cannot be read, is moved to PATH.left.other; else it is only looked at. Never null.
 */
struct left *left_open(const struct files *f, struct spool_id id, bool writes);
void left_close(struct left *l);
/* Of which spool the file there is; unknown: there is none, or it is not what was written. */
enum err left_find(const struct files *f, struct spool_id *ret, struct error *e) MUST_CHECK;
struct spool_id left_names(const struct files *f); /* likewise, or it cannot be read, however often it is tried */
/* errno of what went wrong last; 0: all is known and written. */
int left_trouble(const struct left *l);
/* There was a file that is not what was written, or of another spool: more messages may have had their end. */
bool left_is_doubtful(const struct left *l);

/* errno: so it is because it could not be read; 0: it was. */
int left_unread(const struct left *l);

/* Had its end. */
bool left_has(struct left *l, uint64_t id);
/* Of first to last, how many had. */
uint64_t left_count(struct left *l, uint64_t first, uint64_t last);
/* The highest that had; 0: none. */
uint64_t left_highest(struct left *l);
/*
 * What could not be written is tried again. True: the file was deleted, or another stands under its name, which is
 * moved to PATH.left.other; or something else was written into it, or it was cut. It is made anew, with what is in
 * memory of what is not in the file any more.
 */
bool left_look(struct left *l);
/* Makes durable what is written, of commits up to this one; best effort. */
void left_sync(struct left *l, uint64_t commit);
/*
 * Every message from this id on that had its end, in commits that are known here, has a bit; 0: of none is that known.
 * Whoever opens it says whether later commits may have ended some: up to left_synced none did, whatever the machine
 * went through since.
 */
uint64_t left_whole_from(const struct left *l);
uint64_t left_synced(const struct left *l);
void left_be_whole_from(struct left *l, uint64_t id);
/* The commit that wrote last, and the last one that took something back, as the file has it; 0: none. */
uint64_t left_commit(const struct left *l);
/* The least that left_commit must say of the file when it is opened next: what says less lacks something that is known
 * here. For PATH.tide. */
uint64_t left_commit_due(const struct left *l);
uint64_t left_taken_back(const struct left *l);

/* Of the open group: first to last have their end; `id` waits again. Nothing is known of it before left_keep. */
void left_note(struct left *l, uint64_t first, uint64_t last);
void left_note_back(struct left *l, uint64_t id);
/* The open group takes some back: its commit must say so, for a kill may come before left_keep is done. */
bool left_takes_back(const struct left *l);
/* The group is undone; or what was noted since such a place, of ends alone. */
void left_forget(struct left *l);
struct left_place {
	size_t count;
	uint64_t last;
};
struct left_place left_noted(const struct left *l);
void left_forget_since(struct left *l, struct left_place place);
/* The group was committed. */
void left_keep(struct left *l, uint64_t commit);
/* No message that waits has a bit, as of this commit. */
void left_confirm(struct left *l, uint64_t commit);

#endif
