/*
 * Methods of the family "objects and arrays" on objects, and on both.
 *
 * Invariants:
 * 1. A target never changes: only the containers on the way to a change are copied, the rest is shared.
 * 2. An object is sorted by key when it leaves: keys are taken over in order, or it is sorted at the end.
 * 3. Recursion over a value ends at DEPTH_MAX.
 */
#include <string.h>

#include "base/check.h"
#include "value/path.h"
#include "bloblang/formats/json_schema.h"
#include "bloblang/formats/jsonpath.h"
#include "bloblang/language/function.h"

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
			call_fail_query(call, 0);
			return call_fail_within(call, "failed to process element %u", i);
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
			call_fail_query(call, 0);
			return call_fail_within(call, "failed to process element %.*s", (int)pair->key_length,
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

static bool map_each_key(struct call *call, struct value *ret)
{
	if (call->target.kind != VALUE_OBJECT)
		return call_fail_type(call, call->target, "object");
	*ret = value_object(call->arena, value_count(call->target));
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		struct value_pair *pair = &call->target.object->pairs[i];
		struct value key;

		if (!call_query(call, 0, value_string(pair->key, pair->key_length), &key) || call_spent(call))
			return false;
		if (key.kind == VALUE_NOTHING)
			key = value_string(pair->key, pair->key_length);
		if (key.kind != VALUE_STRING)
			return call_fail(call, "unexpected result from key mapping: %s",
			                 call_type_text(call, key, "string"));
		value_object_append(call->arena, *ret, key.text, key.length, pair->value);
	}
	value_object_sort(call->arena, *ret);
	return true;
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
		struct value text;
		const char *error;

		if (!value_to_text(call->arena, wanted, &text, &error))
			return call_fail(call, "%s", error);
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

static bool get(struct call *call, struct value *ret)
{
	size_t count;
	struct json_step *steps = path_split(call->arena, call->args[0].text, call->args[0].length, &count);

	*ret = path_get(call->arena, call->target, steps, count, NULL);
	return true;
}

static bool exists(struct call *call, struct value *ret)
{
	size_t count;
	struct json_step *steps = path_split(call->arena, call->args[0].text, call->args[0].length, &count);
	bool found;

	(void)path_get(call->arena, call->target, steps, count, &found);
	*ret = value_bool(found);
	return true;
}

/* --- collapse --- */

enum { DEPTH_MAX = 1000 };

struct collapse {
	struct arena *arena;
	struct value out;
	bool include_empty;
	struct text path;
};

static void collapse_into(struct collapse *c, struct value v, int depth)
{
	size_t here = c->path.length;
	bool container = v.kind == VALUE_ARRAY || v.kind == VALUE_OBJECT;

	must(depth <= DEPTH_MAX);
	if (!container || value_count(v) == 0 || depth == DEPTH_MAX) {
		if (!container || c->include_empty || value_count(v) > 0)
			value_object_append(c->arena, c->out, arena_copy(c->arena, text_end(&c->path), here), here,
			                    value_assigned(c->arena, v));
		return;
	}
	for (uint32_t i = 0; i < value_count(v) && !arena_is_spent(c->arena); i++) {
		if (here > 0)
			text_add_char(&c->path, '.');
		if (v.kind == VALUE_ARRAY)
			text_addf(&c->path, "%u", i);
		else
			text_add(&c->path, v.object->pairs[i].key, v.object->pairs[i].key_length);
		collapse_into(c, v.kind == VALUE_ARRAY ? v.array->items[i] : v.object->pairs[i].value, depth + 1);
		c->path.length = here;
	}
}

static bool collapse(struct call *call, struct value *ret)
{
	struct collapse c = {
	    .arena = call->arena, .out = value_object(call->arena, 8), .include_empty = call->args[0].boolean};

	if (call->target.kind != VALUE_ARRAY && call->target.kind != VALUE_OBJECT)
		return call_fail(call, "not an object or array");
	text_init(&c.path, call->arena);
	collapse_into(&c, call->target, 0);
	value_object_sort(call->arena, c.out);
	*ret = c.out;
	return true;
}

/* --- explode --- */

/* A copy of v with one value put at the path; only the containers on the way are copied. The path exists. */
static struct value with_path(struct arena *a, struct value v, const struct json_step *steps, size_t count,
                              struct value item)
{
	struct value copy;
	uint64_t index = 0;

	if (count == 0)
		return item;
	if (v.kind == VALUE_OBJECT) {
		copy = value_object(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			const struct value_pair *pair = &v.object->pairs[i];
			bool here =
			    pair->key_length == steps->length && memcmp(pair->key, steps->text, steps->length) == 0;

			value_object_append(a, copy, pair->key, pair->key_length,
			                    here ? with_path(a, pair->value, steps + 1, count - 1, item) : pair->value);
		}
		return copy;
	}
	if (v.kind != VALUE_ARRAY)
		return v;
	for (uint32_t i = 0; i < steps->length && index < UINT32_MAX; i++)
		index = index * 10 + (uint64_t)(steps->text[i] - '0');
	copy = value_array(a, value_count(v));
	for (uint32_t i = 0; i < value_count(v); i++)
		value_array_push(a, copy,
		                 i == index ? with_path(a, v.array->items[i], steps + 1, count - 1, item)
		                            : v.array->items[i]);
	return copy;
}

static bool explode(struct call *call, struct value *ret)
{
	struct value path = call->args[0], found;
	struct json_step *steps;
	size_t count;

	if (call->target.kind != VALUE_OBJECT)
		return call_fail_type(call, call->target, "object");
	steps = path_split(call->arena, path.text, path.length, &count);
	found = path_get(call->arena, call->target, steps, count, NULL);
	if (found.kind == VALUE_ARRAY) {
		*ret = value_array(call->arena, value_count(found));
		for (uint32_t i = 0; i < value_count(found); i++) {
			value_array_push(call->arena, *ret,
			                 with_path(call->arena, call->target, steps, count, found.array->items[i]));
			if (call_spent(call))
				return false;
		}
		return true;
	}
	if (found.kind != VALUE_OBJECT)
		return call_fail(call, "expected array or object value at path '%.*s', found: %s", (int)path.length,
		                 path.text, value_type_name(found));
	*ret = value_object(call->arena, value_count(found));
	for (uint32_t i = 0; i < value_count(found); i++) {
		struct value_pair *pair = &found.object->pairs[i];

		value_object_append(call->arena, *ret, pair->key, pair->key_length,
		                    with_path(call->arena, call->target, steps, count, pair->value));
		if (call_spent(call))
			return false;
	}
	return true;
}

/* --- JSON Schema and JSONPath --- */

static bool prepare_schema(struct call *call)
{
	const char *error;

	call->owned = schema_compile(call->arena, call->args[0].text, call->args[0].length, &error);
	call->prepared = call->owned;
	return call->owned || call_fail_final(call, "failed to parse json schema definition: %s", error);
}

static void release_schema(void *prepared) { schema_release(prepared); }

static bool json_schema(struct call *call, struct value *ret)
{
	struct text problems;

	text_init(&problems, call->arena);
	*ret = call->target;
	return schema_check(call->prepared, call->target, &problems) || call_fail(call, "%s", text_end(&problems));
}

static bool prepare_path(struct call *call)
{
	const char *error;

	call->prepared = jsonpath_compile(call->arena, call->args[0].text, call->args[0].length, &error);
	return call->prepared || call_fail_final(call, "%s", error);
}

static bool json_path(struct call *call, struct value *ret)
{
	const char *error;

	return jsonpath_run(call->arena, call->prepared, call->target, ret, &error) || call_fail(call, "%s", error);
}

/* clang-format off */
const struct bloblang_row rows_methods_objects[] = {
	{.name = "filter", .kind = METHOD, .evaluate = filter, .parameters = {{"test", PARAM_QUERY, false, NULL}},
	 .summary = "Keeps the elements, or {key, value} entries, for which a test is true."},
	{.name = "map_each", .kind = METHOD, .evaluate = map_each,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}},
	 .summary = "Maps each element of an array or value of an object."},
	{.name = "map_each_key", .kind = METHOD, .evaluate = map_each_key,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}}, .summary = "Renames the keys of an object."},
	{.name = "keys", .kind = METHOD, .evaluate = keys, .summary = "The keys of an object, sorted."},
	{.name = "values", .kind = METHOD, .evaluate = values, .summary = "The values of an object."},
	{.name = "key_values", .kind = METHOD, .evaluate = key_values, .summary = "An array of {key, value}."},
	{.name = "length", .kind = METHOD, .evaluate = length, .summary = "Bytes of a text, elements or keys."},
	{.name = "contains", .kind = METHOD, .evaluate = contains, .parameters = {{"value", PARAM_ANY, false, NULL}},
	 .summary = "True when a text contains another, or a container a value."},
	{.name = "get", .kind = METHOD, .flags = ROW_IS_PATH, .evaluate = get,
	 .parameters = {{"path", PARAM_STRING, false, NULL}},
	 .summary = "The value at a dot path; null when missing."},
	{.name = "exists", .kind = METHOD, .evaluate = exists, .parameters = {{"path", PARAM_STRING, false, NULL}},
	 .summary = "True when a dot path leads to something, be it null."},
	{.name = "collapse", .kind = METHOD, .evaluate = collapse,
	 .parameters = {{"include_empty", PARAM_BOOL, false, "false"}}, .summary = "A flat object of dot paths."},
	{.name = "explode", .kind = METHOD, .evaluate = explode, .parameters = {{"path", PARAM_STRING, false, NULL}},
	 .summary = "One document for each element or value at a path."},
	{.name = "json_schema", .kind = METHOD, .status = BETA, .evaluate = json_schema, .prepare = prepare_schema,
	 .release = release_schema, .parameters = {{"schema", PARAM_STRING, false, NULL}},
	 .summary = "The value itself when it satisfies a JSON schema."},
	{.name = "json_path", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = json_path, .prepare = prepare_path,
	 .parameters = {{"expression", PARAM_STRING, false, NULL}}, .summary = "What a JSONPath finds."},
	{.name = NULL},
};
/* clang-format on */
