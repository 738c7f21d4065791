/*
 * JSON: what parses prints as something that parses to the same value and prints the same again; the seeker agrees with
 * the tree about every path the input names; nothing reads past the end (the input lies exactly in its allocation).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "value/json.h"
#include "value/path.h"
#include "rig/fuzz.h"

static void must(bool fine)
{
	if (!fine)
		abort();
}

static struct text print(struct arena *a, struct value v)
{
	static const struct json_style style = {0};
	const char *error;
	struct text t;

	text_init(&t, a);
	must(json_print(&t, v, &style, &error));
	return t;
}

/* The first line is a path; the rest is the document. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *newline = memchr(text, '\n', size);
	struct json_step *steps;
	struct value v;
	struct value sought;
	const char *error = NULL;
	struct arena a;
	size_t length;
	size_t count;
	bool parsed;

	if (newline == NULL)
		return 0;
	arena_init(&a, 64 * 1024 * 1024);
	steps = path_split(&a, text, (size_t)(newline - text), &count);
	text = newline + 1;
	length = size - (size_t)(text - (const char *)data);
	parsed = json_parse(&a, text, length, &v, &error);
	must(parsed || error != NULL);
	must(json_seek(&a, text, length, steps, count, &sought, &error) == parsed);
	if (parsed) {
		struct text first = print(&a, v);
		struct text second;
		struct value again;
		bool each = false;

		must(json_parse(&a, first.data, first.length, &again, &error));
		second = print(&a, again);
		must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
		for (size_t i = 0; i < count; i++)
			each = each || (steps[i].length == 1 && steps[i].text[0] == '*');
		if (!each) {
			first = print(&a, path_get(&a, v, steps, count, NULL));
			second = print(&a, sought);
			must(first.length == second.length && memcmp(first.data, second.data, first.length) == 0);
		}
	}
	arena_fini(&a);
	return 0;
}
