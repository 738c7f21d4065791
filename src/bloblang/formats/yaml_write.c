/*
 * Writing YAML: block style, four spaces, keys in yaml.v3's natural order.
 *
 * Invariants:
 * 1. column is where the lines of the block that holds a value begin; it is never negative.
 * 2. Blocks inside mappings begin at the next multiple of INDENT, blocks inside sequences right behind the dash
 *    (yaml.v3's emitter).
 * 3. A text stands without quotes only when yaml_resolve() would read it as the same text.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/utf8.h"
#include "value/json.h"
#include "value/number.h"
#include "value/time.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/yaml.h"

enum { INDENT = 4, DEPTH_MAX = 1000 };

/*
 * column: where the lines of the block that holds v begin. Blocks inside mappings begin at the next multiple of INDENT,
 * blocks inside sequences right behind the dash (yaml.v3's emitter).
 */
enum place { AT_TOP, AFTER_KEY, AFTER_DASH };

static void write_node(struct text *out, struct value v, int column, enum place place);

static int inner_column(int column, enum place place)
{
	return place == AT_TOP ? 0 : place == AFTER_DASH ? column + 2 : (column + INDENT) / INDENT * INDENT;
}

static void add_indent(struct text *out, int column)
{
	for (int i = 0; i < column; i++)
		text_add_char(out, ' ');
}

/* YAML 1.1 booleans, which other readers take for what they are not. */
static bool is_old_bool(const char *s, size_t length)
{
	static const char *const old[] = {"y", "Y", "yes", "Yes", "YES", "on",  "On",  "ON",
	                                  "n", "N", "no",  "No",  "NO",  "off", "Off", "OFF"};

	for (size_t i = 0; i < sizeof old / sizeof *old; i++)
		if (strlen(old[i]) == length && memcmp(old[i], s, length) == 0)
			return true;
	return false;
}

/* "12:30:45": sexagesimal in YAML 1.1. */
static bool is_base60(const char *s, size_t length)
{
	size_t colons = 0, i = length > 0 && (*s == '-' || *s == '+');

	if (i == length || !isdigit((unsigned char)s[i]))
		return false;
	for (; i < length; i++) {
		if (s[i] == ':')
			colons++;
		else if (!isdigit((unsigned char)s[i]) && s[i] != '_' && s[i] != '.')
			return false;
	}
	return colons > 0;
}

static bool is_printable(uint32_t c)
{
	return c == '\t' || c == '\n' || (c >= ' ' && c < 127) || c == 0x85 || (c >= 0xa0 && c <= 0xd7ff) ||
	       (c >= 0xe000 && c <= 0xfffd && c != 0xfeff);
}

struct shape {
	bool plain;   /* may stand without quotes */
	bool special; /* holds what only double quotes can say */
	bool tab;     /* holds one, which only they and a literal block can say */
	bool lines;   /* more than one line */
	bool literal; /* may be a literal block */
};

/* What libyaml calls analysing a scalar. */
static struct shape shape_of(const char *s, size_t length)
{
	struct shape r = {.plain = true, .literal = true};
	const char *p = s, *end = s + length;
	bool after_space = true;

	if (length == 0 || *s == ' ' || end[-1] == ' ' ||
	    (length >= 3 && (!memcmp(s, "---", 3) || !memcmp(s, "...", 3))))
		r.plain = false;
	while (p < end) {
		uint32_t c;
		bool valid, first = p == s, last;

		p += utf8_decode(p, end, &c, &valid);
		last = p == end;
		if (!valid || !is_printable(c))
			r.special = true;
		if (first && c < 128 && strchr("#,[]{}&*!|>'\"%@`", (int)c) && c)
			r.plain = false;
		if (first && (c == '?' || c == ':' || c == '-') && (last || *p == ' ' || *p == '\n'))
			r.plain = false;
		if (!first && c == ':' && (last || *p == ' ' || *p == '\n'))
			r.plain = false;
		if (!first && c == '#' && after_space)
			r.plain = false;
		if (c == '\n' || c == 0x85 || c == 0x2028 || c == 0x2029)
			r.lines = true;
		r.tab = r.tab || c == '\t';
		if (c == ' ' && !last && *p == '\n')
			r.literal = false; /* a space before a break */
		after_space = c == ' ' || c == '\t' || c == '\n';
	}
	if (length > 0 && (end[-1] == ' ' || *s == ' ' || *s == '\n' || *s == '\t'))
		r.literal = r.literal && end[-1] != ' ' && *s != '\t';
	if (r.special)
		r.plain = r.literal = false;
	if (r.lines)
		r.plain = false;
	return r;
}

