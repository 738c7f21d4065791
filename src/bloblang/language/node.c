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

/* Where the steps behind those of `path` may be written: in place when it is the one that grows. */
static struct json_step *steps_behind(struct parse *p, const struct path *path, size_t count)
{
	struct growing_steps *g = &p->steps;
	size_t need = path->count + count;

	if (path->count == 0 || path->steps != g->items || path->count != g->count || need > g->capacity) {
		size_t capacity = path->count == 0 ? need : need * 2;
		struct json_step *items = arena_alloc(&p->program->arena, capacity * sizeof *items);

		if (path->count != 0)
			memcpy(items, path->steps, path->count * sizeof *items);
		*g = (struct growing_steps){.items = items, .capacity = capacity};
	}
	g->count = need;
	return g->items + path->count;
}

bool node_join_path(struct parse *p, struct path *path, const struct json_step *steps, size_t count)
{
	struct json_step *behind;

	if (path->count + count > PATH_STEPS_MAX)
		return fault_fatal(p, p->at, "a path has more than %d segments", PATH_STEPS_MAX);
	if (parse_is_spent(p))
		return false;
	if (count == 0)
		return true;
	behind = steps_behind(p, path, count);
	for (size_t i = 0; i < count; i++) {
		behind[i] = steps[i];
		path->has_each = path->has_each || (steps[i].length == 1 && steps[i].text[0] == '*');
	}
	path->steps = p->steps.items;
	path->count += count;
	return true;
}

bool node_get(struct parse *p, const struct node *target, const struct json_step *steps, size_t count,
              const struct node **ret)
{
	struct node *n = node_new(p, NODE_GET);

	if (target->kind == NODE_FIELD || target->kind == NODE_GET)
		*n = *target;
	else
		n->left = target;
	*ret = n;
	return node_join_path(p, &n->path, steps, count);
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
		return !parse_is_spent(p);
	}
	n = node_new(p, NODE_ARITHMETIC);
	n->op = (uint8_t)op;
	n->left = left;
	n->right = right;
	*ret = n;
	return true;
}
