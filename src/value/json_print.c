#include "value/json.h"

#include <math.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "value/json_scan.h"
#include "value/number.h"
#include "value/time.h"

static void print_escape(struct text *out, unsigned char c)
{
	char six[] = {'\\', 'u', '0', '0', hex_lower[c >> 4], hex_lower[c & 15]};
	const char *letter = c != 0 ? strchr("\bb\ff\nn\rr\tt\"\"\\\\", c) : NULL;

	if (!letter) {
		text_add(out, six, sizeof six);
		return;
	}
	six[1] = letter[1];
	text_add(out, six, 2);
}

/* One character that cannot be copied blindly; returns its width. */
static size_t print_special(struct text *out, const char *p, const char *end)
{
	uint32_t rune;
	bool valid;
	size_t width;

	if ((unsigned char)*p < 0x80) {
		print_escape(out, (unsigned char)*p);
		return 1;
	}
	width = utf8_decode(p, end, &rune, &valid);
	if (!valid)
		text_add(out, "\\ufffd", 6);
	else if (rune == 0x2028 || rune == 0x2029)
		text_add(out, rune == 0x2028 ? "\\u2028" : "\\u2029", 6);
	else
		text_add(out, p, width);
	return width;
}

static const char *plain_run(const char *p, const char *end, bool escape_html)
{
	if (!escape_html)
		return scan_run(p, end, true);
	while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\' &&
	       *p != '<' && *p != '>' && *p != '&')
		p++;
	return p;
}

void json_print_string(struct text *out, const char *text, size_t length, bool escape_html)
{
	const char *end = text + length;

	text_add_char(out, '"');
	for (;;) {
		const char *run = plain_run(text, end, escape_html);

		text_add(out, text, (size_t)(run - text));
		if (run == end)
			break;
		text = run + print_special(out, run, end);
	}
	text_add_char(out, '"');
}

static void print_base64(struct text *out, const char *p, size_t length)
{
	size_t digits = base64_length(BASE64_STANDARD, length);
	char *to = text_reserve(out, digits + 2);

	if (!to)
		return;
	*to++ = '"';
	base64_encode(BASE64_STANDARD, p, length, to);
	to[digits] = '"';
	out->length += digits + 2;
}

static const char *not_finite(double d)
{
	if (isnan(d))
		return "json: unsupported value: NaN";
	return d > 0 ? "json: unsupported value: +Inf" : "json: unsupported value: -Inf";
}

/* Anything but a container. False: *ret_error. */
static bool print_scalar(struct text *out, struct value v, const struct json_style *style, const char **ret_error)
{
	char buffer[TIME_TEXT_MAX];

	switch ((enum value_kind)v.kind) {
	case VALUE_STRING:
		json_print_string(out, v.text, v.length, style->escape_html);
		return true;
	case VALUE_NUMBER:
		text_add(out, v.text, v.length);
		return true;
	case VALUE_INT:
		text_add(out, buffer, number_print_int(buffer, v.integer));
		return true;
	case VALUE_UINT:
		text_add(out, buffer, number_print_uint(buffer, v.natural));
		return true;
	case VALUE_FLOAT:
		if (!isfinite(v.real)) {
			*ret_error = not_finite(v.real);
			return false;
		}
		text_add(out, buffer, number_print_json(buffer, v.real, v.bits));
		return true;
	case VALUE_BOOL:
		text_add(out, v.boolean ? "true" : "false", v.boolean ? 4 : 5);
		return true;
	case VALUE_BYTES:
		if (v.bits == 1) {
			text_add(out, "null", 4);
			return true;
		}
		print_base64(out, v.text, v.length);
		return true;
	case VALUE_TIMESTAMP:
		json_print_string(out, buffer, time_print(buffer, v.time), false);
		return true;
	default:
		text_add(out, "null", 4);
		return true;
	}
}

/* A container being printed and the member that comes next; the printer is iterative because values may be deep. */
struct printing {
	struct value container;
	uint32_t next;
};

struct printer {
	struct text *out;
	const struct json_style *style;
	struct printing *stack;
	size_t depth;
	size_t capacity;
	const char **ret_error;
};

static bool push_container(struct printer *p, struct value v)
{
	if (p->depth == p->capacity) {
		size_t capacity = p->capacity * 2;
		struct printing *stack;

		if (capacity > (size_t)16 * JSON_DEPTH_MAX) {
			*p->ret_error = "json: the value is nested too deep";
			return false;
		}
		stack = arena_alloc(p->out->arena, capacity * sizeof *stack);
		memcpy(stack, p->stack, p->depth * sizeof *stack);
		p->stack = stack;
		p->capacity = capacity;
	}
	p->stack[p->depth++] = (struct printing){v, 0};
	text_add_char(p->out, v.kind == VALUE_OBJECT ? '{' : '[');
	return true;
}

static void print_line(struct printer *p)
{
	if (!p->style->indent)
		return;
	text_add_char(p->out, '\n');
	for (size_t i = 0; i < p->depth; i++)
		text_add_string(p->out, p->style->indent);
}

/* Prints what stands before the next member (comma, line, key) and gives it. */
static struct value next_member(struct printer *p, struct printing *top)
{
	const struct value_pair *pair;

	if (top->next != 0)
		text_add_char(p->out, ',');
	print_line(p);
	if (top->container.kind == VALUE_ARRAY)
		return top->container.array->items[top->next++];
	pair = &top->container.object->pairs[top->next++];
	json_print_string(p->out, pair->key, pair->key_length, p->style->escape_html);
	text_add(p->out, ": ", p->style->indent ? 2 : 1);
	return pair->value;
}

static bool begin_print(struct printer *p, struct value v)
{
	if (v.kind != VALUE_ARRAY && v.kind != VALUE_OBJECT)
		return print_scalar(p->out, v, p->style, p->ret_error);
	if (v.kind == VALUE_ARRAY && v.literal && v.array->count == 0 && p->style->literal_null) {
		text_add(p->out, "null", 4);
		return true;
	}
	if (value_count(v) == 0) {
		text_add(p->out, v.kind == VALUE_OBJECT ? "{}" : "[]", 2);
		return true;
	}
	return push_container(p, v);
}

bool json_print(struct text *out, struct value v, const struct json_style *style, const char **ret_error)
{
	struct printing first[32];
	struct printer p = {.out = out, .style = style, .stack = first, .capacity = 32, .ret_error = ret_error};

	if (!begin_print(&p, v))
		return false;
	while (p.depth > 0 && !out->failed) {
		struct printing *top = &p.stack[p.depth - 1];

		if (top->next < value_count(top->container)) {
			if (!begin_print(&p, next_member(&p, top)))
				return false;
			continue;
		}
		p.depth--;
		print_line(&p);
		text_add_char(out, top->container.kind == VALUE_OBJECT ? '}' : ']');
	}
	if (out->failed)
		*ret_error = "there is no room for the text";
	return !out->failed;
}
