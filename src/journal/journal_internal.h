/*
 * journal_internal: what the files of the journal share.
 *
 * What it is: the journal's state. journal.c and journal_questions.c are the other threads' side; journal_thread.c
 * turns the wheel over journal_group.c (commits) and journal_rows.c (rows to delivery and back); journal_publish.c
 * tells others, journal_trouble.c decides what an error means. Promises: 1, 3, 5, 8, 9, by these invariants:
 *  1. Only the journal's thread touches `store` and what stands below it here; others reach lanes and atomics.
 *  2. Offers and questions in flight are counted at the door and never exceed their lanes' capacity: answering never
 *     finds a lane full.
 *  3. Each settlement taken is in `held`, in the group being made, in `waiting` or in `late`, until its commit.
 * Owner: what is in a lane belongs to the lane; `blocked`, `held`, `waiting` and `late` own what they hold.
 * Thread: the journal's, but for lanes, descriptors and atomics.
 * Fails: journal_survives decides; a disk error does not return.
 * Does not: appear outside this folder; tests/rig uses it to run code on the journal's thread.
 */
#ifndef KSPOOL_JOURNAL_JOURNAL_INTERNAL_H
#define KSPOOL_JOURNAL_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/lane.h"
#include "journal/claims.h"
#include "journal/flight.h"
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
	MEMORY_FAILURES_MAX = 3,
	ROWS_PER_GROUP = 1024, /* of one journal_rows */
	WAITING_ROWS = 4096, /* behind by so many, or nothing settled for so long: what comes will wait, stored small */
	WAITING_MS = 2000,
	PUBLISH_MS = 100, /* what costs system calls is told this often */
	HELD_GROUPS = 64, /* settlements are held until one of these four is reached: */
	HELD_ROWS = 4096,
	HELD_COMMITS = 8,
	HELD_MS = 100,
};
#define BYTES_PER_GROUP (UINT64_C(2) << 20)

/* What other threads may read without asking. */
struct published {
	_Atomic uint64_t pending;
	_Atomic int full; /* enum err: ERR_OK, ERR_FULL, ERR_DISK */
	_Atomic uint64_t pending_bytes;
	_Atomic uint64_t ahead_bytes; /* of pending_bytes, what delivery was not given yet */
	_Atomic uint64_t max_bytes;
	_Atomic uint64_t free_bytes;
	_Atomic int64_t settled_ms; /* monotonic: when rows last left */
	_Atomic uint32_t held;      /* settled rows whose commit is not yet made */
	_Atomic int tide_trouble;   /* errno of writing PATH.tide */
	_Atomic int left_trouble;   /* likewise PATH.left */
	_Atomic bool refused;       /* full is: the disk takes no writes, whatever it says is free */
	_Atomic bool lost;          /* the files are gone or another's, once and for all */
	struct error lost_why;      /* written before `lost` */
};

/* journal_enter has the table of moves. */
enum journal_phase { JOURNAL_RUNNING, JOURNAL_DRAINING, JOURNAL_CLOSED, JOURNAL_CONDEMNED };

/* What reading may still find; journal_look has the table of moves. */
enum journal_looking {
	LOOKING_FOR_SALVAGE, /* files that were set aside may hold rows: idle moments bring them back */
	LOOKING_FOR_ROWS,
	LOOKING_FOR_NOTHING, /* all is read and counted, and nothing happened since */
};

/* A question in its lane, from the intake thread and back; journal_questions.h has the verbs. */
struct journal_question {
	void (*run)(struct store *store, struct journal_question *q); /* journal thread */
	void (*done)(struct journal_question *q);                     /* intake thread; frees q */
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
	_Atomic bool hurry;             /* somebody waits until all is settled: nothing is held */
	_Atomic int64_t round_began_ns; /* monotonic; 0: the thread waits for something to do */
	struct published published;
	_Atomic(struct store_options *)
	    reconfigure; /* newest settings on their way in; whoever swaps it out frees it */

