#include "aws/identity/world.h"

#include <string.h>

#include "base/clock.h"
#include "aws/transport/http.h"
#include "aws/signing/sigv4.h"

/* Negative means off, as in the original; 0 means kspool's own choice. */
static int64_t seconds(int64_t ns) { return ns < 0 ? -1 : (ns + NS_PER_S - 1) / NS_PER_S; }

static const char *either(const char *upper, const char *lower)
{
	return settings_env(upper) ? settings_env(upper) : settings_env(lower);
}

static const char *ca_file(const struct settings *s, const struct options_kspool *kspool)
{
	if (kspool->ca_file && *kspool->ca_file)
		return kspool->ca_file;
	if (settings_env("AWS_CA_BUNDLE"))
		return settings_env("AWS_CA_BUNDLE");
	return profiles_get(&s->profiles, s->profile, "ca_bundle");
}

static enum err open_http(struct event_base *base, const struct aws_client_options *options, struct fetch_world *w,
                          struct error *e)
{
	const struct options_tcp *tcp = &options->output->tcp;
	const char *proxy = options->kspool->proxy;
	struct http_options o = {
	    .max_connections = options->max_connections,
	    .connect_timeout_ms = tcp->connect_timeout_ns / NS_PER_MS,
	    .user_timeout_ms = tcp->tcp_user_timeout_ns / NS_PER_MS,
	    .keepalive_idle_s = seconds(tcp->keep_alive.idle_ns),
	    .keepalive_interval_s = seconds(tcp->keep_alive.interval_ns),
	    .keepalive_count = tcp->keep_alive.count,
	    .ca_file = ca_file(w->settings, options->kspool),
	    .no_proxy = either("NO_PROXY", "no_proxy"),
	};

	/* A proxy is used only when the configuration says so, be it by this word. */
	o.proxy = proxy && strcmp(proxy, "environment") == 0 ? either("HTTPS_PROXY", "https_proxy") : proxy;
	return http_open(base, &o, &w->http, e);
}

enum err world_open(struct event_base *base, const struct aws_client_options *options, struct fetch_world *w,
                    struct error *e)
{
	enum err err;

	memset(w, 0, sizeof *w);
	w->base = base;
	err = settings_open(options, &w->settings, e);
	if (err == ERR_OK)
		err = sigv4_open(&w->signer, e);
	if (err == ERR_OK)
		err = open_http(base, options, w, e);
	if (err)
		world_close(w);
	return err;
}

void world_close(struct fetch_world *w)
{
	http_close(w->http);
	sigv4_close(w->signer);
	settings_close(w->settings);
	memset(w, 0, sizeof *w);
}
