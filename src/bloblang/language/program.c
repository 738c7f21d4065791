/* Making and freeing programs. */
#include "bloblang/language/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bloblang/language/parse_internal.h"

/* Of a mapping that the configuration holds, with what is folded in it. */
static const struct arena_limits own_limits = {.most_bytes = 32 << 20, .own_bytes = 32 << 20, .time_ns = 5 * NS_PER_S};

static void fill_fault(const struct parse *p, enum program_form form, struct arena *a, struct program_fault *fault)
{
	fault_position(p->text, p->fault.at, &fault->line, &fault->column);
	fault->text = fault_text(a, &p->fault);
	fault->placed = form == PROGRAM_TEMPLATE ? arena_format(a, "char %d: %s", fault->column, fault->text)
	                                         : fault_with_position(a, p->text, &p->fault);
}

bool program_parse(const struct program_source *source, struct program **ret, struct arena *a,
                   struct program_fault *fault)
{
	struct program *program = mem_zero(sizeof *program);
	struct evaluation ev; /* of what is folded */
	struct parse p = {.program = program, .evaluation = &ev, .pure = source->pure};

	program->find = source->find;
	arena_limit(&program->arena, source->limits ? source->limits : &own_limits);
	if (source->folder)
		program->folder = arena_copy(&program->arena, source->folder, strlen(source->folder));
	evaluation_init(&ev, &program->arena, program, NULL);
	p.folder = program->folder;
	p.text = p.at = arena_copy(&program->arena, source->text, source->length);
	p.end = p.text + source->length;
	if ((source->form == PROGRAM_TEMPLATE ? parse_template(&p) : parse_mapping(&p)) && !parse_is_spent(&p)) {
		*ret = program;
		return true;
	}
	fill_fault(&p, source->form, a, fault);
	program_free(program);
	return false;
}

void program_free(struct program *p)
{
	if (!p)
		return;
	for (struct site_list *l = p->owners; l; l = l->next)
		l->site->row->release(l->site->owned);
	arena_fini(&p->arena);
	free(p);
}

size_t program_bytes(const struct program *p) { return sizeof *p + p->arena.held_bytes + p->arena.beside_bytes; }

bool program_reads_batch(const struct program *p) { return p->reads_batch; }

const char *program_varies(const struct program *p) { return p->varies; }

bool program_constant(const struct program *p, const char **ret_text, size_t *ret_length)
{
	if (!p->constant)
		return false;
	*ret_text = p->constant;
	*ret_length = p->constant_length;
	return true;
}

/* A function of nothing, or one that looks something up in the message: no more than once through it. */
static bool call_is_plain(const struct call_site *s)
{
	bool looks = s->row->flags & ROW_READS_MESSAGE;

	return s->row->kind == FUNCTION && !(s->row->flags & ROW_IMPURE) && !s->dynamic && (looks || s->arg_count == 0);
}

static bool query_is_plain(const struct node *n)
{
	switch (n->kind) {
	case NODE_LITERAL:
	case NODE_FIELD:
	case NODE_META:
		return true;
	case NODE_CALL:
		return call_is_plain(n->site);
	default:
		return false;
	}
}

bool program_is_plain(const struct program *p)
{
	for (size_t i = 0; i < p->piece_count; i++)
		if (p->pieces[i].query && !query_is_plain(p->pieces[i].query))
			return false;
	return true;
}
