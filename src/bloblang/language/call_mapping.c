/* A mapping inside a mapping, for the method that runs one held in a string. */
#include "bloblang/language/eval_internal.h"
#include "bloblang/language/program.h"

/* A message may hold the mapping. */
enum { MAPPING_BYTES_MAX = 2 << 20 };

bool call_mapping_prepare(struct call *call, struct value text)
{
	const struct arena_limits limits = {
	    .most_bytes = MAPPING_BYTES_MAX, .own_bytes = MAPPING_BYTES_MAX, .time_ns = arena_time_left(call->arena)};
	struct program_source source = {.form = PROGRAM_MAPPING,
	                                .text = text.text,
	                                .length = text.length,
	                                .find = call->site->program->find,
	                                .limits = &limits,
	                                .pure = true};
	struct program_fault fault;
	struct program *program;

	if (!program_parse(&source, &program, call->arena, &fault))
		return call_fail_final(call, "%s", fault.text);
	call->prepared = call->owned = program;
	return true;
}

void call_mapping_release(void *owned) { program_free(owned); }

/* The inner evaluation goes on with the limits of the outer one. */
bool call_mapping_run(struct call *call, struct value self, struct value *ret)
{
	const struct program *program = call->prepared;
	struct evaluation *outer = call->evaluation;
	struct evaluation ev;
	struct value root = value_nothing();
	struct scope scope = {.maps = &program->maps, .has_variables = true, .root = &root};
	struct context ctx = {.scope = &scope, .has_value = true, .value = self};
	bool done;
	int line;

	evaluation_init(&ev, call->arena, program, NULL);
	ev.stack_base = outer->stack_base;
	ev.stacks = outer->stacks;
	ev.epoch = outer->epoch + 1;
	done = eval_statements(&ev, &ctx, &program->main.body, &line);
	outer->epoch = ev.epoch + 1;
	if (!done)
		return call_fail(call, "failed assignment (line %d): %s", line, failure_text(&ev));
	*ret = root;
	return true;
}
