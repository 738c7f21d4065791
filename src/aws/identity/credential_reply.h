/*
 * reply: what providers answer, as bytes, to keys.
 *
 * Pure functions over untrusted text (all are fuzzed). On success they set keys and return null; else a sentence in
 * static memory, without any of the text. The text is wiped either way.
 */
#ifndef KSPOOL_AWS_IDENTITY_CREDENTIAL_REPLY_H
#define KSPOOL_AWS_IDENTITY_CREDENTIAL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "aws/identity/keys.h"

/* IMDS: {"Code":"Success","AccessKeyId","SecretAccessKey","Token","Expiration"}. */
const char *credential_reply_imds(char *text, size_t length, struct aws_keys *keys);
/* Containers: as IMDS without Code. */
const char *credential_reply_container(char *text, size_t length, struct aws_keys *keys);
/* credential_process: {"Version":1,"AccessKeyId","SecretAccessKey","SessionToken"?,"Expiration"?}. */
const char *credential_reply_process(char *text, size_t length, struct aws_keys *keys);
/* SSO portal: {"roleCredentials":{"accessKeyId","secretAccessKey","sessionToken","expiration": ms}}. */
const char *credential_reply_sso_role(char *text, size_t length, struct aws_keys *keys);

struct sso_token {
	char *access_token; /* wipe with credential_reply_sso_token_wipe */
	int64_t expires_ms;
};

/* ~/.aws/sso/cache/{sha1}.json: {"accessToken","expiresAt"}. */
const char *credential_reply_sso_token(char *text, size_t length, struct sso_token *ret);
void credential_reply_sso_token_wipe(struct sso_token *t);

/* STS XML: .../Credentials/{AccessKeyId,SecretAccessKey,SessionToken,Expiration} of AssumeRole[WithWebIdentity]. */
const char *credential_reply_sts_keys(char *text, size_t length, struct aws_keys *keys);

struct sts_identity {
	char arn[256];
	char account[16];
	char user_id[160];
};

const char *credential_reply_sts_identity(char *text, size_t length, struct sts_identity *ret);
/* <ErrorResponse>: Code and Message, printable, cut. False when it is not one. */
bool credential_reply_sts_error(const char *text, size_t length, char *code, size_t code_size, char *message,
                                size_t message_size);

#endif
