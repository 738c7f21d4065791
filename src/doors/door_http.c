/*
 * door_http: POST one message, or several; how a body becomes messages says door_http_body.h.
 *
 *   200  every message is on stable storage (promise 1)      400  malformed or damaged body, metadata too large
 *   413  a message over the ceiling                           415  an encoding that is not known
 *   429  its sender had its share, or a rate_limit lets nothing more pass yet
 *   507  the spool is full; nothing was stored
 *   503  with Retry-After: nothing was stored (no room, stopping), or, as the text says then, the answer did not come
 *        in time and the messages may still be stored
 *
 * Invariants:
 * 1. A pending stands in the list from group_send to its answer or its deadline, and its request is unanswered as long.
 * 2. The list is in the order of the deadlines: one timeout serves them all, and the timer is set for the first.
 * 3. Once the deadline passed, nobody hears of the group: `answered` is null, and the text says whether it may be
 * stored.
 * 4. A request's messages are one offer: all of them are stored, or none.
 * 5. `own` is null when the shared server serves us; then the routes and the share in it end with the door.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "server/httpd.h"
#include "server/multipart.h"
#include "doors/door.h"
#include "doors/door_http_body.h"
#include "doors/door_http_meta.h"
#include "doors/quota.h"

enum { HEAD_TIMEOUT_S = 10, IDLE_TIMEOUT_S = 60 };
enum { MESSAGES_MAX = 10000, BATCH_BODY_FACTOR = 8, BATCH_BODY_MAX_BYTES = 33554432 };

/* A request that waits for the journal. */
struct pending {
	TAILQ_ENTRY(pending) link;
	struct door_http *door;
	struct httpd_request *request;
	struct group *group;
	int64_t deadline_ns;
};

struct door_http {
	struct door door;
	struct httpd *own;             /* null: served by the shared server */
	struct httpd *server;          /* own or the shared one */
	TAILQ_HEAD(, pending) pending; /* oldest first; one timeout for all */
	struct event *timer;
	struct quota *quota;
	char retry_after[48];
};

