/*
 * failpoint: named places where a test may cut the process down.
 *
 * What it is: FAILPOINT("before_commit") does nothing unless the build has KSPOOL_FAILPOINTS and the environment
 * variable KSPOOL_FAILPOINT is "before_commit:7": then the seventh pass ends the process with SIGKILL, as a crash
 * would. FAILPOINT_BYTES("intake", ...) dies on bytes that hold TEXT when KSPOOL_FAILPOINT_BYTES is
 * "intake:SIGNAL:TEXT", by that signal; with signal 0 its stack overflows, with -1 the thread stops for ever, with -2
 * it makes the file KSPOOL_FAILPOINT_HELD and stops until somebody takes it away. FAILPOINT_NUMBER("watchdog_s", 300)
 * is 300, or 2 when KSPOOL_FAILPOINT_NUMBER is "watchdog_s:2". Promises: serves the tests of 1, 3 and 7. Owner: nothing
 * to own. Thread: any; passes are counted over all threads. Fails: never; a variable it cannot read names no place.
 * Does not: exist in release builds.
 */
#ifndef KSPOOL_BASE_FAILPOINT_H
#define KSPOOL_BASE_FAILPOINT_H

#include <stddef.h>
#include <stdint.h>

#ifdef KSPOOL_FAILPOINTS
#define FAILPOINT(name) failpoint_pass(name)
#define FAILPOINT_BYTES(name, bytes, count) failpoint_bytes(name, bytes, count)
#define FAILPOINT_NUMBER(name, number) failpoint_number(name, number)
void failpoint_pass(const char *name);
void failpoint_bytes(const char *name, const void *bytes, size_t count);
int64_t failpoint_number(const char *name, int64_t number);
#else
#define FAILPOINT(name) ((void)0)
#define FAILPOINT_BYTES(name, bytes, count) ((void)0)
#define FAILPOINT_NUMBER(name, number) (number)
#endif

#endif
