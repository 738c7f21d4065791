/*
 * What waits held against PATH.left: rows of messages that had left came back with a page, or a file, of an earlier
 * time, and hide as many that are gone.
 *
 * Invariants:
 * 1. What has its end in a group gets its bit when the group is committed; damage is no end, for it may come back.
 * 2. A row that waits and has a bit is counted once: the group that counts it takes the bit back, and notes its commit
 *    beside the messages. A file that does not know of that commit yet is told first, and counts nothing.
 */
#include "store/store_salvage_internal.h"
#include "store/store_count_internal.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

bool store_left_is_doubtful(const struct left *left, const struct tide *tide)
{
	return left_is_doubtful(left) || (tide->is_valid && left_commit(left) < tide->counts[TIDE_LEFT]);
}

bool store_left_knows(const struct store *s, const struct totals *t)
{
	return s->tide.is_valid && s->tide.has_more && store_tide_is_ahead(&s->tide, t) && !s->left_is_behind &&
	       left_commit(s->left) > 0 && left_commit(s->left) >= s->tide.counts[TIDE_LEFT] &&
	       s->tide.id + 1 >= t->next_id;
}

/* A kill takes nothing that was written, another boot what was not synced. */
static uint64_t known_commits(const struct store *s, const struct totals *known)
{
	const struct tide *t = &s->tide;
	const bool is_of_boot =
	    t->is_valid && t->has_more && t->counts[TIDE_BOOT] != 0 && t->counts[TIDE_BOOT] == clock_boot_id();

	if (store_left_is_doubtful(s->left, t) || left_trouble(s->left) != 0)
		return 0;
	if (known)
		return known->commits;
	return store_most(is_of_boot ? t->commits : 0, left_synced(s->left));
}

enum err store_left_open(struct store *s, const struct totals *known, struct store_report *report, struct error *e)
{
	struct note note;
	enum err err = store_note_get(s, SALVAGE_LEFT, &note, e);

	if (err != ERR_OK)
		return err;
	left_close(s->left);
	s->left = left_open(&s->files, s->id, true);
	s->left_is_behind = note.is_lost || note.after > left_taken_back(s->left);
	s->left_knows = known_commits(s, known);
	if (store_left_is_doubtful(s->left, &s->tide))
		store_warn(
		    report,
		    "%s.left, which tells what had left from what is gone, %s%s: of what left before, less can be told",
		    s->path, left_unread(s->left) ? "cannot be read: " : "was gone, old, or not what was written",
		    left_unread(s->left) ? strerror(left_unread(s->left)) : "");
	return ERR_OK;
}

struct count {
	sqlite3 *db;
	struct left *left;
	uint32_t tag;
	uint64_t again, on_shelf;
	bool takes_back;
};

/* One message that waits. */
static void see(struct count *c, uint64_t id)
{
	if (!left_has(c->left, id))
		return;
	c->again++;
	if (c->takes_back)
		left_note_back(c->left, id);
}

static void see_block(struct count *c, sqlite3_stmt *st)
{
	const uint64_t id = sql_column_u64(st, 0);
	const uint32_t count = block_count(sqlite3_column_int64(st, 1));
	struct block_mark mark;

	if (id == 0 || count == 0 || left_count(c->left, id, id + count - 1) == 0)
		return;
	mark = mark_read(st, 2, id, count, c->tag);
	for (uint64_t i = id; i < id + count; i++)
		if (!block_bit(&mark, i))
			see(c, i);
}

static void see_row(struct count *c, sqlite3_stmt *st) { see(c, sql_column_u64(st, 0)); }

static void see_shelf(struct count *c, sqlite3_stmt *st)
{
	const uint64_t before = c->again;

	see(c, sql_column_u64(st, 0));
	c->on_shelf += c->again - before;
}

/* SQLITE_DONE, or the code of what failed. */
static int see_each(struct count *c, const char *sql, void (*one)(struct count *, sqlite3_stmt *))
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			one(c, st);
	return rc;
}

