/* EKS IRSA and the like: AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, and AWS_ROLE_SESSION_NAME. */
#include "aws/identity/fetch.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static void on_role(struct fetch *child, enum fetch_verdict verdict)
{
	struct fetch *f = child->arg;

	if (verdict == FETCH_FOUND)
		keys_move(&f->keys, &child->keys);
	else
		(void)fetch_fail(f, "%s", child->reason);
	f->done(f, verdict);
}

static enum fetch_verdict start(struct fetch *f)
{
	const char *file = settings_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = settings_env("AWS_ROLE_ARN");
	struct fetch *child;
	enum fetch_verdict verdict;

	if (!file)
		return fetch_absent(f, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (!role)
		return fetch_fail(f, "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not");
	child = mem_zero(sizeof *child);
	f->state = child;
	child->world = f->world;
	child->done = on_role;
	child->arg = f;
	child->role =
	    (struct fetch_role){.arn = role, .session_name = settings_env("AWS_ROLE_SESSION_NAME"), .token_file = file};
	verdict = fetch_start(child, &provider_role);
	return verdict == FETCH_PENDING ? verdict : fetch_fail(f, "%s", child->reason);
}

static void stop(struct fetch *f)
{
	fetch_stop(f->state);
	free(f->state);
}

const struct provider provider_web_identity = {.name = "web identity", .start = start, .stop = stop};
