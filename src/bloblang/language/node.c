/* Making nodes while parsing; what is known already is folded into a literal. */
#include "bloblang/language/parse_internal.h"

struct node *node_new(struct parse *p, enum node_kind kind)
{
	struct node *n = arena_alloc(&p->program->arena, sizeof *n);

	*n = (struct node){.kind = (uint8_t)kind};
	return n;
}

const struct node *node_literal(struct parse *p, struct value v, const char *annotation)
{
	struct node *n = node_new(p, NODE_LITERAL);

	n->literal = v;
	n->name = annotation;
	return n;
}

struct path node_join_path(struct parse *p, const struct path *old, const struct json_step *steps, size_t count)
{
	struct json_step *joined = arena_alloc(&p->program->arena, (old->count + count + 1) * sizeof *joined);
	bool has_each = old->has_each;

	if (old->count != 0)
		memcpy(joined, old->steps, old->count * sizeof *joined);
	for (size_t i = 0; i < count; i++) {
		joined[old->count + i] = steps[i];
		has_each = has_each || (steps[i].length == 1 && steps[i].text[0] == '*');
	}
	return (struct path){joined, old->count + count, has_each};
}

const struct node *node_get(struct parse *p, const struct node *target, const struct json_step *steps, size_t count)
{
	static const struct path empty = {NULL, 0, false};
	bool joins = target->kind == NODE_FIELD || target->kind == NODE_GET;
	struct node *n = node_new(p, NODE_GET);

	if (joins)
		*n = *target;
	else
		n->left = target;
	n->path = node_join_path(p, joins ? &target->path : &empty, steps, count);
	return n;
}

bool node_arithmetic(struct parse *p, const char *at, enum operator op, const struct node *left,
                     const struct node *right, const struct node **ret)
{
	struct evaluation *ev = p->evaluation;
	struct node *n;

	if (left->kind == NODE_LITERAL && right->kind == NODE_LITERAL) {
		struct value v;

		if (!arithmetic_apply(ev, op, left, right, left->literal, right->literal, &v))
			return fault_fatal(p, at, "%s", failure_text(ev));
		*ret = node_literal(p, v, node_annotation(&p->program->arena, right));
		return true;
	}
	n = node_new(p, NODE_ARITHMETIC);
	n->op = (uint8_t)op;
	n->left = left;
	n->right = right;
	*ret = n;
	return true;
}
