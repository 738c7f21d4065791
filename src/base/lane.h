/*
 * lane: a bounded queue of pointers from one thread to another.
 *
 * What it is: the only way between threads, and the only place in kspool with a mutex. A full lane is back-pressure.
 * Promises: 6 (bounded), 12 (a full lane stops its own sender only).
 * Owner: travels with the pointer: once lane_put returned true the sender never touches the item again; refused, it
 * keeps it.
 * Thread: any number of threads put, one takes.
 * Fails: lane_put answers false when full: the caller stops reading its own source and waits for lane_room_fd. A kernel
 * without eventfds aborts.
 * Does not: block, reorder, or free items.
 */
#ifndef KSPOOL_BASE_LANE_H
#define KSPOOL_BASE_LANE_H

#include <stdbool.h>
#include <stddef.h>

struct lane;

struct lane *lane_open(size_t capacity);
/* The lane must be empty. Accepts null. */
void lane_close(struct lane *lane);

bool lane_put(struct lane *lane, void *item) __attribute__((warn_unused_result));
/* Takes up to max items in order; returns how many. Never blocks. */
size_t lane_take(struct lane *lane, void **items, size_t max);
size_t lane_count(struct lane *lane);

/* Readable while items wait (an eventfd: lane_take of the last item resets it; do not read it yourself). */
int lane_fd(const struct lane *lane);
/* Becomes readable when a refused put may work again; reset it with lane_room_ack. */
int lane_room_fd(const struct lane *lane);
void lane_room_ack(struct lane *lane);

#endif
