/*
 * identity_context: what one configuration's calls to AWS stand on.
 *
 * What it is: settings, a signer, a pool of connections and what was learned of the service's clock, made together for
 * the client and for `kspool whoami`.
 * Promises: none of its own.
 * Owner: the caller embeds the struct; identity_context_close wipes.
 * Thread: the event base's.
 * Fails: with the error of the part that could not be made; everything made is given back.
 * Does not: ask anybody for anything.
 */
#ifndef KSPOOL_AWS_IDENTITY_IDENTITY_CONTEXT_H
#define KSPOOL_AWS_IDENTITY_IDENTITY_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "aws/identity/identity_settings.h"

struct event_base;
struct sigv4;
struct transport;

struct identity_context {
	struct event_base *base;
	struct transport *http;
	struct sigv4 *signer; /* for STS */
	struct identity_settings *settings;
	int64_t clock_offset_ms; /* the service's clock minus ours */
	bool offline;            /* no request, no command: PROVIDER_FAILED with PROVIDER_OFFLINE instead */
};

/* c is zeroed first. */
enum err identity_context_open(struct event_base *base, const struct aws_client_options *options,
                               struct identity_context *c, struct error *e) MUST_CHECK;
/* Accepts a zeroed struct. */
/* Takes `fresh`, which was read from these options; what is under way keeps its connections. */
void identity_context_reload(struct identity_context *c, const struct aws_client_options *options,
                             struct identity_settings *fresh);
void identity_context_close(struct identity_context *c);

/*
 * A time the service itself told (the Date of an answer with a request id). Differences below 20 s are the network's
 * and the second's rounding, and count as none; AWS takes five minutes.
 */
void identity_context_learn_clock(struct identity_context *c, int64_t server_wall_ms);

#endif
