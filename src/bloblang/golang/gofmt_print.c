/*
 * One value under one verb of Go's Sprintf.
 *
 * Invariants:
 * 1. No number takes more than FLOAT_TEXT_MAX + PRECISION_MAX bytes: precisions are cut to PRECISION_MAX, which no
 *    float64 has digits for.
 * 2. depth <= DEPTH_MAX; deeper containers print nothing.
 * 3. Flags belong to one verb: the printer is made anew for each.
 */
#include "bloblang/golang/gofmt_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "value/number.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/golang/gotime.h"

enum {
	PRECISION_MAX = 1100, /* no float64 has more digits than this */
	FLOAT_TEXT_MAX = 1600,
	DEPTH_MAX = 1000,
};

#define GO_TIME_STRING "2006-01-02 15:04:05.999999999 -0700 MST"

static void add_rune(struct printer *p, uint32_t c)
{
	char bytes[UTF8_MAX];

	text_add(p->out, bytes, utf8_encode(bytes, c));
}

static void add_padding(struct printer *p, int count)
{
	char *room = count > 0 ? text_reserve(p->out, (size_t)count) : NULL;

	if (room) {
		memset(room, p->zero && !p->minus ? '0' : ' ', (size_t)count);
		p->out->length += (size_t)count;
	}
}

static void add_padded(struct printer *p, const char *s, size_t length)
{
	int count = p->has_width ? p->width - (int)utf8_count(s, length) : 0;

	if (!p->minus)
		add_padding(p, count);
	text_add(p->out, s, length);
	if (p->minus)
		add_padding(p, count);
}

static void bad_verb(struct printer *p, struct value v, uint32_t verb)
{
	text_add_string(p->out, "%!");
	add_rune(p, verb);
	text_add_char(p->out, '(');
	if (value_is_nullish(v)) {
		text_add_string(p->out, "<nil>");
	} else {
		text_add_string(p->out, value_go_type(v));
		text_add_char(p->out, '=');
		gofmt_print(p, v, 'v');
	}
	text_add_char(p->out, ')');
}

static char sign_of(const struct printer *p, bool negative)
{
	return negative ? '-' : p->plus ? '+' : p->space ? ' ' : '\0';
}

static void print_base(struct printer *p, uint64_t u, bool negative, unsigned base, uint32_t verb)
{
	const char *set = verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char sign = sign_of(p, negative);
	int least = p->has_precision ? p->precision : 1;
	size_t size;
	bool zero = p->zero;
	char *buffer, *at;

	p->zero = false; /* zeros are digits here, never padding */
	if (p->has_precision && least == 0 && u == 0) {
		add_padding(p, p->has_width ? p->width : 0);
		p->zero = zero;
		return;
	}
	if (!p->has_precision && zero && !p->minus && p->has_width)
		least = p->width - (sign ? 1 : 0);
	size = (size_t)(least > 64 ? least : 64) + 4;
	buffer = arena_alloc(p->out->arena, size);
	at = buffer + size;
	for (; u > 0 || least > 0; u /= base, least--)
		*--at = set[u % base];
	if (p->sharp && base == 8 && *at != '0')
		*--at = '0';
	if (verb == 'O' || (p->sharp && (base == 2 || base == 16))) {
		*--at = verb == 'O' ? 'o' : base == 2 ? 'b' : (char)verb;
		*--at = '0';
	}
	if (sign)
		*--at = sign;
	add_padded(p, at, (size_t)(buffer + size - at));
	p->zero = zero;
}

static void print_text_of(struct printer *p, struct text *t)
{
	const char *s = text_end(t);

	add_padded(p, s, t->length);
}

/* U+0041, with '#' also the character. */
static void print_unicode(struct printer *p, uint64_t u)
{
	bool zero = p->zero;
	struct text t;

	text_init(&t, p->out->arena);
	text_addf(&t, "U+%0*llX", p->has_precision && p->precision > 4 ? (p->precision > 60 ? 60 : p->precision) : 4,
	          (unsigned long long)u);
	if (p->sharp && u <= 0x10ffff && go_is_print((uint32_t)u)) {
		char bytes[UTF8_MAX];

		text_add_string(&t, " '");
		text_add(&t, bytes, utf8_encode(bytes, (uint32_t)u));
		text_add_char(&t, '\'');
	}
	p->zero = false;
	print_text_of(p, &t);
	p->zero = zero;
}

