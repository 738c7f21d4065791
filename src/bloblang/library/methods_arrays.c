/*
 * Methods of the family "objects and arrays" on arrays.
 *
 * Invariants:
 * 1. A target never changes: a result is a new array that shares its elements.
 * 2. All arguments of concat and zip are arrays: their .prepare saw to it.
 * 3. The table of unique has more slots than elements, so that a search ends.
 */
#include <string.h>

#include "base/check.h"
#include "bloblang/language/function.h"

static bool need_array(struct call *call)
{
	return call->target.kind == VALUE_ARRAY || call_fail_type(call, call->target, "array");
}

/* Runs a test on each element; stops at the first answer that equals `stop`. */
static bool test_elements(struct call *call, bool stop, struct value *ret)
{
	if (!need_array(call))
		return false;
	for (uint32_t i = 0; i < call->target.array->count; i++) {
		struct value v;

		if (!call_query(call, 0, call->target.array->items[i], &v))
			return call_fail_within(call, "element %u", i);
		if (v.kind != VALUE_BOOL)
			return call_fail(call, "element %u: %s", i, call_type_text(call, v, "bool"));
		if (v.boolean == stop) {
			*ret = value_bool(stop);
			return true;
		}
	}
	*ret = value_bool(!stop);
	return true;
}

static bool all(struct call *call, struct value *ret)
{
	if (call->target.kind == VALUE_ARRAY && call->target.array->count == 0) {
		*ret = value_bool(false);
		return true;
	}
	return test_elements(call, false, ret);
}

static bool any(struct call *call, struct value *ret) { return test_elements(call, true, ret); }

static struct value copy_array(struct call *call, size_t more)
{
	return value_array_copy(call->arena, call->target.array, more);
}

static bool append(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = copy_array(call, call->arg_count);
	for (size_t i = 0; i < call->arg_count; i++)
		value_array_push(call->arena, *ret, call->args[i]);
	return true;
}

static bool prepare_concat(struct call *call)
{
	for (size_t i = 0; i < call->arg_count; i++) {
		if (call->args[i].kind != VALUE_ARRAY)
			return call_fail_type(call, call->args[i], "array");
	}
	return true;
}

static bool concat(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = copy_array(call, 8);
	for (size_t i = 0; i < call->arg_count && !call_spent(call); i++) {
		must(call->args[i].kind == VALUE_ARRAY);
		for (uint32_t j = 0; j < call->args[i].array->count; j++)
			value_array_push(call->arena, *ret, call->args[i].array->items[j]);
	}
	return true;
}

static bool enumerated(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = value_array(call->arena, call->target.array->count);
	for (uint32_t i = 0; i < call->target.array->count && !call_spent(call); i++) {
		struct value entry = value_object(call->arena, 2);

		value_object_append(call->arena, entry, "index", 5, value_int(i));
		value_object_append(call->arena, entry, "value", 5, call->target.array->items[i]);
		value_array_push(call->arena, *ret, entry);
	}
	return true;
}

static bool flatten(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	*ret = value_array(call->arena, call->target.array->count);
	for (uint32_t i = 0; i < call->target.array->count && !call_spent(call); i++) {
		struct value v = call->target.array->items[i];

		if (v.kind != VALUE_ARRAY)
			value_array_push(call->arena, *ret, v);
		for (uint32_t j = 0; v.kind == VALUE_ARRAY && j < v.array->count; j++)
			value_array_push(call->arena, *ret, v.array->items[j]);
	}
	return true;
}

static bool fold(struct call *call, struct value *ret)
{
	struct value tally = value_assigned(call->arena, call->args[0]);

	if (!need_array(call))
		return false;
	for (uint32_t i = 0; i < call->target.array->count; i++) {
		struct value pair = value_object(call->arena, 2);

		value_object_append(call->arena, pair, "tally", 5, tally);
		value_object_append(call->arena, pair, "value", 5, call->target.array->items[i]);
		if (!call_query(call, 1, pair, &tally))
			return false;
	}
	*ret = tally;
	return true;
}

static bool element_at(struct call *call, struct value *ret)
{
	struct value v = call->target;
	int64_t length = v.kind == VALUE_BYTES ? v.length : value_count(v);
	int64_t i = call->args[0].integer;

	if (v.kind != VALUE_ARRAY && v.kind != VALUE_BYTES)
		return call_fail_type(call, v, "array");
	if (i < 0)
		i += length;
	if (i < 0 || i >= length)
		return call_fail(call, "index '%lld' was out of bounds for array size: %lld", (long long)i,
		                 (long long)length);
	*ret = v.kind == VALUE_BYTES ? value_int((unsigned char)v.text[i]) : v.array->items[i];
	return true;
}

