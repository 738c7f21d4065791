/*
 * vfs: a thin layer between SQLite and its VFS.
 *
 * What it is: writes that follow each other in one file (the frames of a commit, the pages of a checkpoint) are
 * gathered and written with one call. They reach the file before the next sync, truncate or overlapping read: what is
 * durable when a sync returns is the same as without the layer. It keeps errno of the failed call, which SQLite does
 * not always tell, remembers that a read failed, and counts bytes and syncs. What SQLite reads of a log is what this
 * process wrote there (imprint.h), or the read fails.
 * Promises: 1, by changing nothing of what a sync means; 4 (a read error is an error, not damage); 8.
 * Owner: SQLite owns its files; the layer's registration lives as long as the process.
 * Thread: the store's; errno and counts are kept for each thread.
 * Fails: as the VFS below; a late write's error comes from the sync.
 * Does not: offer shared memory or mapping: WAL works in exclusive mode only.
 */
#ifndef KSPOOL_STORE_VFS_H
#define KSPOOL_STORE_VFS_H

#include <stdbool.h>
#include <stdint.h>

/* Registers the layer over the VFS `base` (null: the default) when it is not yet there; returns its name. */
const char *vfs_register(const char *base);

/*
 * Likewise a layer that changes nothing and makes nothing: what is opened SQLITE_OPEN_READONLY is read with its log, on
 * a read-only file system too. SQLite reads a log without shared memory only under the exclusive lock, which needs a
 * descriptor that may write: the shared one is taken, which no writer of ours lives beside, and passed off as it. A log
 * that is not there is empty.
 */
const char *vfs_register_reader(const char *base);

/* errno of this thread's last failed file operation; 0 after vfs_clear_errno. */
int vfs_errno(void);
void vfs_clear_errno(void);

/*
 * errno of the first look at a file (read, size, open) that failed on this thread since vfs_forget_fault; 0: none did.
 * It outlives vfs_clear_errno: SQLite may call a page that could not be read a malformed database.
 */
int vfs_fault(void);
void vfs_forget_fault(void);
/* False: this errno answers the question (not there, not for us, no room); true: there was no answer. */
bool vfs_is_fault(int code);

struct sqlite3;
enum vfs_file { VFS_DATABASE, VFS_LOG };
enum vfs_seen {
	VFS_SAME,
	VFS_CHANGED,    /* another wrote into it, or cut it */
	VFS_UNREADABLE, /* vfs_fault says why */
};
/* Whether a file that `db` has open holds what was written there; a glance costs one read of a log (imprint_piece).
 */
enum vfs_seen vfs_look(struct sqlite3 *db, enum vfs_file which, bool glance);
/* Likewise of the log, where zeros begin at `offset` (imprint_piece_at). */
enum vfs_seen vfs_look_at_zeros(struct sqlite3 *db, int64_t offset);

struct vfs_counts {
	uint64_t written_bytes;
	uint64_t writes;
	uint64_t syncs;
};
/* Of this thread, since it started. */
struct vfs_counts vfs_counts(void);

#endif
