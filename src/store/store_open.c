/*
 * Opening and closing, in the order that matters: folder, lock, a look at the files with our own descriptors, then
 * SQLite, then the ledger.
 *
 * Invariants:
 * 1. The lock is held from the first look at the files until files_close.
 * 2. No descriptor of the database is open beside SQLite's: closing one would drop its POSIX locks.
 * 3. What stands at the path is whole: a new database is made as PATH.new, synced, and renamed.
 * 4. Damage never refuses a start: the files are set aside and a new spool begins.
 * 5. What recovery found is in the database, not only in the log, before the marker of a disk error is removed.
 *
 * Page size: bytes written to disk per body byte by the journal (tests/programs/bench_journal.c; lines of JSON of 1
 * KiB, raw, ext4, two virtual cores, SQLite 3.40.1). "Row a message" is SQLite alone, one row a message.
 *
 *   page    512 a commit, 5,000 behind    64 a commit       one every 10 ms
 *           blocks   row a message        store alone       blocks
 *    4,096   1.19        2.94                1.57            16.6
 *    8,192   1.32        2.72                1.94            25.0
 *
 * A block's body lies in pages of its own, so that small pages cost bulk nothing, and lone commits write the fewest
 * bytes.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/store_identity_internal.h"

enum { QUICK_CHECK_BYTES = 32 << 20, FIRST_BUDGET_MS = 1000 };

static const char *const statement_sql[] = {
#define STATEMENT(id, sql) sql,
#include "store/statements.def"
#undef STATEMENT
};

static int remember_frames(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct store *s = arg;

	(void)db;
	(void)name;
	s->wal_frames = (uint32_t)frames;
	return SQLITE_OK;
}

static void limit_connection(struct store *s)
{
	static const struct {
		int option;
		int value;
	} switches[] = {
	    {SQLITE_DBCONFIG_DEFENSIVE, 1},        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
	    {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},   {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
	    {SQLITE_DBCONFIG_DQS_DDL, 0},          {SQLITE_DBCONFIG_DQS_DML, 0},
	    {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
	};

	for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
		(void)sqlite3_db_config(s->db, switches[i].option, switches[i].value, NULL);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, ROW_LIMIT_BYTES);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_SQL_LENGTH, 65536);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_limit(s->db, SQLITE_LIMIT_EXPR_DEPTH, 50);
}

static enum err set_pragmas(struct store *s, bool created, struct error *e)
{
	char page[16], application[16], cache[16];
	const char *sync = s->options.normal_sync_for_test ? "1" : "2";
	const struct {
		const char *name, *value, *want;
		bool only_new;
	} pragmas[] = {
	    {"locking_mode", "EXCLUSIVE", "exclusive", false}, /* before the log is first touched: no -shm file */
	    {"page_size", page, page, true},
	    {"auto_vacuum", "INCREMENTAL", "2", true},
	    {"application_id", application, application, true}, /* before WAL: stands in the file from the first page */
	    {"journal_mode", "WAL", "wal", false},
	    {"synchronous", sync, sync, false},
	    {"wal_autocheckpoint", "0", "0", false},
	    {"cell_size_check", "1", "1", false},
	    {"secure_delete", "0", "0", false},
	    {"temp_store", "2", "2", false},
	    {"journal_size_limit", "-1", "-1", false},
	    {"busy_timeout", "0", "0", false},
	    {"foreign_keys", "0", "0", false},
	    {"recursive_triggers", "0", "0", false},
	    {"cache_size", cache, cache, false},
	};

	(void)snprintf(page, sizeof page, "%" PRIu32, s->options.page_size ? s->options.page_size : DEFAULT_PAGE_BYTES);
	(void)snprintf(application, sizeof application, "%d", APPLICATION_ID);
	(void)snprintf(cache, sizeof cache, "-%d", CACHE_KIB);
	for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
		enum err err;

		if (pragmas[i].only_new && !created)
			continue;
		err = sql_pragma(s->db, pragmas[i].name, pragmas[i].value, pragmas[i].want, e);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err migrate_step(struct store *s, const struct schema_step *step, struct error *e)
{
	char version[48];
	enum err err = sql_exec(s->db, "BEGIN IMMEDIATE", e, "begin");

	(void)snprintf(version, sizeof version, "PRAGMA user_version = %d", step->version);
	if (err == ERR_OK)
		err = sql_exec(s->db, step->sql, e, "change the tables");
	if (err == ERR_OK)
		err = sql_exec(s->db, version, e, "note the schema's version");
	FAILPOINT("before_migrate_commit");
	if (err == ERR_OK)
		err = sql_exec(s->db, "COMMIT", e, "commit");
	if (err != ERR_OK && !sqlite3_get_autocommit(s->db))
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	FAILPOINT("after_migrate_commit");
	return err;
}

