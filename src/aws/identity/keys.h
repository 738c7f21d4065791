/*
 * keys: one set of AWS credentials.
 *
 * What it is: access key id, secret, session token and when they expire.
 * Promises: memory is overwritten before it is given back.
 * Owner: whoever holds the struct; keys_wipe accepts a zeroed one.
 * Thread: one at a time.
 * Fails: keys_check with ERR_CREDENTIALS.
 * Does not: know where they came from.
 */
#ifndef KSPOOL_AWS_IDENTITY_KEYS_H
#define KSPOOL_AWS_IDENTITY_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { KEYS_TEXT_MAX = 16384 };

struct aws_keys {
	char *id;
	char *secret;
	char *token;        /* null: none */
	int64_t expires_ms; /* wall time; 0: never */
};

/* Copies; token may be null or "". The old ones are wiped. */
void keys_set(struct aws_keys *k, const char *id, const char *secret, const char *token, int64_t expires_ms);
/* to's old ones are wiped; from is left empty. */
void keys_move(struct aws_keys *to, struct aws_keys *from);
void keys_wipe(struct aws_keys *k);
/* ERR_OK when id, secret and token can travel in header fields; else ERR_CREDENTIALS, without showing them. */
enum err keys_check(const char *id, const char *secret, const char *token, struct error *e) MUST_CHECK;

#endif
