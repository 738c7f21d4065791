/*
 * sql_schema: the steps of schema/NNNN-name.sql as a table, made by schema.cmake, and what a file has held against
 * them.
 *
 * What it is: constants. The last step's version is the newest schema that this kspool knows.
 * Promises: 8 (a table that is not what was written is damage).
 * Owner: static.
 * Thread: any.
 * Fails: sql_schema_check as it says; a gap in the numbers fails the build's configuration.
 * Does not: apply a step (store_open does, one transaction each).
 */
#ifndef KSPOOL_STORE_FILES_SQL_SCHEMA_H
#define KSPOOL_STORE_FILES_SQL_SCHEMA_H

#include <sqlite3.h>

#include "base/error.h"

struct schema_step {
	int version;
	const char *name;
	const char *sql;
};

extern const struct schema_step schema_steps[];
extern const int schema_step_count;

/* The tables of that version. ERR_DAMAGED: a definition is not what was written. ERR_ENVIRONMENT: there are strange
 * ones. */
enum err sql_schema_check(sqlite3 *db, const char *path, int version, struct error *e) MUST_CHECK;

#endif
