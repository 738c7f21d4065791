/*
 * mem: small allocations that abort on failure.
 *
 * For objects whose size the program decides. Anything whose size comes from outside is a struct buf (buf.h) with
 * a maximum. Aborting is safe: promise 3.
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
char *mem_string(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_string_n(const char *s, size_t length) __attribute__((malloc, returns_nonnull));
char *mem_format(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

#endif
