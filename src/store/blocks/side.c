/* Rows beside the messages: what they say of themselves, and which of them are wrong. store_mend.c acts on them. */
#include "store/blocks/side.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "store/blocks/mark.h"
#include "store/blocks/walk.h"
#include "store/files/sql.h"
#include "store/files/sum.h"

static uint32_t add_value(uint32_t crc, const struct stored_value *v)
{
	const bool has_bytes = v->type == VALUE_TEXT || v->type == VALUE_BLOB;
	unsigned char bytes[8];

	put_little(bytes, has_bytes ? v->count : (uint64_t)v->number, has_bytes ? 4 : 8);
	crc = crc32c(crc, bytes, has_bytes ? 4 : 8);
	return has_bytes ? crc32c(crc, v->bytes, v->count) : crc;
}

int64_t side_sum(uint32_t tag, enum side_kind kind, const struct stored_value *values, size_t count)
{
	uint32_t crc = sum_begin(tag, (enum sum_kind)kind);

	for (size_t i = 0; i < count; i++)
		crc = add_value(crc, &values[i]);
	return sum_end(tag, crc);
}

bool side_is_sound(uint32_t tag, enum side_kind kind, int64_t checksum, const struct stored_value *values, size_t count)
{
	return checksum == 0 ||
	       (sum_is_ours(checksum, tag) && side_sum(sum_tag(checksum), kind, values, count) == checksum);
}

static int64_t position_sum(enum sum_kind kind, const struct stored_value *key, const struct stored_value *value,
                            uint32_t tag)
{
	uint32_t crc = crc32c(sum_begin(tag, kind), key->bytes, key->count);

	crc = crc32c(crc, "", 1);
	return sum_end(tag, crc32c(crc, value->bytes, value->count));
}

int64_t side_position_sum(const struct stored_value *key, const struct stored_value *value, uint32_t tag)
{
	return position_sum(SUM_OF_POSITION, key, value, tag);
}

bool side_position_is_old(const struct stored_value *key, const struct stored_value *value, int64_t checksum,
                          uint32_t tag)
{
	return sum_tag(checksum) != 0 && sum_is_ours(checksum, tag) &&
	       position_sum((enum sum_kind)SIDE_OLD_POSITION, key, value, sum_tag(checksum)) == checksum;
}

bool side_position_is_sound(const struct stored_value *key, const struct stored_value *value, int64_t checksum,
                            uint32_t tag)
{
	return (sum_is_ours(checksum, tag) && side_position_sum(key, value, sum_tag(checksum)) == checksum) ||
	       side_position_is_old(key, value, checksum, tag);
}

/* A null, or a number that is not whole, is VALUE_NULL: none of ours has such a column. */
static struct stored_value value_of(sqlite3_value *v)
{
	static const enum value_type types[SQLITE_NULL + 1] = {
	    [SQLITE_INTEGER] = VALUE_INT, [SQLITE_TEXT] = VALUE_TEXT, [SQLITE_BLOB] = VALUE_BLOB};
	struct stored_value ret = {.type = types[sqlite3_value_type(v)]};

	if (ret.type == VALUE_INT)
		ret.number = sqlite3_value_int64(v);
	else if (ret.type != VALUE_NULL) {
		ret.bytes = sqlite3_value_blob(v);
		ret.count = (size_t)sqlite3_value_bytes(v);
	}
	return ret;
}

static size_t values_of(sqlite3_value **from, int count, struct stored_value values[RECORD_COLUMNS_MAX])
{
	for (int i = 0; i < count; i++)
		values[i] = value_of(from[i]);
	return (size_t)count;
}

static void sql_side_sum(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	struct stored_value values[RECORD_COLUMNS_MAX];
	const size_t n = values_of(from + 1, count - 1, values);

	sqlite3_result_int64(context, side_sum(*tag, (enum side_kind)sqlite3_value_int(from[0]), values, n));
}

static void sql_side_is_sound(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	struct stored_value values[RECORD_COLUMNS_MAX];
	const size_t n = values_of(from + 2, count - 2, values);

	sqlite3_result_int(context, side_is_sound(*tag, (enum side_kind)sqlite3_value_int(from[0]),
	                                          sqlite3_value_int64(from[1]), values, n));
}

