/*
 * intake: what all doors share: the memory bound, and groups of messages on their way to the journal.
 *
 * What it is: a group is one offer. A door makes it, adds messages, and sends it; processors run then, on the worker.
 * While the journal's lane is full the group is kept here, in order. Its answer reaches the door through `answered`,
 * and the group is gone afterwards. intake_room.c says whether doors may read, intake_group.c makes groups,
 * intake_worker.c has the thread on which intake_processors.c runs processors over them, intake.c sends them.
 * Promises: 1 (the answer is the journal's), 6 (what doors hold is charged, and doors read only while there is room).
 * 11 (processors hold the worker alone). Owner: doors.c; a group sent belongs to the intake until its answer.
 * Thread: intake, but for processors_run.
 * Fails: at open, when processors do not compile; a group's failure is its verdict.
 * Does not: cut bytes into messages, or know peers.
 */
#ifndef KSPOOL_DOORS_INTAKE_H
#define KSPOOL_DOORS_INTAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/error.h"
#include "config/config.h"
#include "journal/journal.h"
#include "pipeline/pipeline.h"
#include "value/arena.h"

struct event;
struct event_base;
struct group;
struct httpd;
struct until;
struct worker;

TAILQ_HEAD(group_list, group);

/* How long a request may wait for a rate_limit before it is refused. */
enum { LIMIT_WAIT_MS = 2000 };

/* Until when a rate_limit wants nothing more of those who pass it. */
struct limit_hold {
	SLIST_ENTRY(limit_hold) link;
	const struct pipeline *of; /* they have these processors */
	int64_t until_ns;          /* monotonic */
};

SLIST_HEAD(hold_list, limit_hold);

/* What re_match looks for: compiled once, for all streams of an input. */
struct intake_pattern {
	SLIST_ENTRY(intake_pattern) link;
	const struct config_scanner *of;
	struct arena arena;
	struct regex *regex;
};

struct intake {
	struct event_base *base;
	const struct config *config;
	struct journal *journal;
	struct httpd *shared_http; /* for http_server inputs without an address; may be null */
	bool small_waits;          /* for memory: intake_has_room_for_small */
	uint64_t memory_limit_bytes;
	uint64_t memory_bytes;
	uint64_t max_message_bytes;
	uint32_t outstanding;   /* groups sent and not answered */
	struct group_list kept; /* the lane was full */
	bool waits;             /* some input is endless: what is not there yet is waited for */
	bool has_peers;         /* some input's source cannot wait, or is not ours to keep waiting */
	bool stopping;
	struct until *untils;    /* of the configuration, in its order */
	struct worker *worker;   /* null until a group has processors */
	struct pipeline *common; /* of pipeline.processors; null when none */
	struct hold_list holds;  /* one for each list of processors that ever asked for one */
	SLIST_HEAD(, intake_pattern) patterns;
	struct event *hold;     /* the first of them runs out */
	struct event *shed;     /* pending while a small one waits for memory that unfinished messages hold */
	const void *large;      /* who has intake_may_be_large; null: nobody */
	const void *large_next; /* who asked for it meanwhile, and is the next */
	int64_t large_ns;       /* monotonic: since when */
	void (*on_room)(void *arg);
	void *arg;
};

/* Where a group is: until GROUP_OFFERED nothing of it can be stored. */
enum group_place { GROUP_BUILT, GROUP_WAITING, GROUP_WORKED, GROUP_KEPT, GROUP_OFFERED };

typedef void group_answered(struct group *g, void *door);

struct group {
	struct offer offer; /* the answer is in offer.verdict and offer.error */
	TAILQ_ENTRY(group) link;
	struct intake *intake;
	struct pipeline *own;     /* processors of the input; null when none */
	struct message_list todo; /* while it is worked: those that processors have not seen */
	bool is_begun;            /* its messages are there, or done */
	bool one_batch;           /* a request: processors see it as one batch; else each message is its own */
	int64_t used_ns;          /* of a request: what the worker took for it so far */
	int64_t made_bytes;       /* by which processors made it larger */
	int64_t fresh_bytes;      /* of them, those that are not charged yet */
	int64_t room_bytes;       /* of the doors, for what is fresh: what is beyond comes from the budget */
	uint64_t taken_bytes;     /* from the budget */
	enum group_place place;
	bool is_cancelled;   /* while it was worked */
	bool was_starved;    /* its processors found no memory that others did not hold */
	uint64_t peer;       /* whose it is: the worker takes turns; 0: the house's own */
	int64_t hold_own_ns; /* what a rate_limit of its processors asked for: nothing more before */
	int64_t hold_common_ns;
	int64_t *taken_ns;   /* of a request: of the limits of its processors, and then of those in common */
	int64_t limited_ns;  /* its messages did not all pass: pipeline_limited_ns */
	bool comes_again;    /* the door offers it again when it is refused: no message is refused */
	uint32_t received;   /* messages the door added */
	struct until *until; /* of the input; null: none */
	bool is_checked;     /* by its check; then is_last is the answer */
	bool is_last;
	const struct bloblang_mapping *maker; /* makes them in place of the door: null when they came */
	uint32_t to_make;                     /* runs of it that are left */
	uint64_t most_made_bytes;             /* after which it runs no more; 0: however many */
	struct message_list made;             /* copies, until the answer: what was refused comes again as it was */
	uint32_t made_count;
	uint64_t copied_bytes; /* of them */
	char *make_error;      /* the maker's, which ended it; null: none */
	uint64_t charged_bytes;
	int64_t begun_ns;
	group_answered *answered; /* null: nobody waits any more */
	void *door;
};

