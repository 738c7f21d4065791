/* snowflake */
#ifndef KSPOOL_BLOBLANG_FORMATS_SNOWFLAKE_H
#define KSPOOL_BLOBLANG_FORMATS_SNOWFLAKE_H

#include <stdint.h>

/* 41 bits of milliseconds since 2010-11-04 (Twitter's epoch), 10 of the node, 12 counting within the millisecond. */
int64_t snowflake_make(uint32_t node);

#endif
