/*
 * lanes: what waits by partition key, so that a key's messages keep their order, or go together.
 *
 * What it is: a lane for each key that has something here: its records in ascending ids, the ids of its rows that wait
 * on disk, and how many of its records are elsewhere in the dispatcher. A lane whose turn it is gives its next records
 * (lanes_next, lanes_take). The newest LANES_RESTING that have nothing are kept for what they know of the past. In
 * order a lane has its turn only when nothing of it is elsewhere, and never past a row of it that waits on disk.
 * Promises: 6 (a lane lives while it has something, and `cost` says what all take), 12 (a key that waits delays
 * itself). Owner: dispatch; a lane owns its records. Thread: delivery. Fails: never. Does not: make aggregates
 * (unit.h), send, settle, read the clock.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_LANES_H
#define KSPOOL_DELIVERY_QUEUES_LANES_H

#include "delivery/queues/parked.h"
#include "delivery/queues/record.h"

enum { LANES_RESTING = 4096 };

struct lanes_rules {
	bool is_on; /* else nothing comes here */
	bool is_ordered;
	bool is_total;         /* one lane for all keys */
	uint32_t records;      /* in order: most that may be elsewhere at once, each by itself */
	bool aggregates;       /* records of a lane wait until they fill an aggregate, or for period_ns */
	uint64_t target_bytes; /* of an aggregate with its key */
	int64_t period_ns;
};

/* Where the newest stored record of a lane stands. */
struct lane_mark {
	char *text; /* shard, NUL, sequence number; null: nothing was stored yet */
};

struct lane {
	TAILQ_ENTRY(lane) turn;
	TAILQ_ENTRY(lane) behind; /* with rows on disk */
	struct lane *next;        /* of the same place in the table */
	enum lane_place { LANE_IDLE, LANE_FILLS, LANE_RIPE, LANE_RESTS } place;
	struct record_queue queue;
	uint32_t count;
	uint32_t out;           /* its records elsewhere */
	uint32_t in_requests;   /* of these: under way */
	uint64_t failed_in;     /* the answer in which one of them failed */
	uint64_t bytes;         /* what its records take in an aggregate */
	uint64_t cost;          /* memory of what is queued */
	int64_t due_ns;         /* while it fills */
	uint64_t newest_stored; /* id */
	uint64_t newest_hash;   /* ready_hash of the record that came last */
	uint64_t plain_to;      /* records up to this id go in no aggregate */
	uint64_t single_to;     /* in order: and up to this id one at a time */
	struct parked away;     /* rows on disk */
	struct parked asked;    /* on their way back */
	uint64_t before_id;     /* the smallest of both: records from it on wait */
	struct lane_mark mark;
	uint32_t hash;
	uint32_t key_bytes;
	char key[];
};

TAILQ_HEAD(lane_turns, lane);

struct lanes {
	struct lanes_rules rules;
	struct lane **table;
	size_t places, count;
	uint64_t seed;
	struct lane_turns ripe, filling; /* by arrival; by due_ns */
	struct lane_turns resting;       /* have nothing; the newest last */
	size_t resting_count;
	struct lane_turns behind;
	uint32_t records;    /* in all queues */
	uint64_t away_bytes; /* what ids of rows on disk take */
	uint64_t cost;       /* bytes of the lanes themselves */
};

void lanes_init(struct lanes *all, const struct lanes_rules *rules);
/* The lane of the record's key, or null. */
struct lane *lanes_find(const struct lanes *all, const struct record *r);
/* Made when there is none; something must be put into it. */
struct lane *lanes_of(struct lanes *all, const struct record *r);
/* Into its queue, by id; it is the lane's. A record that comes back from elsewhere too: it is not `out` any more. */
void lanes_put(struct lanes *all, struct lane *l, struct record *r, bool is_back);
/* One that comes back, and goes with no other of its key. */
void lanes_put_by_itself(struct lanes *all, struct lane *l, struct record *r);
/* One of its records ended elsewhere. The lane may be gone then. */
void lanes_left(struct lanes *all, struct lane *l);
/* The newest of the queue; null when it is empty. */
struct record *lanes_take_newest(struct lanes *all, struct lane *l);

/* The lane whose turn it is; null: none. force: one that still fills is as good. */
struct lane *lanes_next(const struct lanes *all, int64_t now_ns, bool force);
/*
 * Takes its next records, which are elsewhere then: one, or with aggregates as many as `most_bytes` have room for, up
 * to `most`. All of one key and hash key. Returns how many: 1 at least.
 */
uint32_t lanes_take(struct lanes *all, struct lane *l, uint64_t most_bytes, struct record **ret, uint32_t most);
/* No lane fills for longer from now on. */
void lanes_hasten(struct lanes *all, int64_t period_ns, int64_t now_ns);
/* When the next lane is ripe; INT64_MAX: none waits for time. */
int64_t lanes_due_ns(const struct lanes *all);

/* A row of it goes to disk. */
void lanes_add_away(struct lanes *all, struct lane *l, uint64_t id);
/* It is back. False: it was not away. */
bool lanes_remove_away(struct lanes *all, struct lane *l, uint64_t id);
/* The smallest `most` ids are asked back now. Puts them to ret; returns how many. */
size_t lanes_ask(struct lanes *all, struct lane *l, uint64_t *ret, size_t most);
/* The smallest `most` ids wait elsewhere from now on. Puts them to ret; returns how many. */
size_t lanes_give_away(struct lanes *all, struct lane *l, uint64_t *ret, size_t most);
/* What was asked back does not come. The lane may be gone then. False: it is not this lane's. */
bool lanes_lose_asked(struct lanes *all, struct lane *l, uint64_t id);

/* Has rows on disk, or on their way back. */
static inline bool lane_is_behind(const struct lane *l) { return l->before_id != UINT64_MAX; }
/* A record of the lane was stored there: false when that is before the newest one of the same shard. */
bool lanes_mark(struct lane *l, const char *shard, const char *sequence);
/* Frees the records. */
void lanes_fini(struct lanes *all);

#endif
