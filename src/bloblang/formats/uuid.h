/*
 * uuid: UUIDs of versions 5 and 7.
 *
 * What it is: RFC 9562; random bits come from the kernel, time from base/clock.h. Printers write a NUL and return their
 *     buffer.
 * Promises: none of its own.
 * Owner: the caller, of every buffer.
 * Thread: any; nothing is shared.
 * Fails: a name that is no namespace gives false; else never.
 * Does not: version 4: functions_general.c makes it of random bytes.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_UUID_H
#define KSPOOL_BLOBLANG_FORMATS_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { UUID_BYTES = 16, UUID_TEXT_MAX = 37 };

char *uuid_print(const unsigned char id[UUID_BYTES], char text[UUID_TEXT_MAX]);
/* "dns", "url", "oid", "x500" or the text of a UUID. */
bool uuid_namespace(const char *name, size_t length, unsigned char ret[UUID_BYTES]);
/* RFC 9562 section 5.5; ret may be the namespace itself. */
void uuid_v5_make(const unsigned char namespace[UUID_BYTES], const void *name, size_t length,
                  unsigned char ret[UUID_BYTES]);
/* RFC 9562 section 5.7. */
void uuid_v7_make(int64_t unix_ms, unsigned char ret[UUID_BYTES]);

#endif
