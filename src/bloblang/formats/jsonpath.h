/*
 * jsonpath: JSONPath queries over values.
 *
 * What it is: $, .name, ['name'], [n], [a:b:c], [*], .*, ..name, unions [a,b], and filters [?(@.price < 10 && !@.x)]. A
 *     path of plain steps yields its value and fails when it leads nowhere; any other yields an array of what it found.
 *     Objects are walked in the order of their keys.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; a compiled path is immutable and may be shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: scripts, functions, or regular expressions in filters.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_JSONPATH_H
#define KSPOOL_BLOBLANG_FORMATS_JSONPATH_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

struct jsonpath;

/* Null with *ret_error. Everything lies in the arena. */
const struct jsonpath *jsonpath_compile(struct arena *a, const char *text, size_t length, const char **ret_error);
bool jsonpath_run(struct arena *a, const struct jsonpath *path, struct value root, struct value *ret,
                  const char **ret_error);

#endif
