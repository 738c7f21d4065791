/*
 * gofmt: Go's Sprintf over values.
 *
 * What it is: verbs, flags, widths, precisions, argument indexes, and the diagnostics Go prints in place of what does
 *     not fit ("%!d(string=x)"). A number of a document is a json.Number: text.
 * Promises: 6. What it makes goes to a struct text, whose arena has the limit.
 * Owner: the caller owns the struct text.
 * Thread: any; nothing is shared.
 * Fails: by nothing of its own; past the arena's limit the text is marked failed.
 * Does not: pointers, or %w.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_GOFMT_H
#define KSPOOL_BLOBLANG_GOLANG_GOFMT_H

#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

void go_sprintf(struct text *out, const char *format, size_t length, const struct value *args, size_t count);

#endif
