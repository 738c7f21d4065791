/*
 * Methods of the family "numbers": rounding, casts with checks, logarithms, powers, angles, bits.
 *
 * Invariants:
 * 1. An integer made by a cast lies within its width, and says so in its bits.
 * 2. A float becomes an integer only when it fits in 64 bits.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "value/number.h"
#include "bloblang/golang/cephes.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/language/function.h"

/* Neither narrow numbers nor, in the reference, unsigned ones. */
static bool absolute(struct call *call, struct value *ret)
{
	struct value v = value_normal(call->target);

	if (v.kind == VALUE_FLOAT)
		*ret = value_float(fabs(v.real));
	else if (v.kind == VALUE_INT)
		*ret = value_int(v.integer >= 0 ? v.integer : v.integer == INT64_MIN ? INT64_MAX : -v.integer);
	else
		return call_fail_type(call, call->target, "number or integer");
	return true;
}

/* An INT, UINT or FLOAT; narrow ones are refused, as in the reference. */
static bool need_wide(struct call *call, struct value *ret)
{
	struct value v = call->target;

	if (!value_is_number(v) || (v.kind != VALUE_NUMBER && v.bits != 64))
		return call_fail_type(call, v, "number");
	*ret = value_normal(v);
	return value_is_number(*ret) ||
	       call_fail(call, "failed to parse number: %s", call_type_text(call, v, "number"));
}

/* Integers stay; a float that fits becomes an integer. */
static bool round_with(struct call *call, double rounded(double), struct value *ret)
{
	double d;

	if (!need_wide(call, ret))
		return false;
	if (ret->kind != VALUE_FLOAT)
		return true;
	d = rounded(ret->real);
	*ret = d >= -0x1p63 && d < 0x1p63 ? value_int((int64_t)d) : value_float(d);
	return true;
}

static bool ceiling(struct call *call, struct value *ret) { return round_with(call, ceil, ret); }

static bool floored(struct call *call, struct value *ret) { return round_with(call, floor, ret); }

static bool rounded(struct call *call, struct value *ret) { return round_with(call, round, ret); }

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

/* --- casts --- */

/* What a cast makes: an integer of some width. */
struct width {
	int bits;
	bool is_signed;
	const char *article;
};

static bool fail_text(struct call *call, const char *parser, struct value text, bool is_range)
{
	struct text t;

	text_init(&t, call->arena);
	go_quote(&t, text.text, text.length, false);
	return call_fail(call, "strconv.%s: parsing %s: %s", parser, text_end(&t),
	                 is_range ? "value out of range" : "invalid syntax");
}

/* Text that has the form of an integer, so that refusing it means it was out of range. */
static bool looks_integral(struct value text, bool sign)
{
	bool underscore = false;
	size_t i = sign && text.length > 0 && (text.text[0] == '-' || text.text[0] == '+');
	bool hex = text.length > i + 2 && text.text[i] == '0' && (text.text[i + 1] | 32) == 'x';
	size_t digits = 0;

	for (i += hex ? 2 : 0; i < text.length; i++) {
		if (text.text[i] != '_' &&
		    !(hex ? isxdigit((unsigned char)text.text[i]) : isdigit((unsigned char)text.text[i])))
			return false;
		/* Go takes underscores between digits only */
		if (text.text[i] == '_' && (underscore || (digits == 0 && !hex) || i + 1 == text.length))
			return false;
		underscore = text.text[i] == '_';
		digits++;
	}
	return digits > 0;
}

static bool fail_range(struct call *call, const struct width *w, bool large)
{
	return call_fail(call, "value is too %s to be cast as %s %d-bit %s integer", large ? "large" : "small",
	                 w->article, w->bits, w->is_signed ? "signed" : "unsigned");
}

static bool put_signed(struct call *call, const struct width *w, int64_t i, struct value *ret)
{
	int64_t most = w->bits >= 64 ? INT64_MAX : (INT64_C(1) << (w->bits - 1)) - 1;

	must(w->is_signed);
	if (i > most || i < -most - 1)
		return fail_range(call, w, i > most);
	*ret = value_int(i);
	ret->bits = (uint8_t)w->bits;
	return true;
}

static bool put_unsigned(struct call *call, const struct width *w, uint64_t u, struct value *ret)
{
	must(!w->is_signed);
	if (w->bits < 64 && u >> w->bits)
		return fail_range(call, w, true);
	*ret = value_uint(u);
	ret->bits = (uint8_t)w->bits;
	return true;
}

static bool put_integer(struct call *call, const struct width *w, int64_t i, struct value *ret)
{
	if (w->is_signed)
		return put_signed(call, w, i, ret);
	if (i < 0)
		return call_fail(call, "signed integer value is negative and cannot be cast as an unsigned integer");
	return put_unsigned(call, w, (uint64_t)i, ret);
}

