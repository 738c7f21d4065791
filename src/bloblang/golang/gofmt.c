#include "bloblang/golang/gofmt.h"

#include <string.h>

#include "base/utf8.h"
#include "bloblang/golang/gofmt_print.h"

enum { WIDTH_LIMIT = 1000000 }; /* Go's bound on widths and precisions */

struct arguments {
	const struct value *args;
	size_t count;
	size_t next;
	bool reordered; /* an index was used: leftovers are not reported */
	bool good;      /* the last index was well formed */
	bool after_index;
};

static bool take_number(const char **p, const char *end, int *ret)
{
	const char *start = *p;

	*ret = 0;
	for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
		*ret = *ret * 10 + (**p - '0');
		if (*ret > WIDTH_LIMIT)
			return false;
	}
	return *p > start;
}

/* "[3]" */
static void take_index(const char **p, const char *end, struct arguments *a)
{
	const char *close, *digits;
	int index;

	if (*p == end || **p != '[')
		return;
	a->reordered = true;
	close = memchr(*p, ']', (size_t)(end - *p));
	digits = *p + 1;
	if (!close) {
		a->good = false;
		++*p;
		return;
	}
	a->after_index = true;
	if (take_number(&digits, close, &index) && digits == close && index >= 1 && (size_t)index <= a->count)
		a->next = (size_t)index - 1;
	else
		a->good = false;
	*p = close + 1;
}

/* The value of '*'. */
static bool take_star(struct arguments *a, int *ret)
{
	struct value v;

	if (a->next >= a->count)
		return false;
	v = a->args[a->next++];
	if (v.kind != VALUE_INT || v.integer > WIDTH_LIMIT || v.integer < -WIDTH_LIMIT)
		return false;
	*ret = (int)v.integer;
	return true;
}

static void take_flags(const char **p, const char *end, struct printer *pr)
{
	for (; *p < end; ++*p) {
		switch (**p) {
		case '#':
			pr->sharp = true;
			break;
		case '0':
			pr->zero = true;
			break;
		case '+':
			pr->plus = true;
			break;
		case '-':
			pr->minus = true;
			break;
		case ' ':
			pr->space = true;
			break;
		default:
			return;
		}
	}
}

static void take_width(const char **p, const char *end, struct printer *pr, struct arguments *a)
{
	take_index(p, end, a);
	if (*p < end && **p == '*') {
		++*p;
		pr->has_width = take_star(a, &pr->width);
		if (!pr->has_width)
			text_add_string(pr->out, "%!(BADWIDTH)");
		if (pr->width < 0) {
			pr->width = -pr->width;
			pr->minus = true;
			pr->zero = false;
		}
		a->after_index = false;
	} else {
		pr->has_width = take_number(p, end, &pr->width);
		if (a->after_index && pr->has_width)
			a->good = false;
	}
}

static void take_precision(const char **p, const char *end, struct printer *pr, struct arguments *a)
{
	if (*p == end || **p != '.')
		return;
	++*p;
	if (a->after_index)
		a->good = false;
	take_index(p, end, a);
	if (*p < end && **p == '*') {
		++*p;
		pr->has_precision = take_star(a, &pr->precision);
		if (pr->precision < 0) {
			pr->precision = 0;
			pr->has_precision = false;
		}
		if (!pr->has_precision)
			text_add_string(pr->out, "%!(BADPREC)");
		a->after_index = false;
	} else {
		pr->has_precision = true;
		if (!take_number(p, end, &pr->precision))
			pr->precision = 0;
	}
}

static void run_verb(struct printer *p, struct arguments *a, uint32_t verb)
{
	const char *problem = NULL;
	char bytes[UTF8_MAX];

	if (verb == '%')
		problem = "%";
	else if (!a->good)
		problem = "(BADINDEX)";
	else if (a->next >= a->count)
		problem = "(MISSING)";
	if (verb == '%') {
		text_add_char(p->out, '%');
	} else if (problem) {
		text_add_string(p->out, "%!");
		text_add(p->out, bytes, utf8_encode(bytes, verb));
		text_add_string(p->out, problem);
	} else {
		if (verb == 'v' || verb == 'w') {
			p->sharp_v = p->sharp;
			p->sharp = false;
			p->plus_v = p->plus;
			p->plus = false;
		}
		gofmt_print(p, a->args[a->next++], verb);
	}
}

static void report_extra(struct text *out, const struct arguments *a)
{
	struct printer p = {.out = out};

	text_add_string(out, "%!(EXTRA ");
	for (size_t i = a->next; i < a->count; i++) {
		if (i > a->next)
			text_add_string(out, ", ");
		if (value_is_nullish(a->args[i])) {
			text_add_string(out, "<nil>");
		} else {
			text_add_string(out, value_go_type(a->args[i]));
			text_add_char(out, '=');
			gofmt_print(&p, a->args[i], 'v');
		}
	}
	text_add_char(out, ')');
}

void go_sprintf(struct text *out, const char *format, size_t length, const struct value *args, size_t count)
{
	struct arguments a = {.args = args, .count = count};
	const char *at = format, *end = format + length;

	while (at < end && !arena_is_spent_now(out->arena)) { /* an argument may be large, and printed by each verb */
		struct printer p = {.out = out};
		const char *percent = memchr(at, '%', (size_t)(end - at));
		uint32_t verb;

		text_add(out, at, (size_t)((percent ? percent : end) - at));
		if (!percent)
			break;
		at = percent + 1;
		a.good = true;
		a.after_index = false;
		take_flags(&at, end, &p);
		take_width(&at, end, &p, &a);
		take_precision(&at, end, &p, &a);
		if (!a.after_index)
			take_index(&at, end, &a);
		if (at == end) {
			text_add_string(out, "%!(NOVERB)");
			break;
		}
		at += utf8_decode(at, end, &verb, NULL);
		run_verb(&p, &a, verb);
	}
	if (!a.reordered && a.next < count)
		report_extra(out, &a);
}
