/*
 * sigv4: AWS Signature Version 4.
 *
 * What it is: request, secret and time in; the Authorization value out. Digest and MAC are fetched from OpenSSL once;
 * the signing key (four HMACs) is derived once per day, region, service and key.
 * Promises: no secret leaves but as a signature; the derived key is wiped when replaced.
 * Owner: the caller of sigv4_open.
 * Thread: one at a time.
 * Fails: ERR_SYSTEM when OpenSSL does, ERR_TOOBIG as canonical.h says.
 * Does not: send anything or read the clock.
 */
#ifndef KSPOOL_AWS_SIGNING_SIGV4_H
#define KSPOOL_AWS_SIGNING_SIGV4_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "aws/signing/canonical.h"

enum { SIGV4_HASH_BYTES = 32, SIGV4_HEX_BYTES = 65, SIGV4_CANONICAL_MAX = 256 * 1024 };

struct sigv4;

struct sigv4_scope {
	const char *region;
	const char *service;
	const char *access_key_id;
	const char *secret_access_key;
};

enum err sigv4_open(struct sigv4 **ret, struct error *e) MUST_CHECK;
/* Accepts null. */
void sigv4_close(struct sigv4 *s);

/* SHA-256; hash holds SIGV4_HASH_BYTES. */
void sigv4_hash(struct sigv4 *s, const void *data, size_t bytes, unsigned char *hash);
/* 64 lower-case digits and a NUL. */
void sigv4_hex(const unsigned char *hash, char *text);

/*
 * The Authorization value for the request; every field of it is signed, "host" and "x-amz-date" (of the same time)
 * must be among them. request->payload_hash is set from payload_hash. authorization is cleared first.
 */
enum err sigv4_sign(struct sigv4 *s, const struct sigv4_scope *scope, const struct canonical_request *request,
                    int64_t wall_ms, struct buf *authorization, struct error *e) MUST_CHECK;

/* What the last sigv4_sign hashed and signed, for tests and for explaining a refusal. No secret is in them. */
const char *sigv4_last_canonical(const struct sigv4 *s);
const char *sigv4_last_string_to_sign(const struct sigv4 *s);

#endif
