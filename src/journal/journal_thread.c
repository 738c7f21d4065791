/*
 * The journal's own thread: gather offers and settlements, commit them as one, answer, hand rows on, checkpoint.
 *
 * What waits is committed at once; what comes meanwhile is the next group. So a lone message pays one sync and no
 * delay, and under load groups grow by themselves.
 */
#include "journal/journal_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/metrics.h"

enum {
	GROUPS_PER_COMMIT = 32,
	PUBLISH_MS = 100,
	IDLE_MS = 1000,
	RETRY_FULL_MS = 100,
	SALVAGE_IDS = 1024,
	MEMORY_FAILURES_MAX = 3,
	QUIET_MS = 1000, /* nothing moved for so long: time to shrink the file */
};

/* One commit being made. */
struct group {
	struct offer_list offers;
	uint32_t rows;
	uint64_t bytes;
	struct store_settlements *settled[GROUPS_PER_COMMIT];
	size_t settled_count;
};

void journal_condemn(struct journal *j, const struct error *e)
{
	atomic_store(&j->published.full, ERR_DISK);
	j->on_condemned(e);
	never("on_condemned returned");
}

void journal_restart_damaged(struct journal *j)
{
	struct store_report report;
	struct error e;
	enum err err = store_restart_damaged(j->store, &report, &e);

	if (err != ERR_OK)
		journal_condemn(j, &e);
	/* Everything is read again from the first id; what delivery has is skipped by its claim. */
	j->cursor = 0;
	ranges_fini(&j->released);
	j->next_retry_known = false;
	j->salvaging = true;
	j->exhausted = false;
}

static void publish_state(struct journal *j)
{
	struct store_state state;

	store_state(j->store, &state);
	metric_set(M_BACKLOG_OLDEST_MS, state.oldest_received_ms);
	metric_set(M_DISK_DATABASE_BYTES, (int64_t)state.database_bytes);
	metric_set(M_DISK_WAL_BYTES, (int64_t)state.wal_bytes);
	metric_set(M_DISK_FREE_BYTES, (int64_t)state.free_bytes);
	metric_add(M_CHECKPOINTS, state.checkpoints - (uint64_t)metric_get(M_CHECKPOINTS));
	atomic_store(&j->published.free_bytes, state.free_bytes);
}

static void publish_ledger(struct journal *j)
{
	const struct store_ledger *l = store_ledger(j->store);
	const struct {
		enum metric metric;
		uint64_t value;
	} gauges[] = {
#define LEDGER_SUM(id, column, meaning) {M_LEDGER_##id, l->column},
#define LEDGER_STATE(id, column, meaning) {M_LEDGER_##id, l->column},
#include "base/ledger.def"
	    {M_BACKLOG_ROWS, l->pending},
	    {M_BACKLOG_BYTES, store_pending_bytes(j->store)},
	    {M_BACKLOG_RETRYING, store_retrying(j->store)},
	};

	for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
		metric_set(gauges[i].metric, (int64_t)gauges[i].value);
	atomic_store(&j->published.pending_bytes, store_pending_bytes(j->store));
	atomic_store(&j->published.pending, l->pending);
}

void journal_publish(struct journal *j, bool force)
{
	int64_t now = clock_mono_ms();
	struct error ignored;
	enum err full = store_admission(j->store, &ignored);

	publish_ledger(j);
	atomic_store(&j->published.full, full);
	atomic_store(&j->published.max_bytes, j->options.store.max_bytes);
	metric_set(M_DISK_FULL, full == ERR_FULL);
	if (!force && now - j->published_ms < PUBLISH_MS)
		return;
	j->published_ms = now;
	publish_state(j);
}

/* Takes offers while more wait and the group has room. */
static void gather_offers(struct journal *j, struct group *g)
{
	int64_t start = clock_mono_ns();
	int64_t longest = j->options.commit_max_wait_ns > 0 ? j->options.commit_max_wait_ns : 2 * NS_PER_MS;
	void *item;

	while (g->rows < j->options.commit_max_rows && g->bytes < j->options.commit_max_bytes &&
	       lane_take(j->offers, &item, 1) == 1) {
		struct offer *offer = item;

		offer->verdict = OFFER_ACCEPTED;
		STAILQ_INSERT_TAIL(&g->offers, offer, link);
		g->rows += offer->count;
		g->bytes += offer->bytes;
		if (clock_mono_ns() - start > longest)
			break;
	}
}

static void gather_settlements(struct journal *j, struct group *g)
{
	void *items[GROUPS_PER_COMMIT];
	size_t n = lane_take(j->settlements, items, GROUPS_PER_COMMIT);

	for (size_t i = 0; i < n; i++) {
		journal_rows_claim_back(j, items[i]);
		g->settled[g->settled_count++] = items[i];
	}
}

