/*
 * Processors that run processors: for_each, processors, try, catch, try_catch, switch, group_by, while, resource.
 *
 * Invariants:
 * 1. What a child makes goes on: no batch of a child is dropped here.
 * 2. A message in a switch has a place in the line of its run until put_in_order; what is made of it shares the place.
 * 3. A failed message takes no further step in try; catch leaves none flagged.
 * 4. A loop ends after LOOPS_MAX rounds, or with the time of its run.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/tree.h"
#include "pipeline/stage_internal.h"

enum { LOOPS_MAX = 10000 };

/* for_each, processors, try, catch, resource: a bare list. */
static void children_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct stages *children = mem_zero(sizeof *children);

	stages_compile(c, node, children);
	*ret_state = children;
}

static void children_free(void *state)
{
	stages_free(state);
	free(state);
}

static void process_for_each_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	children_compile(c, node, ret_state);
}

static void process_for_each_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                 struct batches *out)
{
	struct pipeline_batch joined = {0};

	for (size_t i = 0; i < batch->count; i++)
		stages_run_one(s->state, r, batch->items[i], &joined);
	batches_add(out, &joined);
}

static void process_for_each_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	stages_run_one(s->state, r, m, to);
}

static void process_processors_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	children_compile(c, node, ret_state);
}

static void process_processors_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                   struct batches *out)
{
	struct batches all = {0};
	struct pipeline_batch moved = *batch;

	memset(batch, 0, sizeof *batch);
	batches_add(&all, &moved);
	stages_run(s->state, r, &all);
	for (size_t i = 0; i < all.count; i++)
		batches_add(out, &all.items[i]);
	free(all.items);
}

/* Each message alone through the stages; a message that failed before or on the way skips what is left. */
static void try_stages(const struct stages *stages, struct runner *r, struct message *m, struct pipeline_batch *result)
{
	struct batches all = {0};

	batches_add_one(&all, m);
	for (size_t i = 0; i < stages->count; i++) {
		const struct stages single = {.items = &stages->items[i], .count = 1};
		struct batches next = {0};

		for (size_t k = 0; k < all.count; k++) {
			struct batches one = {0};

			if (all.items[k].items[0]->failure) {
				batches_add(&next, &all.items[k]);
				continue;
			}
			batches_add(&one, &all.items[k]);
			stages_run(&single, r, &one);
			for (size_t n = 0; n < one.count; n++)
				batches_add(&next, &one.items[n]);
			free(one.items);
		}
		free(all.items);
		all = next;
	}
	batches_append(&all, result);
}

static void process_try_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	children_compile(c, node, ret_state);
}

static void process_try_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	try_stages(s->state, r, m, to);
}

static void process_try_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	struct pipeline_batch result = {0};

	for (size_t i = 0; i < batch->count; i++)
		try_stages(s->state, r, batch->items[i], &result);
	batches_add(out, &result);
}

/* One that failed goes alone through all children; afterwards no flag is left. */
static void catch_one(const struct stages *stages, struct runner *r, struct message *m, struct pipeline_batch *result)
{
	const size_t first = result->count;

	if (m->failure)
		stages_run_one(stages, r, m, result);
	else
		pipeline_batch_add(result, m);
	for (size_t i = first; i < result->count; i++)
		message_fail(result->items[i], NULL, NULL);
}

static void process_catch_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	children_compile(c, node, ret_state);
}

static void process_catch_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                              struct batches *out)
{
	struct pipeline_batch result = {0};

	for (size_t i = 0; i < batch->count; i++)
		catch_one(s->state, r, batch->items[i], &result);
	batches_add(out, &result);
}

static void process_catch_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	catch_one(s->state, r, m, to);
}

struct try_catch {
	struct stages tried;
	struct stages recovery;
	char *error_metadata;
};

static void process_try_catch_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct try_catch *t = mem_zero(sizeof *t);
	struct options_processor_try_catch o;

	fields_read(c, options_processor_try_catch(), node, &o);
	stage_compile_children(c, "processors", o.processors, &t->tried);
	stage_compile_children(c, "catch", o.catch_, &t->recovery);
	t->error_metadata = mem_string(o.error_metadata);
	options_free(options_processor_try_catch(), &o);
	*ret_state = t;
}

static void try_catch_free(void *state)
{
	struct try_catch *t = state;

	stages_free(&t->tried);
	stages_free(&t->recovery);
	free(t->error_metadata);
	free(t);
}

/* The recovery list finds the error's text in metadata. */
static struct message *with_error_metadata(const struct stage *s, struct runner *r, struct message *m, const char *key)
{
	size_t room = STAGE_MESSAGE_BYTES + sizeof *m + m->meta_bytes + m->body_bytes + strlen(key);
	struct message *new;
	struct buf meta;

