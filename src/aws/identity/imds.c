#include "aws/identity/imds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "base/mem.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 2000, TRIES = 2, TOKEN_MAX = 4096 };

#define TOKEN_PATH "/latest/api/token"
#define TOKEN_FIELD "x-aws-ec2-metadata-token"
#define TOKEN_LIFE_FIELD "x-aws-ec2-metadata-token-ttl-seconds"
#define TOKEN_LIFE_S "21600" /* the longest it grants */

static const char *mode_address(const struct identity_settings *s)
{
	const char *mode = identity_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (!mode)
		mode = profiles_get(&s->profiles, s->profile, "ec2_metadata_service_endpoint_mode");
	if (mode && strcasecmp(mode, "ipv6") == 0)
		return "http://[fd00:ec2::254]";
	return "http://169.254.169.254";
}

enum err imds_open(struct imds *m, struct error *e)
{
	const struct identity_settings *s = m->context->settings;
	const char *base = identity_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	size_t n;

	if (identity_env_true("AWS_EC2_METADATA_DISABLED"))
		return error_set(e, ERR_UNSUPPORTED, "switched off by AWS_EC2_METADATA_DISABLED");
	if (!base)
		base = profiles_get(&s->profiles, s->profile, "ec2_metadata_service_endpoint");
	if (!base)
		base = mode_address(s);
	n = strlen(base);
	while (n > 0 && base[n - 1] == '/')
		n--;
	if (n >= sizeof m->base || (strncmp(base, "http://", 7) != 0 && strncmp(base, "https://", 8) != 0))
		return error_set(e, ERR_CONFIG, "its address \"%s\" is not a URL", base);
	memcpy(m->base, base, n);
	m->base[n] = '\0';
	return ERR_OK;
}

static void send(struct imds *m);

static void end(struct imds *m, const struct transport_answer *answer)
{
	free(m->path);
	m->path = NULL;
	m->done(m, answer, answer ? NULL : &m->error);
}

static void on_token(struct imds *m, const struct transport_answer *a)
{
	if (a->status != 200 || a->body_bytes == 0 || a->body_bytes > TOKEN_MAX || strlen(a->body) != a->body_bytes ||
	    strspn(a->body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-.") != a->body_bytes) {
		if (a->status == 200)
			(void)error_set(&m->error, ERR_FORMAT,
			                "answered the token request with something that is not a token");
		else
			(void)error_set(&m->error, ERR_CREDENTIALS,
			                "refused a version 2 token with status %d (version 1 is never used)",
			                a->status);
		end(m, NULL);
		return;
	}
	m->token = mem_string(a->body);
	error_secret_add(m->token);
	m->tries = 0;
	send(m);
}

static void forget_token(struct imds *m)
{
	if (m->token)
		error_secret_remove(m->token);
	if (m->token)
		OPENSSL_cleanse(m->token, strlen(m->token));
	free(m->token);
	m->token = NULL;
}

static void on_answer(struct transport_request *request, const struct transport_answer *a)
{
	struct imds *m = request->arg;

	if (a->result != TRANSPORT_ANSWERED || a->status >= 500) {
		if (a->result == TRANSPORT_ANSWERED)
			(void)error_set(&m->error, ERR_NETWORK, "answered with status %d", a->status);
		else
			(void)error_set(&m->error, a->error.code, "out of reach: %s", a->error.text);
		if (m->tries < TRIES)
			send(m);
		else
			end(m, NULL);
		return;
	}
	if (!m->token) {
		on_token(m, a);
		return;
	}
	if (a->status == 401 && !m->renewed) {
		m->renewed = true;
		m->tries = 0;
		forget_token(m);
		send(m);
		return;
	}
	end(m, a);
}

static void send(struct imds *m)
{
	m->tries++;
	(void)snprintf(m->url, sizeof m->url, "%s%s", m->base, m->token ? m->path : TOKEN_PATH);
	m->field = m->token ? (struct header_field){TOKEN_FIELD, m->token}
	                    : (struct header_field){TOKEN_LIFE_FIELD, TOKEN_LIFE_S};
	m->request = (struct transport_request){
	    .method = m->token ? "GET" : "PUT",
	    .url = m->url,
	    .fields = &m->field,
	    .field_count = 1,
	    .timeout_ms = ANSWER_MS,
	    .connect_timeout_ms = CONNECT_MS,
	    .response_max = IMDS_BODY_MAX,
	    .allow_plain = true,
	    .direct = true,
	    .done = on_answer,
	    .arg = m,
	};
	transport_start(m->context->http, &m->request);
}

void imds_get(struct imds *m, const char *path)
{
	free(m->path);
	m->path = mem_string(path);
	m->tries = 0;
	send(m);
}

void imds_stop(struct imds *m)
{
	if (m->context)
		transport_abort(m->context->http, &m->request);
	forget_token(m);
	free(m->path);
	m->path = NULL;
}
