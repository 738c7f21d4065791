/* The way out of a full disk, and a smaller file when there is little in it. */
#include "store/store_internal.h"

#include "base/clock.h"

enum { DRAIN_ROWS = 64, SHRINK_PAGES = 128, SHRINK_MIN_BYTES = 64 << 20 };
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

/* A full disk: the reserve's blocks let the log go into the database, and the log begins again at its start. */
static enum err use_reserve(struct store *s, struct error *e)
{
	if (!s->reserve_given && files_reserve_give_up(&s->files))
		s->reserve_given = true;
	return store_checkpoint(s, true, e);
}

enum err store_settle_full(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_done,
                           struct error *e)
{
	bool reserve_used = false;
	int commits = 0;

	*ret_done = 0;
	while (*ret_done < count) {
		size_t n = count - *ret_done < DRAIN_ROWS ? count - *ret_done : DRAIN_ROWS;
		enum err err = settle_some(s, items + *ret_done, n, e);

		if (err == ERR_OK) {
			*ret_done += n;
			err = ++commits % 2 == 0 ? store_checkpoint(s, true, e) : ERR_OK;
		}
		if (err == ERR_FULL && !reserve_used) {
			reserve_used = true;
			err = use_reserve(s, e);
		}
		if (err != ERR_OK && !(err == ERR_FULL && *ret_done == count))
			return err;
	}
	return ERR_OK;
}

/* Cuts off up to SHRINK_PAGES free pages when there are more of them than min_bytes; *ret_free: there were. */
static enum err cut_some(struct store *s, uint64_t min_bytes, bool *ret_free, struct error *e)
{
	int64_t free_pages = 0, pages = 0;
	char step[48];
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
	(void)sqlite3_snprintf(sizeof step, step, "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
	rc = sqlite3_exec(s->db, step, NULL, NULL, NULL);
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

enum err store_give_back(struct store *s, bool *ret_more, struct error *e)
{
	enum err err = cut_some(s, 0, ret_more, e);
	int rc;

	if (err != ERR_OK || *ret_more)
		return err == ERR_OK ? store_checkpoint(s, false, e) : err;
	err = store_put_ledger(s, e);
	if (err == ERR_OK)
		err = store_checkpoint(s, true, e);
	if (err == ERR_FULL && !s->reserve_given) /* what the log gives back is made the reserve again */
		err = use_reserve(s, e);
	if (err != ERR_OK)
		return err;
	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
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

	if (!s->disk_refused || s->files_lost || clock_mono_ms() - s->refused_ms < probe_wait_ms(s))
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
