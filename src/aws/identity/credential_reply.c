#include "aws/identity/credential_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/dates.h"
#include "base/mem.h"
#include "aws/identity/secret_json.h"
#include "aws/identity/sts_xml.h"

#define NOT_JSON "the answer is not a JSON object"
#define NO_KEYS "the answer holds no access key id or no secret access key"
#define BAD_EXPIRY "the answer's expiration is not a time"

static const char *take_keys(struct secret_json *d, const char *token_key, struct aws_keys *keys)
{
	const char *id = secret_json_text(d, "AccessKeyId");
	const char *secret = secret_json_text(d, "SecretAccessKey");
	const char *token = secret_json_text(d, token_key);
	const char *expiration = secret_json_text(d, "Expiration");
	const char *fault;
	int64_t expires_ms = 0;

	if (!id || !secret)
		return NO_KEYS;
	if (expiration && !dates_parse_iso(expiration, &expires_ms))
		return BAD_EXPIRY;
	fault = keys_fault(id, secret, token);
	if (!fault)
		keys_set(keys, id, secret, token, expires_ms);
	return fault;
}

const char *credential_reply_imds(char *text, size_t length, struct aws_keys *keys)
{
	struct secret_json d;
	const char *fault, *code;

	if (!secret_json_open(&d, text, length))
		return NOT_JSON;
	code = secret_json_text(&d, "Code");
	if (code && strcmp(code, "Success") != 0)
		fault = "the answer's Code is not Success";
	else
		fault = take_keys(&d, "Token", keys);
	secret_json_fini(&d);
	return fault;
}

const char *credential_reply_container(char *text, size_t length, struct aws_keys *keys)
{
	struct secret_json d;
	const char *fault;

	if (!secret_json_open(&d, text, length))
		return NOT_JSON;
	fault = take_keys(&d, "Token", keys);
	secret_json_fini(&d);
	return fault;
}

const char *credential_reply_process(char *text, size_t length, struct aws_keys *keys)
{
	struct secret_json d;
	const char *fault;
	int64_t version;

	if (!secret_json_open(&d, text, length))
		return "the output is not a JSON object";
	if (!secret_json_int(&d, "Version", &version) || version != 1)
		fault = "the output's Version is not 1";
	else
		fault = take_keys(&d, "SessionToken", keys);
	secret_json_fini(&d);
	return fault;
}

const char *credential_reply_sso_role(char *text, size_t length, struct aws_keys *keys)
{
	struct secret_json d;
	const char *fault = NO_KEYS, *id, *secret, *token;
	int64_t expires_ms;

	if (!secret_json_open(&d, text, length))
		return NOT_JSON;
	if (secret_json_enter(&d, "roleCredentials")) {
		id = secret_json_text(&d, "accessKeyId");
		secret = secret_json_text(&d, "secretAccessKey");
		token = secret_json_text(&d, "sessionToken");
		if (id && secret)
			fault = keys_fault(id, secret, token);
		if (!fault && (!secret_json_int(&d, "expiration", &expires_ms) || expires_ms <= 0))
			fault = BAD_EXPIRY;
		if (!fault)
			keys_set(keys, id, secret, token, expires_ms);
	}
	secret_json_fini(&d);
	return fault;
}

const char *credential_reply_sso_token(char *text, size_t length, struct sso_token *ret)
{
	struct secret_json d;
	const char *token, *expires, *fault = NULL;

	memset(ret, 0, sizeof *ret);
	if (!secret_json_open(&d, text, length))
		return "the cached token is not a JSON object";
	token = secret_json_text(&d, "accessToken");
	expires = secret_json_text(&d, "expiresAt");
	if (!token || !expires)
		fault = "the cached token has no accessToken or no expiresAt";
	else if (!dates_parse_iso(expires, &ret->expires_ms))
		fault = "the cached token's expiresAt is not a time";
	else if (strpbrk(token, "\r\n"))
		fault = "the cached token holds a line break";
	else
		ret->access_token = mem_string(token);
	secret_json_fini(&d);
	return fault;
}

void credential_reply_sso_token_wipe(struct sso_token *t)
{
	if (t->access_token)
		OPENSSL_cleanse(t->access_token, strlen(t->access_token));
	free(t->access_token);
	t->access_token = NULL;
}

/* The element at path, as text in out; "" counts as absent. */
static const char *xml_text(const char *text, size_t length, const char *path, struct buf *out)
{
	return sts_xml_find(text, length, path, out) && out->len > 0 ? out->data : NULL;
}

static const char *sts_keys_below(const char *text, size_t length, const char *path, struct aws_keys *keys)
{
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
	struct buf parts[4];
	const char *found[4];
	const char *fault = NO_KEYS;
	int64_t expires_ms = 0;

	for (int i = 0; i < 4; i++) {
		char *whole = mem_format("%s/Credentials/%s", path, names[i]);

		buf_init(&parts[i], KEYS_TEXT_MAX);
		found[i] = xml_text(text, length, whole, &parts[i]);
		free(whole);
	}
	if (found[0] && found[1]) {
		fault = found[2] ? keys_fault(found[0], found[1], found[2]) : "the answer holds no session token";
		if (!fault && (!found[3] || !dates_parse_iso(found[3], &expires_ms)))
			fault = BAD_EXPIRY;
		if (!fault)
			keys_set(keys, found[0], found[1], found[2], expires_ms);
	}
	for (int i = 0; i < 4; i++) {
		if (parts[i].data)
			OPENSSL_cleanse(parts[i].data, parts[i].cap);
		buf_fini(&parts[i]);
	}
	return fault;
}

const char *credential_reply_sts_keys(char *text, size_t length, struct aws_keys *keys)
{
	const char *fault = sts_keys_below(text, length, "AssumeRoleResponse/AssumeRoleResult", keys);

	if (fault)
		fault = sts_keys_below(text, length,
		                       "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult", keys);
	OPENSSL_cleanse(text, length);
	return fault;
}

static bool keep(const char *text, size_t length, const char *path, char *out, size_t size)
{
	struct buf part;
	const char *found;

	buf_init(&part, 64 * 1024);
	found = xml_text(text, length, path, &part);
	if (found) {
		size_t n = part.len < size - 1 ? part.len : size - 1;

		memcpy(out, found, n);
		out[n] = '\0';
		for (char *p = out; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 127)
				*p = ' ';
	}
	buf_fini(&part);
	return found;
}

const char *credential_reply_sts_identity(char *text, size_t length, struct sts_identity *ret)
{
	static const char base[] = "GetCallerIdentityResponse/GetCallerIdentityResult/";
	char path[128];
	bool whole = true;
	const struct {
		const char *name;
		char *out;
		size_t size;
	} rows[] = {{"Arn", ret->arn, sizeof ret->arn},
	            {"Account", ret->account, sizeof ret->account},
	            {"UserId", ret->user_id, sizeof ret->user_id}};

	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(path, sizeof path, "%s%s", base, rows[i].name);
		whole = keep(text, length, path, rows[i].out, rows[i].size) && whole;
	}
	return whole ? NULL : "the answer is not that of GetCallerIdentity";
}

bool credential_reply_sts_error(const char *text, size_t length, char *code, size_t code_size, char *message,
                                size_t message_size)
{
	message[0] = '\0';
	if (!keep(text, length, "ErrorResponse/Error/Code", code, code_size))
		return false;
	(void)keep(text, length, "ErrorResponse/Error/Message", message, message_size);
	return true;
}
