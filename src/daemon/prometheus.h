/*
 * prometheus: metrics.def as Prometheus text (exposition format 0.0.4).
 *
 * What it is: one walk over the metrics. Redpanda Connect's names come without prefix or `_total`, as it prints them;
 * timings are summaries in nanoseconds. Those carry the labels `label` and `path` that it gives them ("root.output");
 * inputs are counted together, so that a label is theirs only where there is one.
 * Promises: none of its own. Owner: the caller owns the buffer. Thread: any.
 * Fails: never; a full buffer shows in its overflow, a process figure that cannot be read is 0.
 * Does not: rename or map metrics.
 */
#ifndef KSPOOL_DAEMON_PROMETHEUS_H
#define KSPOOL_DAEMON_PROMETHEUS_H

#include "base/buf.h"
#include "config/config.h"
#include "delivery/delivery.h"

/* The shards that limit: at most LIMITING_SHARDS series a name. */
void prometheus_print_shards(struct buf *out, const struct delivery_status *status);
void prometheus_print(struct buf *out, const struct config *config);

#endif