static void add_double_quoted(struct text *out, const char *s, size_t length)
{
	static const char from[] = "\a\b\t\n\v\f\r\x1b\"\\", to[] = "abtnvfre\"\\";
	const char *p = s, *end = s + length;

	text_add_char(out, '"');
	while (p < end) {
		uint32_t c;
		bool valid;
		const char *known, *start = p;

		p += utf8_decode(p, end, &c, &valid);
		known = c && c < 128 ? strchr(from, (int)c) : NULL;
		if (!valid)
			text_addf(out, "\\x%02X", (unsigned char)*start);
		else if (known)
			text_addf(out, "\\%c", to[known - from]);
		else if (c == 0)
			text_add_string(out, "\\0");
		else if (is_printable(c))
			text_add(out, start, (size_t)(p - start));
		else if (c < 256)
			text_addf(out, "\\x%02X", c);
		else if (c < 0x10000)
			text_addf(out, "\\u%04X", c);
		else
			text_addf(out, "\\U%08X", c);
	}
	text_add_char(out, '"');
}

static void add_single_quoted(struct text *out, const char *s, size_t length)
{
	text_add_char(out, '\'');
	for (size_t i = 0; i < length; i++) {
		if (s[i] == '\'')
			text_add_char(out, '\'');
		text_add_char(out, s[i]);
	}
	text_add_char(out, '\'');
}

/* "|-" and the lines below it. */
static void add_literal(struct text *out, const char *s, size_t length, int column)
{
	const char *end = s + length, *p = s;

	text_add_char(out, '|');
	if (*s == ' ' || *s == '\n')
		text_addf(out, "%d", INDENT);
	if (end[-1] != '\n')
		text_add_char(out, '-');
	else if (length == 1 || end[-2] == '\n')
		text_add_char(out, '+');
	while (p < end) {
		const char *feed = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((feed ? feed : end) - p);

		text_add_char(out, '\n');
		if (n > 0)
			add_indent(out, column);
		text_add(out, p, n);
		p += feed ? n + 1 : n;
	}
}

/* column: of the lines of a literal block */
static void write_string(struct text *out, const char *s, size_t length, int column, bool is_key)
{
	struct shape shape = shape_of(s, length);
	bool other = yaml_resolve(out->arena, s, length).kind != VALUE_STRING || is_old_bool(s, length) ||
	             is_base60(s, length) || (length == 2 && memcmp(s, "<<", 2) == 0);

	if (other || shape.special)
		add_double_quoted(out, s, length);
	else if (shape.lines && shape.literal && !is_key)
		add_literal(out, s, length, column);
	else if (shape.tab)
		add_double_quoted(out, s, length);
	else if (shape.lines)
		add_double_quoted(out, s, length);
	else if (shape.plain)
		text_add(out, s, length);
	else
		add_single_quoted(out, s, length);
}

static void write_float(struct text *out, struct value v)
{
	char digits[NUMBER_TEXT_MAX];

	if (isnan(v.real))
		text_add_string(out, ".nan");
	else if (isinf(v.real))
		text_add_string(out, v.real > 0 ? ".inf" : "-.inf");
	else
		text_add(out, digits, number_print_text(digits, v.real, v.bits));
}

static void write_scalar(struct text *out, struct value v, int column)
{
	char stamp[TIME_TEXT_MAX];
	struct text encoded;
	const char *error;

	switch ((enum value_kind)v.kind) {
	case VALUE_FLOAT:
		write_float(out, v);
		break;
	case VALUE_STRING:
		if (!utf8_is_valid(v.text, v.length)) {
			text_init(&encoded, out->arena);
			(void)encoding_encode(encoding_find("base64", 6), v.text, v.length, &encoded, &error);
			text_add_string(out, "!!binary ");
			text_add(out, text_end(&encoded), encoded.length);
			break;
		}
		write_string(out, v.text, v.length, column, false);
		break;
	case VALUE_NUMBER: /* in the reference a text, which is quoted when it would read as a number */
		write_string(out, v.text, v.length, column, false);
		break;
	case VALUE_BYTES: /* Go writes a list of numbers */
		if (v.length == 0)
			text_add_string(out, "[]");
		break;
	case VALUE_TIMESTAMP:
		text_add(out, stamp, time_print(stamp, v.time));
		break;
	default:
		value_print_scalar(out, v);
		break;
	}
}

