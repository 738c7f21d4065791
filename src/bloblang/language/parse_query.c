/*
 * Invariants:
 * 1. p->depth counts the queries under way and is what it was when parse_query returns.
 * 2. Operators of one level join from left to right, the tightest level first; after the last level none is left.
 * 3. The path of a field has no step for `this`, `root` or a captured name.
 * 4. document_uses counts every place that reads the document of the message.
 */
#include "base/check.h"
#include "bloblang/language/parse_internal.h"

static const struct capture *find_capture(const struct parse *p, const char *name, size_t length)
{
	const struct capture *c = p->captures;

	while (c && (c->length != length || memcmp(c->name, name, length) != 0))
		c = c->outer;
	return c;
}

static bool parse_field_root(struct parse *p, const struct node **ret)
{
	struct json_step step;
	const char *name;
	size_t length;
	struct node *n;

	if (!parse_name(p, &name, &length, "field path"))
		return false;
	n = node_new(p, NODE_FIELD);
	n->op = FIELD_THIS;
	if (length == 4 && memcmp(name, "root", 4) == 0) {
		n->op = FIELD_ROOT;
	} else if (find_capture(p, name, length)) {
		n->op = FIELD_CAPTURED;
		n->name = name;
		n->name_length = length;
	} else if (length != 4 || memcmp(name, "this", 4) != 0) {
		step = (struct json_step){name, (uint32_t)length};
		if (!node_join_path(p, &n->path, &step, 1))
			return false;
	}
	if (n->op == FIELD_THIS)
		p->program->document_uses++;
	*ret = n;
	return true;
}

static bool parse_variable(struct parse *p, const struct node **ret)
{
	struct node *n;
	const char *name;
	size_t length;

	if (!parse_char(p, '$') || !parse_name(p, &name, &length, "variable path"))
		return fault_rename(p, "variable path");
	n = node_new(p, NODE_VARIABLE);
	n->name = name;
	n->name_length = length;
	*ret = n;
	return true;
}

static bool parse_metadata(struct parse *p, const struct node **ret)
{
	const char *name = NULL;
	size_t length = 0;
	struct node *n;

	if (!parse_char(p, '@'))
		return fault_rename(p, "metadata path");
	if (p->at < p->end && parse_is_name_char(*p->at)) {
		if (!parse_name(p, &name, &length, "metadata path"))
			return false;
	} else if (p->at < p->end && *p->at == '"' && !parse_quoted(p, &name, &length)) {
		return false;
	}
	n = node_new(p, NODE_META);
	n->name = length != 0 ? name : NULL; /* `@""` is `@`, as in the reference */
	n->name_length = length;
	*ret = n;
	return true;
}

static bool parse_brackets(struct parse *p, const struct node **ret)
{
	if (!parse_char(p, '('))
		return fault_rename(p, "function");
	parse_skip_space(p);
	if (!parse_query(p, ret))
		return false;
	parse_skip_space(p);
	if (!parse_char(p, ')')) {
		fault_rename(p, "closing bracket");
		return fault_must(p);
	}
	return true;
}

static bool parse_primary(struct parse *p, const struct node **ret)
{
	static parse_query_function *const choices[] = {
	    parse_match,         parse_if_expression, parse_lambda,   parse_brackets,   parse_literal,
	    parse_function_call, parse_metadata,      parse_variable, parse_field_root,
	};
	struct fault best = {0};
	const char *start = p->at;

	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
		p->at = start;
		if (choices[i](p, ret))
			return true;
		if (fault_is_fatal(p))
			return false;
		fault_merge(&best, &p->fault);
	}
	p->fault = best;
	return fault_rename(p, "query");
}

static bool parse_tail_map(struct parse *p, const struct node *target, const struct node **ret)
{
	const struct node *query = NULL;
	struct node *n;

	if (!parse_char(p, '('))
		return fault_rename(p, "method");
	parse_skip_space(p);
	if (!parse_query(p, &query))
		return false;
	parse_skip_space(p);
	if (!parse_char(p, ')'))
		return false;
	n = node_new(p, NODE_MAP);
	n->left = target;
	n->right = query;
	*ret = n;
	return true;
}

static bool parse_tail_field(struct parse *p, const struct node *target, const struct node **ret)
{
	const char *start = p->at;
	struct json_step step;
	const char *name;
	size_t length;

	if (!parse_name(p, &name, &length, "field path")) {
		p->at = start;
		if (!parse_quoted(p, &name, &length))
			return fault_rename(p, "field path");
	}
	step = (struct json_step){name, (uint32_t)length};
	return node_get(p, target, &step, 1, ret);
}

static bool parse_tail(struct parse *p, const struct node *target, const struct node **ret)
{
	const char *start = p->at;
	struct fault best = {0};

	if (parse_is_spent(p))
		return false;
	if (parse_tail_map(p, target, ret))
		return true;
	if (fault_is_fatal(p))
		return false;
	fault_merge(&best, &p->fault);
	p->at = start;
	if (parse_method_call(p, target, ret))
		return true;
	if (fault_is_fatal(p))
		return false;
	fault_merge(&best, &p->fault);
	p->at = start;
	if (parse_tail_field(p, target, ret))
		return true;
	if (fault_is_fatal(p))
		return false;
	fault_merge(&best, &p->fault);
	p->fault = best;
	return fault_must(p);
}

