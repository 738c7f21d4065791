/* Files that cannot be trusted: moved aside, never deleted; and the reader that takes what it can from such a file. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "store/vfs.h"

/* PATH.quarantine-<UTC time>; the log keeps the name SQLite expects beside it. */
static void quarantine_suffix(char *out, size_t size)
{
	int64_t now_ms = clock_wall_ms();
	char text[DATES_AMZ_BYTES];

	(void)snprintf(out, size, ".quarantine-%s-%03d", dates_format_amz(now_ms, text), (int)(now_ms % MS_PER_S));
}

enum err store_set_aside(struct store *s, struct store_report *report, struct error *e)
{
	char suffix[64];
	char wal_suffix[80];
	int64_t there;
	enum err err;

	do
		quarantine_suffix(suffix, sizeof suffix);
	while (files_size(&s->files, suffix, &there, NULL) == ERR_OK && there >= 0);
	(void)snprintf(wal_suffix, sizeof wal_suffix, "%s-wal", suffix);
	err = files_rename(&s->files, "", suffix, e);
	FAILPOINT("mid_quarantine");
	if (err == ERR_OK)
		err = files_rename(&s->files, "-wal", wal_suffix, e);
	if (err == ERR_OK)
		err = files_sync_dir(&s->files, e);
	if (err != ERR_OK)
		return err;
	report->quarantined = true;
	(void)snprintf(report->quarantine_path, sizeof report->quarantine_path, "%s%s", s->path, suffix);
	store_warn(report, "the database was damaged and moved to %s", report->quarantine_path);
	return ERR_OK;
}

/*
 * Reading a log without shared memory needs the exclusive lock, which needs a descriptor that may write: nothing is
 * written all the same (query_only, no checkpoint at close).
 */
enum err store_reader_open(const char *path, const char *vfs, sqlite3 **ret, struct error *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	sqlite3 *db = NULL;
	enum err err = ERR_OK;
	int64_t tables;
	int rc;

	sql_global_setup();
	vfs_clear_errno();
	rc = sqlite3_open_v2(path, &db, flags, vfs_register(vfs));
	if (rc == SQLITE_OK) {
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		err = sql_exec(db,
		               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=1; PRAGMA cell_size_check=1;"
		               "PRAGMA wal_autocheckpoint=0",
		               e, "set a reader up");
		if (err == ERR_OK)
			err = sql_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
	} else {
		err = sql_error(db, rc, e, path);
	}
	if (err != ERR_OK) {
		(void)sqlite3_close_v2(db);
		return err;
	}
	*ret = db;
	return ERR_OK;
}
