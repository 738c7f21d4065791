/*
 * The role of an EC2 instance, from IMDSv2: GET the role's name, then its keys. Source: EC2 User Guide, "Retrieve
 * security credentials from instance metadata".
 */
#include "aws/identity/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/imds.h"

#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

struct asking {
	struct imds imds;
	bool has_role;
};

static void on_keys(struct fetch *f, const struct http_answer *a)
{
	char *text = mem_string_n(a->body, a->body_bytes);
	const char *fault = reply_imds(text, a->body_bytes, &f->keys);

	free(text);
	f->done(f, fault ? fetch_fail(f, "%s", fault) : FETCH_FOUND);
}

/* The first line is the role; an instance has one at most. */
static void on_role(struct fetch *f, const struct http_answer *a)
{
	struct asking *s = f->state;
	size_t n = strcspn(a->body, "\r\n");
	char *path;

	if (n == 0 || n > 128 ||
	    strspn(a->body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                    "0123456789+=,.@_-") != n) {
		f->done(f, fetch_fail(f, "the instance's role has no usable name"));
		return;
	}
	s->has_role = true;
	path = mem_format(ROLES_PATH "%.*s", (int)n, a->body);
	imds_get(&s->imds, path);
	free(path);
}

static void on_answer(struct imds *m, const struct http_answer *a)
{
	struct fetch *f = m->arg;
	struct asking *s = f->state;

	if (!a)
		f->done(f, fetch_fail(f, "%s", m->reason));
	else if (a->status == 404 && !s->has_role)
		f->done(f, fetch_absent(f, "the instance has no role"));
	else if (a->status != 200)
		f->done(f, fetch_fail(f, "answered with status %d", a->status));
	else if (!s->has_role)
		on_role(f, a);
	else
		on_keys(f, a);
}

static enum fetch_verdict start(struct fetch *f)
{
	struct asking *s = mem_zero(sizeof *s);

	f->state = s;
	s->imds.world = f->world;
	s->imds.done = on_answer;
	s->imds.arg = f;
	if (!imds_open(&s->imds))
		return fetch_absent(f, "%s", s->imds.reason);
	imds_get(&s->imds, ROLES_PATH);
	return FETCH_PENDING;
}

static void stop(struct fetch *f)
{
	struct asking *s = f->state;

	imds_stop(&s->imds);
	free(s);
}

const struct provider provider_imds = {.name = "IMDS", .start = start, .stop = stop, .network = true};
