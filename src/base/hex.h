/*
 * hex: hexadecimal digits.
 *
 * What it is: the value of a digit, and bytes spelled as digits.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state.
 * Fails: what is no digit has the value -1.
 * Does not: read "0x", signs or white space, or allocate.
 */
#ifndef KSPOOL_BASE_HEX_H
#define KSPOOL_BASE_HEX_H

#include <stddef.h>

extern const char hex_lower[17]; /* "0123456789abcdef" */
extern const char hex_upper[17];

/* 0..15 for a digit of either case, -1 for anything else. */
int hex_value(char c);
/* Writes two digits a byte, out of hex_lower or hex_upper, and no NUL; returns the end of what it wrote. */
char *hex_encode(const char *digits, const void *data, size_t bytes, char *out);

#endif
