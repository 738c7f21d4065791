/* A pattern and a subject, cut at the first NUL: what is translated for RE2, walks and templates. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bloblang/golang/regex.h"
#include "rig/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *cut = size ? memchr(text, '\0', size) : NULL;
	size_t pattern = cut ? (size_t)(cut - text) : size / 2;
	const char *subject = text + pattern + (cut != NULL);
	size_t length = size - pattern - (cut != NULL);
	char fault[REGEX_FAULT_MAX];
	struct regex *re;
	struct arena a;
	struct text out;

	if (size > 512)
		return 0;
	re = regex_compile(text, pattern, fault);
	if (!re)
		return 0;
	arena_init(&a, 1 << 20);
	text_init(&out, &a);
	if (regex_replace_all(re, subject, length, "<$0$1${n}$$>", 12, &out) == ERR_OK)
		(void)text_end(&out);
	arena_fini(&a);
	regex_free(re);
	return 0;
}