static void print_integer(struct printer *p, struct value v, uint32_t verb)
{
	bool negative = v.kind == VALUE_INT && v.integer < 0;
	uint64_t u = v.kind == VALUE_UINT ? v.natural : negative ? 0 - (uint64_t)v.integer : (uint64_t)v.integer;
	uint64_t raw = v.kind == VALUE_UINT ? v.natural : (uint64_t)v.integer;
	uint32_t rune = raw > 0x10ffff ? UTF8_REPLACEMENT : (uint32_t)raw;
	struct text t;
	char bytes[UTF8_MAX];

	switch (verb) {
	case 'v':
		if (p->sharp_v && v.kind == VALUE_UINT) { /* Go syntax */
			p->sharp = true;
			print_base(p, u, negative, 16, 'x');
			p->sharp = false;
			break;
		}
		print_base(p, u, negative, 10, verb);
		break;
	case 'd':
		print_base(p, u, negative, 10, verb);
		break;
	case 'b':
		print_base(p, u, negative, 2, verb);
		break;
	case 'o':
	case 'O':
		print_base(p, u, negative, 8, verb);
		break;
	case 'x':
	case 'X':
		print_base(p, u, negative, 16, verb);
		break;
	case 'c':
		add_padded(p, bytes, utf8_encode(bytes, rune));
		break;
	case 'q':
		text_init(&t, p->out->arena);
		go_quote_rune(&t, rune, p->plus);
		print_text_of(p, &t);
		break;
	case 'U':
		print_unicode(p, raw);
		break;
	default:
		bad_verb(p, v, verb);
		break;
	}
}

/* C's %a with the exponent at two digits, as Go prints it. */
static size_t hex_float(char *text, double d, int precision, bool upper)
{
	int n = precision >= 0 ? snprintf(text, FLOAT_TEXT_MAX, upper ? "%.*A" : "%.*a", precision, d)
	                       : snprintf(text, FLOAT_TEXT_MAX, upper ? "%A" : "%a", d);
	char *exponent = strchr(text, upper ? 'P' : 'p');

	if (exponent && exponent[2] && !exponent[3]) {
		exponent[4] = '\0';
		exponent[3] = exponent[2];
		exponent[2] = '0';
		n++;
	}
	return (size_t)n;
}

/* mantissa p exponent, in decimal */
static size_t binary_float(char *text, double d, int bits)
{
	int exponent, digits = bits == 32 ? 24 : 53;
	double fraction = frexp(fabs(d), &exponent);
	uint64_t mantissa = (uint64_t)ldexp(fraction, digits);

	if (d == 0)
		exponent = bits == 32 ? -149 : -1074;
	else
		exponent -= digits;
	return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%s%llup%+d", signbit(d) ? "-" : "", (unsigned long long)mantissa,
	                        exponent);
}

static size_t float_text(const struct printer *p, char *text, double d, int bits, uint32_t verb)
{
	int precision = p->has_precision ? (p->precision > PRECISION_MAX ? PRECISION_MAX : p->precision) : -1;

	if (isinf(d))
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, d < 0 ? "-Inf" : "+Inf");
	if (isnan(d))
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, "NaN");
	switch (verb) {
	case 'b':
		return binary_float(text, d, bits);
	case 'x':
	case 'X':
		return hex_float(text, d, precision, verb == 'X');
	case 'e':
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%.*e", precision < 0 ? 6 : precision, d);
	case 'E':
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%.*E", precision < 0 ? 6 : precision, d);
	case 'f':
	case 'F':
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, "%.*f", precision < 0 ? 6 : precision, d);
	default:
		break;
	}
	if (precision >= 0 && p->sharp)
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, verb == 'G' ? "%#.*G" : "%#.*g", precision, d);
	if (precision >= 0)
		return (size_t)snprintf(text, FLOAT_TEXT_MAX, verb == 'G' ? "%.*G" : "%.*g", precision, d);
	precision = (int)number_print_text(text, d, bits);
	if (verb == 'G') {
		char *e = memchr(text, 'e', (size_t)precision);

		if (e)
			*e = 'E';
	}
	return (size_t)precision;
}

/* '#': a decimal point always, and trailing zeros up to the precision. */
static size_t sharpen(const struct printer *p, char *text, size_t length, uint32_t verb)
{
	int digits = strchr("vgGx", (int)verb) ? (p->has_precision ? p->precision : 6) : 0;
	size_t end = 0, tail;
	bool point = false, seen = false;
	char rest[16];

	for (; end < length && !strchr(verb == 'x' || verb == 'X' ? "pP" : "eEpP", text[end]); end++) {
		point |= text[end] == '.';
		seen |= text[end] != '0' && text[end] != '.';
		digits -= seen && text[end] != '.';
	}
	tail = length - end;
	memcpy(rest, text + end, tail);
	if (!point) {
		digits -= end == 1 && *text == '0';
		text[end++] = '.';
	}
	for (; digits > 0; digits--)
		text[end++] = '0';
	memcpy(text + end, rest, tail);
	return end + tail;
}

