/*
 * age: how old a message is, whatever the wall clock does.
 *
 * What it is: a message knows the wall clock of its acceptance. Rules that end a message by age must neither end a
 * young one nor keep an old one because somebody set the clock. So the two clocks are compared at every event, and a
 * message that comes here gets its time of acceptance by a clock that no step moves: the wall clock without the steps
 * since the start (a first synchronisation, a correction, a machine that slept). Steps from before it came are the
 * store's to take off (store_ledger.h), also those while no kspool ran. One that was on its way while the clock stepped
 * may be taken for younger than it is. A time of acceptance from before AGE_CLOCK_UNSET_MS was read off a clock that
 * had not been set, and says nothing: such a message has no age. Promises: 2 (an explicit rule ends a message only when
 * it holds), 11 (no clock ends a message early). Owner: dispatch. Thread: delivery. Fails: never. Does not: read a
 * clock, or know the rules.
 */
#ifndef KSPOOL_DELIVERY_AGE_H
#define KSPOOL_DELIVERY_AGE_H

#include <stdint.h>

enum { AGE_STEP_MS = 1000 };                      /* less is the drift of a clock, and its correction */
#define AGE_CLOCK_UNSET_MS INT64_C(1577836800000) /* 2020-01-01: kspool did not exist */

#define AGE_ON_THE_WAY_NS (10 * INT64_C(1000000000)) /* longer than from the door or the journal to here */
#define AGE_NONE (INT64_MAX / 2)

struct age {
	int64_t now_ns, wall_ms; /* of the last event */
	int64_t stepped_ms;      /* sum of the steps, back ones negative */
	int64_t last_ms;         /* the last of them; 0: none */
	int64_t last_ns;         /* when it was seen */
};

void age_init(struct age *a, int64_t now_ns, int64_t wall_ms);
/* An event at this time, by both clocks. */
void age_tick(struct age *a, int64_t now_ns, int64_t wall_ms);
/* A message that was accepted at received_ms by the wall clock comes here: its time of acceptance from now on. */
int64_t age_enter(const struct age *a, int64_t received_ms);
/* Now, of a message that entered; never negative. */
int64_t age_of_ms(const struct age *a, int64_t entered_ms);

#endif
