/*
 * Rows on their way to delivery and back: credit, claims, rows that came back by salvage, retries that come due.
 *
 * Invariants:
 * 1. Every pending id up to the cursor was handed over and is claimed, or is in `failures`, or is in `returned`.
 *    Ids above it were never handed over since the last damage, which sets the cursor to 0.
 * 2. The cursor is below the next id; `returned` lies at or below the cursor.
 * 3. An id is claimed from the moment its row is put into the lane, or into `blocked`, until its settlement commits.
 * 4. claimed_bytes is the cost of all claims: 0 exactly when there is none.
 * 5. While `blocked` holds rows, nothing is read or passed on: rows reach delivery in order.
 * 6. An id in `asked` is in `returned`, or above the cursor: the read that passes it answers it.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

/* Reads wait until this much credit came together, so that rows are not fetched one by one. */
enum { MIN_READ_ROWS = 256, MIN_READ_BYTES = 256 * 1024 };

static int64_t cost_of(uint32_t bytes) { return (int64_t)(sizeof(struct message) + bytes); }

static void rows_assert(const struct journal *j)
{
	const struct ranges *r = &j->returned;

	must(j->cursor < store_next_id(j->store));
	must(r->count == 0 || r->items[r->count - 1].last <= j->cursor);
	must((j->claims.count == 0) == (j->claimed_bytes == 0));
}

bool journal_rows_is_claimed(void *arg, uint64_t id)
{
	const struct journal *j = arg;

	return claims_find(&j->claims, id) != NULL;
}

/* Released, or asked for again: nothing of it is written. False: it is a settlement. */
static bool is_moved(struct journal *j, const struct store_settlement *item)
{
	uint32_t bytes;

	if (item->kind == SETTLE_RELEASE && claims_remove(&j->claims, item->id, &bytes)) {
		j->claimed_bytes -= cost_of(bytes);
		j->away++;
	}
	if (item->kind == SETTLE_FETCH) {
		j->away -= j->away > 0;
		ranges_add(&j->asked, item->id, item->id);
		if (item->id <= j->cursor) /* else all is read again, after damage */
			ranges_add(&j->returned, item->id, item->id);
		journal_look_again(j);
	}
	return item->kind == SETTLE_RELEASE || item->kind == SETTLE_FETCH;
}

void journal_rows_claim_back(struct journal *j, struct store_settlements *group)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < group->count; i++) {
		struct store_settlement *item = &group->items[i];
		struct claim_slot *claim;

		if (is_moved(j, item)) {
			free(item->reason);
			continue;
		}
		claim = claims_find(&j->claims, item->id);
		if (!claim && item->is_note) {
			group->items[kept++] = *item;
			continue;
		}
		if (!claim || claim->is_leaving) {
			j->settled_records += item->sent;
			free(item->reason);
			j->unknown_settlements++;
			continue;
		}
		claim->is_leaving = true;
		item->bytes = claim->bytes;
		item->may_be_gone = claim->is_orphan;
		group->items[kept++] = *item;
	}
	group->count = kept;
}

void journal_tell_flight(struct journal *j)
{
	uint64_t state = store_moves(j->store);

	if (j->settled_records == 0 && state == j->flight_state)
		return;
	flight_settled(&j->flight, j->settled_records, state);
	j->settled_records = 0;
	j->flight_state = state;
}

void journal_rows_settled(struct journal *j, const struct store_settlement *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct store_settlement *item = &items[i];
		uint32_t bytes = 0;

		if (claims_remove(&j->claims, item->id, &bytes))
			j->claimed_bytes -= cost_of(bytes);
		else
			must(item->is_note); /* claim_back let it through once */
		j->settled_records += item->sent;
		if (item->kind == SETTLE_DEAD)
			metric_add(M_DEAD_LETTERS, 1);
		if (item->kind == SETTLE_RETRY)
			j->next_retry_known = false;
	}
	journal_look_again(j);
}

/* All or none. The tables gave these rows: that one of them is there twice is for them to answer, not for must(). */
static enum err claim_all(struct journal *j, const struct journal_rows *rows, struct error *e)
{
	const struct message *m, *other;

	STAILQ_FOREACH (m, &rows->messages, link) {
		uint32_t bytes = m->meta_bytes + m->body_bytes;

		if (!claims_add(&j->claims, m->id, bytes))
			break;
		j->claimed_bytes += cost_of(bytes);
	}
	if (!m)
		return ERR_OK;
	STAILQ_FOREACH (other, &rows->messages, link) {
		if (other == m)
			break;
		(void)claims_remove(&j->claims, other->id, NULL);
		j->claimed_bytes -= cost_of(other->meta_bytes + other->body_bytes);
	}
	return error_set(e, ERR_DAMAGED, "message %" PRIu64 " was read twice", m->id);
}

