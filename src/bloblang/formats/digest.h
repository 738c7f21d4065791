/*
 * digest: hashes and check sums by name.
 *
 * What it is: OpenSSL's digests and HMACs; CRC-32 by polynomial; xxHash64 (seed 0) and FNV-1 (32 bit), which the
 *     reference gives as decimal text.
 * Promises: none of its own.
 * Owner: static tables; the caller owns the buffers.
 * Thread: any; nothing is shared.
 * Fails: an unknown name gives null; making a digest cannot fail.
 * Does not: keep or show keys; base/crc32c.h has what the journal needs.
 */
#ifndef KSPOOL_BLOBLANG_FORMATS_DIGEST_H
#define KSPOOL_BLOBLANG_FORMATS_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_MAX = 64 };

struct digest;

/* md5 sha1 sha256 sha512 sha3_256 sha3_512 hmac_sha1 hmac_sha256 hmac_sha512 crc32 xxhash64 fnv32; null: unknown. */
const struct digest *digest_find(const char *name, size_t length);
bool digest_needs_key(const struct digest *d);
bool digest_is_crc(const struct digest *d);
/* "IEEE", "Castagnoli", "Koopman": the reversed polynomial; 0: unknown. */
uint32_t digest_crc_polynomial(const char *name, size_t length);
/* Writes at most DIGEST_MAX bytes; returns how many. key and polynomial matter only where they are used. */
size_t digest_make(const struct digest *d, const void *data, size_t length, const void *key, size_t key_length,
                   uint32_t polynomial, unsigned char out[DIGEST_MAX]);

uint64_t digest_xxhash64(const void *data, size_t length);
uint32_t digest_crc32(uint32_t polynomial, const void *data, size_t length);

#endif
