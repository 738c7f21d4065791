#include "store/files/sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "store/files/row.h"
#include "store/files/spool_files.h"
#include "store/files/vfs.h"

static _Thread_local char last_log[256];
static _Thread_local bool no_memory;
static sqlite3_mem_methods memory_below;

static void *note_memory(void *p)
{
	no_memory |= !p;
	return p;
}

static void *take_memory(int bytes) { return note_memory(memory_below.xMalloc(bytes)); }

static void *grow_memory(void *p, int bytes) { return note_memory(memory_below.xRealloc(p, bytes)); }

static void watch_memory(void)
{
	sqlite3_mem_methods watched;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory_below) != SQLITE_OK)
		return;
	watched = memory_below;
	watched.xMalloc = take_memory;
	watched.xRealloc = grow_memory;
	(void)sqlite3_config(SQLITE_CONFIG_MALLOC, &watched);
}

static void remember_log(void *arg, int code, const char *text)
{
	(void)arg;
	(void)snprintf(last_log, sizeof last_log, "(%d) %s", code, text);
}

void sql_global_setup(void)
{
	static atomic_flag done = ATOMIC_FLAG_INIT;

	if (atomic_flag_test_and_set(&done))
		return;
	/* Refused when some other part of the process already started SQLite: then its settings stay. */
	(void)sqlite3_config(SQLITE_CONFIG_LOG, remember_log, NULL);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	watch_memory();
}

const char *sql_last_log(void) { return last_log; }

static enum err code_of(int rc)
{
	int system = vfs_errno();

	switch (rc & 0xff) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_NOMEM)
			return ERR_MEMORY;
		return files_errno_is_full(system) ? ERR_FULL : ERR_DISK;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return ERR_DAMAGED;
	case SQLITE_CONSTRAINT: /* an id that is there already: what we wrote is not what we read */
	case SQLITE_MISMATCH:
	case SQLITE_ERROR: /* a table of the schema is gone */
	case SQLITE_SCHEMA:
	case SQLITE_TOOBIG: /* more than any row has */
		return ERR_DAMAGED;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		if (files_errno_is_full(system))
			return ERR_FULL;
		return system == EROFS ? ERR_DISK : ERR_ENVIRONMENT;
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	default:
		return ERR_SYSTEM;
	}
}

enum err sql_error(sqlite3 *db, int rc, struct error *e, const char *what)
{
	enum err code = code_of(rc);
	int system = vfs_errno() ? vfs_errno() : vfs_fault();

	must((rc & 0xff) != SQLITE_MISUSE && (rc & 0xff) != SQLITE_INTERNAL && (rc & 0xff) != SQLITE_RANGE);
	if (code != ERR_MEMORY && code != ERR_FULL && vfs_fault()) /* whatever SQLite made of it */
		code = ERR_DISK;
	if (code != ERR_FULL && code != ERR_DISK && no_memory)
		code = ERR_MEMORY;
	no_memory = false;
	(void)error_set(e, code, "%s: %s%s (SQLite %d%s%s)%s%s%s", what, code == ERR_MEMORY ? "no memory: " : "",
	                db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), rc, system ? ", " : "",
	                system ? strerror(system) : "", *last_log ? "; log: " : "", last_log,
	                code == ERR_DISK && vfs_fault() == EIO ? FILES_DEAD_WAY : "");
	vfs_clear_errno();
	last_log[0] = '\0';
	return code;
}

bool sql_lacked_memory(void)
{
	bool lacked = no_memory;

	no_memory = false;
	return lacked;
}

enum err sql_exec(sqlite3 *db, const char *sql, struct error *e, const char *what)
{
	int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? ERR_OK : sql_error(db, rc, e, what);
}

enum err sql_pragma(sqlite3 *db, const char *name, const char *value, const char *want, struct error *e)
{
	for (int reading = 0; reading < 2; reading++) {
		CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
		char text[128];
		const char *answer;
		int rc;

		(void)snprintf(text, sizeof text, reading ? "PRAGMA %s" : "PRAGMA %s=%s", name, value);
		rc = sqlite3_prepare_v2(db, text, -1, &st, NULL);
		if (rc == SQLITE_OK)
			while ((rc = sqlite3_step(st)) == SQLITE_ROW && !reading)
				continue;
		if (rc != SQLITE_DONE && rc != SQLITE_ROW)
			return sql_error(db, rc, e, text);
		answer = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
		if (reading && (!answer || sqlite3_stricmp(answer, want) != 0))
			return error_set(e, ERR_ENVIRONMENT, "SQLite answers %s=%s where %s is needed", name,
			                 answer ? answer : "nothing", want);
	}
	return ERR_OK;
}

int sql_has_column(sqlite3 *db, const char *table, const char *column, bool *ret)
{
	const int rc = sqlite3_table_column_metadata(db, NULL, table, column, NULL, NULL, NULL, NULL, NULL);

	*ret = rc == SQLITE_OK;
	return rc == SQLITE_ERROR ? SQLITE_OK : rc;
}

enum err sql_number(sqlite3 *db, const char *sql, int64_t *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return sql_error(db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e, sql);
	*ret = sqlite3_column_int64(st, 0);
	return ERR_OK;
}

enum err sql_reader_open(const char *path, const char *vfs, sqlite3 **ret, struct error *e)
{
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	sqlite3 *db = NULL;
	enum err err = ERR_OK;
	struct stat st = {.st_size = INT64_MAX}; /* of one that is not there the open says why */
	int64_t tables;
	int rc;

	if (stat(path, &st) != 0 && vfs_is_fault(errno))
		return error_set_errno(e, ERR_DISK, "cannot look at %s", path);
	if (st.st_size <= 1) /* SQLite takes that for a database without a page, and deletes its log */
		return error_set(e, ERR_DAMAGED, "%s is empty", path);
	sql_global_setup();
	vfs_clear_errno();
	rc = sqlite3_open_v2(path, &db, flags, vfs_register_reader(vfs));
	if (rc == SQLITE_OK) {
		(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ROW_LIMIT_BYTES);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
		err = sql_exec(db,
		               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA query_only=1; PRAGMA cell_size_check=1;"
		               "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=2",
		               e, "set a reader up");
		if (err == ERR_OK)
			err = sql_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
		if (err == ERR_BUSY)
			err = error_set(
			    e, ERR_BUSY,
			    "%s is in use by another process; of a running kspool's spool kspool export makes a"
			    " copy",
			    path);
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
