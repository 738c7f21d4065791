/*
 * pipeline: Redpanda Connect's processors, over batches of messages.
 *
 * What it is: a list of processors compiled at load. pipeline_run replaces the messages of a batch by what they became;
 * every resulting message has an origin with the ids of what it stands for, so that the caller can see which rows
 * became several messages, which were joined into one, and which vanished (filtered). Promises: 9: what vanished can be
 * told; 6: what a run makes is charged before; 11: a run has an allowance of time. Owner: the batch owns its messages.
 * Thread: a compiled pipeline belongs to one thread. Fails: compile only, with faults that name line and column. A
 * processor that fails on a message leaves it as it was with `failure` set. Does not: wait (rate_limit says until
 * when), decide on keys: `dedupe` gives its key to the origin and the journal decides in the transaction that stores
 * the messages made of it.
 */
#ifndef KSPOOL_PIPELINE_PIPELINE_H
#define KSPOOL_PIPELINE_PIPELINE_H

#include "base/error.h"
#include "config/config.h"
#include "message/message.h"
#include "bloblang/bloblang.h"

struct pipeline;

struct pipeline_batch {
	struct message **items;
	size_t count;
	size_t capacity;
};

void pipeline_batch_add(struct pipeline_batch *b, struct message *m);
/* Frees the messages too. */
void pipeline_batch_fini(struct pipeline_batch *b);

/* Which ids of `before` (ascending) no message of the batch stands for any more; returns how many. */
size_t pipeline_vanished(const struct pipeline_batch *batch, const uint64_t *before, size_t count, uint64_t *ret_ids);

/*
 * nodes: the list under `processors`; null gives a pipeline that does nothing. path, such as
 * "pipeline.processors", begins the paths of its stages. Resources come from the config.
 */
enum err pipeline_compile(const struct config_node *nodes, const struct config *config, const char *path,
                          struct pipeline **ret, struct config_faults *faults) MUST_CHECK;
/* Several lists, one behind the other, as one. */
struct pipeline_list {
	const struct config_node *nodes;
	const char *path;
};
enum err pipeline_compile_lists(const struct pipeline_list *lists, size_t count, const struct config *config,
                                struct pipeline **ret, struct config_faults *faults) MUST_CHECK;
/*
 * Everything of a configuration that is Bloblang or a processor, compiled once to see whether it does: keys,
 * batching.check and every list of processors. Adds faults.
 */
void pipeline_lint(const struct config *config, struct config_faults *faults);
/* An evaluator within the limits of the configuration; leaves_room: budget_take's `leave`. */
struct evaluator *pipeline_evaluator_new(const struct config *config, bool leaves_room);
bool pipeline_is_empty(const struct pipeline *p);
/* What comes of a message depends on those beside it: else a batch may come in parts. Accepts null. */
bool pipeline_needs_batch(const struct pipeline *p);
/* Runs from now on are parts of one batch, for which this thread worked so long already, and which became so much
 * larger by it. */
void pipeline_goes_on(struct pipeline *p, int64_t used_ns, int64_t made_bytes);
/*
 * What a batch has used of its time that had used used_ns when parts began that took more_ns: what the last of them
 * took beyond the ordinary time is nothing of the rest's.
 */
int64_t pipeline_used_ns(const struct pipeline *p, int64_t used_ns, int64_t more_ns);
/*
 * A message without an origin gets one of its id. Returns the monotonic time in ns before which the caller should take
 * no more work (rate_limit); 0: none. A pipeline never waits by itself.
 */
int64_t pipeline_run(struct pipeline *p, struct evaluator *ev, struct pipeline_batch *batch);
/* Of a batch that is run in parts. */
struct pipeline_part {
	bool is_rest;           /* of the batch that the last run had a part of, by the same thread */
	int64_t enough_bytes;   /* by which it becomes larger: the others come later. INT64_MAX: none does */
	uint64_t charged_bytes; /* to the budget, for what was made: the caller's to give back when it is counted
	                           elsewhere */
	int64_t not_before_ns;  /* as pipeline_run */
};
/*
 * Of a batch that has some the first messages, each by itself, until that is enough or the budget is short; all, where
 * a processor looks at neighbours. Returns how many: the first so many of `from` are not its any more. What they became
 * is added to *ret, an empty one.
 */
size_t pipeline_run_part(struct pipeline *p, struct evaluator *ev, const struct pipeline_batch *from,
                         struct pipeline_part *part, struct pipeline_batch *ret);
/* How many limits (rate_limit) its processors have. Accepts null. */
size_t pipeline_limits(const struct pipeline *p);
/*
 * Runs from now on take nothing of a limit that would be paid only so long from now; what they take of each is added
 * to taken_ns, pipeline_limits of them. With null, as at the begin, they take what they come with.
 */
void pipeline_passes(struct pipeline *p, int64_t most_wait_ns, int64_t *taken_ns);
/* The last run came to a limit that did not let all of it pass: how long until it would, INT64_MAX for what is too much
 * at any time. 0: all passed. */
int64_t pipeline_limited_ns(const struct pipeline *p);
/* What was taken so comes to nothing. Accepts null, which took nothing. */
void pipeline_give_back(struct pipeline *p, const int64_t *taken_ns);
/* The last run ended for want of memory that others hold now: later it may do. Its messages are flagged. */
bool pipeline_was_starved(const struct pipeline *p);
void pipeline_free(struct pipeline *p);

#endif
