/* http_internal: what the two halves of http share: the loop (http.c) and one transfer (http_transfer.c). */
#ifndef KSPOOL_AWS_TRANSPORT_HTTP_INTERNAL_H
#define KSPOOL_AWS_TRANSPORT_HTTP_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <curl/curl.h>
#include <event2/event.h>

#include "base/buf.h"
#include "aws/transport/http.h"

/* One request under way, or one easy handle waiting in the pool for the next. */
struct transfer {
	TAILQ_ENTRY(transfer) link;
	struct http *http;
	CURL *easy;
	struct curl_slist *fields;
	struct http_request *request;
	struct event *deadline; /* above curl's own: a name look-up may outlive that */
	struct buf body;
	struct http_answer answer;
	size_t sent; /* body bytes handed to the library */
	int64_t started_ns;
	bool begun;         /* a connection was ready and the request began to go out */
	bool framed;        /* Content-Length or chunked: the end of the body is announced */
	bool headers_whole; /* the empty line was seen */
	bool refused_body;  /* the response outgrew its limit */
	bool fresh;         /* was told to make its own connection */
	bool setup_failed;
	char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(transfer_list, transfer);

struct watch {
	LIST_ENTRY(watch) link;
	struct http *http;
	curl_socket_t fd;
	struct event *event;
};

struct http {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct event *kick; /* ends what could not even start, from the loop */
	LIST_HEAD(, watch) watches;
	struct transfer_list active;
	struct transfer_list idle;
	size_t active_count;
	int64_t dropped_at_ms; /* connections older than this are not used; -1: none dropped */
	unsigned depth;        /* inside curl: its callbacks must not call it again */
	struct http_options options;
	char *ca_file;
	char *proxy;
	char *no_proxy;
};

/* A new easy handle with everything that does not depend on the request. */
struct transfer *transfer_new(struct http *h);
void transfer_free(struct transfer *t);
/* How long the request may take in all: a body may take a second per 4 KB. Silence ends it far sooner. */
int64_t transfer_longest_ms(const struct http_request *request);
/* Sets the request's own options; false (with t->error) when the library refuses one. */
bool transfer_prepare(struct transfer *t, struct http_request *request);
/* Fills t->answer from what happened. */
void transfer_judge(struct transfer *t, CURLcode code);
/* Makes it ready for the pool. */
void transfer_reset(struct transfer *t);

#endif
