/*
 * hash: where in the stream a record goes.
 *
 * What it is: the service maps a partition key by MD5 to 128 bits, or takes the explicit hash key as that number; each
 * shard has an interval of them. Here the upper 64 bits stand for all: two keys that they do not tell apart are 2^64
 * neighbours. Promises: none of its own. Owner: nobody. Thread: any, with a context of its own.
 * Fails: never; where MD5 may not be used (FIPS) every key has the same place, and no shard is told from another.
 * Does not: know shards. Source: API reference, PutRecords and HashKeyRange.
 */
#ifndef KSPOOL_KINESIS_HASH_H
#define KSPOOL_KINESIS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hasher;

struct hasher *hasher_new(void);
/* Accepts null. */
void hasher_free(struct hasher *h);
uint64_t hasher_key(struct hasher *h, const char *key, size_t bytes);
/* Of a checked hash key (key.h): up to 39 digits. */
uint64_t hash_of_number(const char *digits, size_t count);

#endif