/* Digits compare as numbers, letters before other characters: "a2" comes before "a10". */
static int natural_order(const void *x, const void *y)
{
	const struct value_pair *a = x, *b = y;
	uint32_t n = a->key_length < b->key_length ? a->key_length : b->key_length, i = 0;
	bool digits = false;

	for (; i < n; i++) {
		unsigned char c = (unsigned char)a->key[i], d = (unsigned char)b->key[i];
		uint32_t k = i, l = i;
		bool letters = (isalpha(c) || c > 127) && (isalpha(d) || d > 127);

		if (c == d) {
			digits = isdigit(c);
			continue;
		}
		if (letters)
			return c < d ? -1 : 1;
		if ((isalpha(c) || c > 127) || (isalpha(d) || d > 127)) {
			bool a_letter = isalpha(c) || c > 127;

			return digits ? (a_letter ? -1 : 1) : (a_letter ? 1 : -1);
		}
		if (isdigit(c) && isdigit(d)) {
			while (k < a->key_length && isdigit((unsigned char)a->key[k]))
				k++;
			while (l < b->key_length && isdigit((unsigned char)b->key[l]))
				l++;
			if (k != l)
				return k < l ? -1 : 1;
		}
		return c < d ? -1 : 1;
	}
	return a->key_length < b->key_length ? -1 : a->key_length > b->key_length;
}

static void write_object(struct text *out, struct value v, int column)
{
	size_t size = value_count(v) * sizeof(struct value_pair);
	struct value_pair *pairs;

	if (!arena_fits(out->arena, size) || !arena_hold(out->arena, size))
		return;
	pairs = arena_alloc(out->arena, size);
	memcpy(pairs, v.object->pairs, size);
	qsort(pairs, value_count(v), sizeof *pairs, natural_order);
	arena_let_go(out->arena, size);
	for (uint32_t i = 0; i < value_count(v); i++) {
		if (i > 0) {
			text_add_char(out, '\n');
			add_indent(out, column);
		}
		write_string(out, pairs[i].key, pairs[i].key_length, column, true);
		text_add_char(out, ':');
		write_node(out, pairs[i].value, column, AFTER_KEY);
	}
}

static struct value as_numbers(struct arena *a, struct value bytes)
{
	struct value array = value_array(a, bytes.length);

	for (uint32_t i = 0; i < bytes.length; i++)
		value_array_push(a, array, value_int((unsigned char)bytes.text[i]));
	return array;
}

static void write_array(struct text *out, struct value v, int column)
{
	for (uint32_t i = 0; i < value_count(v); i++) {
		if (i > 0) {
			text_add_char(out, '\n');
			add_indent(out, column);
		}
		text_add_string(out, "- ");
		write_node(out, v.array->items[i], column, AFTER_DASH);
	}
}

static void write_node(struct text *out, struct value v, int column, enum place place)
{
	int inner = inner_column(column, place);

	must(column >= 0);
	if (out->failed || inner > DEPTH_MAX * INDENT)
		return;
	if (v.kind == VALUE_BYTES && v.length > 0)
		v = as_numbers(out->arena, v);
	if (value_count(v) == 0) {
		if (place == AFTER_KEY)
			text_add_char(out, ' ');
		if (v.kind == VALUE_ARRAY || v.kind == VALUE_OBJECT)
			text_add_string(out, v.kind == VALUE_ARRAY ? "[]" : "{}");
		else
			write_scalar(out, v, place == AT_TOP ? INDENT : inner);
		return;
	}
	if (place == AFTER_KEY) {
		text_add_char(out, '\n');
		add_indent(out, inner);
	}
	if (v.kind == VALUE_ARRAY)
		write_array(out, v, inner);
	else
		write_object(out, v, inner);
}

void yaml_write(struct text *out, struct value v)
{
	write_node(out, v, 0, AT_TOP);
	text_add_char(out, '\n');
}
