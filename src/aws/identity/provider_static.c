/*
 * Keys that stand written: in the configuration (credentials.id, .secret, .token), or in the environment
 * (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and their older names).
 */
#include "aws/identity/provider.h"

#include <stddef.h>

static enum provider_verdict start_config(struct provider_call *call)
{
	const struct identity_settings *s = call->context->settings;

	if (!s->id)
		return provider_absent(call, "credentials.id is not set");
	return provider_found(call, s->id, s->secret, s->token, 0);
}

static const char *first_of(const char *name, const char *older)
{
	const char *value = identity_env(name);

	return value ? value : identity_env(older);
}

static enum provider_verdict start_environment(struct provider_call *call)
{
	const char *id = first_of("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
	const char *secret = first_of("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY");

	if (!id && !secret)
		return provider_absent(call, "AWS_ACCESS_KEY_ID is not set");
	if (!id || !secret)
		return provider_fail(call, "%s is set but %s is not",
		                     id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		                     id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	return provider_found(call, id, secret, first_of("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"), 0);
}

const struct provider provider_environment = {.name = "environment", .start = start_environment};
const struct provider provider_config = {.name = "config", .start = start_config};
