#include "aws/signing/endpoint.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <arpa/inet.h>

#include "base/num.h"

struct partition {
	const char *name;
	const char *prefix;
	const char *dns;
	const char *dual;
	bool account_hosts;
};

static const struct partition partitions[] = {
#define PARTITION(name, prefix, dns, dual, account_hosts) {name, prefix, dns, dual, account_hosts},
#include "aws/signing/endpoints.def"
#undef PARTITION
};

enum { REGION_CHARS_MAX = 63, ACCOUNT_DIGITS = 12, STREAM_CHARS_MAX = 128 };

static const struct partition *partition_of(const char *region)
{
	const struct partition *best = &partitions[0];

	for (size_t i = 0; i < sizeof partitions / sizeof partitions[0]; i++) {
		size_t n = strlen(partitions[i].prefix);

		if (strncmp(region, partitions[i].prefix, n) == 0 && n > strlen(best->prefix))
			best = &partitions[i];
	}
	return best;
}

const char *endpoint_partition(const char *region) { return partition_of(region)->name; }

bool endpoint_region_valid(const char *region)
{
	size_t n = strlen(region);

	if (n == 0 || n > REGION_CHARS_MAX || region[0] == '-' || region[n - 1] == '-')
		return false;
	return strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* Copies up to the next ':' of *p and moves past it; false when it is empty or too long. */
static bool arn_part(const char **p, char *out, size_t size)
{
	size_t n = strcspn(*p, ":");

	if (n == 0 || n >= size || (*p)[n] != ':')
		return false;
	memcpy(out, *p, n);
	out[n] = '\0';
	*p += n + 1;
	return true;
}

bool endpoint_parse_arn(const char *text, struct stream_arn *ret)
{
	const char *p = text;
	char word[16];
	size_t n;

	if (!arn_part(&p, word, sizeof word) || strcmp(word, "arn") != 0 ||
	    !arn_part(&p, ret->partition, sizeof ret->partition) || !arn_part(&p, word, sizeof word) ||
	    strcmp(word, "kinesis") != 0 || !arn_part(&p, ret->region, sizeof ret->region) ||
	    !arn_part(&p, ret->account, sizeof ret->account) || strncmp(p, "stream/", 7) != 0)
		return false;
	p += 7;
	n = strlen(p);
	if (strlen(ret->account) != ACCOUNT_DIGITS || strspn(ret->account, "0123456789") != ACCOUNT_DIGITS ||
	    !endpoint_region_valid(ret->region) || n == 0 || n > STREAM_CHARS_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && !strchr("_.-", p[i]))
			return false;
	memcpy(ret->name, p, n + 1);
	return true;
}

bool endpoint_is_loopback(const char *host)
{
	char bare[64];
	size_t n = strlen(host);
	struct in_addr v4;
	struct in6_addr v6;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (n >= sizeof bare)
		return false;
	memcpy(bare, host, n + 1);
	if (n > 2 && bare[0] == '[' && bare[n - 1] == ']') {
		bare[n - 1] = '\0';
		return inet_pton(AF_INET6, bare + 1, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
	}
	if (inet_pton(AF_INET, bare, &v4) == 1)
		return (ntohl(v4.s_addr) >> 24) == 127;
	return inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* host[:port] or [v6][:port]: *ret_host_length is without the port. */
static bool authority_valid(const char *text, size_t length, size_t *ret_host_length)
{
	size_t host = 0;
	uint64_t port;
	char digits[8];

	if (length > 0 && text[0] == '[') {
		const char *end = memchr(text, ']', length);

		if (!end || strspn(text + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - text - 1))
			return false;
		host = (size_t)(end - text) + 1;
	} else {
		while (host < length && (isalnum((unsigned char)text[host]) || strchr("-._", text[host])))
			host++;
	}
	*ret_host_length = host;
	if (host == 0 || host == length)
		return host > 0;
	if (text[host] != ':' || length - host - 1 == 0 || length - host - 1 >= sizeof digits)
		return false;
	memcpy(digits, text + host + 1, length - host - 1);
	digits[length - host - 1] = '\0';
	return num_parse_u64(digits, &port) && port >= 1 && port <= 65535;
}

static void host_field(struct endpoint *ret, const char *authority, size_t length, size_t host_length)
{
	const char *usual = ret->plain ? ":80" : ":443";

	if (length - host_length == strlen(usual) && strncmp(authority + host_length, usual, strlen(usual)) == 0)
		length = host_length;
	(void)snprintf(ret->host, sizeof ret->host, "%.*s", (int)length, authority);
}

enum err endpoint_parse_url(const char *url, struct endpoint *ret, struct error *e)
{
	const char *authority, *path;
	size_t length, host_length, path_length;
	char host[256];

	memset(ret, 0, sizeof *ret);
	ret->plain = strncasecmp(url, "http://", 7) == 0;
	if (!ret->plain && strncasecmp(url, "https://", 8) != 0)
		return error_set(e, ERR_CONFIG, "endpoint %s: must begin with https:// (http:// for loopback)", url);
	authority = url + (ret->plain ? 7 : 8);
	length = strcspn(authority, "/?#");
	path = authority + length;
	if (length >= sizeof ret->host || !authority_valid(authority, length, &host_length))
		return error_set(e, ERR_CONFIG, "endpoint %s: the host or port is not valid", url);
	path_length = strlen(path);
	if (strpbrk(path, "?# \t\r\n") || path_length >= sizeof ret->path || strlen(url) >= sizeof ret->url)
		return error_set(e, ERR_CONFIG, "endpoint %s: a query, a fragment or a long path is not taken", url);
	(void)snprintf(host, sizeof host, "%.*s", (int)host_length, authority);
	ret->loopback = endpoint_is_loopback(host);
	if (ret->plain && !ret->loopback)
		return error_set(e, ERR_CONFIG, "endpoint %s: http:// is for loopback only, use https://", url);
	host_field(ret, authority, length, host_length);
	(void)snprintf(ret->path, sizeof ret->path, "%s", *path ? path : "/");
	(void)snprintf(ret->url, sizeof ret->url, "%s%s", url, *path ? "" : "/");
	(void)snprintf(ret->why, sizeof ret->why, "custom");
	return ERR_OK;
}

static enum err check_arn(const struct endpoint_wish *wish, const struct partition *p, struct stream_arn *arn,
                          struct error *e)
{
	if (!endpoint_parse_arn(wish->stream, arn))
		return error_set(e, ERR_CONFIG,
		                 "stream %s: not arn:{partition}:kinesis:{region}:{account}:stream/{name}",
		                 wish->stream);
	if (strcmp(arn->partition, p->name) != 0)
		return error_set(e, ERR_CONFIG, "stream %s: its partition %s is not that of region %s (%s)",
		                 wish->stream, arn->partition, wish->region, p->name);
	if (strcmp(arn->region, wish->region) != 0)
		return error_set(e, ERR_CONFIG, "stream %s: it is in region %s, and the region in use is %s",
		                 wish->stream, arn->region, wish->region);
	return ERR_OK;
}

static enum err resolve_region(const struct endpoint_wish *wish, struct endpoint *ret, struct error *e)
{
	const struct partition *p = partition_of(wish->region);
	const char *suffix = wish->dual_stack ? p->dual : p->dns;
	const char *fips = wish->fips ? "-fips" : "";
	bool is_arn = wish->stream && strncmp(wish->stream, "arn:", 4) == 0;
	struct stream_arn arn = {0};

	if (!endpoint_region_valid(wish->region))
		return error_set(e, ERR_CONFIG, "region \"%s\" is not valid", wish->region);
	if (is_arn) {
		enum err err = check_arn(wish, p, &arn, e);

		if (err)
			return err;
	}
	/* The rule set's one exception: GovCloud's plain hosts are its FIPS hosts. */
	if (wish->fips && !wish->dual_stack && strcmp(p->name, "aws-us-gov") == 0 &&
	    (strcmp(wish->service, "kinesis") == 0 || strcmp(wish->service, "sts") == 0) && !is_arn)
		fips = "";
	if (is_arn && p->account_hosts && strcmp(wish->service, "kinesis") == 0) {
		(void)snprintf(ret->host, sizeof ret->host, "%s.data-kinesis%s.%s.%s", arn.account, fips, wish->region,
		               suffix);
		(void)snprintf(ret->why, sizeof ret->why, "account host of the stream's ARN");
	} else {
		(void)snprintf(ret->host, sizeof ret->host, "%s%s.%s.%s", wish->service, fips, wish->region, suffix);
		(void)snprintf(ret->why, sizeof ret->why, "host of the region%s%s", wish->fips ? ", FIPS" : "",
		               wish->dual_stack ? ", dual-stack" : "");
	}
	(void)snprintf(ret->path, sizeof ret->path, "/");
	(void)snprintf(ret->url, sizeof ret->url, "https://%s/", ret->host);
	return ERR_OK;
}

enum err endpoint_resolve(const struct endpoint_wish *wish, struct endpoint *ret, struct error *e)
{
	memset(ret, 0, sizeof *ret);
	if (wish->custom && *wish->custom) {
		if (wish->fips || wish->dual_stack)
			return error_set(e, ERR_CONFIG,
			                 "a custom endpoint together with FIPS or dual-stack is not possible");
		return endpoint_parse_url(wish->custom, ret, e);
	}
	return resolve_region(wish, ret, e);
}
