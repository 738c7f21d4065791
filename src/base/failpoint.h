/*
 * failpoint: named places where a test may cut the process down.
 *
 * What it is: FAILPOINT("before_commit") does nothing unless the build has KSPOOL_FAILPOINTS and the environment
 * variable KSPOOL_FAILPOINT is "before_commit:7": then the seventh pass ends the process with SIGKILL, as a crash
 * would.
 * Promises: serves the tests of 1, 3 and 7.
 * Owner: nothing to own.
 * Thread: any; passes are counted over all threads.
 * Fails: never; a variable it cannot read names no place.
 * Does not: exist in release builds.
 */
#ifndef KSPOOL_BASE_FAILPOINT_H
#define KSPOOL_BASE_FAILPOINT_H

#ifdef KSPOOL_FAILPOINTS
#define FAILPOINT(name) failpoint_pass(name)
void failpoint_pass(const char *name);
#else
#define FAILPOINT(name) ((void)0)
#endif

#endif
