/*
 * faultfs: makes the n-th file operation of this process fail, or end it.
 *
 * What it is: the system's calls on files under their own names, so that a test linked with this reaches what SQLite
 * does and what kspool does itself alike. Nothing is counted unless armed; a call that fails is not made. Thread: one;
 * the test forks where the n-th operation is to be the last.
 */
#ifndef KSPOOL_TESTS_FAULTFS_H
#define KSPOOL_TESTS_FAULTFS_H

#include <stdbool.h>
#include <stdint.h>

enum faultfs_kind {
	FAULTFS_READ = 1,
	FAULTFS_OPEN = 2,
	FAULTFS_STAT = 4,
	FAULTFS_WRITE = 8,
	FAULTFS_SYNC = 16,
	FAULTFS_TRUNCATE = 32,
	FAULTFS_RENAME = 64,
	FAULTFS_UNLINK = 128,
	FAULTFS_ALLOCATE = 256,
	FAULTFS_LOOKS = FAULTFS_READ | FAULTFS_OPEN | FAULTFS_STAT,
	FAULTFS_SYNC_FOLDER = 512, /* of the syncs only those of folders */
	FAULTFS_SHORTEN = 1024,    /* truncates, when a full disk refuses these as well: it does not, as a rule */
	FAULTFS_ALL = 511,
	FAULTFS_CHANGES = FAULTFS_ALL & ~FAULTFS_LOOKS, /* a kill before a look is one before the next of these */
};

enum { FAULTFS_KILL = -1 };

/*
 * The n-th operation of these kinds from now on (1: the next) fails with this errno, and all after it when persistent;
 * FAULTFS_KILL ends the process before it. n 0: nothing fails any more.
 */
void faultfs_arm(unsigned kinds, uint64_t n, int error, bool persistent);
/* A dead sector: reads of these bytes of files whose path ends so fail (EIO); null: no more. */
void faultfs_dead(const char *end, int64_t from, int64_t bytes);
/* A small disk: what would make the files of this folder so many bytes longer together than they are now fails
 * (ENOSPC), armed or not. Null: no more. */
void faultfs_disk(const char *folder, int64_t free_bytes);
/* How many operations failed since then. */
uint64_t faultfs_failed(void);
/* The path of the file whose operation failed last. */
const char *faultfs_what(void);
/* From now on a sync returns at once: for tests that open hundreds of spools and cut no power. One that fails still
 * does. */
void faultfs_skip_syncs(void);
/* Told of each sync that did not fail, before it is made. Null: nobody. */
void faultfs_on_sync(void (*each)(int fd));

#endif
