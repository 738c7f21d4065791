/*
 * Invariants:
 *  1. A request from send to done is in exactly one list: waiting (for credentials), active (the transport has it) or
 *     ending.
 *  2. done is called from the loop only, exactly once, and never while the request is still in a list.
 *  3. A sending is idle exactly when it has no request.
 *  4. The generation of a sending is that of the keys it was signed with; 0 when it was not signed.
 */
#include "aws/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/dates.h"
#include "base/mem.h"
#include "aws/signing/sigv4.h"
#include "aws/identity/credentials.h"
#include "aws/identity/identity_context.h"

enum {
	FIELDS = 6,
	AUTHORIZATION_MAX = 2048,
	LATE_MS = 3 * MS_PER_S, /* who has no credentials by then is told so, and may ask again */
	LOOK_MS = MS_PER_S,
	OUTLASTS_MS =
	    120 * MS_PER_S, /* a radio is back after half of it, and what it lost is sent again before the rest */
};

/* One request from send to done. */
struct sending {
	TAILQ_ENTRY(sending) link;
	struct aws_client *client;
	struct aws_request *request;
	struct transport_request http;
	struct header_field fields[FIELDS];
	char stamp[DATES_AMZ_BYTES];
	struct buf authorization;
	uint64_t generation;     /* of the credentials it was signed with */
	bool is_under_way;       /* http has it */
	struct aws_answer early; /* what to end with when http never had it, or was told to drop it */
};

TAILQ_HEAD(sending_list, sending);

struct aws_client {
	struct event_base *base;
	struct identity_context context;
	struct credentials *credentials;
	struct sigv4 *signer; /* its cached key is the stream's; STS has its own */
	struct endpoint place;
	bool has_place;
	unsigned place_revision; /* of the settings it was made from */
	char place_region[64];
	int64_t timeout_ms;
	struct event *kick;
	struct event *look; /* every second: changed files, credentials that are late */
	uint64_t seen_generation;
	bool has_news;
	struct sending_list waiting; /* for credentials */
	struct sending_list active;  /* http has them */
	struct sending_list ending;  /* done is called from the loop, soon */
	struct sending_list idle;
	uint64_t answering_generation; /* while done runs; else 0 */
};

static void end_early(struct sending *s, enum aws_outcome outcome, const struct error *error)
{
	struct aws_client *c = s->client;

	s->early = (struct aws_answer){.outcome = outcome, .body = "", .retry_after_ms = -1, .error = *error};
	s->is_under_way = false;
	TAILQ_INSERT_TAIL(&c->ending, s, link);
	event_active(c->kick, 0, 0);
}

/* Hands the answer over; s goes back to the pool first, so that done may send again. */
static void deliver(struct sending *s, const struct aws_answer *answer)
{
	struct aws_client *c = s->client;
	struct aws_request *request = s->request;
	uint64_t before = c->answering_generation;

	c->answering_generation = s->generation;
	s->request = NULL;
	s->generation = 0;
	request->internal = NULL;
	TAILQ_INSERT_HEAD(&c->idle, s, link);
	request->done(request, answer);
	c->answering_generation = before;
}

/* Only the service's own answers teach the time: a proxy's or a captive portal's error page has no request id. */
static bool is_from_service(const struct transport_answer *a)
{
	return a->request_id[0] || strncmp(a->content_type, "application/x-amz-", 18) == 0;
}

