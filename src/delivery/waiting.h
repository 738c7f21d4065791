/*
 * waiting: records that wait for their next try, earliest first.
 *
 * A binary heap over pointers. Owner: dispatch. Thread: delivery. Does not: decide how long anyone waits.
 */
#ifndef KSPOOL_DELIVERY_WAITING_H
#define KSPOOL_DELIVERY_WAITING_H

#include <stddef.h>

#include "delivery/record.h"

struct waiting {
	struct record **items;
	size_t count;
	size_t capacity;
};

void waiting_put(struct waiting *w, struct record *r);
/* The earliest, or null. */
struct record *waiting_first(const struct waiting *w);
struct record *waiting_take(struct waiting *w);
/* Nobody throttled waits beyond now + random * within_ns any more: the service takes records again. */
void waiting_hasten(struct waiting *w, int64_t now_ns, int64_t within_ns, double (*unit)(void *), void *arg);
void waiting_fini(struct waiting *w);

#endif
