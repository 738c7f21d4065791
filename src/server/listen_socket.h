/*
 * listen_socket: makes the sockets of listener.h and knows peers.
 *
 * What it is: addresses and unix socket files on one side; on the other who a peer is (address, uid) and whether the
 * peer rules admit it.
 * Promises: none of its own. Owner: descriptors go to the caller; peer_rules_fini. Thread: any; only bind changes the
 * process's umask for a moment, so sockets are made before other threads make files.
 * Fails: with ERR_CONFIG (address) or ERR_ENVIRONMENT (names, the system), naming the address.
 * Does not: accept connections, or count them.
 */
#ifndef KSPOOL_SERVER_LISTEN_SOCKET_H
#define KSPOOL_SERVER_LISTEN_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "server/listener.h"

struct peer_rules {
	size_t users;
	uid_t *uid;
	size_t groups;
	gid_t *gid;
};

/* A bound, listening, non-blocking socket. For unix sockets *ret_file identifies the file made. */
enum err listen_socket_tcp(const struct listener_options *options, int *ret_fd, uint16_t *ret_port,
                           bool *ret_is_loopback, struct error *e) MUST_CHECK;
enum err listen_socket_unix(const struct listener_options *options, int *ret_fd, struct stat *ret_file,
                            struct error *e) MUST_CHECK;
/* Resolves names; refuses to judge peers through a user namespace that blinds SO_PEERCRED. */
enum err peer_rules_load(const struct listener_options *options, struct peer_rules *ret, struct error *e) MUST_CHECK;
void peer_rules_fini(struct peer_rules *rules);
/* Fills ret; false when the rules do not admit the peer. */
bool peer_identify(int fd, const struct peer_rules *rules, struct peer *ret);

#endif
