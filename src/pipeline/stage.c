/*
 * Invariants:
 * 1. A batch that is passed on holds at least one message; an empty one is freed where it would be added.
 * 2. Every message has one owner: the batch it lies in. A stage's run takes all of its batch.
 * 3. Every message in a running pipeline has an origin.
 * 4. A compiler's path is, after a stage was compiled, what it was before.
 * 5. A run that is spent changes no message any more.
 * 6. A stage with a null state was compiled with faults, or has none to free; it has a row all the same.
 */
#include "pipeline/stage_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"

enum { DEPTH_MAX = 32, STAGES_MAX = 10000 };

/* What a run may always make; what it makes beyond is charged to the budget. */
enum { RUN_OWN_BYTES = 4 << 20 };

void pipeline_batch_add(struct pipeline_batch *b, struct message *m)
{
	if (b->count == b->capacity) {
		b->capacity = b->capacity ? b->capacity * 2 : 16;
		b->items = mem_grow(b->items, b->capacity, sizeof *b->items);
	}
	b->items[b->count++] = m;
}

void pipeline_batch_fini(struct pipeline_batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		message_free(b->items[i]);
	free(b->items);
	memset(b, 0, sizeof *b);
}

void batches_add(struct batches *b, struct pipeline_batch *batch)
{
	if (batch->count > 0) {
		if (b->count == b->capacity) {
			b->capacity = b->capacity ? b->capacity * 2 : 4;
			b->items = mem_grow(b->items, b->capacity, sizeof *b->items);
		}
		b->items[b->count++] = *batch;
	} else {
		free(batch->items);
	}
	memset(batch, 0, sizeof *batch);
}

void batches_add_one(struct batches *b, struct message *m)
{
	struct pipeline_batch one = {.items = mem_array(1, sizeof *one.items), .capacity = 1};

	pipeline_batch_add(&one, m);
	batches_add(b, &one);
}

void batches_append(struct batches *b, struct pipeline_batch *to)
{
	size_t i = 0;

	if (!to->items && b->count > 0)
		*to = b->items[i++];
	for (; i < b->count; i++) {
		for (size_t k = 0; k < b->items[i].count; k++)
			pipeline_batch_add(to, b->items[i].items[k]);
		free(b->items[i].items);
	}
	free(b->items);
	memset(b, 0, sizeof *b);
}

void batches_fini(struct batches *b)
{
	for (size_t i = 0; i < b->count; i++)
		pipeline_batch_fini(&b->items[i]);
	free(b->items);
	memset(b, 0, sizeof *b);
}

static size_t count_messages(const struct batches *b)
{
	size_t sum = 0;

	for (size_t i = 0; i < b->count; i++)
		sum += b->items[i].count;
	return sum;
}

uint64_t stage_cost(const struct message *m)
{
	size_t failure = m->failure ? sizeof *m->failure + strlen(m->failure->reason) : 0;

	return STAGE_MESSAGE_BYTES + message_cost(m) + failure;
}

int64_t stage_batch_cost(const struct pipeline_batch *b)
{
	int64_t sum = STAGE_BATCH_BYTES;

	for (size_t i = 0; i < b->count; i++)
		sum += (int64_t)stage_cost(b->items[i]);
	return sum;
}

void stage_spend(const struct stage *s, struct runner *r, const char *why)
{
	if (r->spent)
		return;
	r->spent = why;
	r->spent_at = s;
}

const char stage_too_much[] = "processors made more of a batch than kspool.memory may hold";

/* A crowd of messages that each take nearly all they may leaves the others of their batch little: a part of one
 * message's time each, which is much for what is innocent, and ends the crowd's. */
enum { HURRY_MESSAGES = 500 };

/* Want of what others hold ends the run, which may go better later; passing its own limit is its message's fault. */
static bool charge(const struct stage *s, struct runner *r)
{
	int64_t held = r->live_bytes + r->kept_bytes, want = held - r->first_bytes - RUN_OWN_BYTES;

	if (held > r->most_bytes)
		return false;
	if (want > r->charged_bytes) {
		if (!budget_take((uint64_t)(want - r->charged_bytes), r->leaves_room)) {
			r->starved = !r->spent;
			stage_spend(s, r, "there is no memory just now for what processors made");
			return false;
		}
		r->charged_bytes = want;
	}
	return true;
}

bool stage_make(const struct stage *s, struct runner *r, size_t bytes)
{
	if (r->spent)
		return false;
	r->live_bytes += (int64_t)bytes;
	if (charge(s, r))
		return true;
	r->live_bytes -= (int64_t)bytes;
	return false;
}

bool stage_keep(const struct stage *s, struct runner *r, size_t bytes)
{
	if (r->spent)
		return false;
	r->kept_bytes += (int64_t)bytes;
	if (charge(s, r))
		return true;
	r->kept_bytes -= (int64_t)bytes;
	stage_spend(s, r, stage_too_much);
	return false;
}

