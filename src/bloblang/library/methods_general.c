/* Methods of the family "general": named maps, fallbacks, other messages of the batch. */
#include "bloblang/language/function.h"

static const char *annotate_apply(struct call *call)
{
	if (!call->args || call->args[0].kind != VALUE_STRING)
		return NULL;
	return arena_format(call->arena, "map %.*s", (int)call->args[0].length, call->args[0].text);
}

static const char *annotate_from(struct call *call)
{
	return call->args
	           ? arena_format(call->arena, "%s from %lld", call_annotation(call), (long long)call->args[0].integer)
	           : NULL;
}

static const char *annotate_map(struct call *call) { return call_query_annotation(call, 0); }

static const char *annotate_not(struct call *call)
{
	return arena_format(call->arena, "not %s", call_annotation(call));
}

static bool apply(struct call *call, struct value *ret) { return call_map(call, call->args[0], call->target, ret); }

/* The fallback sees the failure's text as `this`. */
static bool catch (struct call *call, struct value *ret)
{
	if (call_target(call, ret))
		return true;
	if (call_failed_for_good(call))
		return false;
	return call_query(call, 0, call_failure_value(call), ret) || call_fail_settled(call);
}

static bool or (struct call * call, struct value *ret)
{
	if (call_target(call, ret)) {
		if (!value_is_nullish(*ret))
			return true;
	} else if (call_failed_for_good(call)) {
		return false;
	}
	return call_query_here(call, 0, ret) || call_fail_settled(call);
}

static bool from(struct call *call, struct value *ret) { return call_target_at(call, call->args[0].integer, ret); }

static bool from_all(struct call *call, struct value *ret)
{
	size_t count = call_batch_count(call);

	*ret = value_array(call->arena, count);
	for (size_t i = 0; i < count; i++) {
		struct value v;

		if (!call_target_at(call, (int64_t)i, &v))
			return false;
		value_array_push(call->arena, *ret, v);
	}
	return true;
}

static bool map(struct call *call, struct value *ret)
{
	return call_query(call, 0, call->target, ret) || call_fail_settled(call);
}

static bool not(struct call * call, struct value *ret)
{
	if (call->target.kind != VALUE_BOOL)
		return call_fail_type(call, call->target, "bool");
	*ret = value_bool(!call->target.boolean);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_general[] = {
	{.name = "apply", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = apply, .annotate = annotate_apply,
	 .parameters = {{"mapping", PARAM_STRING, false, NULL}}, .summary = "Runs a named map on the target."},
	{.name = "catch", .kind = METHOD, .flags = ROW_LAZY, .evaluate = catch,
	 .parameters = {{"fallback", PARAM_QUERY_OR_VALUE, false, NULL}},
	 .summary = "The fallback when the target fails; it sees the error text as `this`."},
	{.name = "or", .kind = METHOD, .flags = ROW_LAZY, .evaluate = or,
	 .parameters = {{"fallback", PARAM_QUERY_OR_VALUE, false, NULL}},
	 .summary = "The fallback when the target fails or is null."},
	{.name = "from", .kind = METHOD, .flags = ROW_LAZY | ROW_READS_BATCH | ROW_VARIES, .evaluate = from, .annotate = annotate_from,
	 .parameters = {{"index", PARAM_INT, false, NULL}},
	 .summary = "The target as another message of the batch sees it; negative counts from the end."},
	{.name = "from_all", .kind = METHOD, .flags = ROW_LAZY | ROW_READS_BATCH | ROW_VARIES, .evaluate = from_all,
	 .summary = "The target as each message of the batch sees it, as an array."},
	{.name = "map", .kind = METHOD, .evaluate = map, .annotate = annotate_map,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}}, .summary = "Runs a query with the target as `this`."},
	{.name = "not", .kind = METHOD, .evaluate = not, .annotate = annotate_not, .summary = "Negates a bool."},
	{.name = NULL},
};
/* clang-format on */
