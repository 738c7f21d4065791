/*
 * Invariants:
 * 1. A node never changes here: all that an evaluation makes lies in its arena.
 * 2. When a function returns false, ev->failure is set and *ret is a value that may be read.
 * 3. Every node but a literal counts as a step and looks at the depth: no loop and no recursion escapes the limits.
 * 4. Parts of root and of the new metadata that are handed out begin a new epoch, so that writers copy them first.
 * 5. A site whose arguments are all literal is prepared once, by the parser; any other before each evaluation.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "value/path.h"
#include "bloblang/language/eval_internal.h"

void evaluation_init(struct evaluation *ev, struct arena *a, const struct program *program,
                     const struct message_batch *batch)
{
	*ev = (struct evaluation){.arena = a, .program = program, .batch = batch, .epoch = 1};
	ev->stack_base = __builtin_frame_address(0);
}

static bool fail_limit(struct evaluation *ev, const char *text)
{
	ev->failure = (struct failure){.kind = FAILURE_MISMATCH, .text = text, .final = true};
	return true;
}

bool evaluation_spent(struct evaluation *ev)
{
	if (!arena_is_spent(ev->arena))
		return false;
	return fail_limit(ev, ev->arena->late ? "the evaluation exceeded its time limit"
	                                      : "the evaluation exceeded its memory limit");
}

static bool stack_is_deep(const struct evaluation *ev)
{
	const char *here = __builtin_frame_address(0);
	ptrdiff_t depth = ev->stack_base - here;

	return (depth < 0 ? -depth : depth) > STACK_BYTES_MAX;
}

/* Handing out parts of what is being written starts a new epoch: from now on writers copy them. */
static struct value share(struct evaluation *ev, struct value v)
{
	if (v.kind == VALUE_ARRAY || v.kind == VALUE_OBJECT)
		ev->epoch++;
	return v;
}

static bool fail_no_context(struct evaluation *ev, const struct path *path)
{
	const char *text = node_path_text(ev->arena, path);

	failure_set(ev, FAILURE_PLAIN,
	            path->count == 0
	                ? "context was undefined"
	                : arena_format(ev->arena, "context was undefined, unable to reference `%s`", text));
	ev->failure.no_context = text;
	return false;
}

/* Few readers of the document: the path is sought in its text. */
static bool worth_seeking(const struct evaluation *ev, const struct context *ctx, const struct path *path)
{
	return !ctx->has_value && path->count > 0 && !path->has_each && ev->program &&
	       ev->program->document_uses <= SEEK_USES_MAX && ev->first.state == DOCUMENT_UNREAD && !ev->alias;
}

static bool eval_this(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	const char *error;
	struct value v;

	if (worth_seeking(ev, ctx, &n->path)) {
		if (view_seek(ev, (int64_t)ev->batch->index, &n->path, ret, &error))
			return true;
		return fail_no_context(ev, &n->path);
	}
	if (!context_this(ev, ctx, &v))
		return fail_no_context(ev, &n->path);
	*ret = n->path.count == 0 ? v : path_get(ev->arena, v, n->path.steps, n->path.count, NULL);
	return true;
}

static bool eval_captured(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	for (const struct named_value *v = ctx->named; v; v = v->outer) {
		if (v->name_length == n->name_length && memcmp(v->name, n->name, n->name_length) == 0) {
			*ret = path_get(ev->arena, v->value, n->path.steps, n->path.count, NULL);
			return true;
		}
	}
	return failure_format(ev, "named context %.*s was not found", (int)n->name_length, n->name);
}

static bool eval_field(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	if (n->op == FIELD_THIS)
		return eval_this(ev, ctx, n, ret);
	if (n->op == FIELD_CAPTURED)
		return eval_captured(ev, ctx, n, ret);
	if (!ctx->scope || !ctx->scope->root)
		return failure_set(ev, FAILURE_PLAIN, "unable to reference `root` from this context");
	*ret = *ctx->scope->root;
	if (n->path.count != 0)
		*ret = path_get(ev->arena, *ret, n->path.steps, n->path.count, NULL);
	*ret = share(ev, *ret);
	return true;
}

