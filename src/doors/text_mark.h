/*
 * text_mark: what the first bytes of a text say about how it is written.
 *
 * What it is: UTF-8 may have a mark before it, which is none of it. UTF-16 and UTF-32 would be cut at newlines, which
 * are two or four bytes there: each line but the first would be no text any more. They are told by their mark, or
 * without one by eight bytes and more that are one byte of each character and NULs beside it.
 * Promises: none of its own. Thread: any. Fails: never. Does not: look further than it is given.
 */
#ifndef KSPOOL_DOORS_TEXT_MARK_H
#define KSPOOL_DOORS_TEXT_MARK_H

#include <stdbool.h>
#include <stddef.h>

enum { TEXT_MARK_BYTES = 16 };

/* Why a foreign text is not read. */
#define TEXT_MARK_FOREIGN "it is UTF-16 or UTF-32: make it UTF-8 (iconv -f UTF-16 -t UTF-8)"

/* Of at most TEXT_MARK_BYTES of a text. by_mark_alone: what may be no text, but is none that begins so. */
bool text_mark_is_foreign(const void *text, size_t length, bool by_mark_alone);
/* How many bytes of UTF-8's own mark stand there: 3, or 0. */
size_t text_mark_utf8(const void *text, size_t length);

#endif
