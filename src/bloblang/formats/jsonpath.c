/*
 * JSONPath: parsing into steps and filters, and walking values by them.
 *
 * Invariants:
 * 1. depth <= DEPTH_MAX, in the parser and in the walk; what lies deeper is not found.
 * 2. Alternatives of a union are linked last to first, and only the first of them has the next step.
 * 3. A definite path has only name and index steps, none of them deep.
 * 4. error keeps the first thing that was wrong.
 */
#include "bloblang/formats/jsonpath.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "value/number.h"

enum { NAME_STEP, INDEX_STEP, SLICE_STEP, ALL_STEP, FILTER_STEP };
enum { DEPTH_MAX = 200 };

/* A filter: a tree of comparisons. */
struct filter {
	char op; /* '&' '|' '!' '=' '#' (not equal) '<' '>' 'l' (<=) 'g' (>=) 'p' path 'v' literal */
	const struct filter *left, *right;
	const struct jsonpath *path;
	bool from_root;
	struct value literal;
};

struct step {
	int kind;
	bool deep; /* also in everything below */
	const char *name;
	size_t length;
	int64_t from, to, by; /* INDEX: from; SLICE */
	bool has_from, has_to;
	const struct filter *filter;
	const struct step *alternative; /* of a union */
	const struct step *next;
};

struct jsonpath {
	const struct step *first;
	bool definite;
};

struct path_parser {
	struct arena *arena;
	const char *p;
	const char *end;
	const char *error;
	int depth;
};

static const struct jsonpath *parse_path(struct path_parser *p);
static const struct filter *parse_or(struct path_parser *p);

static void *fail(struct path_parser *p, const char *what)
{
	if (!p->error)
		p->error = what;
	return NULL;
}

static void skip_space(struct path_parser *p)
{
	while (p->p < p->end && isspace((unsigned char)*p->p))
		p->p++;
}

static bool take(struct path_parser *p, const char *text)
{
	size_t n = strlen(text);

	skip_space(p);
	if ((size_t)(p->end - p->p) < n || memcmp(p->p, text, n) != 0)
		return false;
	p->p += n;
	return true;
}

static bool take_quoted(struct path_parser *p, const char **ret, size_t *ret_length)
{
	char quote = p->p < p->end ? *p->p : '\0';
	struct text t;

	if (quote != '\'' && quote != '"')
		return false;
	text_init(&t, p->arena);
	for (p->p++; p->p < p->end && *p->p != quote; p->p++) {
		if (*p->p == '\\' && p->p + 1 < p->end)
			p->p++;
		text_add_char(&t, *p->p);
	}
	if (p->p == p->end)
		return fail(p, "unterminated string");
	p->p++;
	*ret = text_end(&t);
	*ret_length = t.length;
	return true;
}

static bool take_integer(struct path_parser *p, int64_t *ret)
{
	const char *start = p->p;

	p->p += p->p < p->end && *p->p == '-';
	while (p->p < p->end && isdigit((unsigned char)*p->p))
		p->p++;
	if (number_parse_int(start, (size_t)(p->p - start), ret))
		return true;
	p->p = start;
	return false;
}

static struct step *step_new(struct path_parser *p, int kind)
{
	struct step *s = arena_alloc(p->arena, sizeof *s);

	*s = (struct step){.kind = kind, .by = 1};
	return s;
}

static struct step *parse_slice(struct path_parser *p)
{
	struct step *s = step_new(p, INDEX_STEP);

	s->has_from = take_integer(p, &s->from);
	if (!take(p, ":"))
		return s->has_from ? s : fail(p, "expected an index, a name or a filter");
	s->kind = SLICE_STEP;
	skip_space(p);
	s->has_to = take_integer(p, &s->to);
	if (take(p, ":")) {
		skip_space(p);
		if (!take_integer(p, &s->by) || s->by == 0)
			return fail(p, "expected a step");
	}
	return s;
}

