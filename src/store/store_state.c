/* The counts of the last commit, for whoever asks. */
#include "store/store_internal.h"

#include "base/clock.h"
#include "store/vfs.h"

/* Of a block its first message's, though that one may have left. */
static int64_t oldest_ms(struct store *s)
{
	static const enum store_statement homes[] = {ST_OLDEST, ST_BLOCKS_OLDEST};
	uint64_t oldest_id = UINT64_MAX;
	int64_t ms = 0;

	for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
		sqlite3_stmt *st = store_statement(s, homes[i]);

		if (sqlite3_step(st) == SQLITE_ROW && sql_column_u64(st, 0) < oldest_id) {
			oldest_id = sql_column_u64(st, 0);
			ms = store_clock_received(s, oldest_id, sqlite3_column_int64(st, 1));
		}
		(void)sqlite3_reset(st);
	}
	return ms;
}

void store_state(struct store *s, struct store_state *ret)
{
	*ret = (struct store_state){
	    .ledger = s->durable.ledger,
	    .pending_bytes = s->durable.pending_bytes,
	    .next_id = s->durable.next_id,
	    .retrying = s->durable.retrying,
	    .database_bytes = files_bytes(&s->files, ""),
	    .wal_bytes = files_bytes(&s->files, "-wal"),
	    .free_bytes = files_free_bytes(&s->files),
	    .unexpected_settlements = s->unexpected_settlements,
	    .checkpoints = s->checkpoints,
	    .written_bytes = vfs_counts().written_bytes,
	    .stored_bytes = s->stored_bytes,
	};
	ret->oldest_received_ms = oldest_ms(s);
	ret->next_retry_ms = store_next_retry_ms(s);
	if (ret->next_retry_ms != 0)
		ret->next_retry_ms += clock_wall_ms() - store_clock_ms(s);
}

int64_t store_next_retry_ms(struct store *s)
{
	sqlite3_stmt *st;
	int64_t next = 0;

	if (s->durable.retrying == 0)
		return 0;
	st = store_statement(s, ST_FAILURES_NEXT);
	(void)sqlite3_bind_int64(st, 1, s->due_ms);
	sql_bind_u64(st, 2, s->due_id);
	if (sqlite3_step(st) == SQLITE_ROW)
		next = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return next;
}

const struct store_ledger *store_ledger(const struct store *s) { return &s->durable.ledger; }

uint64_t store_pending_bytes(const struct store *s) { return s->durable.pending_bytes; }

uint64_t store_next_id(const struct store *s) { return s->durable.next_id; }

uint64_t store_retrying(const struct store *s) { return s->durable.retrying; }

uint64_t store_possible_duplicates(const struct store *s) { return s->durable.possible; }

uint64_t store_handed(const struct store *s) { return s->durable.handed; }

void store_note_flight(struct store *s, uint64_t possible, uint64_t handed)
{
	s->possible_noted = possible;
	s->handed_noted = handed;
}

uint64_t store_moves(const struct store *s) { return s->now.ledger.accepted * 2 - s->now.ledger.pending; }
