/*
 * door_socket: clients on unix, TCP and TLS sockets, in lines (feeder.h) or in frames (frame.h).
 *
 * Lines have no answers: a client that needs a yes uses frames. Frames that arrive together go in one offer; answers
 * leave in the order of the frames. Limits: connections in all and per peer, one partial message of memory per client
 * that counts against the bound, a deadline for the TLS handshake and for the token, a write timeout for clients that
 * do not take their answers, and, while memory is short, clients with unfinished messages are hung up on.
 *
 * Invariants:
 * 1. A client is in the list from on_accept to free_client, and holds one place of the listener as long.
 * 2. Its state moves only by client_set_state; no byte of a client in LEAVING or SHAKING is looked at.
 * 3. No byte of a client in TOKEN becomes a message.
 * 4. A client in LEAVING is freed when it is settled: everything it gave is answered and the answers are taken.
 * 5. `charged` is what the intake counts for its unfinished frame; the feeder counts its own.
 * 6. A walk over the clients takes the next one first: what it calls may free the one it stands at.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "doors/door_socket_internal.h"

enum { TICK_MS = 500, WRITE_TIMEOUT_S = 30, WINDOW_S = 5, SHAKE_S = 5, TOKEN_S = 10, FULL_S = 1 };
/* How often a client that drains is looked at. */
enum { DRAIN_TICK_MS = 20 };
enum { FIRST_LINE_BYTES = 16384, READ_AHEAD_BYTES = 16384 };

static void free_client(struct client *c)
{
	TAILQ_REMOVE(&c->door->clients, c, link);
	frames_drop(c);
	if (c->has_feeder)
		feeder_fini(&c->feeder);
	frame_reader_fini(&c->reader);
	intake_release(c->door->door.intake, c->charged);
	listener_release(c->door->listener, &c->peer);
	held_leave(&c->held);
	bufferevent_free(c->bev);
	free(c);
}

static void read_token_line(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t length;
	char *line = evbuffer_readln(in, &length, EVBUFFER_EOL_CRLF);

	if (line && client_shows_token(c, line, length)) {
		free(line);
		return;
	}
	if (line || evbuffer_get_length(in) > GUARD_TOKEN_MAX_BYTES + 2)
		client_refuse_token(c);
	free(line);
}

static void spend(struct client *c, const char *data, size_t length)
{
	uint64_t lines = 0;
	const char *at, *end = data + length;

	if (!c->door->quota)
		return;
	for (at = data; (at = memchr(at, '\n', (size_t)(end - at))); at++)
		lines++;
	quota_spend(c->door->quota, c->identity, length, lines, clock_mono_ns());
}

/* The first bytes, with those that came before, are those of lines; else the client is refused. */
static bool is_readable(struct client *c, const char *bytes, size_t n)
{
	const size_t before = c->mark_bytes;

	for (size_t i = 0; i < n && c->mark_bytes < sizeof c->mark; i++)
		c->mark[c->mark_bytes++] = (unsigned char)bytes[i];
	if (c->mark_bytes == before)
		return true;
	if (scanner_is_foreign(&c->door->door.input->scanner, c->mark, c->mark_bytes))
		client_refuse(c, SCANNER_FOREIGN);
	else if (c->door->door.input->scanner.kind == SCANNER_LINES && frame_is_likely(c->mark, c->mark_bytes))
		frames_turn_away(c);
	return c->state == CLIENT_OPEN;
}

/* Reads while there is room, from what the bufferevent holds. */
static void read_lines(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t room;
	char *to;

	if (c->state == CLIENT_TOKEN)
		read_token_line(c);
	if (c->state != CLIENT_OPEN)
		return;
	c->feeder.passes = held_may_pass(&c->held);
	while (client_may_take(c) && evbuffer_get_length(in) > 0 && (room = feeder_room(&c->feeder, &to)) > 0) {
		int n = evbuffer_remove(in, to, room);

		if (n <= 0)
			break;
		spend(c, to, (size_t)n);
		c->heard_ns = clock_mono_ns();
		c->left -= c->left < (size_t)n ? c->left : (size_t)n;
		if (!is_readable(c, to, (size_t)n))
			return;
		feeder_filled(&c->feeder, (size_t)n);
	}
	feeder_flush(&c->feeder);
	if (c->drains && !c->peer_ended)
		client_end_drained(c);
	if (c->peer_ended && evbuffer_get_length(in) == 0 && !c->feeder.ended)
		feeder_end(&c->feeder);
}