static void on_answer(struct transport_request *http, const struct transport_answer *a)
{
	static const enum aws_outcome outcomes[] = {[TRANSPORT_ANSWERED] = AWS_ANSWERED,
	                                            [TRANSPORT_NOT_SENT] = AWS_NOT_SENT,
	                                            [TRANSPORT_CUT] = AWS_CUT,
	                                            [TRANSPORT_UNKNOWN] = AWS_UNKNOWN};
	struct sending *s = http->arg;
	struct aws_client *c = s->client;
	struct aws_answer answer = {
	    .outcome = outcomes[a->result],
	    .status = a->status,
	    .body = a->body,
	    .body_bytes = a->body_bytes,
	    .retry_after_ms = a->retry_after_ms,
	    .took_ns = a->took_ns,
	    .link = a->link,
	    .rewind_refused = a->rewind_refused,
	    .error = a->error,
	};

	memcpy(answer.content_type, a->content_type, sizeof answer.content_type);
	memcpy(answer.request_id, a->request_id, sizeof answer.request_id);
	memcpy(answer.error_type, a->error_type, sizeof answer.error_type);
	TAILQ_REMOVE(&c->active, s, link);
	s->is_under_way = false;
	if (a->result == TRANSPORT_ANSWERED && a->date_ms >= 0 && is_from_service(a))
		identity_context_learn_clock(&c->context, a->date_ms);
	deliver(s, &answer);
}

static enum err resolve_place(struct aws_client *c, struct error *e)
{
	const struct identity_settings *settings = c->context.settings;
	enum err err;

	if (c->has_place && c->place_revision == settings->revision && strcmp(c->place_region, settings->region) == 0)
		return ERR_OK;
	err = identity_endpoint(settings, &c->place, e);
	c->has_place = err == ERR_OK;
	c->place_revision = settings->revision;
	memcpy(c->place_region, settings->region, sizeof c->place_region);
	return err;
}

static enum err sign(struct sending *s, const struct aws_keys *keys, struct error *e)
{
	struct aws_client *c = s->client;
	const struct aws_request *r = s->request;
	int64_t now = clock_wall_ms() + c->context.clock_offset_ms;
	unsigned char hash[SIGV4_HASH_BYTES];
	char hex[SIGV4_HEX_BYTES];
	size_t n = 0;
	struct sigv4_scope scope = {c->context.settings->region, c->context.settings->service, keys->id, keys->secret};
	struct canonical_request request = {
	    .method = "POST", .path = c->place.path, .fields = s->fields, .payload_hash = hex};
	enum err result;

	if (!r->body_sha256)
		sigv4_hash(c->signer, r->body, r->body_bytes, hash);
	sigv4_hex(r->body_sha256 ? r->body_sha256 : hash, hex);
	s->fields[n++] = (struct header_field){"Host", c->place.host};
	s->fields[n++] = (struct header_field){"Content-Type", r->content_type};
	s->fields[n++] = (struct header_field){"X-Amz-Date", dates_format_amz(now, s->stamp)};
	s->fields[n++] = (struct header_field){"X-Amz-Target", r->target};
	if (keys->token)
		s->fields[n++] = (struct header_field){"X-Amz-Security-Token", keys->token};
	request.field_count = n;
	result = sigv4_sign(c->signer, &scope, &request, now, &s->authorization, e);
	if (result)
		return result;
	s->fields[n++] = (struct header_field){"Authorization", s->authorization.data};
	s->http.field_count = n;
	return ERR_OK;
}

static void start(struct sending *s, const struct aws_keys *keys)
{
	struct aws_client *c = s->client;
	struct error e;

	if (resolve_place(c, &e) || sign(s, keys, &e)) {
		end_early(s, AWS_NOT_SENT, &e);
		return;
	}
	s->generation = c->seen_generation = credentials_generation(c->credentials);
	s->http.method = "POST";
	s->http.url = c->place.url;
	s->http.fields = s->fields;
	s->http.body = s->request->body;
	s->http.body_bytes = s->request->body_bytes;
	s->http.timeout_ms = c->timeout_ms;
	s->http.outlasts_ms = OUTLASTS_MS;
	s->http.allow_plain = c->place.plain;
	s->http.direct = c->place.loopback;
	s->http.done = on_answer;
	s->http.arg = s;
	s->is_under_way = true;
	TAILQ_INSERT_TAIL(&c->active, s, link);
	transport_start(c->context.http, &s->http);
}

static void end_waiting(struct aws_client *c, const struct error *why)
{
	struct sending *s;

	while ((s = TAILQ_FIRST(&c->waiting))) {
		TAILQ_REMOVE(&c->waiting, s, link);
		end_early(s, AWS_NO_CREDENTIALS, why);
	}
}

