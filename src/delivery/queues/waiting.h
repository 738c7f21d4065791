/*
 * waiting: records that wait for their next try, earliest first.
 *
 * What it is: a binary heap over pointers. Promises: none of its own. Owner: dispatch; the heap owns its records.
 * Thread: delivery. Fails: never. Does not: decide how long anyone waits.
 */
#ifndef KSPOOL_DELIVERY_WAITING_H
#define KSPOOL_DELIVERY_WAITING_H

#include <stddef.h>

#include "delivery/queues/record.h"

struct waiting {
	struct record **items;
	size_t count;
	size_t capacity;
};

void waiting_put(struct waiting *w, struct record *r);
/* The earliest, or null. */
struct record *waiting_first(const struct waiting *w);
struct record *waiting_take(struct waiting *w);
/* The service takes records again: who was throttled is due at now + random * within_ns, if not before. */
void waiting_hasten(struct waiting *w, int64_t now_ns, int64_t within_ns, double (*unit)(void *), void *arg);
void waiting_fini(struct waiting *w);

#endif
