/*
 * row: a message as a row: bound, read, and held against its checksum.
 *
 * What it is: the one place that knows the columns of a message, in a statement and in a record of a page.
 * Promises: 8 (what is not what was written, or another spool's, is told from what is). Owner: the caller owns the
 * bytes a row points to. Thread: the store's. Fails: never. Does not: know which table a row stands in.
 */
#ifndef KSPOOL_STORE_FILES_ROW_H
#define KSPOOL_STORE_FILES_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "message/message.h"
#include "store/files/pages.h"

/* The columns id, received_ms, checksum, meta, body of `messages`, `dead` and `damaged`, and a frame of a block. */
struct store_row {
	uint64_t id;
	int64_t received_ms;
	int64_t checksum;
	const void *meta, *body; /* the statement's or the block's, until it moves */
	size_t meta_bytes, body_bytes;
};

/* Of struct store_row, in this order. */
enum { ROW_COLUMNS = 5, REASON_MAX = 2048 };
/* A message with its metadata, and so any column, has no more: of what a file says to be longer nothing is read. */
#define ROW_MOST_BYTES 33554432
enum { ROW_LIMIT_BYTES = ROW_MOST_BYTES + (1 << 20) }; /* with what a row has besides: SQLite holds no more */
#define ROW_BYTES_SQL_OF(column, most) \
	"CASE WHEN typeof(" column ") <> 'blob' OR length(" column ") <= " #most " THEN " column " END"
#define ROW_BYTES_SQL_TO(column, most) ROW_BYTES_SQL_OF(column, most)
#define ROW_BYTES_SQL(column) ROW_BYTES_SQL_TO(column, ROW_MOST_BYTES)
#define ROW_SELECT "SELECT id, received_ms, checksum, " ROW_BYTES_SQL("meta") ", " ROW_BYTES_SQL("body")
/* A message as the row it becomes; its bytes stay the message's. */
struct store_row row_of(uint64_t id, const struct message *m, uint32_t tag);
/* Binds ROW_COLUMNS values from parameter `first` on; the message must outlive the step. */
void row_bind(sqlite3_stmt *st, int first, uint64_t id, const struct message *m, uint32_t tag);
/* Reads columns 0 to 4. */
struct store_row row_read(sqlite3_stmt *st);
/* Binds it as it is, checksum and all; its bytes must outlive the step. */
void row_put(sqlite3_stmt *st, int first, const struct store_row *row);
/* False: the bytes are not what was written, or another spool's than that of `tag`. */
bool row_is_sound(const struct store_row *row, uint32_t tag);
/* True: the checksum is of these bytes, by the rule that made it. */
bool row_has_sum(const struct store_row *row, int64_t checksum);
/* The checksum that it would have without a tag: the same in every spool and by every kspool. */
int64_t row_plain_sum(const struct store_row *row);
struct message *row_message(const struct store_row *row);
/* That id and that spool's tag, and the checksum that goes with them. */
void row_renumber(struct store_row *row, uint64_t id, uint32_t tag);
/* What a record in a page of a file that was set aside is, by its shape; *ret of a message and of a dead one. */
enum stored_kind { ROW_NONE, ROW_MESSAGE, ROW_DEAD, ROW_BLOCK, ROW_PARTIAL };
enum stored_kind row_of_record(const struct stored_record *r, struct store_row *ret);
/* n null, i integer, f real, t text, b blob: a letter a column. */
bool row_has_types(const struct stored_record *r, const char *types);
/* At most REASON_MAX bytes; null becomes "". */
void row_bind_text(sqlite3_stmt *st, int at, const char *text);

#endif
