/* Methods of the family "coercion". */
#include <math.h>

#include "value/number.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/language/function.h"

static bool array(struct call *call, struct value *ret)
{
	*ret = call->target;
	if (call->target.kind != VALUE_ARRAY) {
		*ret = value_array(call->arena, 1);
		value_array_push(call->arena, *ret, call->target);
	}
	return true;
}

/* Go's ParseBool. */
static bool parse_bool(struct value v, bool *ret)
{
	static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
	static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};

	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		if (value_text_is(v, yes[i]) || value_text_is(v, no[i])) {
			*ret = value_text_is(v, yes[i]);
			return true;
		}
	}
	return false;
}

static bool to_bool(struct call *call, struct value v, struct value *ret)
{
	bool b;

	if (v.kind == VALUE_BOOL) {
		*ret = v;
		return true;
	}
	if (value_is_number(v)) {
		*ret = value_bool(value_is_truthy(v));
		return true;
	}
	if (!value_is_text(v) || !parse_bool(v, &b))
		return call_fail_type(call, v, "bool");
	*ret = value_bool(b);
	return true;
}

static bool to_number(struct call *call, struct value v, struct value *ret)
{
	double d = 0;

	if (value_to_float(v, &d)) {
		*ret = value_float(d);
		return true;
	}
	if (!value_is_text(v))
		return call_fail_type(call, v, "number");
	if (!number_parse_float(v.text, v.length, &d)) {
		struct text t;

		text_init(&t, call->arena);
		go_quote(&t, v.text, v.length, false);
		return call_fail(call, "strconv.ParseFloat: parsing %s: %s", text_end(&t),
		                 isinf(d) ? "value out of range" : "invalid syntax");
	}
	*ret = value_float(d);
	return true;
}

static bool to_timestamp(struct call *call, struct value v, struct value *ret)
{
	struct value_time t;

	if (!call_need_time(call, v, &t))
		return false;
	*ret = v.kind == VALUE_TIMESTAMP ? v : value_timestamp(call->arena, &t);
	return true;
}

/* The default stands in for a failing target as well as for one that does not convert. */
static bool coerce(struct call *call, bool convert(struct call *, struct value, struct value *), struct value *ret)
{
	struct value v;

	if (call_target(call, &v) && convert(call, v, ret))
		return true;
	if (call->args[0].kind == VALUE_NOTHING || call->arena->exceeded)
		return false;
	*ret = call->args[0];
	return true;
}

static bool boolean(struct call *call, struct value *ret) { return coerce(call, to_bool, ret); }

static bool number(struct call *call, struct value *ret) { return coerce(call, to_number, ret); }

static bool timestamp(struct call *call, struct value *ret) { return coerce(call, to_timestamp, ret); }

static bool string(struct call *call, struct value *ret)
{
	const char *error;

	return value_to_text(call->arena, call->target, ret, &error) || call_fail(call, "%s", error);
}

static bool bytes(struct call *call, struct value *ret)
{
	if (!string(call, ret))
		return false;
	ret->kind = VALUE_BYTES;
	return true;
}

static bool not_empty(struct call *call, struct value *ret)
{
	struct value v = call->target;

	*ret = v;
	if (v.kind != VALUE_STRING && v.kind != VALUE_ARRAY && v.kind != VALUE_OBJECT)
		return call_fail_type(call, v, "string, array or object");
	if ((v.kind == VALUE_STRING ? v.length : value_count(v)) != 0)
		return true;
	return call_fail(call, "%s value is empty", value_type_name(v));
}

static bool not_null(struct call *call, struct value *ret)
{
	*ret = call->target;
	return call->target.kind != VALUE_NULL || call_fail(call, "value is null");
}

static bool type(struct call *call, struct value *ret)
{
	*ret = value_literal(value_type_name(call->target));
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_coercion[] = {
	{.name = "array", .kind = METHOD, .evaluate = array, .summary = "Wraps what is not an array in one."},
	{.name = "bool", .kind = METHOD, .flags = ROW_LAZY, .evaluate = boolean,
	 .parameters = {{"default", PARAM_BOOL, true, NULL}},
	 .summary = "A bool from a number or from text; the default, if given, when that fails."},
	{.name = "number", .kind = METHOD, .flags = ROW_LAZY, .evaluate = number,
	 .parameters = {{"default", PARAM_FLOAT, true, NULL}},
	 .summary = "A float from a number or from text; the default, if given, when that fails."},
	{.name = "timestamp", .kind = METHOD, .flags = ROW_LAZY, .evaluate = timestamp,
	 .parameters = {{"default", PARAM_TIMESTAMP, true, NULL}},
	 .summary = "A timestamp from unix seconds or RFC 3339 text; the default, if given, when that fails."},
	{.name = "bytes", .kind = METHOD, .evaluate = bytes, .summary = "The bytes of the text form."},
	{.name = "string", .kind = METHOD, .evaluate = string, .summary = "The text form."},
	{.name = "not_empty", .kind = METHOD, .evaluate = not_empty,
	 .summary = "Passes a string, array or object that is not empty, and fails otherwise."},
	{.name = "not_null", .kind = METHOD, .evaluate = not_null, .summary = "Passes what is not null."},
	{.name = "type", .kind = METHOD, .evaluate = type, .summary = "The name of the value's type."},
	{.name = NULL},
};
/* clang-format on */
