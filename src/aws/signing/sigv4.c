#include "aws/signing/sigv4.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/check.h"
#include "base/dates.h"
#include "base/hex.h"
#include "base/mem.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

enum { DAY_CHARS = 8, STRING_TO_SIGN_MAX = 1024 };

struct sigv4 {
	EVP_MD *sha256;
	EVP_MD_CTX *hash;
	EVP_MAC *hmac;
	EVP_MAC_CTX *keyed;                     /* holds the signing key of `cached` */
	unsigned char cached[SIGV4_HASH_BYTES]; /* hash over day, region, service, key id and secret */
	bool has_cached;
	struct buf canonical;
	struct buf names;
	struct buf to_sign;
};

enum err sigv4_open(struct sigv4 **ret, struct error *e)
{
	struct sigv4 *s = mem_zero(sizeof *s);

	*ret = NULL;
	buf_init(&s->canonical, SIGV4_CANONICAL_MAX);
	buf_init(&s->names, SIGV4_CANONICAL_MAX);
	buf_init(&s->to_sign, STRING_TO_SIGN_MAX);
	s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	s->hash = EVP_MD_CTX_new();
	s->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	s->keyed = s->hmac ? EVP_MAC_CTX_new(s->hmac) : NULL;
	if (!s->sha256 || !s->hash || !s->keyed) {
		sigv4_close(s);
		return error_set(e, ERR_SYSTEM, "OpenSSL offers no SHA-256 or HMAC");
	}
	*ret = s;
	return ERR_OK;
}

void sigv4_close(struct sigv4 *s)
{
	if (!s)
		return;
	EVP_MAC_CTX_free(s->keyed);
	EVP_MAC_free(s->hmac);
	EVP_MD_CTX_free(s->hash);
	EVP_MD_free(s->sha256);
	OPENSSL_cleanse(s->cached, sizeof s->cached);
	buf_fini(&s->canonical);
	buf_fini(&s->names);
	buf_fini(&s->to_sign);
	free(s);
}

void sigv4_hash(struct sigv4 *s, const void *data, size_t bytes, unsigned char *hash)
{
	must(EVP_DigestInit_ex2(s->hash, s->sha256, NULL) == 1);
	must(EVP_DigestUpdate(s->hash, data, bytes) == 1);
	must(EVP_DigestFinal_ex(s->hash, hash, NULL) == 1);
}

void sigv4_hex(const unsigned char *hash, char *text) { *hex_encode(hex_lower, hash, SIGV4_HASH_BYTES, text) = '\0'; }

static void mac_key(struct sigv4 *s, const void *key, size_t bytes)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	                       OSSL_PARAM_construct_end()};

	must(EVP_MAC_init(s->keyed, key, bytes, params) == 1);
}

static void mac_final(struct sigv4 *s, const void *data, size_t bytes, unsigned char *ret)
{
	size_t got;

	must(EVP_MAC_update(s->keyed, data, bytes) == 1);
	must(EVP_MAC_final(s->keyed, ret, &got, SIGV4_HASH_BYTES) == 1 && got == SIGV4_HASH_BYTES);
}

/* Both the name the derived key is cached under and nothing an attacker can turn back into the secret. */
static void cache_name(struct sigv4 *s, const struct sigv4_scope *scope, const char *day, unsigned char *ret)
{
	const char *parts[] = {day, scope->region, scope->service, scope->access_key_id, scope->secret_access_key};

	must(EVP_DigestInit_ex2(s->hash, s->sha256, NULL) == 1);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		must(EVP_DigestUpdate(s->hash, parts[i], strlen(parts[i]) + 1) == 1);
	must(EVP_DigestFinal_ex(s->hash, ret, NULL) == 1);
}

static void derive_key(struct sigv4 *s, const struct sigv4_scope *scope, const char *day)
{
	unsigned char name[SIGV4_HASH_BYTES], key[SIGV4_HASH_BYTES];
	struct buf first;

	cache_name(s, scope, day, name);
	if (s->has_cached && CRYPTO_memcmp(name, s->cached, sizeof name) == 0)
		return;
	buf_init(&first, strlen(scope->secret_access_key) + 4);
	must(buf_reserve(&first, first.max, NULL) == ERR_OK);
	(void)buf_addf(&first, "AWS4%s", scope->secret_access_key);
	mac_key(s, first.data, first.len);
	OPENSSL_cleanse(first.data, first.len);
	buf_fini(&first);
	mac_final(s, day, DAY_CHARS, key);
	mac_key(s, key, sizeof key);
	mac_final(s, scope->region, strlen(scope->region), key);
	mac_key(s, key, sizeof key);
	mac_final(s, scope->service, strlen(scope->service), key);
	mac_key(s, key, sizeof key);
	mac_final(s, "aws4_request", strlen("aws4_request"), key);
	mac_key(s, key, sizeof key);
	memcpy(s->cached, name, sizeof name);
	s->has_cached = true;
	OPENSSL_cleanse(key, sizeof key);
}

enum err sigv4_sign(struct sigv4 *s, const struct sigv4_scope *scope, const struct canonical_request *request,
                    int64_t wall_ms, struct buf *authorization, struct error *e)
{
	char stamp[DATES_AMZ_BYTES], day[DAY_CHARS + 1], hex[SIGV4_HEX_BYTES];
	unsigned char hash[SIGV4_HASH_BYTES];
	enum err err = canonical_build(request, &s->canonical, &s->names, e);

	if (err)
		return err;
	dates_format_amz(wall_ms, stamp);
	memcpy(day, stamp, DAY_CHARS);
	day[DAY_CHARS] = '\0';
	sigv4_hash(s, s->canonical.data, s->canonical.len, hash);
	sigv4_hex(hash, hex);
	buf_clear(&s->to_sign);
	if (buf_addf(&s->to_sign, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", stamp, day, scope->region,
	             scope->service, hex))
		return error_set(e, ERR_TOOBIG, "region or service name is too long to sign with");
	derive_key(s, scope, day);
	must(EVP_MAC_init(s->keyed, NULL, 0, NULL) == 1);
	mac_final(s, s->to_sign.data, s->to_sign.len, hash);
	sigv4_hex(hash, hex);
	buf_clear(authorization);
	if (buf_addf(authorization, ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
	             scope->access_key_id, day, scope->region, scope->service, s->names.data, hex))
		return error_set(e, ERR_TOOBIG, "the Authorization field is larger than %zu bytes", authorization->max);
	return ERR_OK;
}

const char *sigv4_last_canonical(const struct sigv4 *s) { return s->canonical.data ? s->canonical.data : ""; }

const char *sigv4_last_string_to_sign(const struct sigv4 *s) { return s->to_sign.data ? s->to_sign.data : ""; }
