/*
 * age: how old a message is at least, whatever the wall clock does.
 *
 * What it is: a message knows the wall clock of its acceptance. Rules that end a message by age must not end a young
 * one because somebody set the clock. So the two clocks are compared at every event: a step of the wall clock forward
 * (a first synchronisation, a correction, a machine that slept) is taken off the age of all that was accepted before
 * it. A step back needs nothing, it makes messages younger. A time of acceptance from before AGE_CLOCK_UNSET_MS was
 * read off a clock that had not been set, and says nothing: such a message has no age. Steps
 * before a message came here, also while no kspool ran, are taken off by the store (store_ledger.h). Promises: 2 (an
 * explicit rule ends a message only when it holds), 11 (no clock ends a message early). Owner: dispatch. Thread:
 * delivery. Fails: never. Does not: read a clock, or know the rules.
 */
#ifndef KSPOOL_DELIVERY_AGE_H
#define KSPOOL_DELIVERY_AGE_H

#include <stdint.h>

enum { AGE_STEP_MS = 1000 };                      /* less is the drift of a clock, and its correction */
#define AGE_CLOCK_UNSET_MS INT64_C(1577836800000) /* 2020-01-01: kspool did not exist */

struct age {
	int64_t now_ns, wall_ms; /* of the last event */
	int64_t stepped_ms;      /* sum of the steps forward */
	int64_t step_wall_ms;    /* the wall clock right after the last one; 0: none */
};

void age_init(struct age *a, int64_t now_ns, int64_t wall_ms);
/* An event at this time, by both clocks. */
void age_tick(struct age *a, int64_t now_ns, int64_t wall_ms);
/* Of a message accepted at received_ms, now; never negative. */
int64_t age_of_ms(const struct age *a, int64_t received_ms);

#endif
