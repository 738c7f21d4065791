/*
 * door_http_meta: metadata of a message that came by HTTP, as Redpanda Connect's http_server input gives it.
 *
 * What it is: a walk over one request. It gives, in this order, a later one replacing an earlier one of the same name:
 * http_server_user_agent, http_server_request_path (decoded), http_server_verb, http_server_remote_ip,
 * http_server_tls_version, http_server_tls_cipher_suite and http_server_tls_client_name (with TLS, a certificate),
 * every header by its canonical name (first value; Host, Transfer-Encoding and Trailer are not headers there), every
 * query parameter (first value), every variable of the path, every cookie. Names that begin with http_server_ are
 * kspool's own: what a peer calls so is left out. Promises: 6 (the metadata of a request is bounded before it is copied
 * to each message). Owner: the caller owns the buffer. Thread: intake. Fails: with ERR_TOOBIG, a refusal to the peer.
 * Does not: store the Authorization header when the server asks for tokens, as it then holds kspool's own secret.
 */
#ifndef KSPOOL_DOORS_DOOR_HTTP_META_H
#define KSPOOL_DOORS_DOOR_HTTP_META_H

#include "base/buf.h"
#include "base/error.h"
#include "server/httpd.h"

enum { HTTP_META_MAX_BYTES = 65536, HTTP_META_ENTRIES_MAX = 256 };

struct http_meta_rules {
	bool keep_authorization;
	bool was_decoded; /* Content-Encoding and Content-Length tell of other bytes than the message's */
};

/* Appends metadata entries to out. ERR_TOOBIG when there are too many or they are too long. */
enum err door_http_meta_add(struct buf *out, const struct httpd_request *r,
                            const struct http_meta_rules *rules) MUST_CHECK;

#endif
