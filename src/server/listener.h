/*
 * listener: a listening socket, who may come in by it, and how many.
 *
 * What it is: TCP and unix sockets with the same care: addresses in Go's form, the guard rule for addresses beyond
 * loopback, mode, group and peer rules of unix sockets, TLS contexts, and limits in all and per peer (an address, a
 * /64, a user). A peer at its limit loses its oldest connection that does nothing rather than keep a new one out; when
 * all places are taken, one that has more of them than the newcomer gives one up; the last eighth is for peers that
 * have none yet, as those of a crowd may all be busy. When descriptors run out, a spare one
 * is given up for a moment: the peer is told by a closed connection and the listener rests instead of spinning. A
 * socket file that somebody removed is made again. Promises: 11 (no number of peers stops the loop), 12 (one peer's
 * connections take no other peer's place). Owner: listener_open's caller. Thread: the event base's. Fails: at open with
 * ERR_CONFIG (address, guard) or ERR_ENVIRONMENT (bind, socket file, keys, users); then never. Does not: read bytes, or
 * wait for a TLS handshake.
 */
#ifndef KSPOOL_SERVER_LISTENER_H
#define KSPOOL_SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { LISTENER_KEY_BYTES = 20 };

struct bufferevent;
struct event_base;
struct listener;

/* Names; null items when there are none. */
struct listener_names {
	char *const *items;
	size_t count;
};

struct listener_options {
	const char
	    *address; /* "host:port", ":port", "[::1]:port"; a path (with '/' in it) is a unix socket, "@name" too */
	bool is_unix; /* the address is a path, whatever it looks like */
	uint32_t unix_mode;
	const char *unix_group;            /* null or "": unchanged */
	struct listener_names allow_users; /* of unix peers */
	struct listener_names allow_groups;
	const char *cert_file; /* TLS when not empty */
	const char *key_file;
	const char *client_ca_file;          /* clients must show a certificate of it; null or "": none is asked for */
	struct listener_names allowed_names; /* in it; none: any. They must live as long as the listener */
	bool require_guard;                  /* beyond loopback: TLS or has_token, else ERR_CONFIG */
	bool has_token;
	uint32_t max_connections;
	/* 0: of this machine's peers half of max_connections, so that others have the other half; of others 64, if less
	 */
	uint32_t max_connections_per_peer;
	/*
	 * Closes the oldest connection of that peer that least is lost with; false: it has none that may go. For a
	 * smaller peer more may go: whatever is not under way to the disk. May be null.
	 */
	bool (*make_room)(const unsigned char *key, bool for_smaller, void *arg);
	const char *refusal; /* sent to a peer that is turned away, without TLS; null: nothing is */
};

/* Who is at the other end. */
struct peer {
	char text[80];                         /* "127.0.0.1:4000", "unix uid=0" */
	char host[64];                         /* "127.0.0.1"; "" for unix sockets */
	char name[64];                         /* of its certificate; "" without one */
	unsigned char key[LISTENER_KEY_BYTES]; /* what per-peer limits count by */
	bool is_local;                         /* unix or loopback */
};

/* Takes the connection (a bufferevent with nothing enabled, TLS handshake pending when tls). */
typedef void listener_accept(struct bufferevent *bev, const struct peer *peer, bool tls, void *arg);

enum err listener_open(struct event_base *base, const struct listener_options *options, listener_accept *accept,
                       void *arg, struct listener **ret, struct error *e) MUST_CHECK;
/*
 * After the TLS handshake: who its certificate says it is, which it counts as from then on. False: it is nobody we
 * know, or has its share already; it is to be closed.
 */
bool listener_identify(struct listener *l, struct bufferevent *bev, struct peer *peer);
/* Reads the files of TLS again, for connections to come; after an error the old ones stay. */
enum err listener_read_keys(struct listener *l, struct error *e) MUST_CHECK;
/* Every accepted connection must be given back when it ended. */
void listener_release(struct listener *l, const struct peer *peer);
/* 0 for unix sockets. */
uint16_t listener_port(const struct listener *l);
/* Why nobody can come in just now; null: they can. */
const char *listener_trouble(const struct listener *l);
/* Only programs of this machine come in by TCP. */
bool listener_is_loopback(const struct listener *l);
/* Lets in who waits already (without TLS: else nothing was said yet). */
void listener_take_waiting(struct listener *l);
/* Stops accepting and removes the unix socket file. */
void listener_stop(struct listener *l);
/* Accepts null. */
void listener_free(struct listener *l);
/* True when the path of a unix address was meant. */
bool listener_is_path(const char *address);

#endif
