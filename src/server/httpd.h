/*
 * httpd: a strict HTTP/1 server over bufferevents, for the http door and the admin endpoints.
 *
 * What it is: the subset kspool needs (GET, HEAD, POST, PUT, DELETE, OPTIONS; Content-Length or a single `chunked`;
 * keep-alive), with every doubt answered 400 and a closed connection. Limits on head, body, connections, time and rate
 * are given at open. A handler gets a whole request and answers now or later. On loopback without a token, a browser's
 * request for another site is refused (Origin, Sec-Fetch-Site), and so is a Host that is a name of somebody else's.
 * Promises: 6 (bodies are counted through on_bytes and read only while may_read says so), 11 (every state of a
 * connection has a deadline).
 * Owner: httpd_open's caller; a request belongs to httpd and lives until httpd_answer. Thread: the event base's.
 * Fails: at open with ERR_CONFIG (address, guard) or ERR_ENVIRONMENT (bind, files of tokens and keys); afterwards only
 * towards the peer. Does not: decode bodies, know what a path means, or speak HTTP/2.
 */
#ifndef KSPOOL_SERVER_HTTPD_H
#define KSPOOL_SERVER_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "server/listener.h"

struct event_base;
struct httpd;
struct httpd_request;

enum httpd_room {
	HTTPD_ROOM_PART,
	HTTPD_ROOM_PART_OF_SMALL, /* its peer costs much less by what is unfinished than another: held_may_pass */
	HTTPD_ROOM_WHOLE          /* nothing of the body is still to come */
};

struct httpd_options {
	const char *address;   /* "host:port", "[::1]:port", or a path beginning with '/' or '.' for a unix socket */
	uint32_t unix_mode;    /* mode of the unix socket */
	const char *cert_file; /* TLS when not null */
	const char *key_file;
	const char *client_ca_file;          /* see listener.h */
	struct listener_names allowed_names; /* see listener.h */
	const char *token_file;              /* bearer tokens when not null */
	bool require_guard;                  /* a non-loopback address without TLS or token is refused (ERR_CONFIG) */
	uint32_t max_connections;
	uint32_t max_connections_per_peer;  /* 0: see listener.h */
	uint32_t max_connections_per_token; /* 0: half of max_connections */
	uint64_t max_body_bytes;
	int64_t head_timeout_ns;
	int64_t idle_timeout_ns;
	uint64_t min_body_rate; /* bytes a second a body must arrive at, in every 5 s; 0: any */
	/* Asked before a body is read; false stops reading this connection until httpd_resume (back-pressure). What
	 * takes the whole and not the unfinished has the silent ones go. */
	bool (*may_read)(void *arg, enum httpd_room room);
	/* Told of every change in the bytes held for bodies, for the memory bound of the doors; may be null. */
	void (*on_bytes)(void *arg, int64_t change);
	void *arg;
	/* A body that may not be read for this long is answered 503 with Retry-After; 0 is 5 s. */
	int64_t busy_timeout_ns;
	struct listener_names allowed_hosts; /* besides loopback and addresses; must live as long as the server */
	bool same_site;                      /* sites of others are refused beyond loopback too */
};

struct httpd_header {
	const char *name; /* as sent */
	const char *value;
};

typedef void httpd_handler(struct httpd_request *request, void *arg);

/* What a look at the head found. */
struct httpd_verdict {
	int status;              /* 0: the body may come */
	const char *reason;      /* of a refusal */
	const char *extra;       /* null, or whole "Name: value\r\n" lines of a refusal */
	uint64_t max_body_bytes; /* in: the server's; may be made smaller */
};

/* Called before the body is read: a refusal then spares it. */
typedef void httpd_look(const struct httpd_request *request, struct httpd_verdict *verdict, void *arg);

/*
 * path: "/post"; "/in/{tenant}/x", where a whole segment in braces is any one; with a '/' at its end it is the begin of
 * any path.
 */
