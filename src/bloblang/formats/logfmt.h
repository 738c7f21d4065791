/* logfmt */
#ifndef KSPOOL_BLOBLANG_FORMATS_LOGFMT_H
#define KSPOOL_BLOBLANG_FORMATS_LOGFMT_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

/* An object of strings; a bare key is true; of equal keys the last stays. */
bool logfmt_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);

#endif
