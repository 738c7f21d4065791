#include "bloblang/library/merge.h"

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

struct value merge_deep(struct call *call, enum merge_mode mode, struct value into, struct value from, int depth)
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
	value_object_sort(merged);
	return merged;
}

bool merge_values(struct call *call, enum merge_mode mode, struct value *ret)
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

struct value keep_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at)
{
	struct value kept = value_object(a, 4);

	for (uint32_t i = 0; i < v.object->count; i++) {
		const struct value_pair *pair = &v.object->pairs[i];
		struct path *inner;
		bool ends;
		size_t n = paths_with_key(a, pair, paths, count, at, &inner, &ends);

		if (!ends && n == 0)
			continue;
		value_object_append(a, kept, pair->key, pair->key_length,
		                    !ends && pair->value.kind == VALUE_OBJECT
		                        ? keep_paths(a, pair->value, inner, n, at + 1)
		                        : pair->value);
	}
	return kept;
}

struct value drop_paths(struct arena *a, struct value v, const struct path *paths, size_t count, size_t at)
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
