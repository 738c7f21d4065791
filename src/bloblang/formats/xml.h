/*
 * xml: documents to objects and back, by the conventions of Go's mxj.
 *
 * What it is: a tolerant reader of its own, because the reference's is (unknown references stay, attributes need no
 *     quotes, prefixes are dropped): attributes become "-name", text beside them "#text", repeated elements arrays.
 *     Comments, declarations and processing instructions are skipped.
 * Promises: 11. Depth is bounded, and entities are never loaded. 6. What it makes lies in the arena given, whose limit
 *     holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: validate, or answers of AWS: aws/identity/sts_xml.h.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_XML_H
#define KSPOOL_BLOBLANG_FORMATS_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

/* cast: texts that look like numbers or booleans become them. */
bool xml_read(struct arena *a, const char *s, size_t length, bool cast, struct value *ret, const char **ret_error);
/* indent: the text per level, null for none. root: the outermost tag, null to take the only key, or "doc". */
bool xml_write(struct text *out, struct value v, const char *indent, const char *root, size_t root_length,
               const char **ret_error) MUST_CHECK;

#endif
