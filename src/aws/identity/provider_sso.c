/*
 * IAM Identity Center, from the token that `aws sso login` left in ~/.aws/sso/cache: session profiles (sso_session) and
 * legacy ones (sso_start_url in the profile). The daemon cannot log in; it says when somebody must. Source: AWS SDKs
 * and Tools Reference Guide, "IAM Identity Center credential provider".
 */
#include "aws/identity/provider.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/trusted.h"
#include "aws/signing/canonical.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/provider_request.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/secret_json.h"

enum { TRIES = 2, TIMEOUT_MS = 10000, SHA1_BYTES = 20 };

struct asking {
	struct provider_request request;
	struct header_field field;
	struct sso_token token;
	char *url;
	bool plain, loopback;
};

static enum provider_verdict login_needed(struct provider_call *call, const char *why)
{
	return provider_fail(call, "%s: run `aws sso login --profile %s` as the user kspool runs as", why,
	                     call->profile);
}

static enum provider_verdict unauthorized(struct provider_call *call)
{
	return login_needed(call, "SSO refused the token");
}

static void send(struct provider_call *call)
{
	struct asking *s = call->state;

	s->field = (struct header_field){"x-amz-sso_bearer_token", s->token.access_token};
	s->request = (struct provider_request){
	    .http = {.method = "GET",
	             .url = s->url,
	             .fields = &s->field,
	             .field_count = 1,
	             .timeout_ms = TIMEOUT_MS,
	             .response_max = SECRET_JSON_MAX,
	             .allow_plain = s->plain,
	             .direct = s->loopback},
	    .tries_left = TRIES,
	    .read = credential_reply_sso_role,
	    .unauthorized = unauthorized,
	};
	provider_request_send(call, &s->request);
}

/* The cache's file is named by the SHA-1 of the session's name, or of the start URL (legacy). */
static char *cache_path(const char *name)
{
	unsigned char hash[SHA1_BYTES];
	char hex[2 * SHA1_BYTES + 1];
	char *folder = secret_file_expand_home("~/.aws/sso/cache");
	char *path;

	must(EVP_Digest(name, strlen(name), hash, NULL, EVP_sha1(), NULL) == 1);
	*hex_encode(hex_lower, hash, SHA1_BYTES, hex) = '\0';
	path = mem_format("%s/%s.json", folder, hex);
	free(folder);
	return path;
}

static enum provider_verdict read_token(struct provider_call *call, struct asking *s, const char *name)
{
	char *path = cache_path(name);
	struct buf text;
	struct error e;
	enum err err, why = ERR_OK;

	buf_init(&text, SECRET_JSON_MAX);
	err = trusted_read(path, &text, NULL, &e);
	if (err == ERR_OK)
		why = credential_reply_sso_token(text.data ? text.data : (char[]){""}, text.len, &s->token, &e);
	secret_file_wipe(&text);
	free(path);
	if (err == ERR_NOINPUT)
		return login_needed(call, "nobody has logged in to SSO");
	if (err)
		return provider_fail(call, "the SSO token: %s", e.text);
	if (why)
		return login_needed(call, e.text);
	if (s->token.expires_ms <= provider_now_ms(call))
		return login_needed(call, "the SSO login has expired");
	return PROVIDER_PENDING;
}

static enum provider_verdict make_url(struct provider_call *call, struct asking *s, const char *region,
                                      const char *account, const char *role)
{
	struct endpoint place;
	struct buf url;

	if (identity_endpoint_of(call->context->settings, "portal.sso", region, "AWS_ENDPOINT_URL_SSO", "sso", &place,
	                         &call->error))
		return PROVIDER_FAILED;
	buf_init(&url, 4096);
	(void)buf_addf(&url, "%s%sfederation/credentials?role_name=", place.url,
	               place.url[strlen(place.url) - 1] == '/' ? "" : "/");
	canonical_encode(&url, role, strlen(role), false);
	(void)buf_add_text(&url, "&account_id=");
	canonical_encode(&url, account, strlen(account), false);
	s->url = buf_take(&url, NULL);
	s->plain = place.plain;
	s->loopback = place.loopback;
	return PROVIDER_PENDING;
}

static enum provider_verdict start(struct provider_call *call)
{
	const struct profiles *p = &call->context->settings->profiles;
	const char *session = profiles_get(p, call->profile, "sso_session");
	const char *url = profiles_get(p, call->profile, "sso_start_url");
	const char *region = profiles_get(p, call->profile, "sso_region");
	const char *account = profiles_get(p, call->profile, "sso_account_id");
	const char *role = profiles_get(p, call->profile, "sso_role_name");
	struct asking *s = mem_zero(sizeof *s);
	enum provider_verdict verdict;

	call->state = s;
	if (session) {
		url = profiles_sso_get(p, session, "sso_start_url");
		region = profiles_sso_get(p, session, "sso_region");
	}
	if (!url || !region || !account || !role)
		return provider_fail(call, "%s is missing",
		                     !url       ? "sso_start_url"
		                     : !region  ? "sso_region"
		                     : !account ? "sso_account_id"
		                                : "sso_role_name");
	verdict = read_token(call, s, session ? session : url);
	if (verdict == PROVIDER_PENDING && call->context->offline)
		return provider_fail(call, PROVIDER_OFFLINE);
	if (verdict == PROVIDER_PENDING)
		verdict = make_url(call, s, region, account, role);
	if (verdict == PROVIDER_PENDING)
		send(call);
	return verdict;
}

static void stop(struct provider_call *call)
{
	struct asking *s = call->state;

	provider_request_stop(call, &s->request);
	credential_reply_sso_token_wipe(&s->token);
	free(s->url);
	free(s);
}

const struct provider provider_sso = {.name = "SSO", .start = start, .stop = stop};
