/*
 * daemon_limits: what the process may have of the machine, before anything is opened.
 *
 * What it is: no core files, as many descriptors as are allowed, and a look whether these are enough.
 * Promises: 10 (too few descriptors are told at the start, they do not end the run in the middle).
 * Owner: nobody; it is the process's.
 * Thread: the first one, before there are others.
 * Fails: ERR_SYSTEM with the limit to raise.
 * Does not: count what clients may take; the doors do.
 */
#ifndef KSPOOL_DAEMON_DAEMON_LIMITS_H
#define KSPOOL_DAEMON_DAEMON_LIMITS_H

#include "base/error.h"

void daemon_limits_guard_memory(void);
void daemon_limits_raise_descriptors(void);
/* Lanes, journal, delivery and doors need so many before the first client comes. */
enum err daemon_limits_check_descriptors(struct error *e) MUST_CHECK;

#endif
