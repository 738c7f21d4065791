#include "aws/identity/provider.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"

enum { SOURCE_MAX_BYTES = 4096 };

enum provider_verdict provider_start(struct provider_call *call, const struct provider *provider)
{
	call->provider = provider;
	call->state = NULL;
	call->error = (struct error){0};
	provider_name_source(call, "%s", provider->name);
	keys_wipe(&call->keys);
	if (provider->network && call->context->offline)
		return provider_fail(call, PROVIDER_OFFLINE);
	return provider->start(call);
}

void provider_stop(struct provider_call *call)
{
	if (call->provider && call->provider->stop && call->state)
		call->provider->stop(call);
	call->state = NULL;
	call->provider = NULL;
	keys_wipe(&call->keys);
	free(call->source);
	call->source = NULL;
}

enum provider_verdict provider_judge(enum err err) { return err ? PROVIDER_FAILED : PROVIDER_FOUND; }

void provider_name_source(struct provider_call *call, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, SOURCE_MAX_BYTES);
	va_start(ap, format);
	(void)buf_addv(&text, format, ap);
	va_end(ap);
	free(call->source);
	call->source = buf_take(&text, NULL);
}

enum provider_verdict provider_found(struct provider_call *call, const char *id, const char *secret, const char *token,
                                     int64_t expires_ms)
{
	enum err err = keys_check(id, secret, token, &call->error);

	if (err == ERR_OK)
		keys_set(&call->keys, id, secret, token, expires_ms);
	return provider_judge(err);
}

int64_t provider_now_ms(const struct provider_call *call) { return clock_wall_ms() + call->context->clock_offset_ms; }
