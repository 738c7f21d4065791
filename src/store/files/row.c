/* A row as bytes: the one place that binds and reads one, and the checksum over it. */
#include "store/files/row.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/byte_order.h"
#include "store/files/sql.h"
#include "store/files/sum.h"

/* schema/0001-spool.sql says over what. */
static int64_t checksum_of(const struct store_row *row, uint32_t tag)
{
	unsigned char head[24];
	uint32_t crc;

	put_little(head, row->id, 8);
	put_little(head + 8, (uint64_t)row->received_ms, 8);
	put_little(head + 16, row->meta_bytes, 4);
	put_little(head + 20, row->body_bytes, 4);
	crc = crc32c(sum_begin(tag, SUM_OF_MESSAGE), head, sizeof head);
	crc = crc32c(crc, row->meta, row->meta_bytes);
	return sum_end(tag, crc32c(crc, row->body, row->body_bytes));
}

struct store_row row_of(uint64_t id, const struct message *m, uint32_t tag)
{
	struct store_row row = {.id = id,
	                        .received_ms = m->received_ms,
	                        .meta = message_meta(m),
	                        .meta_bytes = m->meta_bytes,
	                        .body = message_body(m),
	                        .body_bytes = m->body_bytes};

	row.checksum = checksum_of(&row, tag);
	return row;
}

void row_put(sqlite3_stmt *st, int first, const struct store_row *row)
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

void row_bind(sqlite3_stmt *st, int first, uint64_t id, const struct message *m, uint32_t tag)
{
	const struct store_row row = row_of(id, m, tag);

	row_put(st, first, &row);
}

struct store_row row_read(sqlite3_stmt *st)
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

bool row_is_sound(const struct store_row *row, uint32_t tag)
{
	return sum_is_ours(row->checksum, tag) && row_has_sum(row, row->checksum);
}

bool row_has_sum(const struct store_row *row, int64_t checksum)
{
	return checksum_of(row, sum_tag(checksum)) == checksum;
}

int64_t row_plain_sum(const struct store_row *row) { return checksum_of(row, 0); }

struct message *row_message(const struct store_row *row)
{
	struct message *m = message_new(row->meta, row->meta_bytes, row->body, row->body_bytes, row->received_ms);

	m->id = row->id;
	return m;
}

/* A letter a column, of a record that was found in a page. */
bool row_has_types(const struct stored_record *r, const char *types)
{
	static const char letters[] = {
	    [VALUE_NULL] = 'n', [VALUE_INT] = 'i', [VALUE_FLOAT] = 'f', [VALUE_TEXT] = 't', [VALUE_BLOB] = 'b'};

	if (r->count != (int)strlen(types))
		return false;
	for (int i = 0; i < r->count; i++)
		if (letters[r->values[i].type] != types[i])
			return false;
	return true;
}

enum stored_kind row_of_record(const struct stored_record *r, struct store_row *ret)
{
	const struct stored_value *v = r->values;
	const bool is_row = row_has_types(r, "niibb") || row_has_types(r, "niinb");
	const bool is_dead = row_has_types(r, "niiiittbb") || row_has_types(r, "niiiittnb") ||
	                     row_has_types(r, "niiiittbbi") || row_has_types(r, "niiiittnbi");
	const int meta = is_dead ? 7 : 3;

	if (r->is_index || r->rowid <= 0)
		return ROW_NONE;
	if (row_has_types(r, "niiiiiinnnnnb"))
		return ROW_BLOCK;
	if (row_has_types(r, "niiib"))
		return ROW_PARTIAL;
	if (!is_row && !is_dead)
		return ROW_NONE;
	*ret = (struct store_row){.id = (uint64_t)r->rowid,
	                          .received_ms = v[1].number,
	                          .checksum = v[2].number,
	                          .meta = v[meta].bytes,
	                          .meta_bytes = v[meta].count,
	                          .body = v[meta + 1].bytes,
	                          .body_bytes = v[meta + 1].count};
	return is_dead ? ROW_DEAD : ROW_MESSAGE;
}

void row_renumber(struct store_row *row, uint64_t id, uint32_t tag)
{
	row->id = id;
	row->checksum = checksum_of(row, tag);
}

void row_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	(void)sqlite3_bind_text(st, at, text ? text : "", text ? (int)strnlen(text, REASON_MAX) : 0, SQLITE_STATIC);
}
