/* Methods of the family "objects and arrays" that merge objects and select by paths. */
#include <string.h>

#include "value/json.h"
#include "value/path.h"
#include "bloblang/language/function.h"

enum merge_mode {
	MERGE_COLLECT, /* what collides becomes an array of both */
	MERGE_REPLACE, /* the new value wins */
};

static void push_all(struct call *call, struct value array, struct value v)
{
	if (v.kind != VALUE_ARRAY) {
		value_array_push(call->arena, array, v);
		return;
	}
	for (uint32_t i = 0; i < v.array->count; i++)
		value_array_push(call->arena, array, v.array->items[i]);
}

static struct value collect(struct call *call, struct value into, struct value from)
{
	struct value array = value_array(call->arena, 2);

	push_all(call, array, into);
	push_all(call, array, from);
	return array;
}

/* Two objects, or anything into anything one level down. */
static struct value merge_deep(struct call *call, enum merge_mode mode, struct value into, struct value from, int depth)
{
	struct value merged;

	if (into.kind != VALUE_OBJECT || from.kind != VALUE_OBJECT || depth > JSON_DEPTH_MAX / 4)
		return mode == MERGE_COLLECT ? collect(call, into, from) : from;
	merged = value_object(call->arena, into.object->count + from.object->count);
	for (uint32_t i = 0; i < into.object->count; i++)
		value_object_append(call->arena, merged, into.object->pairs[i].key, into.object->pairs[i].key_length,
		                    into.object->pairs[i].value);
	for (uint32_t i = 0; i < from.object->count && !call_spent(call); i++) {
		const struct value_pair *pair = &from.object->pairs[i];
		const struct value *old = value_object_find(into, pair->key, pair->key_length);

		value_object_append(call->arena, merged, pair->key, pair->key_length,
		                    old ? merge_deep(call, mode, *old, pair->value, depth + 1) : pair->value);
	}
	value_object_sort(call->arena, merged);
	return merged;
}

static bool merge_values(struct call *call, enum merge_mode mode, struct value *ret)
{
	struct value into = call->target;
	struct value from = call->args[0];

	if (into.kind == VALUE_ARRAY) {
		*ret = value_array(call->arena, into.array->count + 1);
		push_all(call, *ret, into);
		push_all(call, *ret, from);
		return true;
	}
	if (into.kind != VALUE_OBJECT)
		return call_fail_type(call, into, "object or array");
	*ret = from.kind == VALUE_OBJECT ? merge_deep(call, mode, into, from, 0) : into;
	return true;
}

static bool merge(struct call *call, struct value *ret) { return merge_values(call, MERGE_COLLECT, ret); }

static bool assign(struct call *call, struct value *ret) { return merge_values(call, MERGE_REPLACE, ret); }

static bool squash(struct call *call, struct value *ret)
{
	if (call->target.kind != VALUE_ARRAY)
		return call_fail_type(call, call->target, "array");
	*ret = value_object(call->arena, 0);
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (call->target.array->items[i].kind == VALUE_OBJECT)
			*ret = merge_deep(call, MERGE_COLLECT, *ret, call->target.array->items[i], 0);
		if (call_spent(call))
			return false;
	}
	return true;
}

/* The paths that go on with this key, for the next level; *ret_ends says whether one ends here. */
static size_t paths_with_key(struct arena *a, const struct value_pair *pair, const struct path *paths, size_t count,
                             size_t at, struct path **ret, bool *ret_ends)
{
	struct path *kept = arena_alloc(a, (count + 1) * sizeof *kept);
	size_t n = 0;

	*ret_ends = false;
	for (size_t i = 0; i < count; i++) {
		const struct json_step *step = &paths[i].steps[at];

		if (step->length != pair->key_length || memcmp(step->text, pair->key, step->length) != 0)
			continue;
		if (paths[i].count == at + 1)
			*ret_ends = true;
		else
			kept[n++] = paths[i];
	}
	*ret = kept;
	return n;
}