	if (!m->failure || !key[0])
		return m;
	if (!stage_make(s, r, room + strlen(m->failure->reason))) {
		stage_spend(s, r, stage_too_much);
		return m;
	}
	stage_meta_with(m, key, m->failure->reason, strlen(m->failure->reason), &meta);
	new = message_derive(m, meta.data, meta.len, message_body(m), m->body_bytes);
	buf_fini(&meta);
	r->live_bytes -= (int64_t)stage_cost(m);
	message_free(m);
	return new;
}

static void process_try_catch_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                  struct batches *out)
{
	const struct try_catch *t = s->state;
	struct pipeline_batch tried = {0}, result = {0};

	for (size_t i = 0; i < batch->count; i++)
		try_stages(&t->tried, r, batch->items[i], &tried);
	for (size_t i = 0; i < tried.count; i++)
		tried.items[i] = with_error_metadata(s, r, tried.items[i], t->error_metadata);
	for (size_t i = 0; i < tried.count; i++)
		catch_one(&t->recovery, r, tried.items[i], &result);
	free(tried.items);
	batches_add(out, &result);
}

/* switch and group_by: a list of {check, processors}. */
struct check_case {
	struct bloblang_mapping *check; /* null: always */
	struct stages stages;
	bool fallthrough;
};

struct cases {
	struct check_case *items;
	size_t count;
};

static void switch_case_compile(struct compiler *c, const struct config_node *node, struct check_case *ret)
{
	struct options_processor_switch o;

	fields_read(c, options_processor_switch(), node, &o);
	ret->check = stage_compile_mapping(c, &o.check);
	stage_compile_children(c, "processors", o.processors, &ret->stages);
	ret->fallthrough = o.fallthrough;
	options_free(options_processor_switch(), &o);
}

static void group_case_compile(struct compiler *c, const struct config_node *node, struct check_case *ret)
{
	struct options_processor_group_by o;

	fields_read(c, options_processor_group_by(), node, &o);
	ret->check = stage_compile_mapping(c, &o.check);
	stage_compile_children(c, "processors", o.processors, &ret->stages);
	options_free(options_processor_group_by(), &o);
}

static void cases_compile(struct compiler *c, const struct config_node *node, bool is_switch, void **ret_state)
{
	struct cases *cases = mem_zero(sizeof *cases);

	*ret_state = cases;
	if (node->kind != NODE_LIST) {
		stage_compile_fault(c, node, "expected a list of cases with check and processors");
		return;
	}
	cases->items = mem_array(node->count, sizeof *cases->items);
	for (size_t i = 0; i < node->count; i++) {
		struct check_case *item = &cases->items[cases->count++];

		if (is_switch)
			switch_case_compile(c, &node->children[i], item);
		else
			group_case_compile(c, &node->children[i], item);
	}
}

static void cases_free(void *state)
{
	struct cases *cases = state;

	for (size_t i = 0; i < cases->count; i++) {
		bloblang_mapping_free(cases->items[i].check);
		stages_free(&cases->items[i].stages);
	}
	free(cases->items);
	free(cases);
}

static void process_switch_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	cases_compile(c, node, true, ret_state);
}

/*
 * The result of a switch comes back in the order of the incoming batch: for its time each message has an origin with a
 * place in the line of this run, which what is made of it shares.
 */
static uint32_t take_places(const struct stage *s, struct runner *r, const struct pipeline_batch *batch)
{
	uint32_t line = ++r->lines;

	if (!stage_keep(s, r, batch->count * STAGE_ORIGIN_BYTES))
		return 0;
	for (size_t i = 0; i < batch->count; i++)
		message_set_origin(batch->items[i], origin_with_place(batch->items[i]->origin, line, (uint32_t)i));
	return line;
}

struct placed {
	struct message *message;
	uint32_t place;
	size_t order;
};

