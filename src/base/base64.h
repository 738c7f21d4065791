/*
 * base64: RFC 4648, the standard and the URL alphabet.
 *
 * What it is: the encoder and decoder. Encoding is on the path of every JSON request: with SSSE3 (found at run time on
 * x86) it moves several gigabytes a second, elsewhere plain C does the same.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state.
 * Fails: decoding takes canonical text only (padding as the form demands, bits behind the last byte zero, no white
 * space), so that one value has one text; anything else answers false.
 * Does not: write a NUL, read past its input, allocate, or break lines.
 */
#ifndef KSPOOL_BASE_BASE64_H
#define KSPOOL_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

enum base64_form {
	BASE64_STANDARD, /* + and /, padded (section 4) */
	BASE64_URL,      /* - and _, padded (section 5) */
	BASE64_URL_BARE, /* - and _, without padding */
	BASE64_STANDARD_BARE,
	BASE64_STANDARD_LOOSE, /* as BASE64_STANDARD, but decoding ignores the bits behind the last byte, as Go does */
};

/* Characters that encoding `bytes` bytes gives; bytes at most SIZE_MAX / 4 * 3 - 3, which a buffer limit ensures. */
size_t base64_length(enum base64_form form, size_t bytes);
/* Writes base64_length(form, bytes) characters. */
void base64_encode(enum base64_form form, const void *data, size_t bytes, char *out);
/* Most bytes that decoding `length` characters gives: room that `out` of base64_decode must have. */
size_t base64_room(size_t length);
bool base64_decode(enum base64_form form, const char *text, size_t length, void *out, size_t *ret_bytes)
    __attribute__((warn_unused_result));

#endif
