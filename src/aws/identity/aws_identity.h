/*
 * aws_identity: who we are and where we send, as it is shown to a person.
 *
 * What it is: plain data, copied out of the client.
 * Promises: 10 (reason says why there are no credentials); no secret is in it.
 * Owner: whoever declared it.
 * Thread: any.
 * Fails: never; a text longer than its field is cut.
 * Does not: change by itself.
 */
#ifndef KSPOOL_AWS_IDENTITY_AWS_IDENTITY_H
#define KSPOOL_AWS_IDENTITY_AWS_IDENTITY_H

#include <stdint.h>

#include "base/error.h"

struct aws_identity {
	char host[256];
	char url[300];
	char region[64];
	char region_source[64]; /* "field", "AWS_REGION", "profile default", ... */
	char provider[64];      /* "config", "environment", "shared file profile x", ... ; "" when none yet */
	char access_key_id[160];
	int64_t expires_ms;           /* 0: never */
	char reason[ERROR_TEXT_MAX];  /* why there are no credentials, or why the newest refresh failed; "" otherwise */
	char warning[ERROR_TEXT_MAX]; /* a file with secrets that others may read; "" when none */
};

#endif
