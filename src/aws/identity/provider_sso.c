/*
 * IAM Identity Center, from the token that `aws sso login` left in ~/.aws/sso/cache: session profiles (sso_session) and
 * legacy ones (sso_start_url in the profile). The daemon cannot log in; it says when somebody must. Source: AWS SDKs
 * and Tools Reference Guide, "IAM Identity Center credential provider".
 */
#include "aws/identity/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/mem.h"
#include "aws/transport/transport.h"
#include "aws/signing/canonical.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/secret_json.h"

enum { TRIES = 2, TIMEOUT_MS = 10000, SHA1_BYTES = 20 };

struct asking {
	struct transport_request request;
	struct header_field field;
	struct sso_token token;
	char *url;
	bool plain, loopback;
	unsigned tries;
};

static enum provider_verdict login_needed(struct provider_call *call, const char *why)
{
	return provider_fail(call, "%s: run `aws sso login --profile %.60s` as the user kspool runs as", why,
	                     call->profile);
}

static void send(struct provider_call *call);

static void on_answer(struct transport_request *request, const struct transport_answer *a)
{
	struct provider_call *call = request->arg;
	struct asking *s = call->state;
	const char *fault;
	char *text;

	if ((a->result != TRANSPORT_ANSWERED || a->status >= 500 || a->status == 429) && s->tries < TRIES) {
		send(call);
		return;
	}
	if (a->result != TRANSPORT_ANSWERED) {
		call->done(call, provider_fail(call, "SSO is out of reach: %.200s", a->reason));
		return;
	}
	if (a->status == 401) {
		call->done(call, login_needed(call, "SSO refused the token"));
		return;
	}
	if (a->status != 200) {
		call->done(call, provider_fail(call, "SSO answered with status %d%s%s", a->status,
		                               a->error_type[0] ? " " : "", a->error_type));
		return;
	}
	text = mem_string_n(a->body, a->body_bytes);
	fault = credential_reply_sso_role(text, a->body_bytes, &call->keys);
	free(text);
	call->done(call, fault ? provider_fail(call, "SSO: %s", fault) : PROVIDER_FOUND);
}

static void send(struct provider_call *call)
{
	struct asking *s = call->state;

	s->tries++;
	s->field = (struct header_field){"x-amz-sso_bearer_token", s->token.access_token};
	s->request = (struct transport_request){
	    .method = "GET",
	    .url = s->url,
	    .fields = &s->field,
	    .field_count = 1,
	    .timeout_ms = TIMEOUT_MS,
	    .response_max = SECRET_JSON_MAX,
	    .allow_plain = s->plain,
	    .direct = s->loopback,
	    .done = on_answer,
	    .arg = call,
	};
	transport_start(call->context->http, &s->request);
}

/* The cache's file is named by the SHA-1 of the session's name, or of the start URL (legacy). */
static char *cache_path(const char *name)
{
	unsigned char hash[SHA1_BYTES];
	char hex[2 * SHA1_BYTES + 1];
	char *folder = secret_file_expand_home("~/.aws/sso/cache");
	char *path;

	must(EVP_Digest(name, strlen(name), hash, NULL, EVP_sha1(), NULL) == 1);
	for (size_t i = 0; i < SHA1_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	path = mem_format("%s/%s.json", folder, hex);
	free(folder);
	return path;
}

static enum provider_verdict read_token(struct provider_call *call, struct asking *s, const char *name)
{
	char *path = cache_path(name);
	struct buf text;
	struct error e;
	const char *fault;
	enum err err;

	buf_init(&text, SECRET_JSON_MAX);
	err = secret_file_read(path, &text, NULL, &e);
	fault = err ? NULL : credential_reply_sso_token(text.data ? text.data : (char[]){""}, text.len, &s->token);
	secret_file_wipe(&text);
	free(path);
	if (err == ERR_NOINPUT)
		return login_needed(call, "nobody has logged in to SSO");
	if (err)
		return provider_fail(call, "the SSO token: %.200s", e.text);
	if (fault)
		return login_needed(call, fault);
	if (s->token.expires_ms <= provider_now_ms(call))
		return login_needed(call, "the SSO login has expired");
	return PROVIDER_PENDING;
}

static enum provider_verdict make_url(struct provider_call *call, struct asking *s, const char *region,
                                      const char *account, const char *role)
{
	struct endpoint place;
	struct buf url;
	struct error e;

	if (identity_endpoint_of(call->context->settings, "portal.sso", region, "AWS_ENDPOINT_URL_SSO", "sso", &place,
	                         &e))
		return provider_fail(call, "%.255s", e.text);
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

	transport_abort(call->context->http, &s->request);
	credential_reply_sso_token_wipe(&s->token);
	free(s->url);
	free(s);
}

const struct provider provider_sso = {.name = "SSO", .start = start, .stop = stop};
