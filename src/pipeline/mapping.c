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

/* Every message sees the batch as it came, so results replace messages only at the end. */
static void run_mapping(const struct stage *s, struct runner *r, struct pipeline_batch *batch, bool mutate,
                        struct batches *out)
{
	struct message **results = mem_array(batch->count, sizeof *results);
	struct pipeline_batch kept = {0};

	for (size_t i = 0; i < batch->count; i++) {
		struct message_batch context = stage_batch(batch, i);
		struct error e = {.code = ERR_OK};

		if (stage_is_spent(s, r) ||
		    (bloblang_mapping_run(s->state, r->evaluator, &context, mutate, &results[i], &e) != ERR_OK &&
		     r->spent)) {
			results[i] = batch->items[i]; /* flagged when the run ends */
		} else if (e.code != ERR_OK) {        /* neighbours see it as it came, not failed */
			bool room = stage_make(s, r, stage_cost(batch->items[i]));

			results[i] = room ? message_copy(batch->items[i]) : batch->items[i];
			stage_fail(s, r, results[i], e.text);
		}
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

const struct stage_row process_bloblang = {
    .name = "bloblang", .compile = process_mapping_compile, .run = process_mapping_run, .free = mapping_free};

const struct stage_row process_mapping = {
    .name = "mapping", .compile = process_mapping_compile, .run = process_mapping_run, .free = mapping_free};

const struct stage_row process_mutation = {
    .name = "mutation", .compile = process_mutation_compile, .run = process_mutation_run, .free = mapping_free};

const struct stage_row process_noop = {
    .name = "noop", .compile = process_noop_compile, .run = process_noop_run, .free = free};
