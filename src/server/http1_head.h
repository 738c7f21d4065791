/*
 * http1_head: what a complete HTTP/1.1 head says, checked line by line.
 *
 * What it is: the second half of http1. http1.c collects the bytes of the head; this cuts them into texts, in place.
 * Promises: 11 (one walk over a bounded head). Owner: the caller of http1. Thread: any.
 * Fails: by false, with the status and the reason to answer in the parser.
 * Does not: allocate, or move the parser's state.
 */
#ifndef KSPOOL_SERVER_HTTP1_HEAD_H
#define KSPOOL_SERVER_HTTP1_HEAD_H

#include "server/http1.h"

/* p->head holds everything up to and including the empty line. False: p->status and p->reason are set. */
bool http1_head_read(struct http1 *p);
/* One trailer line (without CRLF, NUL-terminated): false when it is malformed or of a name that must not come late. */
bool http1_trailer_check(struct http1 *p, char *line, size_t length);
/* Sets the answer and returns false. */
bool http1_refuse(struct http1 *p, int status, const char *reason);

#endif
