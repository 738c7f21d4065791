#include "bloblang/formats/uuid.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/random.h"

enum {
	SHA1_BYTES = 20,
	ULID_BYTES = 16,
	KSUID_BYTES = 20,
	KSUID_EPOCH_S = 1400000000,
	BASE62 = 62,
	SNOWFLAKE_NODE_BITS = 10,
	SNOWFLAKE_STEP_BITS = 12,
};

#define SNOWFLAKE_EPOCH_MS INT64_C(1288834974657)

char *uuid_print(const unsigned char id[UUID_BYTES], char text[UUID_TEXT_MAX])
{
	char *at = text;

	for (int i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at += snprintf(at, 3, "%02x", id[i]);
	}
	return text;
}

static bool uuid_parse(const char *text, size_t length, unsigned char ret[UUID_BYTES])
{
	int digits = 0;

	if (length >= 9 && memcmp(text, "urn:uuid:", 9) == 0) {
		text += 9;
		length -= 9;
	} else if (length == 38 && text[0] == '{' && text[37] == '}') {
		text++;
		length -= 2;
	}
	if (length != 36 && length != 32)
		return false;
	for (size_t i = 0; i < length; i++) {
		int v = hex_value(text[i]);

		if (length == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
			if (text[i] != '-')
				return false;
			continue;
		}
		if (v < 0)
			return false;
		ret[digits / 2] = (unsigned char)(digits % 2 ? ret[digits / 2] | v : v << 4);
		digits++;
	}
	return true;
}

bool uuid_namespace(const char *name, size_t length, unsigned char ret[UUID_BYTES])
{
	static const struct {
		const char *name;
		unsigned char last; /* the namespaces of RFC 9562 differ in one byte */
	} known[] = {{"dns", 0x10}, {"url", 0x11}, {"oid", 0x12}, {"x500", 0x14}};
	static const unsigned char base[UUID_BYTES] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
	                                               0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (strlen(known[i].name) == length && memcmp(known[i].name, name, length) == 0) {
			memcpy(ret, base, sizeof base);
			ret[3] = known[i].last;
			return true;
		}
	}
	return uuid_parse(name, length, ret);
}

static void set_version(unsigned char id[UUID_BYTES], int version)
{
	id[6] = (unsigned char)((id[6] & 0x0f) | version << 4);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
}

void uuid_v5_make(const unsigned char namespace[UUID_BYTES], const void *name, size_t length,
                  unsigned char ret[UUID_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char digest[SHA1_BYTES];

	(void)EVP_DigestInit_ex(ctx, EVP_sha1(), NULL);
	(void)EVP_DigestUpdate(ctx, namespace, UUID_BYTES);
	(void)EVP_DigestUpdate(ctx, name, length);
	(void)EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	memcpy(ret, digest, UUID_BYTES);
	set_version(ret, 5);
}

static void put_big_endian(unsigned char *out, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		out[i] = (unsigned char)v;
}

void uuid_v7_make(int64_t unix_ms, unsigned char ret[UUID_BYTES])
{
	put_big_endian(ret, (uint64_t)unix_ms, 6);
	random_bytes(ret + 6, UUID_BYTES - 6);
	set_version(ret, 7);
}

static void ulid_bytes(unsigned char id[ULID_BYTES])
{
	put_big_endian(id, (uint64_t)clock_wall_ms(), 6);
	random_bytes(id + 6, ULID_BYTES - 6);
}

char *ulid_make(char text[ULID_TEXT_MAX])
{
	static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	unsigned char id[ULID_BYTES];

	ulid_bytes(id);
	for (int i = 0; i < ULID_TEXT_MAX - 1; i++) { /* 26 digits of 5 bits hold 130 bits: the first two are zero */
		int bit = i * 5 - 2;
		unsigned v = 0;

		for (int k = bit; k < bit + 5; k++)
			v = v << 1 | (k < 0 ? 0U : (unsigned)(id[k / 8] >> (7 - k % 8) & 1));
		text[i] = crockford[v];
	}
	text[ULID_TEXT_MAX - 1] = '\0';
	return text;
}

char *ulid_make_hex(char text[ULID_HEX_MAX])
{
	unsigned char id[ULID_BYTES];

	ulid_bytes(id);
	for (int i = 0; i < ULID_BYTES; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", id[i]);
	return text;
}

char *ksuid_make(char text[KSUID_TEXT_MAX])
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned char id[KSUID_BYTES];

	put_big_endian(id, (uint64_t)(clock_wall_ms() / MS_PER_S - KSUID_EPOCH_S), 4);
	random_bytes(id + 4, KSUID_BYTES - 4);
	text[KSUID_TEXT_MAX - 1] = '\0';
	for (int i = KSUID_TEXT_MAX - 2; i >= 0; i--) { /* long division by 62, digit by digit */
		unsigned rest = 0;

		for (int k = 0; k < KSUID_BYTES; k++) {
			rest = rest << 8 | id[k];
			id[k] = (unsigned char)(rest / BASE62);
			rest %= BASE62;
		}
		text[i] = digits[rest];
	}
	return text;
}

void nanoid_make(char *text, size_t length, const char *alphabet, size_t alphabet_length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char draws[8];
		size_t limit = 256 - 256 % alphabet_length, k = sizeof draws;

		do { /* draws past the last full multiple are thrown away: no letter is favoured */
			if (k == sizeof draws) {
				random_bytes(draws, sizeof draws);
				k = 0;
			}
		} while (draws[k++] >= limit);
		text[i] = alphabet[draws[k - 1] % alphabet_length];
	}
}

int64_t snowflake_make(uint32_t node)
{
	static _Atomic int64_t last; /* milliseconds and step of the newest id */
	int64_t seen = atomic_load(&last), next;

	do { /* when the steps of a millisecond are used up, or the clock goes back, it runs ahead */
		next = (clock_wall_ms() - SNOWFLAKE_EPOCH_MS) << SNOWFLAKE_STEP_BITS;
		if (next <= seen)
			next = seen + 1;
	} while (!atomic_compare_exchange_weak(&last, &seen, next));
	return next >> SNOWFLAKE_STEP_BITS << (SNOWFLAKE_STEP_BITS + SNOWFLAKE_NODE_BITS) |
	       (int64_t)(node & ((1U << SNOWFLAKE_NODE_BITS) - 1)) << SNOWFLAKE_STEP_BITS |
	       (next & ((1 << SNOWFLAKE_STEP_BITS) - 1));
}
