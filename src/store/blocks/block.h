/*
 * block: a block as bytes.
 *
 * What it is: the one encoder and the one decoder of a block (formats: schema/0002-blocks.sql, 0005-parts.sql), and
 * the block that is being filled. Promises: 8 (a block is a stranger's bytes: what is not as written is told apart
 * message by message), 9. Owner: whoever made it; what a read block shows belongs to it until it reads the next.
 * Thread: the store's. Fails: never; bytes that make no sense make messages that are not sound. Does not: know which
 * of its messages have left (mark.h), or write a row.
 */
#ifndef KSPOOL_STORE_BLOCKS_BLOCK_H
#define KSPOOL_STORE_BLOCKS_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "message/message.h"
#include "store/files/row.h"

struct ZSTD_CCtx_s;

enum {
	BLOCK_MESSAGES = 512,
	BLOCK_BYTES = 1 << 20, /* of metadata and payload together */
	BLOCK_FRAME_MAX = 24,  /* of what a frame has beside these */
	BLOCK_MAX = BLOCK_BYTES + BLOCK_MESSAGES * BLOCK_FRAME_MAX,
	BLOCK_COLUMNS = 8, /* id, count, bytes, codec, checksum, first_ms, last_ms, body */
};

/* A block that was read. Kept between walks, so that one that is handed out in pieces is decoded once. */
struct stored_block {
	uint64_t id;
	uint32_t count;
	uint64_t bytes;
	bool is_sound; /* the checksum of the whole holds */
	uint32_t tag;  /* of the spool that it must be of; 0: any. Whoever made it sets it. */
	int64_t checksum;
	uint32_t framed; /* rows[0, framed) were looked for; those without a body, and all others, could not be found */
	unsigned char *frames;
	struct store_row rows[BLOCK_MESSAGES];
};

/* Null: its bytes could not be found. */
static inline const struct store_row *block_row(const struct stored_block *b, uint64_t id)
{
	const uint64_t i = id - b->id;

	return i < b->framed && b->rows[i].body ? &b->rows[i] : NULL;
}

/* The block that is being filled. */
struct block_fill {
	uint64_t first;
	uint32_t count;
	uint64_t bytes;
	int64_t first_ms, last_ms;
	struct buf frames;
};

/* How small it should become. */
enum block_wish {
	BLOCK_AS_IS,
	BLOCK_QUICK, /* what will leave in a moment: no smaller than is won back by writing less */
	BLOCK_SMALL, /* what will wait */
};
/* Room to pack in, made when it is first needed; begins as {0}. */
struct block_packer {
	void *packed;
	struct ZSTD_CCtx_s *zstd;
};
/* A block as its row. */
struct packed_block {
	int64_t numbers[6]; /* id, count, bytes, codec, first_ms, last_ms */
	int64_t checksum;
	const void *body; /* the packer's or the fill's, until either changes */
	size_t body_bytes;
};

/* A count as the disk has it, as one that can be. */
static inline uint32_t block_count(int64_t count)
{
	return count < 0 ? 0 : count > BLOCK_MESSAGES ? BLOCK_MESSAGES : (uint32_t)count;
}
struct stored_block *block_new(void);
/* Accepts null. */
void block_free(struct stored_block *b);
/* Forgets what was read. */
void block_forget(struct stored_block *b);
/* numbers: id, count, bytes, codec, first_ms, last_ms. */
void block_take(struct stored_block *b, const int64_t numbers[6], int64_t checksum, const void *body, size_t bytes);
/* A record of which row_of_record says that it is one. */
void block_of_record(struct stored_block *b, const struct stored_record *r);
/* From BLOCK_COLUMNS columns; nothing is read anew when b holds that block already. */
void block_read(struct stored_block *b, sqlite3_stmt *st);
/* True when the row fits into a block, and into this one: then it was added, with the checksum that it has, which must
 * be of the spool's tag. */
bool block_add(struct block_fill *f, const struct store_row *row);
/* What was filled, as a row of the spool of `tag`; whichever form is smaller. */
void block_pack(struct block_packer *p, const struct block_fill *f, enum block_wish wish, uint32_t tag,
                struct packed_block *ret);
/* Empty again; keeps its room. */
void block_fill_clear(struct block_fill *f);
void block_packer_fini(struct block_packer *p);

#endif
