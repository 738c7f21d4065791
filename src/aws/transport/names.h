/*
 * names: the last good address of each host, for when the resolver fails or says nothing.
 *
 * What it is: a short list of hosts with the address of the newest connection. An address is used only after a look-up
 * failed, for a minute; then the resolver is asked again. One that cannot be connected to is not used until it fails
 * again. Promises: 10 (a resolver that is down is not a service that is down). Owner: the pool. Thread: the event
 * base's. Fails: never. Does not: look names up. TLS holds whoever answers there to the name.
 */
#ifndef KSPOOL_AWS_TRANSPORT_NAMES_H
#define KSPOOL_AWS_TRANSPORT_NAMES_H

#include <stdint.h>
#include <sys/queue.h>

enum { NAME_BYTES = 320, ADDRESS_BYTES = 64 };

struct name {
	LIST_ENTRY(name) link;
	char host[NAME_BYTES]; /* "host:port" */
	char address[ADDRESS_BYTES];
	int64_t good_ms;       /* of the newest connection */
	int64_t used_until_ms; /* 0: the resolver is asked */
};

LIST_HEAD(names, name);

/* "host:port" of the URL; "" when it is an address itself or cannot be read. */
void names_of_url(const char *url, char host[static NAME_BYTES]);
void names_connected(struct names *all, const char *host, const char *address, int64_t now_ms);
/* A look-up failed, or did not end. */
void names_not_found(struct names *all, const char *host, int64_t now_ms);
void names_not_connected(struct names *all, const char *host);
/* "+host:port:address" in text, as the library takes it, when the last good address is to be used; else "". */
void names_known(const struct names *all, const char *host, int64_t now_ms,
                 char text[static NAME_BYTES + ADDRESS_BYTES]);
void names_clear(struct names *all);

#endif
