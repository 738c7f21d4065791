/*
 * The tables as they must be, made in memory from the schema's steps: compared with what a file has, and put over a
 * damaged first page, so that one flipped bit in sqlite_schema does not cost every message behind it.
 */
#include "store/store_internal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/schema.h"

enum { HEAD_BYTES = 65536, AT_PAGE_SIZE = 16, AT_FORMATS = 18, FORMAT_WAL = 2, AT_VALID_FOR = 92 };

/* Root pages lie as the steps left them, or as VACUUM (an export) orders them. */
static sqlite3 *open_model(uint32_t page_bytes, bool vacuumed)
{
	sqlite3 *db = NULL;
	char pragma[120];
	bool good = sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;

	(void)sqlite3_snprintf(sizeof pragma, pragma,
	                       "PRAGMA page_size=%u; PRAGMA auto_vacuum=INCREMENTAL;"
	                       "PRAGMA application_id=%d; PRAGMA user_version=%d",
	                       page_bytes, APPLICATION_ID, schema_steps[schema_step_count - 1].version);
	good = good && sqlite3_exec(db, pragma, NULL, NULL, NULL) == SQLITE_OK;
	for (int i = 0; i < schema_step_count && good; i++)
		good = sqlite3_exec(db, schema_steps[i].sql, NULL, NULL, NULL) == SQLITE_OK;
	if (good && vacuumed)
		good = sqlite3_exec(db, "VACUUM", NULL, NULL, NULL) == SQLITE_OK;
	if (good)
		return db;
	(void)sqlite3_close_v2(db);
	return NULL;
}

static const char schema_rows[] = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema";

static bool has_row(sqlite3 *db, sqlite3_stmt *want)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(db,
	                       "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND tbl_name = ?3"
	                       " AND coalesce(sql, '') = ?4",
	                       -1, &st, NULL) != SQLITE_OK)
		return false;
	for (int i = 0; i < 4; i++)
		(void)sqlite3_bind_value(st, i + 1, sqlite3_column_value(want, i));
	return sqlite3_step(st) == SQLITE_ROW;
}

static enum err compare(struct store *s, sqlite3 *model, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int64_t rows = 0, roots = 0, tables = 0, wanted = 0;
	enum err err;

	if (sqlite3_prepare_v2(model, schema_rows, -1, &st, NULL) != SQLITE_OK)
		return error_set(e, ERR_SYSTEM, "cannot read the schema's model");
	for (; sqlite3_step(st) == SQLITE_ROW; wanted++)
		if (!has_row(s->db, st))
			return error_set(e, ERR_DAMAGED, "%s: the definition of %s is not what was written", s->path,
			                 (const char *)sqlite3_column_text(st, 1));
	/* Statistics an operator made by hand (ANALYZE) are harmless. */
	err = sql_number(s->db, "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'", &rows, e);
	if (err == ERR_OK)
		err = sql_number(s->db, "SELECT count(DISTINCT rootpage) FROM sqlite_schema WHERE rootpage > 1", &roots,
		                 e);
	if (err == ERR_OK)
		err = sql_number(s->db, "SELECT count(*) FROM sqlite_schema", &tables, e);
	if (err != ERR_OK)
		return err;
	if (rows > wanted)
		return error_set(e, ERR_ENVIRONMENT,
		                 "%s holds tables, indexes, triggers or views that kspool did not make; drop them",
		                 s->path);
	if (roots != tables)
		return error_set(e, ERR_DAMAGED, "%s: two tables have one root", s->path);
	return ERR_OK;
}

enum err store_schema_check(struct store *s, struct error *e)
{
	sqlite3 *model = open_model(DEFAULT_PAGE_BYTES, false);
	enum err err = model ? compare(s, model, e) : error_set(e, ERR_SYSTEM, "cannot build the schema's model");

	(void)sqlite3_close_v2(model);
	return err;
}

/* True when the file at path shows its ledger and its messages. */
static bool is_usable(struct store *s, const char *path)
{
	struct error ignored;
	struct totals totals;
	sqlite3 *db = NULL;
	int64_t one = 0;
	bool good =
	    store_reader_open(path, s->vfs, &db, &ignored) == ERR_OK &&
	    sql_number(db, "SELECT count(*) FROM (SELECT id FROM messages LIMIT 1)", &one, &ignored) == ERR_OK &&
	    sql_number(db, "SELECT count(*) FROM (SELECT id FROM dead LIMIT 1)", &one, &ignored) == ERR_OK &&
	    store_ledger_of(db, &totals);

	(void)sqlite3_close_v2(db);
	return good;
}

static bool write_head(int fd, const void *bytes, size_t count)
{
	return pwrite(fd, bytes, count, 0) == (ssize_t)count && fsync(fd) == 0;
}

static bool try_model(struct store *s, const char *path, int fd, uint32_t page_bytes, bool vacuumed)
{
	sqlite3 *model = open_model(page_bytes, vacuumed);
	sqlite3_int64 size = 0;
	unsigned char *image = model ? sqlite3_serialize(model, "main", &size, 0) : NULL;
	bool good = image && size >= page_bytes;

	if (good) {
		image[AT_FORMATS] = image[AT_FORMATS + 1] = FORMAT_WAL;
		memset(image + AT_VALID_FOR, 0xff, 4); /* the size noted in this header is not this file's */
		good = write_head(fd, image, page_bytes) && is_usable(s, path);
	}
	sqlite3_free(image);
	(void)sqlite3_close_v2(model);
	return good;
}

static bool try_models(struct store *s, const char *path, int fd, const unsigned char *head, size_t count)
{
	uint32_t noted = (uint32_t)head[AT_PAGE_SIZE] << 8 | head[AT_PAGE_SIZE + 1];

	for (int round = 0; round < 2; round++)
		for (uint32_t size = 512; size <= HEAD_BYTES; size *= 2) {
			bool first = size == (noted == 1 ? 65536 : noted);

			if (first != (round == 0) || size > count)
				continue;
			for (int vacuumed = 0; vacuumed < 2; vacuumed++)
				if (try_model(s, path, fd, size, vacuumed) || !write_head(fd, head, count))
					return is_usable(s, path);
		}
	return false;
}

/* The old first page stays beside the file as PATH.head. */
bool store_schema_mend(struct store *s, const char *path)
{
	AUTOFREE char *aside = mem_format("%s.head", path);
	AUTOFREE unsigned char *head = mem_zero(HEAD_BYTES);
	AUTOCLOSE int fd = -1;
	AUTOCLOSE int copy = -1;
	ssize_t count;

	if (is_usable(s, path))
		return true;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	copy = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	count = fd < 0 ? -1 : pread(fd, head, HEAD_BYTES, 0);
	if (count < 512 || copy < 0 || !write_head(copy, head, (size_t)count))
		return false;
	return try_models(s, path, fd, head, (size_t)count);
}