/* A step changes the tables, not what stands in them: whatever the size, it writes a few pages, through the log. */
static void tell_room(const struct store *s, int version, int64_t page_bytes, struct error *e)
{
	enum { STEP_PAGES = 16 };
	const int newest = schema_steps[schema_step_count - 1].version;
	const uint64_t pages = (uint64_t)(newest - version + 1) * STEP_PAGES;

	(void)error_wrap(e,
	                 "the tables are of schema %d and must be brought to %d, for which %" PRIu64
	                 " KiB are enough, and %" PRIu64 " KiB are free beside %s; no message is lost by it",
	                 version, newest, pages * (uint64_t)page_bytes / 1024, files_free_bytes(&s->files) / 1024,
	                 s->path);
}

static enum err migrate(struct store *s, struct error *e)
{
	int64_t version, page;
	int newest = schema_steps[schema_step_count - 1].version;
	enum err err = sql_number(s->db, "PRAGMA user_version", &version, e);

	if (err == ERR_OK)
		err = sql_number(s->db, "PRAGMA page_size", &page, e);
	if (err == ERR_OK && version > newest)
		return error_set(e, ERR_CONFIG, "%s has schema %" PRId64 ", this kspool knows %d; run the newer kspool",
		                 s->path, version, newest);
	for (int i = 0; i < schema_step_count && err == ERR_OK; i++)
		if (schema_steps[i].version > version) {
			err = migrate_step(s, &schema_steps[i], e);
			if (err != ERR_OK)
				(void)error_wrap(e, "schema step %s", schema_steps[i].name);
			if (err == ERR_FULL)
				tell_room(s, (int)version, page, e);
		}
	return err;
}

enum err store_prepare(struct store *s, struct error *e)
{
	int64_t page;
	enum err err;

	for (int i = 0; i < STATEMENT_COUNT; i++) {
		int rc =
		    sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL);

		if (rc != SQLITE_OK)
			return sql_error(s->db, rc, e, "the spool's tables are not as they must be");
	}
	err = sql_number(s->db, "PRAGMA page_size", &page, e);
	s->page_bytes = (uint32_t)page;
	return err;
}

static enum err connect_database(struct store *s, bool created, struct error *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
	enum err err;
	int rc;

	vfs_clear_errno();
	rc = sqlite3_open_v2(s->path, &s->db, flags, vfs_register(s->vfs));
	if (rc != SQLITE_OK)
		return sql_error(s->db, rc, e, s->path);
	limit_connection(s);
	err = set_pragmas(s, created, e);
	(void)sqlite3_wal_hook(s->db, remember_frames, s); /* after wal_autocheckpoint, which takes the hook away */
	if (err == ERR_OK)
		err = migrate(s, e);
	if (err == ERR_OK)
		err = sql_schema_check(s->db, s->path, schema_steps[schema_step_count - 1].version, e);
	if (err == ERR_OK)
		err = side_functions(s->db, &s->tag, e);
	if (err == ERR_OK)
		err = store_prepare(s, e);
	return err == ERR_OK ? ERR_OK : error_wrap(e, "spool %s", s->path);
}

static void disconnect(struct store *s)
{
	store_salvage_end(s);
	for (int i = 0; i < STATEMENT_COUNT; i++)
		(void)sqlite3_finalize(take(s->statements[i]));
	(void)sqlite3_close_v2(take(s->db));
	files_database_let_go(&s->files);
	s->in_group = false;
	store_forget_group(s);
	block_forget(s->block);
}

static enum err quick_check(struct store *s, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	const char *answer;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_ROW)
		return sql_error(s->db, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e, "quick_check");
	answer = (const char *)sqlite3_column_text(st, 0);
	if (answer && strcmp(answer, "ok") == 0)
		return ERR_OK;
	return error_set(e, ERR_DAMAGED, "%s: %s", s->path, answer ? answer : "no answer");
}

/* A new spool is made whole under another name, so that nothing half made ever stands at the path. */
static enum err create_database(struct store *s, struct error *e)
{
	AUTOFREE char *new_path = mem_format("%s.new", s->path);
	char *path = s->path;
	enum err err = ERR_OK;

