/*
 * provider: the shape every source of credentials has, and one call of it.
 *
 * What it is: struct provider is a name and two functions. start() looks whether the provider is configured at all and
 * either answers at once or returns PROVIDER_PENDING and calls call->done from the loop later. stop() abandons what is
 * under way and frees the provider's state; it is called exactly once for each start.
 * Promises: 10 (an error says what was asked and why it did not help), 11 (nothing blocks on a network); no error text
 * holds a secret.
 * Owner: the caller embeds struct provider_call.
 * Thread: the event base's.
 * Fails: PROVIDER_FAILED, with an error: configured, but did not work. The chain stops there, as in the SDKs.
 * Does not: try again later, or keep keys fresh (credentials.h does).
 */
#ifndef KSPOOL_AWS_IDENTITY_PROVIDER_H
#define KSPOOL_AWS_IDENTITY_PROVIDER_H

#include <stdint.h>

#include "aws/identity/identity_context.h"
#include "aws/identity/keys.h"

struct provider_call;

enum provider_verdict {
	PROVIDER_PENDING,
	PROVIDER_FOUND,  /* keys and source are set */
	PROVIDER_ABSENT, /* not configured here; the error says what is missing */
	PROVIDER_FAILED, /* the error says what went wrong */
};

struct provider {
	const char *name;
	enum provider_verdict (*start)(struct provider_call *call);
	void (*stop)(struct provider_call *call); /* null: no state */
	bool network;                             /* cannot even begin without a request or a command */
};

/* The error text of a provider that was not asked because nothing was to be asked. */
#define PROVIDER_OFFLINE "would be asked (not asked now)"

/* A role to assume. Texts belong to whoever made it and outlive the call. */
struct assumed_role {
	const char *arn;
	const char *external_id;  /* null: none */
	const char *session_name; /* null: host and spool */
	const char *token_file;   /* web identity; null: assumed with `base` */
	int64_t duration_s;       /* 0: the service's own */
};

struct provider_call {
	struct identity_context *context;
	const struct provider *provider;
	const char *profile;         /* for providers that read one; null: settings->profile */
	struct assumed_role role;    /* provider_role */
	const struct aws_keys *base; /* provider_role */
	void (*done)(struct provider_call *call, enum provider_verdict verdict);
	void *arg;

	struct aws_keys keys;
	char *source;       /* for the operator: "shared file profile x" */
	struct error error; /* when absent or failed */
	void *state;        /* the provider's */
};

/* Fills provider, clears the results, starts. provider_stop must follow, whatever the verdict. */
enum provider_verdict provider_start(struct provider_call *call, const struct provider *provider);
/* Wipes and frees all but the caller's own fields. Harmless when not started. */
void provider_stop(struct provider_call *call);
/* Sets the error and gives the verdict. */
#define provider_fail(call, ...) (error_set(&(call)->error, ERR_CREDENTIALS, __VA_ARGS__), PROVIDER_FAILED)
#define provider_absent(call, ...) (error_set(&(call)->error, ERR_CREDENTIALS, __VA_ARGS__), PROVIDER_ABSENT)
/* The verdict on a step that wrote its failure to call->error. */
enum provider_verdict provider_judge(enum err err);
/* Names the source more closely than the provider's name does. */
void provider_name_source(struct provider_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Checks the keys and keeps them; PROVIDER_FOUND, or PROVIDER_FAILED with what is wrong with them. */
enum provider_verdict provider_found(struct provider_call *call, const char *id, const char *secret, const char *token,
                                     int64_t expires_ms);
/* Wall time as the service sees it. */
int64_t provider_now_ms(const struct provider_call *call);

extern const struct provider provider_config;
extern const struct provider provider_environment;
extern const struct provider provider_web_identity;
extern const struct provider provider_shared;
extern const struct provider provider_container;
extern const struct provider provider_imds;
extern const struct provider provider_process; /* of a profile */
extern const struct provider provider_sso;     /* of a profile */
extern const struct provider provider_role;    /* AssumeRole, AssumeRoleWithWebIdentity */

#endif
