/*
 * Methods of the family "parsing" on notations: JSON, YAML, XML, MessagePack, CSV, logfmt, URLs.
 *
 * Invariants:
 * 1. A reader leaves its text as it is; what it makes lies in the arena of the call.
 * 2. After parse_json without use_number no number is text any more.
 * 3. All rows of a CSV text have as many fields as the first.
 */
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "value/json.h"
#include "value/number.h"
#include "bloblang/formats/csv.h"
#include "bloblang/formats/logfmt.h"
#include "bloblang/formats/msgpack.h"
#include "bloblang/formats/url.h"
#include "bloblang/formats/xml.h"
#include "bloblang/formats/yaml.h"
#include "bloblang/language/function.h"

/* --- JSON --- */

/* Numbers of a parsed text are floats unless the text is to be kept. Returns false past the limits. */
static bool to_floats(struct call *call, struct value *v, int depth)
{
	double d;

	if (depth > JSON_DEPTH_MAX || call_spent(call))
		return false;
	if (v->kind == VALUE_NUMBER) {
		if (!number_parse_float(v->text, v->length, &d))
			return call_fail(
			    call,
			    "failed to parse value as JSON: json: cannot unmarshal number %.*s into Go value "
			    "of type float64",
			    (int)v->length, v->text);
		*v = value_float(d);
	}
	for (uint32_t i = 0; i < value_count(*v); i++) {
		struct value *member = v->kind == VALUE_ARRAY ? &v->array->items[i] : &v->object->pairs[i].value;

		if (!to_floats(call, member, depth + 1))
			return false;
	}
	return true;
}

static bool is_blank(struct value text)
{
	uint32_t i = 0;

	while (i < text.length && strchr(" \t\r\n", text.text[i]) && text.text[i])
		i++;
	return i == text.length;
}

static bool parse_json(struct call *call, struct value *ret)
{
	bool keep = call->args[0].kind == VALUE_BOOL && call->args[0].boolean;
	struct value text;
	const char *error;
	size_t end;

	if (!call_need_text(call, call->target, &text))
		return false;
	if (is_blank(text))
		return call_fail(call, "failed to parse value as JSON: EOF");
	if (!json_parse_first(call->arena, text.text, text.length, ret, &end, &error))
		return call_fail(call, "failed to parse value as JSON: %s", error);
	return keep || to_floats(call, ret, 0);
}

