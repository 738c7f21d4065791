/*
 * store_block_internal: blocks as bytes, and which of their messages have left.
 *
 * What it is: the one encoder and the one decoder of a block (formats: schema/0002-blocks.sql, 0005-parts.sql), the
 * block that is being filled, the marks of what left a block, and the walk over all that is pending. Promises: 2, 8 (a
 * block is a stranger's bytes: what is not as written is told apart message by message), 9. Owner: the store. What a
 * walk shows belongs to it until it moves. Thread: the store's. Fails: as statements do (store_fail); bytes that make
 * no sense are no failure, they make messages that are not sound. Does not: decide what becomes of a message, or count
 * it.
 */
#ifndef KSPOOL_STORE_STORE_BLOCK_INTERNAL_H
#define KSPOOL_STORE_STORE_BLOCK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/buf.h"
#include "base/error.h"
#include "message/message.h"
#include "store/files/row.h"

struct store;

enum {
	BLOCK_MESSAGES = 512,
	BLOCK_BYTES = 1 << 20, /* of metadata and payload together */
	BLOCK_FRAME_MAX = 24,  /* of what a frame has beside these */
	BLOCK_MAX = BLOCK_BYTES + BLOCK_MESSAGES * BLOCK_FRAME_MAX,
	BLOCK_COLUMNS = 8,   /* id, count, bytes, codec, checksum, first_ms, last_ms, body */
	PARTIAL_COLUMNS = 4, /* settled, bytes, checksum, bitmap */
};
#define BLOCK_SELECT                                                                         \
	"SELECT b.id, b.count, b.bytes, b.codec, b.checksum, b.first_ms, b.last_ms, b.body," \
	" p.settled, p.bytes, p.checksum, p.bitmap FROM blocks AS b LEFT JOIN partial AS p ON p.block_id = b.id"
/* Blocks that hold ids ?1 to ?2. */
#define BLOCK_RANGE " WHERE b.id > ?1 - 512 AND b.id + b.count > ?1 AND b.id <= ?2 ORDER BY b.id"

/* What all pending messages weigh, and how many they are. No block has more than BLOCK_MESSAGES and BLOCK_BYTES, and
 * none reaches the next. */
#define PENDING_BYTES_SQL                                                                                          \
	"(SELECT coalesce(sum(ifnull(length(meta), 0) + length(body)), 0) FROM messages)"                          \
	" + (SELECT coalesce(sum(min(max(bytes, 0), 1048576)), 0) FROM blocks) - (SELECT coalesce(sum(bytes), 0) " \
	"FROM partial)"
#define PENDING_COUNT_SQL                                                                                     \
	"(SELECT count(*) FROM messages) + (SELECT coalesce(sum(min(max(count, 0), 512, next - id)), 0) FROM" \
	" (SELECT id, count, lead(id, 1, id + 512) OVER (ORDER BY id) AS next FROM blocks))"                  \
	" - (SELECT coalesce(sum(settled), 0) FROM partial)"

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

static inline bool block_bit(const struct block_mark *m, uint64_t id)
{
	return m->bits[(id - m->id) / 8] >> (id - m->id) % 8 & 1;
}

/* store_block.c */
/* A count as the disk has it, as one that can be. */
static inline uint32_t store_block_count(int64_t count)
{
	return count < 0 ? 0 : count > BLOCK_MESSAGES ? BLOCK_MESSAGES : (uint32_t)count;
}
struct stored_block *store_block_new(void);
/* Accepts null. */
void store_block_free(struct stored_block *b);
/* Forgets what was read. */
void store_block_forget(struct stored_block *b);
/* numbers: id, count, bytes, codec, first_ms, last_ms. */
void store_block_take(struct stored_block *b, const int64_t numbers[6], int64_t checksum, const void *body,
                      size_t bytes);
/* A record of which row_of_record says that it is one. */
void store_block_of_record(struct stored_block *b, const struct stored_record *r);
/* From BLOCK_COLUMNS columns; nothing is read anew when b holds that block already. */
void store_block_read(struct stored_block *b, sqlite3_stmt *st);
/* The columns of `partial` from `first` on; nothing left the block when they are null or not what was written. */
struct block_mark store_block_mark_read(sqlite3_stmt *st, int first, uint64_t id, uint32_t count, uint32_t tag);
/* One more has left. */
void store_block_mark_set(struct block_mark *m, uint64_t id, uint64_t bytes);
int64_t store_block_mark_checksum(const struct block_mark *m, uint32_t tag);
/* False: `checksum` is not what was written with it, or another spool's. */
bool store_block_mark_is_sound(const struct block_mark *m, int64_t checksum, uint32_t tag);
/* True when the row fits into a block, and into this one: then it was added, with the checksum that it has, which must
 * be of the spool's tag. */
bool store_block_add(struct block_fill *f, const struct store_row *row);
/* Writes what was filled, and begins anew. */
enum err store_block_flush(struct store *s, struct error *e) MUST_CHECK;

/* store_pending.c */
struct block_marks {
	struct block_mark *items; /* ascending ids */
	size_t count, capacity;
};
/* The mark of a block, from memory or `partial`; holds until the next call. */
enum err store_marks_get(struct store *s, uint64_t block_id, uint32_t count, struct block_mark **ret,
                         struct error *e) MUST_CHECK;
bool store_marks_has(const struct store *s, uint64_t block_id);
/* Writes them, and deletes blocks of which nothing is left. */
enum err store_marks_flush(struct store *s, struct error *e) MUST_CHECK;

/* Pending messages in the order of ids, of `messages` and blocks. */
struct block_walk {
	sqlite3_stmt *rows, *blocks;
	uint64_t first, last;
	struct stored_block *block;
	struct block_mark mark;
	uint32_t index; /* of the next message of the block */
	bool in_block;
	bool lost_mark;         /* one that was met is not what was written */
	int rows_rc, blocks_rc; /* SQLITE_ROW: it stands on one; 0: not stepped */
	bool rows_used;         /* what `rows` stands on was shown */
};
struct block_message {
	struct store_row row; /* bytes are null when they cannot be found */
	bool is_sound;
	bool in_block;
};
/* The statements have the columns of a row, and BLOCK_SELECT ... BLOCK_RANGE; both give ids first to last. */
void store_walk_start(struct block_walk *w, sqlite3_stmt *rows, sqlite3_stmt *blocks, struct stored_block *block,
                      uint64_t first, uint64_t last);
/* SQLITE_ROW, SQLITE_DONE, or the code of what failed. */
int store_walk_next(struct block_walk *w, struct block_message *ret);
void store_walk_end(struct block_walk *w);
/* The same over any database; it is closed with its statements. A file of an older schema has no blocks. */
int store_walk_open(struct block_walk *w, sqlite3 *db, uint64_t first, uint64_t last);
void store_walk_close(struct block_walk *w);

#endif
