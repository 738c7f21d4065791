/*
 * The way out of a full disk, and a smaller file when there is little in it.
 *
 * Invariants:
 * 1. The log does not go into a database that has no room for all of it: half a checkpoint takes the room of
 * settlements and gives none back.
 * 2. What takes room leaves what the exit needs (EXIT_PAGES of the log, half of the reserve) to what only leaves.
 * 3. No more of the reserve is free than the next step needs; what a drain did not use is the reserve's again at its
 * end.
 */
#include "store/store_internal.h"

#include <inttypes.h>

#include "base/clock.h"

enum {
	DRAIN_ROWS = 64,
	STEP_BYTES = 64 << 10,
	NOTE_BYTES = 512,
	TABLE_PAGES = 4,
	PAGE_MOST_BYTES = 64 << 10,
	CUT_BYTES = 512 << 10,
	CUT_LEAST = 4, /* pages */
	WAYS = 3,      /* as it is; with the log; with pages that hold nothing */
	SHRINK_PAGES = 128,
	SHRINK_MIN_BYTES = 64 << 20
};
enum {
	PROBE_MS = 500, /* after one refusal; twice as long after each further one */
	PROBE_MOST_MS = 30000,
};

static enum err settle_some(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = store_begin(s, e);

	if (err == ERR_OK)
		err = store_settle(s, items, count, e);
	return err == ERR_OK ? store_commit(s, e) : err;
}

/* The database has room for what the log holds: half of it would take what settlements need. */
static enum err log_fits(struct store *s, bool *ret, struct error *e)
{
	int64_t pages = 0;
	enum err err = store_number(s, "PRAGMA page_count", &pages, e);

	*ret = (uint64_t)pages * s->page_bytes <= files_held(&s->files, "") + files_free_bytes(&s->files);
	return err;
}

static enum err begin_log(struct store *s, bool *ret_fits, struct error *e)
{
	enum err err = log_fits(s, ret_fits, e);

	return err == ERR_OK && *ret_fits ? store_checkpoint(s, true, e) : err;
}

/* What never was in the database and has left need not go there. */
enum err store_empty_log(struct store *s, struct error *e)
{
	bool fits;
	enum err err = begin_log(s, &fits, e);
	int rc;

	if (err != ERR_OK || fits)
		return err;
	rc = sqlite3_exec(s->db, "PRAGMA incremental_vacuum", NULL, NULL, NULL);
	return rc == SQLITE_OK ? begin_log(s, &fits, e) : store_fail(s, rc, e, "give free pages back");
}

/* A full disk: blocks of the reserve let the log go into the database, or grow. No more of them than that takes: what
 * is free may be a neighbour's before it is ours. */
static enum err use_reserve(struct store *s, uint64_t leave, struct error *e)
{
	bool fits;

	s->reserve_given |= files_reserve_leave(&s->files, leave / s->page_bytes * s->page_bytes);
	return begin_log(s, &fits, e);
}

enum err store_make_way(struct store *s, bool *ret_more, struct error *e)
{
	const uint64_t held = files_held(&s->files, ".reserve"), half = held / 2;
	const bool is_large = half >= EXIT_PAGES * (uint64_t)s->page_bytes;
	const enum err err = use_reserve(s, is_large ? half : 0, e);

	/* where the disk refuses that too, whoever tried for as long as there is some would never end */
	*ret_more = is_large && files_held(&s->files, ".reserve") < held;
	return err;
}

bool store_is_shut(struct store *s)
{
	const uint64_t least = EXIT_PAGES * (uint64_t)s->page_bytes;

	if (!s->reserve_given)
		return false;
	store_look_at_disk(s);
	return s->reserve_given && s->free_bytes < least &&
	       files_held(&s->files, ".reserve") + store_log_room(s) + s->free_bytes < least;
}

/* Large pages may be half empty; what is longer than a page fills its own. */
uint64_t store_room_of(const struct store_settlement *item)
{
	const uint64_t bytes = item->bytes;

	if (item->kind == SETTLE_RETRY)
		return NOTE_BYTES;
	return item->kind == SETTLE_DEAD || item->kind == SETTLE_DAMAGED
	           ? NOTE_BYTES + bytes + store_least(bytes, PAGE_MOST_BYTES) + bytes / 8
	           : 0;
}

