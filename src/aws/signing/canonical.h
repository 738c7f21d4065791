/*
 * canonical: the canonical request of Signature Version 4.
 *
 * What it is: a pure function from a request to the text that is hashed and signed. Path and query are taken as they
 * stand in the request line; every field given is signed. Source: AWS, "Create a signed AWS API request", and the
 * public test suite.
 * Promises: none of its own.
 * Owner: the caller's buffers.
 * Thread: any; no state.
 * Fails: ERR_TOOBIG for more fields or query parts than fit.
 * Does not: hash, sign, or see a secret.
 */
#ifndef KSPOOL_AWS_SIGNING_CANONICAL_H
#define KSPOOL_AWS_SIGNING_CANONICAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "aws/transport/header_field.h"

enum { CANONICAL_FIELDS_MAX = 64, CANONICAL_QUERY_MAX = 256 };

struct canonical_request {
	const char *method;
	const char *path;  /* before '?', as sent */
	const char *query; /* after '?'; null or "" for none */
	const struct header_field *fields;
	size_t field_count;
	const char *payload_hash; /* 64 lower-case hex digits */
	bool keep_path;           /* no dot-segment removal (S3's rule, and some cases of the suite) */
};

/* signed_names gets "content-type;host;..."; it is also the sixth line of out. Both are cleared first. */
enum err canonical_build(const struct canonical_request *r, struct buf *out, struct buf *signed_names,
                         struct error *e) MUST_CHECK;
/* Percent-encodes all but unreserved characters (RFC 3986), and '/' when keep_slash. Also for STS form fields. */
void canonical_encode(struct buf *out, const char *text, size_t length, bool keep_slash);

#endif
