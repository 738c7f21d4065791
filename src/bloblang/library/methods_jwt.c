/*
 * Methods of the family "JSON Web Tokens".
 *
 * Invariants:
 * 1. A token's algorithm is the one in the method's name; another is refused before the signature is looked at.
 * 2. No claim is believed before the signature was verified.
 * 3. A signature has at most SIGNATURE_MAX bytes; those of HMAC are compared in constant time.
 * 4. No error text holds a secret.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "base/check.h"
#include "base/clock.h"
#include "value/json.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/language/function.h"

enum { SIGNATURE_MAX = 1024, COORDINATE_MAX = 66 };

enum family { HMAC_FAMILY, RSA_FAMILY, EC_FAMILY };

struct algorithm {
	const char *name;
	enum family family;
	const EVP_MD *(*digest)(void);
	size_t coordinate; /* bytes of each half of an ECDSA signature */
};

static const struct algorithm algorithms[] = {
    {"HS256", HMAC_FAMILY, EVP_sha256, 0}, {"HS384", HMAC_FAMILY, EVP_sha384, 0}, {"HS512", HMAC_FAMILY, EVP_sha512, 0},
    {"RS256", RSA_FAMILY, EVP_sha256, 0},  {"RS384", RSA_FAMILY, EVP_sha384, 0},  {"RS512", RSA_FAMILY, EVP_sha512, 0},
    {"ES256", EC_FAMILY, EVP_sha256, 32},  {"ES384", EC_FAMILY, EVP_sha384, 48},  {"ES512", EC_FAMILY, EVP_sha512, 66},
};

/* Keys are read when the mapping is, so that a wrong one is a fault of the file. HMAC has secrets of any kind. */
static bool prepare_key(struct call *call, const struct algorithm *a, bool private)
{
	struct value pem = call->args[0];
	int kind = a->family == RSA_FAMILY ? EVP_PKEY_RSA : EVP_PKEY_EC;
	EVP_PKEY *key;
	BIO *bio;

	if (a->family == HMAC_FAMILY)
		return true;
	bio = BIO_new_mem_buf(pem.text, (int)pem.length);
	key = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	(void)BIO_free(bio);
	if (!key)
		return call_fail(call, "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key");
	if (EVP_PKEY_get_base_id(key) != kind) {
		EVP_PKEY_free(key);
		return call_fail(call, "key is not a valid %s %s key", kind == EVP_PKEY_RSA ? "RSA" : "ECDSA",
		                 private ? "private" : "public");
	}
	call->prepared = call->owned = key;
	return true;
}

static void release_key(void *owned) { EVP_PKEY_free(owned); }

/* Two numbers of fixed width, as JWS has them, instead of DER. */
static bool flatten(const unsigned char *der, size_t n, size_t width, unsigned char *out)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
	bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)width) >= 0 &&
	          BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + width, (int)width) >= 0;

	ECDSA_SIG_free(sig);
	return ok;
}

static int unflatten(const unsigned char *in, size_t width, unsigned char *der)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(in, (int)width, NULL), *s = BN_bin2bn(in + width, (int)width, NULL);
	int n = 0;

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1)
		n = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	return n;
}

/* *ret_error: a sentence without the secret. */
static bool sign(const struct algorithm *a, EVP_PKEY *key, struct value secret, struct value input, unsigned char *out,
                 size_t *ret_length, const char **ret_error)
{
	unsigned char raw[SIGNATURE_MAX];
	size_t n = sizeof raw;
	unsigned int hmac_length;
	EVP_MD_CTX *ctx;
	bool ok;

	must(EVP_MD_get_size(a->digest()) <= SIGNATURE_MAX && 2 * a->coordinate <= SIGNATURE_MAX);
	if (a->family == HMAC_FAMILY) {
		(void)HMAC(a->digest(), secret.text, (int)secret.length, (const unsigned char *)input.text,
		           input.length, out, &hmac_length);
		*ret_length = hmac_length;
		return true;
	}
	ctx = EVP_MD_CTX_new();
	ok = EVP_PKEY_get_size(key) <= SIGNATURE_MAX && EVP_DigestSignInit(ctx, NULL, a->digest(), NULL, key) == 1 &&
	     EVP_DigestSign(ctx, raw, &n, (const unsigned char *)input.text, input.length) == 1;
	EVP_MD_CTX_free(ctx);
	if (ok && a->family == EC_FAMILY) {
		ok = flatten(raw, n, a->coordinate, out);
		n = 2 * a->coordinate;
	} else if (ok) {
		memcpy(out, raw, n);
	}
	*ret_length = n;
	*ret_error = "failed to sign the token";
	return ok;
}

