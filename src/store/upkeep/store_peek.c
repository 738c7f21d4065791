/*
 * `kspool peek`: a stopped spool, or a copy, read for people.
 *
 * Invariants:
 * 1. SQLite is given a database only when a look at it and its log said that they are one whole spool: it deletes the
 *    log of an empty file.
 * 2. What stands behind a break in the log is not shown, and the answer says so.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/files/wal.h"
#include "store/upkeep/store_copy.h"
#include "store/store_identity_internal.h"

enum err store_check_source(sqlite3 *db, const char *path, struct error *e)
{
	int64_t application = 0, version = 0;
	enum err err = sql_number(db, "PRAGMA application_id", &application, e);

	if (err == ERR_OK)
		err = sql_number(db, "PRAGMA user_version", &version, e);
	if (err != ERR_OK)
		return err;
	if (application != APPLICATION_ID)
		return error_set(e, ERR_INPUT, "%s is not a spool", path);
	if (version > schema_steps[schema_step_count - 1].version)
		return error_set(e, ERR_CONFIG, "%s has schema %lld; this kspool is older", path, (long long)version);
	return sql_schema_check(db, path, (int)version, e); /* tables and nothing else: a view could run for ever */
}

static enum err show_all(sqlite3 *db, store_peek_visit *visit, void *arg, struct error *e)
{
	struct block_walk w;
	struct block_message m;
	int rc = store_walk_whole(&w, db);

	while (rc == SQLITE_OK && (rc = walk_next(&w, &m)) == SQLITE_ROW) {
		const struct store_peeked shown = {
		    .id = m.row.id,
		    .block_id = m.in_block ? w.block->id : 0,
		    .received_ms = m.row.received_ms,
		    .meta = m.row.meta,
		    .meta_bytes = m.row.meta_bytes,
		    .body = m.row.body,
		    .body_bytes = m.row.body_bytes,
		    .is_sound = m.is_sound,
		};

		rc = visit(arg, &shown) ? SQLITE_OK : SQLITE_DONE;
	}
	walk_close(&w);
	return rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "read the messages");
}

static enum err peek_at(const char *path, store_peek_visit *visit, void *arg, struct error *e)
{
	sqlite3 *db = NULL;
	enum err err = sql_reader_open(path, NULL, &db, e);

	if (err == ERR_OK)
		err = store_check_source(db, path, e);
	if (err == ERR_OK)
		err = show_all(db, visit, arg, e);
	(void)sqlite3_close_v2(db);
	return err;
}

/* The database is not there: what stands beside it may be all there is. */
static enum err tell_missing(const struct files *f, struct error *e)
{
	const bool has_log = files_bytes(f, "-wal") > 0;
	uint64_t all, unread = 0;
	enum err err = has_log ? ERR_OK : asides_count(f, &all, &unread, e);

	if (err != ERR_OK)
		return err;
	if (!has_log && unread == 0)
		return error_set(e, ERR_NOINPUT, "there is no spool at %s", f->path);
	return error_set(e, ERR_INPUT, "%s is gone, %s: start kspool, or run kspool repair, to read it back", f->path,
	                 has_log ? "its log is here" : "what was set aside is here");
}

/* What there is must be one spool, by its own look: nothing is changed by looking. */
static enum err must_be_whole(const struct files *f, bool *ret_log_is_damaged, struct error *e)
{
	char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES];
	struct identity id;
	enum file_kind kind;
	enum err err = store_inspect(f, &kind, e);

	if (err == ERR_OK)
		err = store_identity_look(f, kind, &id, e);
	*ret_log_is_damaged = err == ERR_OK && wal_is_damaged(&id.scan);
	if (err != ERR_OK)
		return err;
	if (kind == FILE_MISSING)
		return tell_missing(f, e);
	if (kind == FILE_DAMAGED)
		return error_set(
		    e, ERR_INPUT,
		    "the head of %s is damaged: start kspool, or run kspool repair, to read back what is whole",
		    f->path);
	if (store_identity_words(&id, words) > 0 && (id.file_is_strange || id.page_is_strange || id.log != LOG_FITS))
		return error_set(e, ERR_INPUT, "%s; start kspool, or run kspool repair, to part them", words[0]);
	return ERR_OK;
}

enum err store_peek(const char *path, bool is_copy, store_peek_visit *visit, void *arg, struct error *e)
{
	struct files files;
	struct error local;
	bool log_is_damaged = false;
	enum err err, whole;

	vfs_forget_fault();
	(void)sql_lacked_memory();
	if (is_copy)
		return peek_at(path, visit, arg, e);
	err = files_open_reader(&files, path, e);
	if (err == ERR_ENVIRONMENT && access(path, F_OK) != 0 && errno == ENOENT) /* nor is its folder */
		return error_set(e, ERR_NOINPUT, "there is no spool at %s", path);
	if (err != ERR_OK)
		return store_is_no_producer(err, e);
	err = must_be_whole(&files, &log_is_damaged, e);
	whole = log_is_damaged ? wal_must_be_whole(path, &local) : ERR_OK;
	if (err == ERR_OK)
		err = peek_at(path, visit, arg, e);
	if (err == ERR_OK && whole != ERR_OK) {
		err = whole;
		if (e)
			*e = local;
	}
	files_close(&files);
	if (err == ERR_DAMAGED)
		(void)error_wrap(e,
		                 "%s is damaged: start kspool, or run kspool repair, to read back what is whole; kspool"
		                 " check says what is not",
		                 path);
	return store_is_no_producer(err, e);
}
