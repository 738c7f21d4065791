/* Methods of the family "objects and arrays" on lists of changes. */
#include <string.h>

#include "base/check.h"
#include "bloblang/language/function.h"

enum { DEPTH_MAX = 500 };

struct diff {
	struct arena *arena;
	struct value out;
	struct value path; /* an array used as a stack */
};

static void report(struct diff *d, const char *type, struct value from, struct value to)
{
	struct value change = value_object(d->arena, 4), path = value_array(d->arena, value_count(d->path));

	for (uint32_t i = 0; i < value_count(d->path); i++)
		value_array_push(d->arena, path, d->path.array->items[i]);
	value_object_set(d->arena, change, "Type", 4, value_literal(type));
	value_object_set(d->arena, change, "Path", 4, path);
	value_object_set(d->arena, change, "From", 4, from);
	value_object_set(d->arena, change, "To", 2, to);
	value_array_push(d->arena, d->out, change);
}

static void compare(struct diff *d, struct value old, struct value new);

/* One member; null pointers: not there. */
static void compare_member(struct diff *d, const char *key, size_t length, const struct value *old,
                           const struct value *new)
{
	must(old || new);
	if (arena_is_spent(d->arena))
		return;
	value_array_push(d->arena, d->path, value_string(key, length));
	if (!old)
		report(d, "create", value_null(), *new);
	else if (!new)
		report(d, "delete", *old, value_null());
	else
		compare(d, *old, *new);
	if (!d->arena->exceeded)
		d->path.array->count--;
}

static void compare_objects(struct diff *d, struct value old, struct value new)
{
	uint32_t i = 0, k = 0;

	while (!arena_is_spent(d->arena) &&
	       (i < value_count(old) || k < value_count(new))) { /* both are sorted by key */
		struct value_pair *a = i < value_count(old) ? &old.object->pairs[i] : NULL;
		struct value_pair *b = k < value_count(new) ? &new.object->pairs[k] : NULL;
		bool in_old = a && (!b || !value_object_find(new, a->key, a->key_length) ||
		                    (a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0));
		bool same = a && b && a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0;

		if (same)
			compare_member(d, a->key, a->key_length, &a->value, &b->value);
		else if (in_old)
			compare_member(d, a->key, a->key_length, &a->value, NULL);
		else if (b)
			compare_member(d, b->key, b->key_length, NULL, &b->value);
		i += in_old;
		k += same || !in_old;
	}
}

static void compare(struct diff *d, struct value old, struct value new)
{
	if (arena_is_spent(d->arena) || value_count(d->path) > DEPTH_MAX)
		return;
	if (old.kind == VALUE_OBJECT && new.kind == VALUE_OBJECT) {
		compare_objects(d, old, new);
	} else if (old.kind == VALUE_ARRAY && new.kind == VALUE_ARRAY) {
		uint32_t most = value_count(old) > value_count(new) ? value_count(old) : value_count(new);

		for (uint32_t i = 0; i < most && !arena_is_spent(d->arena); i++) {
			const char *index = arena_format(d->arena, "%u", i);

			compare_member(d, index, strlen(index), i < value_count(old) ? &old.array->items[i] : NULL,
			               i < value_count(new) ? &new.array->items[i] : NULL);
		}
	} else if (!value_equal(old, new) && !(old.kind == VALUE_NULL && new.kind == VALUE_NULL)) {
		report(d, "update", old, new);
	}
}

static bool diff(struct call *call, struct value *ret)
{
	struct diff d = {.arena = call->arena, .out = value_array(call->arena, 4), .path = value_array(call->arena, 8)};

	compare(&d, call->target, call->args[0]);
	*ret = d.out;
	return true;
}

/* v with one change made at the path; steps that lead nowhere make objects. */
static struct value patched(struct call *call, struct value v, const struct value *steps, size_t count, bool remove,
                            struct value to)
{
	struct value copy, step = *steps;
	uint32_t index = 0;

	if (call_spent(call))
		return v;
	if (v.kind == VALUE_ARRAY) {
		for (uint32_t i = 0; i < step.length; i++)
			index = index * 10 + (uint32_t)(step.text[i] - '0');
		copy = value_array(call->arena, value_count(v) + 1);
		for (uint32_t i = 0; i < value_count(v); i++) {
			if (i != index)
				value_array_push(call->arena, copy, v.array->items[i]);
			else if (count > 1)
				value_array_push(call->arena, copy,
				                 patched(call, v.array->items[i], steps + 1, count - 1, remove, to));
			else if (!remove)
				value_array_push(call->arena, copy, to);
		}
		if (index >= value_count(v) && !remove && count == 1)
			value_array_push(call->arena, copy, to);
		return copy;
	}
	copy = value_object(call->arena, value_count(v) + 1);
	for (uint32_t i = 0; v.kind == VALUE_OBJECT && i < value_count(v); i++) {
		const struct value_pair *pair = &v.object->pairs[i];

		if (pair->key_length != step.length || memcmp(pair->key, step.text, step.length) != 0)
			value_object_append(call->arena, copy, pair->key, pair->key_length, pair->value);
		else if (count > 1)
			to = patched(call, pair->value, steps + 1, count - 1, remove, to);
	}
	if (count > 1 || !remove)
		value_object_set(call->arena, copy, step.text, step.length, to);
	return copy;
}

static const struct value *member(struct value change, const char *key)
{
	return change.kind == VALUE_OBJECT ? value_object_find(change, key, strlen(key)) : NULL;
}

static bool apply_change(struct call *call, struct value change, struct value *ret)
{
	const struct value *type = member(change, "Type"), *path = member(change, "Path"), *to = member(change, "To");
	const char *error;
	struct value *steps;

	if (!type || !value_is_text(*type) || !path || path->kind != VALUE_ARRAY || value_count(*path) == 0)
		return call_fail(call, "a change needs a Type and a Path");
	steps = arena_alloc(call->arena, value_count(*path) * sizeof *steps);
	for (uint32_t i = 0; i < value_count(*path); i++) {
		if (!value_to_text(call->arena, path->array->items[i], &steps[i], &error))
			return call_fail(call, "%s", error);
		if (ret->kind == VALUE_ARRAY && i == 0 && steps[i].length == 0)
			return call_fail(call, "an index of a Path is empty");
	}
	*ret = patched(call, *ret, steps, value_count(*path), value_text_is(*type, "delete"), to ? *to : value_null());
	return !call_spent(call);
}

static bool patch(struct call *call, struct value *ret)
{
	struct value list = call->args[0];

	if (list.kind != VALUE_ARRAY)
		return call_fail(call, "%s", call_type_text(call, list, "array"));
	*ret = call->target;
	for (uint32_t i = 0; i < value_count(list); i++)
		if (!apply_change(call, list.array->items[i], ret))
			return false;
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_objects_diff[] = {
	{.name = "diff", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = diff,
	 .parameters = {{"other", PARAM_ANY, false, NULL}}, .summary = "The changes that lead to another value."},
	{.name = "patch", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = patch,
	 .parameters = {{"changelog", PARAM_ANY, false, NULL}}, .summary = "The value with a list of changes made."},
	{.name = NULL},
};
/* clang-format on */
