/*
 * walk: all that is pending, in the order of ids.
 *
 * What it is: messages that stand alone and messages of blocks that have not left, of any database of any schema, one
 * by one; and how much they are. Promises: 8, 9. Owner: the caller of walk and block; what is shown belongs to it
 * until it moves. Thread: the store's. Fails: with SQLite's code. Does not: decide what becomes of a message.
 */
#ifndef KSPOOL_STORE_BLOCKS_WALK_H
#define KSPOOL_STORE_BLOCKS_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "store/blocks/block.h"
#include "store/blocks/mark.h"
#include "store/files/row.h"

#define BLOCK_SELECT                                                                                          \
	"SELECT b.id, b.count, b.bytes, b.codec, b.checksum, b.first_ms, b.last_ms, " ROW_BYTES_SQL(          \
	    "b.body") ","                                                                                     \
	              " p.settled, p.bytes, p.checksum, p.bitmap FROM blocks AS b LEFT JOIN partial AS p ON " \
	              "p.block_id = b.id"
/* Blocks that hold ids ?1 to ?2, and such as hold them unless their count lies. */
#define BLOCK_RANGE " WHERE b.id > ?1 - 512 AND b.id + min(max(b.count, 0), 512) > ?1 AND b.id <= ?2 ORDER BY b.id"

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
void walk_start(struct block_walk *w, sqlite3_stmt *rows, sqlite3_stmt *blocks, struct stored_block *block,
                uint64_t first, uint64_t last);
/* SQLITE_ROW, SQLITE_DONE, or the code of what failed. */
int walk_next(struct block_walk *w, struct block_message *ret);
void walk_end(struct block_walk *w);
/* The same over any database, whose spool has that tag (0: any); it is closed with its statements. A file of an older
 * schema has no blocks. */
int walk_open(struct block_walk *w, sqlite3 *db, uint32_t tag, uint64_t first, uint64_t last);
void walk_close(struct block_walk *w);

#endif
