/*
 * `kspool repair`: a stopped spool, mended.
 *
 * Invariants:
 * 1. It moves and counts; it deletes nothing that could not be read.
 * 2. It ends well only when `kspool check` finds nothing afterwards.
 * 3. What is damaged for good is told once: the ledger's `told` says of how much a person was told, and is written
 *    after the words were shown.
 */
#include "store/store_salvage_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/upkeep/store_upkeep_internal.h"
#include "store/upkeep/store_upkeep.h"

enum { MOVE_AT_ONCE = 256, PROGRESS_STEPS = 100000, PROGRESS_MS = 5000, CHECK_MAX_BYTES = 16 << 20 };

struct progress {
	void (*tell)(const char *text);
	int64_t begun_ms, told_ms;
};

/* Called every so many steps of SQLite. */
static int show_progress(void *arg)
{
	struct progress *p = arg;
	int64_t now = clock_mono_ms();
	char text[80];

	if (!p->tell || now - p->told_ms < PROGRESS_MS)
		return 0;
	p->told_ms = now;
	(void)snprintf(text, sizeof text, "every page is checked: %" PRId64 " s so far",
	               (now - p->begun_ms) / MS_PER_S);
	p->tell(text);
	return 0;
}

/* Wrong messages from `after` on, until a block is in the way that must be taken apart first. */
static enum err find_wrong(struct store *s, uint64_t *after, uint64_t *wrong, size_t *ret_count, bool *ret_broken,
                           bool *ret_done, struct error *e)
{
	struct block_walk w;
	struct block_message m;
	int rc = SQLITE_ROW;

	*ret_count = 0;
	*ret_broken = false;
	walk_start(&w, store_statement(s, ST_READ), store_statement(s, ST_BLOCKS), s->block, *after + 1, INT64_MAX);
	while (*ret_count < MOVE_AT_ONCE && !*ret_broken && (rc = walk_next(&w, &m)) == SQLITE_ROW) {
		*ret_broken = m.in_block && !s->block->is_sound;
		if (*ret_broken)
			break;
		*after = m.row.id;
		if (!m.is_sound)
			wrong[(*ret_count)++] = m.row.id;
	}
	walk_end(&w);
	*ret_done = rc == SQLITE_DONE;
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read");
}

/* All pending messages, by their checksum; wrong ones go to `damaged`. */
static enum err move_wrong_rows(struct store *s, uint64_t *ret_moved, struct error *e)
{
	uint64_t after = 0, before = s->durable.ledger.damaged;
	bool done = false;
	enum err err = ERR_OK;

	while (err == ERR_OK && !done) {
		uint64_t wrong[MOVE_AT_ONCE];
		size_t count;
		bool broken;

		err = find_wrong(s, &after, wrong, &count, &broken, &done, e);
		if (err == ERR_OK && broken)
			err = store_dissolve_block(s, e);
		if (err == ERR_OK)
			err = store_move_damaged(s, wrong, count, e);
	}
	if (err == ERR_OK)
		err = store_dead_move_damaged(s, e);
	*ret_moved = s->durable.ledger.damaged - before;
	return err;
}

/* Every page, whatever the size: what only looks sound would be found by delivery, one day. */
static enum err check_pages(struct store *s, void (*tell)(const char *text), struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	struct progress progress = {.tell = tell, .begun_ms = clock_mono_ms(), .told_ms = clock_mono_ms()};
	const char *answer;
	int rc;

	sqlite3_progress_handler(s->db, PROGRESS_STEPS, show_progress, &progress);
	rc = sqlite3_prepare_v2(s->db, "PRAGMA integrity_check(1)", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	sqlite3_progress_handler(s->db, 0, NULL, NULL);
	if (rc != SQLITE_ROW)
		return store_fail(s, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, e, "check every page");
	answer = (const char *)sqlite3_column_text(st, 0);
	if (answer && strcmp(answer, "ok") == 0)
		return ERR_OK;
	return error_set(e, ERR_DAMAGED, "%s: %s", s->path, answer ? answer : "no answer");
}

/* The words so far are before a person's eyes, or the caller's buffer has them. */
static enum err show(const struct store_repair *how, struct buf *out, struct error *e)
{
	if (!how->show)
		return ERR_OK;
	if (!how->show(out->data ? out->data : "", out->len))
		return error_set_errno(e, ERR_SYSTEM,
		                       "what is gone could not be shown, so that it is not noted as known");
	buf_clear(out);
	return ERR_OK;
}

/* The person who repairs is told what is damaged, and why; check is silent about it from then on. */
static enum err note_told(struct store *s, const struct store_repair *how, struct buf *out, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LOSSES_FORGET);
	const uint64_t untold = store_untold(&s->durable);
	struct note expected;
	uint64_t told;
	enum err err = store_note_get(s, SALVAGE_EXPECTED, &expected, e);

	if (err != ERR_OK || untold <= expected.after)
		return err;
	told = untold - expected.after;
	(void)buf_addf(out, "told: %" PRIu64 " messages are damaged, which nobody had confirmed; noted that you know\n",
	               told);
	err = store_losses_print(s->db, told, out, e);
	if (err == ERR_OK)
		err = show(how, out, e);
	if (err == ERR_OK)
		err = store_begin(s, e);
	if (err != ERR_OK)
		return err;
	s->now.told += told;
	(void)sqlite3_bind_int(st, 1, expected.after > 0 ? LOSS_ASIDE : 0);
	err = store_run(s, st, e, "forget what was told");
	return err == ERR_OK ? store_commit(s, e) : err;
}

