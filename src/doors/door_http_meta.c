#include "doors/door_http_meta.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/hex.h"
#include "message/message.h"
#include "server/http1.h"

struct pair {
	char *name;
	char *value;
};

struct pairs {
	size_t count;
	bool overflow;
	struct pair items[HTTP_META_ENTRIES_MAX];
};

enum rule { REPLACE, KEEP_FIRST };

/* Takes both texts. `since`: entries from this index on are of the same source (for KEEP_FIRST). */
static void put(struct pairs *p, char *name, char *value, enum rule rule, size_t since)
{
	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->items[i].name, name) != 0)
			continue;
		free(name);
		if (rule == KEEP_FIRST && i >= since) {
			free(value);
			return;
		}
		free(p->items[i].value);
		p->items[i].value = value;
		return;
	}
	if (p->count == HTTP_META_ENTRIES_MAX) {
		p->overflow = true;
		free(name);
		free(value);
		return;
	}
	p->items[p->count++] = (struct pair){.name = name, .value = value};
}

/* A peer's word: it is not taken for ours. */
static void put_theirs(struct pairs *p, char *name, char *value, enum rule rule, size_t since)
{
	static const char ours[] = "http_server_";

	if (strncasecmp(name, ours, sizeof ours - 1) != 0) {
		put(p, name, value, rule, since);
		return;
	}
	free(name);
	free(value);
}

static void put_text(struct pairs *p, const char *name, const char *value)
{
	put(p, mem_string(name), mem_string(value), REPLACE, 0);
}

/* Go's CanonicalMIMEHeaderKey: "content-type" is "Content-Type". */
static char *canonical_name(const char *name)
{
	char *ret = mem_string(name);
	bool upper = true;

	for (char *c = ret; *c; c++) {
		if (upper && *c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
		else if (!upper && *c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
		upper = *c == '-';
	}
	return ret;
}

/* Query decoding; a percent that begins no escape is one, as WHATWG has it. Null when one hides a NUL. */
static char *decode(const char *from, size_t length)
{
	char *ret = mem_alloc(length + 1);
	size_t at = 0;

	for (size_t i = 0; i < length; i++) {
		int byte = hex_percent_decode(from + i, from + length);

		if (byte == 0) {
			free(ret);
			return NULL;
		}
		ret[at++] = byte > 0 ? (char)byte : from[i] == '+' ? ' ' : from[i];
		i += byte > 0 ? HEX_PERCENT_CHARS - 1 : 0;
	}
	ret[at] = '\0';
	return ret;
}

static void put_query(struct pairs *p, const char *query)
{
	size_t since = p->count;

	while (*query) {
		size_t length = strcspn(query, "&");
		const char *equals = memchr(query, '=', length);
		size_t name_length = equals ? (size_t)(equals - query) : length;
		const char *value = equals ? equals + 1 : query + length;
		char *name, *decoded;

		/* one with a semicolon is left out, as Go's url.Values does */
		if (length > 0 && !memchr(query, ';', length)) {
			name = decode(query, name_length);
			decoded = decode(value, (size_t)(query + length - value));
			if (name && decoded) {
				put_theirs(p, name, decoded, KEEP_FIRST, since);
			} else {
				free(name);
				free(decoded);
			}
		}
		query += length;
		query += *query == '&';
	}
}

static bool is_token(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!http1_is_token_char((unsigned char)text[i]))
			return false;
	return length > 0;
}

static void put_cookies(struct pairs *p, const char *header)
{
	while (*header) {
		size_t length = strcspn(header, ";");
		const char *from = header + strspn(header, " \t");
		const char *end = header + length;
		const char *equals;

		while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		equals = from < end ? memchr(from, '=', (size_t)(end - from)) : NULL;
		if (equals && is_token(from, (size_t)(equals - from))) {
			const char *value = equals + 1;

			if (end - value >= 2 && *value == '"' && end[-1] == '"') {
				value++;
				end--;
			}
			put_theirs(p, mem_string_n(from, (size_t)(equals - from)),
			           mem_string_n(value, (size_t)(end - value)), REPLACE, 0);
		}
		header += length;
		header += *header == ';';
	}
}

static void put_variable(void *arg, const char *name, size_t name_length, const char *value, size_t length)
{
	put_theirs(arg, mem_string_n(name, name_length), mem_string_n(value, length), REPLACE, 0);
}

static bool is_left_out(const char *name, const struct http_meta_rules *rules)
{
	static const char *const left_out[] = {"host", "transfer-encoding", "trailer"};
	bool yes = !rules->keep_authorization && strcasecmp(name, "authorization") == 0;

	if (rules->was_decoded)
		yes = yes || strcasecmp(name, "content-encoding") == 0 || strcasecmp(name, "content-length") == 0;
	for (size_t n = 0; n < sizeof left_out / sizeof *left_out; n++)
		yes = yes || strcasecmp(name, left_out[n]) == 0;
	return yes;
}

static void put_headers(struct pairs *p, const struct httpd_request *r, const struct http_meta_rules *rules)
{
	const struct httpd_header *headers;
	size_t count = httpd_headers(r, &headers);
	size_t since = p->count;

	for (size_t i = 0; i < count; i++)
		if (!is_left_out(headers[i].name, rules))
			put_theirs(p, canonical_name(headers[i].name), mem_string(headers[i].value), KEEP_FIRST, since);
}

enum err door_http_meta_add(struct buf *out, const struct httpd_request *r, const struct http_meta_rules *rules)
{
	struct pairs *p = mem_zero(sizeof *p);
	const char *agent = httpd_header_get(r, "User-Agent");
	const char *cipher;
	const char *tls = httpd_tls(r, &cipher);
	const struct httpd_header *headers;
	size_t count = httpd_headers(r, &headers);
	bool overflow;

	put_text(p, "http_server_user_agent", agent ? agent : "");
	put_text(p, "http_server_request_path", httpd_path(r));
	put_text(p, "http_server_verb", httpd_method(r));
	if (*httpd_host(r))
		put_text(p, "http_server_remote_ip", httpd_host(r));
	if (tls) {
		put_text(p, "http_server_tls_version", tls);
		put_text(p, "http_server_tls_cipher_suite", cipher);
		if (*httpd_client_name(r))
			put_text(p, "http_server_tls_client_name", httpd_client_name(r));
	}
	put_headers(p, r, rules);
	put_query(p, httpd_query(r));
	httpd_each_variable(r, put_variable, p);
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(headers[i].name, "cookie") == 0)
			put_cookies(p, headers[i].value);
	for (size_t i = 0; i < p->count; i++) {
		const struct pair *pair = &p->items[i];

		(void)meta_add(out, 's', pair->name, strlen(pair->name), pair->value, strlen(pair->value));
		free(pair->name);
		free(pair->value);
	}
	overflow = p->overflow || out->overflow;
	free(p);
	return overflow ? ERR_TOOBIG : ERR_OK;
}
