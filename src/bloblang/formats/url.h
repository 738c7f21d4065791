/*
 * url: percent-encoding and URLs as Go's net/url has them.
 *
 * What it is: which characters stand for themselves in which part, parsing into parts, and form bodies.
 * Promises: 6. What it makes lies in the arena given, whose limit holds.
 * Owner: the caller's arena owns what is made; what is read must outlive it where values point into it.
 * Thread: any; nothing is shared.
 * Fails: By the language's own style: false with a sentence in *ret_error, in arena or static memory, which a mapping
 *     shows.
 * Does not: resolve or normalise: AWS's canonical requests are aws/signing's.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_URL_H
#define KSPOOL_BLOBLANG_FORMATS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"
#include "value/value.h"

/* What the text is a part of: which characters stand for themselves. */
enum url_part { URL_PATH, URL_SEGMENT, URL_HOST, URL_ZONE, URL_USER, URL_QUERY, URL_FRAGMENT };

void url_escape(struct text *out, const char *s, size_t length, enum url_part part);
bool url_unescape(struct text *out, const char *s, size_t length, enum url_part part, const char **ret_error);
/* {scheme, opaque, host, path, raw_path, raw_query, fragment, raw_fragment[, user{name[, password]}]} */
bool url_parse(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);
/* A form body; repeated keys become arrays. */
bool url_parse_form(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error);

#endif