size_t stage_room(const struct runner *r, size_t most)
{
	int64_t left = r->most_bytes - r->live_bytes - r->kept_bytes;

	return left <= 0 ? 0 : (uint64_t)left < most ? (size_t)left : most;
}

bool runner_make(void *arg, uint64_t bytes)
{
	struct runner *r = arg;

	return stage_make(r->running, r, bytes);
}

void runner_begin(struct runner *r, int64_t time_ns, int64_t hurry_ns, int64_t used_ns)
{
	const int64_t left_ns = time_ns - used_ns;

	if (left_ns > 0) {
		allowance_begin(&r->time, left_ns);
		r->hurry_ns = hurry_ns;
		evaluator_hurry(r->evaluator, hurry_ns);
	} else if (left_ns + hurry_ns > 0) {
		allowance_begin(&r->time, left_ns + hurry_ns);
		evaluator_hurry(r->evaluator, hurry_ns / HURRY_MESSAGES);
	} else {
		r->time = (struct allowance){.ns = 1, .until_ns = 1}; /* it is over */
	}
}

bool stage_is_spent(const struct stage *s, struct runner *r)
{
	if (r->spent || !allowance_is_spent(&r->time))
		return r->spent;
	if (r->hurry_ns == 0) {
		stage_spend(s, r, "processors took longer for a batch than five times kspool.process_time");
		return true;
	}
	allowance_begin(&r->time, r->hurry_ns);
	evaluator_hurry(r->evaluator, r->hurry_ns / HURRY_MESSAGES);
	r->hurry_ns = 0;
	return false;
}

/* One batch through one stage. What a stage with children made is counted once, by what it put out itself. */
static void run_one(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	int64_t live_bytes = r->live_bytes - stage_batch_cost(batch);
	const struct stage *outer = r->running;
	size_t first = out->count;

	must(batch->count > 0);
	r->running = s;
	s->row->run(s, r, batch, out);
	r->running = outer;
	free(batch->items);
	for (size_t i = first; i < out->count; i++)
		live_bytes += stage_batch_cost(&out->items[i]);
	r->live_bytes = live_bytes;
	if (!charge(s, r))
		stage_spend(s, r, stage_too_much);
}

void stages_run(const struct stages *s, struct runner *r, struct batches *batches)
{
	for (size_t i = 0; i < s->count && batches->count > 0; i++) {
		struct batches out = {0};

		metric_add(M_PROCESSOR_RECEIVED, count_messages(batches));
		for (size_t k = 0; k < batches->count; k++) {
			struct pipeline_batch batch = batches->items[k];

			if (stage_is_spent(&s->items[i], r))
				batches_add(&out, &batch);
			else
				run_one(&s->items[i], r, &batch, &out);
		}
		free(batches->items);
		*batches = out;
		metric_add(M_PROCESSOR_SENT, count_messages(batches));
	}
}

/* As run_one, of a stage that takes a message by itself. */
static void run_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	int64_t live_bytes = r->live_bytes - (int64_t)stage_cost(m);
	const struct stage *outer = r->running;
	const size_t first = to->count;

	r->received++;
	r->running = s;
	s->row->each(s, r, m, to);
	r->running = outer;
	r->sent += to->count - first;
	for (size_t i = first; i < to->count; i++)
		live_bytes += (int64_t)stage_cost(to->items[i]);
	r->live_bytes = live_bytes;
	if (!charge(s, r))
		stage_spend(s, r, stage_too_much);
}

static void run_lists(const struct stages *s, struct runner *r, struct pipeline_batch *batch, struct pipeline_batch *to)
{
	struct batches batches = {0};

	batches_add(&batches, batch);
	stages_run(s, r, &batches);
	batches_append(&batches, to);
}

void stages_run_one(const struct stages *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	const size_t first = to->count;
	size_t i = 0;

	pipeline_batch_add(to, m);
	for (; i < s->count && s->items[i].row->each && to->count == first + 1 && !r->spent; i++)
		run_each(&s->items[i], r, to->items[--to->count], to);
	if (i < s->count && to->count > first && !r->spent) {
		const struct stages rest = {.items = s->items + i, .count = s->count - i};
		struct pipeline_batch batch = {0};

		for (size_t k = first; k < to->count; k++)
			pipeline_batch_add(&batch, to->items[k]);
		to->count = first;
		run_lists(&rest, r, &batch, to);
	}
}

void stages_run_batch(const struct stages *s, struct runner *r, struct pipeline_batch *batch, struct pipeline_batch *to)
{
	if (batch->count != 1) {
		run_lists(s, r, batch, to);
		return;
	}
	stages_run_one(s, r, batch->items[0], to);
	free(batch->items);
	memset(batch, 0, sizeof *batch);
}

