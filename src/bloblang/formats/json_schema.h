/*
 * schema: JSON Schema, drafts 4 to 7, over values.
 *
 * What it is: a validator that walks schema and value together; references within the schema ("#/definitions/x", "#id")
 * are followed, references to elsewhere are refused when the schema is compiled. Formats are not asserted beyond
 * date-time, date, time, email, ipv4, ipv6, uri and uuid. Patterns are RE2 (regex.h). Messages are those of the
 * reference's library. Owner: compile's arena; schema_release frees the patterns. Thread: a compiled schema any.
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
