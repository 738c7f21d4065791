/*
 * door_socket_inside: what door_socket.c (clients, lines, limits) and door_frames.c (frames and their answers) share.
 */
#ifndef KSPOOL_DOORS_DOOR_SOCKET_INTERNAL_H
#define KSPOOL_DOORS_DOOR_SOCKET_INTERNAL_H

#include "server/guard.h"
#include "server/listener.h"
#include "doors/door.h"
#include "doors/feeder.h"
#include "doors/frame.h"

struct bufferevent;
struct event;

struct door_socket {
	struct door door;
	struct listener *listener;
	struct guard *guard;
	TAILQ_HEAD(, client) clients;
	struct event *tick;
};

/* The answers of a run of frames: one status for all of them, known when `group` is null. */
struct answer {
	TAILQ_ENTRY(answer) link;
	struct client *client;
	struct group *group;
	uint32_t frames;
	enum frame_status status;
	char *text;
};

struct client {
	TAILQ_ENTRY(client) link;
	struct door_socket *door;
	struct bufferevent *bev;
	struct peer peer;
	bool shaken;     /* TLS is done, or there is none */
	bool admitted;   /* showed its token, or needs none */
	bool peer_ended; /* sent its last byte */
	bool ended;      /* no further byte is looked at; leaves when settled */
	bool reads;
	int64_t since_ns;
	int64_t starved_ns; /* since when it may not read */
	bool has_feeder;    /* lines */
	struct feeder feeder;
	struct frame_reader reader;
	struct group *building; /* frames of the read under way */
	TAILQ_HEAD(, answer) answers;
	uint32_t waiting; /* answers in the list */
	uint64_t charged; /* bytes of the unfinished frame, as counted in intake */
};

void client_run(struct client *c);
void client_free(struct client *c);
/* Logs, counts, ends. */
void client_refuse(struct client *c, const char *reason);

void frames_read(struct client *c);
/* Too many answers wait: no further frame is read. */
bool frames_are_behind(const struct client *c);
/* The client goes: its groups live on without it. */
void frames_drop(struct client *c);

#endif
