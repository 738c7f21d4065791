/*
 * guard: bearer tokens.
 *
 * What it is: the SHA-256 hashes of the tokens of a file, one token a line (several may be valid at once, for
 * rotation). Empty lines and lines beginning with '#' are skipped. Only hashes are compared, in constant time. The
 * tokens themselves are wiped after reading. The file must be regular, not a symlink, owned by root or by us, closed to
 * others and not writable by its group.
 * Promises: none of its own. Owner: the caller. Thread: any.
 * Fails: with ERR_CONFIG naming the path, never a token. Does not: read the file again; a reload makes a new guard.
 */
#ifndef KSPOOL_SERVER_GUARD_H
#define KSPOOL_SERVER_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "server/listener.h"

struct guard;

enum { GUARD_TOKEN_MIN_BYTES = 16, GUARD_TOKEN_MAX_BYTES = 512 };

enum err guard_load(const char *path, struct guard **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void guard_free(struct guard *g);
/* token needs no terminator. */
bool guard_admits(const struct guard *g, const char *token, size_t length);
/* 0 when it is not admitted; else a number that is this token's, also after the file was read again. */
uint64_t guard_judge(const struct guard *g, const char *token, size_t length);
uint64_t guard_judge_header(const struct guard *g, const char *authorization);
/* A token as a peer's key (listener.h): no address has such a first byte. */
void guard_key(uint64_t token, unsigned char ret[LISTENER_KEY_BYTES]);
/* The value of an Authorization header ("Bearer <token>"); null is refused. */
bool guard_admits_header(const struct guard *g, const char *authorization);

#endif
