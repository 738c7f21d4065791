/*
 * authorities: the certificate authorities that were given, as the library takes them.
 *
 * What it is: the text of one PEM file, read anew when the file is another one or has changed. Promises: 11 (a FIFO, a
 * device or a file without end holds no thread: the library gets the text, never the path). Owner: the pool. Thread:
 * the event base's. Fails: as base/trusted.h does. Does not: parse it.
 */
#ifndef KSPOOL_AWS_TRANSPORT_AUTHORITIES_H
#define KSPOOL_AWS_TRANSPORT_AUTHORITIES_H

#include <stdint.h>
#include <sys/stat.h>

#include <curl/curl.h>

#include "base/buf.h"

struct authorities {
	char *path; /* null: the system's */
	struct buf text;
	struct stat seen;
	uint64_t edition; /* counts what was read; 0: nothing yet */
};

void authorities_init(struct authorities *a, const char *path);
void authorities_fini(struct authorities *a);
/* What the file holds now is the handle's, which had *edition (0: none), from its next connection on. */
enum err authorities_give(struct authorities *a, CURL *easy, uint64_t *edition, struct error *e) MUST_CHECK;

#endif
