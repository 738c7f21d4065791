/*
 * codec: compression by name, in memory, bounded by the arena.
 *
 * What it is: flate, gzip, pgzip (the same as gzip), zlib (zlib); lz4 (frame); snappy (block); zstd; bzip2 (reading
 * only). Output goes to a struct text, so a bomb stops at the arena's limit. Thread: any.
 * Fails: false with a sentence in static or arena memory.
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
