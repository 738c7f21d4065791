/*
 * csv: rows of RFC 4180 as Go's encoding/csv reads them.
 *
 * What it is: a reader with any delimiter, and quotes that may be lazy.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: write CSV, or know of header rows: the method does.
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
