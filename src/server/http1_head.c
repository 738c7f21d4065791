/*
 * Invariants:
 * 1. The head ends with an empty line, so every line has its CRLF; http1.c made sure of it.
 * 2. The head is shorter than 64 KiB, so an offset into it fits 16 bits.
 * 3. After a true answer method, target and headers are NUL-terminated texts inside head.data, and the framing is
 *    certain: no body, a length, or chunked, and never two of them.
 * 4. After a false answer status and reason are set, and nothing else of the parser may be read.
 */
#include "server/http1_head.h"

#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/hex.h"

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};

/* Names that change framing, routing, identity or meaning of what was already read (RFC 9110 6.5.1). */
static const char *const never_in_trailers[] = {"authorization",
                                                "cache-control",
                                                "connection",
                                                "content-encoding",
                                                "content-length",
                                                "content-range",
                                                "content-type",
                                                "cookie",
                                                "expect",
                                                "host",
                                                "if-match",
                                                "if-modified-since",
                                                "if-none-match",
                                                "if-range",
                                                "if-unmodified-since",
                                                "keep-alive",
                                                "max-forwards",
                                                "pragma",
                                                "proxy-authorization",
                                                "proxy-connection",
                                                "range",
                                                "set-cookie",
                                                "te",
                                                "trailer",
                                                "transfer-encoding",
                                                "upgrade",
                                                "www-authenticate",
                                                "proxy-authenticate"};

/*
 * What decides framing, identity, site or form of a request, and so has one value: of two, we might believe the one
 * that who checked it before us did not. Content-Encoding is a list, whose lines are read as one.
 */
static const char *const only_once[] = {"authorization", "content-length", "content-type",   "expect",
                                        "host",          "origin",         "sec-fetch-site", "transfer-encoding"};

bool http1_refuse(struct http1 *p, int status, const char *reason)
{
	p->status = status;
	p->reason = reason;
	return false;
}

bool http1_is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

/* A path and a query: no fragment, no raw control or 8-bit character; of what RFC 3986 wants escaped, what WHATWG's URL
 * leaves as it is (browsers, Node) is taken: in the query a % that begins nothing, too. */
static bool path_is_good(const char *target)
{
	const char *end = target + strlen(target);
	bool in_query = false;
	int escaped;

	if (*target != '/')
		return false;
	for (const char *c = target; c < end; c++) {
		if (*c <= ' ' || *c > '~' || strchr("#\"<>", *c))
			return false;
		in_query = in_query || *c == '?';
		escaped = *c == '%' ? hex_percent_decode(c, end) : 1;
		if (escaped == 0 || (escaped < 0 && !in_query))
			return false;
	}
	return true;
}

static bool host_is_good(const char *host)
{
	for (const char *c = host; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("/\\@?#,\"<>", *c))
			return false;
	return true;
}

/*
 * "http://host/path" (RFC 9112 3.2.2), as proxies send it: in place, the host moves over the scheme, and what follows
 * it is the path, with a '/' made where it has none.
 */
static bool cut_absolute(struct http1 *p, char **target)
{
	char *host = strncasecmp(*target, "http://", 7) == 0    ? *target + 7
	             : strncasecmp(*target, "https://", 8) == 0 ? *target + 8
	                                                        : NULL;
	size_t n = host ? strcspn(host, "/?#") : 0;
	char *path = host ? host + n : NULL;

	if (n == 0)
		return false;
	memmove(*target, host, n);
	if (*path != '/')
		*--path = '/';
	(*target)[n] = '\0';
	p->host = (uint16_t)(*target - p->head.data);
	*target = path;
	return host_is_good(p->head.data + p->host);
}

/* HTTP/1.x is spoken, whatever x is (RFC 9110 6.2); only 1.0 means something else. */
static bool read_version(struct http1 *p, const char *version)
{
	bool known = strncmp(version, "HTTP/", 5) == 0 && version[5] >= '0' && version[5] <= '9' && version[6] == '.' &&
	             version[7] >= '0' && version[7] <= '9' && version[8] == '\0';

	if (!known)
		return http1_refuse(p, 400, "malformed version");
	if (version[5] != '1')
		return http1_refuse(p, 505, "only HTTP/1 is spoken here");
	p->old = version[7] == '0';
	p->close = p->old;
	return true;
}

static bool read_request_line(struct http1 *p, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return http1_refuse(p, 400, "malformed request line");
	*target++ = '\0';
	*version++ = '\0';
	for (const char *c = line; *c; c++)
		if (!http1_is_token_char((unsigned char)*c))
			return http1_refuse(p, 400, "malformed method");
	if (*target != '/' && !(strcmp(target, "*") == 0 && strcmp(line, "OPTIONS") == 0) && !cut_absolute(p, &target))
		return http1_refuse(p, 400, "malformed target");
	if (*target != '*' && !path_is_good(target))
		return http1_refuse(p, 400, "malformed target");
	if (!read_version(p, version))
		return false;
	p->target = (uint16_t)(target - p->head.data);
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (strcmp(line, methods[i]) == 0)
			p->method = methods[i];
	return p->method || http1_refuse(p, 501, "method not implemented");
}

/* "name: value" in place. */
static bool cut_line(struct http1 *p, char *line, size_t length, char **ret_value)
{
	char *colon = memchr(line, ':', length);
	char *value;
	char *end = line + length;

	if (*line == ' ' || *line == '\t')
		return http1_refuse(p, 400, "folded header line");
	if (!colon || colon == line)
		return http1_refuse(p, 400, "malformed header line");
	for (char *c = line; c < colon; c++)
		if (!http1_is_token_char((unsigned char)*c))
			return http1_refuse(p, 400, "malformed header name");
	for (value = colon + 1; *value == ' ' || *value == '\t'; value++)
		continue;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (char *c = value; c < end; c++)
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return http1_refuse(p, 400, "control character in a header");
	*colon = '\0';
	*end = '\0';
	*ret_value = value;
	return true;
}

