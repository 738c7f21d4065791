/*
 * Invariants:
 * 1. Choices are tried in order from the same place; after a fatal fault none is.
 * 2. A literal array or object holds no marker (nothing, delete).
 * 3. A pair of an object has its key as text, or a query that makes it.
 * 4. When a function returns, the captures are those it began with.
 */

#include "base/check.h"
#include "value/number.h"
#include "bloblang/language/parse_internal.h"

static bool parse_boolean(struct parse *p, const struct node **ret)
{
	const char *start = p->at;

	if (parse_term(p, "true")) {
		*ret = node_literal(p, value_bool(true), NULL);
		return true;
	}
	p->at = start;
	if (!parse_term(p, "false"))
		return fault_expected(p, start, "boolean");
	*ret = node_literal(p, value_bool(false), NULL);
	return true;
}

static void skip_digits(struct parse *p)
{
	while (p->at < p->end && *p->at >= '0' && *p->at <= '9')
		p->at++;
}

static bool parse_number(struct parse *p, const struct node **ret)
{
	const char *start = p->at;
	const char *digits = start + (start < p->end && *start == '-' ? 1 : 0);
	double d;
	int64_t i;

	p->at = digits;
	skip_digits(p);
	if (p->at == digits)
		return fault_expected(p, digits, "number");
	if (p->end - p->at >= 2 && *p->at == '.' && p->at[1] >= '0' && p->at[1] <= '9') {
		p->at++;
		skip_digits(p);
		if (!number_parse_float(start, (size_t)(p->at - start), &d))
			return fault_fatal(p, start, "failed to parse '%.*s' as float", (int)(p->at - start), start);
		*ret = node_literal(p, value_float(d), NULL);
		return true;
	}
	if (!number_parse_int(digits, (size_t)(p->at - digits), &i))
		return fault_fatal(
		    p, start,
		    "failed to parse '%.*s' as integer: strconv.ParseInt: parsing \"%.*s\": value out of range",
		    (int)(p->at - digits), digits, (int)(p->at - digits), digits);
	*ret = node_literal(p, value_int(digits != start ? -i : i), NULL);
	return true;
}

static bool parse_text(struct parse *p, const struct node **ret)
{
	const char *start = p->at;
	const char *text;
	size_t length;

	if (!parse_triple_quoted(p, &text, &length)) {
		if (fault_is_fatal(p))
			return false;
		p->at = start;
		if (!parse_quoted(p, &text, &length))
			return false;
	}
	*ret = node_literal(p, value_string(text, length), NULL);
	return true;
}

static bool parse_null(struct parse *p, const struct node **ret)
{
	if (!parse_term(p, "null"))
		return false;
	*ret = node_literal(p, value_null(), NULL);
	return true;
}

typedef bool parse_item(struct parse *p, struct list *items);

/* blanks , space */
static bool parse_comma(struct parse *p)
{
	parse_skip_blanks(p);
	if (!parse_char(p, ','))
		return false;
	parse_skip_space(p);
	return true;
}

static bool parse_case_end(struct parse *p)
{
	parse_skip_blanks(p);
	if (!parse_char(p, ',')) {
		struct fault comma = p->fault;

		if (!parse_line_break(p)) {
			fault_merge(&comma, &p->fault);
			p->fault = comma;
			return false;
		}
	}
	parse_skip_space(p);
	return true;
}

static bool parse_close(struct parse *p, char close)
{
	parse_skip_space(p);
	return parse_char(p, close);
}

/*
 * Items between an opening bracket (already crossed, with the space after it) and a closing one. The closing bracket
 * may stand wherever an item or a delimiter may.
 */
static bool parse_items(struct parse *p, parse_item *item, bool delimiter(struct parse *), char close,
                        struct list *items)
{
	for (;;) {
		const char *start = p->at;
		struct fault fault;

		if (!item(p, items)) {
			fault = p->fault;
			p->at = start;
			if (parse_close(p, close))
				return true;
			p->fault = fault;
			return false;
		}
		start = p->at;
		if (!delimiter(p)) {
			fault = p->fault;
			p->at = start;
			if (parse_close(p, close))
				return true;
			if (p->fault.at == fault.at)
				fault_merge(&fault, &p->fault);
			p->fault = fault;
			return false;
		}
	}
}

static bool parse_array_item(struct parse *p, struct list *items)
{
	const struct node *n;

	if (!parse_query(p, &n))
		return fault_rename(p, "object");
	list_add(p, items, n);
	return true;
}

static bool is_marker(struct value v) { return v.kind == VALUE_NOTHING || v.kind == VALUE_DELETE; }

