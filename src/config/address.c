#include "config/address.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
