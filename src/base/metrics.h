/*
 * metrics: the counters of metrics.def, in one process-wide table.
 *
 * Every series is an atomic that any thread may add to and any thread may read; there is no lock and no order between
 * series. TIMING keeps count, sum and a histogram in quarter-octave buckets.
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
void metric_observe_ns(enum metric m, int64_t ns);
/* Counter or gauge value; for TIMING the number of observations. */
int64_t metric_get(enum metric m);
int64_t metric_sum_ns(enum metric m);
/* The q-quantile (0..1) of a TIMING, at most 19 % above the true value; 0 when nothing was observed. */
int64_t metric_quantile_ns(enum metric m, double q);

#endif
