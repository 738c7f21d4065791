/*
 * logfmt: lines of key=value pairs.
 *
 * What it is: a reader; quoted values have JSON's escapes, what is no key is passed over.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: make numbers of texts.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_LOGFMT_H
#define KSPOOL_BLOBLANG_FORMATS_LOGFMT_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

/* An object of strings; a bare key is true; of equal keys the last stays. */
bool logfmt_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);

#endif
