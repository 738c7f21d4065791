/*
 * ulid: identifiers that sort by time, in base 32 or hex.
 *
 * What it is: random bits come from the kernel, time from base/clock.h.
 * Promises: none of its own.
 * Owner: the caller, of every buffer.
 * Thread: any; nothing is shared.
 * Fails: never.
 * Does not: count within a millisecond: the order of two ids of one is random.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_ULID_H
#define KSPOOL_BLOBLANG_FORMATS_ULID_H

enum { ULID_TEXT_MAX = 27, ULID_HEX_MAX = 33 };

/* https://github.com/ulid/spec, of the current time. */
char *ulid_make(char text[ULID_TEXT_MAX]);
char *ulid_make_hex(char text[ULID_HEX_MAX]);

#endif
