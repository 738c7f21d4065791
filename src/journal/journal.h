/*
 * journal: the spool as the other threads see it.
 *
 * What it is: the thread that alone uses SQLite (one connection that both writes and checkpoints). Doors offer groups
 * of messages and hear `accepted` after their commit was synced; delivery gives credit, gets rows in order, and posts
 * settlements. Appends and settlements of one moment share one commit. journal_questions.h has what else may be asked.
 * Promises: 1, 3, 4, 5, 8, 9.
 * Owner: offers, rows and settlements change hands with the lane.
 * Thread: journal_offer on the intake thread, journal_credit and journal_settle on the delivery thread; each has a
 * descriptor to watch and a function to call when it is readable, which runs the callbacks on that same thread.
 * Fails: a disk error condemns the journal: nothing more is accepted, the process ends with status 74, starts clean.
 * Does not: decide what a delivery outcome means, log payloads, retry a sync.
 */
#ifndef KSPOOL_JOURNAL_JOURNAL_H
#define KSPOOL_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "message/message.h"
#include "store/store_open.h"
#include "store/store_settlement.h"

struct flight;
struct journal;

struct journal_options {
	struct store_options store;
	uint64_t commit_max_bytes; /* default 2 MiB: a commit is due when this much waits */
	uint32_t commit_max_rows;  /* default 4096 */
	int64_t commit_window_ns;  /* default 0: how long the first of a commit waits for company */
	int64_t
	    commit_max_wait_ns; /* default 2 ms: longest gathering while more keeps coming; nothing waits for nobody */
	/* Called on the journal's thread when damage met while running was set aside; null: nobody listens. */
	void (*on_lost)(
	    const struct error *why); /* likewise when the files were deleted or replaced: see store_watch */
	/* a companion of the database was deleted, replaced or overwritten, and is made anew; */
	void (*on_companion)(const char *path);
	/* rows beside the messages were not what was written, and what was done about it; */
	void (*on_mended)(const char *what);
	void (*on_damaged)(const struct error *why, const struct store_report *report);
};

/* What became of an offer. */
enum offer_verdict { OFFER_ACCEPTED, OFFER_FULL, OFFER_TOO_BIG, OFFER_FAILED, OFFER_CLOSED };

/*
 * A group of messages made durable as one (all or none), with the position of the source they came from.
 * `messages` may be empty: an offer may bring only a position, set-aside messages or a filtered count.
 * The door allocates it, fills the upper half and gives it away; it comes back through `done` on the intake thread,
 * with the messages already freed.
 */
struct offer {
	struct message_list messages;
	uint32_t count;
	uint64_t bytes; /* sum of message_cost */
	/* Stored on the set-aside shelf in the same commit, reason in `failure`: accepted and dead (a line too long).
	 */
	struct message_list set_aside;
	uint32_t set_aside_count;
	uint32_t filtered;  /* dropped by processors on the way in: counted accepted and filtered */
	uint32_t known;     /* of them, by the journal for their keys: those messages are gone */
	bool may_repeat;    /* its source was read before, nobody knows how far: possible duplicates */
	bool can_wait;      /* its source keeps what it has: the last of a nearly full spool is others' */
	char *position_key; /* null: no position. Owned by the offer until done. */
	char *position;
	void (*done)(struct offer *offer, void *arg); /* frees the offer */
	void *arg;
	/* the answer */
	enum offer_verdict verdict;
	struct error error; /* when not OFFER_ACCEPTED */
	uint64_t first_id;  /* rows first_id .. first_id + count - 1 */
	int64_t offered_ns; /* set by journal_offer, monotonic */
	STAILQ_ENTRY(offer) link;
};

STAILQ_HEAD(offer_list, offer);

/*
 * Opens the spool (everything of store_open) and starts the thread. On success *ret_report tells what was found.
 * on_condemned is called once, on the journal thread or where PATH.flight is written, when a disk error ends the run:
 * it must not return.
 */
