/*
 * encoding: bytes as text and back.
 *
 * What it is: base64 in three alphabets, hex, ascii85 (no frame) and z85, as strict and as lenient as the reference's
 *     decoders.
 * Promises: 6. What it makes goes to a struct text, whose arena has the limit.
 * Owner: static tables; the caller owns the struct text.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: percent-encoding: url.h.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_ENCODING_H
#define KSPOOL_BLOBLANG_FORMATS_ENCODING_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"

struct encoding;

/* "base64", "base64url", "base64rawurl", "hex", "ascii85", "z85"; null when unknown. */
const struct encoding *encoding_find(const char *name, size_t length);
bool encoding_encode(const struct encoding *e, const char *in, size_t length, struct text *out, const char **ret_error);
bool encoding_decode(const struct encoding *e, const char *in, size_t length, struct text *out, const char **ret_error);

#endif
