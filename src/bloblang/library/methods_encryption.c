/* Methods of the family "encoding and encryption" that encrypt. */
#include <string.h>

#include <openssl/evp.h>

#include "bloblang/language/function.h"

enum { AES_BLOCK_BYTES = 16, GCM_NONCE_BYTES = 12, GCM_TAG_BYTES = 16 };

enum aes_mode { AES_CTR, AES_GCM, AES_OFB, AES_CBC, AES_MODES };

struct aes {
	enum aes_mode mode;
	const EVP_CIPHER *cipher;
	const unsigned char *key, *iv;
	size_t iv_bytes;
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

static bool prepare_aes(struct call *call, const char *what)
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
		return call_fail_final(call, "unrecognized %sion type: %.*s", what, (int)scheme.length, scheme.text);
	if (mode != AES_GCM && iv.length != AES_BLOCK_BYTES)
		return call_fail_final(call, "the key must match the initialisation vector size");
	aes->mode = (enum aes_mode)mode;
	aes->cipher = aes_cipher(aes->mode, key.length);
	aes->key = (const unsigned char *)arena_copy(call->arena, key.text, key.length);
	aes->iv = (const unsigned char *)arena_copy(call->arena, iv.text, iv.length);
	aes->iv_bytes = iv.length;
	call->prepared = aes;
	return true;
}

static bool prepare_encrypt(struct call *call) { return prepare_aes(call, "encrypt"); }

static bool prepare_decrypt(struct call *call) { return prepare_aes(call, "decrypt"); }

/* The reference ends its process here; the length of a nonce is looked at where it is used. */
static bool need_nonce(struct call *call, const struct aes *aes)
{
	return aes->mode != AES_GCM || aes->iv_bytes == GCM_NONCE_BYTES ||
	       call_fail(call, "crypto/cipher: incorrect nonce length given to GCM");
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

	if (!call_need_text(call, call->target, &in) || !need_nonce(call, aes))
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

	if (!call_need_text(call, call->target, &in) || !need_nonce(call, aes))
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
const struct bloblang_row rows_methods_encryption[] = {
	{.name = "encrypt_aes", .kind = METHOD, .evaluate = encrypt_aes, .prepare = prepare_encrypt,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}, {"key", PARAM_STRING, false, NULL},
	 {"iv", PARAM_STRING, false, NULL}},
	 .summary = "Encrypts with AES in mode ctr, gcm, ofb or cbc (no padding)."},
	{.name = "decrypt_aes", .kind = METHOD, .evaluate = decrypt_aes, .prepare = prepare_decrypt,
	 .parameters = {{"scheme", PARAM_STRING, false, NULL}, {"key", PARAM_STRING, false, NULL},
	 {"iv", PARAM_STRING, false, NULL}}, .summary = "Decrypts what encrypt_aes made."},
	{.name = NULL},
};
/* clang-format on */
