#include "bloblang/formats/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

enum digest_kind { PLAIN, KEYED, CRC32, XXHASH64, FNV32 };

struct digest {
	const char *name;
	enum digest_kind kind;
	const EVP_MD *(*algorithm)(void);
};

static const struct digest digests[] = {
    {"md5", PLAIN, EVP_md5},        {"sha1", PLAIN, EVP_sha1},          {"sha256", PLAIN, EVP_sha256},
    {"sha512", PLAIN, EVP_sha512},  {"sha3_256", PLAIN, EVP_sha3_256},  {"sha3_512", PLAIN, EVP_sha3_512},
    {"hmac_sha1", KEYED, EVP_sha1}, {"hmac_sha256", KEYED, EVP_sha256}, {"hmac_sha512", KEYED, EVP_sha512},
    {"hmac-sha1", KEYED, EVP_sha1}, {"hmac-sha256", KEYED, EVP_sha256}, {"hmac-sha512", KEYED, EVP_sha512},
    {"crc32", CRC32, NULL},         {"xxhash64", XXHASH64, NULL},       {"fnv32", FNV32, NULL},
};

const struct digest *digest_find(const char *name, size_t length)
{
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		if (strlen(digests[i].name) == length && memcmp(digests[i].name, name, length) == 0)
			return &digests[i];
	return NULL;
}

bool digest_needs_key(const struct digest *d) { return d->kind == KEYED; }

bool digest_is_crc(const struct digest *d) { return d->kind == CRC32; }

uint32_t digest_crc_polynomial(const char *name, size_t length)
{
	static const struct {
		const char *name;
		uint32_t polynomial;
	} known[] = {{"IEEE", 0xedb88320}, {"Castagnoli", 0x82f63b78}, {"Koopman", 0xeb31d82e}};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0)
			return known[i].polynomial;
	return 0;
}

uint32_t digest_crc32(uint32_t polynomial, const void *data, size_t length)
{
	const unsigned char *p = data;
	uint32_t table[256], crc = UINT32_MAX;

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? polynomial : 0);
	}
	for (size_t i = 0; i < length; i++)
		crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
	return ~crc;
}

/* https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, XXH64 */
#define PRIME_1 UINT64_C(0x9e3779b185ebca87)
#define PRIME_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME_3 UINT64_C(0x165667b19e3779f9)
#define PRIME_4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME_5 UINT64_C(0x27d4eb2f165667c5)

static uint64_t rotate(uint64_t v, int by) { return v << by | v >> (64 - by); }

static uint64_t little_endian(const unsigned char *p, int bytes)
{
	uint64_t v = 0;

	for (int i = bytes - 1; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static uint64_t xx_round(uint64_t lane, uint64_t input) { return rotate(lane + input * PRIME_2, 31) * PRIME_1; }

uint64_t digest_xxhash64(const void *data, size_t length)
{
	const unsigned char *p = data, *end = p + length;
	uint64_t h = PRIME_5;

	if (length >= 32) {
		uint64_t lanes[4] = {PRIME_1 + PRIME_2, PRIME_2, 0, 0 - PRIME_1};

		for (; end - p >= 32; p += 32)
			for (int i = 0; i < 4; i++)
				lanes[i] = xx_round(lanes[i], little_endian(p + 8 * i, 8));
		h = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
		for (int i = 0; i < 4; i++)
			h = (h ^ xx_round(0, lanes[i])) * PRIME_1 + PRIME_4;
	}
	h += length;
	for (; end - p >= 8; p += 8)
		h = rotate(h ^ xx_round(0, little_endian(p, 8)), 27) * PRIME_1 + PRIME_4;
	for (; end - p >= 4; p += 4)
		h = rotate(h ^ little_endian(p, 4) * PRIME_1, 23) * PRIME_2 + PRIME_3;
	for (; p < end; p++)
		h = rotate(h ^ *p * PRIME_5, 11) * PRIME_1;
	h = (h ^ h >> 33) * PRIME_2;
	h = (h ^ h >> 29) * PRIME_3;
	return h ^ h >> 32;
}

/* FNV-1: multiply, then mix in. */
static uint32_t fnv32(const void *data, size_t length)
{
	const unsigned char *p = data;
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < length; i++)
		h = (h * 16777619U) ^ p[i];
	return h;
}

size_t digest_make(const struct digest *d, const void *data, size_t length, const void *key, size_t key_length,
                   uint32_t polynomial, unsigned char out[DIGEST_MAX])
{
	unsigned int n = 0;
	uint32_t crc;

	switch (d->kind) {
	case PLAIN:
		(void)EVP_Digest(data, length, out, &n, d->algorithm(), NULL);
		return n;
	case KEYED:
		(void)HMAC(d->algorithm(), key, (int)key_length, data, length, out, &n);
		return n;
	case CRC32:
		crc = digest_crc32(polynomial, data, length);
		for (int i = 0; i < 4; i++)
			out[i] = (unsigned char)(crc >> (24 - 8 * i));
		return 4;
	case XXHASH64:
		return (size_t)snprintf((char *)out, DIGEST_MAX, "%" PRIu64, digest_xxhash64(data, length));
	case FNV32:
		break;
	}
	return (size_t)snprintf((char *)out, DIGEST_MAX, "%" PRIu32, fnv32(data, length));
}
