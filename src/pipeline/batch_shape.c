/*
 * Processors on the shape of a batch: bounds_check, split, select_parts, insert_part, group_by_value.
 *
 * Invariants:
 * 1. Every message of a batch goes on, is freed as filtered, or is copied and freed: none is held over to the next.
 * 2. What is added to a batch, or taken out of it twice, shares the origin of what it was made of.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "pipeline/stage_internal.h"

enum { BODY_MAX_BYTES = 64 << 20 };

/* Acknowledges the whole batch away: its rows vanish and are counted filtered. */
static void drop(struct pipeline_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		message_free(batch->items[i]);
	batch->count = 0;
}

static void process_bounds_check_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_bounds_check *b = mem_zero(sizeof *b);

	fields_read(c, options_processor_bounds_check(), node, b);
	stage_warn_negative(c, node, "min_parts", b->min_parts);
	stage_warn_negative(c, node, "min_part_size", b->min_part_size);
	if (b->max_parts < b->min_parts || b->max_parts < 1)
		stage_compile_warning(c, node, "max_parts lets no batch through: every message is dropped");
	if (b->max_part_size < b->min_part_size || b->max_part_size < 0)
		stage_compile_warning(c, node, "max_part_size lets no message through: every batch is dropped");
	*ret_state = b;
}

static void process_bounds_check_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                     struct batches *out)
{
	const struct options_processor_bounds_check *b = s->state;
	bool within = (int64_t)batch->count <= b->max_parts && (int64_t)batch->count >= b->min_parts;

	(void)r;
	for (size_t i = 0; within && i < batch->count; i++)
		within = (int64_t)batch->items[i]->body_bytes <= b->max_part_size &&
		         (int64_t)batch->items[i]->body_bytes >= b->min_part_size;
	if (within) {
		stage_pass(batch, out);
		return;
	}
	LOG_LIMITED(LOG_WARN, "bounds_check dropped a batch", LOG_U("messages", batch->count),
	            LOG_S("path", s->where.path), LOG_S("outcome", "counted filtered"));
	drop(batch);
}

static void process_split_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_split *split = mem_zero(sizeof *split);

	fields_read(c, options_processor_split(), node, split);
	stage_warn_negative(c, node, "size", split->size);
	stage_warn_negative(c, node, "byte_size", split->byte_size);
	*ret_state = split;
}

static void process_split_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                              struct batches *out)
{
	const struct options_processor_split *split = s->state;
	struct pipeline_batch next = {0};
	int64_t bytes = 0;

	for (size_t i = 0; i < batch->count; i++) {
		int64_t more = batch->items[i]->body_bytes;
		bool is_full = (split->size > 0 && (int64_t)next.count >= split->size) ||
		               (split->byte_size > 0 && bytes + more > split->byte_size);

		if (is_full && !stage_make(s, r, STAGE_BATCH_BYTES))
			stage_spend(s, r, stage_too_much); /* what is left stays in one batch */
		else if (is_full) {
			batches_add(out, &next);
			bytes = 0;
		}
		pipeline_batch_add(&next, batch->items[i]);
		bytes += more;
	}
	batches_add(out, &next);
}

struct parts {
	size_t count;
	int64_t index[];
};

static void process_select_parts_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_select_parts o;
	struct parts *parts;

	fields_read(c, options_processor_select_parts(), node, &o);
	parts = mem_zero(sizeof *parts + o.parts.count * sizeof *parts->index);
	for (size_t i = 0; i < o.parts.count; i++)
		if (!num_parse_i64(o.parts.items[i], &parts->index[parts->count++]))
			stage_compile_fault(c, node, "parts: expected a list of whole numbers, not \"%.60s\"",
			                    o.parts.items[i]);
	options_free(options_processor_select_parts(), &o);
	*ret_state = parts;
}

/* Null where there is none; an index below 0 counts from the end. */
static const struct message *part_at(const struct pipeline_batch *batch, int64_t index)
{
	if (index < 0)
		index += (int64_t)batch->count;
	return index >= 0 && index < (int64_t)batch->count ? batch->items[index] : NULL;
}

static void process_select_parts_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                     struct batches *out)
{
	const struct parts *parts = s->state;
	struct pipeline_batch chosen = {0};
	size_t bytes = 0;

	for (size_t i = 0; i < parts->count; i++) {
		const struct message *part = part_at(batch, parts->index[i]);

		bytes += part ? stage_cost(part) : 0;
	}
	if (!stage_make(s, r, bytes)) {
		stage_spend(s, r, stage_too_much);
		stage_pass(batch, out);
		return;
	}
	for (size_t i = 0; i < parts->count; i++) {
		const struct message *part = part_at(batch, parts->index[i]);

		if (part)
			pipeline_batch_add(&chosen, message_copy(part));
	}
	drop(batch);
	batches_add(out, &chosen);
}

struct insert {
	int64_t index;
	struct bloblang_template *content;
};

