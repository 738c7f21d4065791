/* Methods of the family "strings" that quote, escape and strip: Go, HTML, URLs. */
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/html.h"
#include "bloblang/formats/url.h"
#include "bloblang/language/function.h"

enum { KEEP_MAX = 64 };

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

static bool strip_html(struct call *call, struct value *ret)
{
	const char *keep[KEEP_MAX];
	size_t count = 0;
	struct value in, list = call->args[0];
	struct text out;

	if (!call_need_text(call, call->target, &in))
		return false;
	if (call_given(call, 0) && list.kind != VALUE_ARRAY)
		return call_fail(call, "%s", call_type_text(call, list, "array"));
	for (uint32_t i = 0; list.kind == VALUE_ARRAY && i < value_count(list); i++) {
		struct value name = list.array->items[i];

		if (!value_is_text(name) || count == KEEP_MAX)
			return call_fail(call, "the preserved elements are up to %d names", KEEP_MAX);
		keep[count++] = arena_copy(call->arena, name.text, name.length);
	}
	text_init(&out, call->arena);
	html_strip(&out, in.text, in.length, keep, count);
	*ret = value_from_text(&out, (enum value_kind)in.kind);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_strings_escape[] = {
	{.name = "quote", .kind = METHOD, .evaluate = quote, .summary = "A quoted string in Go's syntax."},
	{.name = "unquote", .kind = METHOD, .evaluate = unquote,
	 .summary = "The text of a quoted string in Go's syntax."},
	{.name = "escape_html", .kind = METHOD, .evaluate = escape_html,
	 .summary = "Escapes < > & \" and ' as HTML references."},
	{.name = "unescape_html", .kind = METHOD, .evaluate = unescape_html, .summary = "Decodes HTML references."},
	{.name = "escape_url_path", .kind = METHOD, .evaluate = escape_url_path,
	 .summary = "Percent-encodes a path segment."},
	{.name = "escape_url_query", .kind = METHOD, .evaluate = escape_url_query,
	 .summary = "Encodes a query value."},
	{.name = "unescape_url_path", .kind = METHOD, .evaluate = unescape_url_path,
	 .summary = "Decodes a path segment."},
	{.name = "unescape_url_query", .kind = METHOD, .evaluate = unescape_url_query,
	 .summary = "Decodes a query value."},
	{.name = "strip_html", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = strip_html,
	 .parameters = {{"preserve", PARAM_ANY, true, NULL}}, .summary = "The text without its HTML tags."},
	{.name = NULL},
};
/* clang-format on */
