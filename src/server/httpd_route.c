/* httpd_route: which handler a request goes to, and what is refused before its body is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/httpd_internal.h"

void httpd_serve(struct httpd *h, const struct httpd_endpoint *endpoint)
{
	struct route *route = mem_zero(sizeof *route);

	route->methods = mem_string(endpoint->methods);
	route->path = mem_string(endpoint->path);
	route->handler = endpoint->handler;
	route->look = endpoint->look;
	route->arg = endpoint->arg;
	route->is_open = endpoint->is_open;
	route->is_exact = endpoint->is_exact;
	route->is_probed = endpoint->is_probed;
	SLIST_INSERT_HEAD(&h->routes, route, link);
}

void httpd_route(struct httpd *h, const char *methods, const char *path, httpd_handler *handler, void *arg)
{
	httpd_serve(h, &(struct httpd_endpoint){.methods = methods, .path = path, .handler = handler, .arg = arg});
}

static void route_free(struct route *route)
{
	free(route->methods);
	free(route->path);
	free(route);
}

void httpd_unroute(struct httpd *h, httpd_handler *handler, void *arg)
{
	struct route *route, *next;

	for (route = SLIST_FIRST(&h->routes); route; route = next) {
		next = SLIST_NEXT(route, link);
		if (route->handler != handler || route->arg != arg)
			continue;
		SLIST_REMOVE(&h->routes, route, route, link);
		route_free(route);
	}
}

void httpd_routes_free(struct httpd *h)
{
	struct route *route;

	while ((route = SLIST_FIRST(&h->routes))) {
		SLIST_REMOVE_HEAD(&h->routes, link);
		route_free(route);
	}
}

/* "POST,PUT" has POST. */
static bool has_method(const char *methods, const char *method)
{
	size_t n = strlen(method);

	while (*methods) {
		size_t length = strcspn(methods, ",");

		if (length == n && memcmp(methods, method, n) == 0)
			return true;
		methods += length;
		methods += *methods == ',';
	}
	return false;
}

/* One step through pattern and path: a character, or a segment for a variable. False: they differ here. */
static bool match_step(const char **pattern, const char **path, size_t *ret_name_length, size_t *ret_length)
{
	const char *end = **pattern == '{' ? strchr(*pattern, '}') : NULL;

	*ret_name_length = *ret_length = 0;
	if (!end) {
		if (**pattern != **path)
			return false;
		++*pattern;
		++*path;
		return true;
	}
	*ret_name_length = (size_t)(end - *pattern) - 1;
	*ret_length = strcspn(*path, "/");
	*pattern = end + 1;
	*path += *ret_length;
	return *ret_length > 0;
}

static bool path_matches(const struct route *route, const char *path)
{
	const char *pattern = route->path;
	size_t n = strlen(pattern), name_length, length;
	bool is_prefix = !route->is_exact && n > 0 && pattern[n - 1] == '/';

	while (*pattern)
		if (!match_step(&pattern, &path, &name_length, &length))
			return false;
	return is_prefix || *path == '\0';
}

void httpd_each_variable(const struct httpd_request *r,
                         void (*each)(void *arg, const char *name, size_t name_length, const char *value,
                                      size_t length),
                         void *arg)
{
	const char *pattern = r->pattern, *path = r->path;

	while (pattern && *pattern) {
		const char *name = pattern + 1, *value = path;
		size_t name_length, length;

		if (!match_step(&pattern, &path, &name_length, &length))
			return;
		if (name_length > 0)
			each(arg, name, name_length, value, length);
	}
}

static const struct route options_route = {.is_open = true, .is_probed = true};

const struct route *httpd_route_find(const struct httpd *h, const struct httpd_request *r, char *allow, size_t size)
{
	const struct route *route;
	bool head_as_get = strcmp(r->head.method, "HEAD") == 0;

	*allow = '\0';
	SLIST_FOREACH (route, &h->routes, link) {
		if (!path_matches(route, r->path))
			continue;
		if (has_method(route->methods, r->head.method) || (head_as_get && has_method(route->methods, "GET")))
			return route;
		if (!strstr(allow, route->methods))
			(void)snprintf(allow + strlen(allow), size - strlen(allow), "%s%s", *allow ? "," : "",
			               route->methods);
	}
	if (strcmp(r->head.method, "OPTIONS") == 0 &&
	    (*allow || strcmp(r->path, "*") == 0 || strcmp(r->path, "/") == 0))
		return &options_route;
	return NULL;
}

uint64_t httpd_token_of(const struct httpd *h, const struct httpd_request *r)
{
	return h->guard ? guard_judge_header(h->guard, httpd_header_get(r, "Authorization")) : 0;
}

void httpd_identity(const struct httpd_request *r, unsigned char ret[LISTENER_KEY_BYTES])
{
	uint64_t token = r->peer.name[0] ? 0 : httpd_token_of(r->httpd, r);

	memcpy(ret, r->peer.key, LISTENER_KEY_BYTES);
	if (token != 0)
		guard_key(token, ret);
}

static bool lacks_token(const struct httpd *h, const struct httpd_request *r, const struct route *route)
{
	return h->guard && !(route && route->is_open) && httpd_token_of(h, r) == 0;
}

void httpd_precheck(struct httpd *h, const struct httpd_request *r, struct httpd_verdict *verdict, char *extra,
                    size_t size)
{
	char allow[HTTPD_ALLOW_MAX];
	const struct route *route = httpd_route_find(h, r, allow, sizeof allow);
	bool is_probe = route && route->is_probed && !httpd_is_of_page(r);
	const char *foreign = is_probe ? NULL : httpd_site_refusal(h, r);

	*verdict = (struct httpd_verdict){.max_body_bytes = h->options.max_body_bytes};
	if (foreign) {
		verdict->status = 403;
		verdict->reason = foreign;
	} else if (lacks_token(h, r, route)) {
		verdict->status = 401;
		verdict->reason = "no valid token";
		verdict->extra = "WWW-Authenticate: Bearer\r\n";
	} else if (!route) {
		verdict->status = *allow ? 405 : 404;
		(void)snprintf(extra, size, "Allow: %s\r\n", allow);
		verdict->extra = *allow ? extra : NULL;
	} else if (route->look) {
		route->look(r, verdict, route->arg);
	}
	if (verdict->status == 0 && r->head.content_length > verdict->max_body_bytes) {
		verdict->status = 413;
		verdict->reason = "body too large";
	}
	if (verdict->status == 401 || verdict->status == 403) {
		metric_add(M_INPUT_REFUSED_DENIED, 1);
		LOG_LIMITED(LOG_WARN, "request refused", LOG_S("peer", r->peer.text), LOG_S("reason", verdict->reason));
	}
}
