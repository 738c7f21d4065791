/*
 * sts: three calls of the Security Token Service.
 *
 * What it is: the query protocol (form in, XML out), signed but for web identity, to the region's own endpoint or
 * AWS_ENDPOINT_URL_STS. Asked twice on network failures and 5xx; once more when the Date of the answer shows that our
 * clock was what made the signature wrong.
 * Promises: 11; no error text holds a secret.
 * Owner: the caller embeds the struct; sts_stop ends it and wipes.
 * Thread: the event base's.
 * Fails: sts_start at once, or done; both with an error.
 * Does not: count the custom endpoint of the stream.
 */
#ifndef KSPOOL_AWS_IDENTITY_STS_H
#define KSPOOL_AWS_IDENTITY_STS_H

#include "base/buf.h"
#include "aws/transport/transport.h"
#include "aws/identity/credential_reply.h"
#include "aws/identity/provider.h"

enum sts_action { STS_ASSUME_ROLE, STS_ASSUME_ROLE_WITH_WEB_IDENTITY, STS_GET_CALLER_IDENTITY };

struct sts_call {
	struct identity_context *context;
	enum sts_action action;
	struct assumed_role role;      /* of the first two */
	const char *token;             /* of web identity */
	const struct aws_keys *signer; /* of the other two; must live until done */
	/* error is null when keys or identity are set. */
	void (*done)(struct sts_call *c, const struct error *error);
	void *arg;

	struct aws_keys keys;
	struct sts_identity identity;

	struct transport_request request;
	struct header_field fields[5];
	struct endpoint place;
	char stamp[20];
	struct buf form;
	struct buf authorization;
	unsigned tries;
	bool clock_retried;
	struct error error; /* of the newest try */
};

/* An error when it could not be sent; else done follows from the loop. */
enum err sts_start(struct sts_call *c, struct error *e) MUST_CHECK;
/* Harmless when nothing is under way; wipes. */
void sts_stop(struct sts_call *c);
/* "kspool-{host}-{service or spool}" in the characters a session name may have; 2 to 64 of them. */
void sts_session_name(const struct identity_settings *s, char *out, size_t size);

#endif
