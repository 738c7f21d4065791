/*
 * listener: a listening socket, who may come in by it, and how many.
 *
 * What it is: TCP and unix sockets with the same care: addresses in Go's form, the guard rule for addresses beyond
 * loopback, mode, group and peer rules of unix sockets, TLS contexts, and limits in all and per peer (a peer of this
 * machine counts in all only, as every local program shares one address). When descriptors run out, a spare one is
 * given up for a moment: the peer is told by a closed connection and the listener rests instead of spinning.
 * Promises: 11 (no number of peers stops the loop), 12 (one peer's connections take no other peer's place).
 * Owner: listener_open's caller. Thread: the event base's.
 * Fails: at open with ERR_CONFIG (address, guard) or ERR_ENVIRONMENT (bind, socket file, keys, users); then never.
 * Does not: read bytes, or wait for a TLS handshake.
 */
#ifndef KSPOOL_SERVER_LISTENER_H
#define KSPOOL_SERVER_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct bufferevent;
struct event_base;
struct listener;

/* Names; null items when there are none. */
struct listener_names {
	char *const *items;
	size_t count;
};

struct listener_options {
	const char *address; /* "host:port", ":port", "[::1]:port"; a path (with '/' in it) is a unix socket */
	bool is_unix;        /* the address is a path, whatever it looks like */
	uint32_t unix_mode;
	const char *unix_group;            /* null or "": unchanged */
	struct listener_names allow_users; /* of unix peers */
	struct listener_names allow_groups;
	const char *cert_file; /* TLS when not empty */
	const char *key_file;
	bool require_guard; /* beyond loopback: TLS or has_token, else ERR_CONFIG */
	bool has_token;
	uint32_t max_connections;
	uint32_t max_connections_per_peer;
};

/* Who is at the other end. */
struct peer {
	char text[80];         /* "127.0.0.1:4000", "unix uid=0" */
	char host[64];         /* "127.0.0.1"; "" for unix sockets */
	unsigned char key[20]; /* what per-peer limits count by */
	bool is_local;         /* unix or loopback: the per-peer limit does not apply */
};

/* Takes the connection (a bufferevent with nothing enabled, TLS handshake pending when tls). */
typedef void listener_accept(struct bufferevent *bev, const struct peer *peer, bool tls, void *arg);

enum err listener_open(struct event_base *base, const struct listener_options *options, listener_accept *accept,
                       void *arg, struct listener **ret, struct error *e) MUST_CHECK;
/* Every accepted connection must be given back when it ended. */
void listener_release(struct listener *l, const struct peer *peer);
/* 0 for unix sockets. */
uint16_t listener_port(const struct listener *l);
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