static struct step *parse_selector(struct path_parser *p)
{
	struct step *s;

	skip_space(p);
	if (take(p, "*"))
		return step_new(p, ALL_STEP);
	if (take(p, "?")) {
		s = step_new(p, FILTER_STEP);
		if (!take(p, "("))
			return fail(p, "expected ( after ?");
		s->filter = parse_or(p);
		if (!s->filter || !take(p, ")"))
			return fail(p, "expected ) at the end of a filter");
		return s;
	}
	s = step_new(p, NAME_STEP);
	if (take_quoted(p, &s->name, &s->length))
		return s;
	return p->error ? NULL : parse_slice(p);
}

static struct step *parse_bracket(struct path_parser *p)
{
	struct step *first = NULL, *s;

	do {
		s = parse_selector(p);
		if (!s)
			return NULL;
		s->alternative = first;
		first = s;
	} while (take(p, ","));
	return take(p, "]") ? first : fail(p, "expected ]");
}

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || (c & 0x80); }

static struct step *parse_name(struct path_parser *p)
{
	struct step *s;

	if (p->p < p->end && *p->p == '*') {
		p->p++;
		return step_new(p, ALL_STEP);
	}
	s = step_new(p, NAME_STEP);
	s->name = p->p;
	while (p->p < p->end && is_name_char(*p->p))
		p->p++;
	s->length = (size_t)(p->p - s->name);
	return s->length ? s : fail(p, "expected a name after .");
}

/* After $ or @. */
static const struct jsonpath *parse_path(struct path_parser *p)
{
	struct jsonpath *path = arena_alloc(p->arena, sizeof *path);
	const struct step **link = &path->first;

	*path = (struct jsonpath){.definite = true};
	for (;;) {
		struct step *s;
		bool deep = false;

		if (p->p == p->end) {
			break;
		} else if (*p->p == '[') {
			p->p++;
			s = parse_bracket(p);
		} else if (*p->p == '.') {
			p->p++;
			deep = p->p < p->end && *p->p == '.';
			p->p += deep;
			if (deep && p->p < p->end && *p->p == '[') {
				p->p++;
				s = parse_bracket(p);
			} else {
				s = parse_name(p);
			}
		} else {
			break;
		}
		if (!s)
			return NULL;
		s->deep = deep;
		if (deep || s->alternative || (s->kind != NAME_STEP && s->kind != INDEX_STEP))
			path->definite = false;
		*link = s;
		link = &s->next;
	}
	return path;
}

static const struct filter *filter_new(struct path_parser *p, char op, const struct filter *left,
                                       const struct filter *right)
{
	struct filter *f = arena_alloc(p->arena, sizeof *f);

	*f = (struct filter){.op = op, .left = left, .right = right};
	return f;
}

static const struct filter *parse_operand(struct path_parser *p)
{
	struct filter *f = arena_alloc(p->arena, sizeof *f);
	const char *text, *start;
	size_t length;
	double d;

	*f = (struct filter){.op = 'v'};
	skip_space(p);
	if (p->p < p->end && (*p->p == '@' || *p->p == '$')) {
		f->op = 'p';
		f->from_root = *p->p++ == '$';
		f->path = parse_path(p);
		return f->path ? f : NULL;
	}
	if (take_quoted(p, &text, &length)) {
		f->literal = value_string(text, length);
		return f;
	}
	if (p->error)
		return NULL;
	if (take(p, "true") || take(p, "false")) {
		f->literal = value_bool(p->p[-2] == 'u');
		return f;
	}
	if (take(p, "null")) {
		f->literal = value_null();
		return f;
	}
	start = p->p;
	while (p->p < p->end && (isdigit((unsigned char)*p->p) || strchr("+-.eE", *p->p)))
		p->p++;
	if (!number_parse_float(start, (size_t)(p->p - start), &d))
		return fail(p, "expected a value in a filter");
	f->literal = value_float(d);
	return f;
}

