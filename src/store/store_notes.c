/* Rows of `salvage`: how far files set aside were read, and what else is noted beside the messages. */
#include "store/store_salvage_internal.h"

enum err store_note_get(struct store *s, const char *key, struct note *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_GET);
	int rc;

	*ret = (struct note){0};
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = (struct note){.after = sql_column_u64(st, 0),
		                     .rows = sql_column_u64(st, 1),
		                     .done = sqlite3_column_int64(st, 2) != 0};
	if (rc == SQLITE_ROW && sqlite3_column_int(st, 3) == 0)
		*ret = (struct note){.is_lost = true};
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "see what was salvaged");
}

enum err store_note_put(struct store *s, const char *key, const struct note *note, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_SALVAGE_PUT);

	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sql_bind_u64(st, 2, note->after);
	sql_bind_u64(st, 3, note->rows);
	(void)sqlite3_bind_int64(st, 4, note->done);
	return store_run(s, st, e, "note what was salvaged");
}
