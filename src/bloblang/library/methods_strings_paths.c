/* Methods of the family "strings" on paths of files. */
#include <string.h>

#include "bloblang/language/function.h"

/* The shortest path that means the same (filepath.Clean on Unix). */
static struct value clean_path(struct arena *a, const char *p, size_t n)
{
	bool rooted = n > 0 && *p == '/';
	char *out = arena_alloc(a, n + 2);
	size_t length = 0, floor = 0; /* floor: ".." cannot go below it */

	if (rooted)
		out[length++] = '/';
	floor = length;
	for (size_t i = 0; i < n;) {
		size_t end = i;

		while (end < n && p[end] != '/')
			end++;
		if (end - i == 2 && p[i] == '.' && p[i + 1] == '.' && length > floor) {
			while (length > floor && out[--length] != '/')
				;
		} else if (end - i == 2 && p[i] == '.' && p[i + 1] == '.') {
			if (!rooted) {
				if (length > 0)
					out[length++] = '/';
				out[length++] = '.';
				out[length++] = '.';
				floor = length;
			}
		} else if (end > i && !(end - i == 1 && p[i] == '.')) {
			if (length > (size_t)rooted)
				out[length++] = '/';
			memcpy(out + length, p + i, end - i);
			length += end - i;
		}
		i = end + 1;
	}
	if (length == 0)
		out[length++] = '.';
	return value_string(out, length);
}

static bool filepath_join(struct call *call, struct value *ret)
{
	struct text joined;

	if (call->target.kind != VALUE_ARRAY)
		return call_fail_type(call, call->target, "array");
	text_init(&joined, call->arena);
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		struct value element = call->target.array->items[i];

		if (!value_is_text(element))
			return call_fail(call, "path element %u: %s", i, call_type_text(call, element, "string"));
		if (element.length > 0 && joined.length > 0)
			text_add_char(&joined, '/');
		text_add(&joined, element.text, element.length);
	}
	*ret = joined.length ? clean_path(call->arena, text_end(&joined), joined.length) : value_literal("");
	return true;
}

static bool filepath_split(struct call *call, struct value *ret)
{
	struct value in;
	const char *slash;
	size_t n;

	if (!call_need_string(call, call->target, &in))
		return false;
	slash = in.length ? memrchr(in.text, '/', in.length) : NULL;
	n = slash ? (size_t)(slash + 1 - in.text) : 0;
	*ret = value_array(call->arena, 2);
	value_array_push(call->arena, *ret, value_string(in.text, n));
	value_array_push(call->arena, *ret, value_string(in.text + n, in.length - n));
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_strings_paths[] = {
	{.name = "filepath_join", .kind = METHOD, .evaluate = filepath_join,
	 .summary = "Joins and cleans path elements."},
	{.name = "filepath_split", .kind = METHOD, .evaluate = filepath_split,
	 .summary = "The folder with its slash, and the file."},
	{.name = NULL},
};
/* clang-format on */
