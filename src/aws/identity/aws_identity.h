/* identity: who we are and where we send, as it is shown to a person. Plain data; no secret is in it. */
#ifndef KSPOOL_AWS_IDENTITY_AWS_IDENTITY_H
#define KSPOOL_AWS_IDENTITY_AWS_IDENTITY_H

#include <stdint.h>

struct aws_identity {
	char host[256];
	char url[300];
	char region[64];
	char region_source[64]; /* "field", "AWS_REGION", "profile default", ... */
	char provider[64];      /* "config", "environment", "shared file profile x", ... ; "" when none yet */
	char access_key_id[160];
	int64_t expires_ms; /* 0: never */
	char reason[256];   /* why there are no credentials, or why the newest refresh failed; "" otherwise */
	char warning[256];  /* a file with secrets that others may read; "" when none */
};

#endif
