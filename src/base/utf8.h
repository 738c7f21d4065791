/*
 * utf8: runes of byte strings.
 *
 * Invalid bytes decode as U+FFFD of width 1, as Go does it.
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

/* Simple (one to one) case mapping and classes of the Unicode character database. */
uint32_t utf8_upper(uint32_t rune);
uint32_t utf8_lower(uint32_t rune);
uint32_t utf8_title(uint32_t rune);
/* White_Space property. */
bool utf8_is_space(uint32_t rune);

#endif