/* Claimed rows go into the lane, or are kept until the lane has room. */
static void hand_over(struct journal *j, struct journal_rows *rows)
{
	const struct message *m;

	STAILQ_FOREACH (m, &rows->messages, link)
		rows->bytes += message_cost(m);
	j->room_rows -= rows->count;
	j->room_bytes -= (int64_t)rows->bytes;
	metric_add(M_BUFFER_SENT, rows->count);
	metric_add(M_BUFFER_BATCH_SENT, 1);
	if (!lane_put(j->rows, rows))
		j->blocked = rows;
}

static struct journal_rows *rows_new(void)
{
	struct journal_rows *rows = mem_zero(sizeof *rows);

	STAILQ_INIT(&rows->messages);
	return rows;
}

/* What is held came back from delivery, with its credit. */
static int64_t rows_out(const struct journal *j) { return (int64_t)j->claims.count - j->held_rows; }

/* The next row may be as large as those that are out: where it would not fit beside them it waits until one is back. */
static bool has_credit(const struct journal *j)
{
	const int64_t out = rows_out(j), usual = out > 0 ? (j->claimed_bytes - j->held_bytes) / out : 1;

	return !j->blocked && j->room_rows > 0 && j->room_bytes > 0 && j->room_bytes >= usual;
}

void journal_rows_pass_on(struct journal *j, struct message_list *list)
{
	const struct message *first = STAILQ_FIRST(list);
	struct journal_rows *rows;
	struct message *m;
	struct error e;
	int64_t bytes = 0;

	rows_assert(j);
	if (!first || first->id != j->cursor + 1 || j->returned.count > 0 || !has_credit(j)) {
		message_list_free(list);
		return;
	}
	rows = rows_new();
	while ((m = STAILQ_FIRST(list)) && m->id == j->cursor + 1 && rows->count < j->room_rows &&
	       bytes < j->room_bytes) {
		STAILQ_REMOVE_HEAD(list, link);
		STAILQ_INSERT_TAIL(&rows->messages, m, link);
		rows->count++;
		bytes += (int64_t)message_cost(m);
		j->cursor = m->id;
	}
	must(claim_all(j, rows, &e) == ERR_OK); /* their ids were given out in this commit */
	hand_over(j, rows);
	message_list_free(list);
}

/* Credit is worth a read: enough of it came together, or nothing is under way that could bring more. */
static bool is_worth_reading(const struct journal *j)
{
	int64_t out = rows_out(j);
	int64_t rows = (j->room_rows + out) / 4;
	int64_t bytes = (j->room_bytes + j->claimed_bytes - j->held_bytes) / 4;

	if (!has_credit(j))
		return false;
	if (out <= 0)
		return true;
	return j->room_rows >= (rows < MIN_READ_ROWS ? rows : MIN_READ_ROWS) &&
	       j->room_bytes >= (bytes < MIN_READ_BYTES ? bytes : MIN_READ_BYTES);
}

static uint32_t row_limit(const struct journal *j)
{
	return j->room_rows < ROWS_PER_GROUP ? (uint32_t)j->room_rows : ROWS_PER_GROUP;
}

static uint64_t byte_limit(const struct journal *j)
{
	return (uint64_t)j->room_bytes < BYTES_PER_GROUP ? (uint64_t)j->room_bytes : BYTES_PER_GROUP;
}

static enum err learn_next_retry(struct journal *j, struct error *e)
{
	enum err err = j->next_retry_known ? ERR_OK : store_next_retry_ms(j->store, &j->next_retry_ms, e);

	j->next_retry_known = err == ERR_OK;
	return err;
}

static enum err read_due(struct journal *j, struct journal_rows *rows, struct error *e)
{
	enum err err = learn_next_retry(j, e);

	/* some wait, nobody has them, and none is ever due */
	if (j->next_retry_ms == 0 && store_retrying(j->store) > 0 && j->claims.count == 0 && j->away == 0)
		store_suspect(j->store);
	if (err != ERR_OK || j->next_retry_ms == 0 || j->next_retry_ms > store_clock_ms(j->store))
		return err;
	err = store_read_due(j->store, store_clock_ms(j->store), row_limit(j), byte_limit(j), journal_rows_is_claimed,
	                     j, &rows->messages, &rows->count, e);
	j->next_retry_known = false;
	return err;
}

/* What was fetched and does not stand in what was read up to `last`. */
static void find_gone(struct journal *j, const struct message_list *read, uint64_t last)
{
	const struct message *m = STAILQ_FIRST(read);
	uint64_t id;

	while (ranges_take(&j->asked, last, &id)) {
		while (m && m->id < id)
			m = STAILQ_NEXT(m, link);
		if (!m || m->id != id)
			ranges_add(&j->gone, id, id);
	}
}

static enum err read_returned(struct journal *j, struct journal_rows *rows, struct error *e)
{
	uint64_t bytes = 0, last;
	enum err err = ERR_OK;

