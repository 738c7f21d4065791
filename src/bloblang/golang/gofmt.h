/*
 * gofmt: Go's Sprintf over values.
 *
 * What it is: verbs, flags, widths, precisions, argument indexes, and the diagnostics Go prints in place of what does
 * not fit ("%!d(string=x)"). A number of a document is a json.Number: text. Thread: any. Output: a struct text.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_GOFMT_H
#define KSPOOL_BLOBLANG_GOLANG_GOFMT_H

#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

void go_sprintf(struct text *out, const char *format, size_t length, const struct value *args, size_t count);

#endif
