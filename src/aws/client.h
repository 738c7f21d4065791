/*
 * client: signed requests to one AWS service endpoint, on an event loop.
 *
 * What it is: endpoint and region resolved from the configuration, credentials found and kept fresh, SigV4 with a key
 * cached per day, the transport, the clock offset learned from `Date` headers. Every attempt is signed anew.
 * Promises: 7 (never resends by itself), 10 (says why there are no credentials); no secret in any text it produces.
 * Owner: the caller of aws_client_open; a request's body belongs to the caller and must live until done.
 * Thread: the event base's.
 * Fails: a request always ends in exactly one call of done, never from inside aws_client_send.
 * Does not: read what the service answered, repeat, or hold back: that is delivery's.
 */
#ifndef KSPOOL_AWS_CLIENT_H
#define KSPOOL_AWS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "aws/identity/aws_identity.h"
#include "aws/identity/identity_settings.h"
#include "aws/transport/transport.h"

struct event_base;
struct aws_client;

/* How far a request came. */
enum aws_outcome {
	AWS_ANSWERED,       /* a whole HTTP response arrived: status, headers and body are set */
	AWS_NOT_SENT,       /* surely never reached the service: lookup, connect, TLS, proxy, pool */
	AWS_CUT,            /* failed before the last of its body left: nobody has it whole */
	AWS_UNKNOWN,        /* failed after some of it was sent: may have been stored */
	AWS_NO_CREDENTIALS, /* nothing was sent: no provider has credentials; error says why */
	AWS_CANCELLED,      /* aws_client_cancel_all; may have been stored */
};

struct aws_answer {
	enum aws_outcome outcome;
	int status;       /* AWS_ANSWERED */
	const char *body; /* NUL-terminated; valid during done */
	size_t body_bytes;
	char content_type[64];
	char request_id[64];    /* x-amzn-RequestId, "" when absent */
	char error_type[96];    /* x-amzn-ErrorType, cut at ':' and '#' */
	int64_t retry_after_ms; /* x-amz-retry-after or Retry-After; -1 when absent */
	int64_t took_ns;
	struct transport_link link;
	bool rewind_refused; /* the library wanted to resend and was refused: outcome is AWS_UNKNOWN */
	struct error error;  /* for the operator, when outcome is not AWS_ANSWERED */
};

struct aws_request {
	const char *target;       /* X-Amz-Target, such as "Kinesis_20131202.PutRecords" */
	const char *content_type; /* "application/x-amz-json-1.1" */
	const void *body;
	size_t body_bytes;
	const unsigned char *body_sha256; /* 32 bytes when the caller hashed while building; null otherwise */
	void (*done)(struct aws_request *request, const struct aws_answer *answer);
	void *arg;
	void *internal; /* the client's */
};

enum err aws_client_open(struct event_base *base, const struct aws_client_options *options, struct aws_client **ret,
                         struct error *e) MUST_CHECK;
/* New credentials settings (SIGHUP); requests under way keep theirs. */
enum err aws_client_reload(struct aws_client *c, const struct aws_client_options *options, struct error *e) MUST_CHECK;
void aws_client_send(struct aws_client *c, struct aws_request *request);
/* As transport_moved, of a request under way; one that waits for credentials waits for nobody: INT64_MAX. */
enum transport_wait aws_client_moved(const struct aws_request *request, int64_t *at_ns);
/* Ends every request with AWS_CANCELLED, soon. */
void aws_client_cancel_all(struct aws_client *c);
/* The same for those that still wait for credentials: surely not sent. At a stop, which must not wait for a program. */
void aws_client_cancel_unsigned(struct aws_client *c);
/* True once after keys came that were not there when they were asked for, or came anew without being asked for. */
bool aws_client_take_news(struct aws_client *c);
/* The service called the token expired or the key unknown: refresh before the next request. Repeats are free. */
void aws_client_credentials_stale(struct aws_client *c);
/* The service's clock as told by an error text; the Date header is learned without being told. */
void aws_client_clock_learn(struct aws_client *c, int64_t server_wall_ms);
int64_t aws_client_clock_offset_ms(const struct aws_client *c);
/* The next connection is made anew (after a time-out: curl's pool may hold a dead one). */
void aws_client_drop_connections(struct aws_client *c);

void aws_client_identity(const struct aws_client *c, struct aws_identity *ret);

/* No request may be under way. Accepts null. */
void aws_client_close(struct aws_client *c);

#endif
