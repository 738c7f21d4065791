/*
 * progress: what the kernel knows of a connection: how much the peer acknowledged, and in what time.
 *
 * What it is: TCP_INFO of one socket; and the sockets of a pool, so that a request finds the one it goes over.
 * Promises: none of its own.
 * Owner: the pool has the list; the library opens and closes the sockets and says so.
 * Thread: the event base's.
 * Fails: never: where the kernel does not say (another system, a sandbox, an old kernel), is_known is false.
 * Does not: decide anything.
 */
#ifndef KSPOOL_AWS_TRANSPORT_PROGRESS_H
#define KSPOOL_AWS_TRANSPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct progress {
	bool is_known;
	uint64_t acked_bytes;  /* since it was opened */
	int64_t busy_ns;       /* time in which something was to be sent or not acknowledged */
	int64_t rtt_ns;        /* the least seen */
	uint64_t queued_bytes; /* not acknowledged yet, sent or not */
};

void progress_look(int fd, struct progress *ret);

struct wire {
	LIST_ENTRY(wire) link;
	int fd;
	int local_port, remote_port; /* 0: not asked yet */
	char remote[64];
};

LIST_HEAD(wires, wire);

void wires_add(struct wires *all, int fd);
/* Harmless when it is not there. */
void wires_remove(struct wires *all, int fd);
/* The one with these ends; -1: none. */
int wires_find(struct wires *all, const char *remote, int remote_port, int local_port);

#endif