static bool parse_unary(struct parse *p, const struct node **ret)
{
	bool negated = p->at < p->end && *p->at == '!';

	if (negated) {
		p->at++;
		parse_skip_blanks(p);
	}
	if (!parse_primary(p, ret))
		return false;
	while (p->at < p->end && *p->at == '.') {
		p->at++;
		parse_skip_space(p);
		if (!parse_tail(p, *ret, ret))
			return false;
	}
	if (negated) {
		struct node *n = node_new(p, NODE_NOT);

		n->left = *ret;
		*ret = n;
	}
	return true;
}

static bool parse_operand(struct parse *p, const struct node **ret)
{
	const char *start = p->at;
	bool minus = p->at < p->end && *p->at == '-';

	if (minus) {
		p->at++;
		parse_skip_space(p);
	}
	if (!parse_unary(p, ret))
		return false;
	if (!minus)
		return true;
	return node_arithmetic(p, start, OP_SUBTRACT, node_literal(p, value_int(0), NULL), *ret, ret);
}

static bool parse_operator(struct parse *p, enum operator* ret)
{
	static const struct {
		char text[3];
		uint8_t op;
	} table[] = {
	    {"+", OP_ADD},         {"-", OP_SUBTRACT}, {"/", OP_DIVIDE}, {"*", OP_MULTIPLY}, {"%", OP_MODULO},
	    {"&&", OP_AND},        {"||", OP_OR},      {"==", OP_EQUAL}, {"!=", OP_UNEQUAL}, {">=", OP_GREATER_EQUAL},
	    {"<=", OP_LESS_EQUAL}, {">", OP_GREATER},  {"<", OP_LESS},   {"|", OP_COALESCE},
	};
	const char *start = p->at;

	parse_skip_blanks(p);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		size_t length = strlen(table[i].text);

		if ((size_t)(p->end - p->at) >= length && memcmp(p->at, table[i].text, length) == 0) {
			p->at += length;
			*ret = (enum operator)table[i].op;
			parse_skip_space(p);
			return true;
		}
	}
	p->at = start;
	return false;
}

/* Four levels, tightest first; `|` is as tight as `*`, `&&` as loose as `||`. */
static int level_of(enum operator op)
{
	switch (op) {
	case OP_MULTIPLY:
	case OP_DIVIDE:
	case OP_MODULO:
	case OP_COALESCE:
		return 0;
	case OP_ADD:
	case OP_SUBTRACT:
		return 1;
	case OP_AND:
	case OP_OR:
		return 3;
	default:
		return 2;
	}
}

static bool join_operands(struct parse *p, const char *at, enum operator op, const struct node *left,
                          const struct node *right, const struct node **ret)
{
	struct node *n;

	if (op != OP_AND && op != OP_OR && op != OP_COALESCE)
		return node_arithmetic(p, at, op, left, right, ret);
	n = node_new(p, op == OP_AND ? NODE_AND : op == OP_OR ? NODE_OR : NODE_COALESCE);
	n->left = left;
	n->right = right;
	*ret = n;
	return true;
}

struct operation {
	enum operator op;
	const struct node *operand; /* right of it */
};

/* Resolves level after level, each from left to right, shrinking the list in place. */
static bool resolve(struct parse *p, const char *at, const struct node *first, struct operation *ops, size_t count,
                    const struct node **ret)
{
	for (int level = 0; level < 4; level++) {
		const struct node **left = &first;
		size_t kept = 0;

		for (size_t i = 0; i < count; i++) {
			if (level_of(ops[i].op) != level) {
				ops[kept] = ops[i];
				left = &ops[kept++].operand;
			} else if (!join_operands(p, at, ops[i].op, *left, ops[i].operand, left)) {
				return false;
			}
		}
		count = kept;
	}
	must(count == 0);
	*ret = first;
	return true;
}

static bool parse_operations(struct parse *p, const struct node **ret)
{
	struct operation *ops = NULL;
	size_t count = 0;
	size_t capacity = 0;
	const char *start;
	const struct node *first;
	enum operator op;

	parse_skip_blanks(p);
	start = p->at;
	if (!parse_operand(p, &first))
		return false;
	while (parse_operator(p, &op)) {
		if (parse_is_spent(p))
			return false;
		if (count == capacity) {
			struct operation *more;

			capacity = capacity == 0 ? 4 : capacity * 2;
			more = arena_alloc(&p->program->arena, capacity * sizeof *more);
			if (count != 0)
				memcpy(more, ops, count * sizeof *more);
			ops = more;
		}
		ops[count].op = op;
		if (!parse_operand(p, &ops[count].operand))
			return false;
		count++;
	}
	return resolve(p, start, first, ops, count, ret);
}

bool parse_query(struct parse *p, const struct node **ret)
{
	bool parsed;

	if (parse_is_spent(p))
		return false;
	if (p->depth >= PARSE_DEPTH_MAX)
		return fault_fatal(p, p->at, "the query is nested too deeply");
	p->depth++;
	parsed = parse_operations(p, ret);
	p->depth--;
	return parsed;
}