static bool eval_variable(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	const struct scope *s = ctx->scope;

	if (!s || !s->has_variables)
		return failure_set(ev, FAILURE_PLAIN, "variables were undefined");
	for (size_t i = 0; i < s->variable_count; i++) {
		if (s->variables[i].name_length == n->name_length &&
		    memcmp(s->variables[i].name, n->name, n->name_length) == 0) {
			*ret = s->variables[i].value;
			return true;
		}
	}
	return failure_format(ev, "variable '%.*s' undefined", (int)n->name_length, n->name);
}

static bool eval_meta(struct evaluation *ev, const struct node *n, struct value *ret)
{
	const struct value *v;
	struct value meta;

	if (!ev->batch)
		return failure_set(ev, FAILURE_PLAIN, "metadata cannot be queried in this context");
	meta = view_new_meta(ev);

	if (!n->name) {
		*ret = share(ev, meta);
		return true;
	}
	v = value_object_find(meta, n->name, n->name_length);
	*ret = v ? share(ev, *v) : value_null();
	return true;
}

static bool eval_both(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	bool is_and = n->kind == NODE_AND;
	struct value v;
	bool b;

	if (!eval_query(ev, ctx, n->left, &v) || !eval_truth(ev, v, &b))
		return false;
	if (b == is_and) {
		if (!eval_query(ev, ctx, n->right, &v) || !eval_truth(ev, v, &b))
			return false;
	}
	*ret = value_bool(b);
	return true;
}

static bool eval_coalesce(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	if (eval_query(ev, ctx, n->left, ret)) {
		if (!value_is_nullish(*ret))
			return true;
	} else if (ev->failure.final) {
		return false;
	}
	return eval_query(ev, ctx, n->right, ret);
}

static bool eval_not(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct value v;

	if (!eval_query(ev, ctx, n->left, &v))
		return false;
	if (v.kind != VALUE_BOOL)
		return failure_type(ev, v, "bool", node_annotation(ev->arena, n->left));
	*ret = value_bool(!v.boolean);
	return true;
}

static bool eval_if(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	for (uint32_t i = 0; i < n->count; i++) {
		struct value v;

		if (!n->pairs[i].key)
			return eval_query(ev, ctx, n->pairs[i].value, ret);
		if (!eval_query(ev, ctx, n->pairs[i].key, &v))
			return i == 0 ? failure_wrap(ev, "failed to check if condition")
			              : failure_wrap(ev, "failed to check if condition %u", i);
		if (v.kind == VALUE_NULL)
			continue;
		if (v.kind != VALUE_BOOL)
			return failure_condition(ev, n->pairs[i].key, v);
		if (v.boolean)
			return eval_query(ev, ctx, n->pairs[i].value, ret);
	}
	*ret = value_nothing();
	return true;
}

static bool case_hits(struct evaluation *ev, const struct context *ctx, const struct node *pattern, uint32_t i,
                      bool *ret)
{
	struct value v;

	if (!pattern) {
		*ret = true;
		return true;
	}
	if (pattern->kind == NODE_LITERAL) {
		*ret = value_equal(ctx->value, pattern->literal);
		return true;
	}
	if (!eval_query(ev, ctx, pattern, &v))
		return failure_wrap(ev, "failed to check match case %u", i);
	*ret = v.kind == VALUE_BOOL && v.boolean;
	return true;
}

static bool eval_match(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct context inner;
	struct value subject;

	if (!n->left) {
		if (!context_this(ev, ctx, &subject))
			subject = value_null();
	} else if (!eval_query(ev, ctx, n->left, &subject)) {
		return false;
	}
	inner = context_push(ctx, subject);
	for (uint32_t i = 0; i < n->count; i++) {
		bool hit = false;

		if (!case_hits(ev, &inner, n->pairs[i].key, i, &hit))
			return false;
		if (hit)
			return eval_query(ev, &inner, n->pairs[i].value, ret);
	}
	*ret = value_nothing();
	return true;
}

