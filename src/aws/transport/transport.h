/*
 * transport: HTTP requests over libcurl multi on a libevent base.
 *
 * What it is: HTTP/1.1 with one pool of connections and of easy handles, so that connections and TLS sessions are kept.
 * Promises: 7 (never resends a request whose body has left: the library's silent resend is refused and reported).
 * "Answered" means a status, whole header lines and a body whose end was announced.
 * Owner: the caller of transport_open; a request and what it points to belong to the caller until done.
 * Thread: the event base's.
 * Fails: each request ends in exactly one done, never from inside transport_start; transport_abort instead ends it
 * silently.
 * Does not: follow redirects, keep cookies, read netrc, or use a proxy but the one configured. Signing and repeating
 * are the caller's.
 */
#ifndef KSPOOL_AWS_TRANSPORT_TRANSPORT_H
#define KSPOOL_AWS_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "aws/transport/header_field.h"

struct event_base;
struct transport;

enum {
	TRANSPORT_RESPONSE_MAX = 2 * 1024 * 1024, /* of one answer */
	TRANSPORT_ANSWERS_MAX = 4 * 1024 * 1024   /* of all under way; beyond it an answer may have its even part */
};

enum transport_result {
	TRANSPORT_ANSWERED, /* status, header lines and body are whole */
	TRANSPORT_NOT_SENT, /* not one byte of the request went out */
	TRANSPORT_CUT,     /* failed before the last bytes of its body were handed to the kernel: nobody has it whole */
	TRANSPORT_UNKNOWN, /* failed after it began to go out */
};

/* What the kernel said of the connection while the request was on its way. */
struct transport_link {
	bool is_known;
	uint64_t wire_bytes; /* acknowledged, head and all */
	int64_t upload_ns;   /* while something was not acknowledged */
	int64_t heard_ns;    /* from its beginning to the answer's first byte; 0: none came */
	int64_t rtt_ns;      /* the least of the connection */
	uint64_t
	    steady_bytes;  /* acknowledged after the first second, when buffers on the way are full; 0: it was over */
	int64_t steady_ns; /* in this time */
};

struct transport_answer {
	enum transport_result result;
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
	struct transport_link link;
	bool rewind_refused; /* the library wanted to send the body again */
	bool timed_out;
	struct error error; /* when not answered */
};

struct transport_request {
	const char *method; /* "POST", "GET" or "PUT" */
	const char *url;
	const struct header_field *fields; /* copied by transport_start */
	size_t field_count;
	const void *body; /* POST and PUT; must live until done */
	size_t body_bytes;
	int64_t timeout_ms;  /* for the answer, from when all of the request was acknowledged */
	int64_t outlasts_ms; /* so much more while nothing moves on any connection: it is the way that is silent */
	int64_t connect_timeout_ms; /* 0: the pool's */
	size_t response_max;        /* 0: TRANSPORT_RESPONSE_MAX */
	bool allow_plain;           /* http:// is refused without this */
	bool direct;                /* never through a proxy: metadata, container and loopback addresses */
	void (*done)(struct transport_request *request, const struct transport_answer *answer);
	void *arg;
	void *internal; /* the transport's; null while nothing is under way */
};

struct transport_options {
	unsigned max_connections;   /* to one host */
	int64_t connect_timeout_ms; /* 0: 5 s */
	int64_t user_timeout_ms;    /* a request is on its way and nothing is acknowledged; 0: 60 s */
	int64_t keepalive_idle_s;   /* 0: 15 s; negative: no keep-alive */
	int64_t keepalive_interval_s;
	int64_t keepalive_count;
	int64_t period_s;     /* requests come so far apart: connections are kept for longer */
	const char *ca_file;  /* PEM; null or "": the system's */
	const char *proxy;    /* URL; null or "": none, whatever the environment says */
	const char *no_proxy; /* comma-separated hosts reached without it; null: none */
};

/* ERR_CONFIG: a proxy's URL that is none, in words that do not show it: it may hold a password. null, "": none. */
enum err transport_proxy_check(const char *proxy, struct error *e);
enum err transport_open(struct event_base *base, const struct transport_options *options, struct transport **ret,
                        struct error *e) MUST_CHECK;
/* After a reload. */
void transport_set_period(struct transport *pool, int64_t period_s);
/* Requests under way end silently. Accepts null. */
void transport_close(struct transport *pool);

void transport_start(struct transport *pool, struct transport_request *request);
/* Ends a request without a call of done; harmless when none is under way. Not from inside done of the same one. */
void transport_abort(struct transport *pool, struct transport_request *request);
/* What a request under way waits for. */
enum transport_wait {
	TRANSPORT_CONNECTING,
	TRANSPORT_SENDING, /* not all of it was acknowledged */
	TRANSPORT_WAITING, /* for the answer, or for more of it */
};
/* *at_ns (monotonic): something of it was last acknowledged; later, as much as came of an answer that comes slowly. */
enum transport_wait transport_moved(const struct transport_request *request, int64_t *at_ns);
/* Connections made until now are not used again. */
void transport_drop_connections(struct transport *pool);
size_t transport_under_way(const struct transport *pool);

#endif
