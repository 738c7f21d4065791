/*
 * series: metrics that a configuration names (the `metric` processor), beside the fixed ones of metrics.def.
 *
 * What it is: a series is a name, a type and labels. It is found or made once and then added to without a lock.
 * Promises: 6 (there are at most SERIES_MAX, and their names and labels take at most SERIES_MAX_BYTES).
 * Owner: the process; a series is never removed.
 * Thread: any.
 * Fails: past either series_find gives null and counts what it refused.
 * Does not: escape labels.
 */
#ifndef KSPOOL_BASE_SERIES_H
#define KSPOOL_BASE_SERIES_H

#include "base/buf.h"

enum { SERIES_MAX = 10000, SERIES_MAX_BYTES = 4 << 20 };
enum series_type { SERIES_COUNTER, SERIES_GAUGE };

struct series;

/* labels: the text between the braces, already escaped, or "". */
struct series *series_find(enum series_type type, const char *name, const char *labels);
void series_add(struct series *s, double amount);
void series_set(struct series *s, double value);
/* Prometheus text, grouped by name. */
void series_print(struct buf *out);

#endif
