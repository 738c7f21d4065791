/* Methods of the family "objects and arrays" that sort: a merge sort, because comparisons may fail and nobody
 * should pay n squared. */
#include <string.h>

#include "bloblang/language/function.h"

/* An element and what it is sorted by. */
struct entry {
	struct value item;
	struct value key; /* NOTHING until it is asked for */
	uint32_t index;
};

enum { SHORT = 12 };

typedef bool less_function(struct call *call, struct entry *a, struct entry *b, bool *ret);

static int compare_text(struct value a, struct value b)
{
	uint32_t shared = a.length < b.length ? a.length : b.length;
	int order = shared != 0 ? memcmp(a.text, b.text, shared) : 0;

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* What an element was not; `from` is what gave the keys, null for the elements themselves. */
static bool fail_key(struct call *call, const struct entry *e, const char *expected, const char *from)
{
	if (!from)
		return call_fail_final(call, "sort element %u: %s", e->index, call_type_text(call, e->key, expected));
	call_fail_type_from(call, e->key, expected, from);
	return call_fail_final(call, "sort_by element %u: %s", e->index, call_failure(call));
}

/* The kind of the left operand decides; mixed kinds are an error, and so are narrow numbers on the left. */
static bool less_keys(struct call *call, const struct entry *a, const struct entry *b, const char *from, bool *ret)
{
	struct value right = b->key;
	double x;
	double y;

	if (a->key.kind == VALUE_NUMBER || (value_is_number(a->key) && a->key.bits == 64)) {
		if (!value_to_float(a->key, &x))
			return fail_key(call, a, "number", from);
		if (!value_to_float(b->key, &y))
			return fail_key(call, b, "number", from);
		*ret = x < y;
		return true;
	}
	if (!value_is_text(a->key))
		return fail_key(call, a, "number or string", from);
	if (!value_is_text(right) && !(right.kind == VALUE_TIMESTAMP && call_need_string(call, right, &right)))
		return fail_key(call, b, "string", from);
	*ret = compare_text(a->key, right) < 0;
	return true;
}

static bool less_plain(struct call *call, struct entry *a, struct entry *b, bool *ret)
{
	return less_keys(call, a, b, NULL, ret);
}

static bool need_key(struct call *call, struct entry *e)
{
	if (e->key.kind != VALUE_NOTHING)
		return true;
	return call_query(call, 0, e->item, &e->key) || call_fail_settled(call);
}

static bool less_by_key(struct call *call, struct entry *a, struct entry *b, bool *ret)
{
	return need_key(call, a) && need_key(call, b) && less_keys(call, a, b, call_query_annotation(call, 0), ret);
}

static bool less_query(struct call *call, struct entry *a, struct entry *b, bool *ret)
{
	struct value pair = value_object(call->arena, 2);
	struct value v;

	value_object_append(call->arena, pair, "left", 4, a->item);
	value_object_append(call->arena, pair, "right", 5, b->item);
	if (!call_query(call, 0, pair, &v))
		return false;
	if (v.kind != VALUE_BOOL)
		return call_fail_type_from(call, v, "bool", "sort argument");
	*ret = v.boolean;
	return true;
}

static bool merge(struct call *call, less_function *less, struct entry *entries, struct entry *scratch, size_t half,
                  size_t count)
{
	size_t left = 0;
	size_t right = half;
	size_t out = 0;

	memcpy(scratch, entries, half * sizeof *entries);
	while (left < half && right < count) {
		bool first = false;

		if (call_spent(call) || !less(call, &entries[right], &scratch[left], &first))
			return false;
		entries[out++] = first ? entries[right++] : scratch[left++];
	}
	while (left < half)
		entries[out++] = scratch[left++];
	return true;
}

/* Short arrays compare in the order the reference does: which element an error names is visible. */
static bool insertion_sort(struct call *call, less_function *less, struct entry *entries, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		for (size_t j = i; j > 0; j--) {
			struct entry moved;
			bool before = false;

			entries[j].index = (uint32_t)j;
			entries[j - 1].index = (uint32_t)(j - 1);
			if (call_spent(call) || !less(call, &entries[j], &entries[j - 1], &before))
				return false;
			if (!before)
				break;
			moved = entries[j];
			entries[j] = entries[j - 1];
			entries[j - 1] = moved;
		}
	}
	return true;
}

static bool sort_entries(struct call *call, less_function *less, struct entry *entries, struct entry *scratch,
                         size_t count)
{
	size_t half = count / 2;

	if (count < 2)
		return true;
	return sort_entries(call, less, entries, scratch, half) &&
	       sort_entries(call, less, entries + half, scratch, count - half) &&
	       merge(call, less, entries, scratch, half, count);
}

static bool need_array(struct call *call, size_t *ret)
{
	*ret = value_count(call->target);
	return call->target.kind == VALUE_ARRAY || call_fail_type(call, call->target, "array");
}

static bool sort_with(struct call *call, less_function *less, struct entry *entries, size_t count, struct value *ret)
{
	struct entry *scratch;

	if (!entries || !arena_fits(call->arena, (count / 2 + 1) * sizeof *scratch))
		return false;
	scratch = arena_alloc(call->arena, (count / 2 + 1) * sizeof *scratch);
	if (count <= SHORT ? !insertion_sort(call, less, entries, count)
	                   : !sort_entries(call, less, entries, scratch, count))
		return false;
	*ret = value_array(call->arena, count);
	for (size_t i = 0; i < count; i++)
		value_array_push(call->arena, *ret, entries[i].item);
	return true;
}

/* Null when they pass the limit. */
static struct entry *entries_of(struct call *call, size_t count)
{
	struct entry *entries;

	if (!arena_fits(call->arena, (count + 1) * sizeof *entries))
		return NULL;
	entries = arena_alloc(call->arena, (count + 1) * sizeof *entries);
	for (size_t i = 0; i < count; i++)
		entries[i] = (struct entry){call->target.array->items[i], call->target.array->items[i], (uint32_t)i};
	return entries;
}

static bool sort_method(struct call *call, struct value *ret)
{
	size_t count;

	if (!need_array(call, &count))
		return false;
	return sort_with(call, call_given(call, 0) ? less_query : less_plain, entries_of(call, count), count, ret);
}

static bool sort_by_method(struct call *call, struct value *ret)
{
	struct entry *entries;
	size_t count;

	if (!need_array(call, &count))
		return false;
	entries = entries_of(call, count);
	if (!entries)
		return false;
	for (size_t i = 0; i < count; i++)
		entries[i].key = value_nothing();
	return sort_with(call, less_by_key, entries, count, ret);
}

/* clang-format off */
const struct bloblang_row rows_methods_arrays_sort[] = {
	{.name = "sort", .kind = METHOD, .evaluate = sort_method,
	 .parameters = {{"compare", PARAM_QUERY, true, NULL}},
	 .summary = "Sorts numbers or strings, or by a query that sees left and right."},
	{.name = "sort_by", .kind = METHOD, .evaluate = sort_by_method,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}},
	 .summary = "Sorts by a number or string each element yields."},
	{.name = NULL},
};
/* clang-format on */