static bool join(struct call *call, struct value *ret)
{
	struct value delimiter = call->args[0];
	struct text t;

	if (!need_array(call))
		return false;
	text_init(&t, call->arena);
	for (uint32_t i = 0; i < call->target.array->count; i++) {
		struct value v = call->target.array->items[i];

		if (!value_is_text(v))
			return call_fail(call, "failed to join element %u: %s", i, call_type_text(call, v, "string"));
		if (i != 0 && delimiter.kind == VALUE_STRING)
			text_add(&t, delimiter.text, delimiter.length);
		text_add(&t, v.text, v.length);
	}
	*ret = value_from_text(&t, VALUE_STRING);
	return true;
}

/* Constant bounds that can never be right are refused at once. */
static bool prepare_slice(struct call *call)
{
	int64_t low = call->args[0].integer;
	int64_t high = call->args[1].integer;

	if (call->args[1].kind == VALUE_INT && high > 0 && low >= high)
		return call_fail(call, "lower slice bound %lld must be lower than upper (%lld)", (long long)low,
		                 (long long)high);
	return true;
}

static bool slice(struct call *call, struct value *ret)
{
	struct value v = call->target;
	int64_t length = v.kind == VALUE_ARRAY ? value_count(v) : v.length;
	int64_t low = call->args[0].integer;
	int64_t high = call->args[1].kind == VALUE_INT ? call->args[1].integer : length;

	if (v.kind != VALUE_ARRAY && !value_is_text(v))
		return call_fail_type(call, v, "array or string");
	if (high > length)
		high = length;
	if (high < 0)
		high = high < -length ? 0 : high + length;
	if (low < 0)
		low += length;
	if (low < 0)
		low = 0;
	if (low > high)
		return call_fail(
		    call,
		    "lower slice bound %lld must be lower than or equal to upper bound (%lld) and target length "
		    "(%lld)",
		    (long long)low, (long long)high, (long long)length);
	if (v.kind != VALUE_ARRAY) {
		*ret = value_view((enum value_kind)v.kind, v.text + low, (size_t)(high - low));
		return true;
	}
	*ret = value_array(call->arena, (size_t)(high - low));
	for (int64_t i = low; i < high; i++)
		value_array_push(call->arena, *ret, v.array->items[i]);
	return true;
}

/* Elements compare by a text of their kind and bytes; a sorted list of those seen would be overkill for few. */
static bool unique_key(struct call *call, struct value v, uint32_t i, struct text *key)
{
	double d;

	text_init(key, call->arena);
	if (value_is_text(v)) {
		text_add_char(key, 's');
		text_add(key, v.text, v.length);
		return true;
	}
	if (!value_to_float(v, &d))
		return call_fail(call, "index %u: %s", i, call_type_text(call, v, "string or number"));
	if (d == 0)
		d = 0; /* minus zero is zero */
	text_add_char(key, 'n');
	text_add(key, &d, sizeof d);
	return true;
}

struct seen_slot {
	const char *key;
	size_t length;
};

/* Open addressing over a table of at least twice the elements; false when the key was there. */
static bool see(struct seen_slot *table, size_t mask, const char *key, size_t length)
{
	uint64_t hash = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)key[i]) * UINT64_C(1099511628211);
	for (size_t at = (hash ^ hash >> 32) & mask;; at = (at + 1) & mask) {
		if (!table[at].key) {
			table[at] = (struct seen_slot){key, length};
			return true;
		}
		if (table[at].length == length && (length == 0 || memcmp(table[at].key, key, length) == 0))
			return false;
	}
}

static bool unique(struct call *call, struct value *ret)
{
	struct seen_slot *table;
	size_t size = 16;

	if (!need_array(call))
		return false;
	while (size < (size_t)call->target.array->count * 2)
		size *= 2;
	must(size > call->target.array->count);
	table = arena_alloc(call->arena, size * sizeof *table);
	memset(table, 0, size * sizeof *table);
	*ret = value_array(call->arena, call->target.array->count);
	for (uint32_t i = 0; i < call->target.array->count; i++) {
		struct value item = call->target.array->items[i];
		struct value v = item;
		struct text key;

		if (call_given(call, 0) && !call_query(call, 0, item, &v))
			return call_fail_within(call, "index %u", i);
		if (!unique_key(call, v, i, &key))
			return false;
		if (see(table, size - 1, key.data, key.length))
			value_array_push(call->arena, *ret, item);
	}
	return true;
}