static int compare_places(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Gives back what take_places took, unless a key below a place keeps it. */
static void put_in_order(struct runner *r, struct pipeline_batch *result, size_t taken, uint32_t line)
{
	bool is_kept = false;
	struct placed *placed = mem_array(result->count, sizeof *placed);

	for (size_t i = 0; i < result->count; i++)
		placed[i] = (struct placed){result->items[i], origin_place(result->items[i]->origin, line), i};
	qsort(placed, result->count, sizeof *placed, compare_places);
	for (size_t i = 0; i < result->count; i++) {
		struct message *m = placed[i].message;

		result->items[i] = m;
		if (m->origin->line == line)
			message_set_origin(m, origin_ref(m->origin->parents[0]));
		else
			is_kept = true;
	}
	r->kept_bytes -= is_kept ? 0 : (int64_t)(taken * STAGE_ORIGIN_BYTES);
	free(placed);
}

/* Parts `remaining` into those that pass the case and those that do not; an erring check ends the message's way. */
static void test_case(const struct stage *s, struct runner *r, const struct check_case *item,
                      struct pipeline_batch *remaining, struct pipeline_batch *passed, struct pipeline_batch *result)
{
	struct pipeline_batch failed = {0};

	for (size_t i = 0; i < remaining->count; i++) {
		struct message_batch context = stage_batch(remaining, i);
		struct error e = {.code = ERR_OK};
		bool pass = true;

		if (item->check && !stage_is_spent(s, r) &&
		    bloblang_mapping_check(item->check, r->evaluator, &context, &pass, &e) != ERR_OK) {
			stage_fail(s, r, remaining->items[i], e.text);
			pipeline_batch_add(result, remaining->items[i]);
			continue;
		}
		pipeline_batch_add(pass ? passed : &failed, remaining->items[i]);
	}
	free(remaining->items);
	*remaining = failed;
}

/* Takes what is in `remaining`. */
static void run_cases(const struct stage *s, struct runner *r, struct pipeline_batch *remaining,
                      struct pipeline_batch *result)
{
	const struct cases *cases = s->state;
	struct pipeline_batch carried = {0};

	for (size_t i = 0; i < cases->count && remaining->count + carried.count > 0; i++) {
		const struct check_case *item = &cases->items[i];
		struct pipeline_batch passed = carried;

		memset(&carried, 0, sizeof carried);
		test_case(s, r, item, remaining, &passed, result);
		stages_run_batch(&item->stages, r, &passed, item->fallthrough ? &carried : result);
	}
	/* A fall-through behind the last case ends here; the reference loses these. */
	for (size_t i = 0; i < carried.count; i++)
		pipeline_batch_add(result, carried.items[i]);
	for (size_t i = 0; i < remaining->count; i++)
		pipeline_batch_add(result, remaining->items[i]);
	free(carried.items);
	free(remaining->items);
}

static void process_switch_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                               struct batches *out)
{
	struct pipeline_batch remaining = {0}, result = {0};
	uint32_t line = take_places(s, r, batch);

	if (line == 0) {
		stage_pass(batch, out);
		return;
	}
	for (size_t i = 0; i < batch->count; i++)
		pipeline_batch_add(&remaining, batch->items[i]);
	run_cases(s, r, &remaining, &result);
	put_in_order(r, &result, batch->count, line);
	batches_add(out, &result);
}

/* What comes of one by itself is in its order. */
static void process_switch_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	struct pipeline_batch remaining = {0};

	pipeline_batch_add(&remaining, m);
	run_cases(s, r, &remaining, to);
}

static void process_group_by_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	cases_compile(c, node, false, ret_state);
}

static size_t group_of(const struct cases *cases, struct runner *r, const struct pipeline_batch *batch, size_t index)
{
	for (size_t i = 0; i < cases->count; i++) {
		struct message_batch context = stage_batch(batch, index);
		struct error e = {.code = ERR_OK};
		bool pass = false;

		if (!cases->items[i].check)
			continue;
		if (bloblang_mapping_check(cases->items[i].check, r->evaluator, &context, &pass, &e) != ERR_OK)
			LOG_LIMITED(LOG_ERROR, "group_by check failed", LOG_U("group", i), LOG_S("error", e.text));
		else if (pass)
			return i;
	}
	return cases->count;
}

static void process_group_by_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                 struct batches *out)
{
	const struct cases *cases = s->state;
	struct pipeline_batch *groups = mem_array(cases->count + 1, sizeof *groups);
	size_t *choice = mem_array(batch->count, sizeof *choice);

	for (size_t i = 0; i < batch->count; i++)
		choice[i] = group_of(cases, r, batch, i);
	for (size_t i = 0; i < batch->count; i++)
		pipeline_batch_add(&groups[choice[i]], batch->items[i]);
	for (size_t i = 0; i <= cases->count; i++) {
		struct batches all = {0};

		batches_add(&all, &groups[i]);
		if (i < cases->count)
			stages_run(&cases->items[i].stages, r, &all);
		for (size_t k = 0; k < all.count; k++)
			batches_add(out, &all.items[k]);
		free(all.items);
	}
	free(groups);
	free(choice);
}

struct loop {
	bool at_least_once;
	int64_t max_loops;
	struct bloblang_mapping *check;
	struct stages stages;
};

