/*
 * httpd_site: is this a browser that another site's page sent here?
 *
 * On loopback without a token the peer's address proves nothing: every page open in a browser of this machine can have
 * it post here, and a page whose own name was made to mean 127.0.0.1 (DNS rebinding) can read the answers too. The
 * former shows in Origin and Sec-Fetch-Site, the latter in Host: a name with a dot that nobody told us. Addresses and
 * names without a dot are nobody else's.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "server/httpd_internal.h"

enum { HOST_MAX = 256 };

/* "Example.org:80" is "example.org", "[::1]:80" is "::1", "localhost." is "localhost". False: too long. */
static bool name_of(const char *host, char ret[HOST_MAX])
{
	bool bracketed = *host == '[';
	size_t n = bracketed ? strcspn(host + 1, "]") : strcspn(host, ":");

	if (n >= HOST_MAX)
		return false;
	memcpy(ret, host + bracketed, n);
	ret[n] = '\0';
	if (n > 1 && ret[n - 1] == '.')
		ret[n - 1] = '\0';
	return true;
}

static bool is_address(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static bool is_loopback_name(const char *name)
{
	size_t n = strlen(name);
	static const char end[] = ".localhost";

	return strcasecmp(name, "localhost") == 0 || strcmp(name, "::1") == 0 ||
	       (strncmp(name, "127.", 4) == 0 && is_address(name)) ||
	       (n >= sizeof end && strcasecmp(name + n - (sizeof end - 1), end) == 0);
}

static bool is_told(const struct httpd *h, const char *name)
{
	if (h->own_host && strcasecmp(h->own_host, name) == 0)
		return true;
	for (size_t i = 0; i < h->options.allowed_hosts.count; i++)
		if (strcasecmp(h->options.allowed_hosts.items[i], name) == 0)
			return true;
	return false;
}

/* "https://name:port" of a page that may send its readers here. */
static bool origin_is_ours(const struct httpd *h, const char *origin, const char *own)
{
	const char *host = strstr(origin, "://");
	char name[HOST_MAX];

	return host && name_of(host + 3, name) &&
	       (strcasecmp(name, own) == 0 || is_loopback_name(name) || is_told(h, name));
}

bool httpd_is_for_us(const struct httpd_request *r) { return !httpd_site_refusal(r->httpd, r); }

bool httpd_is_of_page(const struct httpd_request *r)
{
	return httpd_header_get(r, "Origin") || httpd_header_get(r, "Sec-Fetch-Site");
}

const char *httpd_site_refusal(const struct httpd *h, const struct httpd_request *r)
{
	const char *origin = httpd_header_get(r, "Origin");
	const char *site = httpd_header_get(r, "Sec-Fetch-Site");
	bool on_loopback = listener_is_loopback(h->listener);
	char own[HOST_MAX];

	if (h->guard || (!on_loopback && !h->options.same_site))
		return NULL;
	if (!name_of(r->head.head.data + r->head.host, own))
		return "the name in Host is too long";
	if (on_loopback && strchr(own, '.') && !is_address(own) && !is_loopback_name(own) && !is_told(h, own))
		return "Host is a name that is not ours: name it in allowed_hosts";
	if (origin && !origin_is_ours(h, origin, own))
		return "sent by a page of another site: name its host in allowed_hosts";
	if (!origin && site && strcasecmp(site, "cross-site") == 0)
		return "sent by a page of another site";
	return NULL;
}
