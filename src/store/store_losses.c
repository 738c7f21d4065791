/* Damaged messages and why they are: counted with the group that loses them, told to a person once. */
#include "store/store_internal.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/dates.h"

static const struct {
	enum loss why;
	const char *sentence;
} reasons[] = {
#define LOSS(id, number, sentence) {LOSS_##id, sentence},
#include "store/losses.def"
};

uint64_t store_untold(const struct totals *t) { return store_beyond(t->ledger.damaged, t->told); }

uint64_t store_damaged_untold(const struct store *s) { return store_untold(&s->durable); }

void store_lose(struct store *s, enum loss why, uint64_t messages, uint64_t first, uint64_t last)
{
	struct loss_sum *l = &s->losses[why];

	if (messages == 0)
		return;
	if (first > 0 && (l->first == 0 || first < l->first))
		l->first = first;
	l->last = store_most(l->last, last);
	l->messages += messages;
}

/* A row that is not what was written says nothing. */
static enum err read_loss(struct store *s, enum loss why, struct loss_sum *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LOSS_GET);
	int rc;

	*ret = (struct loss_sum){0};
	(void)sqlite3_bind_int(st, 1, (int)why);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW && sqlite3_column_int(st, 4) != 0)
		*ret = (struct loss_sum){.messages = sql_column_u64(st, 0),
		                         .first = sql_column_u64(st, 1),
		                         .last = sql_column_u64(st, 2),
		                         .since_ms = sqlite3_column_int64(st, 3)};
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "see what is damaged");
}

static enum err put_loss(struct store *s, enum loss why, const struct loss_sum *l, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LOSS_PUT);

	(void)sqlite3_bind_int(st, 1, (int)why);
	sql_bind_u64(st, 2, l->messages);
	sql_bind_u64(st, 3, l->first);
	sql_bind_u64(st, 4, l->last);
	(void)sqlite3_bind_int64(st, 5, l->since_ms ? l->since_ms : clock_wall_ms());
	return store_run(s, st, e, "note what is damaged");
}

enum err store_losses_flush(struct store *s, struct error *e)
{
	static const enum loss order[] = {LOSS_ASIDE, LOSS_TAIL, LOSS_ROWS, LOSS_BYTES}; /* what comes back was of */
	enum err err = ERR_OK;

	for (size_t i = 0; i < sizeof order / sizeof *order && err == ERR_OK; i++) {
		const struct loss_sum new = s->losses[order[i]];
		struct loss_sum l;
		uint64_t back;

		if (new.messages == 0 && s->came_back == 0)
			continue;
		err = read_loss(s, order[i], &l, e);
		if (err != ERR_OK)
			break;
		back = store_least(s->came_back, l.messages + new.messages);
		s->came_back -= back;
		if (new.messages == back && l.messages == 0)
			continue;
		l.first = l.first == 0 || (new.first > 0 && new.first < l.first) ? new.first : l.first;
		l.last = store_most(l.last, new.last);
		l.messages += new.messages - back;
		err = put_loss(s, order[i], &l, e);
	}
	return err;
}

static void print(struct buf *out, uint64_t messages, sqlite3_stmt *st, const char *sentence)
{
	const uint64_t first = st ? sql_column_u64(st, 2) : 0, last = st ? sql_column_u64(st, 3) : 0;
	char when[40];

	(void)buf_addf(out, "damaged: %" PRIu64 " messages", messages);
	if (first > 0)
		(void)buf_addf(out, ", ids %" PRIu64 " to %" PRIu64, first, last);
	if (st)
		(void)buf_addf(out, ", since %s", dates_format_iso(sqlite3_column_int64(st, 4), when));
	(void)buf_addf(out, ": %s\n", sentence);
}

enum err store_losses_print(sqlite3 *db, uint64_t untold, struct buf *out, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db,
	                            "SELECT reason, messages, first_id, last_id, since_ms FROM losses"
	                            " WHERE messages > 0 AND " LOSS_IS_SOUND " ORDER BY reason",
	                            -1, &st, NULL);

	while (untold > 0 && (rc == SQLITE_OK || rc == SQLITE_ROW) && (rc = sqlite3_step(st)) == SQLITE_ROW)
		for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
			if ((int64_t)reasons[i].why == sqlite3_column_int64(st, 0)) {
				const uint64_t all = sql_column_u64(st, 1), messages = store_least(all, untold);

				untold -= messages;
				print(out, messages, st, reasons[i].sentence);
			}
	if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
		return sql_error(db, rc, e, "see what is damaged");
	if (untold > 0)
		print(out, untold, NULL, "why and since when is not known any more");
	return ERR_OK;
}

enum err store_losses_keep(struct store *s, const struct stored_record *r, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_LOSS_KEEP);

	(void)sqlite3_bind_int64(st, 1, r->rowid);
	for (int i = 1; i < r->count; i++)
		(void)sqlite3_bind_int64(st, i + 1, r->values[i].number);
	return store_run(s, st, e, "salvage what is damaged");
}