static const struct filter *parse_comparison(struct path_parser *p)
{
	static const struct {
		const char *text;
		char op;
	} operators[] = {{"==", '='}, {"!=", '#'}, {"<=", 'l'}, {">=", 'g'}, {"<", '<'}, {">", '>'}};
	const struct filter *left, *right;

	if (++p->depth > DEPTH_MAX)
		return fail(p, "nested too deeply");
	if (take(p, "!") && (p->p == p->end || *p->p != '=')) {
		left = parse_comparison(p);
		p->depth--;
		return left ? filter_new(p, '!', left, NULL) : NULL;
	}
	if (take(p, "(")) {
		left = parse_or(p);
		p->depth--;
		return left && take(p, ")") ? left : fail(p, "expected )");
	}
	left = parse_operand(p);
	for (size_t i = 0; left && i < sizeof operators / sizeof *operators; i++) {
		if (take(p, operators[i].text)) {
			right = parse_operand(p);
			left = right ? filter_new(p, operators[i].op, left, right) : NULL;
			break;
		}
	}
	p->depth--;
	return left;
}

static const struct filter *parse_and(struct path_parser *p)
{
	const struct filter *left = parse_comparison(p), *right;

	while (left && take(p, "&&")) {
		right = parse_comparison(p);
		left = right ? filter_new(p, '&', left, right) : NULL;
	}
	return left;
}

static const struct filter *parse_or(struct path_parser *p)
{
	const struct filter *left = parse_and(p), *right;

	while (left && take(p, "||")) {
		right = parse_and(p);
		left = right ? filter_new(p, '|', left, right) : NULL;
	}
	return left;
}

const struct jsonpath *jsonpath_compile(struct arena *a, const char *text, size_t length, const char **ret_error)
{
	struct path_parser p = {.arena = a, .p = arena_copy(a, text, length)};
	const struct jsonpath *path = NULL;

	p.end = p.p + length;
	skip_space(&p);
	if (p.p == p.end || *p.p != '$')
		fail(&p, "a path begins with $");
	else {
		p.p++;
		path = parse_path(&p);
		skip_space(&p);
		if (path && p.p < p.end)
			path = fail(&p, "unexpected text after the path");
	}
	if (!path)
		*ret_error = arena_format(a, "failed to parse JSON path: %s", p.error);
	return path;
}

/* --- running --- */

struct run {
	struct arena *arena;
	struct value root;
	struct value found; /* an array */
	int depth;
	const struct step *missing; /* the name that an object did not have */
};

static void walk(struct run *r, const struct step *s, struct value v);

static struct value first_of(struct run *r, const struct filter *f, struct value self)
{
	struct run inner = {.arena = r->arena, .root = r->root, .found = value_array(r->arena, 1), .depth = r->depth};

	if (f->op == 'v')
		return f->literal;
	walk(&inner, f->path->first, f->from_root ? r->root : self);
	return value_count(inner.found) ? inner.found.array->items[0] : value_nothing();
}

/* -1, 0, 1; 2: the two do not compare. */
static int order_of(struct value a, struct value b)
{
	double x, y;
	int order;

	if (value_to_float(a, &x) && value_to_float(b, &y))
		return x < y ? -1 : x > y;
	if (!value_is_text(a) || !value_is_text(b))
		return 2;
	order = memcmp(a.text, b.text, a.length < b.length ? a.length : b.length);
	return order ? (order < 0 ? -1 : 1) : a.length < b.length ? -1 : a.length > b.length;
}

