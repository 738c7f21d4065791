/*
 * `kspool check`: a stopped spool, looked at.
 *
 * Invariants:
 * 1. check changes no file and makes none, on a read-only file system as elsewhere.
 * 2. check holds the lock while it looks, so that no daemon writes meanwhile; where there is none, no daemon was.
 * 3. problems is 0 exactly when no line begins with "problem:".
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/flight_file.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/files/wal.h"
#include "store/store_identity_internal.h"
#include "store/upkeep/store_upkeep.h"

enum { INTEGRITY_LINES = 20 };

static enum err check_log(struct check *c, struct error *e)
{
	AUTOCLOSE int fd = -1;
	struct wal_scan scan = {0};
	enum err err = files_open_read(&c->files, "-wal", O_RDONLY, &fd, e);

	if (err != ERR_OK)
		return err;
	if (fd < 0)
		(void)buf_add_text(c->out, "log: none\n");
	else
		err = wal_scan(fd, &scan, e);
	if (fd >= 0 && err == ERR_OK)
		(void)buf_addf(c->out, "log: %" PRIu64 " frames, %" PRIu64 " commits\n", scan.frames, scan.commits);
	return err;
}

/* SQLite holds whole rows of tables that are their own index against each other, however long they are. */
static bool can_be_read(struct check *c)
{
	static const char *const looks[][3] = {
	    {"positions", "key", "SELECT count(*) FROM positions WHERE +key = '' OR +value = ''"},
	    {"cache", "key", "SELECT count(*) FROM cache WHERE +cache = '' OR +key = ''"},
	    {"salvage", "path", "SELECT count(*) FROM salvage WHERE +path = ''"},
	    {"imports", "copy", "SELECT count(*) FROM imports WHERE +copy = ''"},
	};
	struct error e;

	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
		bool is_there = false;
		int64_t rows;
		const int rc = sql_has_column(c->db, looks[i][0], looks[i][1], &is_there);
		enum err err = rc == SQLITE_OK ? ERR_OK : sql_error(c->db, rc, &e, "look for a table");

		if (err == ERR_OK && is_there)
			err = sql_number(c->db, looks[i][2], &rows, &e);
		if (err == ERR_OK || (err == ERR_DAMAGED && (sqlite3_errcode(c->db) & 0xff) != SQLITE_TOOBIG))
			continue; /* its structure says what it is */
		store_check_problem(c, "structure: %s: %s", looks[i][0],
		                    err == ERR_DAMAGED ? "a row is larger than any that kspool writes" : e.text);
		return false;
	}
	return true;
}

static void check_structure(struct check *c)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	char sql[64];
	uint64_t before = c->problems;

	if (!can_be_read(c))
		return;
	(void)snprintf(sql, sizeof sql, "PRAGMA integrity_check(%d)", INTEGRITY_LINES);
	if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
		store_check_problem(c, "structure: %s", sqlite3_errmsg(c->db));
		return;
	}
	for (;;) {
		int rc = sqlite3_step(st);
		const char *line = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;

		if (rc == SQLITE_DONE)
			break;
		if (rc != SQLITE_ROW) {
			store_check_problem(c, "structure: %s", sqlite3_errmsg(c->db));
			break;
		}
		if (line && strcmp(line, "ok") != 0)
			store_check_problem(c, "structure: %s", line);
	}
	if (c->problems == before)
		(void)buf_add_text(c->out, "structure: ok\n");
}

/* The tables as a start wants them. An older schema is a start's to bring up. */
static enum err check_schema(struct check *c, struct error *e)
{
	int64_t version = 0;
	enum err err = sql_number(c->db, "PRAGMA user_version", &version, e);

	if (err == ERR_OK && version < schema_steps[schema_step_count - 1].version) {
		(void)buf_addf(c->out, "schema: %lld, brought up at the next start\n", (long long)version);
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = sql_schema_check(c->db, c->files.path, schema_steps[schema_step_count - 1].version, e);
	c->is_newest = err == ERR_OK;
	if (err != ERR_DAMAGED && err != ERR_ENVIRONMENT)
		return err;
	store_check_problem(c, "schema: %s", e->text);
	return ERR_OK;
}

/* What may explain damaged messages; `unread`: files set aside may still hold some. */
static enum err count_kept(struct check *c, bool unread, struct error *e)
{
	int64_t kept = 0, noted = 0, expected = 0;
	enum err err = sql_number(c->db, STORE_KEPT_SQL, &kept, e);

	if (err == ERR_OK)
		err = sql_number(c->db, STORE_NOTED_SQL, &noted, e);

