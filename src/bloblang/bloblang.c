#include "bloblang/bloblang.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bloblang/language/program.h"
#include "bloblang/library/registry.h"

enum { FAULT_BYTES_MAX = 1024 * 1024, META_BYTES_MAX = 16 * 1024 * 1024 };

/* Of an evaluator that nobody limits: that of a command. */
enum { ALONE_BYTES_MAX = 32 * 1024 * 1024, ALONE_TIME_MS = 1000 };

struct bloblang_template {
	struct program *program;
};

struct bloblang_mapping {
	struct program *program;
};

struct evaluator *evaluator_new(void)
{
	const struct arena_limits alone = {
	    .most_bytes = ALONE_BYTES_MAX, .own_bytes = ALONE_BYTES_MAX, .time_ns = ALONE_TIME_MS * (int64_t)NS_PER_MS};
	struct evaluator *ev = mem_zero(sizeof *ev);

	arena_limit(&ev->arena, &alone);
	return ev;
}

void evaluator_limit(struct evaluator *ev, uint64_t memory_bytes, int64_t time_ns, bool leaves_room)
{
	const struct arena_limits limits = {.own_bytes = EVALUATOR_OWN_BYTES,
	                                    .most_bytes = (size_t)(EVALUATOR_OWN_BYTES + memory_bytes / 8 * 3),
	                                    .time_ns = time_ns,
	                                    .leaves_room = leaves_room};

	arena_limit(&ev->arena, &limits);
}

void evaluator_hurry(struct evaluator *ev, int64_t time_ns) { ev->arena.limits.time_ns = time_ns; }

bool evaluator_leaves_room(const struct evaluator *ev) { return ev->arena.limits.leaves_room; }

void evaluator_ask(struct evaluator *ev, bool (*may_make)(void *arg, uint64_t bytes), void *arg)
{
	ev->may_make = may_make;
	ev->arg = arg;
}

struct arena *evaluator_arena(struct evaluator *ev)
{
	arena_reset(&ev->arena);
	return &ev->arena;
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

bool bloblang_template_reads_batch(const struct bloblang_template *t) { return program_reads_batch(t->program); }

bool bloblang_mapping_reads_batch(const struct bloblang_mapping *m) { return program_reads_batch(m->program); }

const char *bloblang_mapping_varies(const struct bloblang_mapping *m) { return program_varies(m->program); }

const char *bloblang_template_varies(const struct bloblang_template *t) { return program_varies(t->program); }

bool bloblang_template_is_plain(const struct bloblang_template *t) { return program_is_plain(t->program); }

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

static enum err build_message(const struct evaluator *ev, const struct message *source,
                              const struct program_result *result, const struct buf *meta, struct message **ret,
                              struct error *e)
{
	const void *bytes = result->meta_changed ? (const void *)meta->data : message_meta(source);
	size_t count = result->meta_changed ? meta->len : source->meta_bytes;

	if (ev->may_make && !ev->may_make(ev->arg, sizeof **ret + count + result->body_bytes))
		return error_set(e, ERR_MEMORY, "there is no room for what the mapping made");
	*ret = message_derive(source, bytes, count, result->body, result->body_bytes);
	return ERR_OK;
}

enum err bloblang_mapping_run(const struct bloblang_mapping *m, struct evaluator *ev, const struct message_batch *batch,
                              bool mutate, struct message **ret, struct error *e)
{
	struct program_result result;
	struct buf meta;
	enum err err;

	buf_init(&meta, META_BYTES_MAX);
	err = program_run(m->program, ev, batch, mutate, &meta, &result, e);
	*ret = NULL;
	if (err == ERR_OK && !result.deleted)
		err = build_message(ev, batch->messages[batch->index], &result, &meta, ret, e);
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
