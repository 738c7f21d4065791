/* A row as bytes: the one place that binds and reads one, and the checksum over it. */
#include "store/store_internal.h"

#include <string.h>

#include "base/crc32c.h"
#include "store/byte_order_internal.h"

/* schema/0001-spool.sql says over what. */
static int32_t checksum_of(const struct store_row *row)
{
	unsigned char head[24];
	uint32_t crc;

	put_little(head, row->id, 8);
	put_little(head + 8, (uint64_t)row->received_ms, 8);
	put_little(head + 16, row->meta_bytes, 4);
	put_little(head + 20, row->body_bytes, 4);
	crc = crc32c(0, head, sizeof head);
	crc = crc32c(crc, row->meta, row->meta_bytes);
	return (int32_t)crc32c(crc, row->body, row->body_bytes);
}

struct store_row store_row_of(uint64_t id, const struct message *m)
{
	struct store_row row = {.id = id,
	                        .received_ms = m->received_ms,
	                        .meta = message_meta(m),
	                        .meta_bytes = m->meta_bytes,
	                        .body = message_body(m),
	                        .body_bytes = m->body_bytes};

	row.checksum = checksum_of(&row);
	return row;
}

void store_row_put(sqlite3_stmt *st, int first, const struct store_row *row)
{
	sql_bind_u64(st, first, row->id);
	(void)sqlite3_bind_int64(st, first + 1, row->received_ms);
	(void)sqlite3_bind_int64(st, first + 2, row->checksum);
	if (row->meta_bytes)
		(void)sqlite3_bind_blob64(st, first + 3, row->meta, row->meta_bytes, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(st, first + 3);
	(void)sqlite3_bind_blob64(st, first + 4, row->body_bytes ? row->body : "", row->body_bytes, SQLITE_STATIC);
}

void store_row_bind(sqlite3_stmt *st, int first, uint64_t id, const struct message *m)
{
	const struct store_row row = store_row_of(id, m);

	store_row_put(st, first, &row);
}

struct store_row store_row_read(sqlite3_stmt *st)
{
	return (struct store_row){
	    .id = sql_column_u64(st, 0),
	    .received_ms = sqlite3_column_int64(st, 1),
	    .checksum = sqlite3_column_int64(st, 2),
	    .meta = sqlite3_column_blob(st, 3),
	    .body = sqlite3_column_blob(st, 4),
	    .meta_bytes = (size_t)sqlite3_column_bytes(st, 3),
	    .body_bytes = (size_t)sqlite3_column_bytes(st, 4),
	};
}

bool store_row_is_sound(const struct store_row *row) { return checksum_of(row) == row->checksum; }

struct message *store_row_message(const struct store_row *row)
{
	struct message *m = message_new(row->meta, row->meta_bytes, row->body, row->body_bytes, row->received_ms);

	m->id = row->id;
	return m;
}

/* Null stays null where the schema allows it: in meta. */
static void bind_found(sqlite3_stmt *st, int at, sqlite3_stmt *from, int column)
{
	static const char kinds[] = {'i', 'i', 'i', 'b', 'b', 'i', 'i', 't', 't'};

	if (sqlite3_column_type(from, column) == SQLITE_NULL && column == 3)
		(void)sqlite3_bind_null(st, at);
	else if (kinds[column] == 'i')
		(void)sqlite3_bind_int64(st, at, sqlite3_column_int64(from, column));
	else if (kinds[column] == 't')
		(void)sqlite3_bind_text(st, at, (const char *)sqlite3_column_text(from, column), -1, SQLITE_TRANSIENT);
	else
		(void)sqlite3_bind_blob64(st, at,
		                          sqlite3_column_bytes(from, column) ? sqlite3_column_blob(from, column) : "",
		                          (sqlite3_uint64)sqlite3_column_bytes(from, column), SQLITE_TRANSIENT);
}

void store_row_bind_found(sqlite3_stmt *st, sqlite3_stmt *from, int columns)
{
	for (int i = 0; i < columns; i++)
		bind_found(st, i + 1, from, i);
}

void store_row_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	(void)sqlite3_bind_text(st, at, text ? text : "", text ? (int)strnlen(text, REASON_MAX) : 0, SQLITE_STATIC);
}
