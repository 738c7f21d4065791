#include "config/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/num.h"

/* The host of "host:port" without brackets (free it); null when the address is not that. */
static char *split_host(const char *address)
{
	const char *colon = strrchr(address, ':');
	uint64_t port;

	if (!colon || strlen(colon + 1) > 5 || !num_parse_u64(colon + 1, &port) || port > 65535)
		return NULL;
	if (*address == '[')
		return colon > address + 1 && colon[-1] == ']'
		           ? mem_string_n(address + 1, (size_t)(colon - address) - 2)
		           : NULL;
	if (memchr(address, ':', (size_t)(colon - address)))
		return NULL;
	return mem_string_n(address, (size_t)(colon - address));
}

bool address_is_valid(const char *address)
{
	AUTOFREE char *host = split_host(address);
	struct in6_addr v6;

	if (!host)
		return false;
	if (*address == '[')
		return inet_pton(AF_INET6, host, &v6) == 1;
	return host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] == '\0';
}

bool address_is_loopback(const char *address)
{
	AUTOFREE char *host = split_host(address);
	struct in6_addr v6;
	struct in_addr v4;

	if (!host)
		return false;
	if (strcmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* What the metadata of a request would lose: names that kspool sets itself, and one name for two segments. */
static const char *variable_fault(const char *path, const char *name, size_t length)
{
	static const char ours[] = "http_server_";

	if (length >= sizeof ours - 1 && strncasecmp(name, ours, sizeof ours - 1) == 0)
		return "has a variable whose name begins with http_server_, as metadata that kspool sets does";
	for (const char *at = path; at < name - 1; at++)
		if (*at == '{' && strncmp(at + 1, name, length + 1) == 0)
			return "has two variables with one name";
	return NULL;
}

/* Requests are compared as they are written, but for what clients and proxies resolve. */
static bool is_never_asked(const char *path)
{
	for (const char *at = path; (at = strchr(at, '/')); at++) {
		const size_t length = strcspn(at + 1, "/");

		if ((length == 1 && at[1] == '.') || (length == 2 && at[1] == '.' && at[2] == '.'))
			return true;
	}
	return strchr(path, '%');
}

/* Variables stand for whole segments, as {name}; the reference's patterns ({name:[a-z]+}) and parts are not built. */
const char *address_path_fault(const char *path)
{
	if (*path != '/')
		return "must begin with /";
	for (const char *at = path; (at = strpbrk(at, "{}"));) {
		const char *end = *at == '{' ? strchr(at, '}') : NULL;
		const char *pattern = end ? memchr(at, ':', (size_t)(end - at)) : NULL;

		if (!end || end == at + 1)
			return "has a brace without a name between two braces; a variable is {name}";
		if (pattern)
			return "has a variable with a pattern; kspool knows {name} for any one segment";
		if (at[-1] != '/' || (end[1] != '/' && end[1] != '\0') || memchr(at + 1, '{', (size_t)(end - at - 1)))
			return "has a variable that is no whole segment; kspool knows /{name}/";
		if (variable_fault(path, at + 1, (size_t)(end - at - 1)))
			return variable_fault(path, at + 1, (size_t)(end - at - 1));
		at = end + 1;
	}
	if (is_never_asked(path))
		return "must be written as requests are: without % and the segments . and ..";
	return strpbrk(path, "?#") ? "must not have ? or #" : NULL;
}
