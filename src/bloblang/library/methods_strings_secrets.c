/* Methods of the family "strings" that compare a secret with its hash. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <argon2.h>
#include <crypt.h>
#include <openssl/crypto.h>

#include "bloblang/language/function.h"

enum {
	ARGON2_LANES_MAX = 16,
	ARGON2_KIB_NS = 3000,
	BCRYPT_ROUND_NS = 60000,
	BCRYPT_COST_MAX = 31,
	BCRYPT_TEXT_MIN = 59
};

static unsigned long number_behind(const char *hash, const char *mark)
{
	const char *at = strstr(hash, mark);

	return at ? strtoul(at + strlen(mark), NULL, 10) : ULONG_MAX;
}

/* "$m=4096,t=3,p=1" within what this evaluation has left: the library can be stopped neither here nor there. */
static bool argon2_affordable(struct call *call, const char *hash)
{
	unsigned long kib = number_behind(hash, "$m="), passes = number_behind(hash, ",t=");
	unsigned long lanes = number_behind(hash, ",p=");
	int64_t left_ns = arena_time_left(call->arena);

	if (kib > UINT32_MAX || passes > UINT32_MAX || lanes > ARGON2_LANES_MAX)
		return false;
	if ((double)kib * (double)passes * ARGON2_KIB_NS > (double)left_ns)
		return false;
	return arena_fits(call->arena, kib * 1024);
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
	if (!argon2_affordable(call, hash))
		return call_fail(call, "the argon2 hash asks for more memory, passes or lanes than an evaluation has");
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
	unsigned long cost;

	if (!call_need_string(call, call->target, &secret))
		return false;
	if (call->args[0].length < BCRYPT_TEXT_MIN)
		return call_fail(call, "crypto/bcrypt: hashedSecret too short to be a bcrypted password");
	if (hash[0] != '$')
		return call_fail(call,
		                 "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with '%c'",
		                 hash[0]);
	if (hash[1] > '2')
		return call_fail(call,
		                 "crypto/bcrypt: bcrypt algorithm version '%c' requested is newer than current version "
		                 "'2'",
		                 hash[1]);
	if (hash[1] != '2' || strlen(hash) != call->args[0].length)
		return call_fail(call, "crypto/bcrypt: hashedSecret is not a bcrypt hash");
	cost = strtoul(hash + 4, NULL, 10);
	if (cost > BCRYPT_COST_MAX || (INT64_C(1) << cost) * BCRYPT_ROUND_NS > arena_time_left(call->arena))
		return call_fail(call, "the bcrypt hash asks for a cost of %lu, more than an evaluation has time for",
		                 cost);
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
	{.name = "compare_bcrypt", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = compare_bcrypt,
	 .parameters = {{"hashed_secret", PARAM_STRING, false, NULL}},
	 .summary = "Checks a secret against a bcrypt hash."},
	{.name = NULL},
};
/* clang-format on */
