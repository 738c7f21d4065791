/*
 * door_dial: the input socket, a client of somebody else's unix or TCP socket.
 *
 * What comes is a stream without an answer: what was read and not committed when the process dies is lost to kspool, as
 * on standard input. While the spool or memory is full nothing is read, and the other side waits. When a connection
 * ends, what came without its end is the last message, and the next one is a stream of its own. Nothing here waits:
 * names are looked up by the loop. A graceful stop takes what had come, and marks a message that has begun.
 *
 *   state       is left when                                         may become
 *   WAITING     it is time to connect                                CONNECTING
 *   CONNECTING  the connection stands, or does not                   OPEN, WAITING
 *   OPEN        the other side ended, and all it gave is durable     WAITING
 *   DRAINING    what had come when kspool stopped was taken          STOPPED
 *   STOPPED     nothing
 *
 * Invariants:
 * 1. `bev` is set in CONNECTING, OPEN and DRAINING; the feeder is begun in OPEN, DRAINING and, after those, in STOPPED.
 * 2. Bytes go from the bufferevent to the feeder only while that has room, so no more than READ_AHEAD_BYTES wait
 * beside.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "doors/door.h"
#include "doors/feeder.h"
#include "doors/until.h"

enum { READ_AHEAD_BYTES = 65536, FIRST_BYTES = 65536, AGAIN_FIRST_MS = 250, AGAIN_MAX_MS = 5000 };

enum dial_state { DIAL_WAITING, DIAL_CONNECTING, DIAL_OPEN, DIAL_DRAINING, DIAL_STOPPED };

struct door_dial {
	struct door door;
	enum dial_state state;
	char *name; /* for logs, reasons and shares */
	struct event *again;
	struct evdns_base *names; /* of one try: what resolves names may have changed by the next */
	struct bufferevent *bev;
	struct feeder feeder;
	bool peer_ended;
	size_t left;     /* in DRAINING: bytes that the socket held when kspool stopped */
	int64_t wait_ms; /* 0: the last try succeeded */
	char *why;       /* it is not connected; null: it is, or was not told yet */
};

static void connect_later(struct door_dial *d)
{
	struct timeval wait;

	d->state = DIAL_WAITING;
	d->wait_ms = d->wait_ms == 0 ? AGAIN_FIRST_MS : 2 * d->wait_ms;
	if (d->wait_ms > AGAIN_MAX_MS)
		d->wait_ms = AGAIN_MAX_MS;
	wait = (struct timeval){.tv_sec = d->wait_ms / MS_PER_S, .tv_usec = d->wait_ms % MS_PER_S * 1000};
	(void)evtimer_add(d->again, &wait);
}

static void hang_up(struct door_dial *d)
{
	if (d->bev)
		bufferevent_free(take(d->bev));
	if (d->names)
		evdns_base_free(take(d->names), 1);
	d->peer_ended = false;
}

static void tell_why(struct door_dial *d, const char *reason)
{
	if (!d->why || strcmp(d->why, reason) != 0) /* once, not at every try */
		LOG(LOG_WARN, "socket not connected", LOG_S("address", d->name), LOG_S("reason", reason),
		    LOG_S("outcome", "it is tried again; the others go on"));
	free(d->why);
	d->why = mem_string(reason);
}

/* As far as there is room: from the bufferevent to the feeder. */
static void read_on(struct door_dial *d)
{
	struct evbuffer *in = bufferevent_get_input(d->bev);
	size_t room;
	char *to;

	while (evbuffer_get_length(in) > 0 && (room = feeder_room(&d->feeder, &to)) > 0) {
		int n = evbuffer_remove(in, to, room);

		if (n <= 0)
			break;
		feeder_filled(&d->feeder, (size_t)n);
	}
	feeder_flush(&d->feeder);
	if (evbuffer_get_length(in) == 0 && d->peer_ended && !d->feeder.ended)
		feeder_end(&d->feeder);
}

/* The connection is over, and all it gave is durable. */
static void leave(struct door_dial *d)
{
	tell_why(d, d->feeder.broken ? d->feeder.broken : "the other side ended the connection");
	feeder_fini(&d->feeder);
	hang_up(d);
	connect_later(d);
}

static void end_drain(struct door_dial *d)
{
	feeder_end_early(&d->feeder);
	feeder_stop(&d->feeder);
	hang_up(d);
	d->state = DIAL_STOPPED;
}

/* As much of what was there as there is room for; the next answer goes on. */
static void drain(struct door_dial *d)
{
	struct evbuffer *in = bufferevent_get_input(d->bev);

	for (;;) {
		int n;

		read_on(d);
		if (d->feeder.ended || (evbuffer_get_length(in) == 0 && d->left == 0)) {
			end_drain(d);
			return;
		}
		if (evbuffer_get_length(in) > 0)
			return;
		n = evbuffer_read(in, bufferevent_getfd(d->bev),
		                  (int)(d->left < READ_AHEAD_BYTES ? d->left : READ_AHEAD_BYTES));
		d->left = n > 0 ? d->left - (size_t)n : 0;
	}
}

