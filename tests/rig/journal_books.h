/*
 * journal_books: the journal's own books agree with each other, with the store's, and with what everybody is told.
 *
 * What it is: asked by journal_steps.h each time its thread has come to rest. Included after cmocka.h; fails the test
 * by itself. Thread: the test's, while the journal's sleeps.
 */
#ifndef KSPOOL_TESTS_JOURNAL_BOOKS_H
#define KSPOOL_TESTS_JOURNAL_BOOKS_H

#include "base/metrics.h"
#include "journal/journal_internal.h"

struct books {
	uint64_t rows;
	int64_t bytes; /* cost */
};

static inline struct books books_of(const struct journal *j, const struct store_settlements *group, uint32_t done)
{
	struct books sum = {0};

	for (uint32_t i = done; i < group->count; i++) {
		const struct claim_slot *claim = claims_find(&j->claims, group->items[i].id);

		assert_true(claim && claim->is_leaving);
		assert_int_equal(claim->bytes, group->items[i].bytes);
		sum.rows++;
		sum.bytes += (int64_t)(sizeof(struct message) + claim->bytes);
	}
	assert_true(sum.rows > 0); /* else it is not kept */
	return sum;
}

static inline void books_of_ranges(const struct ranges *r)
{
	for (size_t i = 0; i < r->count; i++) {
		assert_true(r->items[i].first <= r->items[i].last);
		assert_true(i == 0 || r->items[i - 1].last + 1 < r->items[i].first);
	}
}

/* What waits for its commit, and all that delivery has. */
static inline void books_of_claims(const struct journal *j)
{
	uint64_t held = 0, leaving = 0, count = 0, leaving_claims = 0;
	int64_t held_bytes = 0, claimed = 0;

	for (size_t i = 0; i < j->held_count; i++) {
		const struct books of = books_of(j, j->held[i], 0);

		held += of.rows;
		held_bytes += of.bytes;
	}
	for (size_t i = 0; i < j->waiting_count; i++)
		leaving += books_of(j, j->waiting[i], i == 0 ? (uint32_t)j->waiting_done : 0).rows;
	if (j->growing)
		leaving += books_of(j, j->growing, 0).rows;
	for (size_t i = 0; i < j->late_count; i++)
		leaving += books_of(j, j->late[i], 0).rows;
	for (size_t i = 0; i < j->claims.capacity; i++) {
		const struct claim_slot *claim = &j->claims.slots[i];

		if (claim->id == 0 || claim->id == UINT64_MAX)
			continue;
		count++;
		claimed += (int64_t)(sizeof(struct message) + claim->bytes);
		leaving_claims += claim->is_leaving;
	}
	assert_int_equal(j->held_rows, held);
	assert_int_equal(j->held_bytes, held_bytes);
	assert_int_equal(leaving_claims, held + leaving);
	assert_int_equal(j->claims.count, count);
	assert_int_equal(j->claimed_bytes, claimed);
	assert_true(j->waiting_count > 0 || j->waiting_done == 0);
	if (j->waiting_count == 0) { /* else it waits for these */
		assert_true(!j->held_is_urgent || j->looking == LOOKING_FOR_SALVAGE);
		assert_true(j->late_count == 0 || j->looking == LOOKING_FOR_SALVAGE);
		assert_true(j->held_count < HELD_GROUPS && held < HELD_ROWS);
		assert_int_equal(lane_count(j->settlements), 0);
		assert_true(j->held_count == 0 || !atomic_load(&j->hurry));
	}
}

static inline void books_of_offers(const struct journal *j)
{
	const struct offer *offer;
	uint64_t count = 0, rows = 0, bytes = 0;

	STAILQ_FOREACH (offer, &j->gathered, link) {
		count++;
		rows += offer->count;
		bytes += offer->bytes;
		assert_int_equal(offer->verdict, OFFER_ACCEPTED);
	}
	assert_int_equal(j->gathered_count, count);
	assert_int_equal(j->gathered_rows, rows);
	assert_int_equal(j->gathered_bytes, bytes);
	assert_int_equal(lane_count(j->offers) + lane_count(j->questions), 0);
	assert_int_equal(atomic_load(&j->offers_out), count + lane_count(j->offers_done));
	assert_int_equal(atomic_load(&j->questions_out), lane_count(j->questions_done));
}

/* As the last round left it: nobody may hear of a store that is not as it is. */
static inline void books_are_published(const struct journal *j)
{
	const struct published *p = &j->published;
	const struct store_ledger *l = store_ledger(j->store);
	const int full = atomic_load(&p->full);

	assert_int_equal(atomic_load(&p->pending), l->pending);
	assert_int_equal(atomic_load(&p->pending_bytes), store_pending_bytes(j->store));
	assert_int_equal(atomic_load(&p->max_bytes), j->options.store.max_bytes);
	assert_int_equal(atomic_load(&p->free_bytes), (uint64_t)metric_get(M_DISK_FREE_BYTES));
	assert_int_equal(atomic_load(&p->held), j->held_rows);
	assert_int_equal(atomic_load(&p->tide_trouble), store_tide_trouble(j->store));
	assert_int_equal(atomic_load(&p->left_trouble), store_left_trouble(j->store));
	assert_int_equal(atomic_load(&p->refused), store_disk_refuses(j->store));
	assert_true(full == ERR_FULL || !atomic_load(&p->refused) || atomic_load(&p->lost));
	assert_int_equal(full == ERR_DISK, atomic_load(&p->lost));
	assert_true(full == ERR_OK || full == ERR_FULL || full == ERR_DISK);
	assert_int_equal(metric_get(M_DISK_FULL), full == ERR_FULL);
	assert_int_equal(metric_get(M_SETTLEMENTS_HELD), j->held_rows);
#define LEDGER_SUM(id, column, meaning) assert_int_equal(metric_get(M_LEDGER_##id), l->column);
#define LEDGER_STATE(id, column, meaning) assert_int_equal(metric_get(M_LEDGER_##id), l->column);
#include "base/ledger.def"
	assert_int_equal(metric_get(M_UNTOLD), store_damaged_untold(j->store));
	assert_int_equal(metric_get(M_BACKLOG_ROWS), l->pending);
	assert_int_equal(metric_get(M_BACKLOG_BYTES), store_pending_bytes(j->store));
	assert_int_equal(metric_get(M_BACKLOG_RETRYING), store_retrying(j->store));
}

static inline void books_agree(const struct journal *j)
{
	assert_int_equal(j->phase, JOURNAL_RUNNING);
	assert_int_equal(atomic_load(&j->round_began_ns), 0); /* it waits, and is not slow */
	assert_false(store_in_group(j->store));
	assert_null(atomic_load(&j->reconfigure));
	assert_int_equal(atomic_load(&j->credit_rows) + atomic_load(&j->credit_bytes), 0);
	assert_true(j->cursor < store_next_id(j->store));
	assert_true(j->returned.count == 0 || j->returned.items[j->returned.count - 1].last <= j->cursor);
	books_of_ranges(&j->returned);
	books_of_ranges(&j->asked);
	books_of_ranges(&j->gone);
	assert_int_equal(j->settled_records, 0); /* PATH.flight was told */
	assert_int_equal(j->flight_state, store_moves(j->store));
	books_of_claims(j);
	books_of_offers(j);
	books_are_published(j);
}

#endif
