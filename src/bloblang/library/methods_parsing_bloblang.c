/* bloblang, of the family "parsing": runs a mapping held in a string. */
#include "bloblang/language/function.h"

enum { DEPTH_MAX = 500 };

static bool prepare_mapping(struct call *call) { return call_mapping_prepare(call, call->args[0]); }

/* A copy that does not need the mapping's arena. */
static struct value detached(struct arena *a, struct value v, int depth)
{
	struct value copy = v;

	if (depth > DEPTH_MAX || a->exceeded)
		return value_null();
	switch ((enum value_kind)v.kind) {
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		copy.text = arena_copy(a, v.text, v.length);
		return copy;
	case VALUE_TIMESTAMP:
		return value_timestamp(a, v.time);
	case VALUE_ARRAY:
		copy = value_array(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++)
			value_array_push(a, copy, detached(a, v.array->items[i], depth + 1));
		return copy;
	case VALUE_OBJECT:
		copy = value_object(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			const struct value_pair *pair = &v.object->pairs[i];

			value_object_append(a, copy, arena_copy(a, pair->key, pair->key_length), pair->key_length,
			                    detached(a, pair->value, depth + 1));
		}
		return copy;
	default:
		return copy;
	}
}

static bool bloblang(struct call *call, struct value *ret)
{
	if (!call_mapping_run(call, call->target, ret))
		return false;
	*ret = detached(call->arena, *ret, 0);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_parsing_bloblang[] = {
	{.name = "bloblang", .kind = METHOD, .status = BETA, .flags = ROW_PLAIN, .evaluate = bloblang,
	 .prepare = prepare_mapping, .release = call_mapping_release,
	 .parameters = {{"mapping", PARAM_STRING, false, NULL}},
	 .summary = "Runs a mapping held in a string on the value."},
	{.name = NULL},
};
/* clang-format on */
