/*
 * shard_world: streams with shards of their own limits, and dispatchers before them, in virtual time.
 *
 * Each shard counts what it takes: in fixed windows of a second, or in a bucket of burst_s seconds that refills. The
 * account of what was stored, offered and refused is the world's own. A node is a dispatcher with a journal that has
 * `rows` rows, gives them in order as far as memory goes, and keeps what is parked. Each node has a line of its own to
 * the service, over which its requests go one after the other. One seed replays anything. A node that has rows and
 * sends none for two minutes, though it is not held, is a bug: the world aborts.
 */
#ifndef KSPOOL_TESTS_SHARD_WORLD_H
#define KSPOOL_TESTS_SHARD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delivery/queues/lanes.h"

#define WORLD_FAST_LINE 1.25e8 /* bytes a second */

enum world_mood { WORLD_TAKES, WORLD_THROTTLES, WORLD_FAILS };

/* An answer to a whole request, whatever is in it. */
struct world_refusal {
	int status;
	const char *body;
};

struct world_shard {
	double records_s, bytes_s; /* 0: no limit */
	double burst_s;            /* of the bucket; 0: fixed windows of a second */
	enum world_mood mood;
	uint64_t first, last; /* upper 64 bits of its hashes */
	char name[32];
	/* its own account */
	double records, bytes; /* in the bucket, or taken in the window */
	int64_t at_ns;
	uint64_t stored, offered, refused;
};

struct request;
struct world_node;

struct world {
	int64_t now_ns, wall_ms;
	int64_t rtt_ns;
	double rtt_spread;   /* of each node's round trip: by as much of it, more or less */
	double line_bytes_s; /* of each node's way; 0: nobody says what its way is */
	uint64_t seed;
	bool is_away;                        /* nobody can be reached */
	const struct world_refusal *refusal; /* all requests are; null: they are served */
	bool is_silent;                      /* throttled entries do not name their shard */
	bool counts_tries;                   /* only entries refuse: what the journal hears of tries is checked */
	bool names_lie;                      /* an entry names any shard */
	double random_refused;               /* part of all records that is throttled by chance */
	double random_lost;                  /* part of all requests whose answer is lost; half of them are stored */
	double random_late;                  /* part of all answers that take up to ten round trips more */
	double random_gone;                  /* part of all rows on disk that were evicted when they are asked for */
	/* A message is stored, by itself or in an aggregate; null: nobody looks. */
	void (*on_stored)(void *arg, const struct record *r);
	void *arg;
	bool (*is_poison)(void *arg, const struct record *r); /* its entry is refused; null: none */
	const struct world_refusal *bars; /* a request that has such a record is; null: only its entry */
	uint32_t bars_name;               /* so many of them by their positions, from 1 */
	struct world_shard *shards;
	size_t shard_count, first_name;
	struct world_node **nodes;
	size_t node_count;
	struct world_event *events;
	size_t event_count, event_capacity;
	uint64_t stored, offered, requests;
	struct hasher *hasher;
};

/* Keys of a node's rows: uniform over `keys`, or by `key_of`, which writes the key of row `id` to text (64 bytes). */
struct world_rows {
	uint64_t count;
	uint32_t bytes; /* of the body */
	void (*key_of)(void *arg, uint64_t id, char *text);
	void *arg;
	uint64_t memory_bytes; /* 0: 15 MiB, as the default configuration gives */
	uint64_t memory_rows;  /* 0: 12,000 */
	double per_second;     /* 0: all are there from the start */
	struct lanes_rules lanes;
};

/* Over fast lines. */
struct world *world_new(size_t shards, int64_t rtt_ns, uint64_t seed);
void world_free(struct world *w);
struct world_node *world_add(struct world *w, const struct world_rows *rows);
/* Lets time pass. */
void world_run(struct world *w, int64_t ns);
/* Rows that it got acknowledged, that wait, and that left in another way (none should). */
uint64_t world_delivered(const struct world_node *n);
uint64_t world_other_ends(const struct world_node *n);
/* Rows that were evicted. */
uint64_t world_gone(const struct world_node *n);
struct dispatch *world_dispatch(const struct world_node *n);
/* Replaces shard `at` by two halves with new names. */
void world_split(struct world *w, size_t at);
/* Other shards, `count` of them, as large as the first one was, each with an even part of the hashes. */
void world_reshard(struct world *w, size_t count);
double world_random(struct world *w);

/* The stream's side (shard_stream.c): does the shard take a record of so many bytes now? */
bool world_takes(struct world *w, struct world_shard *s, double bytes);
void world_tell_stored(struct world *w, const struct record *r);
bool world_is_poisoned(struct world *w, const struct record *r);
bool world_is_barred(struct world *w, const struct request *q);
/* What a refusal says; free() it. */
char *world_refusal_body(struct world *w, const struct request *q, const struct world_refusal *refusal);
struct world_shard *world_shard_of(struct world *w, uint64_t hash);
void world_part_evenly(struct world *w);

#endif
