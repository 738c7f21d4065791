/* Any text as a credential_process: the words are as many as allowed, hold nothing that was not there, and a plain one
 * comes back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "aws/identity/shell_words.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_string_n((const char *)data, size);
	char **words = shell_words_split(text);
	size_t count = 0, bytes = 0;

	for (; words && words[count]; count++) {
		bytes += strlen(words[count]);
		for (const char *p = words[count]; *p; p++)
			must(strchr(text, *p));
	}
	must(count <= SHELL_WORDS_MAX && bytes <= strlen(text));
	must(!words || count > 0);
	if (words && !strpbrk(text, " \t\r\n\\\'\""))
		must(count == 1 && strcmp(words[0], text) == 0);
	shell_words_free(words);
	free(text);
	return 0;
}
