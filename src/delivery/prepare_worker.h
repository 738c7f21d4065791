/*
 * prepare_worker: a thread that prepares batches, one at a time.
 *
 * What it is: the preparer's processors and keys away from the thread that reads answers. A batch is put, and comes
 * back in order with what it became. Promises: 2 (a batch comes back whole, or, given up at the end, as nothing at
 * all), 11 (what takes long for one stream's messages holds no answer). Owner: delivery; a batch that was put is the
 * worker's until it is taken. Thread: delivery; prepare_worker_work_ns any. Fails: open only, when there is no thread.
 * Does not: choose batches.
 */
#ifndef KSPOOL_DELIVERY_PREPARE_WORKER_H
#define KSPOOL_DELIVERY_PREPARE_WORKER_H

#include "delivery/prepare.h"

struct prepare_worker;

/* The preparer runs batches on the worker's thread from then on. */
enum err prepare_worker_open(struct preparer *p, struct prepare_worker **ret, struct error *e) MUST_CHECK;
/* Readable when a batch may be taken. */
int prepare_worker_fd(const struct prepare_worker *w);
/* Nothing may be with it. The config must live until the batch is taken. */
void prepare_worker_put(struct prepare_worker *w, const struct config *config, struct batch *batch);
/* Others have memory that they will give back, or nobody has: whether one that needs some waits. Accepts null. */
void prepare_worker_others(struct prepare_worker *w, bool have);
/* Null: nothing is ready. *ret is empty when it was given up. */
struct batch *prepare_worker_take(struct prepare_worker *w, struct prepared *ret);
/* What is with it comes back soon, most likely as nothing; for the end. Accepts null. */
void prepare_worker_give_up(struct prepare_worker *w);
/* How long it has been at one step of its work: a message, a list of processors. 0: idle. Accepts null. */
int64_t prepare_worker_work_ns(const struct prepare_worker *w);
/* Nothing may be with it. Accepts null. */
void prepare_worker_close(struct prepare_worker *w);

#endif
