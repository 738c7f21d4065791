/*
 * provider_request: one GET of a provider, sent again while that may help.
 *
 * What it is: what the container's agent and the SSO portal have in common: a request whose good answer is keys.
 * Promises: 11; no error text holds a secret.
 * Owner: the caller embeds the struct in its provider's state; provider_request_stop ends it.
 * Thread: the event base's.
 * Fails: out of reach, a status that is not 200, or an answer that is not keys; told as the call's verdict.
 * Does not: build URLs or read tokens.
 */
#ifndef KSPOOL_AWS_IDENTITY_PROVIDER_REQUEST_H
#define KSPOOL_AWS_IDENTITY_PROVIDER_REQUEST_H

#include "aws/identity/provider.h"
#include "aws/transport/transport.h"

struct provider_request {
	struct transport_request http; /* all but done and arg are the provider's to fill */
	unsigned tries_left;
	/* Keys out of the body of a 200 (credential_reply.h). */
	enum err (*read)(char *text, size_t length, struct aws_keys *keys, struct error *e);
	/* The verdict on a 401; null: as on any other status. */
	enum provider_verdict (*unauthorized)(struct provider_call *call);
};

/* call->done follows from the loop. */
void provider_request_send(struct provider_call *call, struct provider_request *r);
void provider_request_stop(struct provider_call *call, struct provider_request *r);

#endif
