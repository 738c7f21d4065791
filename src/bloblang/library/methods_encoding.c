/* Methods that turn bytes into other bytes: encodings, digests, compression, AES. */
#include <string.h>

#include <openssl/evp.h>

#include "bloblang/formats/codec.h"
#include "bloblang/formats/digest.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/language/function.h"

enum { AES_BLOCK_BYTES = 16, GCM_NONCE_BYTES = 12, GCM_TAG_BYTES = 16 };

static bool prepare_encoding(struct call *call)
{
	struct value name = call->args[0];

	call->prepared = encoding_find(name.text, name.length);
	return call->prepared || call_fail_final(call, "unrecognized encoding type: %.*s", (int)name.length, name.text);
}

static bool encode(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!encoding_encode(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool decode(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!encoding_decode(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool prepare_hash(struct call *call)
{
	struct value name = call->args[0];
	const struct digest *d = digest_find(name.text, name.length);

	if (!d)
		return call_fail_final(call, "unrecognized hash type: %.*s", (int)name.length, name.text);
	if (digest_needs_key(d) && !call_given(call, 1))
		return call_fail_final(call, "hash algorithm %.*s requires a key argument", (int)name.length,
		                       name.text);
	call->prepared = d;
	return true;
}

static bool hash(struct call *call, struct value *ret)
{
	const struct digest *d = call->prepared;
	struct value key = call->args[1], polynomial = call->args[2], in;
	uint32_t reversed = digest_crc_polynomial(polynomial.text, polynomial.length);
	unsigned char out[DIGEST_MAX];
	size_t n;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (digest_is_crc(d) && reversed == 0)
		return call_fail(call, "unsupported crc32 hash key \"%.*s\"", (int)polynomial.length, polynomial.text);
	n = digest_make(d, in.text, in.length, key.kind == VALUE_STRING ? key.text : "",
	                key.kind == VALUE_STRING ? key.length : 0, reversed, out);
	*ret = value_bytes(arena_copy(call->arena, out, n), n);
	return true;
}

static bool prepare_compress(struct call *call)
{
	struct value name = call->args[0];
	const struct codec *c = codec_find(name.text, name.length);

	if (!c || !codec_can_compress(c))
		return call_fail_final(call, "compression type not recognised: %.*s", (int)name.length, name.text);
	call->prepared = c;
	return true;
}

static bool prepare_decompress(struct call *call)
{
	struct value name = call->args[0];

	call->prepared = codec_find(name.text, name.length);
	return call->prepared ||
	       call_fail_final(call, "decompression type not recognised: %.*s", (int)name.length, name.text);
}

static bool compress_target(struct call *call, struct value *ret)
{
	int64_t level = call->args[1].integer;
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!codec_compress(call->prepared, level < -9 || level > 99 ? 100 : (int)level, in.text, in.length, &out,
	                    &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool decompress_target(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!codec_decompress(call->prepared, in.text, in.length, &out, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

enum aes_mode { AES_CTR, AES_GCM, AES_OFB, AES_CBC, AES_MODES };

struct aes {
	enum aes_mode mode;
	const EVP_CIPHER *cipher;
	const unsigned char *key, *iv;
};

static const EVP_CIPHER *aes_cipher(enum aes_mode mode, size_t key_bytes)
{
	static const EVP_CIPHER *(*const table[AES_MODES][3])(void) = {
	    [AES_CTR] = {EVP_aes_128_ctr, EVP_aes_192_ctr, EVP_aes_256_ctr},
	    [AES_GCM] = {EVP_aes_128_gcm, EVP_aes_192_gcm, EVP_aes_256_gcm},
	    [AES_OFB] = {EVP_aes_128_ofb, EVP_aes_192_ofb, EVP_aes_256_ofb},
	    [AES_CBC] = {EVP_aes_128_cbc, EVP_aes_192_cbc, EVP_aes_256_cbc},
	};

	return table[mode][key_bytes / 8 - 2]();
}

static bool prepare_aes(struct call *call)
{
	static const char *const names[AES_MODES] = {"ctr", "gcm", "ofb", "cbc"};
	struct value scheme = call->args[0], key = call->args[1], iv = call->args[2];
	struct aes *aes = arena_alloc(call->arena, sizeof *aes);
	int mode = 0;

	if (key.length != 16 && key.length != 24 && key.length != 32)
		return call_fail_final(call, "crypto/aes: invalid key size %u", key.length);
	while (mode < AES_MODES && !value_text_is(scheme, names[mode]))
		mode++;
	if (mode == AES_MODES)
		return call_fail_final(call, "unrecognized encryption type: %.*s", (int)scheme.length, scheme.text);
	if (iv.length != (mode == AES_GCM ? GCM_NONCE_BYTES : AES_BLOCK_BYTES))
		return call_fail_final(call, mode == AES_GCM ? "crypto/cipher: incorrect nonce length given to GCM"
		                                             : "the key must match the initialisation vector size");
	aes->mode = (enum aes_mode)mode;
	aes->cipher = aes_cipher(aes->mode, key.length);
	aes->key = (const unsigned char *)arena_copy(call->arena, key.text, key.length);
	aes->iv = (const unsigned char *)arena_copy(call->arena, iv.text, iv.length);
	call->prepared = aes;
	return true;
}

/* in[0..n) to out; the tag of GCM lies behind the text. */
static bool aes_run(const struct aes *aes, bool encrypting, const char *in, size_t n, unsigned char *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int done = 0, rest = 0;
	bool ok = ctx && EVP_CipherInit_ex(ctx, aes->cipher, NULL, aes->key, aes->iv, encrypting) == 1 &&
	          EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;

	if (ok && aes->mode == AES_GCM && !encrypting) {
		unsigned char tag[GCM_TAG_BYTES];

		memcpy(tag, in + n, sizeof tag);
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, tag) == 1;
	}
	ok = ok && EVP_CipherUpdate(ctx, out, &done, (const unsigned char *)in, (int)n) == 1 &&
	     EVP_CipherFinal_ex(ctx, out + done, &rest) == 1;
	if (ok && aes->mode == AES_GCM && encrypting)
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, out + n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

static bool encrypt_aes(struct call *call, struct value *ret)
{
	const struct aes *aes = call->prepared;
	struct value in;
	unsigned char *out;
	size_t n;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (aes->mode == AES_CBC && in.length % AES_BLOCK_BYTES != 0)
		return call_fail(call, "plaintext is not a multiple of the block size");
	n = in.length + (aes->mode == AES_GCM ? (size_t)GCM_TAG_BYTES : 0);
	out = arena_alloc(call->arena, n + AES_BLOCK_BYTES);
	if (!aes_run(aes, true, in.text, in.length, out))
		return call_fail(call, "encryption failed");
	*ret = value_string(out, n);
	return true;
}

static bool decrypt_aes(struct call *call, struct value *ret)
{
	const struct aes *aes = call->prepared;
	struct value in;
	unsigned char *out;
	size_t n;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (aes->mode == AES_CBC && in.length % AES_BLOCK_BYTES != 0)
		return call_fail(call, "ciphertext is not a multiple of the block size");
	if (aes->mode == AES_GCM && in.length < GCM_TAG_BYTES)
		return call_fail(call, "gcm decrypting failed: cipher: message authentication failed");
	n = in.length - (aes->mode == AES_GCM ? (size_t)GCM_TAG_BYTES : 0);
	out = arena_alloc(call->arena, n + AES_BLOCK_BYTES);
	if (!aes_run(aes, false, in.text, n, out))
		return call_fail(call, "gcm decrypting failed: cipher: message authentication failed");
	*ret = value_bytes(out, n);
	return true;
}

/* clang-format off */
#define AES_PARAMETERS .parameters = {{"scheme", PARAM_STRING, false, NULL}, {"key", PARAM_STRING, false, NULL}, \
	{"iv", PARAM_STRING, false, NULL}}, .prepare = prepare_aes

const struct bloblang_row rows_methods_encoding[] = {
	{.name = "encode", .kind = METHOD, .status = STABLE, .evaluate = encode, .prepare = prepare_encoding,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}},
	 .summary = "Bytes as text: base64, base64url, base64rawurl, hex, ascii85 or z85."},
	{.name = "decode", .kind = METHOD, .status = STABLE, .evaluate = decode, .prepare = prepare_encoding,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}}, .summary = "The bytes of an encoded text."},
	{.name = "hash", .kind = METHOD, .status = STABLE, .evaluate = hash, .prepare = prepare_hash,
	 .parameters = {{"algorithm", PARAM_STRING, false, NULL}, {"key", PARAM_STRING, true, NULL},
	                {"polynomial", PARAM_STRING, false, "\"IEEE\""}},
	 .summary = "A digest, HMAC or check sum of the bytes."},
	{.name = "compress", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = compress_target,
	 .prepare = prepare_compress,
	 .parameters = {{"algorithm", PARAM_STRING, false, NULL}, {"level", PARAM_INT, false, "-1"}},
	 .summary = "Compresses bytes: flate, gzip, pgzip, lz4, snappy, zlib or zstd."},
	{.name = "decompress", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = decompress_target,
	 .prepare = prepare_decompress, .parameters = {{"algorithm", PARAM_STRING, false, NULL}},
	 .summary = "Decompresses bytes: gzip, pgzip, zlib, bzip2, flate, snappy, lz4 or zstd."},
	{.name = "encrypt_aes", .kind = METHOD, .status = STABLE, .evaluate = encrypt_aes, AES_PARAMETERS,
	 .summary = "Encrypts with AES in mode ctr, gcm, ofb or cbc (no padding)."},
	{.name = "decrypt_aes", .kind = METHOD, .status = STABLE, .evaluate = decrypt_aes, AES_PARAMETERS,
	 .summary = "Decrypts what encrypt_aes made."},
	{.name = NULL},
};
/* clang-format on */