static bool parse_array(struct parse *p, const struct node **ret)
{
	struct list items = {0};
	const struct node **nodes;
	bool constant = true;
	struct node *n;

	if (!parse_char(p, '['))
		return fault_rename(p, "array");
	parse_skip_space(p);
	if (!parse_items(p, parse_array_item, parse_comma, ']', &items))
		return false;
	nodes = arena_alloc(&p->program->arena, (items.count + 1) * sizeof *nodes);
	for (size_t i = 0; i < items.count; i++) {
		nodes[i] = items.items[i];
		constant = constant && nodes[i]->kind == NODE_LITERAL;
	}
	if (!constant) {
		n = node_new(p, NODE_ARRAY);
		n->items = nodes;
		n->count = (uint32_t)items.count;
		*ret = n;
		return true;
	}
	n = node_new(p, NODE_LITERAL);
	n->literal = value_array(&p->program->arena, items.count);
	n->literal.literal = 1;
	for (size_t i = 0; i < items.count; i++) {
		if (!is_marker(nodes[i]->literal))
			value_array_push(&p->program->arena, n->literal, nodes[i]->literal);
	}
	*ret = n;
	return true;
}

/* A key that starts with a quoted string is that string; anything else is a query. */
static bool parse_object_key(struct parse *p, struct node_pair *pair)
{
	const char *start = p->at;
	const char *text;
	size_t length;
	struct fault fault;

	if (parse_quoted(p, &text, &length)) {
		pair->text = value_string(text, length);
		return true;
	}
	if (fault_is_fatal(p))
		return false;
	fault = p->fault;
	p->at = start;
	if (!parse_query(p, &pair->key)) {
		fault_rename(p, "object");
		if (!fault_is_fatal(p)) {
			fault_merge(&fault, &p->fault);
			p->fault = fault;
		}
		return false;
	}
	if (pair->key->kind == NODE_LITERAL && pair->key->literal.kind == VALUE_STRING)
		pair->text = pair->key->literal;
	return true;
}

static bool parse_object_item(struct parse *p, struct list *items)
{
	struct node_pair *pair = arena_alloc(&p->program->arena, sizeof *pair);

	*pair = (struct node_pair){.text = value_nothing()};
	if (!parse_object_key(p, pair))
		return false;
	parse_skip_blanks(p);
	if (!parse_char(p, ':'))
		return false;
	parse_skip_space(p);
	if (!parse_query(p, &pair->value))
		return fault_rename(p, "object");
	list_add(p, items, pair);
	return true;
}

static const struct node *literal_object(struct parse *p, const struct node_pair *pairs, size_t count)
{
	struct node *n = node_new(p, NODE_LITERAL);

	n->literal = value_object(&p->program->arena, count);
	for (size_t i = 0; i < count; i++) {
		must(pairs[i].text.kind == VALUE_STRING);
		n->literal.literal |= pairs[i].value->literal.literal;
		if (!is_marker(pairs[i].value->literal))
			value_object_append(&p->program->arena, n->literal, pairs[i].text.text, pairs[i].text.length,
			                    pairs[i].value->literal);
	}
	value_object_sort(&p->program->arena, n->literal);
	return n;
}

static struct node_pair *copy_pairs(struct parse *p, const struct list *items)
{
	struct node_pair *pairs = arena_alloc(&p->program->arena, (items->count + 1) * sizeof *pairs);

	for (size_t i = 0; i < items->count; i++)
		memcpy(&pairs[i], items->items[i], sizeof *pairs);
	return pairs;
}

static bool parse_object(struct parse *p, const struct node **ret)
{
	const char *start = p->at;
	struct list items = {0};
	struct node_pair *pairs;
	bool constant = true;
	struct node *n;

	if (!parse_char(p, '{'))
		return fault_rename(p, "object");
	parse_skip_space(p);
	if (!parse_items(p, parse_object_item, parse_comma, '}', &items))
		return false;
	pairs = copy_pairs(p, &items);
	for (size_t i = 0; i < items.count; i++) {
		if (pairs[i].text.kind != VALUE_STRING && pairs[i].key->kind == NODE_LITERAL)
			return fault_fatal(p, start, "object keys must be strings, received: %s",
			                   value_go_type(pairs[i].key->literal));
		constant = constant && pairs[i].text.kind == VALUE_STRING && pairs[i].value->kind == NODE_LITERAL;
	}
	if (constant) {
		*ret = literal_object(p, pairs, items.count);
		return true;
	}
	n = node_new(p, NODE_OBJECT);
	n->pairs = pairs;
	n->count = (uint32_t)items.count;
	*ret = n;
	return true;
}

bool parse_literal(struct parse *p, const struct node **ret)
{
	static parse_query_function *const choices[] = {
	    parse_boolean, parse_number, parse_text, parse_null, parse_array, parse_object,
	};
	const char *start = p->at;
	struct fault best = {0};

	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
		p->at = start;
		if (choices[i](p, ret))
			return true;
		if (fault_is_fatal(p))
			return false;
		fault_merge(&best, &p->fault);
	}
	p->fault = best;
	return false;
}

