/*
 * credentials: the chain's answer, kept fresh.
 *
 * What it is: a cache in front of chain.h. One refresh at a time however many wait; it begins some minutes before
 * expiry, with jitter, while the old keys go on being used. When the region is known nowhere else, IMDS is asked for it
 * first.
 * Promises: 10 (the reason is kept), 11 (a provider that fails is asked again only after a pause); replaced keys are
 * wiped.
 * Owner: the caller of credentials_open.
 * Thread: the event base's; on_change is called from the loop only, never from credentials_get.
 * Fails: a refresh that fails keeps the old keys while they last; then CREDENTIALS_NONE with an error.
 * Does not: sign, or judge the answers of the service.
 */
#ifndef KSPOOL_AWS_IDENTITY_CREDENTIALS_H
#define KSPOOL_AWS_IDENTITY_CREDENTIALS_H

#include "aws/identity/chain.h"

struct credentials;

enum credentials_state {
	CREDENTIALS_READY,
	CREDENTIALS_PENDING, /* on_change follows */
	CREDENTIALS_NONE,    /* credentials_error says why; asked again at the next get */
};

enum err credentials_open(struct identity_context *context, void (*on_change)(void *arg), void *arg,
                          struct credentials **ret, struct error *e) MUST_CHECK;
/* *ret is valid until the loop runs again. Starts a refresh when one is due. */
enum credentials_state credentials_get(struct credentials *c, const struct aws_keys **ret);
/*
 * To be called about once a second: what the shared files say is read again when they have changed, whatever is thought
 * of the keys at hand.
 */
void credentials_look(struct credentials *c);
/* While CREDENTIALS_PENDING for longer than after_ms: true, with whom it waits for in *e. */
bool credentials_are_late(const struct credentials *c, int64_t after_ms, struct error *e);
/* They were refused by the service. generation: what credentials_generation said when they were used; 0: not known. */
void credentials_stale(struct credentials *c, uint64_t generation);
/* Goes up with every new set. */
uint64_t credentials_generation(const struct credentials *c);
/* The settings changed: everything is read anew at the next get. What is under way is abandoned. */
void credentials_forget(struct credentials *c);
/* Its code is ERR_OK when nothing is wrong. */
const struct error *credentials_error(const struct credentials *c);
const struct aws_keys *credentials_keys(const struct credentials *c); /* null when there are none */
const char *credentials_source(const struct credentials *c);
/* Accepts null. */
void credentials_close(struct credentials *c);

#endif
