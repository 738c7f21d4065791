/*
 * Invariants:
 * 1. text <= at <= end, and nothing at or behind end is read.
 * 2. A function that returns false has set p->fault; p->at may then be anywhere.
 * 3. A fault is fatal exactly when it has a message; no other choice is tried after it.
 * 4. A fault names at most FAULT_EXPECTED_MAX things.
 */
#include "bloblang/language/parse_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "bloblang/golang/goquote.h"

void list_add(struct parse *p, struct list *l, const void *item)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity == 0 ? 4 : l->capacity * 2;
		const void **items = arena_alloc(&p->program->arena, capacity * sizeof *items);

		if (l->count != 0)
			memcpy(items, l->items, l->count * sizeof *items);
		l->items = items;
		l->capacity = capacity;
	}
	l->items[l->count++] = item;
}

bool fault_expected(struct parse *p, const char *at, const char *what)
{
	p->fault.at = at;
	p->fault.message = NULL;
	p->fault.count = 1;
	p->fault.expected[0] = what;
	return false;
}

bool fault_fatal(struct parse *p, const char *at, const char *format, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		abort();
	va_end(ap);
	p->fault.at = at;
	p->fault.message = arena_copy(&p->program->arena, text, strlen(text));
	p->fault.count = 0;
	free(text);
	return false;
}

bool fault_must(struct parse *p)
{
	if (!p->fault.message)
		p->fault.message = "required";
	return false;
}

bool fault_rename(struct parse *p, const char *what)
{
	if (!p->fault.message) {
		p->fault.count = 1;
		p->fault.expected[0] = what;
	}
	return false;
}

void fault_merge(struct fault *best, const struct fault *f)
{
	if (!best->at || f->at > best->at) {
		*best = *f;
		return;
	}
	if (f->at < best->at)
		return;
	for (int i = 0; i < f->count; i++) {
		bool known = false;

		for (int j = 0; j < best->count && !known; j++)
			known = strcmp(best->expected[j], f->expected[i]) == 0;
		if (!known && best->count < FAULT_EXPECTED_MAX)
			best->expected[best->count++] = f->expected[i];
	}
}

const char *fault_text(struct arena *a, const struct fault *f)
{
	struct text t;

	must(f->count >= 0 && f->count <= FAULT_EXPECTED_MAX);
	text_init(&t, a);
	if (f->message)
		text_add_string(&t, f->message);
	if (f->count == 0)
		return text_end(&t);
	text_add_string(&t, f->message ? ": expected " : "expected ");
	for (int i = 0; i < f->count; i++) {
		if (i > 0 && i == f->count - 1)
			text_add_string(&t, f->count > 2 ? ", or " : " or ");
		else if (i > 0)
			text_add_string(&t, ", ");
		text_add_string(&t, f->expected[i]);
	}
	return text_end(&t);
}

void fault_position(const char *text, const char *at, int *ret_line, int *ret_column)
{
	int line = 1;
	int column = 1;

	for (const char *p = text; p < at; p++) {
		if (*p == '\n') {
			line++;
			column = 1;
		} else if (((unsigned char)*p & 0xC0) != 0x80) {
			column++;
		}
	}
	*ret_line = line;
	*ret_column = column;
}

int parse_line(struct parse *p, const char *at)
{
	if (!p->line_at)
		p->line_at = p->text;
	for (; p->line_at < at; p->line_at++)
		p->line += *p->line_at == '\n';
	while (p->line_at > at)
		p->line -= *--p->line_at == '\n';
	return p->line;
}

bool parse_is_spent(struct parse *p)
{
	struct arena *a = &p->program->arena;

	if (!arena_is_spent(a))
		return false;
	fault_fatal(p, p->at, "the mapping needs more %s than it may have", a->late ? "time" : "memory");
	return true;
}

const char *fault_with_position(struct arena *a, const char *text, const struct fault *f)
{
	int line;
	int column;

	fault_position(text, f->at, &line, &column);
	return arena_format(a, "line %d char %d: %s", line, column, fault_text(a, f));
}

