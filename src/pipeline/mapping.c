/* mapping, bloblang, mutation and noop: a message at a time. */
#include <stdlib.h>

#include "base/mem.h"
#include "pipeline/stage_internal.h"

static void process_noop_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_noop o;

	fields_read(c, options_processor_noop(), node, &o);
	*ret_state = NULL;
}

static void process_noop_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	(void)s;
	(void)r;
	stage_pass(batch, out);
}

/* The mapping that stands behind the processor's name. */
static struct bloblang_mapping *compile_own_mapping(struct compiler *c, const struct config_node *node)
{
	const struct config_text text = config_node_text(node);

	if (node->kind != NODE_SCALAR || !node->scalar) {
		stage_compile_fault(c, node, "expected a Bloblang mapping");
		return NULL;
	}
	return stage_compile_mapping(c, &text);
}

static void process_mapping_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	*ret_state = compile_own_mapping(c, node);
}

static void mapping_free(void *state) { bloblang_mapping_free(state); }

/* What becomes of a message, which stays as it is; null: nothing. */
static struct message *map_one(const struct stage *s, struct runner *r, const struct message_batch *context,
                               bool mutate)
{
	struct message *m = context->messages[context->index], *result = NULL;
	struct error e = {.code = ERR_OK};

	if (stage_is_spent(s, r) ||
	    (bloblang_mapping_run(s->state, r->evaluator, context, mutate, &result, &e) != ERR_OK && r->spent))
		return m;       /* flagged when the run ends */
	if (e.code != ERR_OK) { /* neighbours see it as it came, not failed */
		result = stage_make(s, r, stage_cost(m)) ? message_copy(m) : m;
		stage_fail(s, r, result, e.text);
	}
	return result;
}

/* Every message sees the batch as it came, so results replace messages only at the end. */
static void run_mapping(const struct stage *s, struct runner *r, struct pipeline_batch *batch, bool mutate,
                        struct batches *out)
{
	struct message **results = mem_array(batch->count, sizeof *results);
	struct pipeline_batch kept = {0};

	for (size_t i = 0; i < batch->count; i++) {
		struct message_batch context = stage_batch(batch, i);

		results[i] = map_one(s, r, &context, mutate);
	}
	for (size_t i = 0; i < batch->count; i++) {
		if (results[i])
			pipeline_batch_add(&kept, results[i]);
		if (results[i] != batch->items[i])
			message_free(batch->items[i]);
	}
	free(results);
	batches_add(out, &kept);
}

static void process_mapping_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                struct batches *out)
{
	run_mapping(s, r, batch, false, out);
}

static void process_mutation_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	*ret_state = compile_own_mapping(c, node);
}

static void process_mutation_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                 struct batches *out)
{
	run_mapping(s, r, batch, true, out);
}

static void map_alone(const struct stage *s, struct runner *r, struct message *m, bool mutate,
                      struct pipeline_batch *to)
{
	const struct message_batch context = {.messages = &m, .count = 1};
	struct message *result = map_one(s, r, &context, mutate);

	if (result)
		pipeline_batch_add(to, result);
	if (result != m)
		message_free(m);
}

static void process_mapping_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	map_alone(s, r, m, false, to);
}

static void process_mutation_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	map_alone(s, r, m, true, to);
}

static void process_noop_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	(void)s;
	(void)r;
	pipeline_batch_add(to, m);
}

const struct stage_row process_bloblang = {.name = "bloblang",
                                           .compile = process_mapping_compile,
                                           .run = process_mapping_run,
                                           .each = process_mapping_each,
                                           .free = mapping_free};

const struct stage_row process_mapping = {.name = "mapping",
                                          .compile = process_mapping_compile,
                                          .run = process_mapping_run,
                                          .each = process_mapping_each,
                                          .free = mapping_free};

const struct stage_row process_mutation = {.name = "mutation",
                                           .compile = process_mutation_compile,
                                           .run = process_mutation_run,
                                           .each = process_mutation_each,
                                           .free = mapping_free};

const struct stage_row process_noop = {
    .name = "noop", .compile = process_noop_compile, .run = process_noop_run, .each = process_noop_each, .free = free};
