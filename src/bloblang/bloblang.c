#include "bloblang/bloblang.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bloblang/language/parse.h"
#include "bloblang/library/registry.h"

enum { EVALUATION_BYTES_MAX = 256 * 1024 * 1024 };

struct evaluator *evaluator_new(void)
{
	struct evaluator *ev = mem_zero(sizeof *ev);

	arena_init(&ev->arena, EVALUATION_BYTES_MAX);
	return ev;
}

void evaluator_free(struct evaluator *ev)
{
	if (!ev)
		return;
	arena_fini(&ev->arena);
	free(ev);
}

static void parser_init(struct parser *p, struct evaluation *ev, struct program *program, const char *text,
                        size_t length)
{
	evaluation_init(ev, &program->arena, program, NULL);
	*p = (struct parser){.text = text,
	                     .end = text + length,
	                     .at = text,
	                     .program = program,
	                     .evaluation = ev,
	                     .folder = program->folder};
}

static enum err report_fault(struct parser *p, bool with_line, struct bloblang_fault *fault)
{
	if (!fault)
		return ERR_CONFIG;
	fault_position(p->text, p->fault.at, &fault->line, &fault->column);
	if (with_line)
		(void)snprintf(fault->text, sizeof fault->text, "%s",
		               fault_with_position(&p->program->arena, p->text, &p->fault));
	else
		(void)snprintf(fault->text, sizeof fault->text, "char %d: %s", fault->column,
		               fault_text(&p->program->arena, &p->fault));
	return ERR_CONFIG;
}

/* ---- templates ---- */

/* A piece of a template: text, or a query. */
struct piece {
	const char *text;
	size_t length;
	const struct node *query; /* null: text */
};

struct bloblang_template {
	struct program program;
	const struct piece *pieces;
	size_t count;
	const char *constant; /* not null: everything is known */
	size_t constant_length;
};

static struct piece *piece_new(struct parser *p, struct list *pieces, const char *text, size_t length)
{
	struct piece *piece = arena_alloc(&p->program->arena, sizeof *piece);

	*piece = (struct piece){.text = text, .length = length};
	list_add(p, pieces, piece);
	return piece;
}

/* at after "${!" */
static bool parse_interpolation(struct parser *p, struct list *pieces)
{
	const struct node *query;

	skip_blanks(p);
	if (!parse_query(p, &query))
		return fault_must(p);
	skip_blanks(p);
	if (!parse_char(p, '}')) {
		fault_rename(p, "end of expression");
		return fault_must(p);
	}
	piece_new(p, pieces, NULL, 0)->query = query;
	return true;
}

/* at after "${{!": up to "}}" it is the text of an interpolation */
static bool parse_escaped(struct parser *p, struct list *pieces)
{
	const char *start = p->at;

	for (const char *at = start; at + 2 <= p->end; at++) {
		if (at[0] != '}' || at[1] != '}')
			continue;
		piece_new(p, pieces, "${!", 3);
		piece_new(p, pieces, start, (size_t)(at + 1 - start));
		p->at = at + 2;
		return true;
	}
	fault_expected(p, start, "end of escaped expression");
	return fault_must(p);
}

static bool parse_pieces(struct parser *p, struct list *pieces)
{
	while (p->at < p->end) {
		const char *start = p->at;

		if (parse_term(p, "${{!")) {
			if (!parse_escaped(p, pieces))
				return false;
			continue;
		}
		p->at = start;
		if (parse_term(p, "${!")) {
			if (!parse_interpolation(p, pieces))
				return false;
			continue;
		}
		for (p->at = start + 1; p->at < p->end && *p->at != '$';)
			p->at++;
		piece_new(p, pieces, start, (size_t)(p->at - start));
	}
	return true;
}

/* Literal queries become text; a template of text only is constant. */
static void fold_pieces(struct bloblang_template *t, struct parser *p, const struct list *list)
{
	struct piece *pieces = arena_alloc(&p->program->arena, (list->count + 1) * sizeof *pieces);
	bool constant = true;
	struct text all;

	text_init(&all, &p->program->arena);
	for (size_t i = 0; i < list->count; i++) {
		memcpy(&pieces[i], list->items[i], sizeof *pieces);
		if (pieces[i].query && pieces[i].query->kind == NODE_LITERAL) {
			struct value v = value_to_text(&p->program->arena, pieces[i].query->literal);

			pieces[i] = (struct piece){.text = v.text, .length = v.length};
		}
		if (pieces[i].query)
			constant = false;
		else
			text_add(&all, pieces[i].text, pieces[i].length);
	}
	t->pieces = pieces;
	t->count = list->count;
	if (constant) {
		t->constant_length = all.length;
		t->constant = text_end(&all);
	}
}

