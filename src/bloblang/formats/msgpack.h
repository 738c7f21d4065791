/*
 * msgpack: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) to values and back.
 *
 * Output: an arena, a struct text. Thread: any. Fails: false with a sentence in arena memory.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_MSGPACK_H
#define KSPOOL_BLOBLANG_FORMATS_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

/* The first value of the bytes. Maps need string keys. */
bool msgpack_read(struct arena *a, const char *bytes, size_t length, struct value *ret, const char **ret_error);
void msgpack_write(struct text *out, struct value v);

#endif
