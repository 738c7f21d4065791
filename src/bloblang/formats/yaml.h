/*
 * yaml: one YAML document to a value and back, as Go's yaml.v3 does it.
 *
 * What it is: libyaml's parser and the core schema (yes and on stay texts, dates become timestamps, merge keys work); a
 *     block style writer with four spaces, sorted keys, and quotes where a plain text would read back as something
 *     else.
 * Promises: 11. Depth is bounded, and aliases count as what they stand for. 6. What it makes lies in the arena given,
 *     whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: documents behind the first one; configuration files: config/tree.h.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_YAML_H
#define KSPOOL_BLOBLANG_FORMATS_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

bool yaml_read(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);
void yaml_write(struct text *out, struct value v);
/* What a plain scalar means; STRING when it is just text. */
struct value yaml_resolve(struct arena *a, const char *s, size_t length);

#endif
