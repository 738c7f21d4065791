/*
 * imds: the EC2 instance metadata service, version 2 only.
 *
 * What it is: a session token by PUT, then GETs with it; a 401 asks for a new token, once. Default address
 * http://169.254.169.254; AWS_EC2_METADATA_SERVICE_ENDPOINT, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (IPv4, IPv6) and
 * AWS_EC2_METADATA_DISABLED are obeyed.
 * Promises: 11 (one second to connect, as a packet dropped by the hop limit never answers, two for an answer, one
 * repeat).
 * Owner: the caller embeds the struct; imds_stop ends it.
 * Thread: the event base's.
 * Fails: done without an answer, with an error: out of reach, or no token.
 * Does not: use a proxy, or fall back to version 1: what answers without a token may be anybody.
 */
#ifndef KSPOOL_AWS_IDENTITY_IMDS_H
#define KSPOOL_AWS_IDENTITY_IMDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "aws/transport/transport.h"
#include "aws/identity/provider.h"

enum { IMDS_BODY_MAX = 64 * 1024 };

struct imds {
	struct identity_context *context;
	/* answer is null when the service is out of reach or refused the token; then error says how. */
	void (*done)(struct imds *m, const struct transport_answer *answer, const struct error *error);
	void *arg;

	struct transport_request request;
	struct header_field field;
	char base[256];
	char url[512];
	char *path; /* of the GET that waits for a token */
	char *token;
	bool renewed; /* a 401 was answered with a new token already */
	unsigned tries;
	struct error error; /* of the newest try */
};

/* ERR_UNSUPPORTED when it is switched off, ERR_CONFIG when its address is not valid. */
enum err imds_open(struct imds *m, struct error *e) MUST_CHECK;
/* GET "/latest/..."; one at a time. */
void imds_get(struct imds *m, const char *path);
void imds_stop(struct imds *m);

#endif