enum err journal_start(const struct journal_options *options, void (*on_condemned)(const struct error *reason),
                       struct journal **ret, struct store_report *ret_report, struct error *e) MUST_CHECK;

/* Intake thread. False: the lane is full, keep the offer, stop reading, wait for journal_intake_fd. */
bool journal_offer(struct journal *j, struct offer *offer) MUST_CHECK;
/* Readable when answers wait or when a refused offer may be tried again. */
int journal_intake_fd(const struct journal *j);
/* Runs the done callbacks; returns how many. */
size_t journal_intake_run(struct journal *j);
/* Why nothing would be accepted just now (full, disk low, or silent for long); ERR_OK when it would. Any thread. */
enum err journal_admission(const struct journal *j, struct error *e);
/*
 * What a companion of the database should tell the next start, and cannot be written: the counts (PATH.tide), or what
 * is with the service (PATH.flight). False: all is well. Any thread.
 */
bool journal_companion_trouble(const struct journal *j, struct error *e) MUST_CHECK;
/* The files are gone or another's: never again will anything be accepted. What waits is sent still. Any thread. */
bool journal_is_lost(const struct journal *j, struct error *e) MUST_CHECK;

/* Delivery thread. */
enum { JOURNAL_GONE_MOST = 64 };
struct journal_rows {
	struct message_list messages; /* ascending ids, except retries that came due */
	uint32_t count;
	uint64_t bytes; /* sum of message_cost */
	/* Ids that were released and fetched (SETTLE_FETCH) and are not among these messages: evicted, set aside,
	 * damaged. Each fetch is answered once, by its message or here. */
	uint64_t gone[JOURNAL_GONE_MOST];
	uint32_t gone_count;
};
/*
 * Lets the journal hand over up to this much more: rows, and bytes as message_cost counts them. Rows handed over use
 * credit up; it comes back only by calling this again, as delivery settles and frees messages. The last row may pass
 * the byte limit.
 */
void journal_credit(struct journal *j, uint32_t rows, uint64_t bytes);
/* Takes ownership of the group (store_settlements_free on any thread). Lane full: false, wait for the fd. */
bool journal_settle(struct journal *j, struct store_settlements *group) MUST_CHECK;
/* Readable when rows wait or a refused put may be tried again. */
int journal_delivery_fd(const struct journal *j);
/* Takes one group of rows; false when none waits. */
bool journal_take_rows(struct journal *j, struct journal_rows *ret);
/* Counts what is with the service; delivery's thread tells it. */
struct flight *journal_flight(struct journal *j);
/* True when every accepted message is settled and no offer waits. Whoever asks is taken to wait for it. Any thread. */
bool journal_is_empty(struct journal *j);

/*
 * More than `bytes` wait that delivery was not given yet, while rows are leaving: a source that keeps its own data (a
 * file) gains nothing by being read further ahead, and loses the page cache of what is about to leave. What delivery
 * put back for a shard that takes nothing does not count, or the other shards would wait for it. False when nothing
 * leaves. Any thread.
 */
bool journal_is_far_ahead(const struct journal *j, uint64_t bytes);

/*
 * For a command that opened a stopped spool, before it changes anything: what the last run had in flight is counted, as
 * journal_start would, which could not tell any more once the spool has moved on.
 */
enum err journal_count_flight(struct store *s, const char *path, struct store_report *report,
                              struct error *e) MUST_CHECK;

/* What was set aside beside the spool at `path`: as asides_each. Any thread. */
enum err journal_each_aside(const char *path,
                            void (*each)(void *arg, const char *name, bool is_read, const char *words), void *arg,
                            struct error *e) MUST_CHECK;

/* Applies what SIGHUP may change (max_bytes, min_free, policy). Intake thread. */
void journal_reconfigure(struct journal *j, const struct store_options *options);

/*
 * Commits and answers what was offered, commits settlements already posted, checkpoints, closes, joins the thread.
 * The done callbacks of remaining offers run inside this call. Call after delivery stopped. Accepts null.
 */
enum err journal_stop(struct journal *j, struct error *e) MUST_CHECK;

#endif
