/* door_client: the state of one client of the socket door. */
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

	return intake_has_room(i) || (held_may_pass(&c->held) && intake_has_room_for_small(i));
}
