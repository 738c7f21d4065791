/*
 * nanoid: short random identifiers over an alphabet of choice.
 *
 * What it is: random bits come from the kernel, and no letter is favoured.
 * Promises: none of its own.
 * Owner: the caller, of every buffer.
 * Thread: any; nothing is shared.
 * Fails: never; an alphabet of no letters is a bug.
 * Does not: check the length or the letters: the function does.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_NANOID_H
#define KSPOOL_BLOBLANG_FORMATS_NANOID_H

#include <stddef.h>

enum { NANOID_LENGTH = 21, NANOID_LENGTH_MAX = 1000 };

/* length characters drawn uniformly from the alphabet (2..255 bytes); no NUL. */
void nanoid_make(char *text, size_t length, const char *alphabet, size_t alphabet_length);

#endif
