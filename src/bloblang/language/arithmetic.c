/*
 * Invariants:
 * 1. What is lazy (and, or, coalesce) never gets here.
 * 2. Two integers are computed and compared exactly, and wrap as Go's do; with one float both are floats.
 * 3. Operands are not changed; what is made lies in the arena of the evaluation.
 */
#include <math.h>

#include "base/check.h"
#include "value/number.h"
#include "value/time.h"
#include "bloblang/language/eval_internal.h"

/* Where the reference calculates it has turned timestamps, and numbers beyond float64, into text before it finds that
 * they do not fit. */
static struct value as_calculated(struct value v)
{
	if (v.kind == VALUE_TIMESTAMP)
		v.kind = VALUE_STRING;
	return v.kind == VALUE_NUMBER ? value_normal(v) : v;
}

static bool fail_operands(struct evaluation *ev, enum operator op, const struct node *left_node,
                          const struct node *right_node, struct value left, struct value right)
{
	static const char *const names[] = {
	    [OP_ADD] = "add",
	    [OP_SUBTRACT] = "subtract",
	    [OP_MULTIPLY] = "multiply",
	    [OP_DIVIDE] = "divide",
	    [OP_MODULO] = "modulo",
	    [OP_EQUAL] = "compare",
	    [OP_UNEQUAL] = "compare",
	    [OP_LESS] = "compare",
	    [OP_GREATER] = "compare",
	    [OP_LESS_EQUAL] = "compare",
	    [OP_GREATER_EQUAL] = "compare",
	};
	const char *text = arena_format(ev->arena, "cannot %s types %s (from %s) and %s (from %s)", names[op],
	                                value_type_name(left), node_annotation(ev->arena, left_node),
	                                value_type_name(right), node_annotation(ev->arena, right_node));

	return failure_set(ev, FAILURE_MISMATCH, text);
}

static bool fail_zero(struct evaluation *ev, const struct node *right_node)
{
	failure_set(ev, FAILURE_PLAIN, "attempted to divide by zero");
	return failure_annotate(ev, right_node);
}

bool eval_truth(struct evaluation *ev, struct value v, bool *ret)
{
	if (v.kind != VALUE_BOOL && !value_is_number(v))
		return failure_type(ev, v, "bool", NULL);
	*ret = v.kind == VALUE_BOOL ? v.boolean : value_is_truthy(v);
	return true;
}

static int compare_doubles(double a, double b) { return (a > b) - (a < b); }

/* -1, 0, 1; exact when both are integers. False when an operand is NaN. */
static bool compare_numbers(struct value a, struct value b, int *ret)
{
	double x;
	double y;

	a = value_normal(a);
	b = value_normal(b);
	if (a.kind == VALUE_UINT && b.kind == VALUE_UINT) {
		*ret = (a.natural > b.natural) - (a.natural < b.natural);
		return true;
	}
	if (a.kind != VALUE_FLOAT && b.kind != VALUE_FLOAT) {
		*ret = (a.integer > b.integer) - (a.integer < b.integer);
		return true;
	}
	(void)value_to_float(a, &x);
	(void)value_to_float(b, &y);
	*ret = compare_doubles(x, y);
	return !isnan(x) && !isnan(y);
}

