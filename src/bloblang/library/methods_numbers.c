#include <math.h>

#include "value/number.h"
#include "bloblang/language/function.h"

static bool absolute(struct call *call, struct value *ret)
{
	struct value v;

	if (!call_need_number(call, call->target, &v))
		return false;
	if (v.kind == VALUE_FLOAT)
		*ret = value_float(fabs(v.real));
	else if (v.kind == VALUE_INT && v.integer < 0)
		*ret = value_int(v.integer == INT64_MIN ? INT64_MAX : -v.integer);
	else
		*ret = v;
	return true;
}

/* Integers stay; a float that fits becomes an integer. Narrow integers are refused, as in the reference. */
static bool round_with(struct call *call, double rounded(double), struct value *ret)
{
	struct value v = call->target;
	double d;

	if (!value_is_number(v) || (v.kind != VALUE_NUMBER && v.bits != 64))
		return call_fail_type(call, v, "number");
	v = value_normal(v);
	if (v.kind != VALUE_FLOAT) {
		*ret = v;
		return true;
	}
	d = rounded(v.real);
	if (d >= -9223372036854775808.0 && d < 9223372036854775808.0)
		*ret = value_int((int64_t)d);
	else
		*ret = value_float(d);
	return true;
}

static bool ceiling(struct call *call, struct value *ret) { return round_with(call, ceil, ret); }

static bool floored(struct call *call, struct value *ret) { return round_with(call, floor, ret); }

static bool rounded(struct call *call, struct value *ret) { return round_with(call, round, ret); }

/* Decimal digits with a sign: what ParseInt would take if it were not so large. */
static bool is_integer_text(struct value v)
{
	uint32_t i = v.length > 1 && (v.text[0] == '-' || v.text[0] == '+') ? 1 : 0;

	if (v.length == 0 || v.text[i] == '0')
		return false;
	while (i < v.length && v.text[i] >= '0' && v.text[i] <= '9')
		i++;
	return i == v.length;
}

static bool to_int64(struct call *call, struct value *ret)
{
	static const char decimals[] =
	    "float value contains decimals and therefore cannot be cast as a signed integer, if "
	    "you intend to round the value then call `.round()` explicitly before this cast";
	struct value v = call->target;
	int64_t i;

	if (v.kind == VALUE_STRING || v.kind == VALUE_BYTES || v.kind == VALUE_NUMBER) {
		if (!number_parse_int_any(v.text, v.length, &i))
			return call_fail(call, "strconv.ParseInt: parsing \"%.*s\": %s", (int)v.length, v.text,
			                 is_integer_text(v) ? "value out of range" : "invalid syntax");
		*ret = value_int(i);
		return true;
	}
	if (!value_is_number(v))
		return call_fail_type(call, v, "number");
	if (v.kind == VALUE_FLOAT && !isfinite(v.real))
		return call_fail(call, "cannot convert %s to an integer", isnan(v.real) ? "NAN" : "+/-INF");
	if (v.kind == VALUE_FLOAT && v.real != trunc(v.real))
		return call_fail(call, "%s", decimals);
	if (v.kind == VALUE_UINT && v.natural > INT64_MAX)
		return call_fail(call, "unsigned integer value is too large to be cast as a signed integer");
	if (v.kind == VALUE_FLOAT && !(v.real >= -9223372036854775808.0 && v.real < 9223372036854775808.0))
		return call_fail(call, "float value is too %s to be cast as a signed integer",
		                 v.real < 0 ? "small" : "large");
	(void)value_to_int(v, &i);
	*ret = value_int(i);
	return true;
}

static bool extreme(struct call *call, bool greatest, struct value *ret)
{
	double best = 0;

	if (call->target.kind != VALUE_ARRAY)
		return call_fail_type(call, call->target, "array");
	if (value_count(call->target) == 0)
		return call_fail(call, "the array was empty");
	for (uint32_t i = 0; i < call->target.array->count; i++) {
		struct value v = call->target.array->items[i];
		double d;

		if (!value_to_float(v, &d))
			return call_fail(call, "index %u of array: %s", i, call_type_text(call, v, "number"));
		if (i == 0 || (greatest ? d > best : d < best))
			best = d;
	}
	*ret = value_float(best);
	return true;
}

static bool maximum(struct call *call, struct value *ret) { return extreme(call, true, ret); }

static bool minimum(struct call *call, struct value *ret) { return extreme(call, false, ret); }

static bool sum(struct call *call, struct value *ret)
{
	struct value v = call->target;
	double total = 0;

	if (value_is_number(v)) {
		*ret = v.kind == VALUE_NUMBER ? value_normal(v) : v;
		return true;
	}
	if (v.kind != VALUE_ARRAY)
		return call_fail_type(call, v, "array");
	for (uint32_t i = 0; i < v.array->count; i++) {
		double d;

		if (!value_to_float(v.array->items[i], &d))
			return call_fail_final(call, "index %u: %s", i,
			                       call_type_text(call, v.array->items[i], "number"));
		total += d;
	}
	*ret = value_float(total);
	return true;
}

const struct bloblang_row rows_methods_numbers[] = {
    {.name = "abs", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = absolute, .summary = "The absolute value."},
    {.name = "ceil", .kind = METHOD, .evaluate = ceiling, .summary = "Rounds up to an integer."},
    {.name = "floor", .kind = METHOD, .evaluate = floored, .summary = "Rounds down to an integer."},
    {.name = "round", .kind = METHOD, .evaluate = rounded, .summary = "Rounds to an integer, halves away from zero."},
    {.name = "int64",
     .kind = METHOD,
     .flags = ROW_PLAIN,
     .evaluate = to_int64,
     .summary = "A 64-bit integer from a number or text, if nothing is lost."},
    {.name = "max", .kind = METHOD, .evaluate = maximum, .summary = "The largest number of an array, as a float."},
    {.name = "min", .kind = METHOD, .evaluate = minimum, .summary = "The smallest number of an array, as a float."},
    {.name = "sum", .kind = METHOD, .evaluate = sum, .summary = "The sum of an array of numbers, as a float."},
    {.name = NULL},
};
