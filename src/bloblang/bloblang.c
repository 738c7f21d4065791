#include "bloblang/bloblang.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bloblang/language/program.h"
#include "bloblang/library/registry.h"

enum { EVALUATION_BYTES_MAX = 256 * 1024 * 1024, FAULT_BYTES_MAX = 1024 * 1024, META_BYTES_MAX = 16 * 1024 * 1024 };

struct bloblang_template {
	struct program *program;
};

struct bloblang_mapping {
	struct program *program;
};

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

static enum err parse(enum program_form form, const char *text, const char *folder, struct program **ret,
                      struct bloblang_fault *fault)
{
	struct program_source source = {
	    .form = form, .text = text, .length = strlen(text), .find = bloblang_row_find, .folder = folder};
	struct program_fault found;
	struct arena a;
	bool parsed;

	arena_init(&a, FAULT_BYTES_MAX);
	parsed = program_parse(&source, ret, &a, &found);
	if (!parsed && fault) {
		fault->line = found.line;
		fault->column = found.column;
		(void)snprintf(fault->text, sizeof fault->text, "%s", found.placed);
	}
	arena_fini(&a);
	return parsed ? ERR_OK : ERR_CONFIG;
}

/* ---- templates ---- */

enum err bloblang_template_parse(const char *text, struct bloblang_template **ret, struct bloblang_fault *fault)
{
	struct program *program;
	enum err err = parse(PROGRAM_TEMPLATE, text, NULL, &program, fault);

	if (err != ERR_OK)
		return err;
	*ret = mem_zero(sizeof **ret);
	(*ret)->program = program;
	return ERR_OK;
}

void bloblang_template_free(struct bloblang_template *t)
{
	if (!t)
		return;
	program_free(t->program);
	free(t);
}

bool bloblang_template_constant(const struct bloblang_template *t, const char **ret_text, size_t *ret_length)
{
	return program_constant(t->program, ret_text, ret_length);
}

enum err bloblang_template_render(const struct bloblang_template *t, struct evaluator *ev,
                                  const struct message_batch *batch, struct buf *out, struct error *e)
{
	return program_render(t->program, ev, batch, out, e);
}

/* ---- mappings ---- */

enum err bloblang_mapping_parse(const char *text, const char *import_folder, struct bloblang_mapping **ret,
                                struct bloblang_fault *fault)
{
	struct program *program;
	enum err err = parse(PROGRAM_MAPPING, text, import_folder, &program, fault);

	if (err != ERR_OK)
		return err;
	*ret = mem_zero(sizeof **ret);
	(*ret)->program = program;
	return ERR_OK;
}

void bloblang_mapping_free(struct bloblang_mapping *m)
{
	if (!m)
		return;
	program_free(m->program);
	free(m);
}

static struct message *build_message(const struct message *source, const struct program_result *result,
                                     const struct buf *meta)
{
	if (result->meta_changed)
		return message_derive(source, meta->data, meta->len, result->body, result->body_bytes);
	return message_derive(source, message_meta(source), source->meta_bytes, result->body, result->body_bytes);
}

enum err bloblang_mapping_run(const struct bloblang_mapping *m, struct evaluator *ev, const struct message_batch *batch,
                              bool mutate, struct message **ret, struct error *e)
{
	struct program_result result;
	struct buf meta;
	enum err err;

	buf_init(&meta, META_BYTES_MAX);
	err = program_run(m->program, ev, batch, mutate, &meta, &result, e);
	if (err == ERR_OK)
		*ret = result.deleted ? NULL : build_message(batch->messages[batch->index], &result, &meta);
	buf_fini(&meta);
	return err;
}

enum err bloblang_mapping_check(const struct bloblang_mapping *m, struct evaluator *ev,
                                const struct message_batch *batch, bool *ret, struct error *e)
{
	return program_check(m->program, ev, batch, ret, e);
}

void bloblang_list_functions(struct buf *out) { bloblang_rows_print(out, FUNCTION); }

void bloblang_list_methods(struct buf *out) { bloblang_rows_print(out, METHOD); }