/* "_ =>" or "query =>": what stands before the arrow of a case; null for "_". */
static bool parse_pattern(struct parse *p, const struct node **ret)
{
	const char *start = p->at;
	struct fault fault;

	*ret = NULL;
	if (!parse_char(p, '_')) {
		fault_rename(p, "match case");
	} else {
		parse_skip_blanks(p);
		if (parse_term(p, "=>"))
			return true;
	}
	fault = p->fault;
	p->at = start;
	if (!parse_query(p, ret)) {
		fault_rename(p, "match case");
	} else {
		parse_skip_blanks(p);
		if (parse_term(p, "=>"))
			return true;
	}
	if (!fault_is_fatal(p)) {
		fault_merge(&fault, &p->fault);
		p->fault = fault;
	}
	return false;
}

static bool parse_case(struct parse *p, struct list *items)
{
	struct node_pair *pair = arena_alloc(&p->program->arena, sizeof *pair);

	*pair = (struct node_pair){.text = value_nothing()};
	if (!parse_pattern(p, &pair->key))
		return false;
	parse_skip_blanks(p);
	if (!parse_query(p, &pair->value))
		return false;
	list_add(p, items, pair);
	return true;
}

bool parse_match(struct parse *p, const struct node **ret)
{
	const struct node *subject = NULL;
	struct list items = {0};
	const char *start;
	struct node *n;

	if (!parse_term(p, "match") || !parse_blanks(p))
		return false;
	start = p->at;
	if (!parse_query(p, &subject)) {
		if (fault_is_fatal(p))
			return false;
		p->at = start;
		subject = NULL;
	}
	parse_skip_space(p);
	if (!parse_char(p, '{'))
		return fault_must(p);
	parse_skip_space(p);
	if (!parse_items(p, parse_case, parse_case_end, '}', &items))
		return fault_must(p);
	n = node_new(p, NODE_MATCH);
	n->left = subject;
	n->pairs = copy_pairs(p, &items);
	n->count = (uint32_t)items.count;
	if (!subject)
		p->program->document_uses++;
	*ret = n;
	return true;
}

/* sp query ws { ws query ws }, everything required once `if` was seen. */
static bool parse_condition(struct parse *p, struct list *items, bool has_condition)
{
	struct node_pair *pair = arena_alloc(&p->program->arena, sizeof *pair);

	*pair = (struct node_pair){.text = value_nothing()};
	if (has_condition && !parse_query(p, &pair->key))
		return fault_must(p);
	parse_skip_space(p);
	if (!parse_char(p, '{'))
		return fault_must(p);
	parse_skip_space(p);
	if (!parse_query(p, &pair->value))
		return fault_must(p);
	parse_skip_space(p);
	if (!parse_char(p, '}'))
		return fault_must(p);
	list_add(p, items, pair);
	return true;
}

bool parse_if_expression(struct parse *p, const struct node **ret)
{
	struct list items = {0};
	const char *before;
	struct node *n;

	if (!parse_term(p, "if") || !parse_blanks(p) || !parse_condition(p, &items, true))
		return false;
	for (;;) {
		before = p->at;
		parse_skip_space(p);
		if (!parse_term(p, "else if") || !parse_blanks(p))
			break;
		if (!parse_condition(p, &items, true))
			return false;
	}
	p->at = before;
	parse_skip_space(p);
	if (!parse_term(p, "else"))
		p->at = before;
	else if (!parse_condition(p, &items, false))
		return false;
	n = node_new(p, NODE_IF);
	n->pairs = copy_pairs(p, &items);
	n->count = (uint32_t)items.count;
	*ret = n;
	return true;
}

static bool check_capture(struct parse *p, const char *at, const struct capture *capture)
{
	const struct capture *c;

	for (c = p->captures; c; c = c->outer) {
		if (c->length == capture->length && memcmp(c->name, capture->name, c->length) == 0)
			return fault_fatal(p, at, "context label `%.*s` would shadow a parent context",
			                   (int)capture->length, capture->name);
	}
	if (capture->length == 4 && (memcmp(capture->name, "root", 4) == 0 || memcmp(capture->name, "this", 4) == 0))
		return fault_fatal(p, at, "context label `%.*s` is not allowed", (int)capture->length, capture->name);
	return true;
}

bool parse_lambda(struct parse *p, const struct node **ret)
{
	struct capture capture = {.outer = p->captures};
	const char *start = p->at;
	const struct node *body;
	bool parsed;
	struct node *n;

	if (!parse_name(p, &capture.name, &capture.length, "context name") || !parse_blanks(p) ||
	    !parse_term(p, "->") || !parse_blanks(p))
		return fault_rename(p, "function");
	if (capture.length != 1 || capture.name[0] != '_') {
		if (!check_capture(p, start, &capture))
			return false;
		p->captures = &capture;
	}
	parsed = parse_query(p, &body);
	p->captures = capture.outer;
	if (!parsed)
		return fault_must(p);
	if (body->kind == NODE_LAMBDA)
		return fault_fatal(p, start,
		                   "it would be in poor taste to capture the same context under both '%.*s' and '%.*s'",
		                   (int)capture.length, capture.name, (int)body->name_length, body->name);
	n = node_new(p, NODE_LAMBDA);
	n->name = capture.name;
	n->name_length = capture.length;
	n->left = body;
	*ret = n;
	return true;
}
