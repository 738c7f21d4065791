/*
 * check: bugs, as opposed to failures and refusals.
 *
 * must(c) states what cannot be otherwise. It stays on in release builds: a broken invariant prints itself and
 * aborts, the supervisor restarts, and promise 3 (restart forgets plans, not messages) holds.
 */
#ifndef KSPOOL_BASE_CHECK_H
#define KSPOOL_BASE_CHECK_H

#define must(c) ((c) ? (void)0 : check_failed(#c, __FILE__, __LINE__, __func__))
#define never(what) check_failed("never: " what, __FILE__, __LINE__, __func__)

_Noreturn void check_failed(const char *what, const char *file, int line, const char *function);

#endif
