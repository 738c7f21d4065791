/*
 * transport_internal: what the two halves of the transport share.
 *
 * What it is: the pool with its loop is transport.c, one request on its way is transfer.c, whether it moves is
 * transfer_watch.c.
 * Promises: as transport.h.
 * Owner: the pool owns its transfers, busy and idle; a transfer owns its easy handle, fields and body.
 * Thread: the event base's.
 * Fails: transfer_prepare with an error for the request's answer.
 * Does not: leave this room.
 */
#ifndef KSPOOL_AWS_TRANSPORT_TRANSPORT_INTERNAL_H
#define KSPOOL_AWS_TRANSPORT_TRANSPORT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "base/buf.h"
#include "aws/transport/authorities.h"
#include "aws/transport/names.h"
#include "aws/transport/progress.h"
#include "aws/transport/transport.h"

/* One request under way, or one easy handle waiting in the pool for the next. */
struct transfer {
	TAILQ_ENTRY(transfer) link;
	struct transport *pool;
	CURL *easy;
	struct curl_slist *fields;
	uint64_t edition;         /* of the authorities that it was given */
	struct curl_slist *known; /* the address to use instead of a look-up; null: none */
	char host[NAME_BYTES];    /* whose address is remembered; "": nobody's */
	struct transport_request *request;
	struct event *watch; /* looks whether it moves, and ends it when it does not */
	struct buf body;
	struct transport_answer answer;
	size_t sent;  /* body bytes handed to the library */
	size_t heard; /* bytes of the answer */
	int64_t started_ns, begun_ns;
	int64_t moved_ns;              /* something of it was acknowledged */
	int64_t looked_ns;             /* transfer_look, last */
	int64_t silent_ns;             /* while it waited, nothing moved anywhere */
	int fd;                        /* of the connection it goes over; -1: not known */
	struct progress first, steady; /* when it began, and a second later */
	struct progress last;
	bool begun;         /* a connection was ready and the request began to go out */
	bool framed;        /* Content-Length or chunked: the end of the body is announced */
	bool headers_whole; /* the empty line was seen */
	bool refused_body;  /* the response outgrew its limit */
	bool is_spoilt;     /* the kept connection had bytes that nobody asked for */
	bool is_early;      /* the response began before the request was all there */
	bool fresh;         /* was told to make its own connection */
	bool setup_failed;
	bool given_up; /* it did not move: error says so */
	char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(transfer_list, transfer);

struct watch {
	LIST_ENTRY(watch) link;
	struct transport *pool;
	curl_socket_t fd;
	struct event *event;
};

struct transport {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct event *kick; /* ends what could not even start, from the loop */
	LIST_HEAD(, watch) watches;
	struct wires wires;
	struct names names;
	CURLSH *share;      /* TLS sessions */
	int64_t moved_ns;   /* something of any request was acknowledged or answered */
	int64_t connect_ms; /* what connecting may take now; 0: as ever */
	bool is_slow; /* the newest request took long to go out: small pieces, so that little of one lies in the kernel
	               */
	struct transfer_list active;
	struct transfer_list idle;
	size_t active_count;
	size_t body_bytes;     /* of the answers under way */
	int64_t dropped_at_ms; /* connections older than this are not used; -1: none dropped */
	unsigned depth;        /* inside curl: its callbacks must not call it again */
	struct transport_options options;
	struct authorities authorities;
	char *proxy;
	char *no_proxy;
};

/* A new easy handle with everything that does not depend on the request. */
struct transfer *transfer_new(struct transport *pool);
void transfer_free(struct transfer *t);
/* Looks whether it moves. Returns in how many ms to look again; 0: it is over, given_up and error are set. */
int64_t transfer_look(struct transfer *t);
/* How long connecting may take. */
int64_t transfer_connect_ms(const struct transport *pool, const struct transport_request *request);
/* It is over: fills answer.link, whatever became of it. */
void transfer_report(struct transfer *t, bool timed_out);
/* Sets the request's own options; an error when one of them cannot be. */
enum err transfer_prepare(struct transfer *t, struct transport_request *request, struct error *e) MUST_CHECK;
/* Its kept connection was spoilt and nothing of it went out: true, and it goes over one of its own, once. */
bool transfer_may_begin_again(const struct transfer *t, CURLcode code);
void transfer_begin_again(struct transfer *t);
/* Fills t->answer from what happened. */
void transfer_judge(struct transfer *t, CURLcode code);
/* Makes it ready for the pool. */
void transfer_reset(struct transfer *t);

#endif