	while (err == ERR_OK && j->returned.count > 0 && rows->count < row_limit(j) && bytes < byte_limit(j)) {
		const struct id_range range = j->returned.items[0];
		struct message_list some = STAILQ_HEAD_INITIALIZER(some);
		const struct message *m;
		uint32_t count;

		err = store_read_range(j->store, range.first, range.last, row_limit(j) - rows->count,
		                       byte_limit(j) - bytes, &some, &count, &last, e);
		STAILQ_FOREACH (m, &some, link)
			bytes += message_cost(m);
		rows->count += count;
		if (err == ERR_OK)
			find_gone(j, &some, last);
		STAILQ_CONCAT(&rows->messages, &some);
		if (err == ERR_OK)
			ranges_drop_upto(&j->returned, last);
	}
	return err;
}

static enum err read_tail(struct journal *j, struct journal_rows *rows, struct error *e)
{
	uint64_t last;
	enum err err;

	if (j->cursor + 1 >= store_next_id(j->store))
		return ERR_OK;
	err = store_read(j->store, j->cursor, row_limit(j), byte_limit(j), &rows->messages, &rows->count, &last, e);
	if (err == ERR_OK) {
		find_gone(j, &rows->messages, last);
		j->cursor = last;
	}
	return err;
}

static void tell_gone(struct journal *j, struct journal_rows *rows)
{
	while (rows->gone_count < JOURNAL_GONE_MOST && ranges_take(&j->gone, UINT64_MAX, &rows->gone[rows->gone_count]))
		rows->gone_count++;
}

/* Rows that came back by salvage under an old id while delivery still has them. */
static void drop_claimed(struct journal *j, struct journal_rows *rows)
{
	struct message_list kept = STAILQ_HEAD_INITIALIZER(kept);
	struct message *m;

	while ((m = STAILQ_FIRST(&rows->messages))) {
		STAILQ_REMOVE_HEAD(&rows->messages, link);
		if (claims_find(&j->claims, m->id)) {
			ranges_add(&j->gone, m->id, m->id); /* who asked has it already */
			message_free(m);
			rows->count--;
		} else {
			STAILQ_INSERT_TAIL(&kept, m, link);
		}
	}
	STAILQ_CONCAT(&rows->messages, &kept);
}

/* The ledger says that messages wait and no table gives one: rows are gone, or stand where no tree leads. */
static enum err recount_when_drained(struct journal *j, struct error *e)
{
	struct store_report report;
	uint64_t missing;
	enum err err;

	if (j->looking != LOOKING_FOR_ROWS || j->late_count > 0 || j->claims.count > 0 || j->returned.count > 0 ||
	    j->away > 0 || j->waiting_count > 0 || j->growing || store_retrying(j->store) > 0 ||
	    store_ledger(j->store)->pending == 0)
		return ERR_OK;
	journal_look(j, LOOKING_FOR_NOTHING);
	err = store_count_missing(j->store, &missing, e);
	if (err == ERR_OK && missing > 0)
		return error_set(e, ERR_DAMAGED, "the ledger counts %" PRIu64 " messages that no table has", missing);
	if (err == ERR_OK)
		err = store_recount(j->store, &report, e);
	if (err == ERR_OK && store_ledger(j->store)->pending > 0)
		j->cursor = 0;
	return err;
}

static enum err read_some(struct journal *j, struct journal_rows *rows, struct error *e)
{
	enum err err = read_due(j, rows, e);

	if (err == ERR_OK && rows->count == 0)
		err = read_returned(j, rows, e);
	if (err == ERR_OK && rows->count == 0)
		err = read_tail(j, rows, e);
	if (err == ERR_OK && rows->count == 0 && j->cursor + 1 >= store_next_id(j->store))
		err = recount_when_drained(j, e);
	return err;
}

static void retry_blocked(struct journal *j)
{
	if (!j->blocked)
		return;
	lane_room_ack(j->rows);
	if (lane_put(j->rows, j->blocked))
		j->blocked = NULL;
}

bool journal_rows_feed(struct journal *j)
{
	bool moved = false;

	rows_assert(j);
	j->room_rows += atomic_exchange(&j->credit_rows, 0);
	j->room_bytes += (int64_t)atomic_exchange(&j->credit_bytes, 0);
	retry_blocked(j);
	while (is_worth_reading(j) && j->waiting_count == 0 && !store_is_shut(j->store)) {
		struct journal_rows *rows = rows_new();
		struct error e;
		enum err err = read_some(j, rows, &e);

		drop_claimed(j, rows);
		if (err == ERR_OK)
			err = claim_all(j, rows, &e);
		if (err == ERR_OK)
			tell_gone(j, rows);
		if (err != ERR_OK || (rows->count == 0 && rows->gone_count == 0)) {
			message_list_free(&rows->messages);
			free(rows);
			(void)journal_survives(j, err, &e);
			break;
		}
		hand_over(j, rows);
		moved = true;
	}
	return moved;
}
