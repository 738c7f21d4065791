/*
 * number: the reference's grammars and printed forms of numbers.
 *
 * What it is: printers that write at most NUMBER_TEXT_MAX bytes with no NUL and return the length; parsers that take
 *     the whole text.
 * Promises: none of its own.
 * Owner: the caller, of every buffer.
 * Thread: any; the locale of the process is C.
 * Fails: parsers give false and leave nothing to use, except where a function says so.
 * Does not: compute; hold numbers wider than 64 bits.
 */
#ifndef KSPOOL_VALUE_NUMBER_H
#define KSPOOL_VALUE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT_MAX = 40 };

size_t number_print_int(char *out, int64_t i);
size_t number_print_uint(char *out, uint64_t u);
/* Shortest digits that read back the same: digits without point, *ret_exponent of the first digit. bits: 32 or 64. */
size_t number_shortest(double d, int bits, char *digits, int *ret_exponent);
/* As JSON: positional for 1e-6 <= |d| < 1e21. d is finite. */
size_t number_print_json(char *out, double d, int bits);
/* As text: positional for exponents -4..5. Infinities and NaN are "+Inf", "-Inf", "NaN". */
size_t number_print_text(char *out, double d, int bits);

/* Decimal int64 only: optional sign, digits. */
bool number_parse_int(const char *text, size_t length, int64_t *ret);
/* Go's ParseFloat: decimal, hex with p, inf/infinity/nan; underscores between digits.
 * What is too large fails and leaves an infinity. */
bool number_parse_float(const char *text, size_t length, double *ret);
/* Go's ParseInt / ParseUint with base 0: 0x 0b 0o, leading 0 octal, underscores. */
bool number_parse_int_any(const char *text, size_t length, int64_t *ret);
bool number_parse_uint_any(const char *text, size_t length, uint64_t *ret);

#endif
