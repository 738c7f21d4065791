/* Methods on numbers: casts with checks, logarithms, powers, angles, bits. T1's abs, ceil, round ... are elsewhere. */
#include <math.h>
#include <string.h>

#include "value/number.h"
#include "bloblang/golang/cephes.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/language/function.h"

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

/* Looks like an integer, so that refusing it means it was out of range. */
static bool looks_integral(struct value text)
{
	size_t i = text.length > 0 && (text.text[0] == '-' || text.text[0] == '+');
	bool hex = text.length > i + 2 && text.text[i] == '0' && (text.text[i + 1] | 32) == 'x';
	double d;

	if (hex)
		return strspn(text.text + i + 2, "0123456789abcdefABCDEF_") >= text.length - i - 2;
	for (; i < text.length; i++)
		if (text.text[i] < '0' || text.text[i] > '9')
			return false;
	return number_parse_float(text.text, text.length, &d);
}

static bool fail_range(struct call *call, const struct width *w, bool large)
{
	return call_fail(call, "value is too %s to be cast as %s %d-bit %s integer", large ? "large" : "small",
	                 w->article, w->bits, w->is_signed ? "signed" : "unsigned");
}

static bool put_signed(struct call *call, const struct width *w, int64_t i, struct value *ret)
{
	int64_t most = w->bits == 64 ? INT64_MAX : (INT64_C(1) << (w->bits - 1)) - 1;

	if (i > most || i < -most - 1)
		return fail_range(call, w, i > most);
	*ret = value_int(i);
	ret->bits = (uint8_t)w->bits;
	return true;
}

static bool put_unsigned(struct call *call, const struct width *w, uint64_t u, struct value *ret)
{
	if (w->bits < 64 && u >> w->bits)
		return fail_range(call, w, true);
	*ret = value_uint(u);
	ret->bits = (uint8_t)w->bits;
	return true;
}

static bool cast_text(struct call *call, const struct width *w, struct value v, struct value *ret)
{
	uint64_t u;
	int64_t i;

	if (w->is_signed)
		return number_parse_int_any(v.text, v.length, &i) ? put_signed(call, w, i, ret)
		                                                  : fail_text(call, "ParseInt", v, looks_integral(v));
	return number_parse_uint_any(v.text, v.length, &u)
	           ? put_unsigned(call, w, u, ret)
	           : fail_text(call, "ParseUint", v, looks_integral(v) && v.text[0] != '-');
}

static bool cast_float(struct call *call, const struct width *w, double d, struct value *ret)
{
	if (isnan(d) || (isfinite(d) && d != trunc(d)))
		return call_fail(call,
		                 isnan(d) ? "cannot cast NaN as an integer"
		                          : "float value contains decimals and therefore cannot be cast as %s integer, "
		                            "if you intend to round the value then call `.round()` explicitly before "
		                            "this cast",
		                 w->is_signed ? "a signed" : "an unsigned");
	if (w->is_signed) {
		if (d >= 0x1p63 || d < -0x1p63)
			return fail_range(call, w, d > 0);
		return put_signed(call, w, (int64_t)d, ret);
	}
	if (d < 0)
		return call_fail(call, "float value is negative and cannot be cast as an unsigned integer");
	if (d >= 0x1p64)
		return fail_range(call, w, true);
	return put_unsigned(call, w, (uint64_t)d, ret);
}