static void refuse(struct offer *offer, enum err err, const struct error *e)
{
	offer->verdict = err == ERR_FULL ? OFFER_FULL : err == ERR_TOOBIG ? OFFER_TOO_BIG : OFFER_FAILED;
	offer->error = *e;
}

/* ERR_OK also when the offer was refused by itself: then its verdict says so and nothing of it is in the group. */
static enum err store_offer(struct journal *j, struct offer *offer, struct error *e)
{
	struct message *m;
	enum err err = store_admit(j->store, &offer->messages, e);

	if (err != ERR_OK && store_in_group(j->store)) {
		refuse(offer, err, e);
		return ERR_OK;
	}
	if (err == ERR_OK)
		err = journal_keys_filter(j, offer, e);
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
	if (err == ERR_OK && offer->position_key)
		err = store_position_put(j->store, offer->position_key, offer->position, e);
	return err;
}

static enum err write_group(struct journal *j, struct group *g, struct error *e)
{
	struct offer *offer;
	enum err err = store_begin(j->store, e);

	j->commits++;
	STAILQ_FOREACH (offer, &g->offers, link)
		if (err == ERR_OK)
			err = store_offer(j, offer, e);
	for (size_t i = 0; i < g->settled_count && err == ERR_OK; i++)
		err = store_settle(j->store, g->settled[i]->items, g->settled[i]->count, e);
	if (err == ERR_OK)
		err = store_commit(j->store, e);
	if (err != ERR_OK)
		store_rollback(j->store);
	return err;
}

/* Nothing of the group happened. */
static void undo_group(struct journal *j, struct group *g, enum err err, const struct error *e)
{
	struct offer *offer;

	STAILQ_FOREACH (offer, &g->offers, link)
		if (offer->verdict == OFFER_ACCEPTED)
			refuse(offer, err, e);
	for (size_t i = 0; i < g->settled_count; i++)
		j->waiting[j->waiting_count++] = g->settled[i];
	g->settled_count = 0;
}

static void commit_group(struct journal *j, struct group *g)
{
	struct error e;
	int64_t start = clock_mono_ns();
	enum err err = write_group(j, g, &e);

	if (err == ERR_DAMAGED) {
		struct offer *offer;

		journal_restart_damaged(j);
		STAILQ_FOREACH (offer, &g->offers, link)
			offer->verdict = OFFER_ACCEPTED;
		err = write_group(j, g, &e);
	}
	j->memory_failures = err == ERR_MEMORY ? j->memory_failures + 1 : 0;
	if ((err != ERR_OK && err != ERR_FULL && err != ERR_MEMORY) || j->memory_failures >= MEMORY_FAILURES_MAX)
		journal_condemn(j, &e);
	if (err != ERR_OK)
		undo_group(j, g, err, &e);
	else if (!STAILQ_EMPTY(&g->offers))
		metric_observe_ns(M_BUFFER_LATENCY, clock_mono_ns() - start);
}