/* The first few of some settlements. */
struct step {
	size_t count;
	uint64_t log, rows; /* bytes, at most, that it writes; by which the database grows */
};

/* The block that the message stands in, as its row says; first 0: it stands alone, or is gone. */
struct around {
	uint64_t first, last;
	uint64_t stays;  /* messages that have not left */
	uint64_t stored; /* bytes of its body */
};

static enum err look_around(struct store *s, uint64_t id, struct around *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCK_AROUND);
	int rc;

	*ret = (struct around){0};
	sql_bind_u64(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const uint64_t first = sql_column_u64(st, 0);
		const uint32_t count = block_count(sqlite3_column_int64(st, 1));

		if (id - first < count)
			*ret = (struct around){
			    .first = first,
			    .last = first + count - 1,
			    .stays = store_beyond(count, sql_column_u64(st, 3)),
			    .stored = sql_column_u64(st, 2),
			};
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for a block");
}

/* Of items[0..count), the first of kind DEAD: all that stays of a block, by which the database does not grow, if they
 * are that. */
static enum err shelf_step(struct store *s, const struct store_settlement *items, size_t count, struct step *ret,
                           struct error *e)
{
	struct around b;
	enum err err = look_around(s, items[0].id, &b, e);

	*ret = (struct step){.count = 1, .log = store_room_of(&items[0])};
	if (err != ERR_OK || b.first == 0)
		return err;
	while (ret->count < count && items[ret->count].kind == SETTLE_DEAD && items[ret->count].id <= b.last &&
	       items[ret->count].id > items[ret->count - 1].id)
		ret->log += store_room_of(&items[ret->count++]);
	ret->rows = ret->count < b.stays ? ret->log : store_beyond(ret->log, 2 * b.stored);
	return ERR_OK;
}

/* At most `most` of items[0..count). A log that is larger than it must be has the room that the database needs. */
static enum err measure_step(struct store *s, const struct store_settlement *items, size_t count, size_t most,
                             struct step *ret, struct error *e)
{
	size_t n = 0;
	uint64_t bytes = 0;

	if (items[0].kind == SETTLE_DEAD && most == DRAIN_ROWS)
		return shelf_step(s, items, count, ret, e);
	for (; n < count && n < most && bytes < STEP_BYTES; n++)
		bytes += store_room_of(&items[n]);
	*ret = (struct step){.count = n, .log = bytes, .rows = bytes};
	return ERR_OK;
}

/* What a step needs beside what the files have: for the log, and for the database, which must take all of the log. */
static enum err step_needs(struct store *s, const struct step *step, uint64_t *ret, struct error *e)
{
	const uint64_t page = s->page_bytes, least = EXIT_PAGES * page;
	int64_t pages = 0;
	enum err err = store_number(s, "PRAGMA page_count", &pages, e);
	const uint64_t grows = store_beyond(step->rows + TABLE_PAGES * page, store_free_inside(s));

	*ret = store_beyond(step->log + least, store_log_room(s)) +
	       store_beyond((uint64_t)pages * page + grows, files_held(&s->files, ""));
	return err;
}

/* Gives a few of the pages that hold nothing back: what moves for that needs some of the log. *ret_more: there are
 * more.
 */
static enum err cut_few(struct store *s, bool *ret_more, struct error *e)
{
	const uint64_t before = store_free_inside(s);
	enum err err;
	char sql[48];

	*ret_more = false;
	if (before == 0)
		return ERR_OK;
	(void)sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%d)",
	                       (int)store_most(CUT_BYTES / s->page_bytes, CUT_LEAST));
	err = store_exec(s, sql, e, "give free pages back");
	if (err == ERR_OK)
		err = store_checkpoint(s, true, e);
	*ret_more = err == ERR_OK && store_free_inside(s) < before;
	return err;
}

static enum err cut_pages(struct store *s, struct error *e)
{
	enum err err = ERR_OK;

