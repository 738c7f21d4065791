/*
 * held: what connections hold before anything of it is a message: buffers of both directions, heads, TLS.
 *
 * What it is: one count for all servers and doors of the process, told to the budget, and what is done when it is over
 * its limit: the peer whose connections hold most gives up one, the largest that is older than a moment before all. Who
 * holds no more than a connection must is never among them, so that a small request always gets its answer. Of what
 * doors hold of messages that are not whole it knows whose they are, and which go first.
 * Promises: 6 (connections hold at most HELD_OWN_BYTES and an eighth of kspool.memory, and HELD_SMALL_BYTES each),
 * 12 (a crowd of one address, user or name takes nothing from another that holds less).
 * Owner: a connection has its own; held_leave before it is freed. Thread: the intake thread's alone.
 * Fails: never. Does not: free anything in the middle of a call: the loop calls `go` when nobody walks over
 * connections.
 */
#ifndef KSPOOL_SERVER_HELD_H
#define KSPOOL_SERVER_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "server/listener.h"

struct bufferevent;
struct holder;

enum {
	HELD_YOUNG_MS = 1000, /* what is younger goes last, or not at all */
	HELD_OWN_BYTES = 8 << 20,
	HELD_CONNECTION_BYTES = 2048, /* of a connection that says nothing: measured 1.8 KiB */
	HELD_SMALL_BYTES = 6144,      /* a connection, and a head as programs send them */
	HELD_SHAKING_BYTES = 46080,   /* of OpenSSL's during a handshake: measured 43 KiB */
	HELD_TLS_BYTES = 18432        /* and after it: measured 16 KiB */
};

struct held_kind {
	bool (*may_go)(const void *owner); /* nothing that is whole is lost with it */
	void (*go)(void *owner);           /* closes and frees the connection */
	/* What it has of a message that is not whole, and nothing whole behind it, and since when. May be null. */
	uint64_t (*unfinished)(const void *owner, int64_t *ret_since_ns);
	void (*refuse)(void *owner); /* gives that up, and tells the peer if it can */
};

struct held {
	TAILQ_ENTRY(held) link;
	const struct held_kind *kind;
	void *owner;
	struct holder *holder; /* whose it is */
	struct bufferevent *bev;
	size_t bytes;
	int64_t since_ns; /* of its last change */
};

void held_enter(struct held *h, struct bufferevent *bev, const struct peer *peer, const struct held_kind *kind,
                void *owner);
/* It counts as this peer's from now on. */
void held_rename(struct held *h, const struct peer *peer);
/* Counts its buffers anew, and `own` bytes besides. */
void held_note(struct held *h, size_t own);
/* Connections hold more than they may. */
bool held_is_over(void);
/* They do, and its peer holds at least half as much as any: nothing large is begun for it. */
bool held_must_wait(const struct held *h);
/* Of all connections. */
uint64_t held_bytes(void);
void held_leave(struct held *h);

/*
 * Messages that are not whole cost their bytes times the time since they began. Of all connections: as it was a moment
 * ago.
 */
uint64_t held_unfinished_bytes(void);
/* Those of its peer cost at most half as much as those of the peer where they cost most. */
bool held_may_pass(const struct held *h);
/* Gives up one of the peer with the most cost, of those that are at least so old: the costliest that is silent, or the
 * last that came when all wait for us. False: there is none. */
bool held_shed(int64_t age_ns);

#endif
