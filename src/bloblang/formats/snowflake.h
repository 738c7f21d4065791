/*
 * snowflake: 64-bit identifiers that grow with time.
 *
 * What it is: Twitter's layout; ids of one process are unique and ascending, also when the clock goes back.
 * Promises: none of its own.
 * Owner: the process holds the newest id.
 * Thread: any; it is one atomic number.
 * Fails: never.
 * Does not: remember the newest id over a restart.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_SNOWFLAKE_H
#define KSPOOL_BLOBLANG_FORMATS_SNOWFLAKE_H

#include <stdint.h>

/* 41 bits of milliseconds since 2010-11-04 (Twitter's epoch), 10 of the node, 12 counting within the millisecond. */
int64_t snowflake_make(uint32_t node);

#endif
