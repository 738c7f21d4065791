/*
 * httpd_internal: what the files of the HTTP server share.
 *
 * What it is: the server (httpd.c), its routes (httpd_route.c), whom it talks to (httpd_site.c), one connection
 * (httpd_connection.c), one request (httpd_request.c). They use each other in this order, never back.
 * Promises: those of httpd.h. Owner: a connection and its request belong to the server.
 * Thread: the event base's. Fails: nothing here fails; a doubt is an answer to the peer.
 * Does not: leave the room.
 */
#ifndef KSPOOL_SERVER_HTTPD_INTERNAL_H
#define KSPOOL_SERVER_HTTPD_INTERNAL_H

#include <sys/queue.h>

#include "server/guard.h"
#include "server/held.h"
#include "server/http1.h"
#include "server/httpd.h"
#include "server/listener.h"
#include "server/penalty.h"

struct bufferevent;

enum {
	HTTPD_REQUESTS_MAX = 1000, /* of one connection */
	HTTPD_ALLOW_MAX = 128,
	HTTPD_READ_AHEAD_BYTES = 16384, /* of a body */
	HTTPD_HEAD_AHEAD_BYTES = 4096,  /* of a head: one of every connection may come in one turn of the loop */
	HTTPD_HEAD_SMALL_BYTES = 2048,  /* such a head is looked at, whatever others hold */
	HTTPD_OUTPUT_MAX_BYTES = 65536  /* answers a peer has not taken yet: above it, its next request waits */
};

struct route {
	SLIST_ENTRY(route) link;
	char *methods;
	char *path;
	httpd_handler *handler;
	httpd_look *look;
	void *arg;
	bool is_open;
	bool is_exact;
	bool is_probed;
};

/*
 *   state     reads?  ends with                                                       may become
 *   SHAKING   (TLS)   handshake, or its deadline                                      HEAD
 *   HEAD      yes     whole head, idle or head deadline                               BODY, LINGER
 *   BODY      if room whole body, rate floor, busy deadline                           HELD, HANDLING, LINGER
 *   HELD      no      the end of a penalty                                            LINGER
 *   HANDLING  no      httpd_answer                                                    HEAD, LINGER
 *   LINGER    drops   the peer's end, silence, a deadline: with bytes unread a reset would eat the answer
 */
enum connection_state {
	CONNECTION_SHAKING,
	CONNECTION_HEAD,
	CONNECTION_BODY,
	CONNECTION_HELD,
	CONNECTION_HANDLING,
	CONNECTION_LINGER
};

struct connection {
	TAILQ_ENTRY(connection) link;
	struct httpd *httpd;
	struct bufferevent *bev;
	struct peer peer;
	bool tls;
	enum connection_state state;
	struct http1 parser;
	struct httpd_request *request; /* from its head to its answer */
	struct held held;
	uint32_t requests;
	bool ended;         /* the peer sent its last byte */
	bool running;       /* inside connection_run */
	bool paused;        /* a body waits for room */
	int64_t since_ns;   /* of the state, for its deadline */
	int64_t paused_ns;  /* begin of the pause */
	int64_t data_ns;    /* when the last of them came */
	uint64_t body_seen; /* body bytes of this request */
	int64_t window_ns;  /* since when `window_seen` counts */
	uint64_t window_seen;
	int64_t held_ns; /* in HELD: how long */
	uint64_t token;  /* the last one, 0: none yet */
};

struct httpd_request {
	struct connection *connection; /* null when it died before the answer */
	struct httpd *httpd;
	struct http1 head; /* taken from the parser; strings live here */
	char *path;
	const char *query;
	const char *pattern; /* of the route, while its handler runs */
	struct buf body;
	struct httpd_header header[HTTP1_HEADERS_MAX];
	size_t headers;
	struct peer peer;
	char tls_version[16];
	char tls_cipher[64];
	bool close;
	bool handled;
};

TAILQ_HEAD(connection_list, connection);

struct httpd {
	struct event_base *base;
	struct httpd_options options; /* texts not valid after open */
	struct listener *listener;
	struct guard *guard;
	struct penalty penalty;
	char *token_file; /* of the guard */
	char *own_host;   /* of the address, without its port */
	SLIST_HEAD(, route) routes;
	struct connection_list connections;
	struct event *tick;
	uint32_t requests; /* with a handler */
	bool stopping;
	bool gives_up; /* nobody waits for room any more */
};

/*
 * The route of a request, or null with the methods that its path has ("" when it has none). A route without a handler
 * is that of OPTIONS: what is there, for health checks (HAProxy asks so) and the curious.
 */
const struct route *httpd_route_find(const struct httpd *h, const struct httpd_request *r, char *ret_allow,
                                     size_t size);
/* The number of the request's token; 0 when it has none that is admitted. */
uint64_t httpd_token_of(const struct httpd *h, const struct httpd_request *r);
void httpd_routes_free(struct httpd *h);
/* Whether the head shows what cannot be served, which is refused before its body is read; extra is its room. */
void httpd_precheck(struct httpd *h, const struct httpd_request *r, struct httpd_verdict *verdict, char *extra,
                    size_t size);
/* Null, or why a browser must not be believed: the request was made by another site, or for a name that is not ours. */
const char *httpd_site_refusal(const struct httpd *h, const struct httpd_request *r);
/* It says which page had it made: a browser's. */
bool httpd_is_of_page(const struct httpd_request *r);
bool httpd_may_read(struct httpd *h, enum httpd_room room);
const char *httpd_status_text(int status);
void httpd_count_bytes(struct httpd *h, int64_t change);

void connection_new(struct bufferevent *bev, const struct peer *peer, bool tls, void *arg);
/* Closes at once; a request under way lives on without it. */
void connection_free(struct connection *c);
/* Makes what progress it can; may free the connection. */
void connection_run(struct connection *c);
/* Deadlines; may free the connection. */
void connection_check(struct connection *c, int64_t now_ns);
bool connection_is_busy(const struct connection *c);
/* As listener.h's make_room. */
bool connection_make_room(struct httpd *h, const unsigned char *key, bool for_smaller);
/* Answers 503 to a request whose body waits for room. */
void connection_give_up(struct connection *c);

struct httpd_request *httpd_request_new(struct connection *c);
void httpd_request_free(struct httpd_request *r);

#endif
