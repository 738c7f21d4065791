/* httpd_route: which handler a request goes to, and what is refused before its body is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/httpd_internal.h"

void httpd_route(struct httpd *h, const char *methods, const char *path, httpd_handler *handler, void *arg)
{
	struct route *route = mem_zero(sizeof *route);

	route->methods = mem_string(methods);
	route->path = mem_string(path);
	route->handler = handler;
	route->arg = arg;
	SLIST_INSERT_HEAD(&h->routes, route, link);
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

const struct route *httpd_route_find(const struct httpd *h, const struct httpd_request *r, char *allow, size_t size)
{
	const struct route *route;
	bool head_as_get = strcmp(r->head.method, "HEAD") == 0;

	*allow = '\0';
	SLIST_FOREACH (route, &h->routes, link) {
		if (strcmp(route->path, r->path) != 0)
			continue;
		if (has_method(route->methods, r->head.method) || (head_as_get && has_method(route->methods, "GET")))
			return route;
		(void)snprintf(allow + strlen(allow), size - strlen(allow), "%s%s", *allow ? "," : "", route->methods);
	}
	return NULL;
}

bool httpd_precheck(struct httpd *h, const struct httpd_request *r, int *ret_status, char *ret_extra, size_t size)
{
	char allow[HTTPD_ALLOW_MAX];

	*ret_extra = '\0';
	if (h->guard && !guard_admits_header(h->guard, httpd_header_get(r, "Authorization"))) {
		metric_add(M_INPUT_REFUSED_DENIED, 1);
		LOG_LIMITED(LOG_WARN, "request refused", LOG_S("peer", r->peer.text),
		            LOG_S("reason", "no valid token"));
		(void)snprintf(ret_extra, size, "WWW-Authenticate: Bearer\r\n");
		*ret_status = 401;
		return true;
	}
	if (httpd_route_find(h, r, allow, sizeof allow))
		return false;
	*ret_status = *allow ? 405 : 404;
	if (*allow)
		(void)snprintf(ret_extra, size, "Allow: %s\r\n", allow);
	return true;
}
