/*
 * xml: one element's text out of a small document.
 *
 * A strict scanner for what STS sends: an optional declaration, elements with attributes, text with the five named
 * entities and numeric ones. Comments, CDATA, DOCTYPE and processing instructions make a document invalid. Depth is
 * limited; nothing is allocated but the result. Thread: any.
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
