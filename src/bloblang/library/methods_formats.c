/* Methods that read and write whole documents: YAML, XML, MessagePack. */
#include <string.h>

#include "bloblang/formats/msgpack.h"
#include "bloblang/formats/xml.h"
#include "bloblang/formats/yaml.h"
#include "bloblang/language/function.h"

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
	struct text out;

	if (call->target.kind != VALUE_OBJECT)
		return call_fail_type(call, call->target, "object");
	step = call->args[1].boolean ? NULL : arena_copy(call->arena, indent.text, indent.length);
	text_init(&out, call->arena);
	xml_write(&out, call->target, step, root.kind == VALUE_STRING ? root.text : NULL, root.length);
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
	msgpack_write(&out, call->target);
	*ret = value_from_text(&out, VALUE_BYTES);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_formats[] = {
	{.name = "parse_yaml", .kind = METHOD, .status = STABLE, .evaluate = parse_yaml,
	 .summary = "The first YAML document of a text."},
	{.name = "format_yaml", .kind = METHOD, .status = STABLE, .evaluate = format_yaml,
	 .summary = "The value as a YAML document."},
	{.name = "parse_xml", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = parse_xml,
	 .parameters = {{"cast", PARAM_BOOL, false, "false"}}, .summary = "An XML document as an object."},
	{.name = "format_xml", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = format_xml,
	 .parameters = {{"indent", PARAM_STRING, false, "\"    \""}, {"no_indent", PARAM_BOOL, false, "false"},
	                {"root_tag", PARAM_STRING, true, NULL}},
	 .summary = "An object as an XML document."},
	{.name = "parse_msgpack", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = parse_msgpack,
	 .summary = "The first MessagePack value of the bytes."},
	{.name = "format_msgpack", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = format_msgpack,
	 .summary = "The value as MessagePack."},
	{.name = NULL},
};
/* clang-format on */