/* Tokens, lines or frames that came, as far as there is room. */
static void read_input(struct client *c)
{
	uint64_t whole = c->whole;

	if (c->state != CLIENT_TOKEN && c->state != CLIENT_OPEN)
		return;
	if (c->has_feeder)
		read_lines(c);
	else
		frames_read(c);
	if (!client_is_partial(c) || (c->has_feeder && c->whole != c->feeder.offset) || whole != c->whole)
		c->begun_ns = clock_mono_ns();
	if (c->has_feeder)
		c->whole = c->feeder.offset;
}

static bool wants_to_read(struct client *c)
{
	return c->state != CLIENT_LEAVING && c->state != CLIENT_HELD && !c->peer_ended && client_has_room(c) &&
	       !frames_are_behind(c) && evbuffer_get_length(bufferevent_get_input(c->bev)) < READ_AHEAD_BYTES &&
	       client_may_take(c);
}

/* Makes what progress it can; may free the client. */
static void run_client(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	bool reads;

	read_input(c);
	/* an end of the peer counts when everything before it was looked at, or nothing more is taken */
	if (c->feeder.broken || (c->drains && c->feeder.ended))
		client_leave(c);
	if (c->peer_ended && evbuffer_get_length(in) == 0)
		client_leave(c);
	if (c->state == CLIENT_LEAVING && client_is_settled(c)) {
		free_client(c);
		return;
	}
	held_note(&c->held, 0);
	reads = wants_to_read(c);
	c->reads = reads;
	if (reads)
		(void)bufferevent_enable(c->bev, EV_READ);
	else
		(void)bufferevent_disable(c->bev, EV_READ);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	run_client(arg);
}

/* Nothing of TLS is in the way any more. */
static void begin(struct client *c)
{
	client_set_state(c, c->door->guard ? CLIENT_TOKEN : CLIENT_OPEN);
	memcpy(c->identity, c->peer.key, sizeof c->identity);
	c->since_ns = c->begun_ns = c->window_ns = clock_mono_ns();
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED && c->state == CLIENT_SHAKING) {
		if (!listener_identify(c->door->listener, bev, &c->peer)) {
			free_client(c);
			return;
		}
		held_rename(&c->held, &c->peer);
		begin(c);
		run_client(c);
	} else if (what & BEV_EVENT_EOF && c->state != CLIENT_SHAKING) {
		c->peer_ended = true;
		run_client(c);
	} else if (c->has_feeder && c->state != CLIENT_SHAKING && !(what & BEV_EVENT_TIMEOUT)) {
		c->peer_ended = true; /* a reset: the lines that came are lines */
		run_client(c);
	} else {
		free_client(c);
	}
}

/* While stopping the answer may come out of a journal that closes: the next round of resume goes on. */
static void on_feeder_answer(void *arg)
{
	struct client *c = arg;

	if (c->door->door.intake->stopping)
		c->reads = false;
	else
		run_client(c);
}

static bool may_go(const void *owner) { return client_may_go(owner); }

static void go(void *owner) { free_client(owner); }

/* How much of an unfinished message it holds, and nothing that will be stored. */
static uint64_t unfinished(const void *owner, int64_t *ret_since_ns)
{
	const struct client *c = owner;

	*ret_since_ns = c->begun_ns;
	if (c->state != CLIENT_OPEN || !client_is_partial(c) || !TAILQ_EMPTY(&c->answers) ||
	    (c->has_feeder && !feeder_is_idle(&c->feeder)))
		return 0;
	return c->has_feeder ? c->feeder.charged : c->charged;
}

static void refuse_unfinished(void *owner)
{
	const struct client *c = owner;

	LOG_LIMITED(LOG_WARN, "client hung up on", LOG_S("peer", c->peer.text),
	            LOG_S("reason", "an unfinished message while memory is short"));
	free_client(owner);
}

static const struct held_kind client_held = {
    .may_go = may_go, .go = go, .unfinished = unfinished, .refuse = refuse_unfinished};

