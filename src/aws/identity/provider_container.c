/*
 * The role of an ECS task or an EKS pod, from its agent: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI on 169.254.170.2, or
 * AWS_CONTAINER_CREDENTIALS_FULL_URI (https, or http to loopback and the agents' own addresses), with the token of
 * AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE (read at each refresh) or AWS_CONTAINER_AUTHORIZATION_TOKEN. Source: AWS SDKs
 * and Tools Reference Guide, "Container credential provider".
 */
#include "aws/identity/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "aws/transport/http.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/secret_file.h"

enum { CONNECT_MS = 1000, ANSWER_MS = 5000, TRIES = 3, BODY_MAX = 64 * 1024, TOKEN_MAX = 16384 };

#define ECS_HOST "http://169.254.170.2"

struct asking {
	struct http_request request;
	struct http_field fields[2];
	char *url;
	struct buf token;
	unsigned tries;
};

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
		f->done(f, fetch_fail(f, "out of reach: %.200s", a->reason));
		return;
	}
	if (a->status != 200) {
		f->done(f, fetch_fail(f, "answered with status %d", a->status));
		return;
	}
	text = mem_string_n(a->body, a->body_bytes);
	fault = reply_container(text, a->body_bytes, &f->keys);
	free(text);
	f->done(f, fault ? fetch_fail(f, "%s", fault) : FETCH_FOUND);
}

static void send(struct fetch *f)
{
	struct asking *s = f->state;
	size_t n = 0;

	s->tries++;
	s->fields[n++] = (struct http_field){"Accept", "application/json"};
	if (s->token.len > 0)
		s->fields[n++] = (struct http_field){"Authorization", s->token.data};
	s->request = (struct http_request){
	    .method = "GET",
	    .url = s->url,
	    .fields = s->fields,
	    .field_count = n,
	    .timeout_ms = ANSWER_MS,
	    .connect_timeout_ms = CONNECT_MS,
	    .response_max = BODY_MAX,
	    .allow_plain = true,
	    .direct = true,
	    .done = on_answer,
	    .arg = f,
	};
	http_start(f->world->http, &s->request);
}

/* Null when plain http to this URL is for an agent; else what is wrong with it. */
static const char *url_fault(const char *url)
{
	static const char *const agents[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	char host[128];
	size_t n;

	if (strpbrk(url, " \t\r\n@"))
		return "holds a blank, a line break or a user name";
	if (strncmp(url, "https://", 8) == 0)
		return NULL;
	if (strncmp(url, "http://", 7) != 0)
		return "is not a URL";
	url += 7;
	n = url[0] == '[' ? strcspn(url, "]") + 1 : strcspn(url, ":/?#");
	if (n >= sizeof host)
		return "has a host that is too long";
	memcpy(host, url, n);
	host[n] = '\0';
	for (size_t i = 0; i < sizeof agents / sizeof agents[0]; i++)
		if (strcmp(host, agents[i]) == 0)
			return NULL;
	return endpoint_is_loopback(host) ? NULL : "is plain http to a host that is neither loopback nor an agent's";
}

static enum fetch_verdict read_token(struct fetch *f, struct asking *s)
{
	const char *path = settings_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = settings_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	struct error e;

	buf_init(&s->token, TOKEN_MAX);
	if (path && file_read_secret(path, &s->token, NULL, &e))
		return fetch_fail(f, "its token file: %.200s", e.text);
	if (!path && value && buf_add_text(&s->token, value))
		return fetch_fail(f, "AWS_CONTAINER_AUTHORIZATION_TOKEN is too long");
	if (s->token.len > 0 && (strpbrk(s->token.data, "\r\n") || strlen(s->token.data) != s->token.len))
		return fetch_fail(f, "its authorization token holds a line break");
	return FETCH_PENDING;
}

static enum fetch_verdict start(struct fetch *f)
{
	const char *relative = settings_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = settings_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	struct asking *s;
	const char *fault;
	enum fetch_verdict verdict;

	if (!relative && !full)
		return fetch_absent(f, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and .._FULL_URI are not set");
	s = mem_zero(sizeof *s);
	f->state = s;
	s->url = relative ? mem_format(ECS_HOST "%s%s", relative[0] == '/' ? "" : "/", relative) : mem_string(full);
	fault = url_fault(s->url);
	if (fault)
		return fetch_fail(f, "AWS_CONTAINER_CREDENTIALS_%s_URI %s", relative ? "RELATIVE" : "FULL", fault);
	if (f->world->offline)
		return fetch_fail(f, FETCH_OFFLINE);
	verdict = read_token(f, s);
	if (verdict == FETCH_PENDING)
		send(f);
	return verdict;
}

static void stop(struct fetch *f)
{
	struct asking *s = f->state;

	http_abort(f->world->http, &s->request);
	file_wipe(&s->token);
	free(s->url);
	free(s);
}

const struct provider provider_container = {.name = "container", .start = start, .stop = stop};