enum err bloblang_template_parse(const char *text, struct bloblang_template **ret, struct bloblang_fault *fault)
{
	struct bloblang_template *t = mem_zero(sizeof *t);
	size_t length = strlen(text);
	struct list pieces = {0};
	struct evaluation ev;
	struct parser p;

	program_init(&t->program, bloblang_row_find, NULL);
	parser_init(&p, &ev, &t->program, arena_copy(&t->program.arena, text, length), length);
	if (!parse_pieces(&p, &pieces)) {
		enum err err = report_fault(&p, false, fault);

		bloblang_template_free(t);
		return err;
	}
	fold_pieces(t, &p, &pieces);
	*ret = t;
	return ERR_OK;
}

void bloblang_template_free(struct bloblang_template *t)
{
	if (!t)
		return;
	program_fini(&t->program);
	free(t);
}

bool bloblang_template_constant(const struct bloblang_template *t, const char **ret_text, size_t *ret_length)
{
	if (!t->constant)
		return false;
	*ret_text = t->constant;
	*ret_length = t->constant_length;
	return true;
}

static bool render(const struct bloblang_template *t, struct evaluation *ev, struct buf *out)
{
	struct context ctx = {.index = (int64_t)ev->batch->index};

	for (size_t i = 0; i < t->count; i++) {
		struct value v = value_string(t->pieces[i].text, t->pieces[i].length);

		if (t->pieces[i].query) {
			if (!eval(ev, &ctx, t->pieces[i].query, &v))
				return false;
			v = value_to_text(ev->arena, v);
		}
		if (evaluation_spent(ev))
			return false;
		if (buf_add(out, v.text, v.length) != ERR_OK)
			return fail_format(ev, "the text is longer than %zu bytes", out->max);
	}
	return true;
}

enum err bloblang_template_render(const struct bloblang_template *t, struct evaluator *evaluator,
                                  const struct message_batch *batch, struct buf *out, struct error *e)
{
	struct evaluation ev;

	if (t->constant) {
		if (buf_add(out, t->constant, t->constant_length) == ERR_OK)
			return ERR_OK;
		return error_set(e, ERR_INPUT, "the text is longer than %zu bytes", out->max);
	}
	arena_reset(&evaluator->arena);
	evaluation_init(&ev, &evaluator->arena, &t->program, batch);
	if (render(t, &ev, out))
		return ERR_OK;
	return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
}

/* ---- mappings ---- */

struct bloblang_mapping {
	struct program program;
};

enum err bloblang_mapping_parse(const char *text, const char *import_folder, struct bloblang_mapping **ret,
                                struct bloblang_fault *fault)
{
	struct bloblang_mapping *m = mem_zero(sizeof *m);
	size_t length = strlen(text);
	struct evaluation ev;
	struct parser p;

	program_init(&m->program, bloblang_row_find, import_folder);
	parser_init(&p, &ev, &m->program, arena_copy(&m->program.arena, text, length), length);
	if (!parse_mapping(&p)) {
		enum err err = report_fault(&p, true, fault);

		bloblang_mapping_free(m);
		return err;
	}
	*ret = m;
	return ERR_OK;
}

void bloblang_mapping_free(struct bloblang_mapping *m)
{
	if (!m)
		return;
	program_fini(&m->program);
	free(m);
}

/* Runs the statements; *root is left as the mapping left it. */
static bool run_mapping(const struct bloblang_mapping *m, struct evaluation *ev, bool mutate, struct value *root)
{
	struct scope scope = {.maps = &m->program.maps, .has_variables = true, .root = root, .writes_meta = true};
	struct context ctx = {.scope = &scope, .index = (int64_t)ev->batch->index};
	const char *error;
	int line;

	*root = value_nothing();
	if (mutate && view_document(ev, ctx.index, root, &error)) {
		scope.root_is_this = true;
		ev->alias = &scope;
	}
	if (execute(ev, &ctx, &m->program.main.body, &line))
		return true;
	if (ev->failure.no_context && !ev->failure.assignment) {
		bool whole = ev->failure.no_context[0] == '\0';

		if (!view_document(ev, ctx.index, root, &error))
			fail_format(ev, "unable to reference message as structured (with 'this%s%s'): %s%s",
			            whole ? "" : ".", ev->failure.no_context, error ? "parse as json: " : "",
			            error ? error : "message is empty");
	}
	return fail_wrap(ev, "failed assignment (line %d)", line);
}

