/*
 * The journal's own thread: commits, questions, rows, checkpoints, idle work, and its end.
 *
 * Invariants:
 * 1. Idle work runs in a round in which nothing moved, a step at a time; what comes meanwhile waits for one step.
 * 2. What a step has committed is told to delivery, whatever fails behind it.
 * 3. The store is closed by the thread that opened it, and `store` is null from then on.
 */
#include "journal/journal_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

enum {
	IDLE_MS = 500,  /* no longer than WATCH_MS */
	WATCH_MS = 500, /* the files are looked at this often */
	SALVAGE_ROWS = 1024,
	QUIET_MS = 1000,      /* nothing moved for so long: time to shrink the file */
	IDLE_LONG_MS = 20000, /* and after this the disk gets back whatever is not in use */
	NOTE_LEAST_MS = 100,  /* between two notes of what may be doubled */
	NOTE_MOST_MS = 1000,
};

static bool do_questions(struct journal *j)
{
	struct error e;
	void *item;

	if (lane_take(j->questions, &item, 1) == 0)
		return false;
	journal_group_flush(j);
	((struct journal_question *)item)->run(j->store, item);
	must(!store_in_group(j->store));
	if (store_trust(j->store, &e) != ERR_OK)
		journal_condemn(j, &e);
	j->next_retry_known = false;
	journal_look_again(j);
	journal_publish(j, true);
	must(lane_put(j->questions_done, item));
	return true;
}

static void do_checkpoint(struct journal *j)
{
	struct error e;

	(void)journal_survives(j, store_checkpoint(j->store, false, &e), &e);
}

/* Brings back a piece of what was set aside. True: there is more, or what was settled meanwhile can leave now. */
static bool do_salvage(struct journal *j)
{
	struct error e;
	uint64_t first, last;
	bool more = false;
	enum err err = store_salvage(j->store, SALVAGE_ROWS, &first, &last, &more, &e);

	if (last > 0 && first <= j->cursor) /* these came back, whatever failed behind them */
		ranges_add(&j->returned, first, last < j->cursor ? last : j->cursor);
	if (!more)
		journal_look(j, LOOKING_FOR_ROWS);
	j->next_retry_known = false;
	if (err == ERR_FULL) /* room comes when messages leave, those too that left before they came back */
		journal_group_settle_back(j);
	return journal_survives(j, err, &e) && (more || j->late_count > 0);
}

/* Rows beside the messages that are not what was written: what waited for them is looked for anew. */
static void do_mend(struct journal *j)
{
	struct store_report report;
	struct error e;
	uint64_t possible;
	bool is_done = false;

	if (store_mend_is_due(j->store) && clock_mono_ms() - j->unmended_ms > QUIET_MS) {
		const enum err err = store_mend(j->store, false, &report, &e);

		is_done = journal_survives(j, err, &e) && err == ERR_OK;
		j->unmended_ms = is_done ? 0 : clock_mono_ms(); /* a full disk: again, but not at once */
	}
	if (is_done && report.warning[0]) {
		j->cursor = 0;
		ranges_fini(&j->returned);
		j->next_retry_known = false;
		journal_look_again(j);
		if (j->options.on_mended)
			j->options.on_mended(report.warning);
	}
	possible = store_take_possible(j->store);
	if (possible > 0) {
		atomic_fetch_add(&j->flight.possible, possible);
		metric_add(M_POSSIBLE_DUPLICATES, possible);
	}
}

/* Until more than the database knows of is noted there; IDLE_MS: nothing is, or a full disk has better to do. */
static int64_t note_in_ms(const struct journal *j)
{
	struct error e;
	int64_t until;

	if (atomic_load(&j->flight.possible) <= store_possible_duplicates(j->store) || j->waiting_count > 0 ||
	    j->growing || store_admission(j->store, &e) == ERR_FULL)
		return IDLE_MS;
	until = j->noted_ms + j->note_wait_ms - clock_mono_ms();
	return until > 0 ? until : 0;
}

/*
 * What answers that were lost may have doubled is in the database before it is sent a second time, as a rule, and
 * within a second: PATH.flight may be gone at the next start.
 */
static void do_note(struct journal *j)
{
	const int64_t now_ms = clock_mono_ms();
	struct error e;

	if (note_in_ms(j) > 0)
		return;
	j->note_wait_ms = now_ms - j->noted_ms > 2 * NOTE_MOST_MS ? NOTE_LEAST_MS
	                  : 2 * j->note_wait_ms < NOTE_MOST_MS    ? 2 * j->note_wait_ms
	                                                          : NOTE_MOST_MS;
	j->noted_ms = now_ms;
	journal_note_flight(j);
	(void)journal_survives(j, store_put_possible(j->store, atomic_load(&j->flight.possible), &e), &e);
}

static void do_probe(struct journal *j)
{
	struct error e;

	(void)journal_survives(j, store_probe_disk(j->store, &e), &e);
}

/* A step of joining what waits in small pieces, above what delivery has. Nobody waits for it but what comes meanwhile.
 */
static void do_merge(struct journal *j)
{
	struct error e;

	(void)journal_survives(j, store_merge(j->store, j->cursor, &j->merge_more, &e), &e);
}

