/*
 * hex: hexadecimal digits, and the escapes of URLs made of them (RFC 3986, section 2.1).
 *
 * What it is: the value of a digit, bytes spelled as digits, one "%XX" read and written. Which characters are escaped,
 * and what a broken escape or "+" means, differs between a path, a query and a signature: that is left to the caller.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state.
 * Fails: what is no digit or no escape has the value -1; a full buf shows in its overflow.
 * Does not: read "0x", signs or white space, read past `end`, or decide what a NUL means.
 */
#ifndef KSPOOL_BASE_HEX_H
#define KSPOOL_BASE_HEX_H

#include <stddef.h>

#include "base/buf.h"

enum { HEX_PERCENT_CHARS = 3 };

extern const char hex_lower[17]; /* "0123456789abcdef" */
extern const char hex_upper[17];

/* 0..15 for a digit of either case, -1 for anything else. */
int hex_value(char c);
/* Writes two digits a byte, out of hex_lower or hex_upper, and no NUL; returns the end of what it wrote. */
char *hex_encode(const char *digits, const void *data, size_t bytes, char *out);

/* The byte 0..255 that the escape at p stands for; -1 when fewer than three characters are left or it is none. */
int hex_percent_decode(const char *p, const char *end);
/* Adds "%2F" for '/'. */
void hex_percent_add(struct buf *out, char c);

#endif
