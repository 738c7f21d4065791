/* The SSO token cache and the portal's reply. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/identity/credential_reply.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aws_keys keys = {0};
	struct sso_token token;
	char *again = malloc(size + 1);
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	memcpy(again, data, size);
	again[size] = '\0';
	if (credential_reply_sso_token(again, size, &token, NULL) == ERR_OK &&
	    (!token.access_token || strpbrk(token.access_token, "\r\n")))
		abort();
	credential_reply_sso_token_wipe(&token);
	if (credential_reply_sso_role(text, size, &keys, NULL) == ERR_OK && (!keys.id || !keys.secret))
		abort();
	keys_wipe(&keys);
	free(again);
	free(text);
	return 0;
}
