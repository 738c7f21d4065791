/* Keys in the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, and their older names. */
#include "aws/identity/fetch.h"

#include <stddef.h>

static const char *first_of(const char *name, const char *older)
{
	const char *value = settings_env(name);

	return value ? value : settings_env(older);
}

static enum fetch_verdict start(struct fetch *f)
{
	const char *id = first_of("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY");
	const char *secret = first_of("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY");

	if (!id && !secret)
		return fetch_absent(f, "AWS_ACCESS_KEY_ID is not set");
	if (!id || !secret)
		return fetch_fail(f, "%s is set but %s is not", id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		                  id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	return fetch_found(f, id, secret, first_of("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"), 0);
}

const struct provider provider_environment = {.name = "environment", .start = start};
