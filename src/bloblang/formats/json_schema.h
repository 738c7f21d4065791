/*
 * json_schema: JSON Schema, drafts 4 to 7, over values.
 *
 * What it is: a validator that walks schema and value together; references within the schema ("#/definitions/x", "#id")
 *     are followed. Formats are not asserted beyond date-time, date, time, email, ipv4, ipv6, uri and uuid. Patterns
 *     are regex.h's. Messages are those of the reference's library.
 * Promises: 11. Depth is bounded, references in a circle end.
 * Owner: compile's arena owns the schema; schema_release() frees its patterns and accepts null.
 * Thread: any; a compiled schema is immutable and may be shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: fetch anything: a reference that leads outside is refused when the schema is compiled.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_JSON_SCHEMA_H
#define KSPOOL_BLOBLANG_FORMATS_JSON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

struct schema;

/* Null with *ret_error. */
struct schema *schema_compile(struct arena *a, const char *json, size_t length, const char **ret_error);
void schema_release(struct schema *s);
/* Appends a line for each violation; true when there is none. */
bool schema_check(const struct schema *s, struct value v, struct text *problems);

#endif
