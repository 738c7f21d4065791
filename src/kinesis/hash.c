#include "kinesis/hash.h"

#include <stdlib.h>

#include <openssl/evp.h>

#include "base/byte_order.h"
#include "base/check.h"
#include "base/mem.h"

struct hasher {
	EVP_MD *md5; /* null: not allowed here */
	EVP_MD_CTX *context;
};

struct hasher *hasher_new(void)
{
	struct hasher *h = mem_zero(sizeof *h);

	h->md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	h->context = EVP_MD_CTX_new();
	must(h->context);
	return h;
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->context);
	EVP_MD_free(h->md5);
	free(h);
}

uint64_t hasher_key(struct hasher *h, const char *key, size_t bytes)
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!h->md5 || EVP_DigestInit_ex2(h->context, h->md5, NULL) != 1 ||
	    EVP_DigestUpdate(h->context, key, bytes) != 1 || EVP_DigestFinal_ex(h->context, digest, NULL) != 1)
		return 0;
	return (uint64_t)get_big_u32(digest) << 32 | get_big_u32(digest + 4);
}

uint64_t hash_of_number(const char *digits, size_t count)
{
	unsigned __int128 number = 0;

	for (size_t i = 0; i < count; i++)
		number = number * 10 + (unsigned)(digits[i] - '0');
	return (uint64_t)(number >> 64);
}
