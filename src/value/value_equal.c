#include "value/json.h"
#include "value/time.h"
#include "value/value.h"

/* The bytes a text-like value compares by; timestamps print into buffer. */
static bool comparable_text(struct value v, char *buffer, const char **text, size_t *length)
{
	if (v.kind == VALUE_TIMESTAMP) {
		*text = buffer;
		*length = time_print(buffer, v.time);
		return true;
	}
	*text = v.text;
	*length = v.length;
	return value_is_text(v);
}

/* Apart from the recursion below, whose frames must be small: values may be JSON_DEPTH_MAX deep. */
__attribute__((noinline)) static bool equal_texts(struct value a, struct value b)
{
	char a_buffer[TIME_TEXT_MAX];
	char b_buffer[TIME_TEXT_MAX];
	const char *a_text;
	const char *b_text;
	size_t a_length;
	size_t b_length;

	return comparable_text(a, a_buffer, &a_text, &a_length) && comparable_text(b, b_buffer, &b_text, &b_length) &&
	       a_length == b_length && memcmp(a_text, b_text, a_length) == 0;
}

__attribute__((noinline)) static bool equal_numbers(struct value a, struct value b)
{
	double x;
	double y;

	return value_to_float(a, &x) && value_to_float(b, &y) && x == y;
}

bool value_is_truthy(struct value number)
{
	switch (number.kind) {
	case VALUE_NUMBER:
		return number.length != 1 || number.text[0] != '0';
	case VALUE_FLOAT:
		return number.real != 0;
	default:
		return number.natural != 0;
	}
}

/*
 * How much more may be compared: values share parts, so a small one may unfold to more than anybody can wait for. What
 * is too large, or too deep, is unequal.
 */
struct patience {
	int depth;
	int64_t comparisons;
};

static bool equal_at(struct value a, struct value b, struct patience *p);

static bool equal_arrays(const struct value_array *a, const struct value_array *b, struct patience *p)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		if (!equal_at(a->items[i], b->items[i], p))
			return false;
	}
	return true;
}

static bool equal_objects(const struct value_object *a, const struct value_object *b, struct patience *p)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		bool found;
		uint32_t at = value_object_place(b, a->pairs[i].key, a->pairs[i].key_length, &found);

		/* The reference reads a missing key as null. */
		if (!equal_at(a->pairs[i].value, found ? b->pairs[at].value : value_null(), p))
			return false;
	}
	return true;
}

static bool equal_at(struct value a, struct value b, struct patience *p)
{
	bool equal = false;

	if (--p->comparisons < 0)
		return false;
	if (a.kind == VALUE_NUMBER)
		a = value_normal(a);
	if (value_is_number(a))
		return equal_numbers(a, b);
	if (value_is_text(a) || a.kind == VALUE_TIMESTAMP)
		return equal_texts(a, b);
	if (a.kind == VALUE_BOOL && value_is_number(b))
		return a.boolean == value_is_truthy(b);
	if (a.kind != b.kind || ++p->depth > JSON_DEPTH_MAX)
		return false;
	if (a.kind == VALUE_NULL)
		equal = true;
	else if (a.kind == VALUE_BOOL)
		equal = a.boolean == b.boolean;
	else if (a.kind == VALUE_ARRAY)
		equal = equal_arrays(a.array, b.array, p);
	else if (a.kind == VALUE_OBJECT)
		equal = equal_objects(a.object, b.object, p);
	p->depth--;
	return equal;
}

bool value_equal(struct value a, struct value b)
{
	enum { COMPARISONS_MAX = 20 * 1000 * 1000 };
	struct patience p = {.comparisons = COMPARISONS_MAX};

	return equal_at(a, b, &p);
}