static bool verify(const struct algorithm *a, EVP_PKEY *key, struct value secret, struct value input,
                   const unsigned char *signature, size_t length, const char **ret_error)
{
	unsigned char other[SIGNATURE_MAX];
	size_t n;
	EVP_MD_CTX *ctx;
	bool ok;

	*ret_error = "token signature is invalid: signature is invalid";
	if (a->family == HMAC_FAMILY)
		return sign(a, NULL, secret, input, other, &n, ret_error) && n == length &&
		       CRYPTO_memcmp(other, signature, n) == 0;
	if (a->family == EC_FAMILY) {
		*ret_error = "token signature is invalid: crypto/ecdsa: verification error";
		n = length == 2 * a->coordinate ? (size_t)unflatten(signature, a->coordinate, other) : 0;
		signature = other;
	} else {
		*ret_error = "token signature is invalid: crypto/rsa: verification error";
		n = length;
	}
	ctx = EVP_MD_CTX_new();
	ok = n > 0 && EVP_DigestVerifyInit(ctx, NULL, a->digest(), NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, signature, n, (const unsigned char *)input.text, input.length) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static void add_base64(struct text *out, const void *bytes, size_t n)
{
	struct text part;
	const char *error;

	text_init(&part, out->arena);
	(void)encoding_encode(encoding_find("base64rawurl", 12), bytes, n, &part, &error);
	text_add(out, text_end(&part), part.length);
}

static bool sign_jwt(struct call *call, const struct algorithm *a, struct value *ret)
{
	static const struct json_style style = {.escape_html = true};
	struct value header = value_object(call->arena, 4), given = call->args[1], input;
	struct text token, json;
	unsigned char signature[SIGNATURE_MAX];
	const char *error;
	size_t n;

	if (call->target.kind != VALUE_OBJECT)
		return call_fail_type(call, call->target, "object");
	value_object_set(call->arena, header, "typ", 3, value_literal("JWT"));
	if (given.kind == VALUE_OBJECT)
		for (uint32_t i = 0; i < value_count(given); i++)
			value_object_set(call->arena, header, given.object->pairs[i].key,
			                 given.object->pairs[i].key_length, given.object->pairs[i].value);
	value_object_set(call->arena, header, "alg", 3, value_literal(a->name));
	text_init(&token, call->arena);
	text_init(&json, call->arena);
	if (!json_print(&json, header, &style, &error))
		return call_fail(call, "failed to sign JWT: %s", error);
	add_base64(&token, text_end(&json), json.length);
	text_add_char(&token, '.');
	text_init(&json, call->arena);
	if (!json_print(&json, call->target, &style, &error))
		return call_fail(call, "failed to sign JWT: %s", error);
	add_base64(&token, text_end(&json), json.length);
	input = value_string(text_end(&token), token.length);
	if (!sign(a, call->owned, call->args[0], input, signature, &n, &error))
		return call_fail(call, "failed to sign JWT: %s", error);
	text_add_char(&token, '.');
	add_base64(&token, signature, n);
	*ret = value_from_text(&token, VALUE_STRING);
	return true;
}

static bool fail_token(struct call *call, const char *what) { return call_fail(call, "parsing JWT string: %s", what); }

static bool decode_part(struct call *call, const char *p, size_t n, struct value *ret)
{
	struct text out;
	const char *error;

	text_init(&out, call->arena);
	if (!encoding_decode(encoding_find("base64rawurl", 12), p, n, &out, &error))
		return false;
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool decode_json(struct call *call, const char *p, size_t n, struct value *ret)
{
	struct value text;
	const char *error;

	return decode_part(call, p, n, &text) && json_parse(call->arena, text.text, text.length, ret, &error) &&
	       ret->kind == VALUE_OBJECT;
}

/* exp and nbf, when they are there. Null, or what is wrong. */
static const char *check_times(struct value claims)
{
	const struct value *expires = value_object_find(claims, "exp", 3),
	                   *begins = value_object_find(claims, "nbf", 3);
	double now = (double)clock_wall_ms() / MS_PER_S, at;

	if (expires && value_to_float(*expires, &at) && now >= at)
		return "token has invalid claims: token is expired";
	if (begins && value_to_float(*begins, &at) && now < at)
		return "token has invalid claims: token is not valid yet";
	return NULL;
}

static bool parse_jwt(struct call *call, const struct algorithm *a, struct value *ret)
{
	struct value token, header, signature, *named;
	const char *first, *second, *end, *wrong;

	if (!call_need_text(call, call->target, &token))
		return false;
	end = token.text + token.length;
	first = token.length ? memchr(token.text, '.', token.length) : NULL;
	second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
	if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
		return fail_token(call, "token is malformed: token contains an invalid number of segments");
	if (!decode_json(call, token.text, (size_t)(first - token.text), &header))
		return fail_token(call, "token is malformed: could not JSON decode header");
	if (!decode_json(call, first + 1, (size_t)(second - first - 1), ret))
		return fail_token(call, "token is malformed: could not JSON decode claim");
	if (!decode_part(call, second + 1, (size_t)(end - second - 1), &signature))
		return fail_token(call, "token is malformed: could not base64 decode signature");
	named = value_object_find(header, "alg", 3);
	if (!named || !value_text_is(*named, a->name))
		return call_fail(call,
		                 "parsing JWT string: token is unverifiable: error while executing keyfunc: incorrect "
		                 "signing method: %.*s",
		                 named && value_is_text(*named) ? (int)named->length : 0,
		                 named && value_is_text(*named) ? named->text : "");
	if (!verify(a, call->owned, call->args[0], value_string(token.text, (size_t)(second - token.text)),
	            (const unsigned char *)signature.text, signature.length, &wrong))
		return fail_token(call, wrong);
	wrong = check_times(*ret);
	return !wrong || fail_token(call, wrong);
}

#define JWT_METHODS(suffix_, index_)                                                                              \
	static bool private_##suffix_(struct call *call) { return prepare_key(call, &algorithms[index_], true); } \
	static bool public_##suffix_(struct call *call) { return prepare_key(call, &algorithms[index_], false); } \
	static bool sign_##suffix_(struct call *call, struct value *ret)                                          \
	{                                                                                                         \
		return sign_jwt(call, &algorithms[index_], ret);                                                  \
	}                                                                                                         \
	static bool parse_##suffix_(struct call *call, struct value *ret)                                         \
	{                                                                                                         \
		return parse_jwt(call, &algorithms[index_], ret);                                                 \
	}

JWT_METHODS(hs256, 0)
JWT_METHODS(hs384, 1)
JWT_METHODS(hs512, 2)
JWT_METHODS(rs256, 3)
JWT_METHODS(rs384, 4)
JWT_METHODS(rs512, 5)
JWT_METHODS(es256, 6)
JWT_METHODS(es384, 7)
JWT_METHODS(es512, 8)

/* clang-format off */
#define JWT_ROWS(suffix_, name_) \
	{.name = "sign_jwt_" #suffix_, .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = sign_##suffix_, \
	 .prepare = private_##suffix_, .release = release_key, \
	 .parameters = {{"signing_secret", PARAM_STRING, false, NULL}, {"headers", PARAM_ANY, true, NULL}}, \
	 .summary = "Signs a claims object as a JWT with " name_ "."}, \
	{.name = "parse_jwt_" #suffix_, .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = parse_##suffix_, \
	 .prepare = public_##suffix_, .release = release_key, \
	 .parameters = {{"signing_secret", PARAM_STRING, false, NULL}}, \
	 .summary = "Verifies a JWT signed with " name_ " and yields its claims."}

const struct bloblang_row rows_methods_jwt[] = {
	JWT_ROWS(hs256, "HS256"),
	JWT_ROWS(hs384, "HS384"),
	JWT_ROWS(hs512, "HS512"),
	JWT_ROWS(rs256, "RS256"),
	JWT_ROWS(rs384, "RS384"),
	JWT_ROWS(rs512, "RS512"),
	JWT_ROWS(es256, "ES256"),
	JWT_ROWS(es384, "ES384"),
	JWT_ROWS(es512, "ES512"),
	{.name = NULL},
};
/* clang-format on */
