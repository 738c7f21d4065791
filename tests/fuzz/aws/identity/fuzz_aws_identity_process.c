/* The output of credential_process, and the splitting of its command line. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "aws/identity/credential_reply.h"
#include "aws/identity/shell_words.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct aws_keys keys = {0};
	char **words;
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	words = shell_words_split(text);
	if (words && !words[0])
		abort();
	shell_words_free(words);
	(void)!credential_reply_process(text, size, &keys, NULL);
	keys_wipe(&keys);
	free(text);
	return 0;
}
