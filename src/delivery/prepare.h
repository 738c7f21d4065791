/*
 * prepare: from a complete batch to records: processors, keys, ceilings.
 *
 * What it is: the compiled templates, check and processors of the output with the evaluator they run in.
 * Promises: 2 (every row of the batch is named in the result), 12 (a message whose key cannot be made, that is too
 * large, or, by kspool.processor_error, that a processor failed on is refused alone, with its reason). Owner: the
 * caller of preparer_open; the config must outlive it. Thread: one runs batches, one (the same or another) checks.
 * Fails: preparer_open only, ERR_CONFIG with line and column of the config file. Does not: settle, queue, or know the
 * dispatcher: it returns a list.
 */
#ifndef KSPOOL_DELIVERY_PREPARE_H
#define KSPOOL_DELIVERY_PREPARE_H

#include <stdatomic.h>

#include "base/error.h"
#include "config/config.h"
#include "delivery/dispatch_types.h"

struct preparer;

/* What other threads see and say while a batch is being prepared. */
struct prepare_pulse {
	_Atomic int64_t step_ns; /* monotonic: when the step at hand began, a message or a processor's list; 0: none */
	atomic_bool ends;        /* leave the rest: nothing is wanted any more */
	atomic_bool others;      /* who else has memory will give it back: it may be waited for */
};

enum err preparer_open(const struct config *config, struct preparer **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void preparer_close(struct preparer *p);

/*
 * Takes messages out of a batch that has some: all of them, or, where processors do not look at neighbours, as many as
 * become no more than an open batch may hold, at least one. What *ret points to is the caller's. config: as SIGHUP left
 * it, for key_error, processor_error and limits. False: the pulse (may be null) ended it, there is nothing at *ret.
 */
bool preparer_run(struct preparer *p, const struct config *config, struct batch *batch, struct prepare_pulse *pulse,
                  struct prepared *ret);
/* Processors, or keys that are more than a look at the message: not for a thread that others wait for. */
bool preparer_takes_time(const struct preparer *p);
bool preparer_has_check(const struct preparer *p);
/* batching.check on the newest of the open batch; an error, too much time or anything but true is false. */
bool preparer_check(struct preparer *p, const struct batch *open);

#endif
