/*
 * httpd_world: an HTTP server on loopback with two routes, and clients of it, in one thread. Included by the tests of
 * the server.
 */
#ifndef KSPOOL_TESTS_HTTPD_WORLD_H
#define KSPOOL_TESTS_HTTPD_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/httpd.h"

struct fixture {
	struct event_base *base;
	struct httpd *httpd;
	bool has_room;
	int64_t held; /* as told by on_bytes */
	bool answers_later;
	struct httpd_request *waiting[8];
	int waiting_count;
	int handled;
	char last_path[64];
	size_t last_body;
};

static inline bool may_read(void *arg, enum httpd_room room)
{
	(void)room;
	return ((struct fixture *)arg)->has_room;
}

static inline void on_bytes(void *arg, int64_t change) { ((struct fixture *)arg)->held += change; }

static inline void handle(struct httpd_request *r, void *arg)
{
	struct fixture *f = arg;
	char text[100];

	f->handled++;
	snprintf(f->last_path, sizeof f->last_path, "%s", httpd_path(r));
	(void)httpd_body(r, &f->last_body);
	if (f->answers_later) {
		f->waiting[f->waiting_count++] = r;
		return;
	}
	snprintf(text, sizeof text, "%s %s", httpd_method(r), httpd_path(r));
	httpd_answer(r, 200, "text/plain", "X-Extra: 1\r\n", text, strlen(text));
}

static inline struct httpd_options options_of(struct fixture *f)
{
	return (struct httpd_options){
	    .address = "127.0.0.1:0",
	    .unix_mode = 0600,
	    .require_guard = true,
	    .max_connections = 64,
	    .max_connections_per_peer = 32,
	    .max_body_bytes = 100000,
	    .head_timeout_ns = NS_PER_S,
	    .idle_timeout_ns = 3 * NS_PER_S,
	    .min_body_rate = 1000000,
	    .may_read = may_read,
	    .on_bytes = on_bytes,
	    .arg = f,
	    .busy_timeout_ns = NS_PER_S,
	};
}

static inline void open_httpd(struct fixture *f, const struct httpd_options *o)
{
	struct error e;

	f->base = event_base_new();
	f->has_room = true;
	if (httpd_open(f->base, o, &f->httpd, &e) != ERR_OK)
		fail_msg("%s", e.text);
	httpd_route(f->httpd, "GET", "/ping", handle, f);
	httpd_route(f->httpd, "POST,PUT", "/post", handle, f);
}

static inline void close_httpd(struct fixture *f)
{
	httpd_stop(f->httpd);
	httpd_free(f->httpd);
	event_base_free(f->base);
	assert_int_equal(f->held, 0);
}

/* From 127.0.0.N. */
static inline int client_at(struct fixture *f, uint32_t n)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(httpd_port(f->httpd))};
	struct sockaddr_in own = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	own.sin_addr.s_addr = htonl(0x7f000000 + n);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static inline int client(struct fixture *f) { return client_at(f, 1); }

static inline void put(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void turn(struct fixture *f)
{
	const struct timeval tick = {.tv_usec = 5000};

	event_base_loopexit(f->base, &tick);
	event_base_dispatch(f->base);
}

/* Reads until the text contains `until` (null: until the peer's end) or the time is up. */
static inline char *answer(struct fixture *f, int fd, const char *until, int64_t limit_ms)
{
	static char got[200000];
	int64_t end = clock_mono_ms() + limit_ms;
	size_t n = 0;

	got[0] = '\0';
	while (clock_mono_ms() < end) {
		ssize_t r;

		turn(f);
		r = recv(fd, got + n, sizeof got - n - 1, 0);
		if (r > 0)
			n += (size_t)r;
		got[n] = '\0';
		if (until && strstr(got, until))
			return got;
		if (r == 0 || (r < 0 && errno != EAGAIN))
			return until ? NULL : got;
	}
	return NULL;
}

#define GET_PING "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"

#endif
