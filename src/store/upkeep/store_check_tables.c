/*
 * What the tables of a spool, or of a copy, say of themselves: messages, marks, clock, rows beside the messages,
 * ledger.
 *
 * Invariants:
 * 1. Nothing is believed of a number that a checksum, or another table, does not bear out.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/files/sql_schema.h"
#include "store/files/vfs.h"
#include "store/upkeep/store_copy.h"

#define LEAD_MAX_MS INT64_C(300000000000000) /* 9,500 years */

void store_check_problem(struct check *c, const char *format, ...)
{
	va_list ap;

	c->problems++;
	(void)buf_add_text(c->out, "problem: ");
	va_start(ap, format);
	(void)buf_addv(c->out, format, ap);
	va_end(ap);
	(void)buf_add_char(c->out, '\n');
}

static uint64_t check_rows(struct check *c, const char *table)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	uint64_t rows = 0, wrong = 0;
	AUTOFREE char *sql = mem_format(ROW_SELECT " FROM %s", table);
	int rc;

	rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			const struct store_row row = row_read(st);

			rows++;
			wrong += !row_is_sound(&row, c->tag);
		}
	(void)buf_addf(c->out, "%s: %" PRIu64 " rows\n", table, rows);
	if (rc != SQLITE_DONE)
		store_check_problem(c, "%s: %s", table, sqlite3_errmsg(c->db));
	if (wrong > 0)
		store_check_problem(c, "%s: %" PRIu64 " rows have a wrong checksum", table, wrong);
	return rows;
}

/* Pending messages, alone and in blocks. */
static uint64_t check_pending(struct check *c)
{
	struct block_walk w;
	struct block_message m;
	uint64_t rows = 0, wrong = 0, in_blocks = 0, broken = 0, last_broken = 0;
	int rc = store_walk_whole(&w, c->db);

	c->lowest_block = c->lowest_row = UINT64_MAX;
	if (rc == SQLITE_OK) {
		while ((rc = walk_next(&w, &m)) == SQLITE_ROW) {
			rows++;
			store_stands_from(m.in_block ? &c->lowest_block : &c->lowest_row,
			                  m.in_block ? w.block->id : m.row.id);
			in_blocks += m.in_block;
			wrong += !m.is_sound;
			if (m.in_block && !w.block->is_sound && w.block->id != last_broken) {
				last_broken = w.block->id;
				broken++;
			}
		}
		walk_close(&w);
	}
	(void)buf_addf(c->out, "messages: %" PRIu64 " rows, %" PRIu64 " of them in blocks\n", rows, in_blocks);
	if (rc != SQLITE_DONE)
		store_check_problem(c, "messages: %s", sqlite3_errmsg(c->db));
	if (wrong > 0)
		store_check_problem(c, "messages: %" PRIu64 " rows have a wrong checksum", wrong);
	else if (broken > 0)
		store_check_problem(c, "messages: %" PRIu64 " blocks have a wrong checksum, their messages none",
		                    broken);
	return rows;
}

/* Rows that no walk comes to, or that say what no kspool has written yet. */
static void check_strange(struct check *c)
{
	static const char *const tables[][2] = {
	    {"messages", "SELECT count(*) FROM messages WHERE id < 1"},
	    {"blocks", "SELECT count(*) FROM blocks WHERE id < 1 OR count NOT BETWEEN 1 AND 512 OR " BLOCK_SAYS_MORE},
	};
	struct error e;

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		int64_t rows = 0;
		bool is_there;
		const int rc = sql_has_column(c->db, tables[i][0], "id", &is_there);

		if (rc == SQLITE_OK && !is_there)
			continue;
		if ((rc == SQLITE_OK ? sql_number(c->db, tables[i][1], &rows, &e)
		                     : sql_error(c->db, rc, &e, "look for a table")) != ERR_OK)
			store_check_problem(c, "%s: %s", tables[i][0], e.text);
		if (rows > 0)
			store_check_problem(c, "%s: %" PRId64 " rows have numbers that none can have", tables[i][0],
			                    rows);
	}
}

/* A checksum can be made for any numbers: ids and the calendar end somewhere. */
static bool is_lead_possible(sqlite3_stmt *st)
{
	const int64_t first_id = sqlite3_column_int64(st, 0), lead_ms = sqlite3_column_int64(st, 1);

	return first_id >= 0 && first_id <= INT64_MAX / 2 &&
	       (lead_ms == INT64_MIN || (lead_ms >= -LEAD_MAX_MS && lead_ms <= LEAD_MAX_MS));
}

