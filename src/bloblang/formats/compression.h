/*
 * compression: compression by name, in memory.
 *
 * What it is: flate, gzip, pgzip (the same as gzip), zlib (zlib); lz4 (frame); snappy (block); zstd; bzip2 (reading
 *     only).
 * Promises: 6. Output goes to a struct text, so that a bomb stops at the arena's limit.
 * Owner: static tables; the caller owns the struct text.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: streams or files: one call reads and writes all of it.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_COMPRESSION_H
#define KSPOOL_BLOBLANG_FORMATS_COMPRESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"

struct compression;

/* Null when unknown. */
const struct compression *compression_find(const char *name, size_t length);
bool compression_can_write(const struct compression *c);
/* level: -1 is the codec's own default. */
bool compression_compress(const struct compression *c, int level, const char *in, size_t length, struct text *out,
                          const char **ret_error);
bool compression_decompress(const struct compression *c, const char *in, size_t length, struct text *out,
                            const char **ret_error);

#endif
