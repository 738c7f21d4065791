/* gofmt_print: one value under one verb. Internal to gofmt. */
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
