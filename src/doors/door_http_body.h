/*
 * door_http_body: the body of a request as its messages' bytes: what it is cut by, and how it was encoded.
 *
 *   Content-Type       multipart/...          each part is a message      all or none
 *                      application/x-ndjson   each line is a message, if the door cuts; empty lines are skipped
 *                      anything else          the body is one message
 *   Content-Encoding   gzip, x-gzip, deflate (with and without its header), zstd, identity; one of them
 *
 * What it is: a look at the head that tells how large the body may be, and the decoding of a whole body.
 * Promises: 1 (a body that cannot be decoded to its last byte gives no message), 6 (what decoding makes is charged
 * before it is allocated, the window of zstd too), 11 (decoding ends at the limit of a body). Owner: the caller;
 * http_body_fini. Thread: intake. Fails: with a refusal for the peer: 400 damaged, 413 too large, 415 unknown, 503 no
 * room just now. Does not: cut, or make messages.
 */
#ifndef KSPOOL_DOORS_DOOR_HTTP_BODY_H
#define KSPOOL_DOORS_DOOR_HTTP_BODY_H

#include "server/httpd.h"
#include "doors/intake.h"

struct refusal {
	int status;
	const char *reason;
	const char *extra; /* null, or whole header lines */
};

enum http_body_cut { HTTP_BODY_WHOLE, HTTP_BODY_LINES, HTTP_BODY_PARTS };

struct http_body {
	const char *data;
	size_t length;
	/* its own */
	struct intake *intake;
	char *decoded;
	uint64_t charged;
};

/* How a request is cut into messages; `cuts_lines`: the door cuts NDJSON. */
enum http_body_cut http_body_cut_of(const struct httpd_request *r, bool cuts_lines);
/* Was it encoded, so that its own headers tell of other bytes than its messages have? */
bool http_body_is_encoded(const struct httpd_request *r);
/* An encoding that is not known is refused before the body comes: false. */
bool http_body_look(const struct httpd_request *r, struct refusal *refusal);
/* The whole body, decoded to at most `limit` bytes. */
bool http_body_open(struct http_body *b, struct intake *i, const struct httpd_request *r, uint64_t limit,
                    struct refusal *refusal);
/* It is to be cut at newlines: loses UTF-8's mark; false for a text that has other newlines. */
bool http_body_begin_lines(struct http_body *b, struct refusal *refusal);
void http_body_fini(struct http_body *b);

#endif