static void print_float(struct printer *p, struct value v, uint32_t verb)
{
	char text[FLOAT_TEXT_MAX + PRECISION_MAX];
	bool zero = p->zero;
	size_t length;
	char *digits = text + 1;

	if (verb == 0 || verb > 'x' || !strchr("veEfFgGbxX", (int)verb)) {
		bad_verb(p, v, verb);
		return;
	}
	length = float_text(p, digits, v.real, v.bits, verb);
	if (*digits == '-' || *digits == '+') {
		digits++;
		length--;
	}
	if (p->sharp && verb != 'b' && isfinite(v.real))
		length = sharpen(p, digits, length, verb);
	digits[-1] = signbit(v.real) && !isnan(v.real) ? '-' : p->space && !p->plus ? ' ' : '+';
	if (!isfinite(v.real))
		p->zero = false;
	/* an infinity always shows a sign when it is asked for or negative; %v of +Inf shows it too */
	if (p->plus || digits[-1] != '+' || (isinf(v.real) && v.real > 0)) {
		digits--;
		length++;
	}
	if (p->zero && !p->minus && p->has_width && (*digits == '+' || *digits == '-' || *digits == ' ')) {
		text_add_char(p->out, *digits);
		p->width--;
		add_padded(p, digits + 1, length - 1);
		p->width++;
	} else {
		add_padded(p, digits, length);
	}
	p->zero = zero;
}

static void print_hex(struct printer *p, const char *s, size_t length, bool upper)
{
	struct text t;

	if (p->has_precision && (size_t)p->precision < length)
		length = (size_t)p->precision;
	text_init(&t, p->out->arena);
	for (size_t i = 0; i < length; i++) {
		if (p->space && i > 0)
			text_add_char(&t, ' ');
		if (p->sharp && (p->space || i == 0))
			text_add_string(&t, upper ? "0X" : "0x");
		text_addf(&t, upper ? "%02X" : "%02x", (unsigned char)s[i]);
	}
	print_text_of(p, &t);
}

/* The bytes of the first `precision` runes. */
static size_t truncated(const struct printer *p, const char *s, size_t length)
{
	const char *at = s, *end = s + length;
	uint32_t c;

	if (!p->has_precision)
		return length;
	for (int i = 0; i < p->precision && at < end; i++)
		at += utf8_decode(at, end, &c, NULL);
	return (size_t)(at - s);
}

static bool can_backquote(const char *s, size_t length)
{
	for (const char *at = s, *end = s + length; at < end;) {
		uint32_t c;
		bool valid;

		at += utf8_decode(at, end, &c, &valid);
		if (!valid || c == 0xfeff || (c < ' ' && c != '\t') || c == '`' || c == 127)
			return false;
	}
	return true;
}

static void print_quoted(struct printer *p, const char *s, size_t length)
{
	struct text t;

	length = truncated(p, s, length);
	text_init(&t, p->out->arena);
	if (p->sharp && can_backquote(s, length)) {
		text_add_char(&t, '`');
		text_add(&t, s, length);
		text_add_char(&t, '`');
	} else {
		go_quote(&t, s, length, p->plus);
	}
	print_text_of(p, &t);
}

static void print_bytes(struct printer *p, struct value v, uint32_t verb)
{
	if (p->sharp_v)
		text_add_string(p->out, "[]byte{");
	else
		text_add_char(p->out, '[');
	for (uint32_t i = 0; i < v.length; i++) {
		if (i > 0)
			text_add_string(p->out, p->sharp_v ? ", " : " ");
		if (p->sharp_v)
			text_addf(p->out, "0x%x", (unsigned char)v.text[i]);
		else
			print_base(p, (unsigned char)v.text[i], false, 10, verb);
	}
	text_add_char(p->out, p->sharp_v ? '}' : ']');
}

/* The bytes one by one under a verb that is not for texts. */
static void print_elements(struct printer *p, struct value v, uint32_t verb)
{
	text_add_string(p->out, p->sharp_v ? "[]uint8{" : "[");
	for (uint32_t i = 0; i < v.length; i++) {
		struct value byte = value_uint((unsigned char)v.text[i]);

		byte.bits = 8;
		if (i > 0)
			text_add_string(p->out, p->sharp_v ? ", " : " ");
		gofmt_print(p, byte, verb);
	}
	text_add_char(p->out, p->sharp_v ? '}' : ']');
}

