/*
 * credential_reply: what providers answer, as bytes, to keys.
 *
 * What it is: pure functions over text that a stranger wrote; each is fuzzed.
 * Promises: 11; no error text holds any of the text, which is wiped either way.
 * Owner: the caller owns text and result; keys are wiped with keys_wipe.
 * Thread: any; no state.
 * Fails: ERR_FORMAT for what is not such an answer, ERR_CREDENTIALS for keys that cannot be used. The result is left
 * as it was.
 * Does not: send or read anything.
 */
#ifndef KSPOOL_AWS_IDENTITY_CREDENTIAL_REPLY_H
#define KSPOOL_AWS_IDENTITY_CREDENTIAL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "aws/identity/keys.h"

/* IMDS: {"Code":"Success","AccessKeyId","SecretAccessKey","Token","Expiration"}. */
enum err credential_reply_imds(char *text, size_t length, struct aws_keys *keys, struct error *e) MUST_CHECK;
/* Containers: as IMDS without Code. */
enum err credential_reply_container(char *text, size_t length, struct aws_keys *keys, struct error *e) MUST_CHECK;
/* credential_process: {"Version":1,"AccessKeyId","SecretAccessKey","SessionToken"?,"Expiration"?}. */
enum err credential_reply_process(char *text, size_t length, struct aws_keys *keys, struct error *e) MUST_CHECK;
/* SSO portal: {"roleCredentials":{"accessKeyId","secretAccessKey","sessionToken","expiration": ms}}. */
enum err credential_reply_sso_role(char *text, size_t length, struct aws_keys *keys, struct error *e) MUST_CHECK;

struct sso_token {
	char *access_token; /* wipe with credential_reply_sso_token_wipe */
	int64_t expires_ms;
};

/* ~/.aws/sso/cache/{sha1}.json: {"accessToken","expiresAt"}. */
enum err credential_reply_sso_token(char *text, size_t length, struct sso_token *ret, struct error *e) MUST_CHECK;
void credential_reply_sso_token_wipe(struct sso_token *t);

/* STS XML: .../Credentials/{AccessKeyId,SecretAccessKey,SessionToken,Expiration} of AssumeRole[WithWebIdentity]. */
enum err credential_reply_sts_keys(char *text, size_t length, struct aws_keys *keys, struct error *e) MUST_CHECK;

struct sts_identity {
	char arn[256];
	char account[16];
	char user_id[160];
};

enum err credential_reply_sts_identity(char *text, size_t length, struct sts_identity *ret, struct error *e) MUST_CHECK;
/* <ErrorResponse>: Code and Message, printable, cut. False when it is not one. */
bool credential_reply_sts_error(const char *text, size_t length, char *code, size_t code_size, char *message,
                                size_t message_size);

#endif
