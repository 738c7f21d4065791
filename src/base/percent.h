/*
 * percent: the escapes of URLs (RFC 3986, section 2.1).
 *
 * What it is: one "%XX" read and written. Which characters are escaped, and what a broken escape or "+" means, differs
 * between a path, a query and a signature, so that is left to the caller.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state.
 * Fails: a broken escape reads as -1; a full buf shows in its overflow.
 * Does not: read past `end`, or decide what a NUL means.
 */
#ifndef KSPOOL_BASE_PERCENT_H
#define KSPOOL_BASE_PERCENT_H

#include "base/buf.h"

enum { PERCENT_CHARS = 3 };

/* The byte 0..255 that the escape at p stands for; -1 when fewer than three characters are left or it is none. */
int percent_decode(const char *p, const char *end);
/* Adds "%2F" for '/'. */
void percent_add(struct buf *out, char c);

#endif
