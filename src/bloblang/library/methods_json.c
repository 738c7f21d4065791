#include "value/json.h"
#include "value/number.h"
#include "bloblang/language/function.h"

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

static bool parse_json(struct call *call, struct value *ret)
{
	bool keep = call->args[0].kind == VALUE_BOOL && call->args[0].boolean;
	struct value text;
	const char *error;
	size_t end;

	if (!call_need_text(call, call->target, &text))
		return false;
	if (!json_parse_first(call->arena, text.text, text.length, ret, &end, &error))
		return call_fail(call, "failed to parse value as JSON: %s", error);
	return keep || to_floats(call, ret, 0);
}

static bool format_json(struct call *call, struct value *ret)
{
	struct value indent = call->args[0];
	struct json_style style = {.escape_html = call->args[2].boolean, .literal_null = true};
	struct text t;

	if (!call->args[1].boolean)
		style.indent = arena_copy(call->arena, indent.text, indent.length);
	if (style.indent && style.indent[0] == '\0')
		style.indent = NULL;
	text_init(&t, call->arena);
	if (!json_print(&t, call->target, &style))
		return call_fail(call, "the value has no JSON form");
	*ret = value_from_text(&t, VALUE_BYTES);
	return true;
}

const struct bloblang_row rows_methods_json[] = {
    {.name = "parse_json",
     .kind = METHOD,
     .evaluate = parse_json,
     .parameters = {{"use_number", PARAM_BOOL, true, NULL}},
     .summary = "The first JSON value of a text; numbers are floats unless use_number is true."},
    {.name = "format_json",
     .kind = METHOD,
     .status = BETA,
     .flags = ROW_PLAIN,
     .evaluate = format_json,
     .parameters = {{"indent", PARAM_STRING, false, "\"    \""},
                    {"no_indent", PARAM_BOOL, false, "false"},
                    {"escape_html", PARAM_BOOL, false, "true"}},
     .summary = "The value as JSON bytes."},
    {.name = NULL},
};
