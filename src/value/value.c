/*
 * Making, finding, converting values.
 *
 * Invariants:
 * 1. The pairs of an object are sorted by key bytes, each key once; only between value_object_append() and
 *    value_object_sort() they are not.
 * 2. count <= capacity, in arrays and objects; a container that grows leaves its old memory to the arena, one that
 *    would pass the arena's limit stays as it is: the evaluation that made it ends.
 * 3. A value that was handed out is not written again, except by its epoch's owner (path.c).
 */
#include "value/value.h"

#include <math.h>
#include <stdlib.h>

#include "value/number.h"

struct value value_string_copy(struct arena *a, const void *text, size_t length)
{
	return value_string(arena_copy(a, text, length), length);
}

struct value value_from_text(struct text *t, enum value_kind kind)
{
	return value_view(kind, t->data ? t->data : "", t->length);
}

struct value value_timestamp(struct arena *a, const struct value_time *time)
{
	struct value_time *copy = arena_alloc(a, sizeof *copy);

	*copy = *time;
	return (struct value){.kind = VALUE_TIMESTAMP, .time = copy};
}

/* How many of a size are allocated at once: all, or none. */
static uint32_t fitting(struct arena *a, size_t capacity, size_t size)
{
	enum { FEW = 64 };

	return capacity <= FEW || arena_fits(a, capacity * size) ? (uint32_t)capacity : 0;
}

struct value value_array(struct arena *a, size_t capacity)
{
	struct value_array *array = arena_alloc(a, sizeof *array);

	*array = (struct value_array){.capacity = fitting(a, capacity, sizeof *array->items)};
	if (array->capacity != 0)
		array->items = arena_alloc(a, capacity * sizeof *array->items);
	return (struct value){.kind = VALUE_ARRAY, .array = array};
}

struct value value_array_copy(struct arena *a, const struct value_array *from, size_t more)
{
	struct value copy = value_array(a, from->count + more);

	if (copy.array->capacity < from->count || from->count == 0)
		return copy;
	memcpy(copy.array->items, from->items, from->count * sizeof *from->items);
	copy.array->count = from->count;
	return copy;
}

void value_array_push(struct arena *a, struct value array, struct value item)
{
	struct value_array *to = array.array;

	if (to->count == to->capacity) {
		uint32_t capacity = to->capacity < 4 ? 4 : to->capacity * 2;
		struct value *items;

		if (!arena_fits(a, capacity * sizeof *items))
			return;
		items = arena_alloc(a, capacity * sizeof *items);
		if (to->count != 0)
			memcpy(items, to->items, to->count * sizeof *items);
		to->items = items;
		to->capacity = capacity;
	}
	to->items[to->count++] = item;
}

struct value value_object(struct arena *a, size_t capacity)
{
	struct value_object *object = arena_alloc(a, sizeof *object);

	*object = (struct value_object){.capacity = fitting(a, capacity, sizeof *object->pairs)};
	if (object->capacity != 0)
		object->pairs = arena_alloc(a, capacity * sizeof *object->pairs);
	return (struct value){.kind = VALUE_OBJECT, .object = object};
}

struct value value_object_copy(struct arena *a, const struct value_object *from, size_t more)
{
	struct value copy = value_object(a, from->count + more);

	if (copy.object->capacity < from->count || from->count == 0)
		return copy;
	memcpy(copy.object->pairs, from->pairs, from->count * sizeof *from->pairs);
	copy.object->count = from->count;
	return copy;
}

/* The first eight bytes as a number that orders as they do. */
static inline uint64_t key_prefix(const char *key)
{
	uint64_t u;

	memcpy(&u, key, sizeof u);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	u = __builtin_bswap64(u);
#endif
	return u;
}

static inline int key_compare(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
	uint32_t shared = a_length < b_length ? a_length : b_length;
	uint32_t i = 0;

	if (shared >= sizeof(uint64_t)) {
		uint64_t x = key_prefix(a);
		uint64_t y = key_prefix(b);
		int order;

		if (x != y)
			return x < y ? -1 : 1;
		order = memcmp(a + sizeof x, b + sizeof y, shared - sizeof x);
		if (order != 0)
			return order;
	} else {
		for (; i < shared; i++) {
			if (a[i] != b[i])
				return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
		}
	}
	return (a_length > b_length) - (a_length < b_length);
}