static void sql_mark_is_sound(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	const void *bits = sqlite3_value_blob(from[4]);
	struct block_mark m = {.id = (uint64_t)sqlite3_value_int64(from[0]),
	                       .settled = (uint32_t)sqlite3_value_int64(from[1]),
	                       .bytes = (uint64_t)sqlite3_value_int64(from[2])};
	const bool has_bits = bits && (size_t)sqlite3_value_bytes(from[4]) == sizeof m.bits;

	(void)count;
	if (has_bits)
		memcpy(m.bits, bits, sizeof m.bits);
	sqlite3_result_int(context, has_bits && mark_is_sound(&m, sqlite3_value_int64(from[3]), *tag));
}

static void sql_position_is_sound(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	const struct stored_value key = value_of(from[0]), value = value_of(from[1]);

	(void)count;
	sqlite3_result_int(context, side_position_is_sound(&key, &value, sqlite3_value_int64(from[2]), *tag));
}

static void sql_position_sum(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	const struct stored_value key = value_of(from[0]), value = value_of(from[1]);

	(void)count;
	sqlite3_result_int64(context, side_position_sum(&key, &value, *tag));
}

static void sql_old_position_sum(sqlite3_context *context, int count, sqlite3_value **from)
{
	const uint32_t *tag = sqlite3_user_data(context);
	const struct stored_value key = value_of(from[0]), value = value_of(from[1]);

	(void)count;
	sqlite3_result_int64(context, position_sum((enum sum_kind)SIDE_OLD_POSITION, &key, &value, *tag));
}

enum err side_functions(sqlite3 *db, const uint32_t *tag, struct error *e)
{
	static const struct {
		const char *name;
		int arguments;
		void (*function)(sqlite3_context *context, int count, sqlite3_value **from);
	} functions[] = {
	    {"side_sum", -1, sql_side_sum},          {"side_is_sound", -1, sql_side_is_sound},
	    {"mark_is_sound", 5, sql_mark_is_sound}, {"position_is_sound", 3, sql_position_is_sound},
	    {"position_sum", 2, sql_position_sum},   {"old_position_sum", 2, sql_old_position_sum},
	};
	int rc = SQLITE_OK;

	for (size_t i = 0; i < sizeof functions / sizeof *functions && rc == SQLITE_OK; i++)
		rc = sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments,
		                                SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
		                                (void *)(uintptr_t)tag, functions[i].function, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_OK : sql_error(db, rc, e, "give the database its functions");
}

enum err side_count_wrong(sqlite3 *db, struct side_wrong ret[SIDE_TABLES], struct error *e)
{
	static const struct {
		const char *table, *sql;
	} tables[SIDE_TABLES] = {
	    {"failures", "SELECT count(*) FROM failures WHERE NOT " FAILURE_IS_SOUND},
	    {"partial", "SELECT count(*) FROM (" MARKS_WRONG ")"},
	    {"positions", "SELECT count(*) FROM positions WHERE NOT " POSITION_IS_SOUND},
	    {"cache", "SELECT count(*) FROM cache WHERE NOT " KEY_IS_SOUND},
	    {"dead", "SELECT count(*) FROM dead WHERE NOT " DEAD_NOTE_IS_SOUND},
	    {"imports", "SELECT count(*) FROM imports WHERE NOT " IMPORT_IS_SOUND},
	    {"losses", "SELECT count(*) FROM losses WHERE NOT " LOSS_IS_SOUND},
	    {"salvage", "SELECT count(*) FROM salvage WHERE NOT " SALVAGE_NOTE_IS_SOUND},
	};
	enum err err = ERR_OK;

	for (size_t i = 0; i < SIDE_TABLES && err == ERR_OK; i++) {
		ret[i].table = tables[i].table;
		err = sql_number(db, tables[i].sql, &ret[i].rows, e);
	}
	return err;
}

static enum err total_of(sqlite3 *db, const char *sql, struct side_total *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	*ret = (struct side_total){0};
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			ret->rows++;
			ret->sum += sql_column_u64(st, 0);
			ret->wrong += sqlite3_column_int(st, 1) == 0;
		}
	return rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "count rows beside the messages");
}

enum err side_positions_total(sqlite3 *db, struct side_total *ret, struct error *e)
{
	return total_of(db, "SELECT checksum, " POSITION_IS_SOUND " FROM positions", ret, e);
}

enum err side_imports_total(sqlite3 *db, struct side_total *ret, struct error *e)
{
	return total_of(db, "SELECT checksum, " IMPORT_IS_SOUND " FROM imports", ret, e);
}
