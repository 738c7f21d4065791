/*
 * control_call: one request to the control socket of a running daemon.
 *
 * What it is: a blocking HTTP/1.1 client for exactly one request and its whole answer.
 * Promises: none of its own. Owner: the caller owns the buffer. Thread: the command's; it blocks.
 * Fails: with ERR_UNAVAILABLE when nobody answers there, or not to the end; a refusal by the daemon comes back as its
 * own error. Does not: keep connections, or speak to anything but kspool.
 */
#ifndef KSPOOL_CLI_CONTROL_CALL_H
#define KSPOOL_CLI_CONTROL_CALL_H

#include "base/buf.h"
#include "base/error.h"

/* ret_body may be null. */
enum err control_call(const char *socket_path, const char *method, const char *target, struct buf *ret_body,
                      struct error *e) MUST_CHECK;

#endif