static int compare_bytes(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t shared = a_length < b_length ? a_length : b_length;
	int order = shared != 0 ? memcmp(a, b, shared) : 0;

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static bool holds(enum operator op, int order)
{
	switch (op) {
	case OP_EQUAL:
		return order == 0;
	case OP_UNEQUAL:
		return order != 0;
	case OP_LESS:
		return order < 0;
	case OP_LESS_EQUAL:
		return order <= 0;
	case OP_GREATER:
		return order > 0;
	default:
		return order >= 0;
	}
}

/* Text of string, bytes or timestamp. */
static bool comparison_text(struct value v, char *buffer, const char **ret, size_t *ret_length)
{
	if (v.kind == VALUE_TIMESTAMP) {
		*ret = buffer;
		*ret_length = time_print(buffer, v.time);
		return true;
	}
	*ret = v.text;
	*ret_length = v.length;
	return value_is_text(v);
}

/* Whether two values can be ordered, and how. */
static bool order_of(struct value left, struct value right, int *ret, bool *ret_unordered)
{
	char left_buffer[TIME_TEXT_MAX];
	char right_buffer[TIME_TEXT_MAX];
	const char *a;
	const char *b;
	size_t a_length;
	size_t b_length;

	*ret_unordered = false;
	if (left.kind == VALUE_NUMBER)
		left = value_normal(left);
	if (value_is_number(left)) {
		if (!value_is_number(as_calculated(right)))
			return false;
		*ret_unordered = !compare_numbers(left, right, ret);
		return true;
	}
	if (!comparison_text(left, left_buffer, &a, &a_length) || !comparison_text(right, right_buffer, &b, &b_length))
		return false;
	*ret = compare_bytes(a, a_length, b, b_length);
	return true;
}

static bool compare(struct evaluation *ev, enum operator op, const struct node *left_node,
                    const struct node *right_node, struct value left, struct value right, struct value *ret)
{
	bool unordered;
	int order;

	if (order_of(left, right, &order, &unordered)) {
		*ret = value_bool(unordered ? op == OP_UNEQUAL : holds(op, order));
		return true;
	}
	if (op != OP_EQUAL && op != OP_UNEQUAL)
		return fail_operands(ev, op, left_node, right_node, left,
		                     value_is_number(left) ? as_calculated(right) : right);
	*ret = value_bool(value_equal(left, right) == (op == OP_EQUAL));
	return true;
}

static double calculate_floats(enum operator op, double x, double y)
{
	if (op == OP_ADD)
		return x + y;
	return op == OP_SUBTRACT ? x - y : x * y;
}

static uint64_t calculate_integers(enum operator op, uint64_t a, uint64_t b)
{
	if (op == OP_ADD)
		return a + b;
	return op == OP_SUBTRACT ? a - b : a * b;
}

/* Adds, subtracts or multiplies two numbers: a float makes both floats; integers wrap. */
static struct value calculate(enum operator op, struct value left, struct value right)
{
	uint64_t u;

	if (left.kind == VALUE_FLOAT || right.kind == VALUE_FLOAT) {
		double x;
		double y;

		(void)value_to_float(left, &x);
		(void)value_to_float(right, &y);
		return value_float(calculate_floats(op, x, y));
	}
	u = calculate_integers(op, left.natural, right.natural);
	if (left.kind == VALUE_UINT && right.kind == VALUE_UINT)
		return value_uint(u);
	return value_int((int64_t)u);
}

static struct value join_texts(struct evaluation *ev, struct value left, const char *right, size_t right_length)
{
	struct text t;

	text_init(&t, ev->arena);
	if (text_reserve(&t, left.length + right_length)) {
		text_add(&t, left.text, left.length);
		text_add(&t, right, right_length);
	}
	return value_from_text(&t, VALUE_STRING);
}

static bool is_plain_number(struct value v) { return v.kind == VALUE_NUMBER || (value_is_number(v) && v.bits == 64); }

static bool add(struct evaluation *ev, const struct node *left_node, const struct node *right_node, struct value left,
                struct value right, struct value *ret)
{
	char buffer[TIME_TEXT_MAX];
	const char *text;
	size_t length;

	if (is_plain_number(left)) {
		left = value_normal(left);
		right = value_is_number(right) ? value_normal(right) : as_calculated(right);
		if (!value_is_number(left) || !value_is_number(right))
			return fail_operands(ev, OP_ADD, left_node, right_node, left, right);
		*ret = calculate(OP_ADD, left, right);
		return true;
	}
	if (value_is_text(left) && comparison_text(right, buffer, &text, &length)) {
		*ret = join_texts(ev, left, text, length);
		return true;
	}
	return fail_operands(ev, OP_ADD, left_node, right_node, left, right);
}

static bool divide(struct evaluation *ev, const struct node *left_node, const struct node *right_node,
                   struct value left, struct value right, struct value *ret)
{
	double x;
	double y;

	if (!value_to_float(left, &x) || !value_to_float(right, &y))
		return fail_operands(ev, OP_DIVIDE, left_node, right_node, left, right);
	if (y == 0)
		return fail_zero(ev, right_node);
	*ret = value_float(x / y);
	return true;
}

static bool modulo(struct evaluation *ev, const struct node *left_node, const struct node *right_node,
                   struct value left, struct value right, struct value *ret)
{
	int64_t x;
	int64_t y;

	if (!value_to_int(left, &x) || !value_to_int(right, &y))
		return fail_operands(ev, OP_MODULO, left_node, right_node, left, right);
	if (y == 0)
		return fail_zero(ev, right_node);
	*ret = value_int(y == -1 ? 0 : x % y); /* INT64_MIN % -1 traps on some machines */
	return true;
}

bool arithmetic_apply(struct evaluation *ev, enum operator op, const struct node *left_node,
                      const struct node *right_node, struct value left, struct value right, struct value *ret)
{
	must(op < OP_AND);
	switch (op) {
	case OP_ADD:
		return add(ev, left_node, right_node, left, right, ret);
	case OP_SUBTRACT:
	case OP_MULTIPLY:
		left = value_is_number(left) ? value_normal(left) : as_calculated(left);
		right = value_is_number(right) ? value_normal(right) : as_calculated(right);
		if (!value_is_number(left) || !value_is_number(right))
			return fail_operands(ev, op, left_node, right_node, left, right);
		*ret = calculate(op, left, right);
		return true;
	case OP_DIVIDE:
		return divide(ev, left_node, right_node, left, right, ret);
	case OP_MODULO:
		return modulo(ev, left_node, right_node, left, right, ret);
	default:
		return compare(ev, op, left_node, right_node, left, right, ret);
	}
}