	if (err == ERR_OK && unread)
		err = sql_number(c->db, "SELECT coalesce(sum(after_id), 0) FROM salvage WHERE path = 'expected'",
		                 &expected, e);
	c->kept = (uint64_t)kept;
	c->noted = (uint64_t)noted;
	c->expected = (uint64_t)expected;
	if (err != ERR_DAMAGED)
		return err;
	store_check_problem(c, "%s", e->text);
	return ERR_OK;
}

/* The rows of the clock are sound, and the last that the tide mark knew is not among them. */
static enum err check_last_lead(struct check *c, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	const uint64_t print = c->tide.counts[TIDE_LEAD];
	int rc = sqlite3_prepare_v2(c->db, "SELECT first_id, lead_ms FROM clock ORDER BY first_id DESC LIMIT 1", -1,
	                            &st, NULL);

	rc = rc == SQLITE_OK ? sqlite3_step(st) : rc;
	if (rc == SQLITE_ROW && print != 0 && !c->clock_is_told &&
	    store_lead_print(sql_column_u64(st, 0), sqlite3_column_int64(st, 1)) != print)
		store_check_problem(c, "clock: rows are gone: no message that waits now will be too old for a start");
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return ERR_OK;
	return sql_error(c->db, rc, e, "read the clock") == ERR_DAMAGED ? ERR_OK : e->code; /* the structure says so */
}

/* Rows whose page, or file, is gone; store_gone.c has the reasons. */
static enum err check_gone(struct check *c, struct error *e)
{
	const bool is_behind = store_tide_is_behind(&c->tide, &c->ledger);
	const struct {
		const char *table, *sql, *what;
		enum err (*total)(sqlite3 *db, struct side_total *ret, struct error *e);
		int at, sum_at;
		bool is_exact;
	} tables[] = {
	    {"positions",
	     "SELECT count(*) + coalesce((SELECT sum(after_id) FROM salvage WHERE path = 'positions'), 0) FROM "
	     "positions",
	     "what they are of is read again from its start, and counted; kspool repair notes that you know",
	     side_positions_total, TIDE_POSITIONS, TIDE_POSITIONS_SUM, true},
	    {"imports", "SELECT count(*) FROM imports",
	     "a start notes it, and what is taken in from copies afterwards counts as possible duplicates",
	     side_imports_total, TIDE_IMPORTS, TIDE_IMPORTS_SUM, true},
	    {"cache", "SELECT count(*) FROM cache NOT INDEXED",
	     "a start counts what they kept back as possible duplicates", NULL, TIDE_KEYS, 0, !is_behind},
	};

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		const uint64_t had = c->tide.counts[tables[i].at];
		struct side_total total = {.sum = c->tide.counts[tables[i].sum_at]};
		int64_t rows = 0;
		enum err err = had > 0 ? sql_number(c->db, tables[i].sql, &rows, e) : ERR_OK;

		if (err == ERR_OK && tables[i].total && c->tide.has_more && !is_behind)
			err = tables[i].total(c->db, &total, e);
		if (err == ERR_DAMAGED) /* the structure says so */
			continue;
		if (err != ERR_OK)
			return err;
		if ((uint64_t)rows >= had && total.wrong == 0 && total.sum != c->tide.counts[tables[i].sum_at])
			store_check_problem(
			    c,
			    "%s: its rows are not those that were written last, but of an earlier time: a start"
			    " notes it, and what comes because of it is counted as possible duplicates",
			    tables[i].table);
		if ((uint64_t)rows < had && (tables[i].is_exact || rows == 0))
			store_check_problem(c, "%s: %" PRIu64 " rows are gone: %s", tables[i].table,
			                    had - (uint64_t)rows, tables[i].what);
	}
	return c->tide.has_more && !is_behind ? check_last_lead(c, e) : ERR_OK;
}

static void print_ledger(struct buf *out, const struct store_ledger *l)
{
	const struct {
		const char *word;
		uint64_t count;
	} states[] = {
#define LEDGER_STATE(id, column, meaning) {#column, l->column},
#include "base/ledger.def"
	};

	(void)buf_addf(out, "ledger: accepted %" PRIu64, l->accepted);
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		(void)buf_addf(out, " %s %s %" PRIu64, i == 0 ? "=" : "+", states[i].word, states[i].count);
	(void)buf_add_char(out, '\n');
}

static enum err check_ledger(struct check *c, struct error *e)
{
	const struct store_ledger *l = &c->ledger.ledger;
	enum err err = store_check_ledger(c, e);

