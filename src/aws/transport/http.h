/*
 * http: requests over libcurl multi on a libevent base.
 *
 * What it is: HTTP/1.1, one pool of connections and of easy handles, so that connections and TLS sessions are kept.
 * Promises: never resends a request whose body has left (7): the library's silent resend is refused and reported;
 * "answered" means a status, whole header lines and a body whose end was announced; no redirect, no cookie, no netrc,
 * no proxy but the one configured. Owner: the caller of http_open; a request and what it points to belong to the
 * caller until done. Thread: the event base's.
 * Fails: each request ends in exactly one done, never from inside http_start; http_abort instead ends it silently.
 */
#ifndef KSPOOL_AWS_TRANSPORT_HTTP_H
#define KSPOOL_AWS_TRANSPORT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "aws/transport/field.h"

struct event_base;
struct http;

enum { HTTP_RESPONSE_MAX = 2 * 1024 * 1024 };

enum http_result {
	HTTP_ANSWERED, /* status, header lines and body are whole */
	HTTP_NOT_SENT, /* not one byte of the request went out */
	HTTP_UNKNOWN,  /* failed after it began to go out */
};

struct http_answer {
	enum http_result result;
	int status;
	const char *body; /* NUL-terminated; valid during done */
	size_t body_bytes;
	char content_type[64];
	char request_id[64];
	char error_type[96];    /* cut at ':' and '#' */
	int64_t retry_after_ms; /* -1: absent */
	int64_t date_ms;        /* the Date field; -1: absent or not a date */
	int64_t token_ttl_s;    /* x-aws-ec2-metadata-token-ttl-seconds; -1: absent */
	int64_t took_ns;
	bool rewind_refused; /* the library wanted to send the body again */
	bool timed_out;
	char reason[256]; /* when not answered */
};

struct http_request {
	const char *method; /* "POST", "GET" or "PUT" */
	const char *url;
	const struct http_field *fields; /* copied by http_start */
	size_t field_count;
	const void *body; /* POST and PUT; must live until done */
	size_t body_bytes;
	int64_t timeout_ms;         /* whole request; a second per 4 KB of body is added, as on a 32 kbit/s line */
	int64_t connect_timeout_ms; /* 0: the pool's */
	size_t response_max;        /* 0: HTTP_RESPONSE_MAX */
	bool allow_plain;           /* http:// is refused without this */
	bool direct;                /* never through a proxy: metadata, container and loopback addresses */
	void (*done)(struct http_request *request, const struct http_answer *answer);
	void *arg;
	void *internal; /* http's; null while nothing is under way */
};

struct http_options {
	unsigned max_connections;   /* to one host */
	int64_t connect_timeout_ms; /* 0: 5 s */
	int64_t user_timeout_ms;    /* unacknowledged bytes; 0: 15 s */
	int64_t keepalive_idle_s;   /* 0: 15 s; negative: no keep-alive */
	int64_t keepalive_interval_s;
	int64_t keepalive_count;
	const char *ca_file;  /* PEM; null or "": the system's */
	const char *proxy;    /* URL; null or "": none, whatever the environment says */
	const char *no_proxy; /* comma-separated hosts reached without it; null: none */
};

enum err http_open(struct event_base *base, const struct http_options *options, struct http **ret,
                   struct error *e) MUST_CHECK;
/* Requests under way end silently. Accepts null. */
void http_close(struct http *h);

void http_start(struct http *h, struct http_request *request);
/* Ends a request without a call of done; harmless when none is under way. Not from inside done of the same one. */
void http_abort(struct http *h, struct http_request *request);
/* Connections made until now are not used again. */
void http_drop_connections(struct http *h);
size_t http_under_way(const struct http *h);

#endif