static void answer_text(struct httpd_request *r, int status, const char *extra, const char *reason)
{
	char text[1100];
	int n = snprintf(text, sizeof text, "%s\n", reason);

	httpd_answer(r, status, "text/plain; charset=utf-8", extra, text,
	             n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

/* Valid until the next call. */
static const char *retry_after(struct door_http *h, int64_t wait_ns)
{
	(void)snprintf(h->retry_after, sizeof h->retry_after, "Retry-After: %lld\r\n",
	               (long long)((wait_ns + NS_PER_S - 1) / NS_PER_S));
	return h->retry_after;
}

static void set_timer(struct door_http *h)
{
	const struct pending *first = TAILQ_FIRST(&h->pending);
	int64_t left_ns;
	struct timeval tv;

	if (!first) {
		(void)event_del(h->timer);
		return;
	}
	left_ns = first->deadline_ns - clock_mono_ns();
	if (left_ns < 0)
		left_ns = 0;
	tv = (struct timeval){.tv_sec = left_ns / NS_PER_S, .tv_usec = (left_ns % NS_PER_S) / NS_PER_US + 1};
	(void)evtimer_add(h->timer, &tv);
}

static void on_answered(struct group *g, void *door)
{
	struct pending *p = door;
	struct door_http *h = p->door;
	struct httpd_request *r = p->request;
	bool was_first = p == TAILQ_FIRST(&h->pending);

	TAILQ_REMOVE(&h->pending, p, link);
	if (was_first && TAILQ_EMPTY(&h->pending))
		set_timer(h);
	free(p);
	switch (g->offer.verdict) {
	case OFFER_ACCEPTED:
		httpd_answer(r, 200, NULL, NULL, NULL, 0);
		break;
	case OFFER_FULL:
		if (g->limited_ns > 0) {
			answer_text(r, 429, retry_after(h, g->limited_ns), g->offer.error.text);
			break;
		}
		answer_text(r, g->offer.error.code == ERR_MEMORY ? 503 : 507, "Retry-After: 5\r\n",
		            g->offer.error.text);
		break;
	case OFFER_TOO_BIG:
		answer_text(r, 413, NULL, g->offer.error.text);
		break;
	case OFFER_CLOSED:
		answer_text(r, 503, "Retry-After: 1\r\n", "kspool is stopping; not stored");
		break;
	case OFFER_FAILED:
		answer_text(r, 503, "Retry-After: 5\r\n", "the journal failed; not acknowledged");
		break;
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct door_http *h = arg;
	int64_t now_ns = clock_mono_ns();
	struct pending *p;

	(void)fd;
	(void)what;
	while ((p = TAILQ_FIRST(&h->pending)) && p->deadline_ns <= now_ns) {
		bool certain = p->group->place != GROUP_OFFERED;

		TAILQ_REMOVE(&h->pending, p, link);
		metric_add(M_INPUT_REFUSED_BUSY, p->group->received);
		p->group->answered = NULL;
		if (certain)
			group_cancel(p->group);
		answer_text(p->request, 503, "Retry-After: 1\r\n",
		            certain ? "processors or the journal did not come to it in time; not stored"
		                    : "the commit did not come in time; the messages may still be stored");
		free(p);
	}
	set_timer(h);
}

static bool add_message(struct group *g, const struct buf *meta, const char *body, size_t length, int64_t now_ms,
                        struct refusal *refusal)
{
	if (length > g->intake->max_message_bytes) {
		*refusal = (struct refusal){413, "a message is over the limit; nothing was stored", NULL};
		return false;
	}
	if (g->offer.count >= MESSAGES_MAX) {
		*refusal = (struct refusal){413, "too many messages in one request; nothing was stored", NULL};
		return false;
	}
	switch (group_reserve(g, sizeof(struct message) + meta->len + length)) {
	case OFFER_TOO_BIG:
		*refusal = (struct refusal){413,
		                            "the messages of the request, each with the metadata of all, are over the "
		                            "limit; nothing was stored",
		                            NULL};
		return false;
	case OFFER_FULL:
		*refusal =
		    (struct refusal){503, "too many bytes wait just now; nothing was stored", "Retry-After: 1\r\n"};
		return false;
	default:
		group_add(g, message_new(meta->data, meta->len, body, length, now_ms));
		return true;
	}
}

static bool add_parts(struct group *g, const struct buf *meta, const char *boundary, const char *body, size_t length,
                      int64_t now_ms, struct refusal *refusal)
{
	enum multipart_event event;
	struct multipart m;
	const char *part;
	size_t part_length;

	multipart_init(&m, boundary, body, length);
	while ((event = multipart_next(&m, &part, &part_length)) == MULTIPART_PART)
		if (!add_message(g, meta, part, part_length, now_ms, refusal))
			return false;
	if (event == MULTIPART_END)
		return true;
	*refusal = (struct refusal){400, "malformed multipart body; nothing was stored", NULL};
	return false;
}

static bool add_lines(struct group *g, const struct buf *meta, const char *body, size_t length, int64_t now_ms,
                      struct refusal *refusal)
{
	size_t at = 0;

	while (at < length) {
		const char *lf = memchr(body + at, '\n', length - at);
		size_t end = lf ? (size_t)(lf - body) : length;
		size_t line;

		while (at < end && body[at] == '\0') /* as in a file */
			at++;
		line = end - at;
		if (line > 0 && body[end - 1] == '\r')
			line--;
		if (line > 0 && !add_message(g, meta, body + at, line, now_ms, refusal))
			return false;
		at = end + 1;
	}
	return true;
}

static bool cuts_lines(const struct door_http *h) { return h->door.input->http_server.ndjson == NDJSON_CUT; }

/* Room for a batch, but never more than half of the memory for one request. */
static uint64_t body_limit(const struct intake *i)
{
	uint64_t body = i->max_message_bytes * BATCH_BODY_FACTOR;

	if (body > i->memory_limit_bytes / 2)
		body = i->memory_limit_bytes / 2;
	if (body > BATCH_BODY_MAX_BYTES)
		body = BATCH_BODY_MAX_BYTES;
	return body > i->max_message_bytes ? body : i->max_message_bytes;
}

static bool cut(struct door_http *h, struct group *g, struct httpd_request *r, const struct buf *meta,
                struct refusal *refusal)
{
	const char *type = httpd_header_get(r, "Content-Type");
	char boundary[MULTIPART_BOUNDARY_MAX + 1];
	int64_t now_ms = clock_wall_ms();
	struct http_body body;
	bool ok;

	if (!http_body_open(&body, h->door.intake, r, body_limit(h->door.intake), refusal))
		return false;
	switch (http_body_cut_of(r, cuts_lines(h))) {
	case HTTP_BODY_PARTS:
		*refusal = (struct refusal){400, "multipart without a boundary", NULL};
		ok = multipart_boundary(type, boundary) &&
		     add_parts(g, meta, boundary, body.data, body.length, now_ms, refusal);
		break;
	case HTTP_BODY_LINES:
		ok = http_body_begin_lines(&body, refusal) &&
		     add_lines(g, meta, body.data, body.length, now_ms, refusal);
		break;
	case HTTP_BODY_WHOLE:
	default:
		ok = add_message(g, meta, body.data, body.length, now_ms, refusal);
		break;
	}
	http_body_fini(&body);
	return ok;
}

static bool add_messages(struct door_http *h, struct group *g, struct httpd_request *r, struct refusal *refusal)
{
	struct http_meta_rules rules = {.keep_authorization = !httpd_has_guard(h->server),
	                                .was_decoded = http_body_is_encoded(r)};
	struct buf meta;
	bool ok;

	buf_init(&meta, HTTP_META_MAX_BYTES);
	ok = door_http_meta_add(&meta, r, &rules) == ERR_OK;
	if (ok)
		ok = cut(h, g, r, &meta, refusal);
	else
		*refusal = (struct refusal){
		    400, "headers, query and cookies are too many or too long; nothing was stored", NULL};
	buf_fini(&meta);
	return ok;
}

/* Of those that wait for a limit none waits for long: so many would hold the memory that others need. */
static bool is_limited(struct door_http *h, struct refusal *refusal)
{
	const int64_t held_ns = intake_held_ns(h->door.intake, h->door.processors);

	if (!intake_is_limited(h->door.intake, h->door.processors))
		return false;
	*refusal = (struct refusal){429, "a rate_limit of its processors is used up just now; not stored",
	                            retry_after(h, held_ns)};
	return true;
}

/* What the head tells is not waited for: an encoding nobody knows, a length over the limit. */
static void look(const struct httpd_request *r, struct httpd_verdict *verdict, void *arg)
{
	struct door_http *h = arg;
	struct refusal refusal = {0};
	unsigned char identity[LISTENER_KEY_BYTES];

	httpd_identity(r, identity);
	if (quota_wait_ms(h->quota, identity, clock_mono_ns()) > 0) {
		*verdict = (struct httpd_verdict){.status = 429,
		                                  .reason = "its sender has had its share of this second; not stored",
		                                  .extra = "Retry-After: 1\r\n"};
		metric_add(M_INPUT_REFUSED_BUSY, 1);
		return;
	}
	if (is_limited(h, &refusal))
		metric_add(M_INPUT_REFUSED_BUSY, 1);
	if (refusal.status || !http_body_look(r, &refusal))
		*verdict =
		    (struct httpd_verdict){.status = refusal.status, .reason = refusal.reason, .extra = refusal.extra};
	else if (!http_body_is_encoded(r) && http_body_cut_of(r, cuts_lines(h)) == HTTP_BODY_WHOLE &&
	         verdict->max_body_bytes > h->door.intake->max_message_bytes)
		verdict->max_body_bytes = h->door.intake->max_message_bytes;
}

static void spend(struct door_http *h, const struct httpd_request *r, const struct group *g)
{
	unsigned char identity[LISTENER_KEY_BYTES];

	httpd_identity(r, identity);
	quota_spend(h->quota, identity, g->offer.bytes, g->offer.count, clock_mono_ns());
}

static void on_request(struct httpd_request *r, void *arg)
{
	struct door_http *h = arg;
	struct intake *i = h->door.intake;
	struct refusal refusal = {0};
	struct pending *p;
	struct group *g;

	if (i->stopping) {
		answer_text(r, 503, "Retry-After: 1\r\n", "kspool is stopping; not stored");
		return;
	}
	p = mem_zero(sizeof *p);
	g = group_new(i, h->door.processors, on_answered, p);
	g->one_batch = true;
	g->peer = group_peer(httpd_peer(r));
	if (is_limited(h, &refusal) || !add_messages(h, g, r, &refusal)) {
		metric_add(refusal.status == 413                            ? M_INPUT_REFUSED_SIZE
		           : refusal.status == 503 || refusal.status == 429 ? M_INPUT_REFUSED_BUSY
		                                                            : M_INPUT_REFUSED_FORMAT,
		           1);
		LOG_LIMITED(LOG_WARN, "request refused", LOG_S("peer", httpd_peer(r)), LOG_I("status", refusal.status),
		            LOG_S("reason", refusal.reason));
		group_free(g);
		free(p);
		answer_text(r, refusal.status, refusal.extra, refusal.reason);
		return;
	}
	spend(h, r, g);
	httpd_body_drop(r);
	if (g->offer.count == 0) { /* no part, no line: there is nothing to store */
		group_free(g);
		free(p);
		httpd_answer(r, 200, NULL, NULL, NULL, 0);
		return;
	}
	*p = (struct pending){
	    .door = h,
	    .request = r,
	    .group = g,
	    .deadline_ns = clock_mono_ns() + h->door.input->http_server.timeout_ns,
	};
	TAILQ_INSERT_TAIL(&h->pending, p, link);
	if (p == TAILQ_FIRST(&h->pending))
		set_timer(h);
	group_send(g);
}

/* What is whole is taken, however short memory is: only its messages are charged then, and may be refused. */
static bool may_read(void *arg, enum httpd_room room)
{
	if (room == HTTPD_ROOM_WHOLE)
		return intake_takes(arg);
	return room == HTTPD_ROOM_PART ? intake_has_room(arg) : intake_has_room_for_small(arg);
}

static void on_bytes(void *arg, int64_t change)
{
	if (change > 0)
		intake_charge(arg, (uint64_t)change);
	else
		intake_release(arg, (uint64_t)-change);
}

static void resume(struct door *d) { httpd_resume(((struct door_http *)d)->server); }

static void stop(struct door *d)
{
	struct door_http *h = (struct door_http *)d;

	if (h->own)
		httpd_stop(h->own);
	else
		httpd_give_up_waiting(h->server);
}

static const char *trouble(const struct door *d)
{
	const char *why = httpd_trouble(((const struct door_http *)d)->server);

	return why ? why : intake_is_limited(d->intake, d->processors);
}

static enum err read_files(struct door *d, struct error *e)
{
	struct door_http *h = (struct door_http *)d;

	return h->own ? httpd_read_files(h->own, e) : ERR_OK;
}

static bool is_idle(const struct door *d)
{
	const struct door_http *h = (const struct door_http *)d;

	/* the shared server's too: its last answers must be on their way before the loop ends */
	return TAILQ_EMPTY(&h->pending) && httpd_is_idle(h->server);
}

static bool has_ended(const struct door *d)
{
	(void)d;
	return false;
}

static void free_door(struct door *d)
{
	struct door_http *h = (struct door_http *)d;

	must(TAILQ_EMPTY(&h->pending));
	httpd_free(h->own);
	if (!h->own && h->server) {
		httpd_unroute(h->server, on_request, h);
		httpd_set_share(h->server, NULL, NULL, NULL);
	}
	event_free(h->timer);
	quota_free(h->quota);
	free(h);
}

static uint16_t port_of(const struct door *d) { return httpd_port(((const struct door_http *)d)->server); }

/* "POST,PUT" from the list of verbs. */
static enum err join_verbs(const struct options_input_http_server *o, char *ret, size_t size, struct error *e)
{
	*ret = '\0';
	for (size_t n = 0; n < o->allowed_verbs.count; n++) {
		const char *verb = o->allowed_verbs.items[n];

		if (strcmp(verb, "POST") != 0 && strcmp(verb, "PUT") != 0)
			return error_set(e, ERR_CONFIG, "allowed_verbs: %s carries no message; POST and PUT do", verb);
		if (!strstr(ret, verb))
			(void)snprintf(ret + strlen(ret), size - strlen(ret), "%s%s", *ret ? "," : "", verb);
	}
	return *ret ? ERR_OK : error_set(e, ERR_CONFIG, "allowed_verbs is empty");
}

static enum err open_own(struct door_http *h, struct error *e)
{
	const struct options_input_http_server *o = &h->door.input->http_server;
	struct intake *i = h->door.intake;
	struct httpd_options options = {
	    .address = o->address,
	    .unix_mode = 0660,
	    .cert_file = o->cert_file,
	    .key_file = o->key_file,
	    .client_ca_file = o->client_ca_file,
	    .allowed_names = {.items = o->allowed_names.items, .count = o->allowed_names.count},
	    .token_file = o->token_file,
	    .require_guard = true,
	    .max_connections = (uint32_t)o->max_connections,
	    .max_connections_per_peer = (uint32_t)o->max_connections_per_peer,
	    .max_connections_per_token = (uint32_t)o->max_connections_per_token,
	    .head_timeout_ns = HEAD_TIMEOUT_S * NS_PER_S,
	    .idle_timeout_ns = IDLE_TIMEOUT_S * NS_PER_S,
	    .min_body_rate = o->min_body_rate_bytes,
	    .may_read = may_read,
	    .on_bytes = on_bytes,
	    .arg = i,
	    .busy_timeout_ns = o->timeout_ns,
	    .max_body_bytes = body_limit(i),
	    .allowed_hosts = {.items = o->allowed_hosts.items, .count = o->allowed_hosts.count},
	};
	enum err err;

	err = httpd_open(i->base, &options, &h->own, e);
	if (err == ERR_OK)
		LOG(LOG_INFO, "listening", LOG_S("input", "http_server"), LOG_S("address", o->address),
		    LOG_U("port", httpd_port(h->own)), LOG_S("path", o->path));
	return err;
}

/* For whoever looks after us from outside; on the admin server there are better ones. */
static void answer_alive(struct httpd_request *r, void *arg)
{
	(void)arg;
	httpd_answer(r, 200, "text/plain; charset=utf-8", NULL, "pong", 4);
}

static void answer_ready(struct httpd_request *r, void *arg)
{
	const struct door_http *h = arg;
	struct error why = {.code = ERR_OK};

	if (h->door.intake->stopping)
		answer_text(r, 503, NULL, "kspool is stopping");
	else if (journal_admission(h->door.intake->journal, &why) != ERR_OK)
		answer_text(r, 503, NULL, httpd_is_for_us(r) ? why.text : "not ready");
	else
		answer_text(r, 200, NULL, "ready");
}

static void add_routes(struct door_http *h, const char *verbs)
{
	const char *path = h->door.input->http_server.path;
	const char *root = h->door.intake->config->http.root_path;
	struct httpd_endpoint e = {.methods = "GET",
	                           .path = "/",
	                           .handler = answer_alive,
	                           .arg = h,
	                           .is_open = true,
	                           .is_exact = true,
	                           .is_probed = true};
	char *below;

	if (h->own) {
		httpd_serve(h->server, &e);
		e.path = "/ping";
		httpd_serve(h->server, &e);
		e.path = "/ready";
		e.handler = answer_ready;
		httpd_serve(h->server, &e);
	}
	e = (struct httpd_endpoint){.methods = verbs, .path = path, .handler = on_request, .look = look, .arg = h};
	httpd_serve(h->server, &e);
	if (h->own || !root || !*root || strcmp(root, "/") == 0)
		return;
	below = mem_format("%s%s", root, path); /* every endpoint of the shared server also stands below root_path */
	e.path = below;
	httpd_serve(h->server, &e);
	free(below);
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	const struct options_input_http_server *o = &input->http_server;
	bool has_address = o->address && *o->address;
	struct door_http *h = mem_zero(sizeof *h);
	char verbs[16];
	enum err err = join_verbs(o, verbs, sizeof verbs, e);

	h->door = (struct door){.kind = &door_http_kind, .intake = i, .input = input, .processors = processors};
	TAILQ_INIT(&h->pending);
	h->quota = quota_new(o->peer_bytes_per_second_bytes, (uint64_t)o->peer_messages_per_second);
	h->timer = evtimer_new(i->base, on_timer, h);
	must(h->timer);
	if (err == ERR_OK && (!o->path || o->path[0] != '/'))
		err = error_set(e, ERR_CONFIG, "path \"%s\" does not begin with /", o->path ? o->path : "");
	if (err == ERR_OK && has_address)
		err = open_own(h, e);
	else if (err == ERR_OK && !i->shared_http && i->config->http.enabled)
		err = error_set(e, ERR_UNAVAILABLE, "the admin server, which it shares, is not open");
	else if (err == ERR_OK && !i->shared_http)
		err = error_set(e, ERR_CONFIG, "http_server has no address and the http server is not enabled");
	if (err != ERR_OK) {
		free_door(&h->door);
		return err;
	}
	h->server = has_address ? h->own : i->shared_http;
	if (!has_address) {
		httpd_set_share(i->shared_http, may_read, on_bytes, i);
		httpd_raise_body(i->shared_http, body_limit(i));
	}
	add_routes(h, verbs);
	*ret = &h->door;
	return ERR_OK;
}

const struct door_kind door_http_kind = {
    .name = "http_server",
    .open = open_door,
    .port = port_of,
    .trouble = trouble,
    .resume = resume,
    .stop = stop,
    .read_files = read_files,
    .is_idle = is_idle,
    .has_ended = has_ended,
    .free = free_door,
};