	files_remove(&s->files, ".new");
	files_remove(&s->files, ".new-wal");
	files_remove(&s->files, ".new-journal");
	err = files_create(&s->files, ".new", e);
	if (err != ERR_OK)
		return err;
	s->path = new_path;
	err = connect_database(s, true, e);
	if (err == ERR_OK)
		err = store_ledger_first(s, e);
	if (err == ERR_OK && s->id_is_new)
		err = store_sources_adopt(s, e);
	if (err == ERR_OK) {
		int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

		if (rc != SQLITE_OK)
			err = sql_error(s->db, rc, e, "make a new spool");
	}
	disconnect(s);
	s->path = path;
	files_remove(&s->files, ".new-wal");
	FAILPOINT("before_create");
	return err == ERR_OK ? files_publish(&s->files, ".new", e) : err;
}

/* Never 0. */
static struct spool_id new_identity(void) { return (struct spool_id){.high = random_u64() | 1, .low = random_u64()}; }

/* For a database that begins: the spool goes on under its name. */
static enum err choose_identity(struct store *s, bool created, struct error *e)
{
	struct spool_id *id = &s->id;
	struct totals old;
	bool found = false;
	enum err err = ERR_OK;

	s->id_is_new = false;
	if (spool_id_is_known(*id) || !created)
		return ERR_OK;
	err = store_salvage_ledger(&s->files, *id, &old, &found, e);
	if (err == ERR_OK && found)
		*id = store_totals_id(&old);
	s->id_is_new = !spool_id_is_known(*id);
	if (s->id_is_new)
		*id = new_identity();
	return err;
}

static enum err try_open(struct store *s, bool created, const struct totals *known, struct store_report *report,
                         struct error *e)
{
	enum err err = choose_identity(s, created, e);

	s->tag = s->block->tag = sum_tag_of(s->id);
	if (err == ERR_OK && created)
		err = create_database(s, e);
	if (err == ERR_OK && !created) /* first of all: a step of the schema may take a free page */
		err = store_look_at_free(&s->files, e);
	if (err == ERR_OK)
		err = connect_database(s, false, e);
	/* After a clean stop too: pages can be exchanged at rest, and each of them is sound by itself. */
	if (err == ERR_OK && !created && (files_bytes(&s->files, "") <= QUICK_CHECK_BYTES || report->wal_mended))
		err = quick_check(s, e);
	if (err == ERR_OK)
		err = store_ledger_load(s, known, report, e);
	return err;
}

/* A new database on a full disk: that is what the reserve is for. */
static enum err open_database(struct store *s, bool created, const struct totals *known, struct store_report *report,
                              struct error *e)
{
	enum err err = try_open(s, created, known, report, e);

	if (err != ERR_FULL || !files_reserve_give_up(&s->files))
		return err;
	disconnect(s);
	return try_open(s, created && files_bytes(&s->files, "") == 0, known, report, e);
}

/*
 * A spool whose pages cannot be trusted: set aside, and a new one in its place. `known`: its counts, when this run had
 * them; otherwise the old file is asked.
 */
static enum err start_over(struct store *s, const struct totals *known, struct store_report *report, struct error *e)
{
	enum err err = store_no_fault(s->path, e);
	bool lost;

	if (err == ERR_OK && s->db) /* another's files have our names: they are not ours to move */
		err = store_watch_names(s, &lost, e);
	disconnect(s);
	if (err == ERR_OK)
		err = store_set_aside(s, known ? NULL : e, report, e);
	s->log_is_live = false; /* what was known of files that are not here any more */
	s->file_print = 0;
	if (err == ERR_OK)
		err = open_database(s, true, known, report, e);
	return err;
}

/* Whose the files are; what is not ours is moved away before SQLite sees it. */
static enum err identify(struct store *s, enum file_kind *kind, struct identity *id, struct store_report *report,
                         struct error *e)
{
	enum err err = store_identity_look(&s->files, *kind, id, e);

	if (err == ERR_OK)
		err = store_identity_part(s, kind, id, report, e);
	if (id->page_is_strange)
		*kind = FILE_DAMAGED;
	s->id = id->is_nameless ? new_identity() : id->ours;
	if (err == ERR_OK && id->is_to_be_named)
		err = store_identity_name(s, id, e);
	s->tide = id->tide;
	s->file_print = id->file_print;
	s->tide_is_dead = id->tide_is_dead;
	if (id->tide_is_dead)
		store_warn(report,
		           "%s.tide cannot be read, time and again: its disk is failing. It is moved to"
		           " %s" FILES_DEAD_TIDE,
		           s->path, s->path);
	if (id->tide_is_lost)
		store_warn(report,
		           "%s.tide, which says what was acknowledged last, was gone or damaged and is made anew:"
		           " whether the end of what was accepted is here cannot be told",
		           s->path);
	return err;
}

