/*
 * faultpoints: which of a run's operations are worth failing.
 *
 * What it is: a run is made once while each operation that could fail is noted by its callers, all of them up to the
 * test's own. Operations of the same callers are alike, a hundred rounds of a loop: the first and the last of
 * them are tried, and none where an earlier series had them. With KSPOOL_EVERY_FAULT in the environment each one is.
 * Thread: one; one run is noted at a time.
 */
#ifndef KSPOOL_TESTS_FAULTPOINTS_H
#define KSPOOL_TESTS_FAULTPOINTS_H

#include <stdbool.h>
#include <stdint.h>

/* Between the two, the operations that a rig counts are noted: it is armed with FAULTPOINTS_NONE. */
void faultpoints_note(void);
void faultpoints_end(void);
/* The first ones are enough. */
void faultpoints_end_firsts(void);
/* What earlier series had does not count: another fault begins. */
void faultpoints_forget(void);
/* The next one to try after the n-th, from 1; behind the last one, which must meet no fault, simply n + 1. */
uint64_t faultpoints_next(uint64_t n);
/* How many there were in all. */
uint64_t faultpoints_count(void);

/* For rigs: an operation that could fail is called; and: none of these callers called one since faultpoints_forget. */
void faultpoints_pass(void);
bool faultpoints_is_new(void);

enum { FAULTPOINTS_NONE = INT32_MAX }; /* an n that no run reaches */

#endif
