/* Replies of the ECS and EKS agents. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/identity/credential_reply.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aws_keys keys = {0};
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	if (credential_reply_container(text, size, &keys, NULL) == ERR_OK &&
	    (!keys.id || !keys.secret || keys_check(keys.id, keys.secret, keys.token, NULL)))
		abort(); /* taken means usable */
	keys_wipe(&keys);
	free(text);
	return 0;
}