static int see_all(struct count *c)
{
	int rc = SQLITE_DONE;

	if (left_highest(c->left) == 0)
		return rc;
	rc = see_each(c,
	              "SELECT b.id, b.count, p.settled, p.bytes, p.checksum, p.bitmap FROM blocks AS b"
	              " LEFT JOIN partial AS p ON p.block_id = b.id",
	              see_block);
	if (rc == SQLITE_DONE)
		rc = see_each(c, "SELECT id FROM messages WHERE id > 0", see_row);
	if (rc == SQLITE_DONE)
		rc = see_each(c, "SELECT id FROM dead WHERE id > 0", see_shelf);
	return rc;
}

int store_left_among(sqlite3 *db, uint32_t tag, struct left *left, uint64_t *ret)
{
	struct count c = {.db = db, .left = left, .tag = tag};
	const int rc = see_all(&c);

	*ret = c.again;
	return rc;
}

enum err store_left_count(struct store *s, struct totals *found, struct error *e)
{
	struct count c = {.db = s->db, .left = s->left, .tag = s->tag};
	const int rc = s->left_is_behind ? SQLITE_DONE : see_all(&c);

	found->possible = c.again;
	found->shelf_again = c.on_shelf;
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for what had left");
}

enum err store_left_take_back(struct store *s, struct error *e)
{
	struct count c = {.db = s->db, .left = s->left, .tag = s->tag, .takes_back = true};
	const int rc = see_all(&c);

	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for what had left");
}

void store_left_beyond(struct store *s, struct totals *t, struct store_report *report)
{
	const uint64_t highest = left_highest(s->left);
	uint64_t given, had;

	if (highest < t->next_id || s->left_is_behind)
		return;
	given = highest - (t->next_id - 1);
	had = left_count(s->left, t->next_id, highest);
	t->ledger.accepted += given;
	t->ledger.delivered += had;
	t->ledger.damaged += given - had;
	store_lose(s, LOSS_TAIL, given - had, t->next_id, highest);
	t->next_id = highest + 1;
	report->missing_rows += given - had;
	store_warn(
	    report,
	    "all that is here is of an earlier time: %s.left knows of %llu messages more, of which %llu are gone",
	    s->path, (unsigned long long)given, (unsigned long long)(given - had));
}

enum err store_left_put_back_again(struct store *s, const struct totals *t, uint64_t ended, struct totals *found,
                                   struct store_report *report, struct error *e)
{
	const uint64_t purged_since = store_beyond(t->ledger.purged, s->row.ledger.purged);
	uint64_t back;
	enum err err = store_put_backs_lost(s, &back, e);

	if (err != ERR_OK)
		return err;
	/* The others of them may be what had its end since: these hide none of the new ids that are gone. */
	back = store_least(store_beyond(found->possible, ended), back);
	found->possible -= back;
	found->shelf_again = store_least(store_beyond(found->shelf_again, back), purged_since);
	if (back == 0)
		return ERR_OK;
	store_warn(report, "%llu messages that were put back from the shelf stand here as they did before",
	           (unsigned long long)back);
	return store_left_take_back(s, e);
}

enum err store_left_clear_shelf(struct store *s, struct totals *found, struct store_report *report, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	AUTOFREE uint64_t *ids = NULL;
	size_t count = 0;
	enum err err = ERR_OK;
	int rc = sqlite3_prepare_v2(s->db, "SELECT id FROM dead WHERE id > 0", -1, &st, NULL);

	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const uint64_t id = sql_column_u64(st, 0);

		rc = SQLITE_OK;
		if (!left_has(s->left, id))
			continue;
		ids = mem_grow(ids, count + 1, sizeof *ids);
		ids[count++] = id;
	}
	if (rc != SQLITE_DONE)
		return store_fail(s, rc, e, "look for what had left the shelf");
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		sqlite3_stmt *gone = store_statement(s, ST_DEAD_DELETE_RUN);

		sql_bind_u64(gone, 1, ids[i]);
		sql_bind_u64(gone, 2, ids[i]);
		err = store_run(s, gone, e, "take from the shelf what had left it");
	}
	found->possible -= count;
	found->ledger.dead -= count;
	found->shelf_again = 0;
	store_warn(report,
	           "%llu messages that had left the shelf stood on it again, and were taken away: nothing is missing",
	           (unsigned long long)count);
	return err;
}