static bool format_json(struct call *call, struct value *ret)
{
	struct value indent = call->args[0];
	struct json_style style = {.escape_html = call->args[2].boolean, .literal_null = true};
	const char *error;
	struct text t;

	if (!call->args[1].boolean)
		style.indent = arena_copy(call->arena, indent.text, indent.length);
	if (style.indent && style.indent[0] == '\0')
		style.indent = NULL;
	text_init(&t, call->arena);
	if (!json_print(&t, call->target, &style, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&t, VALUE_BYTES);
	return true;
}

/* --- YAML, XML, MessagePack --- */

static bool parse_yaml(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	return yaml_read(call->arena, in.text, in.length, ret, &error) ||
	       call_fail(call, "failed to parse value as YAML: %s", error);
}

static bool format_yaml(struct call *call, struct value *ret)
{
	struct text out;

	text_init(&out, call->arena);
	yaml_write(&out, call->target);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool parse_xml(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	return xml_read(call->arena, in.text, in.length, call->args[0].boolean, ret, &error) ||
	       call_fail(call, "parsing value as XML: %s", error);
}

static bool format_xml(struct call *call, struct value *ret)
{
	struct value indent = call->args[0], root = call->args[2];
	const char *step;
	const char *error;
	struct text out;

	if (call->target.kind != VALUE_OBJECT)
		return call_fail_type(call, call->target, "object");
	step = call->args[1].boolean ? NULL : arena_copy(call->arena, indent.text, indent.length);
	text_init(&out, call->arena);
	if (!xml_write(&out, call->target, step, root.kind == VALUE_STRING ? root.text : NULL, root.length, &error))
		return call_fail(call, "%s", error);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

static bool parse_msgpack(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_text(call, call->target, &in))
		return false;
	return msgpack_read(call->arena, in.text, in.length, ret, &error) || call_fail(call, "%s", error);
}

static bool format_msgpack(struct call *call, struct value *ret)
{
	struct text out;

	text_init(&out, call->arena);
	if (!msgpack_write(&out, call->target))
		return !call_spent(call) && call_fail(call, "msgpack: nested more than %d deep", MSGPACK_DEPTH_MAX);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

/* --- CSV, logfmt, URLs --- */

static struct value row_object(struct call *call, struct value headers, struct value row)
{
	struct value object = value_object(call->arena, value_count(row));

	must(value_count(row) == value_count(headers));
	for (uint32_t i = 0; i < value_count(row); i++) {
		struct value key = headers.array->items[i];

		value_object_append(call->arena, object, key.text, key.length, row.array->items[i]);
	}
	value_object_sort(call->arena, object);
	return object;
}

static bool parse_csv(struct call *call, struct value *ret)
{
	struct value in, rows, delimiter = call->args[1];
	struct csv_options options = {.lazy_quotes = call->args[2].boolean};
	const char *error;

	if (utf8_count(delimiter.text, delimiter.length) != 1)
		return call_fail(call, "delimiter value must be exactly one character");
	if (!call_need_text(call, call->target, &in))
		return false;
	(void)utf8_decode(delimiter.text, delimiter.text + delimiter.length, &options.delimiter, NULL);
	if (!csv_parse(call->arena, in.text, in.length, &options, &rows, &error))
		return call_fail(call, "%s", error);
	if (value_count(rows) == 0)
		return call_fail(call, "zero records were parsed");
	if (!call->args[0].boolean) {
		*ret = rows;
		return true;
	}
	*ret = value_array(call->arena, value_count(rows));
	for (uint32_t i = 1; i < value_count(rows); i++) {
		value_array_push(call->arena, *ret, row_object(call, rows.array->items[0], rows.array->items[i]));
		if (call_spent(call))
			return false;
	}
	return true;
}

static bool parse_logfmt(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	return logfmt_parse(call->arena, in.text, in.length, ret, &error) || call_fail(call, "%s", error);
}

static bool parse_url(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	return url_parse(call->arena, in.text, in.length, ret, &error) || call_fail(call, "%s", error);
}

static bool parse_form_url_encoded(struct call *call, struct value *ret)
{
	struct value in;
	const char *error;

	if (!call_need_string(call, call->target, &in))
		return false;
	return url_parse_form(call->arena, in.text, in.length, ret, &error) ||
	       call_fail(call, "failed to parse value as url-encoded data: %s", error);
}

/* clang-format off */
const struct bloblang_row rows_methods_parsing[] = {
	{.name = "parse_json", .kind = METHOD, .evaluate = parse_json,
	 .parameters = {{"use_number", PARAM_BOOL, true, NULL}},
	 .summary = "The first JSON value of a text; numbers are floats unless use_number is true."},
	{.name = "format_json", .kind = METHOD, .status = BETA, .flags = ROW_PLAIN, .evaluate = format_json,
	 .parameters = {{"indent", PARAM_STRING, false, "\"    \""}, {"no_indent", PARAM_BOOL, false, "false"},
	 {"escape_html", PARAM_BOOL, false, "true"}}, .summary = "The value as JSON bytes."},
	{.name = "parse_yaml", .kind = METHOD, .evaluate = parse_yaml,
	 .summary = "The first YAML document of a text."},
	{.name = "format_yaml", .kind = METHOD, .evaluate = format_yaml, .summary = "The value as a YAML document."},
	{.name = "parse_xml", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = parse_xml,
	 .parameters = {{"cast", PARAM_BOOL, false, "false"}}, .summary = "An XML document as an object."},
	{.name = "format_xml", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = format_xml,
	 .parameters = {{"indent", PARAM_STRING, false, "\"    \""}, {"no_indent", PARAM_BOOL, false, "false"},
	 {"root_tag", PARAM_STRING, true, NULL}}, .summary = "An object as an XML document."},
	{.name = "parse_msgpack", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = parse_msgpack,
	 .summary = "The first MessagePack value of the bytes."},
	{.name = "format_msgpack", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = format_msgpack,
	 .summary = "The value as MessagePack."},
	{.name = "parse_csv", .kind = METHOD, .evaluate = parse_csv,
	 .parameters = {{"parse_header_row", PARAM_BOOL, false, "true"}, {"delimiter", PARAM_STRING, false, "\",\""},
	 {"lazy_quotes", PARAM_BOOL, false, "false"}},
	 .summary = "Rows of CSV as objects by the header row, or as arrays."},
	{.name = "parse_logfmt", .kind = METHOD, .evaluate = parse_logfmt,
	 .summary = "The key=value pairs of a logfmt line."},
	{.name = "parse_url", .kind = METHOD, .evaluate = parse_url, .summary = "The parts of a URL as an object."},
	{.name = "parse_form_url_encoded", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = parse_form_url_encoded,
	 .summary = "A form body as an object."},
	{.name = NULL},
};
/* clang-format on */