/* What of an object lies at one of the paths, looking at steps from `at`. */
static struct value keep_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at)
{
	struct value kept = value_object(a, 4);

	for (uint32_t i = 0; i < v.object->count; i++) {
		const struct value_pair *pair = &v.object->pairs[i];
		struct path *inner;
		bool ends;
		size_t n = paths_with_key(a, pair, paths, count, at, &inner, &ends);

		if (!ends && n == 0)
			continue;
		/* A longer path wins over one that ends here, as in the reference. */
		value_object_append(a, kept, pair->key, pair->key_length,
		                    n != 0 && pair->value.kind == VALUE_OBJECT
		                        ? keep_paths(a, pair->value, inner, n, at + 1)
		                        : pair->value);
	}
	return kept;
}

static struct value drop_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at)
{
	struct value kept = value_object(a, v.object->count);

	for (uint32_t i = 0; i < v.object->count; i++) {
		const struct value_pair *pair = &v.object->pairs[i];
		struct path *inner;
		bool ends;
		size_t n = paths_with_key(a, pair, paths, count, at, &inner, &ends);

		if (ends)
			continue;
		value_object_append(a, kept, pair->key, pair->key_length,
		                    n != 0 && pair->value.kind == VALUE_OBJECT
		                        ? drop_paths(a, pair->value, inner, n, at + 1)
		                        : pair->value);
	}
	return kept;
}

static bool need_object(struct call *call)
{
	return call->target.kind == VALUE_OBJECT || call_fail_type(call, call->target, "object");
}

/* Splits the path arguments once per call; null: the failure is set. */
static struct path *split_paths(struct call *call)
{
	struct path *paths = arena_alloc(call->arena, (call->arg_count + 1) * sizeof *paths);

	for (size_t i = 0; i < call->arg_count; i++) {
		struct value path;

		if (!call_need_string(call, call->args[i], &path))
			return NULL;
		paths[i] = (struct path){0};
		paths[i].steps = path_split(call->arena, path.text, path.length, &paths[i].count);
	}
	return paths;
}

static bool prepare_paths(struct call *call)
{
	for (size_t i = 0; i < call->arg_count; i++) {
		if (!value_is_text(call->args[i]) && call->args[i].kind != VALUE_TIMESTAMP)
			return call_fail(call, "argument %zu: %s", i, call_type_text(call, call->args[i], "string"));
	}
	return true;
}

static bool with(struct call *call, struct value *ret)
{
	const struct path *paths = need_object(call) ? split_paths(call) : NULL;

	if (!paths)
		return false;
	*ret = keep_paths(call->arena, call->target, paths, call->arg_count, 0);
	return true;
}

static bool without(struct call *call, struct value *ret)
{
	const struct path *paths = need_object(call) ? split_paths(call) : NULL;

	if (!paths)
		return false;
	*ret = drop_paths(call->arena, call->target, paths, call->arg_count, 0);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_objects_merge[] = {
	{.name = "merge", .kind = METHOD, .evaluate = merge, .parameters = {{"with", PARAM_ANY, false, NULL}},
	 .summary = "Merges deeply; values that collide are collected in arrays."},
	{.name = "assign", .kind = METHOD, .evaluate = assign, .parameters = {{"with", PARAM_ANY, false, NULL}},
	 .summary = "Merges deeply; of values that collide the new one stays."},
	{.name = "squash", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = squash,
	 .summary = "Merges an array of objects into one."},
	{.name = "with", .kind = METHOD, .flags = ROW_VARIADIC | ROW_PLAIN, .evaluate = with, .prepare = prepare_paths,
	 .summary = "Keeps only what lies at the given dot paths."},
	{.name = "without", .kind = METHOD, .flags = ROW_VARIADIC, .evaluate = without, .prepare = prepare_paths,
	 .summary = "Removes what lies at the given dot paths."},
	{.name = NULL},
};
/* clang-format on */
