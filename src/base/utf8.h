/*
 * utf8: runes of byte strings.
 *
 * What it is: the one decoder, encoder and validator of UTF-8 (RFC 3629). An invalid byte decodes as U+FFFD of width
 * 1, as Go does it.
 * Promises: none of its own.
 * Owner: the caller owns every buffer.
 * Thread: any; no state.
 * Fails: never; *ret_valid tells what was no UTF-8.
 * Does not: map case or know classes but white space (libunistring does), or normalise.
 */
#ifndef KSPOOL_BASE_UTF8_H
#define KSPOOL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UTF8_REPLACEMENT = 0xFFFD, UTF8_MAX = 4 };

/* Decodes one rune of [s, end), s < end; returns its width in bytes. *ret_valid (may be null). */
size_t utf8_decode(const char *s, const char *end, uint32_t *ret_rune, bool *ret_valid);
/* Writes 1..4 bytes; surrogates and out-of-range become U+FFFD. */
size_t utf8_encode(char *out, uint32_t rune);
bool utf8_is_valid(const char *s, size_t length);
size_t utf8_count(const char *s, size_t length);

/*
 * May be put on a terminal or into a line: no control (C0, DEL, C1), no line or paragraph separator, nothing that turns
 * the direction of text or stands in it unseen.
 */
bool utf8_is_shown(uint32_t rune);
/* White_Space property. */
bool utf8_is_space(uint32_t rune);

#endif
