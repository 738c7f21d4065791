/*
 * store_side: rows beside the messages, which say of themselves whether they are what was written.
 *
 * What it is: the checksum over such a row (schema/0008-side-rows.sql), in C and as functions of SQL for the statements
 * that write and judge one: side_sum(kind, column...) and side_is_sound(kind, checksum, column...). And what is done
 * about rows that are not sound: store_mend, when a spool is opened and when one is met later.
 * Promises: 7 (what is sent again because of it is counted), 8, 9, 11 (no message waits for a row that lies).
 * Owner: the store. The tag that the functions are given must outlive the connection.
 * Thread: the store's.
 * Fails: as statements do; a row that is not sound is no failure.
 * Does not: judge messages and blocks (row.c, store_block.c), or the index of a table but by its table.
 */
#ifndef KSPOOL_STORE_STORE_SIDE_H
#define KSPOOL_STORE_STORE_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/error.h"
#include "store/files/pages.h"

struct store;
struct store_report;
struct totals;

/* Numbers of the disk; SQL has them as they are. */
enum side_kind {
	SIDE_FAILURE = 6,
	SIDE_DEAD_NOTE = 7,
	SIDE_KEY = 8,
	SIDE_SALVAGE_NOTE = 9,
	SIDE_LOSS = 10,
	SIDE_IMPORT = 11
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

int64_t store_side_sum(uint32_t tag, enum side_kind kind, const struct stored_value *values, size_t count);
bool store_side_is_sound(uint32_t tag, enum side_kind kind, int64_t checksum, const struct stored_value *values,
                         size_t count);
/* Gives a connection side_sum, side_is_sound, mark_is_sound and position_is_sound. */
enum err store_side_functions(sqlite3 *db, const uint32_t *tag, struct error *e) MUST_CHECK;

/* Stands for a position that is lost: no input writes such a text. */
#define STORE_POSITION_LOST "damaged"
/* What the shelf says of a message whose note is not what was written. */
#define STORE_NOTE_LOST_CODE "damaged_note"
#define STORE_NOTE_LOST_REASON "why it was set aside, and after how many attempts, is not what was written"

/* Rows that are not what was written, a number for each table. */
struct side_wrong {
	const char *table;
	int64_t rows;
};
enum { SIDE_TABLES = 6 };
/* Of any database of the newest schema that has the functions. Slow when there are many rows. */
enum err store_side_count_wrong(sqlite3 *db, struct side_wrong ret[SIDE_TABLES], struct error *e) MUST_CHECK;

/* What was done about such rows. */
struct side_mended {
	uint64_t waits_again; /* of so many messages at most it is forgotten that they left */
	uint64_t possible;    /* duplicates that keys kept back, and do not any more */
};
/*
 * Inside a group: what is wrong is mended, or cleared away, and told in the report. `all`: keys of processors too, of
 * which there may be many.
 */
enum err store_mend_rows(struct store *s, bool all, struct side_mended *ret, struct store_report *report,
                         struct error *e) MUST_CHECK;
/*
 * What cannot be mended says so from now on, in a group of its own: how many notes of the shelf, positions (whose
 * text is none that was ever written, so that their source is read again, and counted) and notes of copies that were
 * taken in (whatever is taken in from then on may be one of them, and is counted).
 */
struct sides_settled {
	uint64_t notes, positions, copies;
};
enum err store_settle_sides(struct store *s, struct sides_settled *ret, struct error *e) MUST_CHECK;

#endif
