/* door_frames: the length-framed half of door_socket.c (protocol: frame.h). */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "doors/door_socket_internal.h"

enum { GROUP_ROWS = 1024, GROUP_BYTES = 1048576, GROUPS_IN_SPOOL = 8, WAITING_MAX = 64, OUTPUT_MAX_BYTES = 262144 };

bool frames_are_behind(const struct client *c)
{
	return c->waiting >= WAITING_MAX || evbuffer_get_length(bufferevent_get_output(c->bev)) > OUTPUT_MAX_BYTES;
}

static struct frame_answer *add_answer(struct client *c, struct group *g, uint32_t frames)
{
	struct frame_answer *a = mem_zero(sizeof *a);

	a->client = c;
	a->group = g;
	a->frames = frames;
	c->waiting++;
	TAILQ_INSERT_TAIL(&c->answers, a, link);
	return a;
}

static void remove_answer(struct client *c, struct frame_answer *a)
{
	TAILQ_REMOVE(&c->answers, a, link);
	c->waiting--;
	free(a->text);
	free(a);
}

/* Sends what is known, in order. */
static void send_answers(struct client *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct frame_answer *a;

	while ((a = TAILQ_FIRST(&c->answers)) && !a->group) {
		struct buf one;

		buf_init(&one, FRAME_ANSWER_HEADER_BYTES + FRAME_TEXT_MAX_BYTES);
		must(frame_answer_encode(&one, a->status, a->text) == ERR_OK);
		for (uint32_t i = 0; i < a->frames; i++)
			(void)evbuffer_add(out, one.data, one.len);
		buf_fini(&one);
		remove_answer(c, a);
	}
}

static void answer_now(struct client *c, enum frame_status status, char *text)
{
	struct frame_answer *a = add_answer(c, NULL, 1);

	a->status = status;
	a->text = text;
}

static void on_answered(struct group *g, void *door)
{
	static const enum frame_status statuses[] = {
	    [OFFER_ACCEPTED] = FRAME_ACCEPTED, [OFFER_FULL] = FRAME_FULL,      [OFFER_TOO_BIG] = FRAME_REFUSED,
	    [OFFER_FAILED] = FRAME_UNKNOWN,    [OFFER_CLOSED] = FRAME_CLOSING,
	};
	struct frame_answer *a = door;
	struct client *c = a->client;

	a->group = NULL;
	a->status = statuses[g->offer.verdict];
	if (a->status != FRAME_ACCEPTED)
		a->text = mem_string(g->offer.error.text);
	send_answers(c);
	c->on_answer(c);
}

static void send_group(struct client *c)
{
	struct group *g = c->building;
	struct frame_answer *a;

	if (!g)
		return;
	c->building = NULL;
	a = add_answer(c, g, g->received);
	g->answered = on_answered;
	g->door = a;
	g->peer = group_peer(c->peer.text);
	group_send(g);
}

static void take_token(struct client *c, const char *payload, uint32_t length)
{
	if (client_shows_token(c, payload, length)) {
		answer_now(c, FRAME_ACCEPTED, NULL);
	} else {
		answer_now(c, FRAME_REFUSED, mem_string("no valid token"));
		client_refuse_token(c);
	}
}

/* In a small spool a group is a part of it: what never fits at once, or not now, is refused for a message of its own.
 */
static bool is_too_much(const struct client *c, uint32_t length)
{
	const uint64_t max = c->door->door.intake->config->kspool.max_bytes_bytes;
	const struct group *g = c->building;

	return g && max > 0 && g->offer.bytes - g->received * sizeof(struct message) + length > max / GROUPS_IN_SPOOL;
}

static void take_frame(struct client *c, const char *payload, uint32_t length)
{
	struct intake *i = c->door->door.intake;

	if (c->state == CLIENT_TOKEN) {
		take_token(c, payload, length);
		return;
	}
	if (i->stopping) {
		send_group(c);
		answer_now(c, FRAME_CLOSING, mem_string("kspool is stopping; not stored"));
		return;
	}
	if (is_too_much(c, length))
		send_group(c);
	c->whole++;
	quota_spend(c->door->quota, c->identity, length, 1, clock_mono_ns());
	if (!c->building)
		c->building = group_new(i, c->door->door.processors, NULL, NULL);
	group_add(c->building, message_new(NULL, 0, payload, length, clock_wall_ms()));
	if (c->building->received >= GROUP_ROWS || c->building->offer.bytes >= GROUP_BYTES)
		send_group(c);
}

static void refuse_long(struct client *c, uint32_t length)
{
	uint64_t max = c->door->door.intake->max_message_bytes;

	send_group(c);
	metric_add(M_INPUT_REFUSED_SIZE, 1);
	LOG_LIMITED(LOG_WARN, "message refused", LOG_S("peer", c->peer.text), LOG_U("bytes", length),
	            LOG_U("limit_bytes", max));
	answer_now(c, FRAME_REFUSED,
	           mem_format("the message has %u bytes; the limit is %llu", length, (unsigned long long)max));
	if (c->state == CLIENT_TOKEN)
		client_refuse(c, "no valid token");
}

static void update_charge(struct client *c)
{
	struct intake *i = c->door->door.intake;
	uint64_t now = frame_reader_held(&c->reader);

	intake_release(i, c->charged);
	intake_charge(i, now);
	c->charged = now;
}

void frames_read(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	while (c->state != CLIENT_LEAVING && c->state != CLIENT_HELD && !frames_are_behind(c) && client_has_room(c) &&
	       client_may_take(c)) {
		struct evbuffer_iovec piece = {.iov_base = NULL};
		enum frame_event event;
		const char *payload;
		uint32_t length;
		size_t used;

		if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0)
			break;
		event = frame_read(&c->reader, piece.iov_base, piece.iov_len, &used, &payload, &length);
		if (event == FRAME_WHOLE)
			take_frame(c, payload, length);
		else if (event == FRAME_TOO_LONG)
			refuse_long(c, length);
		(void)evbuffer_drain(in, used);
		c->window_seen += used;
		update_charge(c);
	}
	send_group(c);
	if (c->state != CLIENT_HELD)
		send_answers(c);
}

void frames_drop(struct client *c)
{
	struct frame_answer *a;

	group_free(c->building);
	c->building = NULL;
	while ((a = TAILQ_FIRST(&c->answers))) {
		if (a->group)
			a->group->answered = NULL; /* stored or not, nobody hears of it: the client sends again */
		remove_answer(c, a);
	}
}

void frames_turn_away(struct client *c)
{
	static const char why[] = "this socket takes lines, and these are frames: name one with framing: length";
	struct buf answer;

	buf_init(&answer, FRAME_ANSWER_HEADER_BYTES + FRAME_TEXT_MAX_BYTES);
	must(frame_answer_encode(&answer, FRAME_REFUSED, why) == ERR_OK);
	(void)bufferevent_write(c->bev, answer.data, answer.len);
	buf_fini(&answer);
	client_refuse(c, why);
}
