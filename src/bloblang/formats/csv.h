/*
 * csv: rows of RFC 4180 as Go's encoding/csv reads them, and logfmt lines.
 *
 * Output: values in an arena. Thread: any. Fails: false with the reference's sentence in arena memory.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_CSV_H
#define KSPOOL_BLOBLANG_FORMATS_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

struct csv_options {
	uint32_t delimiter; /* a code point; not a quote or a line break */
	bool lazy_quotes;   /* quotes may stand within fields */
};

/* An array of arrays of strings; every row as wide as the first; blank lines are skipped. */
bool csv_parse(struct arena *a, const char *s, size_t length, const struct csv_options *options, struct value *ret,
               const char **ret_error);

#endif
