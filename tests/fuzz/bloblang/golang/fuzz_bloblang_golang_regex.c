/* A pattern and a subject, cut at the first NUL: what is translated for RE2, walks and templates. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
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
	arena_init(&a, 32 << 20);
	arena_limit(&a, &(struct arena_limits){.most_bytes = 32 << 20, .own_bytes = 32 << 20, .time_ns = NS_PER_S});
	re = regex_compile(&a, text, pattern, fault);
	if (!re) {
		must(a.beside_bytes == 0);
		arena_fini(&a);
		return 0;
	}
	text_init(&out, &a);
	if (regex_replace_all(re, subject, length, "<$0$1${n}$$>", 12, &out) == ERR_OK)
		(void)text_end(&out);
	regex_free(re);
	must(a.beside_bytes == 0);
	arena_fini(&a);
	return 0;
}