/* Nothing waits, and yet there is no room, for what comes in or for PATH.left: the log and the file hold it. Whoever
 * asks meanwhile is no reason to wait. */
static bool is_drained_and_full(struct journal *j)
{
	struct error e;

	return store_ledger(j->store)->pending == 0 && clock_mono_ms() - j->gave_ms > QUIET_MS &&
	       (store_admission(j->store, &e) == ERR_FULL || store_left_lacks_room(j->store));
}

/* Something was refused that would fit when the files give back what they do not use. True: there is more to give. */
static bool do_give_room(struct journal *j)
{
	struct error e;
	bool more = false;
	enum err err = store_give_room(j->store, &more, &e);

	return journal_survives(j, err, &e) && more;
}

/* What can be done when nothing else is: bring back what was set aside, make the file smaller. True: there is more. */
static bool do_idle_work(struct journal *j)
{
	struct error e;
	bool more = false;
	enum err err = ERR_OK;

	if (j->looking == LOOKING_FOR_SALVAGE)
		return do_salvage(j);
	if ((clock_mono_ms() - j->moved_ms > IDLE_LONG_MS && !j->gave_back) || is_drained_and_full(j)) {
		err = store_give_back(j->store, &more, &e);
		j->gave_ms = clock_mono_ms();
		j->gave_back = !more;
	} else if (clock_mono_ms() - j->busy_ms > QUIET_MS) {
		err = store_shrink(j->store, &more, &e);
		if (!more)
			j->busy_ms = clock_mono_ms();
	}
	return journal_survives(j, err, &e) && more;
}

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

static int wait_ms(const struct journal *j)
{
	int64_t wait = IDLE_MS;

	if (j->gathered_count > 0)
		wait = sooner(wait, journal_group_window_ms(j));
	if (j->held_count > 0)
		wait = sooner(wait, journal_group_held_ms(j));
	if (j->waiting_count > 0 || j->growing)
		wait = sooner(wait, j->waiting_retry_ms - clock_mono_ms());
	if (j->next_retry_ms > 0 && j->room_rows > 0)
		wait = sooner(wait, j->next_retry_ms - store_clock_ms(j->store));
	wait = sooner(wait, note_in_ms(j));
	if (j->published_ms <= j->moved_ms) /* there is something to tell */
		wait = sooner(wait, PUBLISH_MS);
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

static void tell_companion(const struct journal *j, const char *suffix)
{
	AUTOFREE char *path = mem_format("%s%s", j->options.store.path, suffix);

	if (j->options.on_companion)
		j->options.on_companion(path);
}

static void look_at_companions(struct journal *j)
{
	const char *suffix;

	while ((suffix = store_take_companion(j->store)))
		tell_companion(j, suffix);
	journal_tell_flight(j);
	if (flight_look(&j->flight))
		tell_companion(j, ".flight");
}

static void look_at_files(struct journal *j)
{
	if (clock_mono_ms() - j->watched_ms < WATCH_MS)
		return;
	j->watched_ms = clock_mono_ms();
	journal_watch(j, store_watch);
	if (!atomic_load(&j->published.lost))
		look_at_companions(j);
}

/* One round; true when something was done and there may be more. */
static bool do_round(struct journal *j)
{
	bool moved;

	look_at_files(j);
	moved = journal_group_commit(j);

	if ((j->waiting_count > 0 || j->growing) && clock_mono_ms() >= j->waiting_retry_ms)
		moved |= journal_group_drain(j);
	moved |= do_questions(j);
	moved |= journal_rows_feed(j);
	if (j->looking == LOOKING_FOR_SALVAGE && j->late_count > 0) /* settlements wait for it: not only when idle */
		moved |= do_salvage(j);
	do_mend(j);
	journal_tell_flight(j);
	do_note(j);
	do_merge(j);
	do_checkpoint(j);
	do_probe(j);
	take_settings(j);
	if (moved) {
		j->busy_ms = j->moved_ms = clock_mono_ms();
		j->gave_back = false;
	}
	return moved;
}

static void finish(struct journal *j)
{
	journal_enter(j, JOURNAL_DRAINING);
	do
		while (journal_group_commit(j) || do_questions(j))
			continue;
	while (journal_group_drain(j)); /* what waited held back what came after it */
	journal_publish(j, true);
	j->stop_result = store_close(j->store, &j->stop_error);
	j->store = NULL;
	if (j->stop_result == ERR_DISK && !atomic_load(&j->published.lost))
		journal_condemn(j, &j->stop_error);
	if (j->stop_result == ERR_OK)
		j->stop_result = journal_unwritten(j, &j->stop_error);
	journal_enter(j, JOURNAL_CLOSED);
}

void *journal_thread_run(void *arg)
{
	struct journal *j = arg;

	j->began_ms = j->busy_ms = j->moved_ms = clock_mono_ms();
	while (!atomic_load(&j->stopping)) {
		bool moved, more;

		atomic_store(&j->round_began_ns, clock_mono_ns());
		moved = do_round(j);
		more = do_give_room(j) || (!moved && (j->merge_more || do_idle_work(j)));
		journal_publish(j, false);
		atomic_store(&j->round_began_ns, 0);
		if (!moved)
			sleep_until_something(j, more);
	}
	finish(j);
	return NULL;
}
