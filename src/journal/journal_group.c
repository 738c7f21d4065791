/*
 * One commit: offers and settlements of a moment are gathered, written as one, answered, handed on.
 *
 * What waits is committed at once; what comes meanwhile is the next group. So a lone message pays one sync and no
 * delay, and under load groups grow by themselves.
 *
 * What leaves is written before what comes: the pages that it frees take the new blocks, without a detour.
 *
 * Deleting is not a promise: a settlement is held for a commit it can ride on, the HELD_COMMITS-th or the first of the
 * last quarter of HELD_MS, and at most HELD_MS, HELD_ROWS or HELD_GROUPS. A crash meanwhile delivers those rows again
 * (promise 7); they are counted in kspool_settlements_held. Whatever says more than "gone" (a retry, a dead letter) is
 * committed at once, and so is all while somebody waits for an empty journal, the spool is full, or the journal stops.
 *
 * Invariants:
 * 1. No transaction is open between two calls of this file's functions.
 * 2. An offer is answered accepted only after the commit that holds all of it (promise 1).
 * 3. An offer that is refused left nothing in the group; one that fails took the whole group with it.
 * 4. While settlements that only leave wait for a full disk (`waiting`), later ones stay in their lane and nothing more
 *    is handed to delivery: it could not be settled. What takes room (`growing`) comes behind all of these.
 * 5. held_count is 0 exactly when nothing is held; what is held is committed whole and in order.
 * 6. What settles rows of a file that was set aside waits in `late` until that file is read back: else a row that was
 *    delivered would come back behind its settlement, and be sent again.
 */
#include "journal/journal_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/metrics.h"

enum { GROUPS_PER_COMMIT = 32, RETRY_FULL_MS = 100 };

/* One commit being made. */
struct group {
	struct offer_list offers;
	struct store_settlements *settled[HELD_GROUPS];
	size_t settled_count;
};

static bool has_room(const struct journal *j)
{
	return j->gathered_rows < j->options.commit_max_rows && j->gathered_bytes < j->options.commit_max_bytes;
}

/* Takes offers while more wait and the group has room. */
static void gather_offers(struct journal *j)
{
	int64_t start = clock_mono_ns();
	int64_t longest = j->options.commit_max_wait_ns > 0 ? j->options.commit_max_wait_ns : 2 * NS_PER_MS;
	void *item;

	while (has_room(j) && lane_take(j->offers, &item, 1) == 1) {
		struct offer *offer = item;

		offer->verdict = OFFER_ACCEPTED;
		STAILQ_INSERT_TAIL(&j->gathered, offer, link);
		j->gathered_count++;
		j->gathered_rows += offer->count;
		j->gathered_bytes += offer->bytes;
		if (clock_mono_ns() - start > longest)
			break;
	}
}

