/*
 * Dot paths into values: reading without failing, writing with copies.
 *
 * Invariants:
 * 1. A container whose owner is not the writer's epoch is never written: it is copied first, with the epoch as its
 *    owner.
 * 2. Epoch 0 owns nothing.
 * 3. A copied object keeps its pairs sorted, each key once.
 */
#include "value/path.h"

struct json_step *path_split(struct arena *a, const char *text, size_t length, size_t *ret_count)
{
	const char *end = text + length;
	struct json_step *steps;
	char *copy;
	size_t count = 1;
	size_t n = 0;

	for (const char *p = text; p < end; p++)
		count += *p == '.';
	if (!arena_fits(a, length + 1 + count * sizeof *steps)) {
		end = text;
		length = 0;
		count = 1;
	}
	copy = arena_alloc(a, length + 1);
	steps = arena_alloc(a, count * sizeof *steps);
	*ret_count = count;
	count = 0;
	steps[0] = (struct json_step){copy, 0};
	for (const char *p = text; p < end; p++) {
		if (*p == '.') {
			steps[count].length = (uint32_t)(copy + n - steps[count].text);
			steps[++count] = (struct json_step){copy + n, 0};
		} else if (*p == '~' && p + 1 < end && (p[1] == '1' || p[1] == '0')) {
			copy[n++] = *++p == '1' ? '.' : '~';
		} else {
			copy[n++] = *p;
		}
	}
	steps[count].length = (uint32_t)(copy + n - steps[count].text);
	return steps;
}

static bool step_is(const struct json_step *step, char c) { return step->length == 1 && step->text[0] == c; }

/* Decimal digits, perhaps after a plus; false for anything else or what no array can have. */
static bool step_index(const struct json_step *step, uint32_t *ret)
{
	uint32_t u = 0;
	uint32_t first = step->length > 1 && step->text[0] == '+' ? 1 : 0;

	if (step->length == 0 || step->length > 9)
		return false;
	for (uint32_t i = first; i < step->length; i++) {
		if (step->text[i] < '0' || step->text[i] > '9')
			return false;
		u = u * 10 + (uint32_t)(step->text[i] - '0');
	}
	*ret = u;
	return true;
}

static struct value get_each(struct arena *a, const struct value_array *array, const struct json_step *steps,
                             size_t count, bool *ret_found)
{
	struct value hits = value_array(a, 0);

	for (uint32_t i = 0; i < array->count && !arena_is_spent(a); i++) {
		bool found;
		struct value hit = path_get(a, array->items[i], steps, count, &found);

		if (found)
			value_array_push(a, hits, hit);
	}
	*ret_found = hits.array->count != 0;
	return *ret_found ? hits : value_null();
}

struct value path_get(struct arena *a, struct value v, const struct json_step *steps, size_t count, bool *ret_found)
{
	bool ignored;
	bool *found = ret_found ? ret_found : &ignored;

	*found = false;
	for (size_t i = 0; i < count; i++) {
		uint32_t index;
		struct value *member;

		if (v.kind == VALUE_OBJECT) {
			member = value_object_find(v, steps[i].text, steps[i].length);
			if (!member)
				return value_null();
			v = *member;
		} else if (v.kind == VALUE_ARRAY && step_is(&steps[i], '*')) {
			return get_each(a, v.array, steps + i + 1, count - i - 1, found);
		} else if (v.kind == VALUE_ARRAY && step_index(&steps[i], &index) && index < v.array->count) {
			v = v.array->items[index];
		} else {
			return value_null();
		}
	}
	*found = true;
	return v;
}

/* Containers the writer may change: its own, else a copy that is. */
static void own_array(struct arena *a, uint32_t epoch, struct value *v)
{
	struct value copy;

	v->literal = 0;
	if (v->array->owner == epoch && epoch != 0)
		return;
	copy = value_array_copy(a, v->array, 1);
	copy.array->owner = epoch;
	*v = copy;
}

static void own_object(struct arena *a, uint32_t epoch, struct value *v)
{
	struct value copy;

	if (v->object->owner == epoch && epoch != 0)
		return;
	copy = value_object_copy(a, v->object, 4);
	copy.object->owner = epoch;
	*v = copy;
}

static const char no_room[] = "the document needs more memory than an evaluation may have";

static const char *join_steps(struct arena *a, const struct json_step *steps, size_t count)
{
	struct text t;

	text_init(&t, a);
	for (size_t i = 0; i < count; i++) {
		if (i != 0)
			text_add_char(&t, '.');
		text_add(&t, steps[i].text, steps[i].length);
	}
	return text_end(&t);
}

