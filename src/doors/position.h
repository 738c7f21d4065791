/*
 * position: how far a file was read, as stored in the journal beside the messages it gave.
 *
 *   key    "inode:" file system ":" inode    so that a file keeps its position when it is renamed
 *   value  "2 device inode offset head_bytes head_hash tail_bytes tail_hash"
 *          "3 ... again_until" when what stands before that place may have been sent before
 *          "4 ... again_until rows" of rows that are numbered
 *
 * What it is: offset, the bytes of the file that are accounted for, and what tells the file from another: the inode,
 * and the SHA-256 (first 16 bytes, hex) of the first head_bytes and the last tail_bytes bytes before the offset (at
 * most POSITION_PRINT_MAX_BYTES each), so that a file rewritten in place is known from the one that was read, also when
 * both begin with the same long header. The device may change, as its number may after a reboot. Positions of before,
 * with key "file:" path and value "1 device inode offset head_bytes head_hash", are read too. Promises: 1, 7 (a crash
 * neither loses nor repeats a line). Owner: plain data. Thread: any. Fails: with ERR_SYSTEM when the file cannot be
 * read; a text that is no position reads as false. Does not: store itself; it goes into the offer whose messages end
 * there.
 */
#ifndef KSPOOL_DOORS_POSITION_H
#define KSPOOL_DOORS_POSITION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { POSITION_PRINT_MAX_BYTES = 1024, POSITION_HASH_CHARS = 32 };

/* What some bytes of a file were. */
struct position_print {
	uint32_t bytes;
	char hash[POSITION_HASH_CHARS + 1];
};

struct position {
	uint64_t device;
	uint64_t inode;
	uint64_t offset;
	struct position_print head;
	struct position_print tail; /* what ends at the offset; no bytes: not known */
	uint64_t rows;              /* that were numbered so far; 0: none are */
	uint64_t again_until;       /* an earlier position was lost: what is read up to here may be a duplicate */
};

/* Describes an open file before anything of it was read. */
enum err position_of(int fd, struct position *ret, struct error *e) MUST_CHECK;
/* Where the file is read now. A file that cannot be looked at any more has no tail. */
void position_move(struct position *p, int fd, uint64_t offset);
/* free() it; null when the file cannot be examined. */
char *position_key(int fd);
char *position_print(const struct position *p) __attribute__((returns_nonnull));
bool position_parse(const char *text, struct position *ret);
/* Is the open file still the one p was made for, and at least as long? Why not in *ret_reason. */
bool position_matches(const struct position *p, int fd, const char **ret_reason);

#endif
