/* STS answers: keys, identity, errors. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/identity/credential_reply.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aws_keys keys = {0};
	struct sts_identity identity;
	char code[64], message[256];
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	(void)credential_reply_sts_error(text, size, code, sizeof code, message, sizeof message);
	(void)!credential_reply_sts_identity(text, size, &identity, NULL);
	if (credential_reply_sts_keys(text, size, &keys, NULL) == ERR_OK && (!keys.id || !keys.secret || !keys.token))
		abort();
	keys_wipe(&keys);
	free(text);
	return 0;
}