/* Names the first thing on the path that is not an object. */
static bool fail_collision(struct arena *a, struct value v, const struct json_step *steps, size_t count,
                           const char **ret_error)
{
	const char *holder = "the root";
	size_t i = 0;

	for (; v.kind == VALUE_OBJECT && i < count; i++)
		v = path_get(a, v, &steps[i], 1, NULL);
	if (i > 0)
		holder = join_steps(a, steps, i);
	*ret_error = arena_format(a, "unable to set target path %s as the value of %s was a non-object type (%s)",
	                          join_steps(a, steps, count), holder, value_type_name(v));
	return false;
}

/* The slot of an array a step names; appends for "-". Null: error set. */
static struct value *array_slot(struct arena *a, struct value *v, const struct json_step *steps, size_t count,
                                size_t at, const char **ret_error)
{
	uint32_t index;

	if (step_is(&steps[at], '-')) {
		uint32_t had = v->array->count;

		value_array_push(a, *v, value_null());
		if (v->array->count == had) {
			*ret_error = no_room;
			return NULL;
		}
		v->array->items[v->array->count - 1] = value_nothing();
		return &v->array->items[v->array->count - 1];
	}
	if (!step_index(&steps[at], &index)) {
		*ret_error =
		    arena_format(a,
		                 "unable to set target path %s: failed to resolve path segment '%zu': found array "
		                 "but segment value '%.*s' could not be parsed into array index: strconv.Atoi: "
		                 "parsing \"%.*s\": invalid syntax",
		                 join_steps(a, steps, count), at, (int)steps[at].length, steps[at].text,
		                 (int)steps[at].length, steps[at].text);
		return NULL;
	}
	if (index >= v->array->count) {
		*ret_error =
		    arena_format(a,
		                 "unable to set target path %s: failed to resolve path segment '%zu': found array "
		                 "but index '%u' exceeded target array size of '%u'",
		                 join_steps(a, steps, count), at, index, v->array->count);
		return NULL;
	}
	return &v->array->items[index];
}

bool path_set(struct arena *a, uint32_t epoch, struct value *root, const struct json_step *steps, size_t count,
              struct value v, const char **ret_error)
{
	struct value *at = root;

	for (size_t i = 0; i < count; i++) {
		bool fresh = at->kind == VALUE_NOTHING || (at->kind == VALUE_NULL && i == 0);

		if (at->kind == VALUE_ARRAY) {
			own_array(a, epoch, at);
			at = array_slot(a, at, steps, count, i, ret_error);
			if (!at)
				return false;
			if (i + 1 < count && at->kind == VALUE_NULL) {
				*ret_error = arena_format(
				    a,
				    "unable to set target path %s: failed to resolve path segment '%zu': field "
				    "'%.*s' was not found",
				    join_steps(a, steps, count), i, (int)steps[i].length, steps[i].text);
				return false;
			}
			continue;
		}
		if (fresh || at->kind == VALUE_NULL) {
			*at = value_object(a, 4);
			at->object->owner = epoch;
		}
		if (at->kind != VALUE_OBJECT)
			return fail_collision(a, *root, steps, count, ret_error);
		own_object(a, epoch, at);
		{
			struct value *member = value_object_find(*at, steps[i].text, steps[i].length);

			if (!member) {
				value_object_set(a, *at, steps[i].text, steps[i].length, value_nothing());
				member = value_object_find(*at, steps[i].text, steps[i].length);
			}
			if (!member) {
				*ret_error = no_room;
				return false;
			}
			at = member;
		}
	}
	*at = v;
	return true;
}

static void remove_at(struct value *container, const struct json_step *step)
{
	uint32_t index;
	bool found;

	if (container->kind == VALUE_OBJECT) {
		struct value_object *o = container->object;

		index = value_object_place(o, step->text, step->length, &found);
		if (found) {
			memmove(o->pairs + index, o->pairs + index + 1, (o->count - index - 1) * sizeof *o->pairs);
			o->count--;
		}
	} else if (step_index(step, &index) && index < container->array->count) {
		struct value_array *array = container->array;

		memmove(array->items + index, array->items + index + 1,
		        (array->count - index - 1) * sizeof *array->items);
		array->count--;
	}
}

void path_delete(struct arena *a, uint32_t epoch, struct value *root, const struct json_step *steps, size_t count)
{
	struct value *at = root;
	bool found;

	(void)path_get(a, *root, steps, count, &found);
	if (!found)
		return;
	for (size_t i = 0; i < count; i++) {
		uint32_t index = 0;

		if (at->kind == VALUE_OBJECT)
			own_object(a, epoch, at);
		else if (at->kind == VALUE_ARRAY && (i > 0 || count > 1) && step_index(&steps[i], &index))
			own_array(a, epoch, at);
		else
			return; /* an element of an array that is itself the root stays, as in the reference */
		if (arena_is_spent(a))
			return; /* what had no room for a copy is empty */
		if (i + 1 == count) {
			remove_at(at, &steps[i]);
			return;
		}
		at = at->kind == VALUE_OBJECT ? value_object_find(*at, steps[i].text, steps[i].length)
		                              : &at->array->items[index];
	}
}
