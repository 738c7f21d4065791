/*
 * series: metrics that a configuration names (the `metric` processor), beside the fixed ones of metrics.def.
 *
 * What it is: a series is a name, a type and labels. It is found or made once and then added to without a lock.
 * Promises: 6 (there are at most SERIES_MAX, and their names and labels take at most SERIES_MAX_BYTES).
 * Owner: the process; a series is never removed.
 * Thread: any.
 * Fails: past either series_find gives null and counts what it refused.
 * Does not: escape what series_find is given.
 */
#ifndef KSPOOL_BASE_SERIES_H
#define KSPOOL_BASE_SERIES_H

#include "base/buf.h"

enum { SERIES_MAX = 10000, SERIES_MAX_BYTES = 4 << 20 };
enum series_type { SERIES_COUNTER, SERIES_GAUGE };

struct series;

enum { SERIES_LABEL_MAX_BYTES = 128 };
/*
 * name="value" in exposition format 0.0.4, behind a comma when `out` has something: at most the first
 * SERIES_LABEL_MAX_BYTES of the value. What is no UTF-8 is U+FFFD, and what utf8_is_shown refuses stands as \\u001b
 * does in a document, so that nothing in a page of metrics moves a terminal.
 */
void series_add_label(struct buf *out, const char *name, const char *value);
/* labels: the text between the braces, already escaped, or "". */
struct series *series_find(enum series_type type, const char *name, const char *labels);
void series_add(struct series *s, double amount);
void series_set(struct series *s, double value);
/* Prometheus text, grouped by name. */
void series_print(struct buf *out);

#endif
