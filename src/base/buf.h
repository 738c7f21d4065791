/*
 * buf: a growing byte buffer with a maximum.
 *
 * What it is: bytes whose number comes from outside. The maximum is given at init. data is NUL-terminated one past len
 * once anything was added.
 * Promises: 6 (nothing grows past its maximum).
 * Owner: whoever holds the struct; buf_fini accepts a zeroed one.
 * Thread: any, one at a time.
 * Fails: an add that would pass the maximum changes nothing, returns ERR_TOOBIG and sets `overflow`. That stays set
 * until buf_clear, so a run of adds is checked once at its end: this is why no add is MUST_CHECK. Want of memory aborts
 * (mem.h).
 * Does not: charge a budget, or keep pointers into it valid over an add.
 */
#ifndef KSPOOL_BASE_BUF_H
#define KSPOOL_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
	bool overflow; /* sticky: an add was refused since the last buf_clear */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empties it; keeps the memory and the maximum. */
void buf_clear(struct buf *b);
/* Hands the memory (NUL-terminated, free() it) over and leaves b empty. Never null. */
char *buf_take(struct buf *b, size_t *ret_len);

/* Makes room for `more` bytes; *ret_room (may be null) points at them. Use buf_advance after writing. */
enum err buf_reserve(struct buf *b, size_t more, char **ret_room);
void buf_advance(struct buf *b, size_t written);
enum err buf_add(struct buf *b, const void *data, size_t len);
enum err buf_add_text(struct buf *b, const char *text);
enum err buf_add_char(struct buf *b, char c);
enum err buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum err buf_addv(struct buf *b, const char *format, va_list ap);
/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

#endif