static void go_on(struct door_dial *d)
{
	if (d->state == DIAL_DRAINING) {
		drain(d);
	} else if (d->state == DIAL_OPEN) {
		read_on(d);
		if (d->feeder.ended && feeder_is_idle(&d->feeder))
			leave(d);
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg);

/* Not from inside the feeder whose answer this is: it may have to go. */
static void on_answer(void *arg)
{
	const struct timeval now = {0};
	struct door_dial *d = arg;

	if (d->state == DIAL_OPEN || d->state == DIAL_DRAINING)
		(void)evtimer_add(d->again, &now);
}

static void begin(struct door_dial *d)
{
	const struct feeder_options options = {
	    .intake = d->door.intake,
	    .scanner = &d->door.input->scanner,
	    .processors = d->door.processors,
	    .until = until_of(d->door.intake, d->door.input),
	    .origin = d->name,
	    .first_bytes = FIRST_BYTES,
	    .alone = true,
	    .is_text = true,
	    .on_answer = on_answer,
	    .arg = d,
	};
	const int on = 1;

	(void)setsockopt(bufferevent_getfd(d->bev), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* a peer that is gone */
	feeder_init(&d->feeder, &options, 0);
	d->state = DIAL_OPEN;
	d->wait_ms = 0;
	free(take(d->why));
	LOG(LOG_INFO, "socket connected", LOG_S("address", d->name));
	(void)bufferevent_enable(d->bev, EV_READ);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	(void)bev;
	go_on(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct door_dial *d = arg;
	const int error = EVUTIL_SOCKET_ERROR(), name_error = bufferevent_socket_get_dns_error(bev);

	if (what & BEV_EVENT_CONNECTED) {
		begin(d);
	} else if (d->state == DIAL_OPEN) {
		d->peer_ended = true; /* a reset too: what came is there */
		go_on(d);
	} else if (d->state == DIAL_CONNECTING) {
		tell_why(d, name_error != 0 ? evutil_gai_strerror(name_error) : evutil_socket_error_to_string(error));
		hang_up(d);
		connect_later(d);
	}
}

static bool dial_unix(struct door_dial *d, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t length = strlen(path);

	must(length < sizeof address.sun_path); /* lint looked */
	memcpy(address.sun_path, path, length);
	if (*path == '@')
		address.sun_path[0] = '\0';
	return bufferevent_socket_connect(d->bev, (struct sockaddr *)&address,
	                                  (int)(offsetof(struct sockaddr_un, sun_path) + length)) == 0;
}

static bool dial_tcp(struct door_dial *d, const char *address)
{
	AUTOFREE char *host = mem_string(*address == '[' ? address + 1 : address);
	char *colon = strrchr(host, ':');
	uint64_t port = 0;

	must(colon && num_parse_u64(colon + 1, &port)); /* lint looked */
	*colon = '\0';
	if (colon > host && colon[-1] == ']')
		colon[-1] = '\0';
	d->names = evdns_base_new(d->door.intake->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	must(d->names);
	(void)evdns_base_resolv_conf_parse(d->names, DNS_OPTIONS_ALL,
	                                   "/etc/resolv.conf"); /* what is not there is not used */
	return bufferevent_socket_connect_hostname(d->bev, d->names, AF_UNSPEC, *host ? host : "localhost",
	                                           (int)port) == 0;
}

static void dial(struct door_dial *d)
{
	const struct options_input_socket *o = &d->door.input->socket;

	d->state = DIAL_CONNECTING;
	d->bev = bufferevent_socket_new(d->door.intake->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	must(d->bev);
	bufferevent_setcb(d->bev, on_read, NULL, on_event, d);
	bufferevent_setwatermark(d->bev, EV_READ, 0, READ_AHEAD_BYTES);
	if (o->network == STREAM_UNIX ? dial_unix(d, o->address) : dial_tcp(d, o->address))
		return;
	if (d->state != DIAL_CONNECTING || !d->bev) /* on_event was there */
		return;
	tell_why(d, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	hang_up(d);
	connect_later(d);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct door_dial *d = arg;

	(void)fd;
	(void)what;
	if (d->state == DIAL_WAITING)
		dial(d);
	else
		go_on(d);
}

static void resume(struct door *door) { go_on((struct door_dial *)door); }

static void stop(struct door *door)
{
	struct door_dial *d = (struct door_dial *)door;
	int held = 0;

	(void)event_del(d->again);
	if (d->state != DIAL_OPEN) {
		hang_up(d);
		d->state = DIAL_STOPPED;
		return;
	}
	(void)bufferevent_disable(d->bev, EV_READ);
	d->state = DIAL_DRAINING;
	feeder_drain(&d->feeder);
	if (ioctl(bufferevent_getfd(d->bev), FIONREAD, &held) == 0 && held > 0)
		d->left = (size_t)held;
	(void)evbuffer_unfreeze(bufferevent_get_input(d->bev), 0); /* the bufferevent reads no more, we do */
	go_on(d);
}

static bool is_idle(const struct door *door)
{
	const struct door_dial *d = (const struct door_dial *)door;

	return d->state != DIAL_DRAINING && feeder_is_idle(&d->feeder);
}

static const char *trouble(const struct door *door)
{
	const struct door_dial *d = (const struct door_dial *)door;

	return d->state == DIAL_WAITING || d->state == DIAL_CONNECTING ? d->why : NULL;
}

static void free_door(struct door *door)
{
	struct door_dial *d = (struct door_dial *)door;

	feeder_fini(&d->feeder);
	hang_up(d);
	event_free(d->again);
	free(d->why);
	free(d->name);
	free(d);
}

static enum err open_door(struct intake *i, const struct config_input *input, struct pipeline *processors,
                          struct door **ret, struct error *e)
{
	const struct timeval now = {0};
	struct door_dial *d = mem_zero(sizeof *d);

	(void)e;
	d->door = (struct door){.kind = &door_dial_kind, .intake = i, .input = input, .processors = processors};
	d->name = mem_format("socket %s", input->socket.address);
	d->again = evtimer_new(i->base, on_again, d);
	must(d->again);
	(void)evtimer_add(d->again, &now);
	*ret = &d->door;
	return ERR_OK;
}

const struct door_kind door_dial_kind = {
    .name = "socket",
    .open = open_door,
    .trouble = trouble,
    .resume = resume,
    .stop = stop,
    .is_idle = is_idle,
    .free = free_door,
};
