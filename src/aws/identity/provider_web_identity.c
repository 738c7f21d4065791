/* EKS IRSA and the like: AWS_WEB_IDENTITY_TOKEN_FILE with AWS_ROLE_ARN, and AWS_ROLE_SESSION_NAME. */
#include "aws/identity/provider.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static void on_role(struct provider_call *child, enum provider_verdict verdict)
{
	struct provider_call *call = child->arg;

	if (verdict == PROVIDER_FOUND)
		keys_move(&call->keys, &child->keys);
	else
		call->error = child->error;
	call->done(call, verdict);
}

static enum provider_verdict start(struct provider_call *call)
{
	const char *file = identity_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = identity_env("AWS_ROLE_ARN");
	struct provider_call *child;
	enum provider_verdict verdict;

	if (!file)
		return provider_absent(call, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (!role)
		return provider_fail(call, "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not");
	child = mem_zero(sizeof *child);
	call->state = child;
	child->context = call->context;
	child->done = on_role;
	child->arg = call;
	child->role = (struct assumed_role){
	    .arn = role, .session_name = identity_env("AWS_ROLE_SESSION_NAME"), .token_file = file};
	verdict = provider_start(child, &provider_role);
	call->error = child->error;
	return verdict;
}

static void stop(struct provider_call *call)
{
	provider_stop(call->state);
	free(call->state);
}

const struct provider provider_web_identity = {.name = "web identity", .start = start, .stop = stop};
