/*
 * lane: a bounded queue of pointers from one thread to another.
 *
 * Ownership travels with the pointer: once lane_put returned true the sender never touches the item again. A full
 * lane is back-pressure: lane_put returns false and the caller keeps the item, stops reading its own source and
 * waits for lane_room_fd. This is the only place in kspool with a mutex. Any number of threads may put; one takes.
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
