/*
 * metrics: the counters of metrics.def, in one process-wide table.
 *
 * What it is: every series is an atomic. TIMING keeps count, sum and a histogram in quarter-octave buckets. One series
 * is a metric, so functions are metric_*.
 * Promises: 7, 9 and 10 are told by it.
 * Owner: the process.
 * Thread: any may add and read; there is no lock, and no order between series but of gauges that are set together.
 * Fails: never.
 * Does not: survive the process: what must not be forgotten is in the ledger.
 */
#ifndef KSPOOL_BASE_METRICS_H
#define KSPOOL_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

enum metric {
#define METRIC(id, kind, name, labels, unit, text) M_##id,
#include "base/metrics.def"
#undef METRIC
	METRIC_COUNT
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_TIMING };

struct metric_info {
	const char *id; /* "INPUT_RECEIVED" */
	enum metric_kind kind;
	const char *name;
	const char *labels; /* text between the braces, or "" */
	const char *unit;
	const char *text;
};

const struct metric_info *metric_info(enum metric m);
void metric_add(enum metric m, uint64_t n);
void metric_set(enum metric m, int64_t value);
struct metric_value {
	enum metric metric;
	int64_t value;
};
/* Gauges of one moment, of which metric_get_all shows all or none. One thread's at a time. */
void metric_set_together(const struct metric_value *values, size_t count);
void metric_observe_ns(enum metric m, int64_t ns);
/* Counter or gauge value; for TIMING the number of observations. */
int64_t metric_get(enum metric m);
/* metric_get of each. Waits for nobody. */
void metric_get_all(int64_t ret[METRIC_COUNT]);
int64_t metric_sum_ns(enum metric m);
/* The q-quantile (0..1) of a TIMING, at most 19 % above the true value; 0 when nothing was observed. */
int64_t metric_quantile_ns(enum metric m, double q);

#endif