static void print_string(struct printer *p, struct value v, uint32_t verb)
{
	switch (verb) {
	case 'v':
	case 'd':
		if (v.kind == VALUE_BYTES) {
			print_bytes(p, v, verb);
			return;
		}
		if (verb == 'd') {
			bad_verb(p, v, verb);
			return;
		}
		if (p->sharp_v) {
			print_quoted(p, v.text, v.length);
			return;
		}
		add_padded(p, v.text, truncated(p, v.text, v.length));
		return;
	case 's':
		add_padded(p, v.text, truncated(p, v.text, v.length));
		return;
	case 'x':
	case 'X':
		print_hex(p, v.text, v.length, verb == 'X');
		return;
	case 'q':
		print_quoted(p, v.text, v.length);
		return;
	default:
		if (v.kind == VALUE_BYTES)
			print_elements(p, v, verb);
		else
			bad_verb(p, v, verb);
		return;
	}
}

static void print_time(struct printer *p, struct value v, uint32_t verb)
{
	struct text t;
	struct value text;

	text_init(&t, p->out->arena);
	gotime_format(&t, v.time, GO_TIME_STRING, sizeof GO_TIME_STRING - 1);
	text = value_from_text(&t, VALUE_STRING);
	if (verb == 'v' || verb == 's' || verb == 'q' || verb == 'x' || verb == 'X')
		print_string(p, text, verb);
	else
		bad_verb(p, v, verb);
}

static void print_element(struct printer *p, struct value v, uint32_t verb)
{
	if (value_is_nullish(v))
		text_add_string(p->out, p->sharp_v ? "interface {}(nil)" : "<nil>");
	else
		gofmt_print(p, v, verb);
}

static void print_container(struct printer *p, struct value v, uint32_t verb)
{
	bool object = v.kind == VALUE_OBJECT;

	must(p->depth <= DEPTH_MAX);
	if (p->depth == DEPTH_MAX)
		return;
	p->depth++;
	if (p->sharp_v)
		text_add_string(p->out, object ? "map[string]interface {}{" : "[]interface {}{");
	else
		text_add_string(p->out, object ? "map[" : "[");
	for (uint32_t i = 0; i < value_count(v); i++) {
		if (i > 0)
			text_add_string(p->out, p->sharp_v ? ", " : " ");
		if (object) {
			gofmt_print(p, value_string(v.object->pairs[i].key, v.object->pairs[i].key_length), verb);
			text_add_char(p->out, ':');
		}
		print_element(p, object ? v.object->pairs[i].value : v.array->items[i], verb);
	}
	text_add_char(p->out, p->sharp_v ? '}' : ']');
	p->depth--;
}

/* One value under one verb. Of one that is made of itself, over and over, no more than there is room and time for. */
void gofmt_print(struct printer *p, struct value v, uint32_t verb)
{
	if (p->out->failed || arena_is_spent(p->out->arena))
		return;
	if (verb == 'T') {
		const char *type = value_is_nullish(v) ? "<nil>" : value_go_type(v);

		add_padded(p, type, value_is_nullish(v) ? strlen(type) : truncated(p, type, strlen(type)));
		return;
	}
	switch ((enum value_kind)v.kind) {
	case VALUE_NOTHING:
	case VALUE_DELETE:
	case VALUE_NULL:
		if (verb == 'v')
			add_padded(p, "<nil>", 5);
		else
			bad_verb(p, v, verb);
		break;
	case VALUE_BOOL:
		if (verb == 't' || verb == 'v')
			add_padded(p, v.boolean ? "true" : "false", v.boolean ? 4 : 5);
		else
			bad_verb(p, v, verb);
		break;
	case VALUE_INT:
	case VALUE_UINT:
		print_integer(p, v, verb);
		break;
	case VALUE_FLOAT:
		print_float(p, v, verb);
		break;
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		print_string(p, v, verb);
		break;
	case VALUE_TIMESTAMP:
		print_time(p, v, verb);
		break;
	case VALUE_ARRAY:
	case VALUE_OBJECT:
		if (verb == 'w') /* only errors may be wrapped */
			bad_verb(p, v, verb);
		else
			print_container(p, v, verb);
		break;
	case VALUE_KIND_COUNT:
		break;
	}
}
