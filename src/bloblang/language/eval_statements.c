#include <stdlib.h>

#include "value/path.h"
#include "bloblang/language/eval_internal.h"

static void set_variable(struct evaluation *ev, struct scope *s, const struct mapping_statement *st, struct value v)
{
	for (size_t i = 0; i < s->variable_count; i++) {
		if (s->variables[i].name_length != st->name_length ||
		    memcmp(s->variables[i].name, st->name, st->name_length) != 0)
			continue;
		if (v.kind == VALUE_DELETE)
			s->variables[i] = s->variables[--s->variable_count];
		else
			s->variables[i].value = v;
		return;
	}
	if (v.kind == VALUE_DELETE)
		return;
	if (s->variable_count == s->variable_capacity) {
		size_t capacity = s->variable_capacity == 0 ? 8 : s->variable_capacity * 2;
		struct variable *more = arena_alloc(ev->arena, capacity * sizeof *more);

		if (s->variable_count != 0)
			memcpy(more, s->variables, s->variable_count * sizeof *more);
		s->variables = more;
		s->variable_capacity = capacity;
	}
	s->variables[s->variable_count++] = (struct variable){st->name, st->name_length, v};
}

static bool set_root(struct evaluation *ev, struct scope *s, const struct mapping_statement *st, struct value v)
{
	const char *error;

	if (st->path.count == 0) {
		if (s->root_is_this) {
			/* The document keeps what was edited so far; from now on root is another value. */
			ev->first.document = *s->root;
			ev->first.state = DOCUMENT_READ;
			s->root_is_this = false;
		}
		*s->root = value_assigned(ev->arena, v);
		return true;
	}
	if (s->root->kind <= VALUE_NULL && s->root->kind != VALUE_DELETE)
		*s->root = value_object(ev->arena, 8);
	if (v.kind == VALUE_DELETE) {
		path_delete(ev->arena, ev->epoch, s->root, st->path.steps, st->path.count);
		return true;
	}
	if (!path_set(ev->arena, ev->epoch, s->root, st->path.steps, st->path.count, value_assigned(ev->arena, v),
	              &error))
		return failure_set(ev, FAILURE_PLAIN, error);
	return true;
}

static bool set_meta(struct evaluation *ev, const struct scope *s, const struct mapping_statement *st, struct value v)
{
	struct json_step step = {st->name, (uint32_t)st->name_length};
	const char *error;

	if (!s->writes_meta)
		return failure_set(ev, FAILURE_PLAIN, "unable to assign metadata in the current context");
	if (!ev->meta_changed) {
		ev->new_meta = view_new_meta(ev);
		ev->meta_changed = true;
	}
	if (st->kind == ASSIGN_META_ALL) {
		if (v.kind == VALUE_DELETE)
			v = value_object(ev->arena, 0);
		if (v.kind != VALUE_OBJECT)
			return failure_format(ev, "setting root meta object requires object value, received: %s",
			                      value_go_type(v));
		ev->new_meta = value_assigned(ev->arena, v);
		return true;
	}
	if (v.kind == VALUE_DELETE)
		path_delete(ev->arena, ev->epoch, &ev->new_meta, &step, 1);
	else if (!path_set(ev->arena, ev->epoch, &ev->new_meta, &step, 1, value_assigned(ev->arena, v), &error))
		return failure_set(ev, FAILURE_PLAIN, error);
	return true;
}

/* The statement form of `if` wants a real bool: null is an error here. */
static bool run_if(struct evaluation *ev, const struct context *ctx, const struct mapping_statement *st)
{
	int line;

	for (size_t i = 0; i < st->branch_count; i++) {
		const struct branch *b = &st->branches[i];
		struct value v;

		if (!b->condition)
			return eval_statements(ev, ctx, &b->body, &line);
		if (!eval_query(ev, ctx, b->condition, &v))
			return failure_wrap(ev, "failed to check if condition %zu", i + 1);
		if (v.kind != VALUE_BOOL)
			return failure_condition(ev, b->condition, v);
		if (v.boolean)
			return eval_statements(ev, ctx, &b->body, &line);
	}
	return true;
}

static bool run_statement(struct evaluation *ev, const struct context *ctx, const struct mapping_statement *st)
{
	struct value v;

	if (st->kind == STATEMENT_IF)
		return run_if(ev, ctx, st);
	if (!eval_query(ev, ctx, st->query, &v))
		return false;
	if (v.kind == VALUE_NOTHING)
		return true;
	switch (st->kind) {
	case ASSIGN_ROOT:
		return set_root(ev, ctx->scope, st, v);
	case ASSIGN_VARIABLE:
		set_variable(ev, ctx->scope, st, v);
		return true;
	case ASSIGN_META:
	case ASSIGN_META_ALL:
		return set_meta(ev, ctx->scope, st, v);
	case STATEMENT_IF:
		break;
	}
	abort();
}

bool eval_statements(struct evaluation *ev, const struct context *ctx, const struct statements *body, int *ret_line)
{
	for (size_t i = 0; i < body->count; i++) {
		if (run_statement(ev, ctx, &body->items[i]) && !evaluation_spent(ev))
			continue;
		*ret_line = body->items[i].line;
		return false;
	}
	return true;
}

bool failure_assignment(struct evaluation *ev, int line)
{
	struct failure *f = &ev->failure;

	if (!f->assignment) {
		const char *cause = f->stacks ? f->stacks : failure_text(ev);

		f->assignment = arena_format(ev->arena, "failed assignment (line %d): %s", line, cause);
	}
	f->text = f->assignment;
	f->tail = NULL;
	if (f->kind != FAILURE_ANNOTATED)
		f->kind = FAILURE_PLAIN;
	return false;
}

static const struct map *find_map(const struct map_table *maps, const char *name, size_t length)
{
	for (size_t i = 0; i < maps->count; i++) {
		if (maps->items[i]->name_length == length && memcmp(maps->items[i]->name, name, length) == 0)
			return maps->items[i];
	}
	return NULL;
}

bool eval_apply(struct evaluation *ev, const struct context *ctx, struct value target, const char *name, size_t length,
                struct value *ret)
{
	struct value root = value_nothing();
	struct scope scope = {.has_variables = true, .root = &root};
	struct context inner = context_push(ctx, target);
	const struct map *map;
	bool done;
	int line;

	if (!ctx->scope || !ctx->scope->maps)
		return failure_set(ev, FAILURE_PLAIN, "no maps were found");
	map = find_map(ctx->scope->maps, name, length);
	if (!map)
		return failure_format(ev, "map %.*s was not found", (int)length, name);
	if (ev->stacks >= STACKS_MAX) {
		failure_format(
		    ev,
		    "entering map %.*s exceeded maximum allowed stacks of %d, this could be due to unbounded recursion",
		    (int)length, name, STACKS_MAX);
		ev->failure.stacks = ev->failure.text;
		return false;
	}
	scope.maps = ctx->scope->maps;
	inner.scope = &scope;
	ev->stacks++;
	done = eval_statements(ev, &inner, &map->body, &line);
	ev->stacks--;
	if (!done)
		return failure_assignment(ev, line);
	*ret = root;
	/* The map's own containers are finished: whoever writes into them next copies. */
	ev->epoch++;
	return true;
}
