/*
 * gofmt_print: one value under one verb; for gofmt.c only.
 *
 * What it is: the flags that stand between a percent sign and its verb, and the printing of a value under them.
 * Promises: 6. What it makes goes to a struct text, whose arena has the limit.
 * Owner: the caller owns the struct text.
 * Thread: one printer, one thread.
 * Fails: by nothing of its own; past the arena's limit the text is marked failed.
 * Does not: read formats: gofmt.c.
 */
#ifndef KSPOOL_BLOBLANG_GOLANG_GOFMT_PRINT_H
#define KSPOOL_BLOBLANG_GOLANG_GOFMT_PRINT_H

#include <stdbool.h>
#include <stdint.h>

#include "value/arena.h"
#include "value/value.h"

struct printer {
	struct text *out;
	int width, precision;
	bool has_width, has_precision;
	bool plus, minus, sharp, space, zero;
	bool plus_v, sharp_v;
	int depth;
};

void gofmt_print(struct printer *p, struct value v, uint32_t verb);

#endif
