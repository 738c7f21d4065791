/*
 * check: bugs, as opposed to failures and refusals.
 *
 * What it is: must(c) states what cannot be otherwise. It stays on in release builds.
 * Promises: 3 (the supervisor restarts what aborted; a restart forgets plans, not messages).
 * Owner: nothing to own.
 * Thread: any.
 * Fails: a broken invariant prints itself and aborts.
 * Does not: judge input or the environment: those are refusals and failures (error.h).
 */
#ifndef KSPOOL_BASE_CHECK_H
#define KSPOOL_BASE_CHECK_H

#define must(c) ((c) ? (void)0 : check_failed(#c, __FILE__, __LINE__, __func__))
#define never(what) check_failed("never: " what, __FILE__, __LINE__, __func__)

_Noreturn void check_failed(const char *what, const char *file, int line, const char *function);

#endif
