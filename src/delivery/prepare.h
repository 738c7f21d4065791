/*
 * prepare: from a complete batch to records: processors, keys, ceilings.
 *
 * What it is: the compiled templates, check and processors of the output with the evaluator they run in.
 * Promises: 2 (every row of the batch is named in the result), 12 (a message whose key cannot be made, that is too
 * large, or, by kspool.processor_error, that a processor failed on is refused alone, with its reason). Owner: the
 * caller of preparer_open; the config must outlive it. Thread: delivery (preparer_open: the caller's). Fails:
 * preparer_open only, ERR_CONFIG with line and column of the config file. Does not: settle, queue, or know the
 * dispatcher: it returns a list.
 */
#ifndef KSPOOL_DELIVERY_PREPARE_H
#define KSPOOL_DELIVERY_PREPARE_H

#include "base/error.h"
#include "config/config.h"
#include "delivery/dispatch_types.h"

struct preparer;

enum err preparer_open(const struct config *config, struct preparer **ret, struct error *e) MUST_CHECK;
/* Takes over what SIGHUP may change: key_error, processor_error. */
void preparer_configure(struct preparer *p, const struct config *config);
/* Accepts null. */
void preparer_close(struct preparer *p);

/* struct dispatch_ports.prepare: takes the messages out of a batch that has some. What *ret points to is the caller's.
 */
void preparer_run(struct preparer *p, struct batch *batch, struct prepared *ret);
bool preparer_has_check(const struct preparer *p);
/* batching.check on the newest of the open batch; an error or anything but true is false. */
bool preparer_check(struct preparer *p, const struct pipeline_batch *open);

#endif
