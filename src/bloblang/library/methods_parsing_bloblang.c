/* bloblang, of the family "parsing": runs a mapping held in a string. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bloblang/language/function.h"
#include "bloblang/language/parse.h"

enum { DEPTH_MAX = 500 };

static bool prepare_mapping(struct call *call)
{
	struct program *program = mem_zero(sizeof *program);
	size_t length = call->args[0].length;
	struct evaluation ev;
	struct parser p = {.program = program, .evaluation = &ev, .pure = true};

	program_init(program, call->site->program->find, NULL);
	evaluation_init(&ev, &program->arena, program, NULL);
	p.text = p.at = arena_copy(&program->arena, call->args[0].text, length);
	p.end = p.text + length;
	if (!parse_mapping(&p)) {
		(void)call_fail_final(call, "%s", fault_text(call->arena, &p.fault));
		program_fini(program);
		free(program);
		return false;
	}
	call->prepared = call->owned = program;
	return true;
}

static void release_mapping(void *prepared)
{
	program_fini(prepared);
	free(prepared);
}

/* A copy that does not need the mapping's arena. */
static struct value detached(struct arena *a, struct value v, int depth)
{
	struct value copy = v;

	if (depth > DEPTH_MAX || a->exceeded)
		return value_null();
	switch ((enum value_kind)v.kind) {
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		copy.text = arena_copy(a, v.text, v.length);
		return copy;
	case VALUE_TIMESTAMP:
		return value_timestamp(a, v.time);
	case VALUE_ARRAY:
		copy = value_array(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++)
			value_array_push(a, copy, detached(a, v.array->items[i], depth + 1));
		return copy;
	case VALUE_OBJECT:
		copy = value_object(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			const struct value_pair *pair = &v.object->pairs[i];

			value_object_append(a, copy, arena_copy(a, pair->key, pair->key_length), pair->key_length,
			                    detached(a, pair->value, depth + 1));
		}
		return copy;
	default:
		return copy;
	}
}

static bool bloblang(struct call *call, struct value *ret)
{
	const struct program *program = call->prepared;
	struct evaluation *outer = call->evaluation, ev;
	struct value root = value_nothing();
	struct scope scope = {.maps = &program->maps, .has_variables = true, .root = &root};
	struct context ctx = {.scope = &scope, .has_value = true, .value = call->target};
	bool done;
	int line;

	evaluation_init(&ev, call->arena, program, NULL);
	ev.deadline_ns = outer->deadline_ns;
	ev.stack_base = outer->stack_base;
	ev.stacks = outer->stacks;
	ev.epoch = outer->epoch + 1;
	done = execute(&ev, &ctx, &program->main.body, &line);
	outer->epoch = ev.epoch + 1;
	if (!done)
		return call_fail(call, "failed assignment (line %d): %s", line, failure_text(&ev));
	*ret = detached(call->arena, root, 0);
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_parsing_bloblang[] = {
	{.name = "bloblang", .kind = METHOD, .status = BETA, .flags = ROW_PLAIN, .evaluate = bloblang,
	 .prepare = prepare_mapping, .release = release_mapping,
	 .parameters = {{"mapping", PARAM_STRING, false, NULL}},
	 .summary = "Runs a mapping held in a string on the value."},
	{.name = NULL},
};
/* clang-format on */