static void process_insert_part_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct insert *insert = mem_zero(sizeof *insert);
	struct options_processor_insert_part o;

	fields_read(c, options_processor_insert_part(), node, &o);
	insert->index = o.index;
	insert->content = stage_compile_template(c, &o.content);
	options_free(options_processor_insert_part(), &o);
	*ret_state = insert;
}

static void insert_part_free(void *state)
{
	struct insert *insert = state;

	bloblang_template_free(insert->content);
	free(insert);
}

static void process_insert_part_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                    struct batches *out)
{
	const struct insert *insert = s->state;
	struct message_batch context = stage_batch(batch, 0);
	int64_t count = (int64_t)batch->count, index = insert->index;
	struct error e = {.code = ERR_OK};
	struct pipeline_batch grown = {0};
	struct message *new;
	struct buf text;

	buf_init(&text, stage_room(r, BODY_MAX_BYTES));
	if (bloblang_template_render(insert->content, r->evaluator, &context, &text, &e) != ERR_OK ||
	    !stage_make(s, r, STAGE_MESSAGE_BYTES + sizeof *new + batch->items[0]->meta_bytes + 2 * text.len)) {
		if (e.code == ERR_OK)
			stage_spend(s, r, stage_too_much);
		else
			LOG_LIMITED(LOG_ERROR, "insert_part: content failed", LOG_S("error", e.text));
		buf_fini(&text);
		stage_pass(batch, out);
		return;
	}
	new = message_derive(batch->items[0], message_meta(batch->items[0]), batch->items[0]->meta_bytes,
	                     text.data ? text.data : "", text.len);
	stage_add_origin(new, batch);
	buf_fini(&text);
	index = index < 0 ? count + index + 1 : index;
	index = index < 0 ? 0 : index > count ? count : index;
	for (int64_t i = 0; i <= count; i++) {
		if (i == index)
			pipeline_batch_add(&grown, new);
		if (i < count)
			pipeline_batch_add(&grown, batch->items[i]);
	}
	batches_add(out, &grown);
}

static void template_free(void *state) { bloblang_template_free(state); }

static void process_group_by_value_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_group_by_value o;

	fields_read(c, options_processor_group_by_value(), node, &o);
	*ret_state = stage_compile_template(c, &o.value);
	options_free(options_processor_group_by_value(), &o);
}

struct value_group {
	char *value;
	size_t length;
	struct pipeline_batch batch;
};

static struct value_group *group_for(struct value_group *groups, size_t *count, const char *value, size_t length)
{
	for (size_t i = 0; i < *count; i++)
		if (groups[i].length == length && memcmp(groups[i].value, value, length) == 0)
			return &groups[i];
	groups[*count] = (struct value_group){.value = mem_string_n(value, length), .length = length};
	return &groups[(*count)++];
}

static void process_group_by_value_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                       struct batches *out)
{
	struct value_group *groups = mem_array(batch->count, sizeof *groups);
	size_t count = 0;

	for (size_t i = 0; i < batch->count; i++) {
		struct message_batch context = stage_batch(batch, i);
		struct error e = {.code = ERR_OK};
		struct buf text;

		buf_init(&text, stage_room(r, BODY_MAX_BYTES));
		if (!stage_is_spent(s, r) &&
		    bloblang_template_render(s->state, r->evaluator, &context, &text, &e) != ERR_OK) {
			stage_fail(s, r, batch->items[i], e.text);
			buf_clear(&text);
		} else if (!stage_make(s, r, STAGE_BATCH_BYTES + text.len + sizeof *groups)) {
			stage_spend(s, r, stage_too_much);
			buf_clear(&text);
		}
		pipeline_batch_add(&group_for(groups, &count, text.data ? text.data : "", text.len)->batch,
		                   batch->items[i]);
		buf_fini(&text);
	}
	for (size_t i = 0; i < count; i++) {
		free(groups[i].value);
		batches_add(out, &groups[i].batch);
	}
	free(groups);
}

const struct stage_row process_bounds_check = {.name = "bounds_check",
                                               .needs_batch = true,
                                               .compile = process_bounds_check_compile,
                                               .run = process_bounds_check_run,
                                               .free = free,
                                               .weighs_batch = true};

const struct stage_row process_group_by_value = {.name = "group_by_value",
                                                 .needs_batch = true,
                                                 .compile = process_group_by_value_compile,
                                                 .run = process_group_by_value_run,
                                                 .free = template_free};

const struct stage_row process_insert_part = {.name = "insert_part",
                                              .needs_batch = true,
                                              .compile = process_insert_part_compile,
                                              .run = process_insert_part_run,
                                              .free = insert_part_free};

const struct stage_row process_select_parts = {.name = "select_parts",
                                               .needs_batch = true,
                                               .compile = process_select_parts_compile,
                                               .run = process_select_parts_run,
                                               .free = free,
                                               .weighs_batch = true};

const struct stage_row process_split = {
    .name = "split", .needs_batch = true, .compile = process_split_compile, .run = process_split_run, .free = free};
