/* Keys written in the configuration: credentials.id, .secret, .token. */
#include "aws/identity/provider.h"

static enum provider_verdict start(struct provider_call *call)
{
	const struct identity_settings *s = call->context->settings;

	if (!s->id)
		return provider_absent(call, "credentials.id is not set");
	return provider_found(call, s->id, s->secret, s->token, 0);
}

const struct provider provider_config = {.name = "config", .start = start};
