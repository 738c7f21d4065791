/*
 * link: what the way to the service carries, as each request's own way tells: how large the next may be, and when.
 *
 * What it is: an estimate of the bytes a second that the peer acknowledges while something is under way, of the round
 * trip, and of what a byte of record weighs on the wire. A request gets what passes in LINK_TARGET_NS. Where requests
 * take long to go out the link is thin: then one goes out at a time, and the next follows when the one before has left
 * though it is not answered yet. It begins with little, so that the first answer comes soon over any line, and grows
 * with each answer, to no limit at all where the line is no matter. A request that was lost teaches: half, one at a
 * time. Promises: 3 (learned anew after a start). Owner: dispatch. Thread: delivery. Fails: never. Does not: read
 * clocks, or know anything where the kernel does not say what was acknowledged: then there is no limit here, and
 * time-outs teach (ceiling.h).
 */
#ifndef KSPOOL_DELIVERY_LINK_H
#define KSPOOL_DELIVERY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "aws/transport/transport.h"

#define LINK_TARGET_NS \
	(8 * NS_PER_S)        /* of a request's way out: silences cut few, head and round trip are little of it */
#define LINK_THIN_BYTES_S 1e6 /* faster ones are shared by as many requests as may be */

enum {
	LINK_FIRST_BYTES = 4 << 10, /* the floor as well: 25 s at 2,400 bit/s */
	LINK_FINDING_BYTES = 64 << 10,
	LINK_DEPTH_MOST = 4,
};

struct link {
	bool is_blind;     /* the kernel does not say */
	bool is_thin;      /* requests wait for each other */
	bool is_finding;   /* one at a time until the next answer */
	double goodput;    /* wire bytes a second; 0: not known */
	double weight;     /* wire bytes for a byte of data or key */
	uint64_t bytes;    /* data and keys of the next request; 0: no limit */
	int64_t rtt_ns;    /* without the way out of the request; 0: not known */
	int64_t upload_ns; /* of the newest */
	int64_t wait_ns;   /* from then to its answer */
	int64_t free_ns;   /* thin: the newest has left by then */
};

/* is_blind: nobody will say what was acknowledged. */
void link_init(struct link *l, bool is_blind);
/* A request of so many bytes of data and keys was answered, took_ns after it was sent, of in_flight that were out. */
void link_answered(struct link *l, uint64_t bytes, int64_t took_ns, uint32_t in_flight,
                   const struct transport_link *way);
/* It was not, or not wholly sent. */
void link_lost(struct link *l, uint64_t bytes, int64_t took_ns);
/* It is as large as the link lets it be. */
static inline bool link_cuts(const struct link *l, uint64_t bytes) { return l->bytes > 0 && bytes >= l->bytes / 2; }
void link_sent(struct link *l, uint64_t bytes, int64_t now_ns);
/* When another may be sent while so many are under way; INT64_MAX: not before an answer. */
int64_t link_due_ns(const struct link *l, uint32_t in_flight);

#endif
