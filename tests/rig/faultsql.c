#include "rig/faultsql.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

#include <sqlite3.h>

#include "rig/errorwatch.h"
#include "rig/faultpoints.h"

static struct {
	uint64_t left; /* calls until the one that fails, itself included; 0: none fails */
	int code;
	bool persistent, failed, is_inside, is_for_new;
} armed;

void faultsql_arm(uint64_t n, int code, bool persistent)
{
	if (n > 0)
		errorwatch_begin();
	armed.persistent = persistent;
	armed.left = n;
	armed.code = code;
	armed.failed = armed.is_for_new = false;
}

void faultsql_arm_new(int code)
{
	faultsql_arm(1, code, false);
	armed.is_for_new = true;
}

static struct {
	int code;
	unsigned asked;
} checkpoint;

void faultsql_arm_checkpoints(int code)
{
	checkpoint.code = code;
	checkpoint.asked = 0;
}

unsigned faultsql_checkpoints(void) { return checkpoint.asked; }

void faultsql_pause(bool is_paused) { armed.is_inside = is_paused; }

bool faultsql_failed(void) { return armed.failed; }

static char what[400];

const char *faultsql_what(void) { return what; }

static bool fails(const char *sql)
{
	if (armed.left == 0 || armed.is_inside)
		return false;
	faultpoints_pass();
	if (armed.is_for_new ? !faultpoints_is_new() : --armed.left > 0)
		return false;
	armed.failed = true;
	armed.left = armed.persistent;
	(void)snprintf(what, sizeof what, "%s", sql ? sql : "");
	errorwatch_fault(what);
	return true;
}

/* SQLite's own function, which ours stands before. What it calls of itself is not counted. */
#define CALL(name, sql, ...)                                            \
	int rc;                                                         \
	const bool was_inside = armed.is_inside;                        \
                                                                        \
	if (fails(sql))                                                 \
		return armed.code;                                      \
	armed.is_inside = true;                                         \
	rc = ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__); \
	armed.is_inside = was_inside;                                   \
	return rc

int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs)
{
	*db = NULL;
	CALL(sqlite3_open_v2, NULL, path, db, flags, vfs);
}

int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int count, sqlite3_stmt **st, const char **tail)
{
	*st = NULL;
	CALL(sqlite3_prepare_v2, sql, db, sql, count, st, tail);
}

int sqlite3_prepare_v3(sqlite3 *db, const char *sql, int count, unsigned flags, sqlite3_stmt **st, const char **tail)
{
	*st = NULL;
	CALL(sqlite3_prepare_v3, sql, db, sql, count, flags, st, tail);
}

int sqlite3_step(sqlite3_stmt *st) { CALL(sqlite3_step, sqlite3_sql(st), st); }

int sqlite3_exec(sqlite3 *db, const char *sql, int (*row)(void *, int, char **, char **), void *arg, char **text)
{
	CALL(sqlite3_exec, sql, db, sql, row, arg, text);
}

int sqlite3_table_column_metadata(sqlite3 *db, const char *schema, const char *table, const char *column,
                                  const char **type, const char **order, int *not_null, int *key, int *counts)
{
	CALL(sqlite3_table_column_metadata, table, db, schema, table, column, type, order, not_null, key, counts);
}

int sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *schema, int mode, int *in_log, int *written)
{
	checkpoint.asked++;
	if (checkpoint.code != 0)
		return checkpoint.code;
	CALL(sqlite3_wal_checkpoint_v2, NULL, db, schema, mode, in_log, written);
}

int sqlite3_create_function_v2(sqlite3 *db, const char *name, int arguments, int form, void *user,
                               void (*function)(sqlite3_context *, int, sqlite3_value **),
                               void (*step)(sqlite3_context *, int, sqlite3_value **), void (*final)(sqlite3_context *),
                               void (*destroy)(void *))
{
	CALL(sqlite3_create_function_v2, name, db, name, arguments, form, user, function, step, final, destroy);
}
