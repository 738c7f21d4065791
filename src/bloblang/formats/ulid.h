/* ulid */
#ifndef KSPOOL_BLOBLANG_FORMATS_ULID_H
#define KSPOOL_BLOBLANG_FORMATS_ULID_H

enum { ULID_TEXT_MAX = 27, ULID_HEX_MAX = 33 };

/* https://github.com/ulid/spec, of the current time. */
char *ulid_make(char text[ULID_TEXT_MAX]);
char *ulid_make_hex(char text[ULID_HEX_MAX]);

#endif
