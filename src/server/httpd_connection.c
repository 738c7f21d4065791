/*
 * httpd_connection: one peer, its requests one after the other, and their answers.
 *
 * Invariants:
 * 1. The state moves only where `moves` says so, by set_state, which also starts the clock of its deadline.
 * 2. `request` is set from a whole head to its answer or refusal: in BODY, HELD and HANDLING, and nowhere else.
 * 3. Nothing is read in HANDLING: a second request waits in the peer's hands (promise 6).
 * 4. A paused connection is in BODY; the clock of its rate stands still meanwhile.
 * 5. While `running`, nothing frees the connection but connection_run itself, as its last act.
 * 6. A handler gets each request once, and answers once; a connection that died leaves its request to the handler.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/httpd_internal.h"

enum { WRITE_TIMEOUT_S = 10, SHAKE_S = 5, LINGER_S = 2, LINGER_MOST_S = 30, BODY_WINDOW_S = 5, STALLED_S = 1 };
enum { REFERENCED_BYTES = 2048, SMALL_BODY_BYTES = 4096 };

/* Legal moves: a bit for each state that may follow. The one setter below keeps to them. */
static const unsigned moves[] = {
    [CONNECTION_SHAKING] = 1u << CONNECTION_HEAD,
    [CONNECTION_HEAD] = 1u << CONNECTION_BODY | 1u << CONNECTION_LINGER,
    [CONNECTION_BODY] = 1u << CONNECTION_HELD | 1u << CONNECTION_HANDLING | 1u << CONNECTION_LINGER,
    [CONNECTION_HELD] = 1u << CONNECTION_LINGER,
    [CONNECTION_HANDLING] = 1u << CONNECTION_HEAD | 1u << CONNECTION_LINGER,
    [CONNECTION_LINGER] = 0,
};

static void set_state(struct connection *c, enum connection_state state)
{
	must(moves[c->state] & 1u << state);
	c->state = state;
	c->since_ns = clock_mono_ns();
}

static size_t output_bytes(const struct connection *c) { return evbuffer_get_length(bufferevent_get_output(c->bev)); }

bool connection_is_busy(const struct connection *c) { return c->state == CONNECTION_HANDLING || output_bytes(c) > 0; }

/* What it holds besides its buffers; a body's next bytes count before they are there. */
static size_t own_bytes(const struct connection *c)
{
	const struct httpd_request *r = c->request;
	size_t bytes = c->parser.head.cap;

	if (r)
		bytes += sizeof *r + r->head.head.cap;
	return c->state == CONNECTION_BODY ? bytes + HTTPD_READ_AHEAD_BYTES : bytes;
}

static void update_reading(struct connection *c)
{
	size_t ahead = c->state == CONNECTION_BODY ? HTTPD_READ_AHEAD_BYTES : HTTPD_HEAD_AHEAD_BYTES;
	bool wants = c->state != CONNECTION_HANDLING && c->state != CONNECTION_HELD && !c->paused && !c->ended &&
	             (c->state == CONNECTION_LINGER || output_bytes(c) < HTTPD_OUTPUT_MAX_BYTES);

	held_note(&c->held, own_bytes(c));
	bufferevent_setwatermark(c->bev, EV_READ, 0, ahead);
	if (wants)
		(void)bufferevent_enable(c->bev, EV_READ);
	else
		(void)bufferevent_disable(c->bev, EV_READ);
}

static void drop_referenced(const void *data, size_t length, void *arg)
{
	(void)data;
	(void)length;
	free(arg);
}

static void add_referenced(struct evbuffer *out, const void *body, size_t bytes)
{
	void *copy = mem_alloc(bytes);

	memcpy(copy, body, bytes);
	if (evbuffer_add_reference(out, copy, bytes, drop_referenced, copy) != 0)
		free(copy);
}