static void process_while_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct loop *loop = mem_zero(sizeof *loop);
	struct options_processor_while o;

	fields_read(c, options_processor_while(), node, &o);
	stage_warn_negative(c, node, "max_loops", o.max_loops);
	loop->at_least_once = o.at_least_once;
	loop->max_loops = o.max_loops;
	loop->check = stage_compile_mapping(c, &o.check);
	stage_compile_children(c, "processors", o.processors, &loop->stages);
	options_free(options_processor_while(), &o);
	*ret_state = loop;
}

static void while_free(void *state)
{
	struct loop *loop = state;

	bloblang_mapping_free(loop->check);
	stages_free(&loop->stages);
	free(loop);
}

static bool check_first(const struct loop *loop, struct runner *r, const struct pipeline_batch *batch)
{
	struct message_batch context = stage_batch(batch, 0);
	struct error e = {.code = ERR_OK};
	bool again = false;

	if (!loop->check)
		return false;
	if (bloblang_mapping_check(loop->check, r->evaluator, &context, &again, &e) != ERR_OK)
		LOG_LIMITED(LOG_ERROR, "while check failed", LOG_S("error", e.text));
	return again;
}

/* A loop that never ends would hold its thread for ever: LOOPS_MAX flags the messages and goes on. */
static void process_while_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                              struct batches *out)
{
	const struct loop *loop = s->state;
	int64_t most = loop->max_loops > 0 && loop->max_loops < LOOPS_MAX ? loop->max_loops : LOOPS_MAX;
	struct pipeline_batch moved = *batch;
	struct batches all = {0};
	int64_t loops = 0;

	memset(batch, 0, sizeof *batch);
	batches_add(&all, &moved);
	while (all.count > 0 && loops < most && !stage_is_spent(s, r) &&
	       ((loops == 0 && loop->at_least_once) || check_first(loop, r, &all.items[0]))) {
		stages_run(&loop->stages, r, &all);
		loops++;
	}
	for (size_t i = 0; i < all.count; i++) {
		for (size_t k = 0; loops == LOOPS_MAX && k < all.items[i].count; k++)
			stage_fail(s, r, all.items[i].items[k], "the loop did not end");
		batches_add(out, &all.items[i]);
	}
	free(all.items);
}

static void process_resource_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	const bool is_label = node->kind == NODE_SCALAR && node->scalar && *node->scalar;
	const struct config_node *entry =
	    is_label ? stage_find_resource(c->config->processor_resources, node->scalar) : NULL;
	struct stages *children;

	if (!is_label)
		stage_compile_fault(c, node, "expected the label of a processor resource, not %s",
		                    tree_is_null(node) || node->scalar ? "nothing" : tree_kind_name(node));
	else if (!entry)
		stage_compile_fault(c, node, "there is no processor resource labelled %s", node->scalar);
	if (!entry)
		return;
	children = mem_zero(sizeof *children);
	stage_compile_resource(c, node, entry, children);
	*ret_state = children;
}

static void process_resource_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                 struct batches *out)
{
	process_processors_run(s, r, batch, out);
}

const struct stage_row process_catch = {.name = "catch",
                                        .compile = process_catch_compile,
                                        .run = process_catch_run,
                                        .each = process_catch_each,
                                        .free = children_free};

const struct stage_row process_for_each = {.name = "for_each",
                                           .compile = process_for_each_compile,
                                           .run = process_for_each_run,
                                           .each = process_for_each_each,
                                           .free = children_free};

const struct stage_row process_group_by = {.name = "group_by",
                                           .needs_batch = true,
                                           .compile = process_group_by_compile,
                                           .run = process_group_by_run,
                                           .free = cases_free};

const struct stage_row process_processors = {
    .name = "processors", .compile = process_processors_compile, .run = process_processors_run, .free = children_free};

const struct stage_row process_resource = {
    .name = "resource", .compile = process_resource_compile, .run = process_resource_run, .free = children_free};

const struct stage_row process_switch = {.name = "switch",
                                         .compile = process_switch_compile,
                                         .run = process_switch_run,
                                         .each = process_switch_each,
                                         .free = cases_free};

const struct stage_row process_try = {.name = "try",
                                      .compile = process_try_compile,
                                      .run = process_try_run,
                                      .each = process_try_each,
                                      .free = children_free};

const struct stage_row process_try_catch = {
    .name = "try_catch", .compile = process_try_catch_compile, .run = process_try_catch_run, .free = try_catch_free};

const struct stage_row process_while = {.name = "while",
                                        .needs_batch = true,
                                        .compile = process_while_compile,
                                        .run = process_while_run,
                                        .free = while_free};
