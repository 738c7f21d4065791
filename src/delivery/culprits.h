/*
 * culprits: how many records a request may have, where whole requests are refused for some of their records.
 *
 * What it is: how far apart the culprits are, as requests say that were taken or refused. A request that is refused
 * costs its records once more for the search, and half of them a third time. With a quarter of the distance a record is
 * uploaded 1.4 times, however close they are, and there are hardly more requests than with the half. Where refusals
 * name positions nothing is searched for, and half of it is as good. What is taken since the last one lets it grow
 * again. Promises: 12 (who is refused costs the others little). Owner: dispatch. Thread: delivery. Fails: never.
 * Does not: find them (isolate.h).
 */
#ifndef KSPOOL_DELIVERY_CULPRITS_H
#define KSPOOL_DELIVERY_CULPRITS_H

#include <stdbool.h>
#include <stdint.h>

struct culprits {
	double found; /* requests that were refused, of late */
	double taken; /* records, before these */
	double since; /* the last one: records */
};

void culprits_init(struct culprits *c);
/* An ordinary request of so many records was taken. */
void culprits_taken(struct culprits *c, uint32_t records);
/* One was refused, and so many of it are likely to be good: half of it, or those up to the last that is named. */
void culprits_refused(struct culprits *c, double good);
/* Records of the next request: 1 at least, `most` where there are none. */
uint32_t culprits_records(const struct culprits *c, bool are_named, uint32_t most);

#endif
