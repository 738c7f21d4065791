/*
 * shards: which shard a record goes to, learned from answers alone.
 *
 * What it is: intervals of the hash space in which answers named a shard, in ascending order, and for each what waits
 * for it and how fast it may be sent to (shard_rate.h). A stored record names its shard; so does the text of a
 * throttled one. Where a record fails and nothing names its shard, an interval without a name begins, until an answer
 * names it. A shard's interval never changes in its life: what lands on another shard inside it says that it was split
 * or merged, and it is forgotten; where answers contradict each other all the time, the whole stream is one shard. A
 * wrong guess costs evenness, never a record. Promises: 3 (learned anew after a start), 6 (at most SHARDS_MOST
 * intervals), 12 (one shard's trouble delays its own). Owner: ready.h; a shard owns its records and parked ids. Thread:
 * delivery. Fails: never. Does not: ask the service, send, or read the clock. Source: API reference, PutRecords;
 * throttled entries read "Rate exceeded for shard shardId-... in stream ...".
 */
#ifndef KSPOOL_DELIVERY_QUEUES_SHARDS_H
#define KSPOOL_DELIVERY_QUEUES_SHARDS_H

#include "delivery/queues/heavy.h"
#include "delivery/queues/parked.h"
#include "delivery/queues/record.h"
#include "delivery/queues/shard_rate.h"

enum {
	SHARDS_MOST = 8192,
	SHARD_NAME_BYTES = 129, /* API reference: ShardId, 1..128 characters */
};

struct shard {
	LIST_ENTRY(shard) link; /* of the limited ones, or those with parked rows */
	bool is_listed;
	char name[SHARD_NAME_BYTES]; /* "": not known */
	uint64_t first, last;        /* hashes that are known to be its */
	struct shard_rate rate;
	struct shard_share share; /* of the answer being dealt with */
	bool is_in_answer;
	struct record_queue queue; /* while it is limited: what would be ready */
	uint32_t count;
	uint64_t rows;       /* that these stand for */
	uint64_t cost;       /* memory of what is queued */
	uint64_t lanes_cost; /* of what the lanes of these have behind it, as of the last look */
	struct parked parked;
	double taken_s;       /* records stored a second, of late */
	uint32_t taken_waits; /* not in it yet */
	int64_t taken_at_ns;  /* of taken_s */
	struct heavy heavy;
};

LIST_HEAD(shard_list, shard);

struct shards {
	struct shard **items; /* ascending, apart */
	size_t count, capacity;
	struct shard_list listed;
	struct parked lost; /* parked rows of shards that are forgotten */
	uint64_t losses;    /* how often some were put there */
	uint32_t queued;    /* records in all queues */
	uint64_t cost;
	uint32_t learned, contradicted; /* of late */
	bool is_blind; /* what the answers name contradicts itself all the time: one shard stands for the stream */
};

void shards_init(struct shards *all);
/* The shard whose interval has it, or null. */
struct shard *shards_find(const struct shards *all, uint64_t hash);
/*
 * A record at `hash` landed on (or was refused by) the shard of this name; "" when nothing says which. Records that
 * waited for shards that are forgotten for it are put to *ret_strays. Null when there are too many.
 */
struct shard *shards_learn(struct shards *all, uint64_t hash, const char *name, struct record_queue *ret_strays);
/* The name in a throttled entry's text, cut to ret; "" when there is none. */
void shards_named(const char *text, char ret[SHARD_NAME_BYTES]);
/* Keeps the shard in the list while it is limited or has parked rows. */
void shards_list(struct shards *all, struct shard *s);
void shards_queue_last(struct shards *all, struct shard *s, struct record *r);
void shards_queue_first(struct shards *all, struct shard *s, struct record *r);
/* Null when none waits. */
struct record *shards_take(struct shards *all, struct shard *s);
struct record *shards_take_last(struct shards *all, struct shard *s);
/* Frees everything. */
void shards_fini(struct shards *all);

#endif
