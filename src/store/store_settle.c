/* Settlements: what became of rows that delivery had. Runs of neighbouring ids leave with one statement. */
#include "store/store_internal.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"

static bool leaves(enum settle_kind kind)
{
	return kind == SETTLE_DELIVERED || kind == SETTLE_EXPIRED || kind == SETTLE_FILTERED;
}

static uint64_t *counter_of(struct store *s, enum settle_kind kind)
{
	switch (kind) {
	case SETTLE_DELIVERED:
		return &s->now.ledger.delivered;
	case SETTLE_EXPIRED:
		return &s->now.ledger.expired;
	case SETTLE_FILTERED:
		return &s->now.ledger.filtered;
	case SETTLE_DEAD:
		return &s->now.ledger.dead;
	case SETTLE_RETRY:
	case SETTLE_RELEASE:
		break;
	}
	never("this settlement moves no count");
}

static sqlite3_stmt *bind_run(struct store *s, enum statement id, uint64_t first, uint64_t last)
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
	if (gone != count) {
		s->unexpected_settlements += count - gone;
		s->recount |= known;
	}
	store_count_out(s, &s->now.ledger.pending, gone);
	*counter_of(s, items[0].kind) += gone;
	s->now.pending_bytes -= bytes < s->now.pending_bytes ? bytes : s->now.pending_bytes;
	return ERR_OK;
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	(void)sqlite3_bind_text(st, at, text ? text : "", text ? (int)strnlen(text, REASON_MAX) : 0, SQLITE_STATIC);
}

static enum err settle_dead(struct store *s, const struct store_settlement *item, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_TO_DEAD);
	uint64_t before = s->unexpected_settlements;
	enum err err;

	sql_bind_u64(st, 1, item->id);
	(void)sqlite3_bind_int64(st, 2, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 3, item->attempts);
	bind_text(st, 4, item->code);
	bind_text(st, 5, item->reason);
	err = store_run(s, st, e, "set aside");
	if (err != ERR_OK)
		return err;
	err = settle_run(s, item, 1, e);
	must(err != ERR_OK || s->unexpected_settlements - before <= 1);
	return err;
}

static enum err settle_retry(struct store *s, const struct store_settlement *item, struct error *e)
{
	static const enum statement ways[] = {ST_FAILURE_UPDATE, ST_FAILURE_INSERT};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		sqlite3_stmt *st = store_statement(s, ways[i]);
		enum err err;

		sql_bind_u64(st, 1, item->id);
		(void)sqlite3_bind_int64(st, 2, item->attempts);
		(void)sqlite3_bind_int64(st, 3, item->next_ms);
		if (ways[i] == ST_FAILURE_INSERT)
			(void)sqlite3_bind_int64(st, 4, clock_wall_ms());
		bind_text(st, 5, item->code);
		bind_text(st, 6, item->reason);
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
	s->unexpected_settlements++;
	return ERR_OK;
}

enum err store_settle(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = ERR_OK;

	must(s->in_group);
	for (size_t i = 0; i < count && err == ERR_OK;) {
		size_t n = 1;

		switch (items[i].kind) {
		case SETTLE_RETRY:
			err = settle_retry(s, &items[i], e);
			break;
		case SETTLE_DEAD:
			err = settle_dead(s, &items[i], e);
			break;
		case SETTLE_RELEASE:
			s->due_ms = 0; /* a failed row among them is due again at once */
			s->due_id = 0;
			break;
		case SETTLE_DELIVERED:
		case SETTLE_EXPIRED:
		case SETTLE_FILTERED:
			must(leaves(items[i].kind));
			while (i + n < count && items[i + n].kind == items[i].kind &&
			       items[i + n].id == items[i].id + n)
				n++;
			err = settle_run(s, &items[i], n, e);
			break;
		}
		i += n;
	}
	return err;
}
