/*
 * The sides of the journal that other threads call.
 *
 * Invariants:
 * 1. Nothing here touches the store: what another thread wants goes through a lane, what it may know is in `published`.
 * 2. An offer or a group of settlements that a lane took is the journal's; one that it did not take is still the
 *    caller's.
 */
#include "journal/journal_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

enum { DEFAULT_COMMIT_ROWS = 4096, TAKE_AT_ONCE = 64, LEAVING_MS = 1000 };
static const uint64_t default_commit_bytes = 2 << 20;

static void wake(const struct journal *j)
{
	const uint64_t one = 1;

	must(write(j->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static int watch(const int *fds, size_t count)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	must(epoll >= 0);
	for (size_t i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN};

		must(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
	}
	return epoll;
}

static void open_lanes(struct journal *j)
{
	j->offers = lane_open(LANE_OFFERS);
	j->offers_done = lane_open(LANE_OFFERS);
	j->questions = lane_open(LANE_QUESTIONS);
	j->questions_done = lane_open(LANE_QUESTIONS);
	j->settlements = lane_open(LANE_SETTLEMENTS);
	j->rows = lane_open(LANE_ROWS);
	j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(j->wake_fd >= 0);
	j->intake_fd = watch((int[]){lane_fd(j->offers_done), lane_fd(j->questions_done)}, 2);
	j->delivery_fd = watch((int[]){lane_fd(j->rows), lane_room_fd(j->settlements)}, 2);
}

static void drain_rows(struct journal *j)
{
	struct journal_rows rows;

	while (journal_take_rows(j, &rows))
		message_list_free(&rows.messages);
}

static void drain_settlements(struct journal *j)
{
	void *item;

	while (lane_take(j->settlements, &item, 1) == 1)
		store_settlements_free(item);
	for (size_t i = 0; i < j->held_count; i++)
		store_settlements_free(j->held[i]);
	for (size_t i = 0; i < j->waiting_count; i++)
		store_settlements_free(j->waiting[i]);
	store_settlements_free(j->growing);
	for (size_t i = 0; i < j->late_count; i++)
		store_settlements_free(j->late[i]);
	free(j->late);
}

static void journal_free(struct journal *j)
{
	drain_rows(j);
	drain_settlements(j);
	if (j->blocked) {
		message_list_free(&j->blocked->messages);
		free(j->blocked);
	}
	(void)close(j->intake_fd);
	(void)close(j->delivery_fd);
	(void)close(j->wake_fd);
	lane_close(j->offers);
	lane_close(j->offers_done);
	lane_close(j->questions);
	lane_close(j->questions_done);
	lane_close(j->settlements);
	lane_close(j->rows);
	flight_close(&j->flight);
	claims_fini(&j->claims);
	ranges_fini(&j->returned);
	ranges_fini(&j->asked);
	ranges_fini(&j->gone);
	free(atomic_load(&j->reconfigure));
	free(j);
}

/* What the last run had in flight is sent again by the next: counted before it is. Returns how many. */
static uint64_t open_flight(struct flight *f, const struct store *s, const char *path,
                            const struct store_report *report)
{
	const uint64_t later = report->waited > report->salvaged_rows ? report->waited - report->salvaged_rows : 0;
	struct flight_start start = {.path = path,
	                             .possible = store_possible_duplicates(s),
	                             .handed = store_handed(s),
	                             .pending = store_ledger(s)->pending + later,
	                             .state = store_moves(s),
	                             .unclean = report->unclean,
	                             .is_anew = report->created || report->quarantined || report->is_older ||
	                                        report->is_fresh};

	store_identity(s, start.spool);
	return flight_open(f, &start);
}

/* What is sent again, or was, is on the disk as such before anything is sent: the file may be gone at the next start. A
 * full disk must not refuse a start: the file says it then. */
static enum err keep_possible(struct store *s, const struct flight *f, struct error *e)
{
	const uint64_t possible = atomic_load(&f->possible);
	const enum err err = possible > store_possible_duplicates(s) ? store_put_possible(s, possible, e) : ERR_OK;

	return err == ERR_FULL ? ERR_OK : err;
}

enum err journal_count_flight(struct store *s, const char *path, struct store_report *report, struct error *e)
{
	struct flight f = {.fd = -1};
	enum err err;

	(void)open_flight(&f, s, path, report);
	report->flight_is_anothers = f.was_anothers;
	report->flight_is_damaged = f.was_damaged;
	store_note_flight(s, atomic_load(&f.possible), 0);
	err = keep_possible(s, &f, e);
	flight_close(&f);
	return err;
}

static void wake_for_doubt(void *arg) { wake(arg); }

static enum err count_flight(struct journal *j, struct store_report *report, struct error *e)
{
	report->in_flight = open_flight(&j->flight, j->store, j->options.store.path, report);
	report->flight_is_anothers = j->flight.was_anothers;
	report->flight_is_damaged = j->flight.was_damaged;
	metric_add(M_POSSIBLE_DUPLICATES, atomic_load(&j->flight.possible));
	j->flight.on_stale = j->on_condemned;
	j->flight.on_doubt = wake_for_doubt;
	j->flight.arg = j;
	return atomic_load(&j->flight.is_stale) ? flight_stale(&j->flight, e) : keep_possible(j->store, &j->flight, e);
}

struct flight *journal_flight(struct journal *j) { return &j->flight; }

/* A system that has no thread for us may have one later. */
static enum err start_thread(struct journal *j, struct journal **ret, struct error *e)
{
	struct error ignored;
	int code = pthread_create(&j->thread, NULL, journal_thread_run, j);

	if (code != 0) {
		(void)store_close(j->store, &ignored);
		journal_free(j);
		return error_set(e, ERR_SYSTEM, "cannot start the journal's thread: %s", strerror(code));
	}
	(void)pthread_setname_np(j->thread, "journal");
	*ret = j;
	return ERR_OK;
}

enum err journal_start(const struct journal_options *options, void (*on_condemned)(const struct error *reason),
                       struct journal **ret, struct store_report *ret_report, struct error *e)
{
	struct store_report report;
	struct store *store = NULL;
	struct journal *j;
	enum err err = store_open(&options->store, &store, &report, e);

	if (err != ERR_OK) {
		if (ret_report)
			*ret_report = report;
		return err;
	}
	j = mem_zero(sizeof *j);
	j->options = *options;
	if (j->options.commit_max_rows == 0)
		j->options.commit_max_rows = DEFAULT_COMMIT_ROWS;
	if (j->options.commit_max_bytes == 0)
		j->options.commit_max_bytes = default_commit_bytes;
	j->on_condemned = on_condemned;
	j->store = store;
	STAILQ_INIT(&j->gathered);
	j->looking = LOOKING_FOR_SALVAGE; /* perhaps: the first step finds out */
	store_set_claims(store, journal_rows_is_claimed, j);
	err = count_flight(j, &report, e);
	if (ret_report)
		*ret_report = report;
	open_lanes(j);
	if (err != ERR_OK) {
		store_abandon(store);
		journal_free(j);
		return err;
	}
	journal_publish(j, true);
	return start_thread(j, ret, e);
}

bool journal_offer(struct journal *j, struct offer *offer)
{
	if (atomic_load(&j->offers_out) >= LANE_OFFERS)
		return false; /* answers are on their way: the descriptor wakes the caller */
	offer->offered_ns = clock_mono_ns();
	atomic_fetch_add(&j->offers_out, 1);
	must(lane_put(j->offers, offer));
	return true;
}

int journal_intake_fd(const struct journal *j) { return j->intake_fd; }

size_t journal_intake_run(struct journal *j)
{
	void *items[TAKE_AT_ONCE];
	size_t total = 0, n;

	while ((n = lane_take(j->offers_done, items, TAKE_AT_ONCE)) > 0) {
		atomic_fetch_sub(&j->offers_out, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			struct offer *offer = items[i];

			offer->done(offer, offer->arg);
		}
		total += n;
	}
	while ((n = lane_take(j->questions_done, items, TAKE_AT_ONCE)) > 0) {
		atomic_fetch_sub(&j->questions_out, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			struct journal_question *q = items[i];

			q->done(q);
		}
		total += n;
	}
	return total;
}

bool journal_companion_trouble(const struct journal *j, struct error *e)
{
	const struct {
		const char *suffix, *costs;
		int trouble;
	} companions[] = {
	    {".tide", "a database that is lost would take its counts with it", atomic_load(&j->published.tide_trouble)},
	    {".left", "what comes back with a damaged page could hide what is lost",
	     atomic_load(&j->published.left_trouble)},
	    {".flight", "what a crash sends twice would be counted by a wide bound",
	     atomic_load(&j->flight.trouble) ? atomic_load(&j->flight.trouble) : atomic_load(&j->flight.name_trouble)},
	};

	for (size_t i = 0; i < sizeof companions / sizeof *companions; i++)
		if (companions[i].trouble) {
			errno = companions[i].trouble;
			(void)error_set_errno(e, ERR_DISK, "%s%s cannot be written, and %s", j->options.store.path,
			                      companions[i].suffix, companions[i].costs);
			return true;
		}
	return false;
}

bool journal_is_lost(const struct journal *j, struct error *e)
{
	if (!atomic_load(&j->published.lost))
		return false;
	*e = j->published.lost_why;
	return true;
}

/* So long a disk has nothing made durable, and nobody is answered. */
static const int64_t SILENT_NS = 10 * NS_PER_S;

enum err journal_admission(const struct journal *j, struct error *e)
{
	enum err err = (enum err)atomic_load(&j->published.full);
	const int64_t began_ns = atomic_load(&j->round_began_ns), silent_ns = began_ns ? clock_mono_ns() - began_ns : 0;

	if (journal_is_lost(j, e))
		return e->code;
	if (err == ERR_OK && silent_ns > SILENT_NS)
		return error_set(e, ERR_TIMEOUT,
		                 "the disk of %s is slow or does not answer: nothing was made durable for %" PRId64
		                 " s",
		                 j->options.store.path, silent_ns / NS_PER_S);
	if (err != ERR_FULL)
		return err == ERR_OK ? ERR_OK : error_set(e, err, "%s", error_sentence(err));
	if (atomic_load(&j->published.refused))
		return error_set(e, ERR_FULL,
		                 "the file system of %s refuses what is written (no space, or a quota), %" PRIu64
		                 " bytes are free; make room, it is tried again",
		                 j->options.store.path, atomic_load(&j->published.free_bytes));
	return error_set(e, ERR_FULL,
	                 "the spool is full: %" PRIu64 " bytes wait (max_bytes %" PRIu64 "), %" PRIu64
	                 " bytes are free on its file system",
	                 atomic_load(&j->published.pending_bytes), atomic_load(&j->published.max_bytes),
	                 atomic_load(&j->published.free_bytes));
}

void journal_credit(struct journal *j, uint32_t rows, uint64_t bytes)
{
	atomic_fetch_add(&j->credit_rows, rows);
	atomic_fetch_add(&j->credit_bytes, bytes);
	wake(j);
}

bool journal_settle(struct journal *j, struct store_settlements *group)
{
	lane_room_ack(j->settlements);
	return lane_put(j->settlements, group);
}

int journal_delivery_fd(const struct journal *j) { return j->delivery_fd; }

bool journal_take_rows(struct journal *j, struct journal_rows *ret)
{
	void *item;
	struct journal_rows *rows;

	lane_room_ack(j->settlements);
	if (lane_take(j->rows, &item, 1) == 0)
		return false;
	rows = item;
	ret->count = rows->count;
	ret->bytes = rows->bytes;
	ret->gone_count = rows->gone_count;
	memcpy(ret->gone, rows->gone, sizeof ret->gone);
	STAILQ_INIT(&ret->messages);
	STAILQ_CONCAT(&ret->messages, &rows->messages);
	free(rows);
	return true;
}

bool journal_is_empty(struct journal *j)
{
	if (atomic_load(&j->offers_out) == 0 && atomic_load(&j->published.pending) == 0)
		return true;
	if (atomic_load(&j->published.held) > 0) { /* who asks, waits for it */
		atomic_store(&j->hurry, true);
		wake(j);
	}
	return false;
}

bool journal_is_far_ahead(const struct journal *j, uint64_t bytes)
{
	return atomic_load(&j->published.ahead_bytes) > bytes &&
	       clock_mono_ms() - atomic_load(&j->published.settled_ms) < LEAVING_MS;
}

void journal_reconfigure(struct journal *j, const struct store_options *options)
{
	struct store_options *new = mem_alloc(sizeof *new);

	*new = *options;
	free(atomic_exchange(&j->reconfigure, new));
	wake(j);
}

enum err journal_stop(struct journal *j, struct error *e)
{
	enum err err;

	if (!j)
		return ERR_OK;
	atomic_store(&j->stopping, true);
	wake(j);
	must(pthread_join(j->thread, NULL) == 0);
	(void)journal_intake_run(j);
	err = j->stop_result;
	if (err != ERR_OK && e)
		*e = j->stop_error;
	journal_free(j);
	return err;
}
