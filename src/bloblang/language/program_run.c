/*
 * Invariants:
 * 1. A program is never changed here: all that a run makes lies in the evaluator's arena.
 * 2. The evaluator's arena is reset when a run begins, so what a run returned ends with the next run.
 * 3. The batch has a message at its index.
 */
#include "base/check.h"
#include "value/json.h"
#include "bloblang/language/eval_internal.h"
#include "bloblang/language/program.h"

static void begin(struct evaluation *ev, struct evaluator *evaluator, const struct program *p,
                  const struct message_batch *batch)
{
	must(batch->index < batch->count);
	arena_reset(&evaluator->arena);
	evaluation_init(ev, &evaluator->arena, p, batch);
}

static bool render(const struct program *t, struct evaluation *ev, struct buf *out)
{
	struct context ctx = {.index = (int64_t)ev->batch->index};

	for (size_t i = 0; i < t->piece_count; i++) {
		struct value v = value_string(t->pieces[i].text, t->pieces[i].length);
		const char *error;

		if (t->pieces[i].query) {
			if (!eval_query(ev, &ctx, t->pieces[i].query, &v))
				return false;
			if (!value_to_text(ev->arena, v, &v, &error))
				return failure_set(ev, FAILURE_PLAIN, error);
		}
		if (evaluation_spent(ev))
			return false;
		if (buf_add(out, v.text, v.length) != ERR_OK)
			return failure_format(ev, "the text is longer than %zu bytes", out->max);
	}
	return true;
}

enum err program_render(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                        struct buf *out, struct error *e)
{
	struct evaluation ev;

	if (p->constant) {
		if (buf_add(out, p->constant, p->constant_length) == ERR_OK)
			return ERR_OK;
		return error_set(e, ERR_INPUT, "the text is longer than %zu bytes", out->max);
	}
	begin(&ev, evaluator, p, batch);
	if (render(p, &ev, out))
		return ERR_OK;
	return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
}

/* Runs the statements; *root is left as the mapping left it. */
static bool run_statements(const struct program *p, struct evaluation *ev, bool mutate, struct value *root)
{
	struct scope scope = {.maps = &p->maps, .has_variables = true, .root = root, .writes_meta = true};
	struct context ctx = {.scope = &scope, .index = (int64_t)ev->batch->index};
	const char *error;
	int line;

	*root = value_nothing();
	if (mutate && view_document(ev, ctx.index, root, &error)) {
		scope.root_is_this = true;
		ev->alias = &scope;
	}
	if (eval_statements(ev, &ctx, &p->main.body, &line))
		return true;
	if (ev->failure.no_context && !ev->failure.assignment) {
		bool whole = ev->failure.no_context[0] == '\0';

		if (!view_document(ev, ctx.index, root, &error))
			failure_format(ev, "unable to reference message as structured (with 'this%s%s'): %s%s",
			               whole ? "" : ".", ev->failure.no_context, error ? "parse as json: " : "",
			               error ? error : "message is empty");
	}
	return failure_wrap(ev, "failed assignment (line %d)", line);
}

static char meta_type(struct value v)
{
	if (v.kind == VALUE_STRING)
		return 's';
	return v.kind == VALUE_BYTES ? 'b' : 'j';
}

static bool build_meta(struct evaluation *ev, struct buf *meta)
{
	static const struct json_style style = {0};
	const struct value_object *o = ev->new_meta.object;

	for (uint32_t i = 0; i < o->count; i++) {
		struct value v = o->pairs[i].value;
		char type = meta_type(v);
		struct text t;
		const char *error;

		if (type == 'j') {
			text_init(&t, ev->arena);
			if (!json_print(&t, v, &style, &error))
				return failure_set(ev, FAILURE_PLAIN, error);
			v = value_from_text(&t, VALUE_STRING);
		}
		if (meta_add(meta, type, o->pairs[i].key, o->pairs[i].key_length, v.text, v.length) != ERR_OK)
			return failure_format(ev, "the metadata is longer than %zu bytes", meta->max);
	}
	return true;
}

/* The body of a result, which is the source's own when nothing was assigned; false when it is no JSON. */
static bool build_body(struct evaluation *ev, struct value root, const char **ret, size_t *ret_length)
{
	static const struct json_style style = {0};
	const char *error;
	struct text t;

	if (root.kind == VALUE_NOTHING)
		return true;
	if (value_is_text(root)) {
		*ret = root.text;
		*ret_length = root.length;
		return true;
	}
	text_init(&t, ev->arena);
	if (!json_print(&t, root, &style, &error))
		return failure_set(ev, FAILURE_PLAIN, error);
	*ret = t.data ? t.data : "";
	*ret_length = t.length;
	return true;
}

enum err program_run(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                     bool mutate, struct buf *meta, struct program_result *ret, struct error *e)
{
	const struct message *source = batch->messages[batch->index];
	struct evaluation ev;
	struct value root;

	begin(&ev, evaluator, p, batch);
	if (!run_statements(p, &ev, mutate, &root))
		return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
	*ret = (struct program_result){.deleted = root.kind == VALUE_DELETE,
	                               .meta_changed = ev.meta_changed,
	                               .body = (const char *)message_body(source),
	                               .body_bytes = source->body_bytes};
	if (ret->deleted)
		return ERR_OK;
	if (!build_body(&ev, root, &ret->body, &ret->body_bytes) || (ev.meta_changed && !build_meta(&ev, meta))) {
		(void)evaluation_spent(&ev); /* a limit is the better reason */
		return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
	}
	return evaluation_spent(&ev) ? error_set(e, ERR_INPUT, "%s", failure_text(&ev)) : ERR_OK;
}

/* The bool the resulting body is: text is read again as JSON, as the reference does. */
static bool check_result(struct evaluation *ev, struct value root, bool *ret)
{
	const struct message *source = ev->batch->messages[ev->batch->index];
	const char *body = (const char *)message_body(source);
	size_t body_bytes = source->body_bytes;
	struct value v = root;
	const char *error;

	if (root.kind == VALUE_DELETE)
		return failure_set(ev, FAILURE_PLAIN,
		                   "query mapping resulted in deleted message, expected a boolean value");
	if (root.kind == VALUE_NOTHING || value_is_text(root)) {
		if (!build_body(ev, root, &body, &body_bytes))
			return false;
		if (body_bytes == 0)
			return failure_set(ev, FAILURE_PLAIN, "target message part does not exist");
		if (!json_parse(ev->arena, body, body_bytes, &v, &error))
			return failure_set(ev, FAILURE_PLAIN, error);
	}
	if (v.kind != VALUE_BOOL)
		return failure_type(ev, v, "bool", "mapping");
	*ret = v.boolean;
	return true;
}

enum err program_check(const struct program *p, struct evaluator *evaluator, const struct message_batch *batch,
                       bool *ret, struct error *e)
{
	struct evaluation ev;
	struct value root;

	begin(&ev, evaluator, p, batch);
	if (run_statements(p, &ev, false, &root) && check_result(&ev, root, ret))
		return ERR_OK;
	return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
}
