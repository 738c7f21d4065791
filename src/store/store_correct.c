#include "store/store_count_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum err store_out_of_order(struct store *s, struct error *e)
{
	const enum err err = error_set(e, ERR_DAMAGED, "rows are out of order: pages were exchanged");

	return store_failed(s, err, e);
}

/* A table is in the order of its ids by what it is: SQLite sorts nothing, and counts whatever stands there. */
static enum err in_order(struct store *s, const char *sql, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);
	int64_t last = INT64_MIN;

	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		const int64_t id = sqlite3_column_int64(st, 0);

		if (id <= last)
			return store_out_of_order(s, e);
		last = id;
		rc = SQLITE_OK;
	}
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look at the order of rows");
}

enum err store_count_rows(struct store *s, struct totals *ret, struct error *e)
{
	static const struct {
		const char *sql;
		size_t offset;
	} counts[] = {
	    {"SELECT " PENDING_COUNT_SQL, offsetof(struct totals, ledger.pending)},
	    {"SELECT " PENDING_BYTES_SQL, offsetof(struct totals, pending_bytes)},
	    {"SELECT count(*) FROM dead", offsetof(struct totals, ledger.dead)},
	};

	enum err err = in_order(s, "SELECT id FROM messages ORDER BY id", e);

	if (err == ERR_OK)
		err = in_order(s, "SELECT id FROM blocks ORDER BY id", e);
	if (err != ERR_OK)
		return err;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		int64_t n = 0;

		err = store_number(s, counts[i].sql, &n, e);

		if (err != ERR_OK)
			return err;
		n = n < 0 ? 0 : n; /* more is marked as having left than stands there */
		memcpy((char *)ret + counts[i].offset, &n, sizeof n);
	}
	return store_left_count(s, ret, e);
}

enum err store_highest_id(struct store *s, uint64_t *ret, struct error *e)
{
	static const char *const queries[] = {
	    "SELECT coalesce(max(id), 0) FROM messages",
	    "SELECT coalesce((SELECT id + min(max(count, 1), 512) - 1 FROM blocks ORDER BY id DESC LIMIT 1), 0)",
	    "SELECT coalesce(max(id), 0) FROM dead", "SELECT coalesce(max(id), 0) FROM damaged"};

	*ret = 0;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		int64_t id = 0;
		enum err err = store_number(s, queries[i], &id, e);

		if (err != ERR_OK)
			return err;
		*ret = store_most(*ret, (uint64_t)id);
	}
	return ERR_OK;
}

/* How a message leaves for good. */
static const size_t ways_out[] = {
    offsetof(struct store_ledger, delivered), offsetof(struct store_ledger, expired),
    offsetof(struct store_ledger, filtered),  offsetof(struct store_ledger, evicted),
    offsetof(struct store_ledger, purged),
};

uint64_t store_ends_since(const struct store *s, const struct totals *t)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
		uint64_t now, before;

		memcpy(&now, (const char *)&t->ledger + ways_out[i], sizeof now);
		memcpy(&before, (const char *)&s->row.ledger + ways_out[i], sizeof before);
		sum += store_beyond(now, before);
	}
	return sum;
}

/* What the row in the file does not know of left since it was written. */
uint64_t store_take_back_ends(const struct store *s, struct totals *t, uint64_t waiting)
{
	uint64_t again = 0;

	for (int all = 0; all < 2; all++)
		for (size_t i = 0; i < sizeof ways_out / sizeof *ways_out; i++) {
			uint64_t left, before, taken;

			memcpy(&left, (char *)&t->ledger + ways_out[i], sizeof left);
			memcpy(&before, (const char *)&s->row.ledger + ways_out[i], sizeof before);
			taken = store_least(waiting - again, all ? left : store_beyond(left, before));
			left -= taken;
			again += taken;
			memcpy((char *)&t->ledger + ways_out[i], &left, sizeof left);
		}
	return again;
}

uint64_t store_take_back_purged(struct totals *t, uint64_t on_shelf)
{
	const uint64_t taken = store_least(on_shelf, t->ledger.purged);

	t->ledger.purged -= taken;
	return taken;
}

/* Inside a group: they wait again, or stand on the shelf. */
static enum err count_again(struct store *s, struct totals *t, uint64_t again, uint64_t on_shelf,
                            struct store_report *report, struct error *e)
{
	const uint64_t others = again - store_take_back_purged(t, on_shelf);

	if (again == 0)
		return ERR_OK;
	t->possible += again;
	t->ledger.accepted += others - store_take_back_ends(s, t, others);
	store_warn(report, "%llu messages that had left stand here again, and may be sent again: possible duplicates",
	           (unsigned long long)again);
	return store_left_take_back(s, e);
}

enum err store_correct(struct store *s, struct totals *t, const struct totals *found, uint64_t unnumbered,
                       struct store_report *report, struct error *e)
{
	struct store_ledger *l = &t->ledger;
	const uint64_t here = found->ledger.pending + found->ledger.dead;
	const uint64_t again_here = store_least(found->possible, here), has = here - again_here;
	const uint64_t new_here = store_beyond(unnumbered, again_here);
	uint64_t had = l->pending + l->dead + new_here;
	enum err err = count_again(s, t, again_here, store_least(found->shelf_again, again_here), report, e);

	if (err == ERR_OK)
		err = store_left_undamage(s, t, store_beyond(has, had), report, e);
	if (err != ERR_OK)
		return err;
	had = l->pending + l->dead + new_here;
	l->accepted += new_here;
	if (new_here > 0)
		store_warn(report, "%llu rows were not in the ledger", (unsigned long long)new_here);
	if (has < had) {
		l->damaged += had - has;
		store_lose(s, LOSS_ROWS, store_beyond(had - has, found->ledger.damaged), 0, 0);
		report->missing_rows += had - has;
		store_warn(report, "%llu messages of the ledger have no row", (unsigned long long)(had - has));
	} else if (has > had) {
		const uint64_t again = store_take_back_ends(s, t, has - had), new = has - had - again;

		t->possible += again;
		l->accepted += new;
		if (again > 0)
			store_warn(report, "%llu messages that had left may be sent again, and are possible duplicates",
			           (unsigned long long)again);
		if (new > 0)
			store_warn(report, "%llu rows were not in the ledger", (unsigned long long)new);
	}
	l->pending = found->ledger.pending;
	l->dead = found->ledger.dead;
	t->pending_bytes = found->pending_bytes;
	return ERR_OK;
}

enum err store_count_unnumbered(struct store *s, uint64_t next_id, struct error *e)
{
	AUTOFREE char *sql = mem_format("SELECT (SELECT count(*) FROM messages WHERE id >= %" PRIu64
	                                ") + (SELECT count(*) FROM dead WHERE id >= %" PRIu64 ")",
	                                next_id, next_id);
	int64_t rows = 0;
	enum err err = store_number(s, sql, &rows, e);

	s->unnumbered = (uint64_t)rows;
	return err;
}