	for (bool more = true; err == ERR_OK && more;)
		err = cut_few(s, &more, e);
	return err;
}

enum err store_give_room(struct store *s, bool *ret_more, struct error *e)
{
	enum err err = ERR_OK;
	int rc;

	*ret_more = false;
	if (!s->room_is_due)
		return ERR_OK;
	if (s->wal_frames > 0)
		err = store_checkpoint(s, true, e);
	if (err == ERR_OK)
		err = cut_few(s, ret_more, e);
	s->room_is_due = *ret_more;
	if (err != ERR_OK || *ret_more)
		return err;
	rc = store_cut_log(s);
	if (rc != SQLITE_OK)
		return store_fail(s, rc, e, "cut the log");
	s->log_given = true;
	return ERR_OK;
}

/*
 * In a log that the database could not take, nothing that leaves could be written any more. With the reserve, if that
 * is enough; else with the room of the log, and with pages that hold nothing.
 */
static enum err step_fits(struct store *s, const struct step *step, struct error *e)
{
	const uint64_t least = EXIT_PAGES * (uint64_t)s->page_bytes;
	const uint64_t half = files_share(&s->files, s->options.reserve_bytes) / 2;
	uint64_t free = 0;

	if (step->log == 0)
		return ERR_OK;
	for (int way = 0; way < WAYS; way++) {
		/* for what only leaves: of the log, once it is in the database */
		const uint64_t keep = store_beyond(store_most(half, least), files_held(&s->files, "-wal"));
		const uint64_t reserve = files_held(&s->files, ".reserve");
		uint64_t needed;
		enum err err = step_needs(s, step, &needed, e);

		free = files_free_bytes(&s->files);
		if (err != ERR_OK || needed == 0 || free >= least + needed)
			return err;
		if (free + reserve >= keep + needed)
			return use_reserve(s, store_most(keep, store_beyond(reserve + free, needed + least)), e);
		if (way == 0 && s->wal_frames > 0)
			err = store_empty_log(s, e);
		else if (way == 1 && free + reserve + store_free_inside(s) >= keep + needed)
			err = cut_pages(s, e);
		if (err != ERR_OK && err != ERR_FULL)
			return err;
	}
	s->disk_refused = true;
	return error_set(e, ERR_FULL, "%" PRIu64 " bytes are free on the file system of %s", free, s->path);
}

static enum err settle_steps(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_done,
                             struct error *e)
{
	bool has_reserve = true;
	size_t most = DRAIN_ROWS;
	int commits = 0;

	*ret_done = 0;
	while (*ret_done < count) {
		struct step step;
		enum err err = measure_step(s, items + *ret_done, count - *ret_done, most, &step, e);
		bool fits;

		if (err != ERR_OK)
			return err;
		err = step_fits(s, &step, e);
		fits = err == ERR_OK;
		if (fits)
			err = settle_some(s, items + *ret_done, step.count, e);
		if (err == ERR_OK) {
			*ret_done += step.count;
			if (++commits % 2 == 0 || step.log > 0 || most < DRAIN_ROWS ||
			    (*ret_done == count && s->reserve_given))
				err = store_empty_log(s, e);
		} else if (err == ERR_FULL && (!has_reserve || !fits) && step.count > 1) {
			most = step.count / 4 + 1;
			err = ERR_OK;
		}
		if (err == ERR_FULL && has_reserve && fits)
			err = store_make_way(s, &has_reserve, e);
		if (err != ERR_OK && !(err == ERR_FULL && *ret_done == count))
			return err;
	}
	return ERR_OK;
}

enum err store_settle_full(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_done,
                           struct error *e)
{
	const uint64_t had = files_held(&s->files, ".reserve");
	enum err err = settle_steps(s, items, count, ret_done, e);

	if (files_held(&s->files, ".reserve") < had)
		store_take_back(s, had);
	return err;
}

