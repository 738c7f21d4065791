/* ksuid */
#ifndef KSPOOL_BLOBLANG_FORMATS_KSUID_H
#define KSPOOL_BLOBLANG_FORMATS_KSUID_H

enum { KSUID_TEXT_MAX = 28 };

/* https://github.com/segmentio/ksuid, of the current time. */
char *ksuid_make(char text[KSUID_TEXT_MAX]);

#endif