static bool eval_lambda(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct context inner = *ctx;
	struct named_value named = {.name = n->name, .name_length = n->name_length, .outer = ctx->named};

	if (!context_this(ev, ctx, &named.value)) {
		fail_no_context(ev, &(struct path){NULL, 0, false});
		return failure_wrap(ev, "failed to capture context %.*s", (int)n->name_length, n->name);
	}
	inner.has_value = ctx->has_next;
	inner.value = ctx->next;
	inner.has_next = false;
	if (n->name_length != 1 || n->name[0] != '_')
		inner.named = &named;
	return eval_query(ev, &inner, n->left, ret);
}

static bool eval_map(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct context inner;
	struct value v;

	if (!eval_query(ev, ctx, n->left, &v))
		return false;
	inner = context_push(ctx, v);
	return eval_query(ev, &inner, n->right, ret);
}

static bool eval_array(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct value array = value_array(ev->arena, n->count);

	for (uint32_t i = 0; i < n->count; i++) {
		struct value v;

		if (!eval_query(ev, ctx, n->items[i], &v))
			return false;
		array.literal |= v.literal;
		if (v.kind != VALUE_NOTHING && v.kind != VALUE_DELETE)
			value_array_push(ev->arena, array, v);
	}
	*ret = array;
	return true;
}

static bool eval_key(struct evaluation *ev, const struct context *ctx, const struct node_pair *pair, struct value *ret)
{
	*ret = pair->text;
	if (ret->kind == VALUE_STRING)
		return true;
	if (!eval_query(ev, ctx, pair->key, ret))
		return failure_wrap(ev, "failed to resolve key");
	if (!value_is_text(*ret))
		return failure_format(ev, "mapping returned invalid key type: %s", value_go_type(*ret));
	return true;
}

static bool eval_object(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct value object = value_object(ev->arena, n->count);

	for (uint32_t i = 0; i < n->count; i++) {
		struct value key;
		struct value v;

		if (!eval_key(ev, ctx, &n->pairs[i], &key))
			return false;
		if (!eval_query(ev, ctx, n->pairs[i].value, &v)) {
			if (n->pairs[i].value->kind == NODE_LITERAL)
				return false;
			return failure_wrap(ev, "failed to resolve '%.*s' value", (int)key.length, key.text);
		}
		object.literal |= v.literal;
		if (v.kind != VALUE_NOTHING && v.kind != VALUE_DELETE)
			value_object_append(ev->arena, object, key.text, key.length, v);
	}
	value_object_sort(ev->arena, object);
	*ret = object;
	return true;
}

static bool eval_arithmetic(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	struct value left;
	struct value right;

	return eval_query(ev, ctx, n->left, &left) && eval_query(ev, ctx, n->right, &right) &&
	       arithmetic_apply(ev, (enum operator)n->op, n->left, n->right, left, right, ret);
}

static bool fail_argument(struct evaluation *ev, const struct call_site *site, const char *name)
{
	return failure_wrap(ev, "%s '%s': failed to extract input arg '%s'", site->target ? "method" : "function",
	                    site->row->name, name);
}

/* Evaluates the arguments that are not literal, in the caller's context. */
static bool resolve_arguments(struct evaluation *ev, const struct context *ctx, const struct call_site *site,
                              struct value *args)
{
	static const struct bloblang_parameter any = {.kind = PARAM_ANY};
	bool variadic = (site->row->flags & ROW_VARIADIC) != 0;
	char number[16];
	size_t dynamic = 0;

	for (size_t i = 0; i < site->arg_count; i++) {
		const struct bloblang_parameter *parameter = variadic ? &any : &site->row->parameters[i];
		const char *name = parameter->name;
		struct value v;

		args[i] = site->values[i];
		if (!site->args[i] || parameter->kind == PARAM_QUERY || parameter->kind == PARAM_QUERY_OR_VALUE)
			continue;
		if (variadic) {
			(void)snprintf(number, sizeof number, "%zu", dynamic);
			name = number;
		}
		dynamic++;
		if (!eval_query(ev, ctx, site->args[i], &v))
			return fail_argument(ev, site, name);
		if (!coerce_argument(ev, parameter, v, &args[i]))
			return fail_argument(ev, site, name);
	}
	return true;
}

