/*
 * Invariants:
 *  1. What a reply holds is shown only as a name of letters and digits (name_length); its secrets never are.
 *  2. keys are set only when every part of them was there and checked.
 */
#include "aws/identity/credential_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/buf.h"
#include "base/dates.h"
#include "base/mem.h"
#include "aws/identity/secret_json.h"
#include "aws/identity/sts_xml.h"

enum { NAME_SHOWN_MAX = 80 };

#define NOT_JSON "the answer is not a JSON object"
#define NO_KEYS "the answer holds no access key id or no secret access key"
#define BAD_EXPIRY "the answer's expiration is not a time"

static enum err take_keys(struct secret_json *d, const char *token_key, struct aws_keys *keys, struct error *e)
{
	const char *id = secret_json_text(d, "AccessKeyId");
	const char *secret = secret_json_text(d, "SecretAccessKey");
	const char *token = secret_json_text(d, token_key);
	const char *expiration = secret_json_text(d, "Expiration");
	enum err err;
	int64_t expires_ms = 0;

	if (!id || !secret)
		return error_set(e, ERR_FORMAT, NO_KEYS);
	if (expiration && !dates_parse_iso(expiration, &expires_ms))
		return error_set(e, ERR_FORMAT, BAD_EXPIRY);
	err = keys_check(id, secret, token, e);
	if (err == ERR_OK)
		keys_set(keys, id, secret, token, expires_ms);
	return err;
}

/* How much of a text is a name, such as AssumeRoleUnauthorizedAccess: nothing else of it is shown. */
static size_t name_length(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

	return n < NAME_SHOWN_MAX ? n : NAME_SHOWN_MAX;
}

enum err credential_reply_imds(char *text, size_t length, struct aws_keys *keys, struct error *e)
{
	struct secret_json d;
	const char *code;
	enum err err;

	if (!secret_json_open(&d, text, length))
		return error_set(e, ERR_FORMAT, NOT_JSON);
	code = secret_json_text(&d, "Code");
	if (code && strcmp(code, "Success") != 0)
		err = error_set(e, ERR_CREDENTIALS, "the answer's Code is %.*s, not Success", (int)name_length(code),
		                code);
	else
		err = take_keys(&d, "Token", keys, e);
	secret_json_fini(&d);
	return err;
}

enum err credential_reply_container(char *text, size_t length, struct aws_keys *keys, struct error *e)
{
	struct secret_json d;
	enum err err;

	if (!secret_json_open(&d, text, length))
		return error_set(e, ERR_FORMAT, NOT_JSON);
	err = take_keys(&d, "Token", keys, e);
	secret_json_fini(&d);
	return err;
}

enum err credential_reply_process(char *text, size_t length, struct aws_keys *keys, struct error *e)
{
	struct secret_json d;
	enum err err;
	int64_t version;

	if (!secret_json_open(&d, text, length))
		return error_set(e, ERR_FORMAT, "the output is not a JSON object");
	if (!secret_json_int(&d, "Version", &version) || version != 1)
		err = error_set(e, ERR_FORMAT, "the output's Version is not 1");
	else
		err = take_keys(&d, "SessionToken", keys, e);
	secret_json_fini(&d);
	return err;
}

enum err credential_reply_sso_role(char *text, size_t length, struct aws_keys *keys, struct error *e)
{
	struct secret_json d;
	const char *id = NULL, *secret = NULL, *token = NULL;
	int64_t expires_ms;
	enum err err;

	if (!secret_json_open(&d, text, length))
		return error_set(e, ERR_FORMAT, NOT_JSON);
	if (secret_json_enter(&d, "roleCredentials")) {
		id = secret_json_text(&d, "accessKeyId");
		secret = secret_json_text(&d, "secretAccessKey");
		token = secret_json_text(&d, "sessionToken");
	}
	if (!id || !secret)
		err = error_set(e, ERR_FORMAT, NO_KEYS);
	else
		err = keys_check(id, secret, token, e);
	if (err == ERR_OK && (!secret_json_int(&d, "expiration", &expires_ms) || expires_ms <= 0))
		err = error_set(e, ERR_FORMAT, BAD_EXPIRY);
	if (err == ERR_OK)
		keys_set(keys, id, secret, token, expires_ms);
	secret_json_fini(&d);
	return err;
}

enum err credential_reply_sso_token(char *text, size_t length, struct sso_token *ret, struct error *e)
{
	struct secret_json d;
	const char *token, *expires;
	enum err err = ERR_OK;

	memset(ret, 0, sizeof *ret);
	if (!secret_json_open(&d, text, length))
		return error_set(e, ERR_FORMAT, "the cached token is not a JSON object");
	token = secret_json_text(&d, "accessToken");
	expires = secret_json_text(&d, "expiresAt");
	if (!token || !expires)
		err = error_set(e, ERR_FORMAT, "the cached token has no accessToken or no expiresAt");
	else if (!dates_parse_iso(expires, &ret->expires_ms))
		err = error_set(e, ERR_FORMAT, "the cached token's expiresAt is not a time");
	else if (strpbrk(token, "\r\n"))
		err = error_set(e, ERR_FORMAT, "the cached token holds a line break");
	else
		ret->access_token = mem_string(token);
	if (err == ERR_OK)
		error_secret_add(ret->access_token);
	secret_json_fini(&d);
	return err;
}

void credential_reply_sso_token_wipe(struct sso_token *t)
{
	if (t->access_token)
		error_secret_remove(t->access_token);
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

static enum err sts_keys_below(const char *text, size_t length, const char *path, struct aws_keys *keys,
                               struct error *e)
{
	static const char *const names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
	struct buf parts[4];
	const char *found[4];
	enum err err;
	int64_t expires_ms = 0;

	for (int i = 0; i < 4; i++) {
		char *whole = mem_format("%s/Credentials/%s", path, names[i]);

		buf_init(&parts[i], KEYS_TEXT_MAX);
		found[i] = xml_text(text, length, whole, &parts[i]);
		free(whole);
	}
	if (!found[0] || !found[1])
		err = error_set(e, ERR_FORMAT, NO_KEYS);
	else if (!found[2])
		err = error_set(e, ERR_FORMAT, "the answer holds no session token");
	else
		err = keys_check(found[0], found[1], found[2], e);
	if (err == ERR_OK && (!found[3] || !dates_parse_iso(found[3], &expires_ms)))
		err = error_set(e, ERR_FORMAT, BAD_EXPIRY);
	if (err == ERR_OK)
		keys_set(keys, found[0], found[1], found[2], expires_ms);
	for (int i = 0; i < 4; i++) {
		if (parts[i].data)
			OPENSSL_cleanse(parts[i].data, parts[i].cap);
		buf_fini(&parts[i]);
	}
	return err;
}

enum err credential_reply_sts_keys(char *text, size_t length, struct aws_keys *keys, struct error *e)
{
	enum err err = sts_keys_below(text, length, "AssumeRoleResponse/AssumeRoleResult", keys, e);

	if (err)
		err = sts_keys_below(text, length, "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult",
		                     keys, e);
	OPENSSL_cleanse(text, length);
	return err;
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

enum err credential_reply_sts_identity(char *text, size_t length, struct sts_identity *ret, struct error *e)
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
	return whole ? ERR_OK : error_set(e, ERR_FORMAT, "the answer is not that of GetCallerIdentity");
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
