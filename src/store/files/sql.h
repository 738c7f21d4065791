/*
 * sql: SQLite's result codes as kspool's errors, and small steps every statement needs.
 *
 * What it is: sql_error decides what a code means: FULL and ENOSPC/EDQUOT are ERR_FULL, other I/O errors ERR_DISK,
 * CORRUPT, NOTADB and TOOBIG ERR_DAMAGED, BUSY ERR_BUSY, READONLY/CANTOPEN/PERM/AUTH ERR_ENVIRONMENT (EROFS: ERR_DISK;
 * ENOSPC: ERR_FULL), NOMEM ERR_MEMORY; misuse is a bug and aborts. Once a read failed on this thread (vfs_fault),
 * nothing is damage: ERR_DISK. Nor is what SQLite said without memory: ERR_MEMORY. Promises: 4 (a setting that does not
 * hold is an error). Owner: the caller owns connections and statements. Thread: the store's; the last log line is kept
 * for each thread. Fails: as the table above, with SQLite's text, code, errno and last log line. Does not: begin, end
 * or roll back a transaction (store_fail does).
 */
#ifndef KSPOOL_STORE_SQL_H
#define KSPOOL_STORE_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/error.h"

/* Once per process, before the first open: hooks SQLite's log, turns its statistics off. */
void sql_global_setup(void);
/* What SQLite last logged on this thread ("" when nothing): the only witness of some I/O errors. */
const char *sql_last_log(void);

enum err sql_error(sqlite3 *db, int rc, struct error *e, const char *what) MUST_CHECK;
/*
 * Whether SQLite had no memory on this thread since an error was told, or since it was asked here: it may say then that
 * a table is not there, or give no text where there is one.
 */
bool sql_lacked_memory(void);
/* Runs statements that give no rows; `what` they are for stands in the error. */
enum err sql_exec(sqlite3 *db, const char *sql, struct error *e, const char *what) MUST_CHECK;
/* Runs "PRAGMA name=value" and reads it back; ERR_ENVIRONMENT when the answer is not `want`. */
enum err sql_pragma(sqlite3 *db, const char *name, const char *value, const char *want, struct error *e) MUST_CHECK;
/* Whether a table has this column, as one of a younger schema does. SQLITE_OK, or why nobody can tell. */
int sql_has_column(sqlite3 *db, const char *table, const char *column, bool *ret) MUST_CHECK;
/* The first column of the first row as a number. */
enum err sql_number(sqlite3 *db, const char *sql, int64_t *ret, struct error *e) MUST_CHECK;

static inline void sql_bind_u64(sqlite3_stmt *st, int at, uint64_t v)
{
	(void)sqlite3_bind_int64(st, at, (sqlite3_int64)v);
}

static inline uint64_t sql_column_u64(sqlite3_stmt *st, int at) { return (uint64_t)sqlite3_column_int64(st, at); }

static inline void sql_finish(sqlite3_stmt **st) { (void)sqlite3_finalize(*st); }

/* A connection that only reads, for whoever looks at a file. */
enum err sql_reader_open(const char *path, const char *vfs, sqlite3 **ret, struct error *e) MUST_CHECK;

#endif
