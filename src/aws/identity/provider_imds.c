/*
 * The role of an EC2 instance, from IMDSv2: GET the role's name, then its keys. Source: EC2 User Guide, "Retrieve
 * security credentials from instance metadata".
 */
#include "aws/identity/provider.h"

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

static void on_keys(struct provider_call *call, const struct transport_answer *a)
{
	char *text = mem_string_n(a->body, a->body_bytes);
	enum err err = credential_reply_imds(text, a->body_bytes, &call->keys, &call->error);

	free(text);
	call->done(call, provider_judge(err));
}

/* The first line is the role; an instance has one at most. */
static void on_role(struct provider_call *call, const struct transport_answer *a)
{
	struct asking *s = call->state;
	size_t n = strcspn(a->body, "\r\n");
	char *path;

	if (n == 0 || n > 128 ||
	    strspn(a->body, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	                    "0123456789+=,.@_-") != n) {
		call->done(call, provider_fail(call, "the instance's role has no usable name"));
		return;
	}
	s->has_role = true;
	path = mem_format(ROLES_PATH "%.*s", (int)n, a->body);
	imds_get(&s->imds, path);
	free(path);
}

static void on_answer(struct imds *m, const struct transport_answer *a, const struct error *error)
{
	struct provider_call *call = m->arg;
	struct asking *s = call->state;

	if (!a) {
		call->error = *error;
		call->done(call, PROVIDER_FAILED);
	} else if (a->status == 404 && !s->has_role) {
		call->done(call, provider_absent(call, "the instance has no role"));
	} else if (a->status != 200) {
		call->done(call, provider_fail(call, "answered with status %d", a->status));
	} else if (!s->has_role) {
		on_role(call, a);
	} else {
		on_keys(call, a);
	}
}

static enum provider_verdict start(struct provider_call *call)
{
	struct asking *s = mem_zero(sizeof *s);

	call->state = s;
	s->imds.context = call->context;
	s->imds.done = on_answer;
	s->imds.arg = call;
	if (imds_open(&s->imds, &call->error))
		return PROVIDER_ABSENT;
	imds_get(&s->imds, ROLES_PATH);
	return PROVIDER_PENDING;
}

static void stop(struct provider_call *call)
{
	struct asking *s = call->state;

	imds_stop(&s->imds);
	free(s);
}

const struct provider provider_imds = {.name = "IMDS", .start = start, .stop = stop, .network = true};
