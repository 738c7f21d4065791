/*
 * quota: how much one identity may bring in a second.
 *
 * What it is: for each identity (a certificate's name, a token, a user, an address) what it may still bring, in bytes
 * and in messages. It fills with time up to one second's worth and may go below nothing, by what came in one piece:
 * then nothing more is taken until it is filled again. Promises: 6 (the table has a fixed size), 12. Owner: the door;
 * quota_free. Thread: intake. Fails: never; when there are more identities than places, the one that has most left is
 * forgotten: it loses nothing. Does not: refuse anything itself.
 */
#ifndef KSPOOL_DOORS_QUOTA_H
#define KSPOOL_DOORS_QUOTA_H

#include <stdint.h>

#include "server/listener.h"

struct quota;

/* Per second; 0 is no limit. Null when there is none at all. */
struct quota *quota_new(uint64_t bytes, uint64_t messages);
/* Accepts null. */
void quota_free(struct quota *q);
/* How long until this identity may bring more; 0: now. Accepts null. */
int64_t quota_wait_ms(struct quota *q, const unsigned char key[LISTENER_KEY_BYTES], int64_t now_ns);
/* It brought this much. Accepts null. */
void quota_spend(struct quota *q, const unsigned char key[LISTENER_KEY_BYTES], uint64_t bytes, uint64_t messages,
                 int64_t now_ns);

#endif
