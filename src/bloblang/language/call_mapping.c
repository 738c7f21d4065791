/* A mapping inside a mapping, for the method that runs one held in a string. */
#include <stdlib.h>

#include "base/mem.h"
#include "bloblang/language/eval_internal.h"
#include "bloblang/language/program.h"

/* A message may hold the mapping: what it may become is charged to whoever runs it before it is parsed. */
enum { MAPPING_BYTES_MAX = 8 << 20 };

struct held_mapping {
	struct program *program;
	struct arena *arena; /* charged with bytes */
	size_t bytes;
};

bool call_mapping_prepare(struct call *call, struct value text)
{
	size_t left = arena_left(call->arena), most = left < MAPPING_BYTES_MAX ? left : MAPPING_BYTES_MAX;
	const struct arena_limits limits = {
	    .most_bytes = most, .own_bytes = most, .time_ns = arena_time_left(call->arena)};
	struct program_source source = {.form = PROGRAM_MAPPING,
	                                .text = text.text,
	                                .length = text.length,
	                                .find = call->site->program->find,
	                                .limits = &limits,
	                                .pure = true};
	struct held_mapping held = {.arena = call->arena, .bytes = most}, *made;
	struct program_fault fault;

	if (text.length >= most || limits.time_ns == 0 || !arena_hold(call->arena, most))
		return call_fail_final(call, "there is no time or memory left to parse the mapping");
	if (!program_parse(&source, &held.program, call->arena, &fault)) {
		arena_let_go(call->arena, most);
		return call_fail_final(call, "%s", fault.text);
	}
	held.bytes = program_bytes(held.program);
	arena_let_go(call->arena, most);
	if (!arena_hold(call->arena, held.bytes)) {
		program_free(held.program);
		return call_fail_final(call, "there is no memory left for the mapping");
	}
	made = mem_alloc(sizeof *made);
	*made = held;
	call->prepared = call->owned = made;
	return true;
}

void call_mapping_release(void *owned)
{
	struct held_mapping *held = owned;

	program_free(held->program);
	arena_let_go(held->arena, held->bytes);
	free(held);
}

/* The inner evaluation goes on with the limits of the outer one. */
bool call_mapping_run(struct call *call, struct value self, struct value *ret)
{
	const struct program *program = ((const struct held_mapping *)call->prepared)->program;
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