bool parse_is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_snake_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

void parse_skip_blanks(struct parse *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t'))
		p->at++;
}

bool parse_blanks(struct parse *p)
{
	const char *start = p->at;

	parse_skip_blanks(p);
	return p->at > start || fault_expected(p, start, "whitespace");
}

bool parse_line_break(struct parse *p)
{
	const char *start = p->at;
	const char *at = start;
	const char *wrong = start;

	if (at < p->end && *at == '#') {
		while (at < p->end && *at != '\n')
			at++;
		wrong = at;
	} else if (at < p->end && *at == '\r') {
		at++;
		wrong = at;
	}
	if (at == p->end || *at != '\n')
		return fault_expected(p, wrong, "line break");
	p->at = at + 1;
	return true;
}

void parse_skip_space(struct parse *p)
{
	for (;;) {
		const char *before;

		parse_skip_blanks(p);
		before = p->at;
		if (before == p->end || (*before != '\n' && *before != '\r' && *before != '#'))
			return;
		if (!parse_line_break(p)) {
			p->at = before;
			return;
		}
	}
}

bool parse_term(struct parse *p, const char *term)
{
	size_t length = strlen(term);

	must(p->at >= p->text && p->at <= p->end);
	if ((size_t)(p->end - p->at) < length || memcmp(p->at, term, length) != 0)
		return fault_expected(p, p->at, term);
	p->at += length;
	return true;
}

bool parse_char(struct parse *p, char c)
{
	static const char names[] = "(\0)\0{\0}\0[\0]\0.\0=\0,\0:\0$\0@\0_\0-\0";
	const char *name = names;

	if (p->at < p->end && *p->at == c) {
		p->at++;
		return true;
	}
	while (*name != c)
		name += 2;
	return fault_expected(p, p->at, name);
}

static bool parse_run(struct parse *p, bool accept(char), const char **ret, size_t *ret_length, const char *what)
{
	const char *start = p->at;

	while (p->at < p->end && accept(*p->at))
		p->at++;
	if (p->at == start)
		return fault_expected(p, start, what);
	*ret = start;
	*ret_length = (size_t)(p->at - start);
	return true;
}

bool parse_name(struct parse *p, const char **ret, size_t *ret_length, const char *what)
{
	return parse_run(p, parse_is_name_char, ret, ret_length, what);
}

bool parse_snake(struct parse *p, const char **ret, size_t *ret_length, const char *what)
{
	return parse_run(p, is_snake_char, ret, ret_length, what);
}

bool parse_quoted(struct parse *p, const char **ret, size_t *ret_length)
{
	const char *start = p->at;
	bool escaped = false;
	struct text t;

	if (start == p->end || *start != '"')
		return fault_expected(p, start, "quoted string");
	for (const char *at = start + 1; at < p->end; at++) {
		if (*at == '"' && !escaped) {
			text_init(&t, &p->program->arena);
			if (!go_unquote(&t, start, (size_t)(at + 1 - start)))
				return fault_fatal(p, start,
				                   "failed to unescape quoted string contents: invalid syntax");
			*ret_length = t.length;
			*ret = text_end(&t);
			p->at = at + 1;
			return true;
		}
		escaped = *at == '\\' && !escaped;
	}
	fault_expected(p, p->end, "end quote");
	return fault_must(p);
}

bool parse_triple_quoted(struct parse *p, const char **ret, size_t *ret_length)
{
	const char *start = p->at;

	if (p->end - start < 6 || memcmp(start, "\"\"\"", 3) != 0)
		return fault_expected(p, start, "quoted string");
	for (const char *at = start + 3; at + 3 <= p->end; at++) {
		if (memcmp(at, "\"\"\"", 3) == 0) {
			*ret = start + 3;
			*ret_length = (size_t)(at - start - 3);
			p->at = at + 3;
			return true;
		}
	}
	fault_expected(p, p->end, "end triple-quote");
	return fault_must(p);
}