/* A file of an older kspool has no checksums there. */
static void check_clock(struct check *c)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	uint64_t rows = 0, wrong = 0;
	bool has_sums;
	int rc = sql_has_column(c->db, "clock", "checksum", &has_sums);

	if (rc == SQLITE_OK && !has_sums)
		return;
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(c->db, "SELECT first_id, lead_ms, checksum FROM clock", -1, &st, NULL);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			rows++;
			wrong += !store_lead_is_sound(st, c->tag) || !is_lead_possible(st);
		}
	if (rc != SQLITE_DONE)
		store_check_problem(c, "clock: %s", sqlite3_errmsg(c->db));
	if (wrong > 0)
		store_check_problem(c, "clock: %" PRIu64 " rows have a wrong checksum", wrong);
	else if (rc == SQLITE_DONE && rows == 0)
		store_check_problem(c, "clock: its rows are gone");
	c->clock_is_told = wrong > 0 || rows == 0;
}

/* Rows beside the messages. A start mends them, or says what it could not. */
static enum err check_sides(struct check *c, struct error *e)
{
	struct side_wrong wrong[SIDE_TABLES];
	enum err err = side_functions(c->db, &c->tag, e);

	if (err == ERR_OK)
		err = side_count_wrong(c->db, wrong, e);
	if (err == ERR_DAMAGED) {
		store_check_problem(c, "rows beside the messages: %s", e->text);
		return ERR_OK;
	}
	for (size_t i = 0; i < SIDE_TABLES && err == ERR_OK; i++)
		if (wrong[i].rows > 0)
			store_check_problem(
			    c, "%s: %" PRId64 " rows are not what was written: kspool repair mends what can be",
			    wrong[i].table, wrong[i].rows);
	return err;
}

enum err store_check_ledger(struct check *c, struct error *e)
{
	enum err err = store_ledger_of(c->db, &c->ledger, &c->has_ledger, e);

	if (err == ERR_OK && !c->has_ledger)
		store_check_problem(c, "the ledger row is missing, damaged or does not balance");
	return err;
}

void store_check_counts(struct check *c)
{
	const struct store_ledger *l = &c->ledger.ledger;

	if (c->lowest_block < c->ledger.blocks_from || c->lowest_row < c->ledger.rows_from)
		store_check_problem(c, "messages stand here that had left: a page is as it was at an earlier time");
	if (l->pending != c->rows || l->dead != c->dead)
		store_check_problem(
		    c, "the ledger counts %" PRIu64 " pending and %" PRIu64 " dead, there are %" PRIu64 " and %" PRIu64,
		    l->pending, l->dead, c->rows, c->dead);
}

enum err store_check_tables(struct check *c, struct error *e)
{
	c->rows = check_pending(c);
	c->dead = check_rows(c, "dead");
	check_strange(c);
	check_clock(c);
	return c->is_newest ? check_sides(c, e) : ERR_OK;
}

static enum err check_copy(struct check *c, const char *path, struct error *e)
{
	int64_t version = 0;
	enum err err = sql_reader_open(path, NULL, &c->db, e);

	if (err == ERR_OK)
		err = store_check_source(c->db, path, e);
	if (err == ERR_OK)
		err = sql_number(c->db, "PRAGMA user_version", &version, e);
	c->is_newest = version == schema_steps[schema_step_count - 1].version;
	if (err == ERR_OK)
		err = store_check_ledger(c, e);
	c->tag = c->has_ledger ? sum_tag_of(store_totals_id(&c->ledger)) : 0;
	if (err == ERR_OK)
		err = store_check_tables(c, e);
	if (err == ERR_OK && c->has_ledger)
		store_check_counts(c);
	return err;
}

enum err store_check_copy(const char *path, struct buf *out, uint64_t *ret_problems, struct error *e)
{
	struct check c = {.out = out};
	enum err err;

	vfs_forget_fault();
	(void)sql_lacked_memory();
	err = check_copy(&c, path, e);
	(void)sqlite3_close_v2(c.db);
	*ret_problems = c.problems;
	return err == ERR_OK ? store_no_fault(path, e) : err;
}
