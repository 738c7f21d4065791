#include "value/path.h"
#include "bloblang/language/node.h"
#include "bloblang/library/merge.h"

static bool need_object(struct call *call)
{
	return call->target.kind == VALUE_OBJECT || call_fail_type(call, call->target, "object");
}

static struct value entry_of(struct call *call, const struct value_pair *pair)
{
	struct value entry = value_object(call->arena, 2);

	value_object_append(call->arena, entry, "key", 3, value_string(pair->key, pair->key_length));
	value_object_append(call->arena, entry, "value", 5, pair->value);
	return entry;
}

static bool filter_array(struct call *call, struct value *ret)
{
	const struct value_array *array = call->target.array;

	*ret = value_array(call->arena, array->count);
	for (uint32_t i = 0; i < array->count; i++) {
		struct value v;

		if (!call_query(call, 0, array->items[i], &v))
			return false;
		if (v.kind == VALUE_BOOL && v.boolean)
			value_array_push(call->arena, *ret, array->items[i]);
	}
	return true;
}

static bool filter_object(struct call *call, struct value *ret)
{
	const struct value_object *object = call->target.object;

	*ret = value_object(call->arena, object->count);
	for (uint32_t i = 0; i < object->count; i++) {
		const struct value_pair *pair = &object->pairs[i];
		struct value v;

		if (!call_query(call, 0, entry_of(call, pair), &v))
			return false;
		if (v.kind == VALUE_BOOL && v.boolean)
			value_object_append(call->arena, *ret, pair->key, pair->key_length, pair->value);
	}
	return true;
}

static bool filter(struct call *call, struct value *ret)
{
	if (call->target.kind == VALUE_ARRAY)
		return filter_array(call, ret);
	if (call->target.kind == VALUE_OBJECT)
		return filter_object(call, ret);
	return call_fail_type(call, call->target, "array or object");
}

static bool map_array(struct call *call, struct value *ret)
{
	const struct value_array *array = call->target.array;

	*ret = value_array(call->arena, array->count);
	for (uint32_t i = 0; i < array->count; i++) {
		struct value v;

		if (!call_query(call, 0, array->items[i], &v)) {
			fail_annotate(call->evaluation, call->site->args[0]);
			return fail_wrap(call->evaluation, "failed to process element %u", i);
		}
		if (v.kind != VALUE_DELETE)
			value_array_push(call->arena, *ret, v.kind == VALUE_NOTHING ? array->items[i] : v);
	}
	return true;
}

static bool map_object(struct call *call, struct value *ret)
{
	const struct value_object *object = call->target.object;

	*ret = value_object(call->arena, object->count);
	for (uint32_t i = 0; i < object->count; i++) {
		const struct value_pair *pair = &object->pairs[i];
		struct value v;

		if (!call_query(call, 0, entry_of(call, pair), &v)) {
			fail_annotate(call->evaluation, call->site->args[0]);
			return fail_wrap(call->evaluation, "failed to process element %.*s", (int)pair->key_length,
			                 pair->key);
		}
		if (v.kind != VALUE_DELETE)
			value_object_append(call->arena, *ret, pair->key, pair->key_length,
			                    v.kind == VALUE_NOTHING ? pair->value : v);
	}
	return true;
}

static bool map_each(struct call *call, struct value *ret)
{
	if (call->target.kind == VALUE_ARRAY)
		return map_array(call, ret);
	if (call->target.kind == VALUE_OBJECT)
		return map_object(call, ret);
	return call_fail_type(call, call->target, "array");
}

static bool keys(struct call *call, struct value *ret)
{
	if (!need_object(call))
		return false;
	*ret = value_array(call->arena, call->target.object->count);
	for (uint32_t i = 0; i < call->target.object->count; i++)
		value_array_push(
		    call->arena, *ret,
		    value_string(call->target.object->pairs[i].key, call->target.object->pairs[i].key_length));
	return true;
}

static bool values(struct call *call, struct value *ret)
{
	if (!need_object(call))
		return false;
	*ret = value_array(call->arena, call->target.object->count);
	for (uint32_t i = 0; i < call->target.object->count; i++)
		value_array_push(call->arena, *ret, call->target.object->pairs[i].value);
	return true;
}

static bool key_values(struct call *call, struct value *ret)
{
	if (!need_object(call))
		return false;
	*ret = value_array(call->arena, call->target.object->count);
	for (uint32_t i = 0; i < call->target.object->count; i++)
		value_array_push(call->arena, *ret, entry_of(call, &call->target.object->pairs[i]));
	return true;
}

