/*
 * stop_times: how long a stop may wait, for all of it together.
 *
 * What it is: one limit (shutdown_timeout), of which the last quarter is for requests that are under way when the doors
 * are closed: clients that never end must not have all of it, or each stop beside one would send twice what was being
 * sent. Whoever's stop is short waits ten seconds for clients all the same: what they gave is worth it.
 * Promises: 7. Owner: plain data. Thread: any. Fails: never. Does not: wait.
 */
#ifndef KSPOOL_DAEMON_STOP_TIMES_H
#define KSPOOL_DAEMON_STOP_TIMES_H

#include <stdint.h>

struct stop_times {
	int64_t limit_ns;
	int64_t doors_until_ns; /* monotonic */
	int64_t until_ns;       /* of all */
};

/* A stop begins now, with `limit_ns` for it. */
struct stop_times stop_times_from(int64_t limit_ns, int64_t now_ns);
/* What requests under way have, when their turn is now: a quarter of the limit at least, unless the doors overran
 * theirs. */
int64_t stop_times_left_ns(const struct stop_times *t, int64_t now_ns);

#endif
