/*
 * fetch: one provider asked once for credentials, and the shape every provider has.
 *
 * What it is: struct provider is a name and two functions. start() looks whether the provider is configured at all and
 * either answers at once or returns FETCH_PENDING and calls fetch->done from the loop later. stop() abandons what is
 * under way and frees the provider's state; it is called exactly once for each start.
 * Promises: a provider never blocks on a network; a reason never holds a secret. Owner: the caller embeds struct fetch.
 * Thread: the event base's. Fails: FETCH_FAILED (configured, did not work: the chain stops there, as in the SDKs).
 */
#ifndef KSPOOL_AWS_IDENTITY_FETCH_H
#define KSPOOL_AWS_IDENTITY_FETCH_H

#include <stdint.h>

#include "aws/identity/identity_settings.h"
#include "aws/identity/keys.h"

struct event_base;
struct http;
struct sigv4;
struct fetch;

enum fetch_verdict {
	FETCH_PENDING,
	FETCH_FOUND,  /* keys and source are set */
	FETCH_ABSENT, /* not configured here; reason says what is missing */
	FETCH_FAILED, /* reason says what went wrong */
};

struct provider {
	const char *name;
	enum fetch_verdict (*start)(struct fetch *f);
	void (*stop)(struct fetch *f); /* null: no state */
	bool network;                  /* cannot even begin without a request or a command */
};

/* The reason of a provider that was not asked because the world is offline. */
#define FETCH_OFFLINE "would be asked (not asked now)"

/* What every provider may use. */
struct fetch_world {
	struct event_base *base;
	struct http *http;
	struct sigv4 *signer; /* for STS */
	struct settings *settings;
	int64_t clock_offset_ms; /* the service's clock minus ours; see fetch_learn_clock */
	bool offline;            /* no request, no command: FETCH_FAILED with FETCH_OFFLINE instead */
};

/* A role to assume. Texts belong to whoever made it and outlive the fetch. */
struct fetch_role {
	const char *arn;
	const char *external_id;  /* null: none */
	const char *session_name; /* null: host and spool */
	const char *token_file;   /* web identity; null: assumed with `base` */
	int64_t duration_s;       /* 0: the service's own */
};

struct fetch {
	struct fetch_world *world;
	const struct provider *provider;
	const char *profile;         /* for providers that read one; null: settings->profile */
	struct fetch_role role;      /* provider_role */
	const struct aws_keys *base; /* provider_role */
	void (*done)(struct fetch *f, enum fetch_verdict verdict);
	void *arg;

	struct aws_keys keys;
	char source[64]; /* for the operator: "shared file profile x" */
	char reason[256];
	void *state; /* the provider's */
};

/* Fills provider, clears the results, starts. fetch_stop must follow, whatever the verdict. */
enum fetch_verdict fetch_start(struct fetch *f, const struct provider *provider);
/* Wipes and frees all but the caller's own fields. Harmless when not started. */
void fetch_stop(struct fetch *f);
/* Sets the reason and returns FETCH_FAILED or FETCH_ABSENT. */
enum fetch_verdict fetch_fail(struct fetch *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
enum fetch_verdict fetch_absent(struct fetch *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Checks the keys and keeps them; FETCH_FOUND, or FETCH_FAILED with what is wrong with them. */
enum fetch_verdict fetch_found(struct fetch *f, const char *id, const char *secret, const char *token,
                               int64_t expires_ms);
/* Wall time as the service sees it. */
int64_t fetch_now_ms(const struct fetch *f);

/*
 * A time the service itself told (the Date of an answer with a request id). Differences below 20 s are the network's
 * and the second's rounding, and count as none; AWS takes five minutes.
 */
void fetch_learn_clock(struct fetch_world *w, int64_t server_wall_ms);

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
