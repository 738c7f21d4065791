/*
 * sanitizer: whether this build runs under one. A long series of faults then tries each n-th point only: sanitizers
 * look for other things, and take five times as long.
 */
#ifndef KSPOOL_TESTS_SANITIZER_H
#define KSPOOL_TESTS_SANITIZER_H

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

/* The stride of such a series; no small number divides it, so that what alternates in it goes on doing so. */
enum { SANITIZED_EACH = IS_SANITIZED ? 5 : 1 };

#endif