static void on_accept(struct bufferevent *bev, const struct peer *peer, bool tls, void *arg)
{
	const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	struct door_socket *s = arg;
	struct client *c = mem_zero(sizeof *c);
	struct feeder_options options = {
	    .intake = s->door.intake,
	    .scanner = &s->door.input->scanner,
	    .processors = s->door.processors,
	    .first_bytes = FIRST_LINE_BYTES,
	    .is_text = true,
	    .on_answer = on_feeder_answer,
	    .arg = c,
	};

	c->door = s;
	c->bev = bev;
	c->peer = *peer;
	c->on_answer = run_client;
	c->since_ns = clock_mono_ns();
	held_enter(&c->held, bev, peer, &client_held, c);
	if (!tls)
		begin(c);
	c->reads = true;
	TAILQ_INIT(&c->answers);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	frame_reader_init(&c->reader, s->door.intake->max_message_bytes);
	c->has_feeder = s->door.input->socket_server.framing == FRAMING_LINES;
	options.origin = c->peer.text;
	if (c->has_feeder)
		feeder_init(&c->feeder, &options, 0);
	bufferevent_setcb(bev, on_read, on_read, on_event, c);
	bufferevent_setwatermark(bev, EV_READ, 0, READ_AHEAD_BYTES);
	(void)bufferevent_set_max_single_read(bev, READ_AHEAD_BYTES);
	(void)bufferevent_set_timeouts(bev, NULL, &write_timeout);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE);
}

/* A frame that has begun goes on, in every window anew; only what we do not read is not asked for. */
static bool is_too_slow(struct client *c, int64_t now_ns)
{
	uint64_t rate = c->door->door.input->socket_server.min_frame_rate_bytes;

	if (c->state != CLIENT_OPEN || c->has_feeder || !c->reads || !client_is_partial(c)) {
		c->window_ns = now_ns;
		c->window_seen = 0;
		return false;
	}
	if (now_ns - c->window_ns < WINDOW_S * NS_PER_S)
		return false;
	if (c->window_seen < rate * WINDOW_S)
		return true;
	c->window_ns = now_ns;
	c->window_seen = 0;
	return false;
}

static void check_client(struct client *c, int64_t now_ns)
{
	int64_t age_ns = now_ns - c->since_ns;

	if (c->state == CLIENT_SHAKING && age_ns > SHAKE_S * NS_PER_S) {
		free_client(c);
	} else if (c->state == CLIENT_HELD && age_ns >= c->held_ns) {
		client_refuse(c, "no valid token");
		if (!c->has_feeder)
			frames_read(c); /* its answer */
		run_client(c);
	} else if (is_too_slow(c, now_ns)) {
		client_refuse(c, "an unfinished frame came too slowly");
		free_client(c);
	} else if (c->state == CLIENT_TOKEN && age_ns > TOKEN_S * NS_PER_S) {
		client_refuse(c, "no token in time");
		run_client(c);
	}
}

/* Nothing whole is on its way, and what is whole cannot come in: the costliest unfinished go, until half is free. */
static void drop_unfinished(struct door_socket *s, int64_t now_ns)
{
	const struct intake *i = s->door.intake;
	int64_t patience_ns = i->stopping ? 0 : FULL_S * NS_PER_S; /* at the end every client has something left */
	int64_t age_ns = i->stopping ? 0 : HELD_YOUNG_MS * NS_PER_MS;

	if (!intake_is_full(i) || i->outstanding > 0)
		s->full_since_ns = now_ns;
	if (!intake_is_full(i) || now_ns - s->full_since_ns < patience_ns)
		return;
	while (i->memory_bytes > i->memory_limit_bytes / 2 && held_shed(age_ns))
		continue;
	if (i->on_room)
		i->on_room(i->arg);
}

