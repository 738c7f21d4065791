/*
 * resolve: the address behind a host's name, without waiting for those who know it.
 *
 * What it is: one question in flight for each name, asked on a thread of its own; its answer comes back over a pair of
 * sockets, and is fetched by who asks again. A number needs nobody. Names that are known at once (/etc/hosts, a server
 * that answers) are waited for at the first question, 500 ms for all names together.
 * Promises: 11 (a name server that is silent holds no thread that others wait for, nor the end of the process).
 * Owner: the process; as many entries as the configuration has names. Thread: the intake thread asks, the other one
 * shares nothing with it. Fails: with ERR_ENVIRONMENT, while there is no answer or a bad one.
 * Does not: keep answers; each is used once.
 */
#ifndef KSPOOL_SERVER_RESOLVE_H
#define KSPOOL_SERVER_RESOLVE_H

#include <sys/socket.h>

#include "base/error.h"

struct resolved {
	struct sockaddr_storage address;
	socklen_t length;
};

/* Of "host" ("" is every address of this machine) and a port in digits. Try again later when it fails. */
enum err resolve(const char *host, const char *port, struct resolved *ret, struct error *e) MUST_CHECK;

#endif