static bool length(struct call *call, struct value *ret)
{
	struct value v = call->target;

	if (!value_is_text(v) && v.kind != VALUE_ARRAY && v.kind != VALUE_OBJECT)
		return call_fail_type(call, v, "string, array or object");
	*ret = value_int(value_is_text(v) ? v.length : value_count(v));
	return true;
}

static bool contains(struct call *call, struct value *ret)
{
	struct value v = call->target;
	struct value wanted = call->args[0];
	bool hit = false;

	if (value_is_text(v)) {
		struct value text = value_to_text(call->arena, wanted);

		*ret = value_bool(text.length == 0 || memmem(v.text, v.length, text.text, text.length));
		return true;
	}
	if (v.kind != VALUE_ARRAY && v.kind != VALUE_OBJECT)
		return call_fail_type(call, v, "string, array or object");
	for (uint32_t i = 0; i < value_count(v) && !hit && !call_spent(call); i++)
		hit = value_equal(wanted, v.kind == VALUE_ARRAY ? v.array->items[i] : v.object->pairs[i].value);
	*ret = value_bool(hit);
	return true;
}

static bool merge(struct call *call, struct value *ret) { return merge_values(call, MERGE_COLLECT, ret); }

static bool assign(struct call *call, struct value *ret) { return merge_values(call, MERGE_REPLACE, ret); }

/* Splits the path arguments once per call. */
static bool split_paths(struct call *call, struct path **ret)
{
	struct path *paths = arena_alloc(call->arena, (call->arg_count + 1) * sizeof *paths);

	for (size_t i = 0; i < call->arg_count; i++) {
		if (!value_is_text(call->args[i]))
			return call_fail_type(call, call->args[i], "string");
		paths[i] = (struct path){0};
		paths[i].steps = path_split(call->arena, call->args[i].text, call->args[i].length, &paths[i].count);
	}
	*ret = paths;
	return true;
}

static bool prepare_without(struct call *call)
{
	for (size_t i = 0; i < call->arg_count; i++) {
		if (!value_is_text(call->args[i]))
			return call_fail(call, "argument %zu: %s", i, call_type_text(call, call->args[i], "string"));
	}
	return true;
}

static bool with(struct call *call, struct value *ret)
{
	struct path *paths = NULL;

	if (!need_object(call) || !split_paths(call, &paths))
		return false;
	*ret = keep_paths(call->arena, call->target, paths, call->arg_count, 0);
	return true;
}

static bool without(struct call *call, struct value *ret)
{
	struct path *paths = NULL;

	if (!need_object(call) || !split_paths(call, &paths))
		return false;
	*ret = drop_paths(call->arena, call->target, paths, call->arg_count, 0);
	return true;
}

const struct bloblang_row rows_methods_objects[] = {
    {.name = "filter",
     .kind = METHOD,
     .evaluate = filter,
     .parameters = {{"test", PARAM_QUERY, false, NULL}},
     .summary = "Keeps the elements, or {key, value} entries, for which a test is true."},
    {.name = "map_each",
     .kind = METHOD,
     .evaluate = map_each,
     .parameters = {{"query", PARAM_QUERY, false, NULL}},
     .summary = "Maps each element of an array or value of an object."},
    {.name = "keys", .kind = METHOD, .evaluate = keys, .summary = "The keys of an object, sorted."},
    {.name = "values", .kind = METHOD, .evaluate = values, .summary = "The values of an object."},
    {.name = "key_values", .kind = METHOD, .evaluate = key_values, .summary = "An array of {key, value}."},
    {.name = "length", .kind = METHOD, .evaluate = length, .summary = "Bytes of a text, elements or keys."},
    {.name = "contains",
     .kind = METHOD,
     .evaluate = contains,
     .parameters = {{"value", PARAM_ANY, false, NULL}},
     .summary = "True when a text contains another, or a container a value."},
    {.name = "merge",
     .kind = METHOD,
     .evaluate = merge,
     .parameters = {{"with", PARAM_ANY, false, NULL}},
     .summary = "Merges deeply; values that collide are collected in arrays."},
    {.name = "assign",
     .kind = METHOD,
     .evaluate = assign,
     .parameters = {{"with", PARAM_ANY, false, NULL}},
     .summary = "Merges deeply; of values that collide the new one stays."},
    {.name = "with",
     .kind = METHOD,
     .flags = ROW_VARIADIC | ROW_PLAIN,
     .evaluate = with,
     .summary = "Keeps only what lies at the given dot paths."},
    {.name = "without",
     .kind = METHOD,
     .flags = ROW_VARIADIC,
     .evaluate = without,
     .prepare = prepare_without,
     .summary = "Removes what lies at the given dot paths."},
    {.name = NULL},
};
