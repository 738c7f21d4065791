/*
 * mem: small allocations that end the process on failure.
 *
 * What it is: memory for objects whose size the program decides.
 * Promises: 3 (ending is safe).
 * Owner: the caller; free() it.
 * Thread: any.
 * Fails: a line on stderr and the exit status of ERR_MEMORY, at once; a size that overflows is a bug and aborts.
 * Does not: serve what comes from outside: that is a struct buf (buf.h) or a budget, which can say no.
 */
#ifndef KSPOOL_BASE_MEM_H
#define KSPOOL_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
/* Zeroed. */
void *mem_zero(size_t size) __attribute__((malloc, returns_nonnull));
/* count * size with an overflow check. */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *old, size_t count, size_t size) __attribute__((returns_nonnull));
/* As realloc. These have the names by which libraries can be given them, so that none goes on without memory. */
void *mem_resize(void *old, size_t size) __attribute__((returns_nonnull));
/* What a library made: null means that it had no memory for it. */
void *mem_given(void *p) __attribute__((returns_nonnull));
/* A library says that it had none. */
_Noreturn void mem_exhausted(void);
char *mem_string(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_string_n(const char *s, size_t length) __attribute__((malloc, returns_nonnull));
char *mem_format(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#endif
