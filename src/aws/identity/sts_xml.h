/*
 * sts_xml: the text of one element out of what STS sends.
 *
 * What it is: a strict scanner: an optional declaration, elements with attributes, text with the five named entities
 * and numeric ones. Fuzzed.
 * Promises: 11 (depth is limited, nothing is allocated but the result).
 * Owner: the caller owns text and buf.
 * Thread: any; no state.
 * Fails: false: no such element, one with children, a document that is not well-formed, a text that outgrows out.
 * Does not: take comments, CDATA, DOCTYPE or processing instructions: a document with one is invalid. Mappings use
 * bloblang/formats/xml.h.
 */
#ifndef KSPOOL_AWS_IDENTITY_STS_XML_H
#define KSPOOL_AWS_IDENTITY_STS_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum { STS_XML_DEPTH_MAX = 16 };

/* path: "Root/Child/Leaf"; the first such element's own text goes to out (cleared first). False when there is none,
 * when it has children, when the document is not well-formed, or when the text outgrows out. */
bool sts_xml_find(const char *text, size_t length, const char *path, struct buf *out);

#endif