	if (err != ERR_OK || !c->has_ledger)
		return err;
	print_ledger(c->out, l);
	if (c->kept > 0)
		(void)buf_addf(c->out, "damaged: %" PRIu64 " messages are kept as they were read, in table `damaged`\n",
		               c->kept);
	if (c->noted > l->damaged)
		store_check_problem(c, "the ledger counts %" PRIu64 " damaged messages, and table `damaged` has more",
		                    l->damaged);
	if (store_untold(&c->ledger) > c->expected) {
		store_check_problem(
		    c,
		    "%" PRIu64
		    " messages are damaged, and nobody has confirmed it: kspool repair says which, and notes that"
		    " you know",
		    store_untold(&c->ledger) - c->expected);
		if (c->is_newest)
			err = store_losses_print(c->db, store_untold(&c->ledger), c->out, e);
		if (err == ERR_DAMAGED) {
			store_check_problem(c, "losses: %s", e->text);
			err = ERR_OK;
		}
	}
	store_check_counts(c);
	if (c->tide.is_valid && c->tide.id >= c->ledger.next_id)
		store_check_problem(c, "acknowledged messages up to id %" PRIu64 " are gone: the next id is %" PRIu64,
		                    c->tide.id, c->ledger.next_id);
	else if (store_tide_is_ahead(&c->tide, &c->ledger))
		store_check_problem(c, "what is here is older than the tide mark: commits are gone");
	return err;
}

/* What had left and is here again; one that was counted already may not have been noted there. */
static enum err check_left(struct check *c, struct error *e)
{
	struct left *left = left_open(&c->files, c->id, false);
	uint64_t again = 0;
	int64_t taken_back = 0;
	enum err err =
	    sql_number(c->db, "SELECT coalesce(sum(after_id), 0) FROM salvage WHERE path = 'left'", &taken_back, e);
	int rc = SQLITE_DONE;

	if (err == ERR_OK && (uint64_t)taken_back <= left_taken_back(left))
		rc = store_left_among(c->db, c->tag, left, &again);
	if (rc != SQLITE_DONE)
		store_check_problem(c, "what waits beside what had left: %s", sqlite3_errmsg(c->db));
	if (again > 0)
		store_check_problem(c,
		                    "%" PRIu64
		                    " messages that had left stand here again: a start counts them, as possible"
		                    " duplicates, and what they hide as damaged",
		                    again);
	if (err == ERR_OK && c->ledger.next_id > 0 && left_highest(left) >= c->ledger.next_id)
		store_check_problem(c, "messages up to id %" PRIu64 " had left, and the next id is %" PRIu64,
		                    left_highest(left), c->ledger.next_id);
	if (left_trouble(left) != 0)
		store_check_problem(c, "%s.left, which tells what had left from what is gone, cannot be read: %s",
		                    c->files.path, strerror(left_trouble(left)));
	else if (store_left_is_doubtful(left, &c->tide))
		store_check_problem(
		    c,
		    "%s.left, which tells what had left from what is gone, is gone, old, or not what was written; "
		    "a start"
		    " makes it anew",
		    c->files.path);
	left_close(left);
	return err == ERR_DAMAGED ? ERR_OK : err; /* the structure says so */
}

#define NOT_COUNTED \
	"after a kill a start counts what the last commit knew of, as possible duplicates, and makes it anew"

/* How much was with the service: what a start would count in another way. */
static void check_flight(struct check *c)
{
	AUTOCLOSE int fd = -1;
	int64_t unsure = -1;
	struct error e;
	enum err err = files_open_read(&c->files, ".flight", O_RDONLY, &fd, &e);
	const struct flight_found found = files_flight_read(fd);
	const uint64_t ours[] = {c->id.high, c->id.low};

	if (err == ERR_OK)
		err = files_size(&c->files, ".flight.unsure", &unsure, &e);
	if (err == ERR_OK && found.trouble != 0)
		err = error_set(&e, ERR_DISK, "cannot read %s.flight: %s", c->files.path, strerror(found.trouble));
	if (err != ERR_OK)
		store_check_problem(c, "what was with the service is not known: %s; " NOT_COUNTED, e.text);
	else if (unsure >= 0)
		store_check_problem(
		    c,
		    "%s.flight, which says what was with the service, could not be written by the last run: a start"
		    " counts all that waits, as possible duplicates, and makes it anew",
		    c->files.path);
	else if (found.is_damaged || (spool_id_is_known(c->id) && files_flight_is_anothers(&found, ours)))
		store_check_problem(c, "%s.flight, which says what was with the service, is %s: " NOT_COUNTED,
		                    c->files.path, found.is_damaged ? "not what was written" : "another spool's");
}

