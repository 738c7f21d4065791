/*
 * mark: what left a block.
 *
 * What it is: the row of `partial` beside a block, a bit a message (schema/0002-blocks.sql). Promises: 2, 8 (a mark
 * that is not what was written marks nothing: sent again is better than lost). Owner: the caller. Thread: the store's.
 * Fails: never. Does not: write the row (store_pending.c).
 */
#ifndef KSPOOL_STORE_BLOCKS_MARK_H
#define KSPOOL_STORE_BLOCKS_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "store/blocks/block.h"

enum { PARTIAL_COLUMNS = 4 }; /* settled, bytes, checksum, bitmap */

/* What left a block. */
struct block_mark {
	uint64_t id;
	uint32_t count; /* of the block */
	uint32_t settled;
	uint64_t bytes; /* of these */
	bool is_dirty;  /* not yet in `partial` */
	bool is_stored; /* `partial` has a row */
	bool is_lost;   /* which is not what was written */
	unsigned char bits[BLOCK_MESSAGES / 8];
};

static inline bool block_bit(const struct block_mark *m, uint64_t id)
{
	return m->bits[(id - m->id) / 8] >> (id - m->id) % 8 & 1;
}

/* The columns of `partial` from `first` on; nothing left the block when they are null or not what was written. */
struct block_mark mark_read(sqlite3_stmt *st, int first, uint64_t id, uint32_t count, uint32_t tag);
/* One more has left. */
void mark_set(struct block_mark *m, uint64_t id, uint64_t bytes);
int64_t mark_checksum(const struct block_mark *m, uint32_t tag);
/* False: `checksum` is not what was written with it, or another spool's. */
bool mark_is_sound(const struct block_mark *m, int64_t checksum, uint32_t tag);

#endif