uint32_t value_object_place(const struct value_object *o, const char *key, size_t key_length, bool *ret_found)
{
	uint32_t low = 0;
	uint32_t high = o->count;

	*ret_found = false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct value_pair *p = &o->pairs[middle];
		int order = key_compare(p->key, p->key_length, key, (uint32_t)key_length);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct value *value_object_find(struct value object, const char *key, size_t key_length)
{
	bool found;
	uint32_t i;

	if (object.kind != VALUE_OBJECT)
		return NULL;
	i = value_object_place(object.object, key, key_length, &found);
	return found ? &object.object->pairs[i].value : NULL;
}

static bool object_grow(struct arena *a, struct value_object *o)
{
	uint32_t capacity = o->capacity < 4 ? 4 : o->capacity * 2;
	struct value_pair *pairs;

	if (!arena_fits(a, capacity * sizeof *pairs))
		return false;
	pairs = arena_alloc(a, capacity * sizeof *pairs);
	if (o->count != 0)
		memcpy(pairs, o->pairs, o->count * sizeof *pairs);
	o->pairs = pairs;
	o->capacity = capacity;
	return true;
}

void value_object_set(struct arena *a, struct value object, const char *key, size_t key_length, struct value v)
{
	struct value_object *o = object.object;
	bool found;
	uint32_t i = value_object_place(o, key, key_length, &found);

	if (found) {
		o->pairs[i].value = v;
		return;
	}
	if (o->count == o->capacity && !object_grow(a, o))
		return;
	memmove(o->pairs + i + 1, o->pairs + i, (o->count - i) * sizeof *o->pairs);
	o->pairs[i] = (struct value_pair){key, (uint32_t)key_length, v};
	o->count++;
}

void value_object_append(struct arena *a, struct value object, const char *key, size_t key_length, struct value v)
{
	struct value_object *o = object.object;

	if (o->count == o->capacity && !object_grow(a, o))
		return;
	o->pairs[o->count++] = (struct value_pair){key, (uint32_t)key_length, v};
}

/* Literals nest no deeper than the parser allows, unless a query wraps them in a loop: then the deep ones stay. */
static struct value assigned_at(struct arena *a, struct value v, int depth)
{
	enum { DEPTH_MAX = 1000 };
	struct value copy;

	if (!v.literal || depth > DEPTH_MAX || arena_is_spent(a)) /* one that holds another twice, over and over */
		return v;
	if (v.kind == VALUE_ARRAY) {
		copy = value_array(a, v.array->count);
		for (uint32_t i = 0; i < v.array->count; i++)
			value_array_push(a, copy, assigned_at(a, v.array->items[i], depth + 1));
		return copy;
	}
	copy = value_object(a, v.object->count);
	for (uint32_t i = 0; i < v.object->count; i++)
		value_object_append(a, copy, v.object->pairs[i].key, v.object->pairs[i].key_length,
		                    assigned_at(a, v.object->pairs[i].value, depth + 1));
	return copy;
}

struct value value_assigned(struct arena *a, struct value v) { return assigned_at(a, v, 0); }

static int pair_compare(const struct value_pair *x, const struct value_pair *y)
{
	return key_compare(x->key, x->key_length, y->key, y->key_length);
}

/* Merge sort, stable, bottom-up over runs that insertion made; scratch has room for the left one of two runs. */
static void merge_pairs(struct value_pair *pairs, size_t count, size_t run, struct value_pair *scratch)
{
	for (; run < count; run *= 2) {
		for (size_t at = 0; at + run < count; at += run * 2) {
			size_t end = at + run * 2 < count ? at + run * 2 : count;
			size_t left = 0;
			size_t left_count = run;
			size_t right = at + run;
			size_t out = at;

			memcpy(scratch, pairs + at, run * sizeof *pairs);
			while (left < left_count && right < end)
				pairs[out++] =
				    pair_compare(&scratch[left], &pairs[right]) <= 0 ? scratch[left++] : pairs[right++];
			while (left < left_count)
				pairs[out++] = scratch[left++];
		}
	}
}

static bool sort_runs(struct arena *a, struct value_pair *pairs, size_t count, size_t run)
{
	enum { SMALL = 64 };
	struct value_pair small[SMALL];
	struct value_pair *scratch = small;
	size_t bytes = count * sizeof *scratch;

	if (count > SMALL) {
		if (!arena_hold(a, bytes))
			return false;
		scratch = malloc(bytes);
		if (!scratch)
			abort();
	}
	merge_pairs(pairs, count, run, scratch);
	if (scratch != small) {
		free(scratch);
		arena_let_go(a, bytes);
	}
	return true;
}

static void insertion_sort(struct value_pair *pairs, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct value_pair p = pairs[i];
		size_t at = i;

		for (; at > 0 && pair_compare(&pairs[at - 1], &p) > 0; at--)
			pairs[at] = pairs[at - 1];
		pairs[at] = p;
	}
}