static enum err build_meta(struct evaluation *ev, struct buf *meta)
{
	static const struct json_style style = {0};
	const struct value_object *o = ev->new_meta.object;

	for (uint32_t i = 0; i < o->count; i++) {
		struct value v = o->pairs[i].value;
		char type = v.kind == VALUE_STRING ? 's' : v.kind == VALUE_BYTES ? 'b' : 'j';
		struct text t;
		enum err err;

		if (type == 'j') {
			text_init(&t, ev->arena);
			if (!json_print(&t, v, &style))
				t.length = 0;
			v = value_from_text(&t, VALUE_STRING);
		}
		err = meta_add(meta, type, o->pairs[i].key, o->pairs[i].key_length, v.text, v.length);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

/* The body of a result; false when it is the source's own. */
static bool build_body(struct evaluation *ev, struct value root, const char **ret, size_t *ret_length)
{
	static const struct json_style style = {0};
	struct text t;

	if (root.kind == VALUE_NOTHING)
		return false;
	if (value_is_text(root)) {
		*ret = root.text;
		*ret_length = root.length;
		return true;
	}
	text_init(&t, ev->arena);
	if (!json_print(&t, root, &style))
		t.length = 0; /* what is not a number makes the reference's body empty */
	*ret = t.data ? t.data : "";
	*ret_length = t.length;
	return true;
}

static enum err build_message(struct evaluation *ev, const struct message *source, struct value root,
                              struct message **ret, struct error *e)
{
	enum { META_BYTES_MAX = 16 * 1024 * 1024 };
	const char *body = (const char *)message_body(source);
	size_t body_bytes = source->body_bytes;
	struct buf meta;

	(void)build_body(ev, root, &body, &body_bytes);
	if (evaluation_spent(ev))
		return error_set(e, ERR_INPUT, "%s", failure_text(ev));
	buf_init(&meta, META_BYTES_MAX);
	if (ev->meta_changed && build_meta(ev, &meta) != ERR_OK) {
		buf_fini(&meta);
		return error_set(e, ERR_INPUT, "the metadata is longer than %d bytes", META_BYTES_MAX);
	}
	if (ev->meta_changed)
		*ret = message_derive(source, meta.data, meta.len, body, body_bytes);
	else
		*ret = message_derive(source, message_meta(source), source->meta_bytes, body, body_bytes);
	buf_fini(&meta);
	return ERR_OK;
}

enum err bloblang_mapping_run(const struct bloblang_mapping *m, struct evaluator *evaluator,
                              const struct message_batch *batch, bool mutate, struct message **ret, struct error *e)
{
	struct evaluation ev;
	struct value root;

	arena_reset(&evaluator->arena);
	evaluation_init(&ev, &evaluator->arena, &m->program, batch);
	if (!run_mapping(m, &ev, mutate, &root))
		return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
	if (root.kind == VALUE_DELETE) {
		*ret = NULL;
		return ERR_OK;
	}
	return build_message(&ev, batch->messages[batch->index], root, ret, e);
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
		return fail_with(ev, FAILURE_PLAIN,
		                 "query mapping resulted in deleted message, expected a boolean value");
	if (root.kind == VALUE_NOTHING || value_is_text(root)) {
		(void)build_body(ev, root, &body, &body_bytes);
		if (body_bytes == 0)
			return fail_with(ev, FAILURE_PLAIN, "target message part does not exist");
		if (!json_parse(ev->arena, body, body_bytes, &v, &error))
			return fail_with(ev, FAILURE_PLAIN, error);
	}
	if (v.kind != VALUE_BOOL)
		return fail_type(ev, v, "bool", "mapping");
	*ret = v.boolean;
	return true;
}

enum err bloblang_mapping_check(const struct bloblang_mapping *m, struct evaluator *evaluator,
                                const struct message_batch *batch, bool *ret, struct error *e)
{
	struct evaluation ev;
	struct value root;

	arena_reset(&evaluator->arena);
	evaluation_init(&ev, &evaluator->arena, &m->program, batch);
	if (run_mapping(m, &ev, false, &root) && check_result(&ev, root, ret))
		return ERR_OK;
	return error_set(e, ERR_INPUT, "%s", failure_text(&ev));
}

void bloblang_list_functions(struct buf *out) { bloblang_rows_print(out, FUNCTION); }

void bloblang_list_methods(struct buf *out) { bloblang_rows_print(out, METHOD); }
