/* Whose copy it is, when its ledger does not say: the rows have a spool's tag, and a spool of that tag is looked for.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <string.h>

#include "base/cleanup.h"

/* Of most rows; 0: they have none, as those of an older kspool. */
static enum err tag_of_rows(sqlite3 *db, uint32_t *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	bool has_blocks;
	int rc = sql_has_column(db, "blocks", "checksum", &has_blocks);

	*ret = 0;
	if (rc == SQLITE_OK && !has_blocks)
		return ERR_OK;
	if (rc == SQLITE_OK)
		rc =
		    sqlite3_prepare_v2(db,
		                       "SELECT checksum >> 32 AS tag FROM (SELECT checksum FROM blocks UNION ALL SELECT"
		                       " checksum FROM messages UNION ALL SELECT checksum FROM dead) WHERE tag > 0"
		                       " GROUP BY tag ORDER BY count(*) DESC LIMIT 1",
		                       -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (uint32_t)sqlite3_column_int64(st, 0);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "read the other spool");
}

/* The first of the spools, as 16 bytes each, that has the tag. */
static enum err look_among(sqlite3 *db, const char *sql, uint32_t tag, struct spool_id *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		struct spool_id id = {0};

		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW)
			break;
		if (sqlite3_column_count(st) == 2)
			id = (struct spool_id){.high = sql_column_u64(st, 0), .low = sql_column_u64(st, 1)};
		else if (sqlite3_column_bytes(st, 0) == (int)sizeof id)
			memcpy(&id, sqlite3_column_blob(st, 0), sizeof id);
		if (sum_tag_of(id) == tag) {
			*ret = id;
			return ERR_OK;
		}
	}
	return rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "look whose copy it is");
}

enum err store_copy_of(struct store *s, sqlite3 *source, struct spool_id *ret, bool *ret_is_lost, struct error *e)
{
	uint32_t tag;
	enum err err = tag_of_rows(source, &tag, e);

	*ret = (struct spool_id){0};
	if (err == ERR_OK && tag != 0 && sum_tag_of(s->id) == tag)
		*ret = s->id;
	if (err == ERR_OK && tag != 0 && !spool_id_is_known(*ret))
		err = look_among(
		    s->db, "SELECT DISTINCT CAST(substr(copy, 33, 16) AS BLOB) FROM imports WHERE " IMPORT_IS_SOUND,
		    tag, ret, e);
	*ret_is_lost = tag != 0 && !spool_id_is_known(*ret);
	if (err == ERR_OK && *ret_is_lost) /* its columns may be whole, though the row is not */
		err = look_among(source, "SELECT spool_high, spool_low FROM ledger", tag, ret, e);
	return err;
}
