#include "daemon/servers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/admin.h"
#include "daemon/inspect.h"

enum {
	CONNECTIONS_MAX = 1024,
	BODY_MAX_BYTES = 64 << 10,
	BODY_MIN_RATE = 100,
	HEAD_TIMEOUT_S = 10,
	IDLE_TIMEOUT_S = 120,
	CONTROL_MODE = 0600,
};

static struct httpd_options server_options(const char *address)
{
	return (struct httpd_options){
	    .address = address,
	    .unix_mode = CONTROL_MODE,
	    .max_connections = CONNECTIONS_MAX,
	    .max_body_bytes = BODY_MAX_BYTES,
	    .head_timeout_ns = HEAD_TIMEOUT_S * NS_PER_S,
	    .idle_timeout_ns = IDLE_TIMEOUT_S * NS_PER_S,
	    .min_body_rate = BODY_MIN_RATE,
	};
}

static const char *set_or_null(const char *text) { return text && *text ? text : NULL; }

/* The admin server; one that cannot be opened stops nobody, and is tried again with every tick. */
static enum err open_http(struct servers *s, struct error *e)
{
	struct httpd_options options = server_options(s->config->http.address);
	struct error why = {.code = ERR_OK};
	enum err err;

	options.cert_file = set_or_null(s->config->http.cert_file);
	options.key_file = set_or_null(s->config->http.key_file);
	options.token_file = set_or_null(s->config->http.token_file);
	options.require_guard = true;
	options.same_site = true;
	options.allowed_hosts = (struct listener_names){.items = s->config->http.allowed_hosts.items,
	                                                .count = s->config->http.allowed_hosts.count};
	err = httpd_open(s->base, &options, &s->http, &why);
	if (err != ERR_OK) {
		s->http = NULL;
		(void)error_wrap(&why, "http.address");
		if (strcmp(why.text, s->http_why.text) != 0)
			LOG(LOG_ERROR, "admin server cannot be opened", LOG_S("address", s->config->http.address),
			    LOG_S("reason", why.text), LOG_S("outcome", "it is tried again; everything else goes on"));
		*e = s->http_why = why;
		return err;
	}
	s->http_why = (struct error){.code = ERR_OK};
	admin_show(s->http, s->source);
	LOG(LOG_INFO, "admin server listens", LOG_S("address", s->config->http.address),
	    LOG_U("port", httpd_port(s->http)));
	return ERR_OK;
}

static enum err open_control(struct servers *s, struct error *e)
{
	char *path = inspect_control_path(s->config);
	const struct httpd_options options = server_options(path);
	const enum err err = httpd_open(s->base, &options, &s->control, e);

	free(path);
	if (err != ERR_OK) {
		s->control = NULL;
		return error_wrap(e, "control socket");
	}
	admin_show(s->control, s->source);
	s->shelf = admin_shelf_open(s->control, s->journal, s->delivery);
	return ERR_OK;
}

bool servers_open_again(struct servers *s)
{
	struct error e;

	if (!s->control && open_control(s, &e) == ERR_OK)
		LOG(LOG_INFO, "control socket is open: commands find the daemon again");
	return !s->http && s->http_why.code != ERR_OK && open_http(s, &e) == ERR_OK;
}

/* No room; or beside the spool, whose lock is ours, something of a stranger's. A place that was named is made right. */
static bool can_wait(const struct servers *s, enum err err)
{
	const char *named = s->config->kspool.control;

	return err == ERR_FULL || (err == ERR_ENVIRONMENT && (!named || !named[0]));
}

enum err servers_open(struct servers *s, struct journal *journal, struct delivery *delivery, struct error *e)
{
	enum err err;

	s->journal = journal;
	s->delivery = delivery;
	err = open_control(s, e);
	if (err != ERR_OK && !can_wait(s, err))
		return err;
	if (err != ERR_OK)
		LOG(LOG_ERROR, "the control socket cannot be made: commands do not find the daemon",
		    LOG_S("reason", e->text), LOG_S("outcome", "it is tried again; everything else goes on"));
	if (s->config->http.enabled && open_http(s, e) == ERR_CONFIG)
		return ERR_CONFIG;
	return ERR_OK;
}

void servers_free(struct servers *s)
{
	httpd_free(s->http);
	httpd_free(s->control);
	admin_shelf_free(s->shelf);
}
