/* Settlements: what became of rows that delivery had. Runs of neighbouring ids leave with one statement. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/mem.h"

static uint64_t *counter_of(struct store *s, enum settle_kind kind)
{
	switch (kind) {
#define LEDGER_END(id, column, meaning) \
	case SETTLE_##id:               \
		return &s->now.ledger.column;
#include "base/ledger.def"
	case SETTLE_RETRY:
		break;
	}
	never("this settlement moves no count");
}

static sqlite3_stmt *bind_run(struct store *s, enum store_statement id, uint64_t first, uint64_t last)
{
	sqlite3_stmt *st = store_statement(s, id);

	sql_bind_u64(st, 1, first);
	sql_bind_u64(st, 2, last);
	return st;
}

static enum err size_of_run(struct store *s, uint64_t first, uint64_t last, uint64_t *ret_bytes, struct error *e)
{
	sqlite3_stmt *st = bind_run(s, ST_SIZE_RUN, first, last);
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		*ret_bytes = sql_column_u64(st, 1);
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW ? ERR_OK : store_fail(s, rc, e, "measure rows");
}

/* Takes the rows first..last out of messages and failures; *ret_gone of them were there. */
static enum err delete_run(struct store *s, uint64_t first, uint64_t last, uint64_t *ret_gone, struct error *e)
{
	enum err err;

	FAILPOINT("before_delete");
	err = store_run(s, bind_run(s, ST_DELETE_RUN, first, last), e, "delete");
	if (err != ERR_OK)
		return err;
	*ret_gone = (uint64_t)sqlite3_changes(s->db);
	if (s->now.retrying == 0 || first > s->failures_max_id)
		return ERR_OK;
	err = store_run(s, bind_run(s, ST_FAILURES_DELETE_RUN, first, last), e, "delete failures");
	if (err == ERR_OK)
		s->now.retrying -= (uint64_t)sqlite3_changes(s->db);
	return err;
}

/*
 * Rows that were read, and cannot be found: the tree leads elsewhere than the walk along its leaves did. To go on would
 * be to read and to send them again, for ever.
 */
static enum err impossible(struct store *s, uint64_t first, uint64_t last, uint64_t missing, struct error *e)
{
	store_rollback(s);
	return error_set(e, ERR_DAMAGED,
	                 "%s: messages %" PRIu64 " to %" PRIu64 " were read, and %" PRIu64
	                 " of them are not where they must be",
	                 s->path, first, last, missing);
}

/* items[0..count) have neighbouring ids and leave for the same reason. */
static enum err settle_run(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	uint64_t first = items[0].id, last = items[count - 1].id;
	uint64_t bytes = 0, gone = 0;
	bool known = true;
	enum err err = ERR_OK;

	for (size_t i = 0; i < count; i++) {
		bytes += items[i].bytes;
		known &= items[i].bytes > 0;
	}
	if (!known)
		err = size_of_run(s, first, last, &bytes, e);
	if (err == ERR_OK)
		err = delete_run(s, first, last, &gone, e);
	if (err != ERR_OK)
		return err;
	if (gone != count && !items[0].may_be_gone)
		return impossible(s, first, last, count - gone, e);
	if (gone != count) {
		s->unexpected_settlements += count - gone;
		s->recount |= known;
	}
	store_count_out(s, &s->now.ledger.pending, gone);
	*counter_of(s, items[0].kind) += gone;
	s->now.pending_bytes -= bytes < s->now.pending_bytes ? bytes : s->now.pending_bytes;
	return ERR_OK;
}

static enum err settle_dead(struct store *s, const struct store_settlement *item, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_TO_DEAD);
	enum err err;

	sql_bind_u64(st, 1, item->id);
	(void)sqlite3_bind_int64(st, 2, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 3, item->attempts);
	store_row_bind_text(st, 4, item->code);
	store_row_bind_text(st, 5, item->reason);
	err = store_run(s, st, e, "set aside");
	return err == ERR_OK ? settle_run(s, item, 1, e) : err;
}

/* Kept as found, and never delivered. */
static enum err settle_damaged(struct store *s, const struct store_settlement *item, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_TO_DAMAGED);
	enum err err;

	sql_bind_u64(st, 1, item->id);
	(void)sqlite3_bind_int64(st, 2, clock_wall_ms());
	err = store_run(s, st, e, "set a damaged row aside");
	if (err == ERR_OK)
		err = settle_run(s, item, 1, e);
	s->recount = true; /* its length is as untrustworthy as its bytes */
	return err;
}

static enum err settle_retry(struct store *s, const struct store_settlement *item, struct error *e)
{
	static const enum store_statement ways[] = {ST_FAILURE_UPDATE, ST_FAILURE_INSERT};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		sqlite3_stmt *st = store_statement(s, ways[i]);
		enum err err;

		sql_bind_u64(st, 1, item->id);
		(void)sqlite3_bind_int64(st, 2, item->attempts);
		(void)sqlite3_bind_int64(st, 3, item->next_ms);
		if (ways[i] == ST_FAILURE_INSERT)
			(void)sqlite3_bind_int64(st, 4, clock_wall_ms());
		store_row_bind_text(st, 5, item->code);
		store_row_bind_text(st, 6, item->reason);
		err = store_run(s, st, e, "note a failure");
		if (err != ERR_OK)
			return err;
		if (sqlite3_changes(s->db) == 0)
			continue;
		s->now.retrying += ways[i] == ST_FAILURE_INSERT;
		if (item->id > s->failures_max_id)
			s->failures_max_id = item->id;
		if (item->next_ms <= s->due_ms) { /* due before the place the reader has reached */
			s->due_ms = item->next_ms - 1;
			s->due_id = 0;
		}
		return ERR_OK;
	}
	if (!item->may_be_gone)
		return impossible(s, item->id, item->id, 1, e);
	s->unexpected_settlements++;
	return ERR_OK;
}

/* How many of items[0..count) are neighbours that leave for the same reason. */
static size_t length_of_run(const struct store_settlement *items, size_t count)
{
	size_t n = 1;

	while (n < count && items[n].kind == items[0].kind && items[n].may_be_gone == items[0].may_be_gone &&
	       items[n].id == items[0].id + n)
		n++;
	return n;
}

enum err store_settle(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = ERR_OK;

	must(s->in_group);
	for (size_t i = 0, n; i < count && err == ERR_OK; i += n) {
		n = 1;
		if (items[i].kind == SETTLE_RETRY) {
			err = settle_retry(s, &items[i], e);
		} else if (items[i].kind == SETTLE_DEAD) {
			err = settle_dead(s, &items[i], e);
		} else if (items[i].kind == SETTLE_DAMAGED) {
			err = settle_damaged(s, &items[i], e);
		} else {
			n = length_of_run(&items[i], count - i);
			err = settle_run(s, &items[i], n, e);
		}
	}
	return err;
}

struct store_settlements *store_settlements_new(uint32_t capacity)
{
	struct store_settlements *s = mem_zero(sizeof *s + capacity * sizeof s->items[0]);

	s->capacity = capacity;
	return s;
}

void store_settlements_free(struct store_settlements *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->count; i++)
		free(s->items[i].reason);
	free(s);
}
