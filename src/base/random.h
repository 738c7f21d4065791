/*
 * random: unpredictable bytes from the kernel.
 *
 * What it is: getrandom(2), buffered per thread, for ids, tokens and jitter.
 * Promises: none of its own.
 * Owner: nothing to own; the buffer is the thread's and used bytes are wiped.
 * Thread: any.
 * Fails: a kernel that gives no bytes aborts.
 * Does not: give repeatable numbers, but after random_test_seed.
 */
#ifndef KSPOOL_BASE_RANDOM_H
#define KSPOOL_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* getrandom(2), buffered per thread: for ids and tokens. */
void random_bytes(void *bytes, size_t count);
uint64_t random_u64(void);
/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(uint64_t bound);
/* Uniform in [0, 1). */
double random_unit(void);
/* A version 4 UUID in lower case; buffer holds 37 bytes. Returns it. */
char *random_uuid(char *buffer);
/* Makes this thread's generator deterministic (tests). */
void random_test_seed(uint64_t seed);

#endif