static bool read_length(struct http1 *p, const char *value)
{
	uint64_t n = 0;

	if (!*value || (value[0] == '0' && value[1]))
		return http1_refuse(p, 400, "malformed Content-Length");
	for (const char *c = value; *c; c++) {
		if (*c < '0' || *c > '9')
			return http1_refuse(p, 400, "malformed Content-Length");
		if (c - value >= 18)
			return http1_refuse(p, 413, "body too large");
		n = n * 10 + (uint64_t)(*c - '0');
	}
	p->has_length = true;
	p->content_length = n;
	return true;
}

static bool read_host(struct http1 *p, const char *value)
{
	if (!host_is_good(value))
		return http1_refuse(p, 400, "malformed Host");
	if (p->host == 0) /* the target's wins */
		p->host = (uint16_t)(value - p->head.data);
	return true;
}

static void read_connection(struct http1 *p, const char *value)
{
	while (*value) {
		size_t n = strcspn(value, ", \t");

		if (n == 5 && strncasecmp(value, "close", 5) == 0)
			p->close = true;
		value += n;
		value += strspn(value, ", \t");
	}
}

/* seen: a bit for each name of only_once. */
static bool is_first(struct http1 *p, const char *name, unsigned *seen)
{
	for (size_t i = 0; i < sizeof only_once / sizeof *only_once; i++) {
		if (strcasecmp(name, only_once[i]) != 0)
			continue;
		if (*seen & 1U << i)
			return http1_refuse(p, 400, "two headers of a name that may come once");
		*seen |= 1U << i;
	}
	return true;
}

static bool read_header(struct http1 *p, const char *name, const char *value, bool *host_seen)
{
	if (strcasecmp(name, "content-length") == 0)
		return read_length(p, value);
	if (strcasecmp(name, "host") == 0) {
		*host_seen = true;
		return read_host(p, value);
	}
	if (strcasecmp(name, "connection") == 0)
		read_connection(p, value);
	if (strcasecmp(name, "transfer-encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0)
			return http1_refuse(p, 501, "transfer coding not implemented");
		p->chunked = true;
	}
	if (strcasecmp(name, "expect") == 0) {
		if (strcasecmp(value, "100-continue") != 0)
			return http1_refuse(p, 417, "expectation not met");
		p->expect_continue = true;
	}
	return true;
}

static bool check_framing(struct http1 *p)
{
	bool may_have_body = strcmp(p->method, "POST") == 0 || strcmp(p->method, "PUT") == 0;

	if (p->chunked && p->old)
		return http1_refuse(p, 400, "Transfer-Encoding in HTTP/1.0");
	if (p->chunked && p->has_length)
		return http1_refuse(p, 400, "both Content-Length and Transfer-Encoding");
	if (!may_have_body && (p->chunked || p->content_length > 0))
		return http1_refuse(p, 400, "a body where none belongs");
	if (may_have_body && !p->chunked && !p->has_length)
		return http1_refuse(p, 411, "Content-Length or chunked is needed");
	if (p->content_length > p->max_body_bytes)
		return http1_refuse(p, 413, "body too large");
	return true;
}

bool http1_head_read(struct http1 *p)
{
	char *data = p->head.data;
	size_t at = 0;
	bool host_seen = false;
	unsigned seen = 0;

	must(p->head.len >= 4 && p->head.len <= HTTP1_HEAD_MAX_BYTES && HTTP1_HEAD_MAX_BYTES <= UINT16_MAX);
	p->method = NULL;
	if (memchr(data, '\0', p->head.len))
		return http1_refuse(p, 400, "NUL in the head");
	for (bool first = true;; first = false) {
		char *line = data + at;
		char *end = strstr(line, "\r\n"); /* there is one: the head ends with an empty line */
		char *value;

		*end = '\0';
		at = (size_t)(end - data) + 2;
		if (first) {
			if (!read_request_line(p, line))
				return false;
			continue;
		}
		if (end == line)
			break;
		if (p->headers == HTTP1_HEADERS_MAX)
			return http1_refuse(p, 431, "too many headers");
		if (!cut_line(p, line, (size_t)(end - line), &value) || !is_first(p, line, &seen) ||
		    !read_header(p, line, value, &host_seen))
			return false;
		p->header[p->headers++] =
		    (struct http1_line){.name = (uint16_t)(line - data), .value = (uint16_t)(value - data)};
	}
	if (!host_seen && !p->old)
		return http1_refuse(p, 400, "no Host");
	if (p->host == 0) /* the empty line's end was cut to an empty text */
		p->host = (uint16_t)(strlen(data + p->target) + p->target);
	if (p->old)
		p->expect_continue = false; /* it knows no such answer */
	return check_framing(p);
}

bool http1_trailer_check(struct http1 *p, char *line, size_t length)
{
	char *value;

	if (memchr(line, '\0', length))
		return http1_refuse(p, 400, "NUL in a trailer");
	if (!cut_line(p, line, length, &value))
		return false;
	for (size_t i = 0; i < sizeof never_in_trailers / sizeof *never_in_trailers; i++)
		if (strcasecmp(line, never_in_trailers[i]) == 0)
			return http1_refuse(p, 400, "this header may not come as a trailer");
	return true;
}
