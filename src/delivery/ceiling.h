/*
 * ceiling: how many bytes one request may have, as refusals and the link teach.
 *
 * What it is: three ceilings of which the lowest counts, one of them set by others (link.h). The service's falls by
 * half when a request is called too large, and is tried at twice its height after many that were taken, each time after
 * more. The link's falls by half when a request ran out of time, and rises when a full one came back quickly. Promises:
 * 3 (it is learned anew after a start). Owner: dispatch. Thread: delivery. Fails: never. Does not: limit how many
 * requests are under way (pace.h), or log.
 */
#ifndef KSPOOL_DELIVERY_CEILING_H
#define KSPOOL_DELIVERY_CEILING_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CEILING_LINK_FLOOR = 16 << 10, /* shrinking ends here */
	CEILING_SERVICE_FLOOR = 4 << 10,
	CEILING_PATIENCE = 128, /* full requests taken before a larger one is tried, the first time */
	CEILING_PATIENCE_MOST = 1 << 16,
};

struct ceiling {
	uint64_t service_bytes; /* what the service takes */
	uint64_t most_bytes;    /* the configured size */
	uint32_t taken;         /* full requests in a row */
	uint32_t patience;      /* of them until twice as much is tried; 0: never refused */
	uint64_t link_bytes;    /* what the link carries in time, as time-outs say; 0: no matter */
	uint64_t way_bytes;     /* the same, as measured (link.h); 0: no matter */
};

/* The configured size; a later call only lowers. */
void ceiling_limit(struct ceiling *c, uint64_t most_bytes);
uint64_t ceiling_bytes(const struct ceiling *c);
/* A request of so many bytes was too large for the service. Returns the new ceiling; 0: it changed nothing. */
uint64_t ceiling_refused(struct ceiling *c, uint64_t request_bytes);
/* One of so many bytes was taken. */
void ceiling_taken(struct ceiling *c, uint64_t request_bytes);
/* A request of so many bytes was out for all its time. True when the link's ceiling fell. */
bool ceiling_timed_out(struct ceiling *c, uint64_t request_bytes);
/* One was answered quickly: only one near the ceiling says that a larger one would be in time. */
void ceiling_answered(struct ceiling *c, uint64_t request_bytes);

#endif
