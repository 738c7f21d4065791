#include "bloblang/formats/uuid.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/hex.h"
#include "base/random.h"

enum { SHA1_BYTES = 20 };

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

static bool text_is(const char *s, const char *text, size_t length)
{
	return strlen(s) == length && memcmp(s, text, length) == 0;
}

bool uuid_namespace(const char *name, size_t length, unsigned char ret[UUID_BYTES])
{
	static const struct {
		const char *lower, *upper;
		unsigned char last; /* the namespaces of RFC 9562 differ in one byte */
	} known[] = {{"dns", "DNS", 0x10}, {"url", "URL", 0x11}, {"oid", "OID", 0x12}, {"x500", "X500", 0x14}};
	static const unsigned char base[UUID_BYTES] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
	                                               0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		if (text_is(known[i].lower, name, length) || text_is(known[i].upper, name, length)) {
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

void uuid_v7_make(int64_t unix_ms, unsigned char ret[UUID_BYTES])
{
	for (int i = 0; i < 6; i++)
		ret[i] = (unsigned char)(unix_ms >> (40 - 8 * i));
	random_bytes(ret + 6, UUID_BYTES - 6);
	set_version(ret, 7);
}