	/* the journal thread's own */
	enum journal_phase phase;
	enum journal_looking looking;
	struct store *store;
	uint64_t commits; /* begun, and tried again: what fates of origins are good for */
	/* Offers of the next commit, while commit_window lets them wait for company. */
	struct offer_list gathered;
	uint32_t gathered_count, gathered_rows;
	uint64_t gathered_bytes;
	struct flight flight;
	uint64_t settled_records;       /* by commits that PATH.flight does not know of yet */
	uint64_t flight_state;          /* as it knows it */
	int64_t noted_ms, note_wait_ms; /* monotonic; journal_thread.c */
	struct claims claims;
	struct ranges returned;        /* ids up to the cursor that salvage brought back: read again */
	struct ranges asked;           /* fetched, and not answered yet */
	struct ranges gone;            /* answer: gone */
	uint64_t cursor;               /* journal_rows.c says what it means */
	struct journal_rows *blocked;  /* rows that found their lane full */
	int64_t room_rows, room_bytes; /* credit not used yet; bytes may be overdrawn by one row */
	uint64_t away;                 /* ids released and not asked for again */
	int64_t claimed_bytes;         /* cost of what delivery has, and of what it gave back and is held */
	/* settlements that wait for the next commit they can ride on; journal_group.c says for how long */
	struct store_settlements *held[HELD_GROUPS];
	size_t held_count;
	uint32_t held_rows;
	int64_t held_bytes; /* cost of these rows */
	int64_t held_since_ms;
	uint64_t held_at_commit; /* `commits` when the first of them came */
	bool held_is_urgent;     /* one of them says more than that a row may go */
	/* settlements a full disk keeps waiting; none is lost, at worst it is delivered again after a restart */
	struct store_settlements *waiting[LANE_SETTLEMENTS];
	size_t waiting_count;
	size_t waiting_done;               /* items of waiting[0] that are settled */
	struct store_settlements *growing; /* of these, behind the others: what takes room; null: nothing */
	int64_t waiting_retry_ms;
	/* What delivery settled of a file that was set aside: its rows may still come back, and leave when they did. */
	struct store_settlements **late;
	size_t late_count, late_capacity;
	uint64_t unknown_settlements;
	int64_t next_retry_ms; /* own time of the spool */
	bool next_retry_known;
	int64_t published_ms;
	int64_t watched_ms;
	int64_t began_ms;
	int64_t busy_ms;     /* the last time something moved, or the file was looked at and is small */
	int64_t moved_ms;    /* the last time something moved */
	bool merge_more;     /* small blocks, or rows of the first schema, are there to be joined */
	int64_t unmended_ms; /* the last time that mending failed; 0: it did not */
	int64_t gave_ms;     /* the last time that it was done */
	bool gave_back;      /* since then the disk got back what is not in use */
	int memory_failures;
	struct error stop_error;
	enum err stop_result;
};

/* journal_thread.c */
void *journal_thread_run(void *arg);

/* journal_trouble.c */
/* The only way `phase` changes. */
void journal_enter(struct journal *j, enum journal_phase phase);
/* The only way `looking` changes. */
void journal_look(struct journal *j, enum journal_looking looking);
/* Something happened: there may be rows where there were none. */
void journal_look_again(struct journal *j);
/*
 * False when err is a failure that the journal lives with: a full disk, memory that may come back, or damage, which is
 * set aside here. Any other ends the process.
 */
bool journal_survives(struct journal *j, enum err err, const struct error *e);
/* Looks at the files, once they are lost no more: store_watch or store_watch_names. */
void journal_watch(struct journal *j, enum err (*watch)(struct store *s, bool *ret_lost, struct error *e));
/* ERR_NOSPACE: what left could not be written. When the journal ends. */
enum err journal_unwritten(struct journal *j, struct error *e) MUST_CHECK;
/* Ends the process: the disk, or what cannot be decided otherwise. */
_Noreturn void journal_condemn(struct journal *j, const struct error *e);

/* journal_publish.c */
void journal_publish(struct journal *j, bool force);
/* Without what costs a look at the files: after each commit, before its offers are answered. */
void journal_publish_now(struct journal *j);

/* journal_rows.c */
/* After a commit. */
void journal_tell_flight(struct journal *j);

/* journal_group.c */
/* For the next commit: what may be doubled, and what delivery may have. */
void journal_note_flight(struct journal *j);
/* Commits what waits as one, answers it and hands it on. False: nothing waited. */
bool journal_group_commit(struct journal *j);
/* How long the offers gathered may still wait; -1: none is. */
int journal_group_window_ms(const struct journal *j);
/* How long the settlements held may still wait; -1: none is held. */
int journal_group_held_ms(const struct journal *j);
/* Commits what is held: whoever looks at the store next sees it. */
void journal_group_flush(struct journal *j);
/* Settlements that met a full disk, in steps a full disk can take. True when some moved. */
bool journal_group_drain(struct journal *j);
/* Reading back waits for room: what was settled meanwhile and is back already leaves. */
void journal_group_settle_back(struct journal *j);
/* Takes a group over until what was set aside is read back. */
void journal_defer(struct journal *j, struct store_settlements *group);

/* journal_questions.c */
/* False when too many are on their way. */
bool journal_ask(struct journal *j, struct journal_question *q) MUST_CHECK;

/* journal_keys.c */
/* What is remembered takes so many bytes of the disk, at most; keys that messages share count once where these are
 * neighbours. */
uint64_t journal_keys_room(const struct journal *j, const struct message_list *list);
/* Filters what is known from an offer and remembers the keys of the rest, in the open transaction. */
enum err journal_keys_filter(struct journal *j, struct offer *offer, struct error *e) MUST_CHECK;
void journal_keys_release(struct offer *offer);

/* journal_rows.c */
/* Looks up what delivery gives back, drops what it never had or gave back before. */
void journal_rows_claim_back(struct journal *j, struct store_settlements *group);
/* After the commit of such items. */
void journal_rows_settled(struct journal *j, const struct store_settlement *items, size_t count);
/* Just committed: hands them on as far as credit goes when they are next in line, frees the rest. */
void journal_rows_pass_on(struct journal *j, struct message_list *list);
/* Reads and hands over as far as credit and the lane go. True when something was handed over. */
bool journal_rows_feed(struct journal *j);
bool journal_rows_is_claimed(void *arg, uint64_t id);

#endif