static void resume(struct door *d)
{
	struct door_socket *s = (struct door_socket *)d;
	struct client *c, *next;

	for (c = TAILQ_FIRST(&s->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != CLIENT_SHAKING && (!c->reads || c->drains))
			run_client(c);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct door_socket *s = arg;
	int64_t now_ns = clock_mono_ns();
	struct client *c, *next;

	(void)fd;
	(void)what;
	for (c = TAILQ_FIRST(&s->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		check_client(c, now_ns);
	}
	drop_unfinished(s, now_ns);
	if (s->quota || s->door.intake->stopping) /* who had its share may go on, who is quiet ends */
		resume(&s->door);
}

static enum err read_files(struct door *d, struct error *e)
{
	struct door_socket *s = (struct door_socket *)d;
	struct guard *fresh;
	enum err err = listener_read_keys(s->listener, e);

	if (err != ERR_OK || !s->guard)
		return err;
	err = guard_load(d->input->socket_server.token_file, &fresh, e);
	if (err != ERR_OK)
		return err;
	guard_free(s->guard);
	s->guard = fresh;
	return ERR_OK;
}

/*
 * What came whole is offered; a client leaves when its answers are sent. Lines have no answers: what the kernel holds
 * of them, of clients that wait to be let in too, counts as given to us and is taken. Frames that are not are sent
 * again.
 */
static void stop(struct door *d)
{
	const struct timeval period = {.tv_usec = DRAIN_TICK_MS * 1000};
	struct door_socket *s = (struct door_socket *)d;
	struct client *c, *next;

	(void)event_add(s->tick, &period);
	if (s->door.input->socket_server.framing == FRAMING_LINES)
		listener_take_waiting(s->listener);
	listener_stop(s->listener);
	for (c = TAILQ_FIRST(&s->clients); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->has_feeder && c->state == CLIENT_OPEN) {
			c->drains = true;
			c->left = client_waiting_bytes(c);
			c->heard_ns = clock_mono_ns();
			c->drain_until_ns = c->heard_ns + s->door.intake->config->shutdown_timeout_ns / 4;
			feeder_drain(&c->feeder);
		} else {
			read_input(c);
			client_leave(c);
			if (c->has_feeder)
				feeder_stop(&c->feeder);
			else
				frames_read(c); /* the answer that was held back */
		}
		run_client(c);
	}
}

static bool is_idle(const struct door *d)
{
	const struct door_socket *s = (const struct door_socket *)d;
	const struct client *c;

	TAILQ_FOREACH (c, &s->clients, link)
		if (!client_is_settled(c) || (c->drains && c->state != CLIENT_LEAVING))
			return false;
	return true;
}

static bool has_ended(const struct door *d)
{
	(void)d;
	return false;
}

static void free_door(struct door *d)
{
	struct door_socket *s = (struct door_socket *)d;
	struct client *c;

	while ((c = TAILQ_FIRST(&s->clients)))
		free_client(c);
	listener_free(s->listener);
	guard_free(s->guard);
	quota_free(s->quota);
	event_free(s->tick);
	free(s);
}

static uint16_t port_of(const struct door *d) { return listener_port(((const struct door_socket *)d)->listener); }

static enum err parse_mode(const char *text, uint32_t *ret, struct error *e)
{
	char *end;
	unsigned long mode = strtoul(text, &end, 8);

	if (!*text || *end || *text == '-' || *text == '+' || mode > 0777)
		return error_set(e, ERR_CONFIG, "mode \"%s\" is not an octal mode such as 0660", text);
	*ret = (uint32_t)mode;
	return ERR_OK;
}

static struct listener_names names_of(const struct config_strings *s)
{
	return (struct listener_names){.items = s->items, .count = s->count};
}

/*
 * How much is lost with it: 0 nothing whole was said, 1 it is idle, 2 a message that is not whole or answers that it
 * does not take; -1: it must stay. What the kernel holds of lines counts as given to us.
 */
static int loss_of(const struct client *c)
{
	bool is_partial = client_is_partial(c);

	if (c->state != CLIENT_OPEN && c->state != CLIENT_LEAVING)
		return 0;
	if (c->has_feeder ? !client_is_settled(c) || client_waiting_bytes(c) > 0
	                  : !TAILQ_EMPTY(&c->answers) && !client_may_go(c))
		return -1;
	if (c->whole == 0 && !(c->has_feeder && is_partial))
		return 0;
	return is_partial || evbuffer_get_length(bufferevent_get_output(c->bev)) > 0 ? 2 : 1;
}

/* Its own peer's new clients take the place of one only that loses nothing. */
static bool make_room(const unsigned char *key, bool for_smaller, void *arg)
{
	struct door_socket *s = arg;
	struct client *c, *worst = NULL;

	TAILQ_FOREACH (c, &s->clients, link)
		if (memcmp(c->peer.key, key, sizeof c->peer.key) == 0 && loss_of(c) >= 0 &&
		    loss_of(c) <= (for_smaller ? 2 : 0) && (!worst || loss_of(c) < loss_of(worst)))
			worst = c;
	if (!worst)
		return false;
	LOG_LIMITED(LOG_WARN, "client given up for a new one", LOG_S("peer", worst->peer.text));
	free_client(worst);
	return true;
}

static const char *trouble(const struct door *d)
{
	const char *why = listener_trouble(((const struct door_socket *)d)->listener);

	return why ? why : intake_is_limited(d->intake, d->processors);
}

static enum err listen_on(struct door_socket *s, struct error *e)
{
	const struct options_input_socket_server *o = &s->door.input->socket_server;
	bool is_unix = o->network == NETWORK_UNIX;
	struct listener_options options = {
	    .address = o->address,
	    .is_unix = is_unix,
	    .unix_group = o->group,
	    .allow_users = is_unix ? names_of(&o->allow_users) : (struct listener_names){0},
	    .allow_groups = is_unix ? names_of(&o->allow_groups) : (struct listener_names){0},
	    .cert_file = o->network == NETWORK_TLS ? o->tls.cert_file : NULL,
	    .key_file = o->network == NETWORK_TLS ? o->tls.key_file : NULL,
	    .client_ca_file = o->network == NETWORK_TLS ? o->tls.client_ca_file : NULL,
	    .allowed_names = o->network == NETWORK_TLS ? names_of(&o->tls.allowed_names) : (struct listener_names){0},
	    .require_guard = true,
	    .has_token = s->guard,
	    .max_connections = (uint32_t)o->max_connections,
	    .max_connections_per_peer = (uint32_t)o->max_connections_per_peer,
	    .make_room = make_room,
	};
	enum err err = parse_mode(o->mode ? o->mode : "0660", &options.unix_mode, e);

	if (err == ERR_OK && !is_unix && o->allow_users.count + o->allow_groups.count > 0)
		err = error_set(e, ERR_CONFIG, "allow_users and allow_groups are for network unix");
	if (err == ERR_OK && !is_unix && listener_is_path(o->address))
		err = error_set(e, ERR_CONFIG, "address \"%s\" is a path; network unix takes paths", o->address);
	if (err == ERR_OK && o->network == NETWORK_TLS && (!o->tls.cert_file || !*o->tls.cert_file))
		err = error_set(e, ERR_CONFIG, "network tls needs tls.cert_file and tls.key_file");
	if (err == ERR_OK)
		err = listener_open(s->door.intake->base, &options, on_accept, s, &s->listener, e);
	return err;
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	const struct timeval period = {.tv_usec = TICK_MS * 1000};
	const struct options_input_socket_server *o = &input->socket_server;
	struct door_socket *s = mem_zero(sizeof *s);
	enum err err = ERR_OK;

	s->door = (struct door){.kind = &door_socket_kind, .intake = i, .input = input, .processors = processors};
	TAILQ_INIT(&s->clients);
	s->full_since_ns = clock_mono_ns();
	s->quota = quota_new(o->peer_bytes_per_second_bytes, (uint64_t)o->peer_messages_per_second);
	s->tick = event_new(i->base, -1, EV_PERSIST, on_tick, s);
	must(s->tick && event_add(s->tick, &period) == 0);
	if (o->token_file && *o->token_file)
		err = guard_load(o->token_file, &s->guard, e);
	if (err != ERR_OK)
		err = e->code = ERR_ENVIRONMENT; /* a file can be mended while we wait */
	if (err == ERR_OK)
		err = listen_on(s, e);
	if (err != ERR_OK) {
		free_door(&s->door);
		return err;
	}
	LOG(LOG_INFO, "listening", LOG_S("input", "socket_server"), LOG_S("address", o->address),
	    LOG_U("port", listener_port(s->listener)));
	*ret = &s->door;
	return ERR_OK;
}

const struct door_kind door_socket_kind = {
    .name = "socket_server",
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