static const struct stage_row *find_row(const struct compiler *c, const char *name)
{
	for (size_t i = 0; i < c->row_count; i++)
		if (strcmp(c->rows[i]->name, name) == 0)
			return c->rows[i];
	return NULL;
}

/* The one key of a processor that names it; only label may stand beside it. */
static const struct config_node *find_type(struct compiler *c, const struct config_node *node, const char **ret_label)
{
	const struct config_node *type = NULL;

	*ret_label = "";
	if (node->kind != NODE_MAP) {
		stage_compile_fault(c, node, "expected a processor, such as `- mapping: root = this`");
		return NULL;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct config_node *child = &node->children[i];
		const struct config_node at = stage_key_place(child);

		if (strcmp(child->key, "label") == 0)
			*ret_label = child->scalar ? child->scalar : "";
		else if (type && !child->repeated)
			stage_compile_fault(c, &at, "a processor has one type: both %s and %s are given", type->key,
			                    child->key);
		else if (!type)
			type = child;
	}
	if (!type)
		stage_compile_fault(c, node, "a processor without a type, such as `- mapping: root = this`");
	return type;
}

static bool compile_one(struct compiler *c, const struct config_node *node, const char *step, struct stage *ret)
{
	size_t path_length = strlen(c->path);
	const char *label;
	const struct config_node *type;

	memset(ret, 0, sizeof *ret);
	(void)snprintf(c->path + path_length, sizeof c->path - path_length, ".%s", step);
	type = find_type(c, node, &label);
	if (type) {
		ret->row = find_row(c, type->key);
		if (!ret->row)
			stage_unknown_component(c, type, "processor");
	}
	if (type && ret->row) {
		size_t length = strlen(c->path);

		ret->where = (struct message_source){
		    .name = ret->row->name, .label = mem_string(label), .path = mem_string(c->path)};
		(void)snprintf(c->path + length, sizeof c->path - length, ".%s", type->key);
		ret->row->compile(c, type, &ret->state);
		if (c->filters_late && ret->row->weighs_batch)
			config_faults_add(c->faults, type->key_line, type->key_column, true,
			                  "%s: still sees the duplicates of a dedupe before it, which leave when "
			                  "the others are stored; put dedupe behind it",
			                  c->path);
		c->filters_late |= ret->row->filters_late;
		c->needs_batch |= ret->row->needs_batch;
	}
	c->path[path_length] = '\0';
	return ret->row;
}

void stages_compile_items(struct compiler *c, const struct config_node *items, size_t count, const char *step,
                          struct stages *ret)
{
	memset(ret, 0, sizeof *ret);
	if (c->depth == DEPTH_MAX) {
		stage_compile_fault(c, items, "processors are nested more than %d deep", DEPTH_MAX);
		return;
	}
	if (count > STAGES_MAX - c->stages) {
		stage_compile_fault(c, items, "more than %d processors, those of a resource counted at each use",
		                    STAGES_MAX);
		return;
	}
	c->stages += count;
	c->depth++;
	ret->items = mem_array(count, sizeof *ret->items);
	for (size_t i = 0; i < count; i++) {
		char index[24];

		(void)snprintf(index, sizeof index, "%zu", i);
		ret->count += compile_one(c, &items[i], step ? step : index, &ret->items[ret->count]);
	}
	c->depth--;
}

void stages_compile(struct compiler *c, const struct config_node *node, struct stages *ret)
{
	memset(ret, 0, sizeof *ret);
	if (!node || (node->kind == NODE_SCALAR && !node->scalar))
		return;
	if (node->kind != NODE_LIST)
		stage_compile_fault(c, node, "expected a list of processors");
	else if (node->count > 0)
		stages_compile_items(c, node->children, node->count, NULL, ret);
}

void stages_free(struct stages *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i].state)
			s->items[i].row->free(s->items[i].state);
		free((void *)(uintptr_t)s->items[i].where.label);
		free((void *)(uintptr_t)s->items[i].where.path);
	}
	free(s->items);
	memset(s, 0, sizeof *s);
}

void stage_pass(struct pipeline_batch *batch, struct batches *out)
{
	struct pipeline_batch moved = *batch;

	memset(batch, 0, sizeof *batch);
	batches_add(out, &moved);
}

void stage_fail(const struct stage *s, struct runner *r, struct message *m, const char *reason)
{
	if (stage_make(s, r, sizeof *m->failure + strlen(reason))) {
		metric_add(M_PROCESSOR_ERROR, 1);
		message_fail(m, &s->where, reason);
	} else {
		stage_spend(s, r, stage_too_much);
	}
}

struct message_batch stage_batch(const struct pipeline_batch *batch, size_t i)
{
	return (struct message_batch){.messages = batch->items, .count = batch->count, .index = i};
}
