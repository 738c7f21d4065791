/* httpd_request: what a handler may ask of a request. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "base/hex.h"
#include "server/httpd_internal.h"

/* The parser checked every %XX, and that none is %00. */
static char *decode_path(const char *target)
{
	size_t n = strcspn(target, "?");
	char *path = mem_alloc(n + 1);
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		if (target[i] == '%') {
			path[at++] = (char)hex_percent_decode(target + i, target + n);
			i += HEX_PERCENT_CHARS - 1;
		} else {
			path[at++] = target[i];
		}
	}
	path[at] = '\0';
	return path;
}

static void note_tls(struct httpd_request *r, struct bufferevent *bev)
{
	const SSL *ssl = bufferevent_openssl_get_ssl(bev);
	const SSL_CIPHER *cipher = ssl ? SSL_get_current_cipher(ssl) : NULL;
	const char *name = cipher ? SSL_CIPHER_standard_name(cipher) : NULL;

	if (!ssl)
		return;
	strncpy(r->tls_version, SSL_get_version(ssl), sizeof r->tls_version - 1);
	strncpy(r->tls_cipher, name ? name : "", sizeof r->tls_cipher - 1);
}

struct httpd_request *httpd_request_new(struct connection *c)
{
	struct httpd_request *r = mem_zero(sizeof *r);
	const char *target;

	r->connection = c;
	r->httpd = c->httpd;
	r->peer = c->peer;
	r->head = c->parser;
	/* the head's texts go with the request; the parser keeps its state and starts a new buffer */
	buf_init(&c->parser.head, HTTP1_HEAD_MAX_BYTES);
	c->parser.trailer_start = 0;
	target = r->head.head.data + r->head.target;
	r->path = decode_path(target);
	r->query = strchr(target, '?');
	r->query = r->query ? r->query + 1 : "";
	for (uint32_t i = 0; i < r->head.headers; i++)
		r->header[r->headers++] = (struct httpd_header){.name = http1_header_name(&r->head, i),
		                                                .value = http1_header_value(&r->head, i)};
	buf_init(&r->body, (size_t)c->httpd->options.max_body_bytes);
	if (c->tls)
		note_tls(r, c->bev);
	return r;
}

static const struct status_text {
	int status;
	const char *text;
} status_texts[] = {
    {200, "OK"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *httpd_status_text(int status)
{
	for (size_t i = 0; i < sizeof status_texts / sizeof *status_texts; i++)
		if (status_texts[i].status == status)
			return status_texts[i].text;
	return "Unknown";
}

bool httpd_may_read(struct httpd *h, enum httpd_room room)
{
	return !h->options.may_read || h->options.may_read(h->options.arg, room);
}

void httpd_count_bytes(struct httpd *h, int64_t change)
{
	if (h->options.on_bytes && change != 0)
		h->options.on_bytes(h->options.arg, change);
}

void httpd_body_drop(struct httpd_request *r)
{
	httpd_count_bytes(r->httpd, -(int64_t)r->body.len);
	buf_fini(&r->body);
}

void httpd_request_free(struct httpd_request *r)
{
	if (!r)
		return;
	httpd_body_drop(r);
	http1_fini(&r->head);
	free(r->path);
	free(r);
}

const char *httpd_method(const struct httpd_request *r) { return r->head.method; }

const char *httpd_path(const struct httpd_request *r) { return r->path; }

const char *httpd_query(const struct httpd_request *r) { return r->query; }

const char *httpd_peer(const struct httpd_request *r) { return r->peer.text; }

const char *httpd_host(const struct httpd_request *r) { return r->peer.host; }

const char *httpd_client_name(const struct httpd_request *r) { return r->peer.name; }

const char *httpd_tls(const struct httpd_request *r, const char **ret_cipher)
{
	*ret_cipher = r->tls_cipher;
	return r->tls_version[0] ? r->tls_version : NULL;
}

size_t httpd_headers(const struct httpd_request *r, const struct httpd_header **ret)
{
	*ret = r->header;
	return r->headers;
}

const char *httpd_header_get(const struct httpd_request *r, const char *name)
{
	for (size_t i = 0; i < r->headers; i++)
		if (strcasecmp(r->header[i].name, name) == 0)
			return r->header[i].value;
	return NULL;
}

const char *httpd_body(const struct httpd_request *r, size_t *ret_bytes)
{
	*ret_bytes = r->body.len;
	return r->body.data ? r->body.data : "";
}