/* Files of another spool, or that do not fit each other; *ret_fits: what there is can be read as one. */
static enum err check_identity(struct check *c, enum file_kind kind, bool *ret_fits, struct error *e)
{
	char words[IDENTITY_WORDS_MAX][IDENTITY_TEXT_BYTES], digits[SPOOL_ID_TEXT_BYTES];
	struct identity id;
	enum err err = store_identity_look(&c->files, kind, &id, e);
	size_t count = err == ERR_OK ? store_identity_words(&id, words) : 0;

	if (err == ERR_OK && wal_is_damaged(&id.scan) &&
	    !(id.scan.header_is_torn && id.scan.commits_mended == id.scan.commits_lost))
		store_check_problem(c,
		                    "the log is damaged: %" PRIu64 " commits stand behind the break, %" PRIu64
		                    " can be joined again",
		                    id.scan.commits_lost, id.scan.commits_mended);
	*ret_fits = err == ERR_OK && !id.file_is_strange && !id.page_is_strange && id.log == LOG_FITS;
	if (err == ERR_OK && spool_id_is_known(id.ours))
		(void)buf_addf(c->out, "spool: %s\n", files_id_text(id.ours, digits));
	for (size_t i = 0; i < count; i++)
		store_check_problem(c, "%s; start kspool, or run kspool repair, to part them", words[i]);
	c->tide = id.tide;
	if (err == ERR_OK && id.tide_is_lost)
		store_check_problem(c,
		                    "%s.tide, which says what was acknowledged last, %s: whether the end of what was"
		                    " accepted is here cannot be told; a start makes it anew",
		                    c->files.path, id.tide_is_dead ? "cannot be read" : "is gone or damaged");
	c->id = id.ours;
	c->tag = sum_tag_of(c->id);
	return err;
}

static enum err check_all(struct check *c, struct error *e)
{
	const bool has_log = files_bytes(&c->files, "-wal") > 0;
	bool fits = true;
	enum file_kind kind;
	uint64_t unread = 0;
	enum err err = store_inspect(&c->files, &kind, e);

	if (err == ERR_OK)
		err = asides_print(&c->files, c->out, &unread, e);
	if (err != ERR_OK)
		return err;
	if (unread > 0)
		store_check_problem(
		    c, "%" PRIu64 " files set aside are not read to their end; start kspool, or run kspool repair",
		    unread);
	if (kind == FILE_MISSING && has_log)
		store_check_problem(
		    c, "the database is gone, its log is here; start kspool, or run kspool repair, to read it back");
	if (kind == FILE_MISSING && (unread > 0 || has_log))
		return ERR_OK;
	if (kind == FILE_MISSING)
		return error_set(e, ERR_NOINPUT, "there is no spool at %s", c->files.path);
	err = check_log(c, e);
	if (err == ERR_OK)
		err = check_identity(c, kind, &fits, e);
	if (err != ERR_OK || !fits)
		return err;
	if (kind == FILE_DAMAGED) {
		store_check_problem(c, "the head of the file is damaged");
		return ERR_OK;
	}
	err = sql_reader_open(c->files.path, NULL, &c->db, e);
	if (err == ERR_DAMAGED) {
		store_check_problem(c, "%s", e->text);
		return ERR_OK;
	}
	if (err != ERR_OK)
		return err;
	check_structure(c);
	err = check_schema(c, e);
	if (err == ERR_OK)
		err = store_check_tables(c, e);
	if (err == ERR_OK)
		err = count_kept(c, unread > 0, e);
	if (err == ERR_OK)
		err = check_ledger(c, e);
	if (err == ERR_OK && c->is_newest && unread == 0)
		err = check_gone(c, e);
	if (err == ERR_OK && c->is_newest && unread == 0)
		err = check_left(c, e);
	if (err == ERR_OK)
		check_flight(c);
	(void)sqlite3_close_v2(c->db);
	return err;
}

enum err store_check(const char *path, struct buf *out, uint64_t *ret_problems, struct error *e)
{
	struct check c = {.out = out};
	struct error local;
	enum err err = files_open_reader(&c.files, path, e);

	*ret_problems = 0;
	vfs_forget_fault();
	(void)sql_lacked_memory();
	if (err != ERR_OK)
		return store_is_no_producer(err, e);
	err = check_all(&c, e ? e : &local);
	if (err == ERR_OK)
		err = store_no_fault(path, e);
	if (err == ERR_OK && c.files.is_read_only && c.problems > 0)
		(void)buf_addf(
		    out,
		    "%s cannot be written here: to mend it, copy it with all that stands beside it (%s*) to a"
		    " folder of a healthy disk\n",
		    path, path);
	files_close(&c.files);
	*ret_problems = c.problems;
	return store_is_no_producer(err, e ? e : &local);
}
