/*
 * uuid: identifiers: UUID versions 5 and 7, ULID, KSUID, nanoid, snowflake.
 *
 * Random bits come from the kernel, time from base/clock.h. Printers write a NUL and return their buffer. Thread: any.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_UUID_H
#define KSPOOL_BLOBLANG_FORMATS_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	UUID_BYTES = 16,
	UUID_TEXT_MAX = 37,
	ULID_TEXT_MAX = 27,
	ULID_HEX_MAX = 33,
	KSUID_TEXT_MAX = 28,
	NANOID_LENGTH = 21,
	NANOID_LENGTH_MAX = 1000,
};

char *uuid_print(const unsigned char id[UUID_BYTES], char text[UUID_TEXT_MAX]);
/* "dns", "url", "oid", "x500" or the text of a UUID. */
bool uuid_namespace(const char *name, size_t length, unsigned char ret[UUID_BYTES]);
/* RFC 9562 section 5.5; ret may be the namespace itself. */
void uuid_v5_make(const unsigned char namespace[UUID_BYTES], const void *name, size_t length,
                  unsigned char ret[UUID_BYTES]);
/* RFC 9562 section 5.7. */
void uuid_v7_make(int64_t unix_ms, unsigned char ret[UUID_BYTES]);

/* https://github.com/ulid/spec, of the current time. */
char *ulid_make(char text[ULID_TEXT_MAX]);
char *ulid_make_hex(char text[ULID_HEX_MAX]);
/* https://github.com/segmentio/ksuid, of the current time. */
char *ksuid_make(char text[KSUID_TEXT_MAX]);
/* length characters drawn uniformly from the alphabet (2..255 bytes); no NUL. */
void nanoid_make(char *text, size_t length, const char *alphabet, size_t alphabet_length);
/* 41 bits of milliseconds since 2010-11-04 (Twitter's epoch), 10 of the node, 12 counting within the millisecond. */
int64_t snowflake_make(uint32_t node);

#endif
