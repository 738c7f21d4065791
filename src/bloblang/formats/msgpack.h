/*
 * msgpack: values to MessagePack and back.
 *
 * What it is: https://github.com/msgpack/msgpack/blob/master/spec.md, the timestamp extension included.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: keys that are not strings, or other extensions.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_MSGPACK_H
#define KSPOOL_BLOBLANG_FORMATS_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "value/arena.h"
#include "value/value.h"

enum { MSGPACK_DEPTH_MAX = 1000 };

/* The first value of the bytes. Maps need string keys. */
bool msgpack_read(struct arena *a, const char *bytes, size_t length, struct value *ret, const char **ret_error);
/* False when it is nested more than MSGPACK_DEPTH_MAX deep, or the arena is spent. */
bool msgpack_write(struct text *out, struct value v) MUST_CHECK;

#endif
