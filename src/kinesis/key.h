/*
 * key: what the service takes as partition key and explicit hash key.
 *
 * What it is: two checks made before sending, for a bad key fails its whole request of up to 500 records.
 * Promises: 12 (one bad key harms only its own message). Owner: nobody. Thread: any.
 * Fails: ERR_INPUT with a sentence that does not quote the key. Does not: make keys or know shards. Source: limits.h.
 */
#ifndef KSPOOL_KINESIS_KEY_H
#define KSPOOL_KINESIS_KEY_H

#include <stddef.h>

#include "base/error.h"

/* 1..256 characters of valid UTF-8. */
enum err key_check_partition(const char *key, size_t bytes, struct error *e) MUST_CHECK;
/* A decimal number without leading zeros, 0..2^128-1. */
enum err key_check_hash(const char *key, size_t bytes, struct error *e) MUST_CHECK;

#endif
