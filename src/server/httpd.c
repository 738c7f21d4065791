/*
 * Invariants:
 * 1. A connection is in the list from connection_new to connection_free, and holds one place of the listener as long.
 * 2. `requests` counts those whose handler ran and that wait for httpd_answer; the server is freed only at 0.
 * 3. A walk over the connections takes the next one first: what it calls may free the one it stands at.
 */
#include "server/httpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/httpd_internal.h"

enum { TICK_MS = 250 };

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct httpd *h = arg;
	int64_t now_ns = clock_mono_ns();
	struct connection *c, *next;

	(void)fd;
	(void)what;
	for (c = TAILQ_FIRST(&h->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		connection_check(c, now_ns);
	}
}

static const char too_many[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 21\r\n"
                               "Content-Type: text/plain\r\nConnection: close\r\n\r\ntoo many connections\n";

static bool make_room(const unsigned char *key, bool for_smaller, void *arg)
{
	return connection_make_room(arg, key, for_smaller);
}

static enum err open_listener(struct httpd *h, const struct httpd_options *o, struct error *e)
{
	bool is_path = o->address[0] == '/' || o->address[0] == '.';
	const struct listener_options options = {
	    .address = o->address,
	    .is_unix = is_path,
	    .unix_mode = o->unix_mode,
	    .cert_file = o->cert_file,
	    .key_file = o->key_file,
	    .client_ca_file = o->client_ca_file,
	    .allowed_names = o->allowed_names,
	    .require_guard = o->require_guard,
	    .has_token = h->guard,
	    .max_connections = o->max_connections,
	    .max_connections_per_peer = o->max_connections_per_peer,
	    .make_room = make_room,
	    .refusal = too_many,
	};

	return listener_open(h->base, &options, connection_new, h, &h->listener, e);
}

enum err httpd_open(struct event_base *base, const struct httpd_options *options, struct httpd **ret, struct error *e)
{
	const struct timeval period = {.tv_usec = TICK_MS * 1000};
	struct httpd *h = mem_zero(sizeof *h);
	enum err err = ERR_OK;

	h->base = base;
	h->options = *options;
	if (h->options.max_connections_per_token == 0)
		h->options.max_connections_per_token = (options->max_connections + 1) / 2;
	if (h->options.busy_timeout_ns == 0)
		h->options.busy_timeout_ns = 5 * NS_PER_S;
	TAILQ_INIT(&h->connections);
	SLIST_INIT(&h->routes);
	h->tick = event_new(base, -1, EV_PERSIST, on_tick, h);
	must(h->tick && event_add(h->tick, &period) == 0);
	if (options->token_file && *options->token_file) {
		h->token_file = mem_string(options->token_file);
		err = guard_load(h->token_file, &h->guard, e);
		if (err != ERR_OK)
			err = e->code = ERR_ENVIRONMENT; /* a file can be mended while we wait */
	}
	h->own_host = mem_string_n(options->address, strcspn(options->address, ":"));
	if (err == ERR_OK)
		err = open_listener(h, options, e);
	if (err != ERR_OK) {
		httpd_free(h);
		return err;
	}
	*ret = h;
	return ERR_OK;
}

uint16_t httpd_port(const struct httpd *h) { return listener_port(h->listener); }

enum err httpd_read_files(struct httpd *h, struct error *e)
{
	struct guard *fresh;
	enum err err = listener_read_keys(h->listener, e);

	if (err != ERR_OK || !h->guard)
		return err;
	err = guard_load(h->token_file, &fresh, e);
	if (err != ERR_OK)
		return err;
	guard_free(h->guard);
	h->guard = fresh;
	return ERR_OK;
}

const char *httpd_trouble(const struct httpd *h) { return listener_trouble(h->listener); }

bool httpd_has_guard(const struct httpd *h) { return h->guard; }

void httpd_set_share(struct httpd *h, bool (*may_read)(void *arg, enum httpd_room room),
                     void (*on_bytes)(void *arg, int64_t change), void *arg)
{
	h->options.may_read = may_read;
	h->options.on_bytes = on_bytes;
	h->options.arg = arg;
}

void httpd_raise_body(struct httpd *h, uint64_t max_body_bytes)
{
	if (h->options.max_body_bytes < max_body_bytes)
		h->options.max_body_bytes = max_body_bytes;
}

void httpd_resume(struct httpd *h)
{
	struct connection *c, *next;

	for (c = TAILQ_FIRST(&h->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->paused && httpd_may_read(h, HTTPD_ROOM_WHOLE))
			connection_run(c);
	}
}

void httpd_give_up_waiting(struct httpd *h)
{
	struct connection *c, *next;

	h->gives_up = true;
	for (c = TAILQ_FIRST(&h->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->paused)
			connection_give_up(c);
	}
}

void httpd_stop(struct httpd *h)
{
	struct connection *c, *next;

	h->stopping = true;
	listener_stop(h->listener);
	httpd_give_up_waiting(h);
	for (c = TAILQ_FIRST(&h->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!connection_is_busy(c) && c->state != CONNECTION_LINGER)
			connection_free(c);
	}
}

bool httpd_is_idle(const struct httpd *h)
{
	const struct connection *c;

	if (h->requests > 0)
		return false;
	TAILQ_FOREACH (c, &h->connections, link)
		if (connection_is_busy(c))
			return false;
	return true;
}

void httpd_free(struct httpd *h)
{
	struct connection *c;

	if (!h)
		return;
	must(h->requests == 0); /* a handler still holds a request: it would answer into freed memory */
	while ((c = TAILQ_FIRST(&h->connections)))
		connection_free(c);
	httpd_routes_free(h);
	listener_free(h->listener);
	guard_free(h->guard);
	free(h->token_file);
	free(h->own_host);
	event_free(h->tick);
	free(h);
}