static bool run_call(struct call *call, const struct call_site *site, struct value *ret)
{
	struct evaluation *ev = call->evaluation;
	bool lazy = (site->row->flags & ROW_LAZY) != 0;

	if (site->target && !lazy && !eval_query(ev, call->context, site->target, &call->target))
		return false;
	if (site->row->evaluate(call, ret))
		return !evaluation_spent(ev);
	if (site->target && (site->row->flags & ROW_PLAIN) == 0)
		return failure_annotate(ev, site->target);
	return false;
}

bool eval_call(struct evaluation *ev, const struct context *ctx, const struct call_site *site, struct value *ret)
{
	struct call call = {
	    .evaluation = ev,
	    .arena = ev->arena,
	    .args = site->values,
	    .arg_count = site->arg_count,
	    .prepared = site->prepared,
	    .owned = site->owned,
	    .site = site,
	    .context = ctx,
	};
	struct value small[ROW_PARAMETERS_MAX];
	struct value *args = small;
	bool done;

	if (!site->dynamic)
		return run_call(&call, site, ret);
	if (site->arg_count > ROW_PARAMETERS_MAX)
		args = arena_alloc(ev->arena, site->arg_count * sizeof *args);
	if (!resolve_arguments(ev, ctx, site, args))
		return false;
	call.args = args;
	if (site->row->prepare && !site->row->prepare(&call))
		return false;
	done = run_call(&call, site, ret);
	if (call.owned)
		site->row->release(call.owned);
	return done;
}

bool eval_prepare(struct evaluation *ev, struct call_site *site)
{
	struct context ctx = {0};
	struct call call = {
	    .evaluation = ev,
	    .arena = &site->program->arena,
	    .args = site->values,
	    .arg_count = site->arg_count,
	    .site = site,
	    .context = &ctx,
	};
	struct site_list *entry;

	must(!site->dynamic && !site->prepared && !site->owned);
	if (!site->row->prepare(&call))
		return false;
	site->prepared = call.prepared;
	site->owned = call.owned;
	if (site->owned) {
		entry = arena_alloc(&site->program->arena, sizeof *entry);
		*entry = (struct site_list){site, site->program->owners};
		site->program->owners = entry;
	}
	return true;
}

bool eval_query(struct evaluation *ev, const struct context *ctx, const struct node *n, struct value *ret)
{
	if (n->kind == NODE_LITERAL) {
		*ret = n->literal;
		return true;
	}
	*ret = value_null(); /* also of an evaluation that fails */
	if (evaluation_spent(ev))
		return false;
	if (stack_is_deep(ev)) {
		fail_limit(ev, "the evaluation exceeded its depth limit, this could be due to unbounded recursion");
		return false;
	}
	switch ((enum node_kind)n->kind) {
	case NODE_FIELD:
		return eval_field(ev, ctx, n, ret);
	case NODE_GET:
		if (!eval_query(ev, ctx, n->left, ret))
			return false;
		*ret = path_get(ev->arena, *ret, n->path.steps, n->path.count, NULL);
		return true;
	case NODE_VARIABLE:
		return eval_variable(ev, ctx, n, ret);
	case NODE_META:
		return eval_meta(ev, n, ret);
	case NODE_CALL:
		return eval_call(ev, ctx, n->site, ret);
	case NODE_ARITHMETIC:
		return eval_arithmetic(ev, ctx, n, ret);
	case NODE_AND:
	case NODE_OR:
		return eval_both(ev, ctx, n, ret);
	case NODE_COALESCE:
		return eval_coalesce(ev, ctx, n, ret);
	case NODE_NOT:
		return eval_not(ev, ctx, n, ret);
	case NODE_IF:
		return eval_if(ev, ctx, n, ret);
	case NODE_MATCH:
		return eval_match(ev, ctx, n, ret);
	case NODE_LAMBDA:
		return eval_lambda(ev, ctx, n, ret);
	case NODE_MAP:
		return eval_map(ev, ctx, n, ret);
	case NODE_ARRAY:
		return eval_array(ev, ctx, n, ret);
	case NODE_OBJECT:
		return eval_object(ev, ctx, n, ret);
	case NODE_LITERAL:
		break;
	}
	abort();
}