static enum err open_files(struct store *s, enum file_kind *kind, struct store_report *report, struct error *e)
{
	struct identity id = {0};
	int64_t wal_bytes;
	uint64_t left = 0;
	enum err err = files_open(&s->files, s->path, e);

	if (err == ERR_OK)
		err = store_aside_go_on(s, report, e);
	if (err == ERR_OK)
		err = store_inspect(&s->files, kind, e);
	if (err == ERR_OK)
		err = identify(s, kind, &id, report, e);
	if (err == ERR_OK && *kind == FILE_MISSING)
		err = asides_count(&s->files, &s->aside_files, &left, e);
	if (err != ERR_OK)
		return err;
	if (*kind == FILE_MISSING && !s->options.create && left == 0)
		return error_set(e, ERR_NOINPUT, "there is no spool at %s", s->path);
	report->created = *kind == FILE_MISSING;
	report->marker = files_marker_exists(&s->files);
	err = files_size(&s->files, "-wal", &wal_bytes, e);
	if (err != ERR_OK)
		return err;
	report->unclean = *kind != FILE_MISSING && wal_bytes > 0;
	report->copy_on_write = s->files.copy_on_write;
	if (s->files.copy_on_write)
		store_warn(report, "the file system copies on write: only the reserve lets a full disk be drained");
	if (s->files.overlay)
		store_warn(report, "the spool is on overlayfs: it lives as long as the container");
	if (report->unclean || report->marker)
		files_drop_cache(&s->files);
	if (*kind == FILE_OURS && report->unclean)
		err = store_mend_wal(&s->files, &id.scan, report, e);
	s->log_is_live = *kind == FILE_OURS && (id.scan.commits > 0 || wal_is_damaged(&id.scan));
	return err;
}

/* The default is for disks of today: of a small one it would leave nothing. */
static void cap_min_free(struct store *s)
{
	if (s->options.min_free_is_default)
		s->options.min_free_bytes = files_share(&s->files, s->options.min_free_bytes);
}

static enum err finish_open(struct store *s, struct store_report *report, struct error *e)
{
	enum err err = ERR_OK;

	/* Whatever recovery found is written to the database once more, page by page (RELIABILITY's fsync rule). */
	if (report->created || report->marker || report->quarantined || report->wal_mended)
		err = store_checkpoint(s, true, e);
	if (err == ERR_OK) /* what has no room for it now is written once more by a start that has */
		files_remove(&s->files, ".unsafe");
	else if (err != ERR_FULL)
		return err;
	asides_sweep_copies(&s->files);
	/* A new file gets other sectors. */
	err = s->tide_is_dead ? files_rename(&s->files, ".tide", FILES_DEAD_TIDE, e) : ERR_OK;
	if (err != ERR_OK)
		return err;
	files_tide_open(&s->files);
	store_tide_write(s);
	if (s->tide.unread_is_read && s->tide_trouble == 0)
		files_remove(&s->files, FILES_DEAD_TIDE);
	files_lock_name(&s->files, store_totals_id(&s->durable));
	cap_min_free(s);
	s->log_least = files_share(&s->files, MIN_CHECKPOINT_BYTES);
	store_reserve(s);
	if (s->now.ledger.pending > 0 && store_is_shut(s))
		store_warn(report, "no room to write that a message has left: none is sent until there is some");
	store_watch_note(s);
	err = store_salvage_for(s, FIRST_BUDGET_MS, &report->salvaged_rows, e);
	for (size_t i = 0; i < s->put_off_count && err == ERR_OK; i++)
		store_warn(report,
		           "%s%s cannot be read back: %s; the next start tries again, until kspool repair --give-up"
		           " %s%s",
		           s->path, s->put_off[i].suffix, s->put_off[i].why.text, s->path, s->put_off[i].suffix);
	if (err == ERR_OK)
		err = store_rows_tell_now(s, report, e);
	(void)store_take_possible(s); /* the ledger has them */
	report->rows = s->now.ledger.pending;
	report->damaged = s->now.ledger.damaged;
	return err;
}

