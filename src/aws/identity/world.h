/*
 * world: settings, signer and HTTP pool of one configuration: what the client and `kspool whoami` stand on.
 *
 * Owner: the caller embeds struct fetch_world; world_close wipes. Thread: the event base's.
 */
#ifndef KSPOOL_AWS_IDENTITY_WORLD_H
#define KSPOOL_AWS_IDENTITY_WORLD_H

#include "aws/identity/fetch.h"
#include "aws/identity/identity_settings.h"

/* w is zeroed first. On failure everything made is given back. */
enum err world_open(struct event_base *base, const struct aws_client_options *options, struct fetch_world *w,
                    struct error *e) MUST_CHECK;
/* Accepts a zeroed struct. */
void world_close(struct fetch_world *w);

#endif
