/* Keys written in the configuration: credentials.id, .secret, .token. */
#include "aws/identity/fetch.h"

static enum fetch_verdict start(struct fetch *f)
{
	const struct settings *s = f->world->settings;

	if (!s->id)
		return fetch_absent(f, "credentials.id is not set");
	return fetch_found(f, s->id, s->secret, s->token, 0);
}

const struct provider provider_config = {.name = "config", .start = start};
