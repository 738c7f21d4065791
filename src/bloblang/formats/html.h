/*
 * html: escaping and unescaping text as Go's package html does it, and removing tags.
 *
 * What it is: the five characters < > & ' " out; every named and numeric reference of HTML 5 in.
 * Promises: 6. What it makes goes to a struct text, whose arena has the limit.
 * Owner: the caller owns the struct text.
 * Thread: any; nothing is shared.
 * Fails: by nothing of its own; past the arena's limit the text is marked failed.
 * Does not: parse documents: a tag is what stands between < and >.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_HTML_H
#define KSPOOL_BLOBLANG_FORMATS_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "value/arena.h"

void html_escape(struct text *out, const char *s, size_t length);
void html_unescape(struct text *out, const char *s, size_t length);
/*
 * Removes tags, comments, and script and style elements with their content. Elements of `keep` (count names, lower
 * case) stay, without attributes. Text stays as it is.
 */
void html_strip(struct text *out, const char *s, size_t length, const char *const *keep, size_t count);

#endif
