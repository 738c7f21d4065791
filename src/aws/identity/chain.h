/*
 * chain: the providers in their order, asked one after the other.
 *
 * What it is: order as in the SDKs: from_ec2_role asks IMDS alone; credentials.id is used alone; credentials.profile
 * skips the environment; else environment, web identity, shared files, container, IMDS. The first that has credentials,
 * or that fails, ends it. credentials.role is then assumed from what was found.
 * Promises: 10 (an error names the source and its reason).
 * Owner: the caller embeds struct chain; chain_stop after each chain_start.
 * Thread: the event base's.
 * Fails: PROVIDER_FAILED or PROVIDER_ABSENT with an error; the report keeps what every provider said.
 * Does not: keep keys fresh (credentials.h does).
 */
#ifndef KSPOOL_AWS_IDENTITY_CHAIN_H
#define KSPOOL_AWS_IDENTITY_CHAIN_H

#include "aws/identity/provider.h"

enum { CHAIN_STEPS_MAX = 8 };

struct chain_report {
	char source[160];
	enum provider_verdict verdict;
	struct error error; /* unless found */
};

struct chain {
	struct identity_context *context;
	void (*done)(struct chain *c, enum provider_verdict verdict); /* only after PROVIDER_PENDING */
	void *arg;

	const struct provider *steps[CHAIN_STEPS_MAX];
	size_t step_count;
	size_t current;
	struct provider_call call;
	struct aws_keys base; /* what credentials.role is assumed from */
	struct chain_report reports[CHAIN_STEPS_MAX];
	size_t report_count;
	struct aws_keys keys; /* the result */
	char *source;         /* "shared file profile x", "role r from IMDS"; null: nobody yet */
	struct error error;   /* unless found */
};

enum provider_verdict chain_start(struct chain *c);
void chain_stop(struct chain *c);
/* The steps without asking them, for explaining; returns how many. */
size_t chain_plan(const struct identity_settings *s, const struct provider *steps[CHAIN_STEPS_MAX]);

#endif
