/*
 * The role of an ECS task or an EKS pod, from its agent: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI on 169.254.170.2, or
 * AWS_CONTAINER_CREDENTIALS_FULL_URI (https, or http to loopback and the agents' own addresses), with the token of
 * AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read at each refresh) or AWS_CONTAINER_AUTHORIZATION_TOKEN. Source: AWS SDKs
 * and Tools Reference Guide, "Container credential provider".
 */
#include "aws/identity/provider.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/trusted.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/provider_request.h"
#include "aws/identity/secret_file.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 5000, TRIES = 3, BODY_MAX = 64 * 1024, TOKEN_MAX = 16384 };

#define ECS_HOST "http://169.254.170.2"

struct asking {
	struct provider_request request;
	struct header_field fields[2];
	char *url;
	struct buf token;
};

static void send(struct provider_call *call)
{
	struct asking *s = call->state;
	size_t n = 0;

	s->fields[n++] = (struct header_field){"Accept", "application/json"};
	if (s->token.len > 0)
		s->fields[n++] = (struct header_field){"Authorization", s->token.data};
	s->request = (struct provider_request){
	    .http = {.method = "GET",
	             .url = s->url,
	             .fields = s->fields,
	             .field_count = n,
	             .timeout_ms = ANSWER_MS,
	             .connect_timeout_ms = CONNECT_MS,
	             .response_max = BODY_MAX,
	             .allow_plain = true,
	             .direct = true},
	    .tries_left = TRIES,
	    .read = credential_reply_container,
	};
	provider_request_send(call, &s->request);
}

/* https anywhere; plain http only to loopback and to the agents' own addresses. */
static enum err check_url(const char *url, struct error *e)
{
	static const char *const agents[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	char host[128];
	size_t n;

	if (strpbrk(url, " \t\r\n@"))
		return error_set(e, ERR_CONFIG, "holds a blank, a line break or a user name");
	if (strncmp(url, "https://", 8) == 0)
		return ERR_OK;
	if (strncmp(url, "http://", 7) != 0)
		return error_set(e, ERR_CONFIG, "is not a URL");
	url += 7;
	n = url[0] == '[' ? strcspn(url, "]") + 1 : strcspn(url, ":/?#");
	if (n >= sizeof host)
		return error_set(e, ERR_CONFIG, "has a host that is too long");
	memcpy(host, url, n);
	host[n] = '\0';
	for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++)
		if (strcmp(host, agents[i]) == 0)
			return ERR_OK;
	if (endpoint_is_loopback(host))
		return ERR_OK;
	return error_set(e, ERR_CONFIG, "is plain http to a host that is neither loopback nor an agent's");
}

static enum provider_verdict read_token(struct provider_call *call, struct asking *s)
{
	const char *path = identity_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = identity_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");

	buf_init(&s->token, TOKEN_MAX);
	if (path && trusted_read(path, &s->token, NULL, &call->error)) {
		(void)error_wrap(&call->error, "its token file");
		return PROVIDER_FAILED;
	}
	if (!path && value && buf_add_text(&s->token, value))
		return provider_fail(call, "AWS_CONTAINER_AUTHORIZATION_TOKEN is too long");
	if (s->token.len > 0 && (strpbrk(s->token.data, "\r\n") || strlen(s->token.data) != s->token.len))
		return provider_fail(call, "its authorization token holds a line break");
	secret_file_is_secret(&s->token);
	return PROVIDER_PENDING;
}

static enum provider_verdict start(struct provider_call *call)
{
	const char *relative = identity_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = identity_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct asking *s;
	struct error e;
	enum provider_verdict verdict;

	if (!relative && !full)
		return provider_absent(
		    call, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and AWS_CONTAINER_CREDENTIALS_FULL_URI are not set");
	s = mem_zero(sizeof *s);
	call->state = s;
	s->url = relative ? mem_format(ECS_HOST "%s%s", relative[0] == '/' ? "" : "/", relative) : mem_string(full);
	if (check_url(s->url, &e))
		return provider_fail(call, "AWS_CONTAINER_CREDENTIALS_%s_URI %s", relative ? "RELATIVE" : "FULL",
		                     e.text);
	if (call->context->offline)
		return provider_fail(call, PROVIDER_OFFLINE);
	verdict = read_token(call, s);
	if (verdict == PROVIDER_PENDING)
		send(call);
	return verdict;
}

static void stop(struct provider_call *call)
{
	struct asking *s = call->state;

	provider_request_stop(call, &s->request);
	secret_file_wipe(&s->token);
	free(s->url);
	free(s);
}

const struct provider provider_container = {.name = "container", .start = start, .stop = stop};