enum err store_left_undamage(struct store *s, struct totals *t, uint64_t waiting, struct store_report *report,
                             struct error *e)
{
	uint64_t here;
	int64_t noted = 0;
	enum err err;

	if (waiting == 0 || left_whole_from(s->left) != 1 || left_trouble(s->left) != 0 || s->left_is_behind ||
	    s->left_knows < s->last_commits)
		return ERR_OK;
	err = store_number(s, STORE_NOTED_SQL, &noted, e);
	here = err == ERR_OK ? store_least(waiting, store_beyond(t->ledger.damaged, (uint64_t)noted)) : 0;
	if (here == 0)
		return err;
	t->ledger.damaged -= here;
	t->ledger.pending += here;
	t->told = store_least(t->told, t->ledger.damaged);
	s->came_back += here;
	store_warn(report, "%llu messages that were counted as damaged are here again", (unsigned long long)here);
	return ERR_OK;
}

enum err store_left_note_shelf(struct store *s, uint64_t first, uint64_t last, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_DEAD_IDS);
	int rc;

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, last);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		left_note(s->left, sql_column_u64(st, 0), sql_column_u64(st, 0));
	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read the shelf");
}

enum err store_left_note_commit(struct store *s, struct error *e)
{
	if (!s->left || !left_takes_back(s->left))
		return ERR_OK;
	return store_note_put(s, SALVAGE_LEFT, &(struct note){.after = s->now.commits + 1}, e);
}

/* What is neither here nor kept as damaged, of a block and between what stands here. */
struct absent {
	struct store *s;
	sqlite3_stmt *stands_alone;
	uint64_t from, next;
	uint64_t unknown; /* that have no bit */
	bool notes;       /* that they ended */
	int failed;       /* SQLITE_OK: nothing did */
};

static void meet_absent(struct absent *a, uint64_t first, uint64_t last)
{
	enum { NOTES_AT_ONCE = 1024 };
	struct store *s = a->s;

	a->unknown += last - first + 1 - left_count(s->left, first, last);
	if (!a->notes)
		return;
	left_note(s->left, first, last);
	if (left_noted(s->left).count >= NOTES_AT_ONCE)
		left_keep(s->left, s->durable.commits);
}

static bool stands_alone(struct absent *a, uint64_t id)
{
	int rc;

	sql_bind_u64(a->stands_alone, 1, id);
	rc = sqlite3_step(a->stands_alone);
	(void)sqlite3_reset(a->stands_alone);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		a->failed = rc;
	return rc != SQLITE_DONE;
}

static void pass(struct absent *a, sqlite3_stmt *st)
{
	const uint64_t id = sql_column_u64(st, 0);
	const uint32_t count = block_count(sqlite3_column_int64(st, 1));
	struct block_mark mark;

	if (id > a->next)
		meet_absent(a, a->next, id - 1);
	a->next = store_most(a->next, id + count);
	if (sqlite3_column_type(st, 2) == SQLITE_NULL)
		return;
	mark = mark_read(st, 2, id, count, a->s->tag);
	for (uint64_t i = store_most(id, a->from); i < id + count; i++)
		if (block_bit(&mark, i) && !left_has(a->s->left, i) && !stands_alone(a, i))
			meet_absent(a, i, i);
}

static enum err pass_all(struct store *s, uint64_t from, bool notes, uint64_t *ret_unknown, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	CLEANUP(sql_finish) sqlite3_stmt *alone = NULL;
	struct absent a = {.s = s, .from = from, .next = from, .notes = notes};
	int rc = sqlite3_prepare_v2(s->db,
	                            "SELECT 1 FROM messages WHERE id = ?1 UNION ALL SELECT 1 FROM dead WHERE id = ?1"
	                            " UNION ALL SELECT 1 FROM damaged WHERE id = ?1",
	                            -1, &alone, NULL);

	a.stands_alone = alone;
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db,
		                        "SELECT b.id AS at, b.count, p.settled, p.bytes, p.checksum, p.bitmap"
		                        " FROM blocks AS b LEFT JOIN partial AS p ON p.block_id = b.id"
		                        " UNION ALL SELECT id, 1, NULL, NULL, NULL, NULL FROM messages"
		                        " UNION ALL SELECT id, 1, NULL, NULL, NULL, NULL FROM dead"
		                        " UNION ALL SELECT id, 1, NULL, NULL, NULL, NULL FROM damaged ORDER BY at",
		                        -1, &st, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		pass(&a, st);
		rc = a.failed;
	}
	if (rc == SQLITE_DONE && a.next < s->durable.next_id)
		meet_absent(&a, a.next, s->durable.next_id - 1);
	if (rc == SQLITE_DONE && notes)
		left_keep(s->left, s->durable.commits);
	*ret_unknown = a.unknown;
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for what had left");
}