/* Starts or ends what waits for credentials, as far as there is an answer. */
static void pump(struct aws_client *c)
{
	struct sending *s;
	struct error late;

	while ((s = TAILQ_FIRST(&c->waiting))) {
		const struct aws_keys *keys;
		enum credentials_state state = credentials_get(c->credentials, &keys);

		if (state == CREDENTIALS_PENDING) {
			if (credentials_are_late(c->credentials, LATE_MS, &late))
				end_waiting(c, &late);
			return;
		}
		TAILQ_REMOVE(&c->waiting, s, link);
		if (state == CREDENTIALS_READY)
			start(s, keys);
		else
			end_early(s, AWS_NO_CREDENTIALS, credentials_error(c->credentials));
	}
}

static void on_kick(evutil_socket_t fd, short events, void *arg)
{
	struct aws_client *c = arg;
	struct sending_list ending = TAILQ_HEAD_INITIALIZER(ending);
	struct sending *s;

	(void)fd;
	(void)events;
	/* Only those that are here now: done may add more, which get their own turn. */
	TAILQ_CONCAT(&ending, &c->ending, link);
	while ((s = TAILQ_FIRST(&ending))) {
		struct aws_answer answer = s->early;

		TAILQ_REMOVE(&ending, s, link);
		deliver(s, &answer);
	}
}

/* Called when a refresh ended, in what way soever. */
static void on_credentials(void *arg)
{
	struct aws_client *c = arg;

	if (credentials_generation(c->credentials) != c->seen_generation) {
		c->seen_generation = credentials_generation(c->credentials);
		c->has_news = true;
	}
	pump(c);
}

static void on_look(evutil_socket_t fd, short events, void *arg)
{
	struct aws_client *c = arg;
	struct error late;

	(void)fd;
	(void)events;
	credentials_look(c->credentials);
	if (!TAILQ_EMPTY(&c->waiting) && credentials_are_late(c->credentials, LATE_MS, &late))
		end_waiting(c, &late);
}

static struct sending *take_sending(struct aws_client *c)
{
	struct sending *s = TAILQ_FIRST(&c->idle);

	if (s) {
		TAILQ_REMOVE(&c->idle, s, link);
		return s;
	}
	s = mem_zero(sizeof *s);
	s->client = c;
	buf_init(&s->authorization, AUTHORIZATION_MAX);
	return s;
}

void aws_client_send(struct aws_client *c, struct aws_request *request)
{
	struct sending *s = take_sending(c);

	must(!request->internal && request->done && request->target && request->content_type);
	s->request = request;
	request->internal = s;
	TAILQ_INSERT_TAIL(&c->waiting, s, link);
	pump(c);
}

void aws_client_cancel_unsigned(struct aws_client *c)
{
	struct error e;

	(void)error_set(&e, ERR_CREDENTIALS, "told to stop while waiting for credentials");
	end_waiting(c, &e);
}

bool aws_client_take_news(struct aws_client *c)
{
	bool had = c->has_news;

	c->has_news = false;
	return had;
}

enum transport_wait aws_client_moved(const struct aws_request *request, int64_t *at_ns)
{
	const struct sending *s = request->internal;

	*at_ns = INT64_MAX;
	return s && s->is_under_way ? transport_moved(&s->http, at_ns) : TRANSPORT_CONNECTING;
}

void aws_client_cancel_all(struct aws_client *c)
{
	struct sending *s;
	struct error e;

	(void)error_set(&e, ERR_CLOSED, "cancelled before it was sent");
	while ((s = TAILQ_FIRST(&c->waiting))) {
		TAILQ_REMOVE(&c->waiting, s, link);
		end_early(s, AWS_CANCELLED, &e);
	}
	(void)error_set(&e, ERR_CLOSED, "cancelled while under way");
	while ((s = TAILQ_FIRST(&c->active))) {
		TAILQ_REMOVE(&c->active, s, link);
		transport_abort(c->context.http, &s->http);
		end_early(s, AWS_CANCELLED, &e);
	}
}

void aws_client_credentials_stale(struct aws_client *c) { credentials_stale(c->credentials, c->answering_generation); }

