/*
 * side: rows beside the messages, which say of themselves whether they are what was written.
 *
 * What it is: the checksum over such a row (schema/0008-side-rows.sql), in C and as functions of SQL for the statements
 * that write and judge one: side_sum(kind, column...) and side_is_sound(kind, checksum, column...).
 * Promises: 7 (what is sent again because of it is counted), 8, 9, 11 (no message waits for a row that lies).
 * Owner: the store. The tag that the functions are given must outlive the connection.
 * Thread: the store's.
 * Fails: as statements do; a row that is not sound is no failure.
 * Does not: judge messages and blocks (row.h, block.h), mend a row (store_mend.h), or judge the index of a table but by
 * its table.
 */
#ifndef KSPOOL_STORE_BLOCKS_SIDE_H
#define KSPOOL_STORE_BLOCKS_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/error.h"
#include "store/files/pages.h"

/* Numbers of the disk; SQL has them as they are. */
enum side_kind {
	SIDE_FAILURE = 6,
	SIDE_DEAD_NOTE = 7,
	SIDE_KEY = 8,
	SIDE_SALVAGE_NOTE = 9,
	SIDE_LOSS = 10,
	SIDE_IMPORT = 11,
	SIDE_OLD_POSITION = 12
};

#define FAILURE_IS_SOUND "side_is_sound(6, checksum, id, attempts, next_ms, first_ms, code, reason)"
#define DEAD_NOTE_IS_SOUND "side_is_sound(7, note_checksum, id, died_ms, attempts, code, reason)"
#define KEY_IS_SOUND "side_is_sound(8, checksum, cache, key, expires_ms)"
#define SALVAGE_NOTE_IS_SOUND "side_is_sound(9, checksum, path, after_id, salvaged, done)"
#define LOSS_IS_SOUND "side_is_sound(10, checksum, reason, messages, first_id, last_id, since_ms)"
#define IMPORT_IS_SOUND "side_is_sound(11, checksum, copy, imported_ms, messages, first_id)"
#define POSITION_IS_SOUND "position_is_sound(key, value, checksum)"
/* Marks that are not what was written, or of no block that could have them; has_block, count: of the block. */
#define MARKS_WRONG                                                                                                \
	"SELECT p.block_id, p.settled, p.bytes, p.checksum, p.bitmap, b.id IS NOT NULL, b.count FROM partial AS p" \
	" LEFT JOIN blocks AS b ON b.id = p.block_id WHERE b.id IS NULL OR p.settled > 512"                        \
	" OR NOT mark_is_sound(p.block_id, p.settled, p.bytes, p.checksum, p.bitmap)"

int64_t side_sum(uint32_t tag, enum side_kind kind, const struct stored_value *values, size_t count);
bool side_is_sound(uint32_t tag, enum side_kind kind, int64_t checksum, const struct stored_value *values,
                   size_t count);
/* The key and the value as bytes; a zero byte stands between them. */
int64_t side_position_sum(const struct stored_value *key, const struct stored_value *value, uint32_t tag);
bool side_position_is_sound(const struct stored_value *key, const struct stored_value *value, int64_t checksum,
                            uint32_t tag);
/* Sound, and it was noted that it may be of an earlier time: what it is of may have been read further. */
bool side_position_is_old(const struct stored_value *key, const struct stored_value *value, int64_t checksum,
                          uint32_t tag);
/* Gives a connection side_sum, side_is_sound, mark_is_sound, position_is_sound, position_sum, old_position_sum. */
enum err side_functions(sqlite3 *db, const uint32_t *tag, struct error *e) MUST_CHECK;

/*
 * Rows of a table, and the sum of their checksums modulo 2^64: as many with another sum, of which none is wrong, are
 * not the rows that were written last.
 */
struct side_total {
	uint64_t rows, sum, wrong;
};
enum err side_positions_total(sqlite3 *db, struct side_total *ret, struct error *e) MUST_CHECK;
enum err side_imports_total(sqlite3 *db, struct side_total *ret, struct error *e) MUST_CHECK;

/* Rows that are not what was written, a number for each table. */
struct side_wrong {
	const char *table;
	int64_t rows;
};
enum { SIDE_TABLES = 8 };
/* Of any database of the newest schema that has the functions. Slow when there are many rows. */
enum err side_count_wrong(sqlite3 *db, struct side_wrong ret[SIDE_TABLES], struct error *e) MUST_CHECK;

#endif