/* Rows beside the messages, and the shelf's; what a start leaves for a person is decided here. */
static enum err repair_sides(struct store *s, struct buf *out, struct error *e)
{
	struct store_report report;
	struct sides_settled settled = {0};
	enum err err = store_mend(s, true, &report, e);

	if (err == ERR_OK)
		err = store_settle_sides(s, &settled, e);
	if (report.warning[0])
		(void)buf_addf(out, "rows beside the messages: %s\n", report.warning);
	if (settled.notes > 0)
		(void)buf_addf(out, "shelf: of %" PRIu64 " messages it is forgotten why they were set aside\n",
		               settled.notes);
	if (settled.copies > 0)
		(void)buf_addf(out,
		               "imports: of %" PRIu64
		               " copies it is forgotten that they were taken in: what is taken in from"
		               " now on is counted as possible duplicates\n",
		               settled.copies);
	if (settled.positions > 0)
		(void)buf_addf(out,
		               "positions: %" PRIu64 " are forgotten: what they are of is read again from its start, "
		               "and counted as possible duplicates\n",
		               settled.positions);
	return err;
}

/* Rows of which only their number is known, once all that can come back has. */
static enum err repair_gone(struct store *s, const struct store_repair *how, struct buf *out, struct error *e)
{
	struct store_report report = {0};
	uint64_t positions = 0;
	enum err err = store_rows_tell_now(s, &report, e);

	if (err == ERR_OK)
		err = store_rows_gone(s, &positions, e);
	if (report.warning[0])
		(void)buf_addf(out, "rows beside the messages: %s\n", report.warning);
	if (positions > 0)
		(void)buf_addf(out,
		               "positions: %" PRIu64 " are gone: what they are of is read again from its start, and"
		               " counted as possible duplicates; noted that you know\n",
		               positions);
	if (err == ERR_OK)
		err = show(how, out, e);
	return err == ERR_OK ? store_rows_told(s, e) : err;
}

/* Columns of blocks that wait for what is not built yet: no message needs what stands there. */
static enum err clear_columns(struct store *s, struct buf *out, struct error *e)
{
	static const char clear[] = "UPDATE blocks SET data_key = NULL, route = NULL, class = NULL, origin = NULL,"
	                            " origin_id = NULL WHERE " BLOCK_SAYS_MORE;
	int64_t blocks = 0;
	enum err err = store_number(s, "SELECT count(*) FROM blocks WHERE " BLOCK_SAYS_MORE, &blocks, e);

	if (err != ERR_OK || blocks == 0)
		return err;
	err = store_begin(s, e);
	if (err == ERR_OK)
		err = store_exec(s, clear, e, "clear what no kspool wrote");
	if (err == ERR_OK)
		err = store_commit(s, e);
	(void)buf_addf(out, "blocks: %" PRId64 " said what no kspool has written yet: cleared\n", blocks);
	return err;
}

static enum err repair_rows(struct store *s, const struct store_repair *how, struct buf *out, struct error *e)
{
	uint64_t moved = 0, salvaged = 0, unread = 0;
	struct store_report counted = {0};
	enum err err = repair_sides(s, out, e);