/* Cuts off up to SHRINK_PAGES free pages when there are more of them than min_bytes; *ret_free: there were. */
static enum err cut_some(struct store *s, uint64_t min_bytes, bool *ret_free, struct error *e)
{
	int64_t free_pages = 0, pages = 0;
	char sql[48];
	int rc;
	enum err err = store_number(s, "PRAGMA freelist_count", &free_pages, e);

	*ret_free = false;
	if (err == ERR_OK)
		err = store_number(s, "PRAGMA page_count", &pages, e);
	if (err != ERR_OK || free_pages * 2 <= pages || (uint64_t)free_pages * s->page_bytes <= min_bytes)
		return err;
	store_look_at_disk(s);
	if (s->full_disk || s->disk_refused)
		return ERR_OK;
	*ret_free = true;
	(void)sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
	rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? ERR_OK : store_fail(s, rc, e, "give free pages back");
}

/* The file itself becomes shorter with the checkpoint, so the last step makes one. */
enum err store_shrink(struct store *s, bool *ret_more, struct error *e)
{
	enum err err = cut_some(s, SHRINK_MIN_BYTES, ret_more, e);

	s->is_shrinking |= *ret_more;
	if (err != ERR_OK || !s->is_shrinking)
		return err;
	s->is_shrinking = *ret_more;
	return store_checkpoint(s, !*ret_more, e);
}

/*
 * Nothing waits, the disk refuses, and the log has no blocks of its own by which the file could be made shorter: it is,
 * by what there is of the reserve, which is made again of what that gives back. Then the disk is asked soon.
 */
static enum err shorten_by_reserve(struct store *s, struct error *e)
{
	enum err err;

	if (!s->disk_refused || files_held(&s->files, ".reserve") == 0 || s->now.ledger.pending > 0 ||
	    store_free_inside(s) < CUT_LEAST * (uint64_t)s->page_bytes)
		return ERR_OK;
	err = use_reserve(s, 0, e);
	if (err == ERR_OK)
		err = cut_pages(s, e);
	if (err == ERR_OK)
		s->refusals = 0;
	return err == ERR_FULL ? ERR_OK : err;
}

enum err store_give_back(struct store *s, bool *ret_more, struct error *e)
{
	enum err err = shorten_by_reserve(s, e);
	int rc;

	*ret_more = false;
	if (err == ERR_OK)
		err = cut_some(s, 0, ret_more, e);
	if (err != ERR_OK || *ret_more)
		return err == ERR_OK ? store_checkpoint(s, false, e) : err;
	err = store_put_ledger(s, e);
	if (err == ERR_OK)
		err = store_checkpoint(s, true, e);
	if (err == ERR_FULL && !s->reserve_given) /* what the log gives back is made the reserve again */
		err = use_reserve(s, 0, e);
	if (err != ERR_OK)
		return err;
	rc = store_cut_log(s);
	if (rc != SQLITE_OK)
		return store_fail(s, rc, e, "cut the log");
	s->log_given = true;
	return ERR_OK;
}

static int64_t probe_wait_ms(const struct store *s)
{
	int64_t wait = PROBE_MS;

	for (uint32_t i = 1; i < s->refusals && wait < PROBE_MOST_MS; i++)
		wait *= 2;
	return wait < PROBE_MOST_MS ? wait : PROBE_MOST_MS;
}

enum err store_probe_disk(struct store *s, struct error *e)
{
	enum err err;
	bool fits;

	if (s->files_lost || clock_mono_ms() - s->refused_ms < probe_wait_ms(s))
		return ERR_OK;
	if (s->wal_frames > 0 && store_is_shut(s)) {
		s->refused_ms = clock_mono_ms();
		err = begin_log(s, &fits, e);
		return err == ERR_FULL ? ERR_OK : err;
	}
	if (!s->disk_refused)
		return ERR_OK;
	store_look_at_disk(s);
	if (!store_may_try_disk(s))
		return ERR_OK;
	err = store_begin(s, e);
	s->tries_disk = true;
	s->clock_is_due = true; /* the ledger's row is written, whatever it says */
	if (err == ERR_OK)
		err = store_commit(s, e);
	if (err == ERR_OK)
		s->disk_refused = false;
	return err == ERR_FULL ? ERR_OK : err;
}
