/*
 * key: what the service takes as partition key and explicit hash key.
 *
 * A bad key fails the whole request of up to 500 records, so each is checked before it is sent. Fails with ERR_INPUT
 * and a sentence without the key's text. Source: limits.h. Thread: any.
 */
#ifndef KSPOOL_KINESIS_KEY_H
#define KSPOOL_KINESIS_KEY_H

#include <stddef.h>

#include "base/error.h"

/* 1..256 characters of valid UTF-8. */
enum err partition_key_check(const char *key, size_t bytes, struct error *e) MUST_CHECK;
/* A decimal number without leading zeros, 0..2^128-1. */
enum err hash_key_check(const char *key, size_t bytes, struct error *e) MUST_CHECK;

#endif
