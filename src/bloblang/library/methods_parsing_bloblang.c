/* bloblang, of the family "parsing": runs a mapping held in a string. */
#include "value/json.h"
#include "bloblang/language/function.h"

static bool prepare_mapping(struct call *call) { return call_mapping_prepare(call, call->args[0]); }

/* A copy that does not need the mapping's arena. False past a limit, or when the value is nested too deeply. */
static bool detach(struct call *call, struct value v, int depth, struct value *ret)
{
	struct arena *a = call->arena;
	struct value item;

	*ret = v;
	if (depth > JSON_DEPTH_MAX)
		return call_fail(call, "exceeded max depth");
	if (call_spent(call))
		return false;
	switch ((enum value_kind)v.kind) {
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		if (!arena_fits(a, v.length + (size_t)1))
			return false;
		ret->text = arena_copy(a, v.text, v.length);
		return true;
	case VALUE_TIMESTAMP:
		*ret = value_timestamp(a, v.time);
		return true;
	case VALUE_ARRAY:
		*ret = value_array(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			if (!detach(call, v.array->items[i], depth + 1, &item))
				return false;
			value_array_push(a, *ret, item);
		}
		return true;
	case VALUE_OBJECT:
		*ret = value_object(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			const struct value_pair *pair = &v.object->pairs[i];

			if (!detach(call, pair->value, depth + 1, &item))
				return false;
			value_object_append(a, *ret, arena_copy(a, pair->key, pair->key_length), pair->key_length,
			                    item);
		}
		return true;
	default:
		return true;
	}
}

static bool bloblang(struct call *call, struct value *ret)
{
	struct value made;

	return call_mapping_run(call, call->target, &made) && detach(call, made, 0, ret);
}

/* clang-format off */
const struct bloblang_row rows_methods_parsing_bloblang[] = {
	{.name = "bloblang", .kind = METHOD, .status = BETA, .flags = ROW_PLAIN | ROW_NOT_WITHIN, .evaluate = bloblang,
	 .prepare = prepare_mapping, .release = call_mapping_release,
	 .parameters = {{"mapping", PARAM_STRING, false, NULL}},
	 .summary = "Runs a mapping held in a string on the value."},
	{.name = NULL},
};
/* clang-format on */
