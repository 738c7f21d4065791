#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value/number.h"
#include "bloblang/golang/gofmt.h"
#include "bloblang/language/eval_internal.h"

bool failure_set(struct evaluation *ev, enum failure_kind kind, const char *text)
{
	ev->failure = (struct failure){.kind = kind, .text = text};
	return false;
}

static const char *format_text(struct arena *a, const char *format, va_list ap)
{
	struct text t;
	va_list again;
	char small[512];
	int length;

	va_copy(again, ap);
	length = vsnprintf(small, sizeof small, format, ap);
	if (length < 0)
		abort();
	text_init(&t, a);
	if ((size_t)length < sizeof small) {
		text_add(&t, small, (size_t)length);
	} else if (text_reserve(&t, (size_t)length + 1)) {
		(void)vsnprintf(t.data, (size_t)length + 1, format, again);
		t.length = (size_t)length;
	}
	va_end(again);
	return text_end(&t);
}

bool failure_format(struct evaluation *ev, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	ev->failure = (struct failure){.kind = FAILURE_PLAIN, .text = format_text(ev->arena, format, ap)};
	va_end(ap);
	return false;
}

/*
 * Failures are C texts: a NUL of a message that is shown in one is written as two bytes that no UTF-8 has, and turned
 * back where a mapping gets the text.
 */
static const char hidden_nul[] = "\xc0\x80";

static const char *text_without_nul(struct text *t)
{
	const char *text = text_end(t), *end = text + t->length, *nul;
	struct text whole;

	if (t->length == 0 || !memchr(text, '\0', t->length))
		return text;
	text_init(&whole, t->arena);
	while ((nul = memchr(text, '\0', (size_t)(end - text))) != NULL) {
		text_add(&whole, text, (size_t)(nul - text));
		text_add(&whole, hidden_nul, 2);
		text = nul + 1;
	}
	text_add(&whole, text, (size_t)(end - text));
	return text_end(&whole);
}

struct value failure_value(struct evaluation *ev)
{
	const char *text = failure_text(ev), *nul;
	struct text t;

	if (!strstr(text, hidden_nul))
		return value_literal(text);
	text_init(&t, ev->arena);
	while ((nul = strstr(text, hidden_nul)) != NULL) {
		text_add(&t, text, (size_t)(nul - text));
		text_add_char(&t, '\0');
		text = nul + 2;
	}
	text_add_string(&t, text);
	return value_from_text(&t, VALUE_STRING);
}

const char *failure_remark(struct arena *a, struct value v)
{
	struct text t;

	text_init(&t, a);
	if (v.kind == VALUE_STRING) {
		text_add_string(&t, " (\"");
		text_add(&t, v.text, v.length);
		text_add_string(&t, "\")");
	} else if (value_is_number(v) || v.kind == VALUE_BOOL) {
		text_add_string(&t, " (");
		go_sprintf(&t, "%v", 2, &v, 1);
		text_add_char(&t, ')');
	}
	return text_without_nul(&t);
}

const char *failure_number(struct arena *a, struct value v, const char *parser)
{
	bool digits = true;
	double d;

	if (v.kind != VALUE_NUMBER || number_parse_float(v.text, v.length, &d))
		return NULL;
	for (uint32_t i = v.text[0] == '-' ? 1 : 0; i < v.length; i++)
		digits = digits && v.text[i] >= '0' && v.text[i] <= '9';
	return arena_format(a, "strconv.%s: parsing \"%.*s\": %s", parser, (int)v.length, v.text,
	                    digits || strcmp(parser, "ParseInt") != 0 ? "value out of range" : "invalid syntax");
}

bool failure_type(struct evaluation *ev, struct value v, const char *expected, const char *from)
{
	const char *beyond = strcmp(expected, "number") == 0 ? failure_number(ev->arena, v, "ParseFloat") : NULL;
	const char *remark = failure_remark(ev->arena, v);
	const char *head = arena_format(ev->arena, "expected %s value, got %s%s%s", expected, value_type_name(v),
	                                from ? " from " : "", from ? from : "");

	if (beyond)
		return failure_set(ev, FAILURE_PLAIN, beyond);
	ev->failure = (struct failure){.kind = from ? FAILURE_MISMATCH : FAILURE_TYPE, .text = head, .tail = remark};
	return false;
}

bool failure_condition(struct evaluation *ev, const struct node *from, struct value v)
{
	struct text t;

	text_init(&t, ev->arena);
	go_sprintf(&t, "%v", 2, &v, 1);
	return failure_format(ev, "%s resolved to a non-boolean value %s (%s)", node_annotation(ev->arena, from),
	                      text_without_nul(&t), value_go_type(v));
}

const char *failure_text(struct evaluation *ev)
{
	const struct failure *f = &ev->failure;

	if (!f->text)
		return "unknown failure";
	if (f->tail && f->tail[0] != '\0')
		return arena_format(ev->arena, "%s%s", f->text, f->tail);
	return f->text;
}

bool failure_wrap(struct evaluation *ev, const char *format, ...)
{
	const char *inner = failure_text(ev);
	const char *outer;
	va_list ap;

	va_start(ap, format);
	outer = format_text(ev->arena, format, ap);
	va_end(ap);
	ev->failure.text = arena_format(ev->arena, "%s: %s", outer, inner);
	ev->failure.tail = NULL;
	if (ev->failure.kind != FAILURE_ANNOTATED)
		ev->failure.kind = FAILURE_PLAIN;
	return false;
}

bool failure_annotate(struct evaluation *ev, const struct node *from)
{
	struct failure *f = &ev->failure;
	const char *annotation;

	if (f->settled || f->final || f->kind == FAILURE_MISMATCH || f->kind == FAILURE_ANNOTATED)
		return false;
	annotation = node_annotation(ev->arena, from);
	if (f->kind == FAILURE_TYPE) {
		f->text = arena_format(ev->arena, "%s from %s", f->text, annotation);
		f->kind = FAILURE_MISMATCH;
	} else {
		f->text = arena_format(ev->arena, "%s: %s", annotation, failure_text(ev));
		f->tail = NULL;
		f->kind = FAILURE_ANNOTATED;
	}
	return false;
}