void aws_client_clock_learn(struct aws_client *c, int64_t server_wall_ms)
{
	identity_context_learn_clock(&c->context, server_wall_ms);
}

int64_t aws_client_clock_offset_ms(const struct aws_client *c) { return c->context.clock_offset_ms; }

void aws_client_drop_connections(struct aws_client *c) { transport_drop_connections(c->context.http); }

static enum err open_parts(struct aws_client *c, const struct aws_client_options *options, struct error *e)
{
	enum err err = identity_context_open(c->base, options, &c->context, e);

	if (err == ERR_OK && c->context.settings->region[0])
		err = resolve_place(c, e);
	if (err == ERR_OK)
		err = sigv4_open(&c->signer, e);
	if (err)
		return err;
	c->kick = event_new(c->base, -1, 0, on_kick, c);
	c->look = event_new(c->base, -1, EV_PERSIST, on_look, c);
	if (!c->kick || !c->look || event_add(c->look, &(struct timeval){.tv_sec = LOOK_MS / MS_PER_S}))
		return error_set(e, ERR_MEMORY, "cannot make an event");
	return credentials_open(&c->context, on_credentials, c, &c->credentials, e);
}

enum err aws_client_open(struct event_base *base, const struct aws_client_options *options, struct aws_client **ret,
                         struct error *e)
{
	struct aws_client *c = mem_zero(sizeof *c);
	enum err err;

	*ret = NULL;
	c->base = base;
	c->timeout_ms = options->kspool->request_timeout_ns / NS_PER_MS;
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->active);
	TAILQ_INIT(&c->ending);
	TAILQ_INIT(&c->idle);
	if (c->timeout_ms <= 0)
		c->timeout_ms = 30 * MS_PER_S;
	err = open_parts(c, options, e);
	if (err) {
		aws_client_close(c);
		return err;
	}
	*ret = c;
	return ERR_OK;
}

enum err aws_client_reload(struct aws_client *c, const struct aws_client_options *options, struct error *e)
{
	struct identity_settings *fresh;
	enum err err = identity_settings_open(options, &fresh, e);

	if (err)
		return err;
	credentials_forget(c->credentials);
	identity_context_reload(&c->context, options, fresh);
	c->has_place = false;
	return ERR_OK;
}

void aws_client_identity(const struct aws_client *c, struct aws_identity *ret)
{
	const struct aws_keys *keys = credentials_keys(c->credentials);
	const struct identity_settings *s = c->context.settings;

	memset(ret, 0, sizeof *ret);
	if (c->has_place) {
		memcpy(ret->host, c->place.host, sizeof ret->host);
		memcpy(ret->url, c->place.url, sizeof ret->url);
	}
	memcpy(ret->region, s->region, sizeof ret->region);
	memcpy(ret->region_source, s->region_source, sizeof ret->region_source);
	(void)snprintf(ret->warning, sizeof ret->warning, "%s", s->profiles.warning ? s->profiles.warning : "");
	if (keys) {
		(void)snprintf(ret->provider, sizeof ret->provider, "%s", credentials_source(c->credentials));
		(void)snprintf(ret->access_key_id, sizeof ret->access_key_id, "%s", keys->id);
		ret->expires_ms = keys->expires_ms;
	}
	(void)snprintf(ret->reason, sizeof ret->reason, "%s", credentials_error(c->credentials)->text);
}

void aws_client_close(struct aws_client *c)
{
	struct sending *s;

	if (!c)
		return;
	must(TAILQ_EMPTY(&c->waiting) && TAILQ_EMPTY(&c->active) && TAILQ_EMPTY(&c->ending));
	credentials_close(c->credentials);
	while ((s = TAILQ_FIRST(&c->idle))) {
		TAILQ_REMOVE(&c->idle, s, link);
		buf_fini(&s->authorization);
		free(s);
	}
	sigv4_close(c->signer);
	if (c->kick)
		event_free(c->kick);
	if (c->look)
		event_free(c->look);
	identity_context_close(&c->context);
	free(c);
}