int journal_group_window_ms(const struct journal *j)
{
	const struct offer *first = STAILQ_FIRST(&j->gathered);
	int64_t left;

	if (!first)
		return -1;
	left = first->offered_ns + j->options.commit_window_ns - clock_mono_ns();
	return left > 0 ? (int)((left + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

/* Nothing waits for a window when no more could come, or when nobody should be kept waiting. */
static bool offers_are_due(const struct journal *j)
{
	return j->phase != JOURNAL_RUNNING || !has_room(j) || j->gathered_count >= LANE_OFFERS ||
	       journal_group_window_ms(j) == 0;
}

static void release_offers(struct journal *j, struct group *g)
{
	STAILQ_CONCAT(&g->offers, &j->gathered);
	j->gathered_count = j->gathered_rows = 0;
	j->gathered_bytes = 0;
}

static bool has_orphans(const struct store_settlements *group)
{
	for (uint32_t i = 0; i < group->count; i++)
		if (group->items[i].may_be_gone)
			return true;
	return false;
}

static void hold(struct journal *j, struct store_settlements *group)
{
	if (j->held_count == 0) {
		j->held_since_ms = clock_mono_ms();
		j->held_at_commit = j->commits;
	}
	for (uint32_t i = 0; i < group->count; i++) {
		j->held_is_urgent |= group->items[i].kind != SETTLE_DELIVERED;
		j->held_bytes += (int64_t)(sizeof(struct message) + group->items[i].bytes);
	}
	j->held_rows += group->count;
	j->held[j->held_count++] = group;
}

static void take_back(struct journal *j, struct store_settlements *group)
{
	journal_rows_claim_back(j, group);
	if (group->count == 0) {
		store_settlements_free(group);
		return;
	}
	if (j->looking == LOOKING_FOR_SALVAGE && has_orphans(group))
		journal_defer(j, group);
	else
		hold(j, group);
}

/* All is read back: what was settled meanwhile leaves. */
static void take_late(struct journal *j)
{
	while (j->looking != LOOKING_FOR_SALVAGE && j->late_count > 0 && j->held_count < HELD_GROUPS) {
		hold(j, j->late[--j->late_count]);
		j->held_is_urgent = true;
	}
}

/* Of a group that waits for what was set aside: what is back already, as a group of its own; null: nothing. */
static struct store_settlements *take_back_rows(struct journal *j, struct store_settlements *late)
{
	struct store_settlements *back = store_settlements_new(late->count);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < late->count; i++) {
		struct error ignored;
		bool is_back = false;

		if (store_is_pending(j->store, late->items[i].id, &is_back, &ignored) == ERR_OK && is_back)
			back->items[back->count++] = late->items[i];
		else
			late->items[kept++] = late->items[i];
	}
	late->count = kept;
	if (back->count > 0)
		return back;
	store_settlements_free(back);
	return NULL;
}

void journal_group_settle_back(struct journal *j)
{
	size_t kept = 0;

	for (size_t i = 0; i < j->late_count; i++) {
		struct store_settlements *late = j->late[i], *back = NULL;

		if (j->held_count < HELD_GROUPS)
			back = take_back_rows(j, late);
		if (back) {
			hold(j, back);
			j->held_is_urgent = true;
		}
		if (late->count > 0)
			j->late[kept++] = late;
		else
			store_settlements_free(late);
	}
	j->late_count = kept;
}

/* True when something came. */
static bool take_settlements(struct journal *j)
{
	void *items[GROUPS_PER_COMMIT];
	size_t room = HELD_GROUPS - j->held_count;
	size_t n = lane_take(j->settlements, items, room < GROUPS_PER_COMMIT ? room : GROUPS_PER_COMMIT);

	for (size_t i = 0; i < n; i++)
		take_back(j, items[i]);
	return n > 0;
}

/* `rides`: there is a commit anyway. */
static bool held_is_due(const struct journal *j, bool rides)
{
	if (j->held_count == 0)
		return false;
	if (rides && (j->commits - j->held_at_commit >= HELD_COMMITS || journal_group_held_ms(j) < HELD_MS / 4))
		return true;
	return j->held_is_urgent || j->phase != JOURNAL_RUNNING || atomic_load(&j->hurry) ||
	       atomic_load(&j->published.full) != ERR_OK || j->held_count == HELD_GROUPS || j->held_rows >= HELD_ROWS ||
	       journal_group_held_ms(j) == 0;
}

static void release_held(struct journal *j, struct group *g)
{
	for (size_t i = 0; i < j->held_count; i++)
		g->settled[g->settled_count++] = j->held[i];
	j->held_count = 0;
	j->held_rows = 0;
	j->held_bytes = 0;
	j->held_is_urgent = false;
	atomic_store(&j->hurry, false);
}

int journal_group_held_ms(const struct journal *j)
{
	int64_t left;

	if (j->held_count == 0)
		return -1;
	left = j->held_since_ms + HELD_MS - clock_mono_ms();
	return left > 0 ? (int)left : 0;
}

static void refuse(struct offer *offer, enum err err, const struct error *e)
{
	offer->verdict = err == ERR_FULL ? OFFER_FULL : err == ERR_TOOBIG ? OFFER_TOO_BIG : OFFER_FAILED;
	offer->error = *e;
}

static uint64_t bytes_of(const struct offer *offer)
{
	const struct message *m;
	uint64_t bytes = 0;

	STAILQ_FOREACH (m, &offer->messages, link)
		bytes += (uint64_t)m->meta_bytes + m->body_bytes;
	return bytes;
}

/* ERR_OK also when the offer was refused by itself: then its verdict says so and nothing of it is in the group. */
static enum err store_offer(struct journal *j, struct offer *offer, struct error *e)
{
	struct message *m;
	uint64_t beside = journal_keys_room(j, &offer->messages);
	enum err err;

	STAILQ_FOREACH (m, &offer->set_aside, link)
		beside += store_room_of_dead(m);
	err = offer->can_wait ? store_leave_some(j->store, bytes_of(offer) + beside, e) : ERR_OK;
	if (err == ERR_OK)
		err = store_admit(j->store, &offer->messages, beside, e);
	STAILQ_FOREACH (m, &offer->messages, link)
		FAILPOINT_BYTES("journal", message_body(m), m->body_bytes);
	if (err != ERR_OK && store_in_group(j->store)) {
		refuse(offer, err, e);
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = journal_keys_filter(j, offer, e);
	if (err == ERR_OK)
		err = store_clock_stamp(j->store, &offer->messages, e);
	if (err == ERR_OK)
		err = store_clock_stamp(j->store, &offer->set_aside, e);
	if (err == ERR_OK)
		err = store_append_list(j->store, &offer->messages, e);
	if (err == ERR_OK && !STAILQ_EMPTY(&offer->messages))
		offer->first_id = STAILQ_FIRST(&offer->messages)->id;
	STAILQ_FOREACH (m, &offer->set_aside, link) {
		if (err != ERR_OK)
			break;
		err = store_append_dead(j->store, m, "set_aside", e);
	}
	if (err == ERR_OK)
		store_count_filtered(j->store, offer->filtered);
	if (err == ERR_OK && offer->may_repeat)
		store_count_possible(j->store, offer->count);
	if (err == ERR_OK && offer->position_key)
		err = store_position_put(j->store, offer->position_key, offer->position, e);
	return err;
}

/* Until the next commit delivery has no more than its credit, used or not. */
static uint64_t handed_at_most(const struct journal *j)
{
	int64_t room = j->room_rows > 0 ? j->room_rows : 0;

	return j->claims.count + (uint64_t)room + atomic_load(&j->credit_rows);
}

void journal_note_flight(struct journal *j)
{
	store_note_flight(j->store, atomic_load(&j->flight.possible), handed_at_most(j));
}

static void announce_flight(struct journal *j, const struct group *g)
{
	uint64_t sent = j->settled_records;

	for (size_t i = 0; i < g->settled_count; i++)
		for (uint32_t k = 0; k < g->settled[i]->count; k++)
			sent += g->settled[i]->items[k].sent;
	flight_settling(&j->flight, sent, store_moves(j->store));
}

/* What comes now will not leave in a moment. */
static bool backlog_waits(const struct journal *j)
{
	int64_t settled_ms = atomic_load(&j->published.settled_ms);

	if (store_next_id(j->store) - 1 - j->cursor > WAITING_ROWS)
		return true;
	if (settled_ms < j->began_ms)
		settled_ms = j->began_ms;
	return j->claims.count > j->held_rows && clock_mono_ms() - settled_ms > WAITING_MS;
}

static enum err write_group(struct journal *j, struct group *g, struct error *e)
{
	struct offer *offer;
	enum err err = store_begin(j->store, e);

	if (err == ERR_OK)
		store_let_ledger_wait(j->store);
	store_set_waits(j->store, backlog_waits(j));
	journal_note_flight(j);
	j->commits++;
	for (size_t i = 0; i < g->settled_count && err == ERR_OK; i++)
		err = store_settle(j->store, g->settled[i]->items, g->settled[i]->count, e);
	STAILQ_FOREACH (offer, &g->offers, link)
		if (err == ERR_OK && offer->verdict == OFFER_ACCEPTED)
			err = store_offer(j, offer, e);
	if (err == ERR_OK) {
		announce_flight(j, g);
		err = store_commit(j->store, e);
	}
	if (err != ERR_OK)
		store_rollback(j->store);
	return err;
}

/* A log that holds what the database has no room for would be the end of the exit. */
static bool must_wait_for_room(struct journal *j, const struct group *g)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < g->settled_count; i++)
		for (uint32_t k = 0; k < g->settled[i]->count; k++)
			bytes += store_room_of(&g->settled[i]->items[k]);
	return g->settled_count > 0 && (store_disk_refuses(j->store) || !store_has_room_for(j->store, bytes));
}

/* What only leaves makes room: it does not wait for what takes some. */
static void wait_for_room(struct journal *j, struct group *g)
{
	for (size_t i = 0; i < g->settled_count; i++) {
		struct store_settlements *group = g->settled[i];
		uint32_t kept = 0;

		for (uint32_t k = 0; k < group->count; k++) {
			if (store_room_of(&group->items[k]) > 0)
				j->growing = store_settlements_add(j->growing, &group->items[k]);
			else
				group->items[kept++] = group->items[k];
		}
		group->count = kept;
		if (kept > 0)
			j->waiting[j->waiting_count++] = group;
		else
			store_settlements_free(group);
	}
	g->settled_count = 0;
}

/* Nothing of the group happened. */
static void undo_group(struct journal *j, struct group *g, enum err err, const struct error *e)
{
	struct offer *offer;

	STAILQ_FOREACH (offer, &g->offers, link)
		if (offer->verdict == OFFER_ACCEPTED)
			refuse(offer, err, e);
	wait_for_room(j, g);
}

/* Once more, into new files: all but what can only be judged by what the failed try held (journal_keys.c, 6). */
static enum err write_again(struct journal *j, struct group *g, const struct error *damage, struct error *e)
{
	struct offer *offer;

	STAILQ_FOREACH (offer, &g->offers, link) {
		if (offer->known > 0)
			refuse(offer, ERR_DAMAGED, damage);
		else
			offer->verdict = OFFER_ACCEPTED;
	}
	return write_group(j, g, e);
}

/*
 * The files went away while the group was written into them: nothing of it is durable, though it may be sent still, so
 * that whoever brings it elsewhere may bring it twice.
 */
static void refuse_lost(struct journal *j, struct group *g)
{
	struct offer *offer;

	if (atomic_load(&j->published.lost))
		return; /* they were when it began: store_admit has refused */
	journal_watch(j, store_watch_names);
	if (!atomic_load(&j->published.lost))
		return;
	STAILQ_FOREACH (offer, &g->offers, link)
		if (offer->verdict == OFFER_ACCEPTED) {
			atomic_fetch_add(&j->flight.possible, offer->count);
			metric_add(M_POSSIBLE_DUPLICATES, offer->count);
			refuse(offer, ERR_DISK, &j->published.lost_why);
		}
}

static void commit_group(struct journal *j, struct group *g)
{
	struct error e, damage;
	int64_t start = clock_mono_ns();
	enum err err;

	if (!STAILQ_EMPTY(&g->offers))
		journal_watch(j, store_watch_names);
	err = write_group(j, g, &e);
	if (err == ERR_DAMAGED) {
		damage = e;
		if (!journal_survives(j, err, &e)) {
			for (size_t i = 0; i < g->settled_count; i++)
				journal_defer(j, g->settled[i]);
			g->settled_count = 0;
			err = write_again(j, g, &damage, &e);
		}
	}
	j->memory_failures = err == ERR_MEMORY ? j->memory_failures + 1 : 0;
	if (err == ERR_DAMAGED || j->memory_failures >= MEMORY_FAILURES_MAX)
		journal_condemn(j, &e);
	if (!journal_survives(j, err, &e))
		undo_group(j, g, err, &e);
	else if (!STAILQ_EMPTY(&g->offers))
		refuse_lost(j, g);
	if (err == ERR_OK && !STAILQ_EMPTY(&g->offers))
		metric_observe_ns(M_BUFFER_LATENCY, clock_mono_ns() - start);
}

/* Says yes or no to each offer, and collects what may go on to delivery at once. */
static void answer_offers(struct journal *j, struct group *g, struct message_list *accepted)
{
	struct offer *offer;
	uint64_t rows = 0;

	journal_publish_now(j); /* who is refused for want of room and asks, hears the same */
	FAILPOINT("before_accept");
	while ((offer = STAILQ_FIRST(&g->offers))) {
		STAILQ_REMOVE_HEAD(&g->offers, link);
		if (offer->verdict == OFFER_ACCEPTED) {
			rows += offer->count;
			metric_add(M_DEAD_LETTERS, offer->set_aside_count);
			journal_keys_release(offer);
			STAILQ_CONCAT(accepted, &offer->messages);
		}
		message_list_free(&offer->messages);
		message_list_free(&offer->set_aside);
		must(lane_put(j->offers_done, offer));
	}
	FAILPOINT("after_accept");
	metric_add(M_BUFFER_RECEIVED, rows);
	metric_add(M_BUFFER_BATCH_RECEIVED, rows > 0);
}

static void finish_settlements(struct journal *j, struct group *g)
{
	if (g->settled_count > 0)
		atomic_store(&j->published.settled_ms, clock_mono_ms());
	for (size_t i = 0; i < g->settled_count; i++) {
		journal_rows_settled(j, g->settled[i]->items, g->settled[i]->count);
		store_settlements_free(g->settled[i]);
	}
}

/* In small commits, each of which says what was sent twice as any other does: the disk may have refused it before. */
static enum err settle_full(struct journal *j, struct store_settlement *items, size_t count, size_t *ret_done,
                            struct error *e)
{
	enum err err;

	journal_note_flight(j);
	err = store_settle_full(j->store, items, count, ret_done, e);
	journal_rows_settled(j, items, *ret_done);
	return err;
}

/* After all that only leaves. */
static bool drain_growing(struct journal *j)
{
	struct store_settlements *group = j->growing;
	struct error e;
	size_t done = 0;
	enum err err;

	if (!group)
		return false;
	err = settle_full(j, group->items, group->count, &done, &e);
	for (size_t i = 0; i < done; i++)
		free(group->items[i].reason);
	group->count -= (uint32_t)done;
	memmove(group->items, group->items + done, group->count * sizeof *group->items);
	if (journal_survives(j, err, &e)) {
		store_settlements_free(group);
		j->growing = NULL;
	}
	return done > 0;
}

bool journal_group_drain(struct journal *j)
{
	bool moved = false;

	while (j->waiting_count > 0) {
		struct store_settlements *first = j->waiting[0];
		struct error e;
		size_t done = 0;
		enum err err =
		    settle_full(j, first->items + j->waiting_done, first->count - j->waiting_done, &done, &e);

		j->waiting_done += done;
		moved |= done > 0;
		if (!journal_survives(j, err, &e))
			break;
		store_settlements_free(first);
		for (size_t i = 1; i < j->waiting_count; i++)
			j->waiting[i - 1] = j->waiting[i];
		j->waiting_count--;
		j->waiting_done = 0;
	}
	if (j->waiting_count == 0)
		moved |= drain_growing(j);
	j->waiting_retry_ms = clock_mono_ms() + RETRY_FULL_MS;
	journal_tell_flight(j);
	return moved;
}

void journal_group_flush(struct journal *j)
{
	while (j->held_count > 0) {
		atomic_store(&j->hurry, true);
		(void)journal_group_commit(j);
	}
}

bool journal_group_commit(struct journal *j)
{
	struct group g = {.offers = STAILQ_HEAD_INITIALIZER(g.offers)};
	struct message_list accepted = STAILQ_HEAD_INITIALIZER(accepted);
	bool took = false;

	must(!store_in_group(j->store));
	gather_offers(j);
	if (j->gathered_count > 0 && offers_are_due(j))
		release_offers(j, &g);
	/* While a full disk makes settlements wait, later ones wait in their lane, which holds delivery back. */
	if (j->waiting_count == 0) {
		take_late(j);
		took = take_settlements(j);
		if (held_is_due(j, !STAILQ_EMPTY(&g.offers)))
			release_held(j, &g);
	}
	if (must_wait_for_room(j, &g)) {
		wait_for_room(j, &g);
		took |= journal_group_drain(j);
	}
	if (STAILQ_EMPTY(&g.offers) && g.settled_count == 0)
		return took;
	commit_group(j, &g);
	finish_settlements(j, &g);
	journal_tell_flight(j);
	answer_offers(j, &g, &accepted);
	journal_rows_pass_on(j, &accepted);
	return true;
}
