/*
 * whoami: who this configuration is to AWS, for `kspool whoami` and `kspool lint --explain`.
 *
 * What it is: the chain run once on a given event base (the call runs the loop until it ends), with what every provider
 * said, the places, and STS GetCallerIdentity when asked for.
 * Promises: 10; no secret in any text.
 * Owner: plain data, the caller's.
 * Thread: the caller's, until the loop ends.
 * Fails: ERR_CONFIG for fields that contradict each other; everything else is told in the result, where `found` is
 * false and `identity.reason` says why.
 * Does not: run beside a client on the same loop.
 */
#ifndef KSPOOL_AWS_IDENTITY_WHOAMI_H
#define KSPOOL_AWS_IDENTITY_WHOAMI_H

#include <stdbool.h>
#include <stddef.h>

#include "aws/identity/aws_identity.h"
#include "aws/identity/identity_settings.h"

struct event_base;

enum { AWS_WHOAMI_PROVIDERS_MAX = 8 };

struct aws_whoami_wish {
	bool ask_providers; /* false: no network and no command (`lint --explain`): the first that would need one
	                       "would" */
	bool ask_sts;       /* also ask STS for whom the keys are; needs ask_providers */
};

struct aws_whoami_provider {
	char name[160];
	char verdict[16]; /* "found", "absent", "failed", "would" */
	char reason[ERROR_TEXT_MAX];
};

struct aws_whoami {
	bool found;
	struct aws_identity identity;
	char host_source[ERROR_TEXT_MAX]; /* "host of the region", "account host of the stream's ARN", "custom (field)"
	                                   */
	char profile[128];
	char profile_source[32];      /* "field", "AWS_PROFILE", "default" */
	char warning[ERROR_TEXT_MAX]; /* as identity.warning */
	size_t provider_count;
	struct aws_whoami_provider providers[AWS_WHOAMI_PROVIDERS_MAX];
	char arn[256]; /* "" when STS was not asked or did not say */
	char account[16];
	char user_id[160];
	char sts_reason[ERROR_TEXT_MAX]; /* why STS did not say */
};

enum err aws_whoami(struct event_base *base, const struct aws_client_options *options,
                    const struct aws_whoami_wish *wish, struct aws_whoami *ret, struct error *e) MUST_CHECK;

#endif