struct httpd_endpoint {
	const char *methods; /* "GET" or "POST,PUT" */
	const char *path;
	httpd_handler *handler;
	httpd_look *look; /* may be null */
	void *arg;
	bool is_open;   /* no token is asked for */
	bool is_exact;  /* a '/' at the end of the path is no more than that */
	bool is_probed; /* by health checks, for whatever host; it tells those for another one (httpd_is_for_us) no more
	                   than a status */
};

enum err httpd_open(struct event_base *base, const struct httpd_options *options, struct httpd **ret,
                    struct error *e) MUST_CHECK;
/* An unknown path answers 404, a known one with another method 405 with Allow. OPTIONS is answered with Allow. */
void httpd_serve(struct httpd *h, const struct httpd_endpoint *endpoint);
/* The same without a look, for those with a token. */
void httpd_route(struct httpd *h, const char *methods, const char *path, httpd_handler *handler, void *arg);
/* Removes what this handler and arg serve: 404 from now on. */
void httpd_unroute(struct httpd *h, httpd_handler *handler, void *arg);
/* The port really bound (tests use port 0). */
uint16_t httpd_port(const struct httpd *h);
void httpd_resume(struct httpd *h);
/* Replaces may_read and on_bytes of the options: for doors on a server they did not open. Before any request. */
void httpd_set_share(struct httpd *h, bool (*may_read)(void *arg, enum httpd_room room),
                     void (*on_bytes)(void *arg, int64_t change), void *arg);
/* Bodies up to this size are taken, if fewer were until now: for such doors. Before any request. */
void httpd_raise_body(struct httpd *h, uint64_t max_body_bytes);
/* Why nobody can come in just now; null: they can. */
const char *httpd_trouble(const struct httpd *h);
/* Reads the files of tokens and of TLS again; after an error the old ones stay. */
enum err httpd_read_files(struct httpd *h, struct error *e) MUST_CHECK;
/* Requests whose body waits for room, now and from here on, are answered 503. */
void httpd_give_up_waiting(struct httpd *h);
/* True when requests need a token: their Authorization header is ours, not the message's. */
bool httpd_has_guard(const struct httpd *h);
/* Stops listening and closes idle connections; those with a request under way close after its answer. */
void httpd_stop(struct httpd *h);
bool httpd_is_idle(const struct httpd *h);
void httpd_free(struct httpd *h);

const char *httpd_method(const struct httpd_request *r);
const char *httpd_path(const struct httpd_request *r); /* decoded, without the query */
/* The segments of the path that stand for variables of the endpoint's; while the handler runs. */
void httpd_each_variable(const struct httpd_request *r,
                         void (*each)(void *arg, const char *name, size_t name_length, const char *value,
                                      size_t length),
                         void *arg);
const char *httpd_query(const struct httpd_request *r); /* raw, "" when none */
const char *httpd_peer(const struct httpd_request *r);  /* "127.0.0.1:4000", "unix uid=0" */
const char *httpd_host(const struct httpd_request *r);  /* the peer's address without port, "" for unix sockets */
/* What shares of this request's sender count by: its certificate's name, else its token, else its address or user. */
void httpd_identity(const struct httpd_request *r, unsigned char ret[LISTENER_KEY_BYTES]);
const char *httpd_client_name(const struct httpd_request *r); /* of its certificate, "" without one */
/* "TLSv1.2", "TLSv1.3", or null without TLS; *ret_cipher is the suite's name in IANA's spelling. */
const char *httpd_tls(const struct httpd_request *r, const char **ret_cipher);
size_t httpd_headers(const struct httpd_request *r, const struct httpd_header **ret);
/* Case-insensitive; null when absent. */
const char *httpd_header_get(const struct httpd_request *r, const char *name);
const char *httpd_body(const struct httpd_request *r, size_t *ret_bytes);
/* Lets go of the body's memory before the answer: it was copied. */
void httpd_body_drop(struct httpd_request *r);
/* False: for a host that is not ours, on loopback; perhaps of a page whose name was made to mean this machine. */
bool httpd_is_for_us(const struct httpd_request *r);

/* Exactly once for every request. `extra` is null or whole "Name: value\r\n" lines. */
void httpd_answer(struct httpd_request *r, int status, const char *content_type, const char *extra, const void *body,
                  size_t body_bytes);

#endif