	if (err == ERR_OK)
		err = check_pages(s, how->tell, e);
	if (err == ERR_OK)
		err = clear_columns(s, out, e);
	if (err == ERR_OK)
		err = move_wrong_rows(s, &moved, e);
	if (err == ERR_OK)
		err = store_recount(s, &counted, e);
	if (err == ERR_OK)
		err = store_salvage_for(s, INT32_MAX, &salvaged, e);
	if (err == ERR_OK)
		err = repair_gone(s, how, out, e);
	if (err == ERR_OK)
		err = asides_print(&s->files, out, &unread, e);
	for (size_t i = 0; i < s->put_off_count; i++) {
		AUTOFREE char *file = mem_format("%s%s", s->path, s->put_off[i].suffix);
		AUTOFREE char *word = mem_shell_word(file);

		(void)buf_addf(out, "cannot be read: %s: %s; when it is lost for good: kspool repair --give-up %s\n",
		               file, s->put_off[i].why.text, word);
	}
	if (s->salvage_waits)
		(void)buf_addf(out, "there is no room to read back all that was set aside: free some space, or start"
		                    " kspool, so that messages leave\n");
	(void)buf_addf(out,
	               "rows: %" PRIu64 " with a wrong checksum moved to `damaged`, %" PRIu64
	               " counted as missing, %" PRIu64 " salvaged\n",
	               moved, counted.missing_rows, salvaged);
	return err == ERR_OK ? note_told(s, how, out, e) : err;
}

/* What can be read of it comes back now; then it is looked for no more. */
static enum err give_up(struct store *s, const char *file, struct buf *out, struct error *e)
{
	char suffix[ASIDE_SUFFIX_BYTES];
	bool is_read = false;
	uint64_t rows = 0;
	enum err err = asides_named(&s->files, file, suffix, &is_read, e);

	if (err == ERR_OK && is_read)
		(void)buf_addf(out, "nothing is left to do with %s%s\n", s->path, suffix);
	if (err != ERR_OK || is_read)
		return err;
	err = store_source_give_up(s, suffix, e);
	while (err == ERR_OK && s->salvage && !s->salvage_waits)
		err = store_salvage_for(s, INT32_MAX, &rows, e);
	if (err == ERR_OK && s->salvage_waits)
		err =
		    error_set(e, ERR_NOSPACE,
		              "there is no room on the disk of %s to read back %s; free some space, or start kspool, so"
		              " that messages leave, and give the file up after that",
		              s->path, file);
	s->tolerates = false;
	if (err == ERR_OK)
		(void)buf_addf(out, "given up: %s%s; %" PRIu64 " messages came back before\n", s->path, suffix, rows);
	return err;
}

static enum err repair(struct store *s, const struct store_repair *how, struct buf *out, struct error *e)
{
	char why[STORE_WHY_BYTES] = "";
	struct store_report report;
	enum err err = how->give_up ? give_up(s, how->give_up, out, e) : ERR_OK;

	if (err == ERR_OK)
		err = repair_rows(s, how, out, e);
	if (err != ERR_DAMAGED)
		return err;
	if (e)
		store_why(e, why);
	err = store_restart_damaged(s, &report, e);
	(void)buf_addf(out, "structure: %s%s\n", report.warning, why);
	return err == ERR_OK ? repair_rows(s, how, out, e) : err;
}

/* After a repair that ends well, check ends well. */
static enum err check_after(const char *path, struct buf *out, struct error *e)
{
	struct buf found;
	uint64_t problems = 0;
	enum err err;

	buf_init(&found, CHECK_MAX_BYTES);
	err = store_check(path, &found, &problems, e);
	if (err == ERR_OK && problems > 0) { /* no memory for a moment looks like a finding, and does not stay */
		buf_clear(&found);
		err = store_check(path, &found, &problems, e);
		if (err == ERR_OK && problems == 0)
			err = error_set(e, ERR_MEMORY, "what was repaired could not be looked at: run kspool check");
	}
	if (err == ERR_OK && problems > 0) {
		(void)buf_add(out, found.data, found.len);
		err = error_set(e, ERR_DAMAGED, "%" PRIu64 " problems are left, which the lines above name", problems);
	}
	buf_fini(&found);
	return err;
}

enum err store_repair(const char *path, const struct store_repair *how, struct buf *out, struct error *e)
{
	struct store_options options = {.path = path};
	struct store_report report;
	struct store *s = NULL;
	enum err err = store_open(&options, &s, &report, e);

	if (err != ERR_OK)
		return err;
	if (how->opened)
		err = how->opened(s, path, &report, e);
	if (report.warning[0])
		(void)buf_addf(out, "opened: %s\n", report.warning);
	if (report.flight_is_damaged || report.flight_is_anothers)
		(void)buf_addf(out,
		               "opened: %s.flight, which says what was with the service, was %s and is made anew\n",
		               path, report.flight_is_damaged ? "not what was written" : "another spool's");
	if (err == ERR_OK)
		err = repair(s, how, out, e);
	if (err != ERR_OK) {
		store_abandon(s);
		return err;
	}
	err = store_close(s, e);
	return err == ERR_OK ? check_after(path, out, e) : err;
}