enum err intake_open(struct intake *i, struct error *e) MUST_CHECK;
void intake_close(struct intake *i);
/* Null for a scanner that has none; it lives as long as the intake. */
const struct regex *intake_pattern(struct intake *i, const struct config_scanner *scanner);
void intake_free_patterns(struct intake *i);
void intake_room_open(struct intake *i);
void intake_room_close(struct intake *i);
void intake_charge(struct intake *i, uint64_t bytes);
void intake_release(struct intake *i, uint64_t bytes);
/* Room for more bytes from peers: memory is left and the lane takes offers. */
bool intake_has_room(struct intake *i);
/* The same for a peer that costs less than others (held_may_pass): an eighth more, and who costs most gives way. */
bool intake_has_room_for_small(struct intake *i);
/*
 * One at a time may hold more than its part: a message longer than others', or more though doors hold all they may
 * (each would wait for the others for ever). False: somebody else does; on_room is called when that may have changed.
 * Whoever has had it for seconds and did not come to an offer waits for its source, and loses it to the next.
 */
bool intake_may_be_large(struct intake *i, const void *who);
/* It has come to an offer, and keeps it until the answer. */
void intake_is_still_large(struct intake *i, const void *who);
void intake_is_not_large(struct intake *i, const void *who);
/* With what is whole already. */
static inline uint64_t intake_most_bytes(const struct intake *i) { return i->memory_limit_bytes / 2 * 3; }
/* What processors may make of the doors' messages before it is taken from the budget. */
int64_t intake_room_to_make(const struct intake *i);
/* Doors hold all they may. */
bool intake_is_full(const struct intake *i);
/* The lane takes offers. */
bool intake_takes(const struct intake *i);
/* Nothing more for these processors before this monotonic time; on_room is called then. */
void intake_hold(struct intake *i, const struct pipeline *of, int64_t until_ns);
/* How long nothing is taken yet that passes these processors and those in common; 0: it is. Accepts null. */
int64_t intake_held_ns(const struct intake *i, const struct pipeline *own);
/* The same for who is not to wait, with what to say. */
const char *intake_is_limited(const struct intake *i, const struct pipeline *own);
/* Stopping: nothing more is taken, and what is here does not wait for its turn. */
void intake_stop(struct intake *i);
/* Offers kept groups again, in order, and lets go on what a limit held. */
void intake_retry(struct intake *i);

/* Answers kept groups OFFER_CLOSED: the journal is gone. */
void intake_drop_kept(struct intake *i);

struct group *group_new(struct intake *i, struct pipeline *own, group_answered *answered, void *door);
void group_add(struct group *g, struct message *m);
/* To the shelf in the same commit. */
void group_set_aside(struct group *g, struct message *m, const char *reason);
void group_send(struct group *g);
/* Takes back a group that is not GROUP_OFFERED: nothing of it is stored, and nobody hears of it. */
void group_cancel(struct group *g);
/* Answers a group that is in no list: nothing of it is stored. */
void group_refuse(struct group *g, enum offer_verdict verdict, enum err code, const char *why);
/*
 * Before a message of so many bytes (message_cost) is made for the group: OFFER_ACCEPTED, OFFER_TOO_BIG when no room of
 * the doors would do for it, OFFER_FULL when it would if others held less.
 */
enum offer_verdict group_reserve(struct group *g, uint64_t bytes);
/* A number for a peer's name: "127.0.0.1:4000" and "127.0.0.1:4001" are one. */
uint64_t group_peer(const char *name);
/* Drops a group that was never sent. Accepts null. */
void group_free(struct group *g);

/* The processors of an input; *ret is null when there are none. Faults become one ERR_CONFIG. */
enum err processors_compile(const struct config_node *nodes, const struct config *config, const char *path,
                            struct pipeline **ret, struct error *e) MUST_CHECK;
/* Runs the processors of the group and of the whole configuration over its messages, for a slice of time when
 * none looks at those beside it. False: some are left. The worker's thread. */
bool processors_run(struct group *g, struct evaluator *ev) MUST_CHECK;

/* worked: is given each group back when all of it is done, on the intake thread; charge: one of which a part is. */
struct worker *worker_open(struct intake *i, void (*worked)(struct group *g), void (*charge)(struct group *g));
void worker_put(struct worker *w, struct group *g);
/* Those that were held may go on. Accepts null. */
void worker_go_on(struct worker *w);
/* A request that is held for longer than it is to wait, taken out; null: none is. */
struct group *worker_take_late(struct worker *w);
/* A group that waits. */
void worker_forget(struct worker *w, struct group *g);
/* How long it has been at one group, or slice of one; 0 for null. */
int64_t worker_work_ns(const struct worker *w);
/* Takes out what waits and what is worked, when that is done. Null when nothing is left; accepts null. */
struct group *worker_take_out(struct worker *w);
/* Accepts null. */
void worker_close(struct worker *w);

#endif
