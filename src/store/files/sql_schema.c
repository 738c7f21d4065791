/* The tables as they must be, made in memory from the schema's steps and compared with what a file has. */
#include "store/files/sql_schema.h"

#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/sql.h"

static enum err open_model(int version, sqlite3 **ret, struct error *e)
{
	int rc = sqlite3_open_v2(":memory:", ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	for (int i = 0; i < schema_step_count && schema_steps[i].version <= version && rc == SQLITE_OK; i++)
		rc = sqlite3_exec(*ret, schema_steps[i].sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_OK : sql_error(*ret, rc, e, "build the schema's model");
}

static const char schema_rows[] = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";

static enum err has_row(sqlite3 *db, sqlite3_stmt *want, bool *ret, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db,
	                            "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND tbl_name = ?3"
	                            " AND coalesce(sql, '') = ?4",
	                            -1, &st, NULL);

	if (rc == SQLITE_OK) {
		for (int i = 0; i < 4; i++)
			(void)sqlite3_bind_value(st, i + 1, sqlite3_column_value(want, i));
		rc = sqlite3_step(st);
	}
	*ret = rc == SQLITE_ROW;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "compare the schema");
}

/* The statement that drops it, as one word of a shell: its name may be anything. free() it. */
static char *drop_word(const char *type, const char *name)
{
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	char *quoted = sqlite3_mprintf("\"%w\"", name);
	AUTOFREE char *drop = NULL;

	must(quoted);
	drop = mem_format("DROP %s %s", type, *name && !name[strspn(name, name_chars)] ? name : quoted);
	sqlite3_free(quoted);
	return mem_shell_word(drop);
}

/* What kspool did not make: named, so that a person can decide; its rows may be of value to somebody. */
static enum err refuse_stranger(sqlite3 *db, const char *path, sqlite3 *model, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, schema_rows, -1, &st, NULL);

	while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		bool known;
		enum err err = has_row(model, st, &known, e);

		if (err != ERR_OK)
			return err;
		if (!known) {
			const char *kind = (const char *)sqlite3_column_text(st, 0), *type = kind ? kind : "";
			const char *column = (const char *)sqlite3_column_text(st, 1), *name = column ? column : "";
			AUTOFREE char *file = mem_shell_word(path), *drop = drop_word(type, name);

			return error_set(e, ERR_ENVIRONMENT,
			                 "%s holds the %s %s, which kspool did not make; drop it: sqlite3 %s %s", path,
			                 type, name, file, drop);
		}
	}
	return error_set(e, ERR_ENVIRONMENT,
	                 "%s holds tables, indexes, triggers or views that kspool did not make; drop them", path);
}

static enum err compare(sqlite3 *db, const char *path, sqlite3 *model, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int64_t rows = 0, roots = 0, tables = 0, wanted = 0;
	int rc = sqlite3_prepare_v2(model, schema_rows, -1, &st, NULL);
	enum err err;

	for (; rc == SQLITE_OK || rc == SQLITE_ROW; wanted += rc == SQLITE_ROW) {
		bool there = true;

		rc = sqlite3_step(st);
		err = rc == SQLITE_ROW ? has_row(db, st, &there, e) : ERR_OK;
		if (err != ERR_OK)
			return err;
		if (!there)
			return error_set(e, ERR_DAMAGED, "%s: the definition of %s is not what was written", path,
			                 (const char *)sqlite3_column_text(st, 1));
	}
	if (rc != SQLITE_DONE)
		return sql_error(model, rc, e, "read the schema's model");
	/* Statistics an operator made by hand (ANALYZE) are harmless. */
	err = sql_number(db, "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'", &rows, e);
	if (err == ERR_OK)
		err =
		    sql_number(db, "SELECT count(DISTINCT rootpage) FROM sqlite_schema WHERE rootpage > 1", &roots, e);
	if (err == ERR_OK)
		err = sql_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e);
	if (err != ERR_OK)
		return err;
	if (rows > wanted)
		return refuse_stranger(db, path, model, e);
	if (roots != tables)
		return error_set(e, ERR_DAMAGED, "%s: two tables have one root", path);
	return ERR_OK;
}

enum err sql_schema_check(sqlite3 *db, const char *path, int version, struct error *e)
{
	sqlite3 *model = NULL;
	enum err err = open_model(version, &model, e);

	if (err == ERR_OK)
		err = compare(db, path, model, e);

	(void)sqlite3_close_v2(model);
	return err;
}