static bool cast_text(struct call *call, const struct width *w, struct value v, struct value *ret)
{
	uint64_t u;
	int64_t i;

	if (w->is_signed)
		return number_parse_int_any(v.text, v.length, &i)
		           ? put_signed(call, w, i, ret)
		           : fail_text(call, "ParseInt", v, looks_integral(v, true));
	return number_parse_uint_any(v.text, v.length, &u) ? put_unsigned(call, w, u, ret)
	                                                   : fail_text(call, "ParseUint", v, looks_integral(v, false));
}

static bool cast_float(struct call *call, const struct width *w, double d, struct value *ret)
{
	const char *kind = w->is_signed ? "signed" : "unsigned";
	const char *article = w->is_signed ? "a" : "an";

	if (d < 0 && !w->is_signed)
		return call_fail(call, "float value is negative and cannot be cast as an unsigned integer");
	if (!isfinite(d))
		return call_fail(call, "cannot convert %s to an %s", isnan(d) ? "NAN" : "+/-INF",
		                 w->is_signed ? "integer" : "unsigned integer");
	if (d > (w->is_signed ? 0x1p63 : 0x1p64) || d < -0x1p63)
		return call_fail(call, "float value is too %s to be cast as %s %s integer", d > 0 ? "large" : "small",
		                 article, kind);
	if (d != trunc(d) || d == (w->is_signed ? 0x1p63 : 0x1p64))
		return call_fail(call,
		                 "float value contains decimals and therefore cannot be cast as %s %s integer, if you "
		                 "intend to round the value then call `.round()` explicitly before this cast",
		                 article, kind);
	return w->is_signed ? put_signed(call, w, (int64_t)d, ret) : put_unsigned(call, w, (uint64_t)d, ret);
}

static bool cast(struct call *call, const struct width *w, struct value *ret)
{
	struct value v = call->target;
	int64_t i;

	switch (v.kind) {
	case VALUE_NUMBER:
		return number_parse_int(v.text, v.length, &i) ? put_integer(call, w, i, ret)
		                                              : fail_text(call, "ParseInt", v, looks_integral(v, true));
	case VALUE_STRING:
	case VALUE_BYTES:
		return cast_text(call, w, v, ret);
	case VALUE_FLOAT:
		return cast_float(call, w, v.real, ret);
	case VALUE_INT:
		return put_integer(call, w, v.integer, ret);
	case VALUE_UINT:
		if (!w->is_signed)
			return put_unsigned(call, w, v.natural, ret);
		if (v.natural > INT64_MAX)
			return call_fail(call, "unsigned integer value is too large to be cast as a signed integer");
		return put_signed(call, w, (int64_t)v.natural, ret);
	default:
		return call_fail_type(call, v, "number");
	}
}

#define CAST(name_, bits_, signed_, article_)                                 \
	static bool cast_##name_(struct call *call, struct value *ret)        \
	{                                                                     \
		static const struct width width = {bits_, signed_, article_}; \
		return cast(call, &width, ret);                               \
	}

CAST(int8, 8, true, "an")
CAST(int16, 16, true, "a")
CAST(int32, 32, true, "a")
CAST(int64, 64, true, "a")
CAST(uint8, 8, false, "an")
CAST(uint16, 16, false, "a")
CAST(uint32, 32, false, "a")
CAST(uint64, 64, false, "a")

static bool to_float(struct call *call, double *ret)
{
	struct value v = call->target;

	if (value_is_text(v))
		return number_parse_float(v.text, v.length, ret) || fail_text(call, "ParseFloat", v, isinf(*ret));
	return value_to_float(v, ret) || call_fail_type(call, v, "number");
}

static bool cast_float64(struct call *call, struct value *ret)
{
	double d = 0;

	if (!to_float(call, &d))
		return false;
	*ret = value_float(d);
	return true;
}

/* A 32-bit float itself is refused, as in the reference. */
static bool cast_float32(struct call *call, struct value *ret)
{
	struct value v = call->target;
	double d = 0;

	if (v.kind == VALUE_FLOAT && v.bits == 32)
		return call_fail_type(call, v, "number");
	if (!to_float(call, &d))
		return false;
	if ((value_is_text(v) || v.kind == VALUE_NUMBER) && isfinite(d) && isinf((float)d))
		return fail_text(call, "ParseFloat", v, true);
	*ret = value_float((float)d);
	ret->bits = 32;
	return true;
}

/* --- functions and bits --- */

