#include "aws/identity/provider.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum provider_verdict provider_start(struct provider_call *call, const struct provider *provider)
{
	call->provider = provider;
	call->state = NULL;
	call->reason[0] = '\0';
	(void)snprintf(call->source, sizeof call->source, "%s", provider->name);
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
}

enum provider_verdict provider_fail(struct provider_call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(call->reason, sizeof call->reason, format, ap);
	va_end(ap);
	return PROVIDER_FAILED;
}

enum provider_verdict provider_absent(struct provider_call *call, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(call->reason, sizeof call->reason, format, ap);
	va_end(ap);
	return PROVIDER_ABSENT;
}

enum provider_verdict provider_found(struct provider_call *call, const char *id, const char *secret, const char *token,
                                     int64_t expires_ms)
{
	const char *fault = keys_fault(id, secret, token);

	if (fault)
		return provider_fail(call, "%s", fault);
	keys_set(&call->keys, id, secret, token, expires_ms);
	return PROVIDER_FOUND;
}

int64_t provider_now_ms(const struct provider_call *call) { return clock_wall_ms() + call->context->clock_offset_ms; }
