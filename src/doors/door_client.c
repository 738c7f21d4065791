/* door_client: the state of one client of the socket door. */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "doors/door_socket_internal.h"

enum { UNTAKEN_BYTES = 16384 };

/* Legal moves: a bit for each state that may follow. */
static const unsigned moves[] = {
    [CLIENT_SHAKING] = 1u << CLIENT_TOKEN | 1u << CLIENT_OPEN | 1u << CLIENT_LEAVING,
    [CLIENT_TOKEN] = 1u << CLIENT_OPEN | 1u << CLIENT_HELD | 1u << CLIENT_LEAVING,
    [CLIENT_HELD] = 1u << CLIENT_LEAVING,
    [CLIENT_OPEN] = 1u << CLIENT_LEAVING,
    [CLIENT_LEAVING] = 0,
};

void client_set_state(struct client *c, enum client_state state)
{
	must(moves[c->state] & 1u << state);
	c->state = state;
}

void client_leave(struct client *c)
{
	if (c->state != CLIENT_LEAVING)
		client_set_state(c, CLIENT_LEAVING);
}

bool client_shows_token(struct client *c, const char *token, size_t length)
{
	uint64_t id = guard_judge(c->door->guard, token, length);

	if (id == 0)
		return false;
	if (!c->peer.name[0])
		guard_key(id, c->identity);
	client_set_state(c, CLIENT_OPEN);
	return true;
}

void client_refuse(struct client *c, const char *reason)
{
	metric_add(M_INPUT_REFUSED_DENIED, 1);
	LOG_LIMITED(LOG_WARN, "client hung up on", LOG_S("peer", c->peer.text), LOG_S("reason", reason));
	client_leave(c);
}

void client_refuse_token(struct client *c)
{
	int64_t now_ns = clock_mono_ns();

	c->held_ns = penalty_note(&c->door->penalty, &c->peer, now_ns);
	c->since_ns = now_ns;
	if (c->held_ns > 0)
		client_set_state(c, CLIENT_HELD);
	else
		client_refuse(c, "no valid token");
}

bool client_is_settled(const struct client *c)
{
	return TAILQ_EMPTY(&c->answers) && !c->building && (!c->has_feeder || feeder_is_idle(&c->feeder)) &&
	       evbuffer_get_length(bufferevent_get_output(c->bev)) == 0;
}

bool client_may_go(const struct client *c)
{
	if (c->state != CLIENT_OPEN)
		return c->state != CLIENT_LEAVING || client_is_settled(c);
	return !c->has_feeder && ((TAILQ_EMPTY(&c->answers) && !c->building) ||
	                          evbuffer_get_length(bufferevent_get_output(c->bev)) >= UNTAKEN_BYTES);
}

bool client_is_partial(const struct client *c)
{
	return c->has_feeder ? feeder_is_partial(&c->feeder) : frame_reader_is_partial(&c->reader);
}

bool client_has_room(struct client *c)
{
	struct intake *i = c->door->door.intake;

	if (intake_held_ns(i, c->door->door.processors) > 0)
		return false;
	return intake_has_room(i) || (held_may_pass(&c->held) && intake_has_room_for_small(i));
}

bool client_may_take(const struct client *c)
{
	return c->state == CLIENT_TOKEN || c->drains ||
	       quota_wait_ms(c->door->quota, c->identity, clock_mono_ns()) == 0;
}

/* A client that stops for so long has given all it had. */
enum { QUIET_MS = 100 };

size_t client_waiting_bytes(const struct client *c)
{
	int held = 0;

	if (ioctl(bufferevent_getfd(c->bev), FIONREAD, &held) != 0 || held < 0)
		held = 0;
	return evbuffer_get_length(bufferevent_get_input(c->bev)) + (size_t)held;
}

/* What the kernel held when we stopped, and then what comes from the peer's own kernel, which does not count it. */
static bool is_still_given(const struct client *c, int64_t now_ns)
{
	const bool waits = client_waiting_bytes(c) > 0;

	if (c->left > 0 && waits)
		return true;
	return now_ns < c->drain_until_ns && (waits || now_ns - c->heard_ns < QUIET_MS * NS_PER_MS);
}

/*
 * Stopping: what was given is taken, or the spool takes no more. A peer that has closed meant its last line so; the
 * line of another one may have been longer.
 */
void client_end_drained(struct client *c)
{
	size_t cut;
	char byte;
	const bool is_closed = evbuffer_get_length(bufferevent_get_input(c->bev)) == 0 &&
	                       recv(bufferevent_getfd(c->bev), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;

	if (!c->feeder.ended && !is_closed && is_still_given(c, clock_mono_ns()))
		return;
	cut = client_waiting_bytes(c);
	if (cut > 0)
		LOG(LOG_WARN, "bytes not read", LOG_S("peer", c->peer.text), LOG_U("bytes", cut),
		    LOG_S("reason", "kspool stops, and the client goes on"));
	if (is_closed)
		feeder_end(&c->feeder);
	else
		feeder_end_early(&c->feeder);
	client_leave(c);
}