/* Says yes or no to each offer, and collects what may go on to delivery at once. */
static void answer_offers(struct journal *j, struct group *g, struct message_list *accepted)
{
	struct offer *offer;
	uint64_t rows = 0;

	publish_ledger(j);
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

/* Settlements that met a full disk, in steps a full disk can take. True when some moved. */
static bool drain_waiting(struct journal *j)
{
	bool moved = false;

	while (j->waiting_count > 0) {
		struct store_settlements *first = j->waiting[0];
		struct error e;
		size_t done = 0;
		enum err err = store_settle_full(j->store, first->items + j->waiting_done,
		                                 first->count - j->waiting_done, &done, &e);

		journal_rows_settled(j, first->items + j->waiting_done, done);
		j->waiting_done += done;
		moved |= done > 0;
		if (err == ERR_DAMAGED)
			journal_restart_damaged(j);
		else if (err != ERR_OK && err != ERR_FULL && err != ERR_MEMORY)
			journal_condemn(j, &e);
		if (err != ERR_OK)
			break;
		store_settlements_free(first);
		for (size_t i = 1; i < j->waiting_count; i++)
			j->waiting[i - 1] = j->waiting[i];
		j->waiting_count--;
		j->waiting_done = 0;
	}
	j->waiting_retry_ms = clock_mono_ms() + RETRY_FULL_MS;
	return moved;
}

static bool do_commits(struct journal *j)
{
	struct group g = {.offers = STAILQ_HEAD_INITIALIZER(g.offers)};
	struct message_list accepted = STAILQ_HEAD_INITIALIZER(accepted);

	gather_offers(j, &g);
	/* While a full disk makes settlements wait, later ones wait in their lane, which holds delivery back. */
	if (j->waiting_count == 0)
		gather_settlements(j, &g);
	if (STAILQ_EMPTY(&g.offers) && g.settled_count == 0)
		return false;
	commit_group(j, &g);
	answer_offers(j, &g, &accepted);
	finish_settlements(j, &g);
	journal_rows_pass_on(j, &accepted);
	return true;
}

static bool do_questions(struct journal *j)
{
	struct error e;
	void *item;

	if (lane_take(j->questions, &item, 1) == 0)
		return false;
	((struct journal_question *)item)->run(j->store, item);
	must(!store_in_group(j->store));
	if (store_trust(j->store, &e) != ERR_OK)
		journal_condemn(j, &e);
	j->next_retry_known = false;
	j->exhausted = false;
	journal_publish(j, true);
	must(lane_put(j->questions_done, item));
	return true;
}

static void do_checkpoint(struct journal *j)
{
	struct error e;
	enum err err = store_checkpoint(j->store, false, &e);

	if (err == ERR_DAMAGED)
		journal_restart_damaged(j);
	else if (err != ERR_OK && err != ERR_FULL && err != ERR_MEMORY)
		journal_condemn(j, &e);
}

/* What can be done when nothing else is: bring back what was set aside, make the file smaller. True: there is more. */
static bool do_idle_work(struct journal *j)
{
	struct error e;
	bool more = false;
	enum err err = ERR_OK;

	if (j->salvaging) {
		uint64_t first, last;

		err = store_salvage(j->store, SALVAGE_IDS, &first, &last, &more, &e);
		if (err == ERR_OK && last > 0 && first <= j->cursor)
			ranges_add(&j->released, first, last < j->cursor ? last : j->cursor);
		j->salvaging = more;
		j->next_retry_known = false;
	} else if (clock_mono_ms() - j->busy_ms > QUIET_MS) {
		err = store_shrink(j->store, &more, &e);
		if (!more)
			j->busy_ms = clock_mono_ms();
	}
	if (err == ERR_DAMAGED)
		journal_restart_damaged(j);
	else if (err != ERR_OK && err != ERR_FULL && err != ERR_MEMORY)
		journal_condemn(j, &e);
	return more && err == ERR_OK;
}

static int wait_ms(const struct journal *j)
{
	int64_t wait = IDLE_MS;
	int64_t until;

	if (j->waiting_count > 0 && (until = j->waiting_retry_ms - clock_mono_ms()) < wait)
		wait = until;
	if (j->next_retry_ms > 0 && j->room_rows > 0 && (until = j->next_retry_ms - clock_wall_ms()) < wait)
		wait = until;
	if (clock_mono_ms() - j->published_ms < PUBLISH_MS && wait > PUBLISH_MS)
		wait = PUBLISH_MS;
	return wait < 1 ? 1 : (int)wait;
}

static void sleep_until_something(struct journal *j, bool at_once)
{
	struct pollfd fds[] = {
	    {.fd = j->wake_fd, .events = POLLIN},
	    {.fd = lane_fd(j->offers), .events = POLLIN},
	    {.fd = lane_fd(j->questions), .events = POLLIN},
	    {.fd = j->waiting_count == 0 ? lane_fd(j->settlements) : -1, .events = POLLIN},
	    {.fd = j->blocked ? lane_room_fd(j->rows) : -1, .events = POLLIN},
	};
	uint64_t value;

	if (poll(fds, sizeof fds / sizeof *fds, at_once ? 0 : wait_ms(j)) > 0 && fds[0].revents)
		while (read(j->wake_fd, &value, sizeof value) < 0 && errno == EINTR)
			continue;
}

static void take_settings(struct journal *j)
{
	struct store_options *new = atomic_exchange(&j->reconfigure, NULL);

	if (!new)
		return;
	store_reconfigure(j->store, new);
	j->options.store.max_bytes = new->max_bytes;
	free(new);
	journal_publish(j, true);
}

/* One round; true when something was done and there may be more. */
static bool do_round(struct journal *j)
{
	bool moved = do_commits(j);

	if (j->waiting_count > 0 && clock_mono_ms() >= j->waiting_retry_ms)
		moved |= drain_waiting(j);
	moved |= do_questions(j);
	moved |= journal_rows_feed(j);
	do_checkpoint(j);
	take_settings(j);
	if (moved)
		j->busy_ms = clock_mono_ms();
	return moved;
}

static void finish(struct journal *j)
{
	do
		while (do_commits(j) || do_questions(j))
			continue;
	while (drain_waiting(j)); /* what waited held back what came after it */
	journal_publish(j, true);
	atomic_store(&j->published.full, ERR_CLOSED);
	j->stop_result = store_close(j->store, &j->stop_error);
	j->store = NULL;
	if (j->stop_result == ERR_DISK)
		journal_condemn(j, &j->stop_error);
}

void *journal_thread_run(void *arg)
{
	struct journal *j = arg;

	j->busy_ms = clock_mono_ms();
	while (!atomic_load(&j->stopping)) {
		bool moved = do_round(j);
		bool more = !moved && do_idle_work(j);

		journal_publish(j, false);
		if (!moved)
			sleep_until_something(j, more);
	}
	finish(j);
	return NULL;
}
