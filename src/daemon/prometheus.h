/*
 * prometheus: metrics.def as Prometheus text (exposition format 0.0.4).
 *
 * Redpanda Connect's names come without prefix or `_total`, as it prints them; timings are summaries in nanoseconds.
 */
#ifndef KSPOOL_DAEMON_PROMETHEUS_H
#define KSPOOL_DAEMON_PROMETHEUS_H

#include <stdbool.h>

#include "base/buf.h"

void prometheus_print(struct buf *out, bool with_process);

#endif
