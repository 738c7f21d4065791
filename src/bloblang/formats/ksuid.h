/*
 * ksuid: identifiers that sort by second, in base 62.
 *
 * What it is: random bits come from the kernel, time from base/clock.h.
 * Promises: none of its own.
 * Owner: the caller, of every buffer.
 * Thread: any; nothing is shared.
 * Fails: never.
 * Does not: read ids.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_KSUID_H
#define KSPOOL_BLOBLANG_FORMATS_KSUID_H

enum { KSUID_TEXT_MAX = 28 };

/* https://github.com/segmentio/ksuid, of the current time. */
char *ksuid_make(char text[KSUID_TEXT_MAX]);

#endif
