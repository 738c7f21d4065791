/* Methods on text beyond everyday reshaping: format, quoting, escaping, paths, capitals. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicase.h>

#include "base/utf8.h"
#include "bloblang/golang/gofmt.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/digest.h"
#include "bloblang/formats/html.h"
#include "bloblang/formats/url.h"
#include "bloblang/formats/uuid.h"
#include "bloblang/language/function.h"

static bool format(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;

	if (!call_need_string(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	go_sprintf(&out, in.text, in.length, call->args, call->arg_count);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

typedef void writer(struct text *out, const char *s, size_t length);

/* A text through a writer that cannot fail. */
static bool rewrite(struct call *call, writer *write, struct value *ret)
{
	struct value in;
	struct text out;

	if (!call_need_string(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	write(&out, in.text, in.length);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static void write_quoted(struct text *out, const char *s, size_t length) { go_quote(out, s, length, false); }
static void write_segment(struct text *out, const char *s, size_t length) { url_escape(out, s, length, URL_SEGMENT); }
static void write_query(struct text *out, const char *s, size_t length) { url_escape(out, s, length, URL_QUERY); }

static bool quote(struct call *call, struct value *ret) { return rewrite(call, write_quoted, ret); }
static bool escape_html(struct call *call, struct value *ret) { return rewrite(call, html_escape, ret); }
static bool unescape_html(struct call *call, struct value *ret) { return rewrite(call, html_unescape, ret); }
static bool escape_url_path(struct call *call, struct value *ret) { return rewrite(call, write_segment, ret); }
static bool escape_url_query(struct call *call, struct value *ret) { return rewrite(call, write_query, ret); }

static bool unquote(struct call *call, struct value *ret)
{
	struct value in;
	struct text out;

	if (!call_need_string(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!go_unquote(&out, in.text, in.length))
		return call_fail(call, "invalid syntax");
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool unescape_url(struct call *call, enum url_part part, struct value *ret)
{
	struct value in;
	struct text out;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	text_init(&out, call->arena);
	if (!url_unescape(&out, in.text, in.length, part, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_STRING);
	return true;
}

static bool unescape_url_path(struct call *call, struct value *ret) { return unescape_url(call, URL_SEGMENT, ret); }
static bool unescape_url_query(struct call *call, struct value *ret) { return unescape_url(call, URL_QUERY, ret); }

/* Bad bytes become U+FFFD: what the Unicode library needs. */
static struct value repaired(struct arena *a, struct value v)
{
	struct text out;
	const char *p = v.text, *end = p + v.length;

	if (utf8_is_valid(v.text, v.length))
		return v;
	text_init(&out, a);
	while (p < end) {
		char bytes[UTF8_MAX];
		uint32_t c;

		p += utf8_decode(p, end, &c, NULL);
		text_add(&out, bytes, utf8_encode(bytes, c));
	}
	return value_from_text(&out, (enum value_kind)v.kind);
}

static bool capitalize(struct call *call, struct value *ret)
{
	struct value in;
	uint8_t *title;
	size_t length = 0;

	if (!call_need_text(call, call->target, &in))
		return false;
	in = repaired(call->arena, in);
	if (in.length == 0) {
		*ret = in;
		return true;
	}
	title = u8_totitle((const uint8_t *)in.text, in.length, "en", NULL, NULL, &length);
	if (!title)
		return call_fail(call, "out of memory");
	*ret = value_view((enum value_kind)in.kind, arena_copy(call->arena, title, length), length);
	free(title);
	return true;
}

static bool reverse(struct call *call, struct value *ret)
{
	struct value in;
	const char *p, *end;
	char *out, *at;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (in.kind == VALUE_STRING)
		in = repaired(call->arena, in);
	p = in.text;
	end = p + in.length;
	out = arena_alloc(call->arena, in.length + 1);
	at = out + in.length;
	while (p < end) {
		uint32_t c;
		size_t width = in.kind == VALUE_STRING ? utf8_decode(p, end, &c, NULL) : 1;

		at -= width;
		memcpy(at, p, width);
		p += width;
	}
	*ret = value_view((enum value_kind)in.kind, out, in.length);
	return true;
}

static bool prepare_repeat(struct call *call)
{
	return call->args[0].integer >= 0 ||
	       call_fail_final(call, "invalid count, must be greater than or equal to zero: %lld",
	                       (long long)call->args[0].integer);
}

static bool repeat(struct call *call, struct value *ret)
{
	uint64_t count = (uint64_t)call->args[0].integer;
	struct value in;
	size_t total;
	char *out;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (in.length == 0 || count == 0) {
		*ret = value_view((enum value_kind)in.kind, "", 0);
		return true;
	}
	if (count > UINT32_MAX / in.length || !arena_fits(call->arena, (size_t)count * in.length))
		return call_fail(call, "the repeated text exceeds the limit of this evaluation");
	total = (size_t)count * in.length;
	out = arena_alloc(call->arena, total);
	for (size_t i = 0; i < total; i += in.length)
		memcpy(out + i, in.text, in.length);
	*ret = value_view((enum value_kind)in.kind, out, total);
	return true;
}

static bool prepare_replacements(struct call *call)
{
	struct value list = call->args[0];
	struct text shown;

	if (value_count(list) % 2 != 0) {
		text_init(&shown, call->arena);
		go_sprintf(&shown, "%v", 2, &list, 1);
		return call_fail_final(call,
		                       "invalid arg, replacements should be in pairs and must therefore be even: %s",
		                       text_end(&shown));
	}
	for (uint32_t i = 0; i < value_count(list); i++)
		if (!value_is_text(list.array->items[i]))
			return call_fail_final(call,
			                       "invalid replacement value at index %u: expected string, found: %s", i,
			                       value_go_type(list.array->items[i]));
	return true;
}

/* Every occurrence of what by with; an empty `what` lies between the runes. */
static struct value replaced(struct call *call, struct value in, struct value what, struct value with)
{
	const char *p = in.text, *end = p + in.length;
	struct text out;

	text_init(&out, call->arena);
	while (p < end) {
		const char *found = what.length ? memmem(p, (size_t)(end - p), what.text, what.length) : p;
		uint32_t c;

		text_add(&out, p, (size_t)((found ? found : end) - p));
		if (!found)
			break;
		text_add(&out, with.text, with.length);
		p = found + what.length;
		if (what.length == 0) {
			size_t width = utf8_decode(p, end, &c, NULL);

			text_add(&out, p, width);
			p += width;
		}
	}
	if (what.length == 0)
		text_add(&out, with.text, with.length);
	return value_from_text(&out, (enum value_kind)in.kind);
}

static bool replace_all_many(struct call *call, struct value *ret)
{
	struct value list = call->args[0];

	if (!call_need_text(call, call->target, ret))
		return false;
	for (uint32_t i = 0; i + 1 < value_count(list); i += 2) {
		*ret = replaced(call, *ret, list.array->items[i], list.array->items[i + 1]);
		if (call_spent(call))
			return false;
	}
	return true;
}

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

static bool uuid_v5(struct call *call, struct value *ret)
{
	struct value namespace = call->args[0], in;
	unsigned char id[UUID_BYTES] = {0};

	if (call->target.kind == VALUE_NULL) {
		*ret = call->target;
		return true;
	}
	if (!call_need_string(call, call->target, &in))
		return false;
	if (namespace.kind == VALUE_STRING && namespace.length > 0 &&
	    !uuid_namespace(namespace.text, namespace.length, id)) {
		struct text t;

		text_init(&t, call->arena);
		go_quote(&t, namespace.text, namespace.length, false);
		return call_fail(call, "invalid ns uuid: %s", text_end(&t));
	}
	uuid_v5_make(id, in.text, in.length, id);
	*ret = value_string(uuid_print(id, arena_alloc(call->arena, UUID_TEXT_MAX)), UUID_TEXT_MAX - 1);
	return true;
}

/* clang-format off */
#define TEXT_METHOD(name_, evaluate_, summary_) \
	{.name = name_, .kind = METHOD, .status = STABLE, .evaluate = evaluate_, .summary = summary_}
#define REPLACE_MANY .kind = METHOD, .status = STABLE, .evaluate = replace_all_many, .prepare = prepare_replacements, \
	.parameters = {{"values", PARAM_ARRAY, false, NULL}}

const struct bloblang_row rows_methods_text[] = {
	{.name = "format", .kind = METHOD, .status = STABLE, .flags = ROW_VARIADIC, .evaluate = format,
	 .summary = "Fills the text, a format of Go's Sprintf, with the arguments."},
	TEXT_METHOD("quote", quote, "A quoted string in Go's syntax."),
	TEXT_METHOD("unquote", unquote, "The text of a quoted string in Go's syntax."),
	TEXT_METHOD("escape_html", escape_html, "Escapes < > & \" and ' as HTML references."),
	TEXT_METHOD("unescape_html", unescape_html, "Decodes HTML references."),
	TEXT_METHOD("escape_url_path", escape_url_path, "Percent-encodes a path segment."),
	TEXT_METHOD("escape_url_query", escape_url_query, "Encodes a query value."),
	TEXT_METHOD("unescape_url_path", unescape_url_path, "Decodes a path segment."),
	TEXT_METHOD("unescape_url_query", unescape_url_query, "Decodes a query value."),
	TEXT_METHOD("capitalize", capitalize, "Title case for each word, lower case for the rest."),
	TEXT_METHOD("reverse", reverse, "Strings reversed by code point, bytes by byte."),
	{.name = "repeat", .kind = METHOD, .status = STABLE, .evaluate = repeat, .prepare = prepare_repeat,
	 .parameters = {{"count", PARAM_INT, false, NULL}}, .summary = "The text a number of times over."},
	{.name = "replace_all_many", REPLACE_MANY, .summary = "Replacements one after the other from [old, new, ...]."},
	{.name = "replace_many", REPLACE_MANY, .summary = "The same as replace_all_many."},
	TEXT_METHOD("filepath_join", filepath_join, "Joins and cleans path elements."),
	TEXT_METHOD("filepath_split", filepath_split, "The folder with its slash, and the file."),
	{.name = "uuid_v5", .kind = METHOD, .status = STABLE, .evaluate = uuid_v5,
	 .parameters = {{"ns", PARAM_STRING, true, NULL}}, .summary = "The version 5 UUID of the text in a namespace."},
	{.name = NULL},
};
/* clang-format on */
