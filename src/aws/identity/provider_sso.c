/*
 * IAM Identity Center, from the token that `aws sso login` left in ~/.aws/sso/cache: session profiles (sso_session) and
 * legacy ones (sso_start_url in the profile). The daemon cannot log in; it says when somebody must. Source: AWS SDKs
 * and Tools Reference Guide, "IAM Identity Center credential provider".
 */
#include "aws/identity/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/mem.h"
#include "aws/transport/http.h"
#include "aws/signing/canonical.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/secret_file.h"
#include "aws/identity/secret_json.h"

enum { TRIES = 2, TIMEOUT_MS = 10000, SHA1_BYTES = 20 };

struct asking {
	struct http_request request;
	struct http_field field;
	struct sso_token token;
	char *url;
	bool plain, loopback;
	unsigned tries;
};

static enum fetch_verdict login_needed(struct fetch *f, const char *why)
{
	return fetch_fail(f, "%s: run `aws sso login --profile %.60s` as the user kspool runs as", why, f->profile);
}

static void send(struct fetch *f);

static void on_answer(struct http_request *request, const struct http_answer *a)
{
	struct fetch *f = request->arg;
	struct asking *s = f->state;
	const char *fault;
	char *text;

	if ((a->result != HTTP_ANSWERED || a->status >= 500 || a->status == 429) && s->tries < TRIES) {
		send(f);
		return;
	}
	if (a->result != HTTP_ANSWERED) {
		f->done(f, fetch_fail(f, "SSO is out of reach: %.200s", a->reason));
		return;
	}
	if (a->status == 401) {
		f->done(f, login_needed(f, "SSO refused the token"));
		return;
	}
	if (a->status != 200) {
		f->done(f, fetch_fail(f, "SSO answered with status %d%s%s", a->status, a->error_type[0] ? " " : "",
		                      a->error_type));
		return;
	}
	text = mem_string_n(a->body, a->body_bytes);
	fault = reply_sso_role(text, a->body_bytes, &f->keys);
	free(text);
	f->done(f, fault ? fetch_fail(f, "SSO: %s", fault) : FETCH_FOUND);
}

static void send(struct fetch *f)
{
	struct asking *s = f->state;

	s->tries++;
	s->field = (struct http_field){"x-amz-sso_bearer_token", s->token.access_token};
	s->request = (struct http_request){
	    .method = "GET",
	    .url = s->url,
	    .fields = &s->field,
	    .field_count = 1,
	    .timeout_ms = TIMEOUT_MS,
	    .response_max = DOCUMENT_MAX,
	    .allow_plain = s->plain,
	    .direct = s->loopback,
	    .done = on_answer,
	    .arg = f,
	};
	http_start(f->world->http, &s->request);
}

/* The cache's file is named by the SHA-1 of the session's name, or of the start URL (legacy). */
static char *cache_path(const char *name)
{
	unsigned char hash[SHA1_BYTES];
	char hex[2 * SHA1_BYTES + 1];
	char *folder = file_expand_home("~/.aws/sso/cache");
	char *path;

	must(EVP_Digest(name, strlen(name), hash, NULL, EVP_sha1(), NULL) == 1);
	for (size_t i = 0; i < SHA1_BYTES; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	path = mem_format("%s/%s.json", folder, hex);
	free(folder);
	return path;
}

static enum fetch_verdict read_token(struct fetch *f, struct asking *s, const char *name)
{
	char *path = cache_path(name);
	struct buf text;
	struct error e;
	const char *fault;
	enum err err;

	buf_init(&text, DOCUMENT_MAX);
	err = file_read_secret(path, &text, NULL, &e);
	fault = err ? NULL : reply_sso_token(text.data ? text.data : (char[]){""}, text.len, &s->token);
	file_wipe(&text);
	free(path);
	if (err == ERR_NOINPUT)
		return login_needed(f, "nobody has logged in to SSO");
	if (err)
		return fetch_fail(f, "the SSO token: %.200s", e.text);
	if (fault)
		return login_needed(f, fault);
	if (s->token.expires_ms <= fetch_now_ms(f))
		return login_needed(f, "the SSO login has expired");
	return FETCH_PENDING;
}

static enum fetch_verdict make_url(struct fetch *f, struct asking *s, const char *region, const char *account,
                                   const char *role)
{
	struct endpoint place;
	struct buf url;
	struct error e;

	if (settings_endpoint_of(f->world->settings, "portal.sso", region, "AWS_ENDPOINT_URL_SSO", "sso", &place, &e))
		return fetch_fail(f, "%.255s", e.text);
	buf_init(&url, 4096);
	(void)buf_addf(&url, "%s%sfederation/credentials?role_name=", place.url,
	               place.url[strlen(place.url) - 1] == '/' ? "" : "/");
	canonical_encode(&url, role, strlen(role), false);
	(void)buf_add_text(&url, "&account_id=");
	canonical_encode(&url, account, strlen(account), false);
	s->url = buf_take(&url, NULL);
	s->plain = place.plain;
	s->loopback = place.loopback;
	return FETCH_PENDING;
}

static enum fetch_verdict start(struct fetch *f)
{
	const struct profiles *p = &f->world->settings->profiles;
	const char *session = profiles_get(p, f->profile, "sso_session");
	const char *url = profiles_get(p, f->profile, "sso_start_url");
	const char *region = profiles_get(p, f->profile, "sso_region");
	const char *account = profiles_get(p, f->profile, "sso_account_id");
	const char *role = profiles_get(p, f->profile, "sso_role_name");
	struct asking *s = mem_zero(sizeof *s);
	enum fetch_verdict verdict;

	f->state = s;
	if (session) {
		url = profiles_sso_get(p, session, "sso_start_url");
		region = profiles_sso_get(p, session, "sso_region");
	}
	if (!url || !region || !account || !role)
		return fetch_fail(f, "%s is missing",
		                  !url       ? "sso_start_url"
		                  : !region  ? "sso_region"
		                  : !account ? "sso_account_id"
		                             : "sso_role_name");
	verdict = read_token(f, s, session ? session : url);
	if (verdict == FETCH_PENDING && f->world->offline)
		return fetch_fail(f, FETCH_OFFLINE);
	if (verdict == FETCH_PENDING)
		verdict = make_url(f, s, region, account, role);
	if (verdict == FETCH_PENDING)
		send(f);
	return verdict;
}

static void stop(struct fetch *f)
{
	struct asking *s = f->state;

	http_abort(f->world->http, &s->request);
	reply_sso_token_wipe(&s->token);
	free(s->url);
	free(s);
}

const struct provider provider_sso = {.name = "SSO", .start = start, .stop = stop};
