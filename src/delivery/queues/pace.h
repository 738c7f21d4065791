/*
 * pace: how many requests may be under way, as the service's throttling teaches.
 *
 * What it is: the window shrinks by the throttled share (of late, weighed by records) at each answer, so that within a
 * round trip the offered rate falls to what was taken, and grows by one a round trip otherwise. A share up to
 * PACE_IGNORED_SHARE changes nothing: the few records concerned wait by themselves, everyone else goes on at full
 * speed. When at least half is refused there is a pause as well, doubled while it lasts (full jitter), once a round
 * trip, so that a stream that takes nothing sees a bounded request rate. Promises: 3 (learned anew after a start).
 * Owner: dispatch. Thread: delivery. Fails: never. Does not: read clock or chance; both come in.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_PACE_H
#define KSPOOL_DELIVERY_QUEUES_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define PACE_IGNORED_SHARE 0.05
#define PACE_PAUSE_SHARE 0.5
/* How much an answer weighs against those before it: records / (records + this), and this at least. */
#define PACE_MEMORY_RECORDS 500
#define PACE_LEAST_WEIGHT (1.0 / 16)
#define PACE_PAUSE_FIRST_NS (INT64_C(200) * NS_PER_MS)
#define PACE_CALM_NS (3 * NS_PER_S)             /* more than SHARD_PROBE_MOST_NS */
#define PACE_RESTART (1.0 / 16)                 /* of a request: others may have waited for the same moment */
#define PACE_LONG_NS (INT64_C(200) * NS_PER_MS) /* round trips in which threefold would be too many at once */
#define PACE_SHARED_FACTOR 1.5                  /* times what one alone took: they share the link */

struct pace {
	double window;
	double share;     /* throttled share of late */
	double threshold; /* below it the window grows two- or threefold a round trip, above it by one */
	uint32_t max;
	uint32_t level; /* pauses in a row */
	int64_t pause_until_ns;
	int64_t pause_set_ns;
	int64_t throttled_ns; /* last time a share counted; 0: never */
	int64_t single_ns;    /* how long the newest answer took that no other request was beside; 0: none yet */
};

/* One request at a time until the first answer. */
void pace_init(struct pace *p, uint32_t max_in_flight);
void pace_limit(struct pace *p, uint32_t max_in_flight);
/* Most records of a request: part of `most` while less than one request may be under way. */
uint32_t pace_records(const struct pace *p, uint32_t most);
bool pace_allows(const struct pace *p, int64_t now_ns, uint32_t in_flight);
/*
 * An answer to a request of `records` sent at sent_ns, of which `share` (0..1) were throttled. random: 0..1.
 * least_wait_ns: what the service asked for, 0 when nothing. longest_ns: kspool.throttle_max.
 */
void pace_answered(struct pace *p, int64_t now_ns, int64_t sent_ns, uint32_t records, double share, double random,
                   int64_t least_wait_ns, int64_t longest_ns);
/* Nothing was answered: start again with a small request, not before until_ns. */
void pace_restart(struct pace *p, int64_t until_ns);
/*
 * How long an answer took, and whether other requests were under way beside it. Where they make each other slower they
 * share a thin link: fewer at once. A service that takes its time over each takes as many as before.
 */
void pace_took(struct pace *p, int64_t took_ns, bool was_shared);
/* A shard refused something: throttled, though the stream as a whole is not. */
void pace_note(struct pace *p, int64_t now_ns);
/* Was there throttling lately? */
bool pace_is_throttled(const struct pace *p, int64_t now_ns);

#endif
