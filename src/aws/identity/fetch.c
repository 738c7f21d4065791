#include "aws/identity/fetch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum fetch_verdict fetch_start(struct fetch *f, const struct provider *provider)
{
	f->provider = provider;
	f->state = NULL;
	f->reason[0] = '\0';
	(void)snprintf(f->source, sizeof f->source, "%s", provider->name);
	keys_wipe(&f->keys);
	if (provider->network && f->world->offline)
		return fetch_fail(f, FETCH_OFFLINE);
	return provider->start(f);
}

void fetch_stop(struct fetch *f)
{
	if (f->provider && f->provider->stop && f->state)
		f->provider->stop(f);
	f->state = NULL;
	f->provider = NULL;
	keys_wipe(&f->keys);
}

enum fetch_verdict fetch_fail(struct fetch *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(f->reason, sizeof f->reason, format, ap);
	va_end(ap);
	return FETCH_FAILED;
}

enum fetch_verdict fetch_absent(struct fetch *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(f->reason, sizeof f->reason, format, ap);
	va_end(ap);
	return FETCH_ABSENT;
}

enum fetch_verdict fetch_found(struct fetch *f, const char *id, const char *secret, const char *token,
                               int64_t expires_ms)
{
	const char *fault = keys_fault(id, secret, token);

	if (fault)
		return fetch_fail(f, "%s", fault);
	keys_set(&f->keys, id, secret, token, expires_ms);
	return FETCH_FOUND;
}

int64_t fetch_now_ms(const struct fetch *f) { return clock_wall_ms() + f->world->clock_offset_ms; }

enum { CLOCK_NOISE_MS = 20 * MS_PER_S };

void fetch_learn_clock(struct fetch_world *w, int64_t server_wall_ms)
{
	int64_t offset = server_wall_ms - clock_wall_ms();
	int64_t change = offset - w->clock_offset_ms;

	if (change > -CLOCK_NOISE_MS && change < CLOCK_NOISE_MS)
		return;
	w->clock_offset_ms = offset > -CLOCK_NOISE_MS && offset < CLOCK_NOISE_MS ? 0 : offset;
}
