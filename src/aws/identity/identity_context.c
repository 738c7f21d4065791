#include "aws/identity/identity_context.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "aws/transport/transport.h"
#include "aws/signing/sigv4.h"

/* Negative means off, as in the original; 0 means kspool's own choice. */
static int64_t seconds(int64_t ns) { return ns < 0 ? -1 : (ns + NS_PER_S - 1) / NS_PER_S; }

static const char *either(const char *upper, const char *lower)
{
	return identity_env(upper) ? identity_env(upper) : identity_env(lower);
}

static const char *ca_file(const struct identity_settings *s, const struct options_kspool *kspool)
{
	if (kspool->ca_file && *kspool->ca_file)
		return kspool->ca_file;
	if (identity_env("AWS_CA_BUNDLE"))
		return identity_env("AWS_CA_BUNDLE");
	return profiles_get(&s->profiles, s->profile, "ca_bundle");
}

/* For the rest of the process: a proxy is named in errors, and its password must not be. */
static void hide_password(const char *proxy)
{
	const char *at = proxy ? strrchr(proxy, '@') : NULL, *slashes = at ? strstr(proxy, "//") : NULL;
	const char *colon = slashes ? strchr(slashes, ':') : NULL;
	char *password = colon && colon < at ? mem_string_n(colon + 1, (size_t)(at - colon - 1)) : NULL;

	if (password)
		error_secret_add(password);
	free(password);
}

static enum err open_http(struct event_base *base, const struct aws_client_options *options, struct identity_context *c,
                          struct error *e)
{
	const struct options_tcp *tcp = &options->output->tcp;
	const char *proxy = options->kspool->proxy;
	struct transport_options o = {
	    .max_connections = options->max_connections,
	    .connect_timeout_ms = tcp->connect_timeout_ns / NS_PER_MS,
	    .user_timeout_ms = tcp->tcp_user_timeout_ns / NS_PER_MS,
	    .keepalive_idle_s = seconds(tcp->keep_alive.idle_ns),
	    .keepalive_interval_s = seconds(tcp->keep_alive.interval_ns),
	    .keepalive_count = tcp->keep_alive.count,
	    .period_s = seconds(options->output->batching.period_ns),
	    .ca_file = ca_file(c->settings, options->kspool),
	    .no_proxy = either("NO_PROXY", "no_proxy"),
	};

	/* A proxy is used only when the configuration says so, be it by this word. */
	if (proxy && strcmp(proxy, "environment") == 0) {
		proxy = either("HTTPS_PROXY", "https_proxy");
		if (!proxy)
			proxy = either("ALL_PROXY", "all_proxy");
	}
	o.proxy = proxy;
	hide_password(proxy);
	return transport_open(base, &o, &c->http, e);
}

enum err identity_context_open(struct event_base *base, const struct aws_client_options *options,
                               struct identity_context *c, struct error *e)
{
	enum err err;

	memset(c, 0, sizeof *c);
	c->base = base;
	err = identity_settings_open(options, &c->settings, e);
	if (err == ERR_OK)
		err = sigv4_open(&c->signer, e);
	if (err == ERR_OK)
		err = open_http(base, options, c, e);
	if (err)
		identity_context_close(c);
	return err;
}

void identity_context_reload(struct identity_context *c, const struct aws_client_options *options,
                             struct identity_settings *fresh)
{
	identity_settings_close(c->settings);
	c->settings = fresh;
	transport_set_period(c->http, seconds(options->output->batching.period_ns));
}

void identity_context_close(struct identity_context *c)
{
	transport_close(c->http);
	sigv4_close(c->signer);
	identity_settings_close(c->settings);
	memset(c, 0, sizeof *c);
}

enum { CLOCK_NOISE_MS = 20 * MS_PER_S };

void identity_context_learn_clock(struct identity_context *c, int64_t server_wall_ms)
{
	int64_t offset = server_wall_ms - clock_wall_ms();
	int64_t change = offset - c->clock_offset_ms;

	if (change > -CLOCK_NOISE_MS && change < CLOCK_NOISE_MS)
		return;
	c->clock_offset_ms = offset > -CLOCK_NOISE_MS && offset < CLOCK_NOISE_MS ? 0 : offset;
}