void value_object_sort(struct arena *a, struct value object)
{
	enum { RUN = 8 };
	struct value_object *o = object.object;
	uint32_t kept = 0;
	bool sorted = true;

	for (uint32_t i = 1; i < o->count && sorted; i++)
		sorted = pair_compare(&o->pairs[i - 1], &o->pairs[i]) < 0;
	if (sorted)
		return;
	for (size_t at = 0; at < o->count; at += RUN)
		insertion_sort(o->pairs + at, o->count - at < RUN ? o->count - at : RUN);
	if (o->count > RUN && !sort_runs(a, o->pairs, o->count, RUN))
		return;
	for (uint32_t i = 0; i < o->count; i++) {
		if (kept > 0 && pair_compare(&o->pairs[kept - 1], &o->pairs[i]) == 0)
			kept--;
		o->pairs[kept++] = o->pairs[i];
	}
	o->count = kept;
}

const char *value_type_name(struct value v)
{
	static const char *const names[VALUE_KIND_COUNT] = {
	    [VALUE_NOTHING] = "nothing",     [VALUE_DELETE] = "delete", [VALUE_NULL] = "null",
	    [VALUE_BOOL] = "bool",           [VALUE_INT] = "number",    [VALUE_UINT] = "number",
	    [VALUE_FLOAT] = "number",        [VALUE_NUMBER] = "number", [VALUE_STRING] = "string",
	    [VALUE_BYTES] = "bytes",         [VALUE_ARRAY] = "array",   [VALUE_OBJECT] = "object",
	    [VALUE_TIMESTAMP] = "timestamp",
	};

	return names[v.kind];
}

const char *value_go_type(struct value v)
{
	switch ((enum value_kind)v.kind) {
	case VALUE_NOTHING:
		return "value.Nothing";
	case VALUE_DELETE:
		return "value.Delete";
	case VALUE_NULL:
		return "<nil>";
	case VALUE_BOOL:
		return "bool";
	case VALUE_INT:
		return v.bits == 8 ? "int8" : v.bits == 16 ? "int16" : v.bits == 32 ? "int32" : "int64";
	case VALUE_UINT:
		return v.bits == 8 ? "uint8" : v.bits == 16 ? "uint16" : v.bits == 32 ? "uint32" : "uint64";
	case VALUE_FLOAT:
		return v.bits == 32 ? "float32" : "float64";
	case VALUE_NUMBER:
		return "json.Number";
	case VALUE_STRING:
		return "string";
	case VALUE_BYTES:
		return "[]uint8";
	case VALUE_TIMESTAMP:
		return "time.Time";
	case VALUE_ARRAY:
		return "[]interface {}";
	case VALUE_OBJECT:
		return "map[string]interface {}";
	case VALUE_KIND_COUNT:
		break;
	}
	return "unknown";
}

struct value value_normal(struct value v)
{
	int64_t i;
	double d;

	switch (v.kind) {
	case VALUE_NUMBER:
		if (number_parse_int(v.text, v.length, &i))
			return value_int(i);
		if (number_parse_float(v.text, v.length, &d))
			return value_float(d);
		return value_string(v.text, v.length);
	case VALUE_INT:
	case VALUE_UINT:
	case VALUE_FLOAT:
		v.bits = 64;
		return v;
	default:
		return v;
	}
}

/* Go on amd64 gives the minimum for what does not fit, whatever its sign. */
static int64_t truncate_float(double d)
{
	return d >= -9223372036854775808.0 && d < 9223372036854775808.0 ? (int64_t)d : INT64_MIN;
}

bool value_to_int(struct value v, int64_t *ret)
{
	v = value_normal(v);
	switch (v.kind) {
	case VALUE_INT:
		*ret = v.integer;
		return true;
	case VALUE_UINT:
		*ret = (int64_t)v.natural;
		return true;
	case VALUE_FLOAT:
		*ret = truncate_float(v.real);
		return true;
	default:
		return false;
	}
}

bool value_to_float(struct value v, double *ret)
{
	switch (v.kind) {
	case VALUE_NUMBER: /* not by way of an integer: "-0" has a sign */
		return number_parse_float(v.text, v.length, ret);
	case VALUE_INT:
		*ret = (double)v.integer;
		return true;
	case VALUE_UINT:
		*ret = (double)v.natural;
		return true;
	case VALUE_FLOAT:
		*ret = v.real;
		return true;
	default:
		return false;
	}
}