/*
 * Nothing is missing but what is counted as damaged. What has no bit is either: as many as that, or some of the bits
 * are missing. Where nothing is damaged all of these ended. Else which ones did is not known: of a file that was lost
 * it is better to be told of a damaged message as one that may come twice than to take what comes back for what is
 * gone.
 */
static enum err fill(struct store *s, bool is_whole, bool was_lost, struct error *e)
{
	int64_t noted = 0;
	uint64_t gone, unknown;
	enum err err = store_number(s, STORE_NOTED_SQL, &noted, e);

	if (err == ERR_OK)
		err = pass_all(s, 1, false, &unknown, e);
	if (err != ERR_OK)
		return err;
	gone = s->durable.ledger.damaged - store_least((uint64_t)noted, s->durable.ledger.damaged);
	if (unknown > gone && (gone == 0 || was_lost))
		err = pass_all(s, 1, true, &unknown, e);
	if (err != ERR_OK || left_trouble(s->left) != 0)
		return err;
	if (gone == 0 || unknown == 0 || unknown == gone)
		left_be_whole_from(s->left, 1);
	else if (!is_whole)
		left_be_whole_from(s->left, s->durable.next_id);
	return ERR_OK;
}

/* A large spool was not counted. Its rows are few when it holds long messages or full blocks, and a look at them reads
 * a page each, never what stands in them. */
static enum err count_few(struct store *s, bool *ret, struct error *e)
{
	enum { PAGES_BYTES = 64 << 20 };
	AUTOFREE char *sql = mem_format("SELECT count(*) FROM (SELECT 1 FROM blocks UNION ALL SELECT 1 FROM messages"
	                                " UNION ALL SELECT 1 FROM dead UNION ALL SELECT 1 FROM damaged LIMIT %u)",
	                                PAGES_BYTES / s->page_bytes + 1);
	const struct store_ledger *l = &s->durable.ledger;
	int64_t rows = 0, pending = 0, dead = 0;
	enum err err = store_number(s, sql, &rows, e);

	*ret = false;
	if (err != ERR_OK || rows > PAGES_BYTES / s->page_bytes)
		return err;
	err = store_number(s, "SELECT " PENDING_COUNT_SQL, &pending, e);
	if (err == ERR_OK)
		err = store_number(s, "SELECT count(*) FROM dead", &dead, e);
	*ret = err == ERR_OK && (uint64_t)pending == l->pending && (uint64_t)dead == l->dead;
	return err;
}

enum err store_left_begin(struct store *s, struct error *e)
{
	const bool was_lost = left_whole_from(s->left) == 0;
	const bool is_whole = !was_lost && s->last_commits > 0 && s->left_knows >= s->last_commits;
	const bool is_due = s->is_exact && (!is_whole || left_whole_from(s->left) > 1);

	if (is_due && !s->is_counted) {
		const enum err err = count_few(s, &s->is_counted, e);

		if (err != ERR_OK)
			return err;
	}
	if (is_due && s->is_counted)
		return fill(s, is_whole, was_lost, e);
	if (!is_whole)
		left_be_whole_from(s->left, s->durable.next_id);
	return ERR_OK;
}

enum err store_left_absent(struct store *s, uint64_t from, uint64_t *ret, struct error *e)
{
	return pass_all(s, from, false, ret, e);
}

bool store_left_denies(const struct store *s, uint64_t id)
{
	const uint64_t from = left_whole_from(s->left);

	return from > 0 && id >= from && !left_has(s->left, id);
}