static bool holds(struct run *r, const struct filter *f, struct value self)
{
	struct value left, right;
	int order;

	switch (f->op) {
	case '&':
		return holds(r, f->left, self) && holds(r, f->right, self);
	case '|':
		return holds(r, f->left, self) || holds(r, f->right, self);
	case '!':
		return !holds(r, f->left, self);
	case 'p':
	case 'v':
		left = first_of(r, f, self);
		return left.kind == VALUE_BOOL ? left.boolean : left.kind != VALUE_NOTHING && left.kind != VALUE_NULL;
	default:
		break;
	}
	left = first_of(r, f->left, self);
	right = first_of(r, f->right, self);
	if (f->op == '=' || f->op == '#')
		return value_equal(left, right) == (f->op == '=');
	order = order_of(left, right);
	if (order == 2)
		return false;
	return f->op == '<' ? order < 0 : f->op == '>' ? order > 0 : f->op == 'l' ? order <= 0 : order >= 0;
}

static void walk_slice(struct run *r, const struct step *s, struct value v)
{
	int64_t count = value_count(v), from = s->by > 0 ? 0 : count - 1, to = s->by > 0 ? count : -1;

	if (s->has_from)
		from = s->from < 0 ? s->from + count : s->from;
	if (s->has_to)
		to = s->to < 0 ? s->to + count : s->to;
	if (from < 0)
		from = s->by > 0 ? 0 : -1;
	if (from >= count)
		from = s->by > 0 ? count : count - 1;
	for (int64_t i = from; i >= 0 && i < count && (s->by > 0 ? i < to : i > to); i += s->by)
		walk(r, s->next, v.array->items[i]);
}

static void walk_selected(struct run *r, const struct step *s, struct value v, const struct step *next)
{
	struct step here = *s;

	here.next = next;
	if (s->kind == NAME_STEP && v.kind == VALUE_OBJECT) {
		struct value *item = value_object_find(v, s->name, s->length);

		if (item)
			walk(r, next, *item);
		else
			r->missing = s;
	} else if (s->kind == INDEX_STEP && v.kind == VALUE_ARRAY) {
		int64_t i = s->from < 0 ? s->from + value_count(v) : s->from;

		if (i >= 0 && i < value_count(v))
			walk(r, next, v.array->items[i]);
	} else if (s->kind == SLICE_STEP && v.kind == VALUE_ARRAY) {
		walk_slice(r, &here, v);
	} else if (s->kind == ALL_STEP || s->kind == FILTER_STEP) {
		for (uint32_t i = 0; i < value_count(v); i++) {
			struct value item = v.kind == VALUE_ARRAY ? v.array->items[i] : v.object->pairs[i].value;

			if (s->kind == ALL_STEP || holds(r, s->filter, item))
				walk(r, next, item);
		}
	}
}

static void walk_alternatives(struct run *r, const struct step *s, struct value v, const struct step *next)
{
	if (s->alternative)
		walk_alternatives(r, s->alternative, v, next); /* they are linked last to first */
	walk_selected(r, s, v, next);
}

static void walk(struct run *r, const struct step *s, struct value v)
{
	must(r->depth <= DEPTH_MAX);
	if (arena_is_spent(r->arena) || r->depth == DEPTH_MAX)
		return;
	if (!s) {
		value_array_push(r->arena, r->found, v);
		return;
	}
	r->depth++;
	walk_alternatives(r, s, v, s->next);
	for (uint32_t i = 0; s->deep && i < value_count(v); i++)
		walk(r, s, v.kind == VALUE_ARRAY ? v.array->items[i] : v.object->pairs[i].value);
	r->depth--;
}

bool jsonpath_run(struct arena *a, const struct jsonpath *path, struct value root, struct value *ret,
                  const char **ret_error)
{
	struct run r = {.arena = a, .root = root, .found = value_array(a, 4)};

	walk(&r, path->first, root);
	if (!path->definite) {
		*ret = r.found;
		return true;
	}
	if (value_count(r.found) == 0) {
		*ret_error = r.missing ? arena_format(a, "unknown key %.*s", (int)r.missing->length, r.missing->name)
		                       : "the path leads nowhere";
		return false;
	}
	*ret = r.found.array->items[0];
	return true;
}