static bool cast(struct call *call, const struct width *w, struct value *ret)
{
	struct value v = call->target;

	switch (v.kind) {
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		return cast_text(call, w, v, ret);
	case VALUE_FLOAT:
		return cast_float(call, w, v.real, ret);
	case VALUE_INT:
		if (w->is_signed)
			return put_signed(call, w, v.integer, ret);
		if (v.integer < 0)
			return call_fail(call,
			                 "signed integer value is negative and cannot be cast as an unsigned integer");
		return put_unsigned(call, w, (uint64_t)v.integer, ret);
	case VALUE_UINT:
		if (!w->is_signed)
			return put_unsigned(call, w, v.natural, ret);
		if (v.natural > INT64_MAX)
			return fail_range(call, w, true);
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
CAST(uint8, 8, false, "an")
CAST(uint16, 16, false, "a")
CAST(uint32, 32, false, "a")
CAST(uint64, 64, false, "a")

static bool to_float(struct call *call, double *ret)
{
	struct value v = call->target;

	if (value_is_text(v)) {
		if (number_parse_float(v.text, v.length, ret))
			return true;
		return fail_text(call, "ParseFloat", v, false);
	}
	if (value_to_float(v, ret))
		return true;
	return call_fail_type(call, v, "number");
}

static bool cast_float64(struct call *call, struct value *ret)
{
	double d;

	if (!to_float(call, &d))
		return false;
	*ret = value_float(d);
	return true;
}

static bool cast_float32(struct call *call, struct value *ret)
{
	double d;

	if (!to_float(call, &d))
		return false;
	*ret = value_float((float)d);
	ret->bits = 32;
	return true;
}

/* A float of the target that is neither text nor a narrow number. */
static bool need_float(struct call *call, double *ret) { return call_need_float(call, call->target, ret); }

#define UNARY(name_, expression_)                               \
	static bool name_(struct call *call, struct value *ret) \
	{                                                       \
		double d;                                       \
		if (!need_float(call, &d))                      \
			return false;                           \
		*ret = value_float(expression_);                \
		return true;                                    \
	}

UNARY(method_log, cephes_log(d))
UNARY(method_log10, cephes_log10(d))
UNARY(method_sin, cephes_sin(d))
UNARY(method_cos, cephes_cos(d))
UNARY(method_tan, cephes_tan(d))
UNARY(method_pow, cephes_pow(d, call->args[0].real))

static bool need_integer(struct call *call, int64_t *ret)
{
	return value_is_number(call->target) ? value_to_int(call->target, ret)
	                                     : call_fail_type(call, call->target, "integer");
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
#define NUMBER_METHOD(name_, flags_, evaluate_, summary_) \
	{.name = name_, .kind = METHOD, .status = STABLE, .flags = flags_, .evaluate = evaluate_, .summary = summary_}
#define BIT_METHOD(name_, evaluate_, summary_) \
	{.name = name_, .kind = METHOD, .status = STABLE, .evaluate = evaluate_, .summary = summary_, \
	 .parameters = {{"value", PARAM_INT, false, NULL}}}

const struct bloblang_row rows_methods_math[] = {
	NUMBER_METHOD("int8", ROW_PLAIN, cast_int8, "A checked conversion to an 8-bit integer."),
	NUMBER_METHOD("int16", ROW_PLAIN, cast_int16, "A checked conversion to a 16-bit integer."),
	NUMBER_METHOD("int32", ROW_PLAIN, cast_int32, "A checked conversion to a 32-bit integer."),
	NUMBER_METHOD("uint8", ROW_PLAIN, cast_uint8, "A checked conversion to an 8-bit unsigned integer."),
	NUMBER_METHOD("uint16", ROW_PLAIN, cast_uint16, "A checked conversion to a 16-bit unsigned integer."),
	NUMBER_METHOD("uint32", ROW_PLAIN, cast_uint32, "A checked conversion to a 32-bit unsigned integer."),
	NUMBER_METHOD("uint64", ROW_PLAIN, cast_uint64, "A checked conversion to a 64-bit unsigned integer."),
	NUMBER_METHOD("float32", ROW_PLAIN, cast_float32, "A conversion to a 32-bit float."),
	NUMBER_METHOD("float64", ROW_PLAIN, cast_float64, "A conversion to a 64-bit float."),
	NUMBER_METHOD("log", 0, method_log, "The natural logarithm."),
	NUMBER_METHOD("log10", 0, method_log10, "The logarithm to base 10."),
	NUMBER_METHOD("sin", ROW_PLAIN, method_sin, "The sine of radians."),
	NUMBER_METHOD("cos", ROW_PLAIN, method_cos, "The cosine of radians."),
	NUMBER_METHOD("tan", ROW_PLAIN, method_tan, "The tangent of radians."),
	{.name = "pow", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = method_pow,
	 .parameters = {{"exponent", PARAM_FLOAT, false, NULL}}, .summary = "The number raised to a power."},
	BIT_METHOD("bitwise_and", bitwise_and, "The bits set in both."),
	BIT_METHOD("bitwise_or", bitwise_or, "The bits set in either."),
	BIT_METHOD("bitwise_xor", bitwise_xor, "The bits set in one only."),
	{.name = NULL},
};
/* clang-format on */
