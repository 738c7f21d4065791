/*
 * door_socket_internal: what the files of the socket door share.
 *
 * What it is: the door and its clients (door_socket.c), the frames of a client and their answers (door_frames.c), and
 * the state of one client (door_client.c). They use each other in this order; upwards goes only `on_answer`.
 * Promises: 1 (a frame's answer waits for its group's), 6 (an unfinished frame is charged, answers not taken are
 * bounded). Owner: a client belongs to its door; an answer to its client; a group under way lives on without either.
 * Thread: intake. Fails: towards the peer only. Does not: leave the room.
 */
#ifndef KSPOOL_DOORS_DOOR_SOCKET_INTERNAL_H
#define KSPOOL_DOORS_DOOR_SOCKET_INTERNAL_H

#include "server/guard.h"
#include "server/held.h"
#include "server/listener.h"
#include "server/penalty.h"
#include "doors/door.h"
#include "doors/feeder.h"
#include "doors/frame.h"
#include "doors/quota.h"

struct bufferevent;
struct event;

struct door_socket {
	struct door door;
	struct listener *listener;
	struct guard *guard;
	struct penalty penalty;
	struct quota *quota; /* null: nobody has one */
	TAILQ_HEAD(, client) clients;
	struct event *tick;
	int64_t full_since_ns; /* memory is full of what is unfinished; now: it is not */
};

/* The answers of a run of frames: one status for all of them, known when `group` is null. */
struct frame_answer {
	TAILQ_ENTRY(frame_answer) link;
	struct client *client;
	struct group *group;
	uint32_t frames;
	enum frame_status status;
	char *text;
};

/*
 *   state     bytes are         ends with                                 may become
 *   SHAKING   TLS's             handshake, or its deadline                TOKEN, OPEN, LEAVING
 *   TOKEN     a token           the right one, a wrong one, its deadline  OPEN, HELD, LEAVING
 *   HELD      not looked at     the end of a penalty                      LEAVING
 *   OPEN      messages          the peer's last byte, stop, a refusal     LEAVING
 *   LEAVING   not looked at     everything is answered and sent: freed
 */
enum client_state { CLIENT_SHAKING, CLIENT_TOKEN, CLIENT_HELD, CLIENT_OPEN, CLIENT_LEAVING };

struct client {
	TAILQ_ENTRY(client) link;
	struct door_socket *door;
	struct bufferevent *bev;
	struct peer peer;
	struct held held;
	unsigned char identity[LISTENER_KEY_BYTES]; /* what its quota counts by: certificate, token, user or address */
	enum client_state state;
	int64_t held_ns;        /* in HELD: how long */
	bool peer_ended;        /* sent its last byte, which may not be looked at yet */
	bool drains;            /* kspool stops: what the kernel held then is still read */
	size_t left;            /* of it */
	int64_t heard_ns;       /* draining: since when nothing came */
	int64_t drain_until_ns; /* and how long what comes beyond that is read */
	bool reads;             /* what the bufferevent was told last */
	int64_t since_ns;       /* of the connection or the handshake, for the deadlines */
	uint64_t whole;         /* frames that came whole, or the offset behind the last whole line */
	int64_t begun_ns;       /* since when there is something behind that */
	int64_t window_ns;      /* since when `window_seen` counts, while a frame is unfinished */
	uint64_t window_seen;
	bool has_feeder;                        /* lines */
	unsigned char mark[SCANNER_MARK_BYTES]; /* the first bytes of them */
	size_t mark_bytes;
	struct feeder feeder;
	struct frame_reader reader;
	struct group *building; /* frames of the read under way */
	TAILQ_HEAD(, frame_answer) answers;
	void (*on_answer)(struct client *c); /* answers left: there may be room again; may free the client */
	uint32_t waiting;                    /* answers in the list */
	uint64_t charged;                    /* bytes of the unfinished frame, as counted in intake */
};

/* The one setter of state; an illegal move is a bug. */
void client_set_state(struct client *c, enum client_state state);
/* A token opens the client when it is a right one. */
bool client_shows_token(struct client *c, const char *token, size_t length);
/* What came and was not looked at. */
size_t client_waiting_bytes(const struct client *c);
/* Stopping: it leaves when all that it gave was read. */
void client_end_drained(struct client *c);
/* To LEAVING, if it is not there yet. */
void client_leave(struct client *c);
/* Logs, counts, leaves. */
void client_refuse(struct client *c, const char *reason);
/* Its token is wrong: it is hung up on, later when it was one of many. */
void client_refuse_token(struct client *c);
/* Everything it sent is answered, every answer is taken. */
bool client_is_settled(const struct client *c);
/* Nothing that is whole is lost with it: it waits for no answer, or does not take what it got. */
bool client_may_go(const struct client *c);
/* It is in the middle of a message. */
bool client_is_partial(const struct client *c);

/* It may take memory for a message's next bytes. */
bool client_has_room(struct client *c);
/* Its identity owes nothing to its quota, whichever connection took it; or it is not asked now. */
bool client_may_take(const struct client *c);

void frames_read(struct client *c);
/* Too many answers wait: no further frame is read. */
bool frames_are_behind(const struct client *c);
/* The client goes: its groups live on without it. */
void frames_drop(struct client *c);
/* Of a client of lines: it gives frames, and is refused as their protocol says, or it would wait for answers. */
void frames_turn_away(struct client *c);

#endif