static bool find(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	for (uint32_t i = 0; i < value_count(call->target); i++) {
		if (value_equal(call->args[0], call->target.array->items[i])) {
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
		if (value_equal(call->args[0], call->target.array->items[i]))
			value_array_push(call->arena, *ret, value_int(i));
	return true;
}

static bool holds(struct call *call, uint32_t i, bool *ret)
{
	struct value v;

	if (!call_query(call, 0, call->target.array->items[i], &v))
		return call_fail_within(call, "query returned an error for index %u", i);
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

static bool prepare_zip(struct call *call)
{
	for (size_t i = 0; i < call->arg_count; i++) {
		if (call->args[i].kind != VALUE_ARRAY)
			return call_fail_final(call, "%s", call_type_text(call, call->args[i], "array"));
		if (value_count(call->args[i]) != value_count(call->args[0]))
			return call_fail(call, "can't zip different length array values");
	}
	return true;
}

static bool zip(struct call *call, struct value *ret)
{
	if (!need_array(call))
		return false;
	if (call->arg_count == 0)
		return call_fail(call, "zip requires at least one argument");
	if (value_count(call->args[0]) != value_count(call->target))
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

static bool sum(struct call *call, struct value *ret)
{
	struct value v = call->target;
	double total = 0;
	int64_t wrong = -1; /* the last one counts */

	if (value_is_number(value_normal(v))) {
		*ret = v;
		return true;
	}
	if (v.kind != VALUE_ARRAY)
		return call_fail_type(call, v, "array");
	for (uint32_t i = 0; i < v.array->count; i++) {
		double d;

		if (value_to_float(v.array->items[i], &d))
			total += d;
		else
			wrong = i;
	}
	if (wrong >= 0)
		return call_fail_final(call, "index %lld: %s", (long long)wrong,
		                       call_type_text(call, v.array->items[wrong], "number"));
	*ret = value_float(total);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_arrays[] = {
	{.name = "all", .kind = METHOD, .evaluate = all, .parameters = {{"test", PARAM_QUERY, false, NULL}},
	 .summary = "True when a test holds for every element, and there is one."},
	{.name = "any", .kind = METHOD, .evaluate = any, .parameters = {{"test", PARAM_QUERY, false, NULL}},
	 .summary = "True when a test holds for some element."},
	{.name = "append", .kind = METHOD, .flags = ROW_VARIADIC, .evaluate = append,
	 .summary = "The array with the arguments at its end."},
	{.name = "concat", .kind = METHOD, .flags = ROW_VARIADIC | ROW_PLAIN, .evaluate = concat,
	 .prepare = prepare_concat, .summary = "The array with the elements of other arrays at its end."},
	{.name = "enumerated", .kind = METHOD, .evaluate = enumerated, .summary = "An array of {index, value}."},
	{.name = "flatten", .kind = METHOD, .evaluate = flatten, .summary = "Removes one level of arrays."},
	{.name = "fold", .kind = METHOD, .evaluate = fold,
	 .parameters = {{"initial", PARAM_ANY, false, NULL}, {"query", PARAM_QUERY, false, NULL}},
	 .summary = "Reduces an array: the query sees {tally, value} and yields the next tally."},
	{.name = "index", .kind = METHOD, .evaluate = element_at, .parameters = {{"index", PARAM_INT, false, NULL}},
	 .summary = "An element of an array or a byte of bytes; negative counts from the end."},
	{.name = "join", .kind = METHOD, .evaluate = join, .parameters = {{"delimiter", PARAM_STRING, true, NULL}},
	 .summary = "The strings of an array in one, with a delimiter between."},
	{.name = "slice", .kind = METHOD, .evaluate = slice, .prepare = prepare_slice,
	 .parameters = {{"low", PARAM_INT, false, NULL}, {"high", PARAM_INT, true, NULL}},
	 .summary = "Bytes of a text or elements of an array from low up to high; negative counts from the end."},
	{.name = "unique", .kind = METHOD, .evaluate = unique, .parameters = {{"emit", PARAM_QUERY, true, NULL}},
	 .summary = "The first of each number or string."},
	{.name = "find", .kind = METHOD, .status = BETA, .evaluate = find,
	 .parameters = {{"value", PARAM_ANY, false, NULL}},
	 .summary = "The index of the first equal element, or -1."},
	{.name = "find_all", .kind = METHOD, .status = BETA, .evaluate = find_all,
	 .parameters = {{"value", PARAM_ANY, false, NULL}}, .summary = "The indexes of all equal elements."},
	{.name = "find_by", .kind = METHOD, .status = BETA, .evaluate = find_by,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}},
	 .summary = "The index of the first element the query holds for, or -1."},
	{.name = "find_all_by", .kind = METHOD, .status = BETA, .evaluate = find_all_by,
	 .parameters = {{"query", PARAM_QUERY, false, NULL}},
	 .summary = "The indexes of all elements the query holds for."},
	{.name = "zip", .kind = METHOD, .flags = ROW_VARIADIC | ROW_PLAIN, .evaluate = zip, .prepare = prepare_zip,
	 .summary = "Tuples across arrays of equal length."},
	{.name = "sum", .kind = METHOD, .evaluate = sum, .summary = "The sum of an array of numbers, as a float."},
	{.name = NULL},
};
/* clang-format on */