static bool is_page_size(uint32_t n) { return n >= 512 && n <= 65536 && (n & (n - 1)) == 0; }

enum err store_open(const struct store_options *options, struct store **ret, struct store_report *ret_report,
                    struct error *e)
{
	struct store *s = mem_zero(sizeof *s);
	struct store_report report = {0};
	enum file_kind kind = FILE_MISSING;
	enum err err;

	sql_global_setup();
	vfs_forget_fault();
	(void)sql_lacked_memory();
	s->files = FILES_NONE;
	s->options = *options;
	s->path = mem_string(options->path);
	s->block = block_new();
	s->options.path = s->path;
	s->vfs = options->vfs ? mem_string(options->vfs) : NULL;
	s->options.vfs = s->vfs;
	if (options->page_size && !is_page_size(options->page_size))
		err = error_set(e, ERR_CONFIG, "page size %" PRIu32 " is not a power of two from 512 to 65536",
		                options->page_size);
	else
		err = open_files(s, &kind, &report, e);
	if (err == ERR_OK)
		err = kind == FILE_DAMAGED ? error_set(e, ERR_DAMAGED, "its head or its ledger is not what was written")
		                           : open_database(s, kind == FILE_MISSING, NULL, &report, e);
	if (err == ERR_DAMAGED)
		err = start_over(s, NULL, &report, e);
	if (err == ERR_OK)
		err = finish_open(s, &report, e);
	err = store_told_fault(s, err, e);
	if (ret_report)
		*ret_report = report;
	if (err == ERR_FULL) { /* not the spool: its file system, and there is nobody yet who could tell a producer */
		err = ERR_NOSPACE;
		if (e)
			e->code = err;
		(void)error_wrap(e, "no room to open the spool; free some space on its file system and start again");
	}
	if (err != ERR_OK) {
		store_abandon(s);
		return err;
	}
	*ret = s;
	return ERR_OK;
}

enum err store_restart_damaged(struct store *s, struct store_report *report, struct error *e)
{
	const uint64_t untold = s->possible_untold;
	struct totals known;
	enum err err;

	store_rollback(s);
	known = s->now;
	s->tide = store_tide_of_run(s); /* `known` is not older */
	s->now = s->durable = (struct totals){0};
	*report = (struct store_report){.unclean = true};
	err = start_over(s, &known, report, e);
	if (err == ERR_OK)
		err = finish_open(s, report, e);
	s->possible_untold = untold + store_beyond(s->durable.possible, known.possible);
	return err;
}

enum err store_close(struct store *s, struct error *e)
{
	enum err err = ERR_OK;
	int rc = SQLITE_OK;
	bool lost;

	if (!s)
		return ERR_OK;
	if (s->is_looked_at) {
		store_abandon(s);
		return ERR_OK;
	}
	store_rollback(s);
	err = store_watch(s, &lost, e);
	if (err != ERR_OK) {
		store_abandon(s);
		return err;
	}
	err = store_put_ledger(s, e);
	left_sync(s->left, s->durable.commits);
	if (err == ERR_OK || err == ERR_FULL)
		rc = store_cut_log(s);
	if (rc != SQLITE_OK)
		err = sql_error(s->db, rc, e, "checkpoint at close");
	if (err == ERR_FULL) /* the log keeps what the database has no room for */
		err = ERR_OK;
	left_look(s->left); /* the log made room */
	if (err == ERR_DISK)
		files_marker_put(&s->files, e ? e->text : "checkpoint at close failed\n");
	store_abandon(s);
	return err;
}

void store_abandon(struct store *s)
{
	if (!s)
		return;
	disconnect(s);
	left_close(s->left);
	files_close(&s->files);
	block_free(s->block);
	buf_fini(&s->fill.frames);
	free(s->marks.items);
	block_packer_fini(&s->packer);
	free(s->leads);
	free(s->put_off);
	free(s->path);
	free(s->vfs);
	free(s);
}

void store_reconfigure(struct store *s, const struct store_options *options)
{
	s->options.max_bytes = options->max_bytes;
	s->options.min_free_bytes = options->min_free_bytes;
	s->options.min_free_is_default = options->min_free_is_default;
	cap_min_free(s);
	s->options.evict_oldest = options->evict_oldest;
	s->options.max_message_bytes = options->max_message_bytes;
	s->options.compress = options->compress;
	s->full_bytes = s->full_disk = false;
	s->free_checked_ms = 0;
}
