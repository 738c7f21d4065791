/*
 * position: how far a file was read, as stored in the journal beside the messages it gave.
 *
 *   key    "file:" path
 *   value  "1 device inode offset head_bytes head_hash"
 *
 * What it is: offset, the bytes of the file that are accounted for, and what tells the file from another: the inode,
 * and head_hash, the SHA-256 (first 16 bytes, hex) of its first head_bytes bytes (at most POSITION_HEAD_MAX_BYTES), so
 * that a file rewritten in place is known from the one that was read. The device may change, as its number may after a
 * reboot. Promises: 1, 7 (a crash neither loses nor repeats a line). Owner: plain data. Thread: any. Fails: with
 * ERR_DISK or ERR_ENVIRONMENT when the file cannot be read; a text that is no position reads as false. Does not: store
 * itself; it goes into the offer whose messages end there.
 */
#ifndef KSPOOL_DOORS_POSITION_H
#define KSPOOL_DOORS_POSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { POSITION_HEAD_MAX_BYTES = 1024, POSITION_HASH_CHARS = 32 };

struct position {
	uint64_t device;
	uint64_t inode;
	uint64_t offset;
	uint32_t head_bytes;
	char head_hash[POSITION_HASH_CHARS + 1];
};

/* Describes an open file read up to offset. */
enum err position_of(int fd, uint64_t offset, struct position *ret, struct error *e) MUST_CHECK;
/* free() it. */
char *position_print(const struct position *p) __attribute__((returns_nonnull));
bool position_parse(const char *text, struct position *ret);
/* Is the open file still the one p was made for, and at least as long? Why not in *ret_reason. */
bool position_matches(const struct position *p, int fd, const char **ret_reason);

#endif
