/*
 * crashvfs: a VFS for tests that records what SQLite does to its files, and can make the n-th operation fail.
 *
 * What it is: a wrapper of the default VFS, registered as "crash". While recording, writes, truncations, syncs and
 * deletions go to a log in memory together with notes of the test ("id 7 was acknowledged here"). A crash state is
 * built from the log: everything before a file's last sync is durable, of what follows a strategy keeps some. Syncs do
 * not reach the disk, which is what makes thousands of states cheap. One test at a time; not thread-safe.
 */
#ifndef KSPOOL_TESTS_CRASHVFS_H
#define KSPOOL_TESTS_CRASHVFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRASHVFS_NAME "crash"

enum crash_kind { CRASH_WRITE, CRASH_TRUNCATE, CRASH_SYNC, CRASH_DELETE, CRASH_NOTE };

struct crash_op {
	enum crash_kind kind;
	int file; /* index of crashvfs_name */
	int64_t offset;
	size_t count;
	unsigned char *bytes; /* WRITE */
	int note;             /* NOTE: the test's own kind */
	uint64_t first, last; /* NOTE: what it is about */
};

void crashvfs_register(void);
/* Forgets the log and starts a new one; the files at `path` as they are now are durable. */
void crashvfs_record(const char *path);
void crashvfs_stop(void);
void crashvfs_note(int note, uint64_t first, uint64_t last);
size_t crashvfs_count(void);
const struct crash_op *crashvfs_op(size_t i);
/* Suffix of file i after the path given to crashvfs_build ("", "-wal", "-journal"). */
const char *crashvfs_name(int file);

/*
 * How much of what was not synced survives: nothing, everything, a random part of the operations, everything but random
 * 512-byte sectors, nearly everything with some writes torn.
 */
enum crash_strategy { KEEP_NOTHING, KEEP_ALL, KEEP_SOME, LOSE_SECTORS, TEAR, STRATEGY_COUNT };

/* Writes the files as a power cut before operation `cut` would leave them, named `path` + suffix. */
void crashvfs_build(const char *path, size_t cut, enum crash_strategy strategy, uint64_t seed);

/* Somebody else at work: `deed` is done once, before the n-th write from now on. Null: nothing is. */
void crashvfs_meanwhile(uint64_t n, void (*deed)(void *arg), void *arg);

enum fault { FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_COUNT };
/* The n-th operation from now on (1: the next) fails; and all after it when persistent. n 0: none. */
void crashvfs_fail(uint64_t n, enum fault fault, bool persistent);
/* How many operations failed since crashvfs_fail. */
uint64_t crashvfs_failed(void);

#endif
