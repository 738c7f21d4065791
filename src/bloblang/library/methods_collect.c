/* Methods on arrays and objects beyond everyday reshaping. */
#include <stdio.h>
#include <string.h>

#include "value/json.h"
#include "value/path.h"
#include "bloblang/language/function.h"
#include "bloblang/library/merge.h"

enum { DEPTH_MAX = 1000 };

static bool need_array(struct call *call)
{
	return call->target.kind == VALUE_ARRAY || call_fail_type(call, call->target, "array");
}

/* --- find --- */

static bool find(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (value_equal(call->target.array->items[i], call->args[0])) {
			*ret = value_int(i);
			return true;
		}
	}
	*ret = value_int(-1);
	return true;
}

static bool find_all(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = value_array(call->arena, 4);
	for (uint32_t i = 0; i < value_count(call->target); i++)
		if (value_equal(call->target.array->items[i], call->args[0]))
			value_array_push(call->arena, *ret, value_int(i));
	return true;
}

static bool holds(struct call *call, uint32_t i, bool *ret)
{
	struct value v;

	if (!call_query(call, 0, call->target.array->items[i], &v))
		return false;
	if (v.kind != VALUE_BOOL)
		return call_fail(call, "query returned a non-boolean value for index %u: %s", i,
		                 call_type_text(call, v, "bool"));
	*ret = v.boolean;
	return !call_spent(call);
}

static bool find_by(struct call *call, struct value *ret)
{
	bool yes = false;

	if (!need_array(call))
		return false;
	*ret = value_int(-1);
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (!holds(call, i, &yes))
			return false;
		if (yes) {
			*ret = value_int(i);
			break;
		}
	}
	return true;
}

static bool find_all_by(struct call *call, struct value *ret)
{
	bool yes = false;

	if (!need_array(call))
		return false;
	*ret = value_array(call->arena, 4);
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (!holds(call, i, &yes))
			return false;
		if (yes)
			value_array_push(call->arena, *ret, value_int(i));
	}
	return true;
}

/* --- collapse --- */

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

	if (!container || value_count(v) == 0 || depth == DEPTH_MAX) {
		if (!container || c->include_empty || value_count(v) > 0)
			value_object_append(c->arena, c->out, arena_copy(c->arena, text_end(&c->path), here), here, v);
		return;
	}
	for (uint32_t i = 0; i < value_count(v) && !c->arena->exceeded; i++) {
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
		return call_fail_type(call, call->target, "object or array");
	text_init(&c.path, call->arena);
	collapse_into(&c, call->target, 0);
	value_object_sort(c.out);
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

/* --- map_each_key, zip, squash --- */

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
		if (!value_is_text(key))
			return call_fail(call, "unexpected result from key mapping: %s",
			                 call_type_text(call, key, "string"));
		value_object_append(call->arena, *ret, key.text, key.length, pair->value);
	}
	value_object_sort(*ret);
	return true;
}

static bool prepare_zip(struct call *call)
{
	for (size_t i = 0; i < call->arg_count; i++)
		if (call->args[i].kind != VALUE_ARRAY)
			return call_fail_final(call, "%s", call_type_text(call, call->args[i], "array"));
	return true;
}

static bool zip(struct call *call, struct value *ret)
{
	if (call->arg_count == 0)
		return call_fail(call, "zip requires at least one argument");
	if (!need_array(call))
		return false;
	for (size_t k = 0; k < call->arg_count; k++)
		if (value_count(call->args[k]) != value_count(call->target))
			return call_fail(call, "can't zip different length array values");
	*ret = value_array(call->arena, value_count(call->target));
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		struct value tuple = value_array(call->arena, call->arg_count + 1);

		value_array_push(call->arena, tuple, call->target.array->items[i]);
		for (size_t k = 0; k < call->arg_count; k++)
			value_array_push(call->arena, tuple, call->args[k].array->items[i]);
		value_array_push(call->arena, *ret, tuple);
		if (call_spent(call))
			return false;
	}
	return true;
}

static bool squash(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = value_object(call->arena, 0);
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (call->target.array->items[i].kind == VALUE_OBJECT)
			*ret = merge_deep(call, MERGE_COLLECT, *ret, call->target.array->items[i], 0);
		if (call_spent(call))
			return false;
	}
	return true;
}

/* clang-format off */
#define COLLECT_METHOD(name_, status_, flags_, evaluate_, summary_, ...) \
	{.name = name_, .kind = METHOD, .status = status_, .flags = flags_, .evaluate = evaluate_, \
	 .summary = summary_, .parameters = {__VA_ARGS__}}

const struct bloblang_row rows_methods_collect[] = {
	COLLECT_METHOD("find", BETA, 0, find, "The index of the first equal element, or -1.", {"value", PARAM_ANY, false, NULL}),
	COLLECT_METHOD("find_all", BETA, 0, find_all, "The indexes of all equal elements.", {"value", PARAM_ANY, false, NULL}),
	COLLECT_METHOD("find_by", BETA, 0, find_by, "The index of the first element the query holds for, or -1.", {"query", PARAM_QUERY, false, NULL}),
	COLLECT_METHOD("find_all_by", BETA, 0, find_all_by, "The indexes of all elements the query holds for.", {"query", PARAM_QUERY, false, NULL}),
	COLLECT_METHOD("collapse", STABLE, 0, collapse, "A flat object of dot paths.", {"include_empty", PARAM_BOOL, false, "false"}),
	COLLECT_METHOD("explode", STABLE, 0, explode, "One document for each element or value at a path.", {"path", PARAM_STRING, false, NULL}),
	COLLECT_METHOD("map_each_key", STABLE, 0, map_each_key, "Renames the keys of an object.", {"query", PARAM_QUERY, false, NULL}),
	COLLECT_METHOD("squash", STABLE, ROW_PLAIN, squash, "Merges an array of objects into one.", {NULL}),
	{.name = "zip", .kind = METHOD, .status = STABLE, .flags = ROW_VARIADIC | ROW_PLAIN, .evaluate = zip,
	 .prepare = prepare_zip, .summary = "Tuples across arrays of equal length."},
	{.name = NULL},
};
/* clang-format on */
