#include "aws/transport/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <curl/curl.h>

#include "base/clock.h"
#include "base/mem.h"

enum { USED_MS = 60000, GOOD_MS = 24 * 3600 * 1000, NAMES_MOST = 16 };

void names_of_url(const char *url, char host[static NAME_BYTES])
{
	CURLU *u = curl_url();
	char *name = NULL, *port = NULL;
	struct in_addr four;

	host[0] = '\0';
	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK && name[0] != '[' &&
	    inet_pton(AF_INET, name, &four) != 1 &&
	    (size_t)snprintf(host, NAME_BYTES, "%s:%s", name, port) >= NAME_BYTES)
		host[0] = '\0';
	curl_free(name);
	curl_free(port);
	curl_url_cleanup(u);
}

static struct name *find(const struct names *all, const char *host)
{
	struct name *n;

	LIST_FOREACH (n, all, link)
		if (strcmp(n->host, host) == 0)
			return n;
	return NULL;
}

void names_connected(struct names *all, const char *host, const char *address, int64_t now_ms)
{
	struct name *n = find(all, host), *other;
	int count = 0;

	if (!host[0] || strlen(address) >= ADDRESS_BYTES)
		return;
	if (!n) {
		LIST_FOREACH (other, all, link)
			count++;
		if (count >= NAMES_MOST)
			return;
		n = mem_zero(sizeof *n);
		(void)snprintf(n->host, sizeof n->host, "%s", host);
		LIST_INSERT_HEAD(all, n, link);
	}
	(void)snprintf(n->address, sizeof n->address, "%s", address);
	n->good_ms = now_ms;
}

void names_not_found(struct names *all, const char *host, int64_t now_ms)
{
	struct name *n = find(all, host);

	if (n && now_ms - n->good_ms < GOOD_MS)
		n->used_until_ms = now_ms + USED_MS;
}

void names_not_connected(struct names *all, const char *host)
{
	struct name *n = find(all, host);

	if (n)
		n->used_until_ms = 0;
}

void names_known(const struct names *all, const char *host, int64_t now_ms,
                 char text[static NAME_BYTES + ADDRESS_BYTES])
{
	const struct name *n = find(all, host);

	text[0] = '\0';
	if (n && now_ms < n->used_until_ms)
		(void)snprintf(text, NAME_BYTES + ADDRESS_BYTES, strchr(n->address, ':') ? "+%s:[%s]" : "+%s:%s",
		               n->host, n->address);
}

void names_clear(struct names *all)
{
	struct name *n;

	while ((n = LIST_FIRST(all))) {
		LIST_REMOVE(n, link);
		free(n);
	}
}
