/*
 * journal_inner: what journal.c (the other threads' side) and journal_thread.c, journal_rows.c (its own) share.
 *
 * Lanes: offers, questions and settlements come in, answered offers, answered questions and rows go out. Offers and
 * questions in flight are counted at the door and never exceed the lanes' capacity, so answering never finds a lane
 * full. Credit comes as atomic sums with a wake-up.
 */
#ifndef KSPOOL_JOURNAL_JOURNAL_INTERNAL_H
#define KSPOOL_JOURNAL_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lane.h"
#include "journal/claims.h"
#include "journal/journal.h"
#include "store/store.h"
#include "store/store_damage.h"
#include "store/store_ledger.h"
#include "store/store_space.h"

enum {
	LANE_OFFERS = 1024,
	LANE_QUESTIONS = 64,
	LANE_SETTLEMENTS = 256,
	LANE_ROWS = 64,
	ROWS_PER_GROUP = 1024, /* of one journal_rows */
};
#define BYTES_PER_GROUP (UINT64_C(2) << 20)

/* What other threads may read without asking. */
struct published {
	_Atomic uint64_t pending;
	_Atomic int full; /* enum err: ERR_OK, ERR_FULL, ERR_DISK, ERR_CLOSED */
	_Atomic uint64_t pending_bytes;
	_Atomic uint64_t max_bytes;
	_Atomic uint64_t free_bytes;
	_Atomic int64_t settled_ms; /* monotonic: when rows last left */
};

struct journal {
	struct journal_options options;
	void (*on_condemned)(const struct error *reason);
	pthread_t thread;
	struct lane *offers, *offers_done;
	struct lane *questions, *questions_done;
	struct lane *settlements;
	struct lane *rows;
	int wake_fd;     /* credit came, settings changed, or stop */
	int intake_fd;   /* epoll over what the intake thread waits for */
	int delivery_fd; /* likewise delivery */
	_Atomic uint32_t offers_out;
	_Atomic uint32_t questions_out;
	_Atomic uint32_t credit_rows;
	_Atomic uint64_t credit_bytes;
	_Atomic bool stopping;
	struct published published;
	_Atomic(struct store_options *)
	    reconfigure; /* newest settings on their way in; whoever swaps it out frees it */

	/* the journal thread's own */
	struct store *store;
	uint64_t commits; /* begun, and tried again: what fates of origins are good for */
	struct claims claims;
	struct ranges released;
	uint64_t cursor;               /* every id up to here was read, is claimed, released, failed or gone */
	struct journal_rows *blocked;  /* rows that found their lane full */
	int64_t room_rows, room_bytes; /* credit not used yet; bytes may be overdrawn by one row */
	int64_t claimed_bytes;         /* cost of what delivery has */
	/* settlements a full disk keeps waiting; none is lost, at worst it is delivered again after a restart */
	struct store_settlements *waiting[LANE_SETTLEMENTS];
	size_t waiting_count;
	size_t waiting_done; /* items of waiting[0] that are settled */
	int64_t waiting_retry_ms;
	uint64_t unknown_settlements;
	int64_t next_retry_ms;
	bool next_retry_known;
	bool salvaging;
	bool exhausted; /* nothing pending was left to read at the last look */
	int64_t published_ms;
	int64_t busy_ms; /* the last time something moved */
	int memory_failures;
	struct error stop_error;
	enum err stop_result;
};

/* journal_thread.c */
void *journal_thread_run(void *arg);
/* Ends the process: the disk, or what cannot be decided otherwise. */
_Noreturn void journal_condemn(struct journal *j, const struct error *e);
/* Damage found while running: new files; *e is then read as handled. Condemns when even that fails. */
void journal_restart_damaged(struct journal *j);
void journal_publish(struct journal *j, bool force);

/* journal_keys.c */
/* Filters what is known from an offer and remembers the keys of the rest, in the open transaction. */
enum err journal_keys_filter(struct journal *j, struct offer *offer, struct error *e) MUST_CHECK;
void journal_keys_release(struct offer *offer);

/* journal_rows.c */
/* Looks up what delivery gives back, drops what it never had; moves claims. */
void journal_rows_claim_back(struct journal *j, struct store_settlements *group);
/* After the commit of such items. */
void journal_rows_settled(struct journal *j, const struct store_settlement *items, size_t count);
/* Just committed: hands them on as far as credit goes when they are next in line, frees the rest. */
void journal_rows_pass_on(struct journal *j, struct message_list *list);
/* Reads and hands over as far as credit and the lane go. True when something was handed over. */
bool journal_rows_feed(struct journal *j);
bool journal_rows_is_claimed(void *arg, uint64_t id);

#endif