static void write_answer(struct connection *c, int status, bool head_only, const char *type, const char *extra,
                         const void *body, size_t body_bytes, bool close)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char date[DATES_HTTP_BYTES];

	(void)evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Length: %zu\r\n", status,
	                          httpd_status_text(status), dates_format_http(clock_wall_ms(), date), body_bytes);
	if (type)
		(void)evbuffer_add_printf(out, "Content-Type: %s\r\n", type);
	if (extra)
		(void)evbuffer_add(out, extra, strlen(extra));
	if (close)
		(void)evbuffer_add_printf(out, "Connection: close\r\n");
	(void)evbuffer_add(out, "\r\n", 2);
	if (head_only || body_bytes == 0)
		return;
	if (body_bytes < REFERENCED_BYTES)
		(void)evbuffer_add(out, body, body_bytes);
	else /* evbuffer would round the room for it up to a power of two, which nobody counts */
		add_referenced(out, body, body_bytes);
}

/* Sends the end of our side when everything is written; reads on while more comes, so that no reset eats the answer. */
static void linger(struct connection *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	c->paused = false;
	c->data_ns = clock_mono_ns();
	if (c->state != CONNECTION_LINGER)
		set_state(c, CONNECTION_LINGER);
	(void)evbuffer_drain(bufferevent_get_input(c->bev), evbuffer_get_length(bufferevent_get_input(c->bev)));
	if (output_bytes(c) > 0)
		return;
	if (ssl && !(SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN))
		(void)SSL_shutdown(ssl);
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

/* An answer to what is no request for a handler; the connection ends, as its next byte has no certain meaning. */
static void refuse(struct connection *c, int status, const char *reason, const char *extra)
{
	char body[200];
	bool head_only = c->request && strcmp(c->request->head.method, "HEAD") == 0;
	int n = snprintf(body, sizeof body, "%s\n", reason);

	httpd_request_free(c->request);
	c->request = NULL;
	if (status == 400 || status == 413 || status == 431)
		LOG_LIMITED(LOG_WARN, "request refused", LOG_S("peer", c->peer.text), LOG_I("status", status),
		            LOG_S("reason", reason));
	if (status == 413)
		metric_add(M_INPUT_REFUSED_SIZE, 1);
	else if (status == 400)
		metric_add(M_INPUT_REFUSED_FORMAT, 1);
	write_answer(c, status, head_only, "text/plain; charset=utf-8", extra, body, (size_t)n, true);
	linger(c);
}

static const char stopping_text[] = "kspool is stopping; not stored";

/* All of the body came, or lies in the buffer, which is small; or it is so small that it need not be waited for. */
static bool body_is_here(const struct connection *c)
{
	uint64_t have = c->body_seen + evbuffer_get_length(bufferevent_get_input(c->bev));

	return !c->parser.chunked && (have >= c->parser.content_length || c->parser.content_length <= SMALL_BODY_BYTES);
}

static bool may_read(const struct connection *c)
{
	struct httpd *h = c->httpd;

	if (httpd_may_read(h, body_is_here(c) ? HTTPD_ROOM_WHOLE : HTTPD_ROOM_PART))
		return true;
	return !body_is_here(c) && h->options.on_bytes && held_may_pass(&c->held) &&
	       httpd_may_read(h, HTTPD_ROOM_PART_OF_SMALL);
}

static void pause_body(struct connection *c)
{
	if (c->httpd->gives_up) {
		refuse(c, 503, stopping_text, "Retry-After: 1\r\n");
		return;
	}
	if (!c->paused)
		c->paused_ns = clock_mono_ns();
	c->paused = true;
}

static void continue_body(struct connection *c)
{
	if (c->paused)
		c->window_ns += clock_mono_ns() - c->paused_ns; /* the peer's clock stood still meanwhile */
	c->paused = false;
	if (c->parser.expect_continue && c->body_seen == 0)
		(void)evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
	c->parser.expect_continue = false;
}

/* A token has its share of the connections, whatever addresses it comes from. */
static bool token_has_room(struct connection *c)
{
	uint64_t token = httpd_token_of(c->httpd, c->request);
	const struct connection *other;
	uint32_t count = 0;

	if (token == 0 || token == c->token)
		return true;
	TAILQ_FOREACH (other, &c->httpd->connections, link)
		count += other->token == token;
	if (count >= c->httpd->options.max_connections_per_token)
		return false;
	c->token = token;
	return true;
}

static void on_head(struct connection *c)
{
	char extra[256];
	struct httpd_verdict verdict;

	c->requests++;
	c->request = httpd_request_new(c);
	c->body_seen = c->window_seen = 0;
	set_state(c, CONNECTION_BODY);
	c->window_ns = c->data_ns = c->since_ns;
	httpd_precheck(c->httpd, c->request, &verdict, extra, sizeof extra);
	if (verdict.status == 401)
		c->held_ns = penalty_note(&c->httpd->penalty, &c->peer, c->since_ns);
	else if (verdict.status == 0 && !token_has_room(c))
		verdict = (struct httpd_verdict){
		    .status = 429, .reason = "too many connections with this token", .extra = "Retry-After: 1\r\n"};
	if (verdict.status == 0 && held_must_wait(&c->held) && c->request->head.head.len > HTTPD_HEAD_SMALL_BYTES)
		verdict = (struct httpd_verdict){
		    .status = 503, .reason = "requests hold all the memory they may", .extra = "Retry-After: 1\r\n"};
	if (verdict.status == 401 && c->held_ns > 0) {
		set_state(c, CONNECTION_HELD);
		return;
	}
	if (verdict.status != 0) {
		refuse(c, verdict.status, verdict.reason ? verdict.reason : httpd_status_text(verdict.status),
		       verdict.extra);
		return;
	}
	c->parser.max_body_bytes = verdict.max_body_bytes;
	if (!c->parser.chunked && c->parser.content_length == 0)
		c->parser.expect_continue = false;
	else if (may_read(c))
		continue_body(c);
	else
		pause_body(c);
}

static void on_data(struct connection *c, const char *piece, size_t length)
{
	must(buf_add(&c->request->body, piece, length) == ERR_OK); /* the parser keeps to max_body_bytes */
	c->body_seen += length;
	c->window_seen += length;
	c->data_ns = clock_mono_ns();
	httpd_count_bytes(c->httpd, (int64_t)length);
	if (!may_read(c))
		pause_body(c);
}

static void answer_options(struct httpd_request *r, const char *allow)
{
	char extra[HTTPD_ALLOW_MAX + 32];

	(void)snprintf(extra, sizeof extra, "Allow: %s%sOPTIONS\r\n", allow, *allow ? "," : "");
	httpd_answer(r, 200, NULL, extra, NULL, 0);
}

static void on_whole(struct connection *c)
{
	struct httpd_request *r = c->request;
	const struct route *route;
	char allow[HTTPD_ALLOW_MAX];

	c->paused = false;
	r->close = c->parser.close || c->requests >= HTTPD_REQUESTS_MAX || c->httpd->stopping || c->ended;
	set_state(c, CONNECTION_HANDLING);
	route = httpd_route_find(c->httpd, r, allow, sizeof allow);
	r->handled = true;
	c->httpd->requests++;
	r->pattern = route ? route->path : NULL;
	if (route && !route->handler)
		answer_options(r, allow);
	else if (route)
		route->handler(r, route->arg);
	else /* removed since the head was read */
		httpd_answer(r, 404, NULL, NULL, NULL, 0);
}

/* One event of the parser. False: no progress is possible now. */
static bool parse(struct connection *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct evbuffer_iovec piece = {.iov_base = NULL};
	bool was_busy = http1_is_busy(&c->parser);
	enum http1_event event;
	const char *data;
	size_t used, length;

	if (output_bytes(c) >= (held_is_over() ? 1 : HTTPD_OUTPUT_MAX_BYTES)) /* it goes on when they are taken */
		return false;
	if (c->paused) {
		if (!may_read(c))
			return false;
		continue_body(c);
	}
	(void)evbuffer_peek(in, -1, NULL, &piece, 1);
	event = http1_feed(&c->parser, piece.iov_base, piece.iov_len, &used, &data, &length);
	if (event == HTTP1_DATA)
		on_data(c, data, length);
	(void)evbuffer_drain(in, used);
	if (!was_busy && used > 0 && c->state == CONNECTION_HEAD)
		c->since_ns = clock_mono_ns();
	if (event == HTTP1_HEAD)
		on_head(c);
	else if (event == HTTP1_DONE)
		on_whole(c);
	else if (event == HTTP1_BAD)
		refuse(c, c->parser.status, c->parser.reason, NULL);
	return event != HTTP1_MORE || used > 0;
}

void connection_run(struct connection *c)
{
	bool over;

	if (c->running)
		return;
	c->running = true;
	while ((c->state == CONNECTION_HEAD || c->state == CONNECTION_BODY) && parse(c))
		continue;
	c->running = false;
	if (c->state == CONNECTION_LINGER)
		linger(c);
	/* after the peer's end nothing more can become whole */
	over = c->ended && output_bytes(c) == 0 && c->state != CONNECTION_HANDLING && !c->paused;
	if (over || (c->httpd->stopping && !connection_is_busy(c) && c->state != CONNECTION_LINGER))
		connection_free(c);
	else
		update_reading(c);
}

void connection_give_up(struct connection *c)
{
	must(c->paused);
	refuse(c, 503, stopping_text, "Retry-After: 1\r\n");
	connection_run(c);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	connection_run(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct connection *c = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED && c->state == CONNECTION_SHAKING) {
		if (!listener_identify(c->httpd->listener, bev, &c->peer)) {
			connection_free(c);
			return;
		}
		held_rename(&c->held, &c->peer);
		set_state(c, CONNECTION_HEAD);
		connection_run(c);
	} else if (what & BEV_EVENT_EOF && c->state != CONNECTION_SHAKING) {
		c->ended = true;
		if (c->state == CONNECTION_LINGER && output_bytes(c) == 0)
			connection_free(c);
		else
			connection_run(c);
	} else {
		connection_free(c);
	}
}

static bool may_go(const void *owner) { return ((const struct connection *)owner)->state != CONNECTION_HANDLING; }

static void go(void *owner) { connection_free(owner); }

static uint64_t unfinished(const void *owner, int64_t *ret_since_ns)
{
	const struct connection *c = owner;

	*ret_since_ns = c->since_ns;
	return c->state == CONNECTION_BODY && c->httpd->options.on_bytes && !c->running ? c->request->body.len : 0;
}

static void refuse_unfinished(void *owner)
{
	refuse(owner, 503, "an unfinished body while others wait for memory; not stored", "Retry-After: 1\r\n");
	connection_run(owner);
}

static const struct held_kind connection_held = {
    .may_go = may_go, .go = go, .unfinished = unfinished, .refuse = refuse_unfinished};

void connection_new(struct bufferevent *bev, const struct peer *peer, bool tls, void *arg)
{
	const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	struct httpd *h = arg;
	struct connection *c = mem_zero(sizeof *c);

	c->httpd = h;
	c->bev = bev;
	c->peer = *peer;
	c->tls = tls;
	http1_init(&c->parser, h->options.max_body_bytes);
	c->since_ns = clock_mono_ns();
	if (!tls)
		set_state(c, CONNECTION_HEAD);
	TAILQ_INSERT_TAIL(&h->connections, c, link);
	bufferevent_setcb(bev, on_read, on_read, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, HTTPD_HEAD_AHEAD_BYTES);
	held_enter(&c->held, bev, peer, &connection_held, c);
	(void)bufferevent_set_timeouts(bev, NULL, &write_timeout);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* How much is lost with it: 0 nothing, 1 a request that has begun, 2 a body, 3 answers not taken; -1: it must stay. */
static int loss_of(const struct connection *c)
{
	if (c->running || c->state == CONNECTION_HANDLING)
		return -1;
	if (output_bytes(c) > 0 && c->state != CONNECTION_LINGER)
		return 3;
	if (c->state == CONNECTION_BODY)
		return 2;
	return c->state == CONNECTION_LINGER ||
	               (c->state == CONNECTION_HEAD && !http1_is_busy(&c->parser) && c->requests > 0)
	           ? 0
	           : 1;
}

bool connection_make_room(struct httpd *h, const unsigned char *key, bool for_smaller)
{
	struct connection *c, *worst = NULL;

	TAILQ_FOREACH (c, &h->connections, link) {
		if (loss_of(c) < 0 || loss_of(c) > (for_smaller ? 3 : 2) ||
		    memcmp(c->peer.key, key, sizeof c->peer.key) != 0)
			continue;
		if (!worst || loss_of(c) < loss_of(worst) ||
		    (loss_of(c) == loss_of(worst) && c->since_ns < worst->since_ns))
			worst = c;
	}
	if (!worst)
		return false;
	LOG_LIMITED(LOG_WARN, "connection given up for a new one", LOG_S("peer", worst->peer.text));
	connection_free(worst);
	return true;
}

void connection_free(struct connection *c)
{
	must(!c->running);
	TAILQ_REMOVE(&c->httpd->connections, c, link);
	if (c->request && c->request->handled)
		c->request->connection = NULL; /* its handler will answer into nothing */
	else
		httpd_request_free(c->request);
	listener_release(c->httpd->listener, &c->peer);
	held_leave(&c->held);
	http1_fini(&c->parser);
	bufferevent_free(c->bev);
	free(c);
}

/* The rate counts in every window anew: what came at once at the beginning pays for no silence later. */
static void check_body(struct connection *c, int64_t now_ns)
{
	if (c->paused) {
		if (now_ns - c->paused_ns < c->httpd->options.busy_timeout_ns)
			return;
		metric_add(M_INPUT_REFUSED_BUSY, 1);
		refuse(c, 503, "too many bytes wait for the disk; not stored", "Retry-After: 1\r\n");
		connection_run(c);
	} else if (now_ns - c->data_ns >= STALLED_S * NS_PER_S && httpd_may_read(c->httpd, HTTPD_ROOM_WHOLE) &&
	           !httpd_may_read(c->httpd, HTTPD_ROOM_PART)) { /* it is memory that is short */
		metric_add(M_INPUT_REFUSED_BUSY, 1);
		refuse(c, 408, "an unfinished body while memory is short; not stored", "Retry-After: 1\r\n");
		connection_run(c);
	} else if (now_ns - c->window_ns >= BODY_WINDOW_S * NS_PER_S) {
		if (c->window_seen < c->httpd->options.min_body_rate * BODY_WINDOW_S) {
			refuse(c, 408, "the body came too slowly", NULL);
			connection_run(c);
			return;
		}
		c->window_ns = now_ns;
		c->window_seen = 0;
	}
}

static void check_head(struct connection *c, int64_t now_ns)
{
	bool busy = http1_is_busy(&c->parser);
	const struct httpd_options *o = &c->httpd->options;
	int64_t limit_ns = busy || c->requests == 0 ? o->head_timeout_ns : o->idle_timeout_ns;

	if (now_ns - c->since_ns < limit_ns || output_bytes(c) > 0)
		return;
	if (!busy) {
		connection_free(c);
		return;
	}
	refuse(c, 408, "the head came too slowly", NULL);
	connection_run(c);
}

void connection_check(struct connection *c, int64_t now_ns)
{
	int64_t age_ns = now_ns - c->since_ns;

	switch (c->state) {
	case CONNECTION_SHAKING:
		if (age_ns > SHAKE_S * NS_PER_S)
			connection_free(c);
		break;
	case CONNECTION_HEAD:
		check_head(c, now_ns);
		break;
	case CONNECTION_BODY:
		check_body(c, now_ns);
		break;
	case CONNECTION_HELD:
		if (age_ns < c->held_ns)
			break;
		refuse(c, 401, "no valid token", "WWW-Authenticate: Bearer\r\n");
		connection_run(c);
		break;
	case CONNECTION_HANDLING:
		break;
	case CONNECTION_LINGER:
		if (output_bytes(c) == 0 &&
		    (now_ns - c->data_ns > LINGER_S * NS_PER_S || age_ns > LINGER_MOST_S * NS_PER_S))
			connection_free(c);
		break;
	}
}

void httpd_answer(struct httpd_request *r, int status, const char *content_type, const char *extra, const void *body,
                  size_t body_bytes)
{
	struct connection *c = r->connection;
	bool close;

	r->httpd->requests--;
	if (c) {
		close = r->close || c->ended || r->httpd->stopping;
		write_answer(c, status, strcmp(r->head.method, "HEAD") == 0, content_type, extra, body, body_bytes,
		             close);
		c->request = NULL;
		if (close) {
			linger(c);
		} else {
			http1_reset(&c->parser);
			c->parser.max_body_bytes = r->httpd->options.max_body_bytes;
			set_state(c, CONNECTION_HEAD);
		}
	}
	httpd_request_free(r);
	if (c && !c->running)
		connection_run(c);
}