static bool need_float(struct call *call, double *ret) { return call_need_float(call, call->target, ret); }

/* Of a number that is not narrow. */
static bool need_wide_float(struct call *call, double *ret)
{
	struct value v = value_null();

	return need_wide(call, &v) && call_need_float(call, v, ret);
}

#define UNARY(name_, need_, expression_)                        \
	static bool name_(struct call *call, struct value *ret) \
	{                                                       \
		double d;                                       \
		if (!need_(call, &d))                           \
			return false;                           \
		*ret = value_float(expression_);                \
		return true;                                    \
	}

UNARY(method_log, need_wide_float, cephes_log(d))
UNARY(method_log10, need_wide_float, cephes_log10(d))
UNARY(method_sin, need_float, cephes_sin(d))
UNARY(method_cos, need_float, cephes_cos(d))
UNARY(method_tan, need_float, cephes_tan(d))
UNARY(method_pow, need_float, cephes_pow(d, call->args[0].real))

static bool need_integer(struct call *call, int64_t *ret)
{
	return value_to_int(call->target, ret) || call_fail_type(call, call->target, "integer");
}

#define BITWISE(name_, operator_)                                    \
	static bool name_(struct call *call, struct value *ret)      \
	{                                                            \
		int64_t i = 0;                                       \
		if (!need_integer(call, &i))                         \
			return false;                                \
		*ret = value_int(i operator_ call->args[0].integer); \
		return true;                                         \
	}

BITWISE(bitwise_and, &)
BITWISE(bitwise_or, |)
BITWISE(bitwise_xor, ^)

/* clang-format off */
const struct bloblang_row rows_methods_numbers[] = {
	{.name = "abs", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = absolute, .summary = "The absolute value."},
	{.name = "ceil", .kind = METHOD, .evaluate = ceiling, .summary = "Rounds up to an integer."},
	{.name = "floor", .kind = METHOD, .evaluate = floored, .summary = "Rounds down to an integer."},
	{.name = "round", .kind = METHOD, .evaluate = rounded,
	 .summary = "Rounds to an integer, halves away from zero."},
	{.name = "int64", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_int64,
	 .summary = "A 64-bit integer from a number or text, if nothing is lost."},
	{.name = "max", .kind = METHOD, .evaluate = maximum,
	 .summary = "The largest number of an array, as a float."},
	{.name = "min", .kind = METHOD, .evaluate = minimum,
	 .summary = "The smallest number of an array, as a float."},
	{.name = "int8", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_int8,
	 .summary = "A checked conversion to an 8-bit integer."},
	{.name = "int16", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_int16,
	 .summary = "A checked conversion to a 16-bit integer."},
	{.name = "int32", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_int32,
	 .summary = "A checked conversion to a 32-bit integer."},
	{.name = "uint8", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_uint8,
	 .summary = "A checked conversion to an 8-bit unsigned integer."},
	{.name = "uint16", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_uint16,
	 .summary = "A checked conversion to a 16-bit unsigned integer."},
	{.name = "uint32", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_uint32,
	 .summary = "A checked conversion to a 32-bit unsigned integer."},
	{.name = "uint64", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_uint64,
	 .summary = "A checked conversion to a 64-bit unsigned integer."},
	{.name = "float32", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_float32,
	 .summary = "A conversion to a 32-bit float."},
	{.name = "float64", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = cast_float64,
	 .summary = "A conversion to a 64-bit float."},
	{.name = "log", .kind = METHOD, .evaluate = method_log, .summary = "The natural logarithm."},
	{.name = "log10", .kind = METHOD, .evaluate = method_log10, .summary = "The logarithm to base 10."},
	{.name = "sin", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = method_sin,
	 .summary = "The sine of radians."},
	{.name = "cos", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = method_cos,
	 .summary = "The cosine of radians."},
	{.name = "tan", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = method_tan,
	 .summary = "The tangent of radians."},
	{.name = "pow", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = method_pow,
	 .parameters = {{"exponent", PARAM_FLOAT, false, NULL}}, .summary = "The number raised to a power."},
	{.name = "bitwise_and", .kind = METHOD, .evaluate = bitwise_and,
	 .parameters = {{"value", PARAM_INT, false, NULL}}, .summary = "The bits set in both."},
	{.name = "bitwise_or", .kind = METHOD, .evaluate = bitwise_or,
	 .parameters = {{"value", PARAM_INT, false, NULL}}, .summary = "The bits set in either."},
	{.name = "bitwise_xor", .kind = METHOD, .evaluate = bitwise_xor,
	 .parameters = {{"value", PARAM_INT, false, NULL}}, .summary = "The bits set in one only."},
	{.name = NULL},
};
/* clang-format on */
