/* Methods of the family "strings" that compare a secret with its hash. */
#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>

#include "bloblang/language/function.h"

enum { ARGON2_MEMORY_MAX_KIB = 1 << 20, ARGON2_PASSES_MAX = 64 };

/* "m=4096,t=3,p=1" within bounds: a mapping cannot ask for gigabytes. */
static bool argon2_affordable(const char *hash)
{
	unsigned long memory, passes;
	const char *m = strstr(hash, "$m="), *t = strstr(hash, ",t=");

	if (!m || !t)
		return false;
	memory = strtoul(m + 3, NULL, 10);
	passes = strtoul(t + 3, NULL, 10);
	return memory <= ARGON2_MEMORY_MAX_KIB && passes <= ARGON2_PASSES_MAX;
}

static bool compare_argon2(struct call *call, struct value *ret)
{
	const char *hash = arena_copy(call->arena, call->args[0].text, call->args[0].length);
	argon2_type type = strncmp(hash, "$argon2id$", 10) == 0 ? Argon2_id : Argon2_i;
	struct value secret;
	int r;

	if (!call_need_string(call, call->target, &secret))
		return false;
	if (strncmp(hash, "$argon2id$", 10) != 0 && strncmp(hash, "$argon2i$", 9) != 0)
		return call_fail(call, "invalid argon2 hash");
	if (!argon2_affordable(hash))
		return call_fail(call, "argon2 hash asks for more than 1 GiB or %d passes", ARGON2_PASSES_MAX);
	r = argon2_verify(hash, secret.text, secret.length, type);
	if (r != ARGON2_OK && r != ARGON2_VERIFY_MISMATCH)
		return call_fail(call, "invalid argon2 hash: %s", argon2_error_message(r));
	*ret = value_bool(r == ARGON2_OK);
	return true;
}

static bool compare_bcrypt(struct call *call, struct value *ret)
{
	const char *hash = arena_copy(call->arena, call->args[0].text, call->args[0].length), *made;
	struct crypt_data *data;
	struct value secret;

	if (!call_need_string(call, call->target, &secret))
		return false;
	if (strncmp(hash, "$2", 2) != 0 || strlen(hash) < 59 || strlen(hash) != call->args[0].length)
		return call_fail(call, "crypto/bcrypt: hashedSecret is not a bcrypt hash");
	if (hash[4] > '1' || (hash[4] == '1' && hash[5] > '6'))
		return call_fail(call, "bcrypt hash asks for a cost above 16");
	data = arena_alloc(call->arena, sizeof *data);
	memset(data, 0, sizeof *data);
	made = crypt_r(arena_copy(call->arena, secret.text, secret.length), hash, data);
	*ret = value_bool(made && strlen(made) == strlen(hash) && CRYPTO_memcmp(made, hash, strlen(hash)) == 0);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_strings_secrets[] = {
	{.name = "compare_argon2", .kind = METHOD, .evaluate = compare_argon2,
	 .parameters = {{"hashed_secret", PARAM_STRING, false, NULL}},
	 .summary = "Checks a secret against an Argon2i or Argon2id hash."},
	{.name = "compare_bcrypt", .kind = METHOD, .evaluate = compare_bcrypt,
	 .parameters = {{"hashed_secret", PARAM_STRING, false, NULL}},
	 .summary = "Checks a secret against a bcrypt hash."},
	{.name = NULL},
};
/* clang-format on */
