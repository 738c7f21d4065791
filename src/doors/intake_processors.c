/*
 * Redpanda Connect's processors on the way in.
 *
 * Invariants:
 * 1. Every message of a run has its place as the id of its origin, so that afterwards it is known which of them
 *    something still stands for: the others were filtered, and are counted so in the same commit (promise 9).
 * 2. What is finished of a group counts (`made_bytes`) until it is stored, whatever of it was made in which slice (6).
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "doors/intake.h"
#include "doors/until.h"
#include "pipeline/poison.h"

enum { SLICE_MS = 50 };

enum err processors_compile(const struct config_node *nodes, const struct config *config, const char *path,
                            struct pipeline **ret, struct error *e)
{
	struct config_faults faults = {0};
	enum err err;

	*ret = NULL;
	if (!nodes || nodes->count == 0)
		return ERR_OK;
	err = pipeline_compile(nodes, config, path, ret, &faults);
	if (err != ERR_OK && faults.count > 0)
		err = error_set(e, err, "%s(%d,%d) %s", config->file, faults.items[0].line, faults.items[0].column,
		                faults.items[0].text);
	else if (err != ERR_OK)
		err = error_set(e, err, "%s: the processors do not compile", config->file);
	config_faults_fini(&faults);
	if (err == ERR_OK && pipeline_is_empty(*ret)) {
		pipeline_free(*ret);
		*ret = NULL;
	}
	return err;
}

/* A source that offers again came down to this one message: it goes on, or nothing behind it gets through. */
static bool must_go_on(const struct group *g) { return g->comes_again && g->received <= 1; }

/* What is kept of what goes in, for the rule that sets aside what processors drop. */
struct copies {
	struct message **items; /* null for the rule that counts it */
	uint64_t charged_bytes; /* to the budget */
};

/* False when the budget has no room for them: the group is starved. */
static bool keep_copies(struct group *g, const struct pipeline_batch *batch, struct copies *ret)
{
	uint64_t bytes = 0;

	*ret = (struct copies){0};
	if (g->intake->config->kspool.processor_filter != FILTER_SET_ASIDE)
		return true;
	for (size_t n = 0; n < batch->count; n++)
		bytes += message_cost(batch->items[n]) + sizeof(struct message *);
	if (budget_take(bytes, true))
		ret->charged_bytes = bytes;
	else if (!must_go_on(g))
		return false;
	ret->items = mem_array(batch->count, sizeof(struct message *));
	for (size_t n = 0; n < batch->count; n++)
		ret->items[n] = message_copy(batch->items[n]);
	return true;
}

static void set_aside_copies(struct group *g, const struct copies *kept, size_t count, const uint64_t *vanished,
                             size_t vanished_count)
{
	struct message **copies = kept->items;

	for (size_t n = 0; n < vanished_count; n++) {
		group_set_aside(g, copies[vanished[n] - 1], "dropped by a processor");
		copies[vanished[n] - 1] = NULL;
	}
	for (size_t n = 0; n < count; n++)
		message_free(copies[n]);
	free(copies);
	budget_give(kept->charged_bytes);
}

/* What the messages hold that is the group's when they are taken back. */
static int64_t bytes_of(const struct message *m)
{
	return (int64_t)(message_cost(m) + origin_cost(m->origin)) +
	       (m->failure ? (int64_t)strlen(m->failure->reason) : 0);
}

static int64_t batch_bytes(const struct pipeline_batch *batch)
{
	int64_t sum = 0;

	for (size_t n = 0; n < batch->count; n++)
		sum += bytes_of(batch->items[n]);
	return sum;
}

/* The group became so much larger. Without memory for it, it is starved. */
static void hold_made(struct group *g, int64_t bytes)
{
	uint64_t beyond;

	g->made_bytes += bytes;
	g->fresh_bytes += bytes;
	beyond = g->fresh_bytes > g->room_bytes ? (uint64_t)(g->fresh_bytes - g->room_bytes) : 0;
	if (beyond > g->taken_bytes && !budget_take(beyond - g->taken_bytes, true)) {
		g->was_starved |= !must_go_on(g);
		return;
	}
	if (beyond < g->taken_bytes)
		budget_give(g->taken_bytes - beyond);
	g->taken_bytes = beyond;
}

/* Of a request nothing is stored then. */
static bool has_failed(const struct group *g) { return g->was_starved || g->limited_ns > 0; }

/* Runs one pipeline; what it asks for goes to the group. A message of a stream is a batch of its own. */
static void run_pipeline(struct group *g, struct pipeline *p, struct evaluator *ev, struct pipeline_batch *batch)
{
	const bool is_own = p == g->own;
	int64_t *hold_ns = is_own ? &g->hold_own_ns : &g->hold_common_ns;
	int64_t until_ns, before_bytes;

	if (!p || batch->count == 0 || has_failed(g))
		return;
	pipeline_passes(p, LIMIT_WAIT_MS * NS_PER_MS,
	                g->taken_ns ? g->taken_ns + (is_own ? 0 : pipeline_limits(g->own)) : NULL);
	before_bytes = batch_bytes(batch);
	pipeline_goes_on(p, g->used_ns, g->one_batch ? g->made_bytes : 0);
	until_ns = pipeline_run(p, ev, batch);
	if (until_ns > *hold_ns)
		*hold_ns = until_ns;
	g->limited_ns = pipeline_limited_ns(p);
	g->was_starved |= pipeline_was_starved(p) && !must_go_on(g);
	hold_made(g, batch_bytes(batch) - before_bytes);
}

/* Returns how many messages vanished and count as filtered. */
static uint32_t run_batch(struct group *g, struct evaluator *ev, struct pipeline_batch *batch)
{
	size_t count = batch->count;
	struct copies copies;
	uint64_t *before;
	size_t vanished;

	if (!keep_copies(g, batch, &copies)) {
		g->was_starved = true;
		return 0;
	}
	before = mem_array(2 * count, sizeof *before);
	for (size_t n = 0; n < count; n++) {
		before[n] = n + 1;
		message_set_origin(batch->items[n], origin_new(n + 1));
	}
	run_pipeline(g, g->own, ev, batch);
	until_look(g, ev, batch);
	run_pipeline(g, g->intake->common, ev, batch);
	vanished = pipeline_vanished(batch, before, count, before + count);
	if (copies.items) {
		set_aside_copies(g, &copies, count, before + count, vanished);
		vanished = 0;
	}
	free(before);
	return (uint32_t)vanished;
}

/* Back into the group, which holds so many bytes of it. An origin without keys has told all it knows. */
static int64_t take_back(struct group *g, struct message *m)
{
	struct intake *i = g->intake;

	must(m->id == 0 && (m->origin || has_failed(g)));
	if (m->origin && !m->origin->keyed)
		message_set_origin(m, NULL);
	if (m->body_bytes > i->max_message_bytes) {
		AUTOFREE char *reason = mem_format("a processor made a message of %u bytes; the limit is %llu",
		                                   m->body_bytes, (unsigned long long)i->max_message_bytes);

		group_set_aside(g, m, reason);
		return bytes_of(m);
	}
	if (m->failure && i->config->kspool.processor_error == FAILED_SET_ASIDE) {
		group_set_aside(g, m, m->failure->reason);
		return bytes_of(m);
	}
	message_fail(m, NULL, NULL);
	STAILQ_INSERT_TAIL(&g->offer.messages, m, link);
	g->offer.count++;
	g->offer.bytes += message_cost(m);
	return bytes_of(m);
}

/* Stands for what the messages hold: they have no id yet, and come again after a death. */
static uint64_t number_of(const struct pipeline_batch *batch)
{
	uint64_t bytes = 0;
	uint32_t sum = 0;

	for (size_t n = 0; n < batch->count; n++) {
		sum = crc32c(sum, message_body(batch->items[n]), batch->items[n]->body_bytes);
		bytes += batch->items[n]->body_bytes;
	}
	return (bytes << 32 | sum) | 1;
}

static void set_aside_unseen(struct group *g, struct pipeline_batch *batch)
{
	static const char reason[] = "processors ended the process on it, more than once";

	LOG(LOG_ERROR, "messages set aside unseen", LOG_U("messages", batch->count), LOG_S("reason", reason),
	    LOG_S("outcome", "they are on the shelf: kspool dead list"));
	for (size_t n = 0; n < batch->count; n++)
		group_set_aside(g, batch->items[n], reason);
}

static void work_on(struct group *g, struct evaluator *ev, struct pipeline_batch *batch, uint64_t number)
{
	const int64_t came_bytes = batch_bytes(batch), made_bytes = g->made_bytes;
	int64_t kept_bytes = 0;

	if (number != 0 && poison_condemns(POISON_INTAKE, number)) {
		set_aside_unseen(g, batch);
	} else {
		if (number != 0)
			poison_begin(POISON_INTAKE, number, number);
		for (size_t n = 0; n < batch->count; n++)
			FAILPOINT_BYTES("intake", message_body(batch->items[n]), batch->items[n]->body_bytes);
		g->offer.filtered += run_batch(g, ev, batch);
		if (number != 0)
			poison_end(POISON_INTAKE);
		for (size_t n = 0; n < batch->count; n++)
			kept_bytes += take_back(g, batch->items[n]);
		hold_made(g, made_bytes + kept_bytes - came_bytes - g->made_bytes);
	}
	batch->count = 0;
}

/* Message by message, each in a batch of its own (of a request too, when its messages do not look at each other);
 * marked together unless the last run died here. */
static void work_singly(struct group *g, struct evaluator *ev)
{
	const int64_t since_ns = clock_mono_ns(), thread_ns = clock_thread_ns();
	const struct pipeline *p = g->own ? g->own : g->intake->common;
	bool is_careful = poison_is_careful(POISON_INTAKE);
	struct pipeline_batch one = {0};
	struct message *m;

	if (!is_careful)
		poison_begin(POISON_INTAKE, 0, UINT64_MAX);
	while (!has_failed(g) && (m = STAILQ_FIRST(&g->todo)) && clock_mono_ns() - since_ns < SLICE_MS * NS_PER_MS) {
		STAILQ_REMOVE_HEAD(&g->todo, link);
		pipeline_batch_add(&one, m);
		work_on(g, ev, &one, is_careful ? number_of(&one) : 0);
	}
	if (!is_careful)
		poison_end(POISON_INTAKE);
	pipeline_batch_fini(&one);
	if (g->one_batch && p) /* a batch that was made, or is looked at, may have no processors */
		g->used_ns = pipeline_used_ns(p, g->used_ns, clock_thread_ns() - thread_ns);
}

static void work_at_once(struct group *g, struct evaluator *ev)
{
	struct pipeline_batch all = {0};
	struct message *m;

	while ((m = STAILQ_FIRST(&g->todo))) {
		STAILQ_REMOVE_HEAD(&g->todo, link);
		pipeline_batch_add(&all, m);
	}
	if (all.count > 0)
		work_on(g, ev, &all, number_of(&all));
	pipeline_batch_fini(&all);
}

static void add_made(struct group *g, struct message *m)
{
	const uint64_t bytes = message_cost(m);
	struct message *copy = message_copy(m);

	STAILQ_INSERT_TAIL(&g->made, copy, link);
	STAILQ_INSERT_TAIL(&g->todo, m, link);
	g->made_count++;
	g->received++;
	g->copied_bytes += bytes;
	hold_made(g, (int64_t)(2 * bytes));
}

/* A batch is made whole or not at all. */
static void drop_made(struct group *g)
{
	message_list_free(&g->made);
	message_list_free(&g->todo);
	hold_made(g, -(int64_t)(2 * g->copied_bytes));
	g->copied_bytes = 0;
	g->made_count = 0;
	g->received = 0;
}

/* Runs the maker, for a slice of time. False: it is to run more. */
static bool make_messages(struct group *g, struct evaluator *ev)
{
	const int64_t since_ns = clock_mono_ns();

	evaluator_hurry(ev, g->intake->config->kspool.process_time_ns);
	while (g->to_make > 0 && !g->was_starved && clock_mono_ns() - since_ns < SLICE_MS * NS_PER_MS) {
		struct message *nothing = message_new(NULL, 0, "", 0, clock_wall_ms()), *made = NULL;
		const struct message_batch context = {.messages = &nothing, .count = 1};
		struct error e = {.code = ERR_OK};

		if (bloblang_mapping_run(g->maker, ev, &context, false, &made, &e) != ERR_OK) {
			g->make_error = mem_string(e.text);
			g->to_make = 0;
			if (g->one_batch)
				drop_made(g);
		} else {
			g->to_make--;
		}
		message_free(nothing);
		if (made)
			add_made(g, made);
		if (g->most_made_bytes > 0 && g->copied_bytes >= g->most_made_bytes)
			g->to_make = 0;
	}
	if (g->was_starved && g->one_batch && g->to_make > 0) {
		g->make_error = mem_string("there is no memory just now for the whole batch");
		drop_made(g);
	}
	(void)evaluator_arena(ev); /* what the last one needed is not kept */
	return g->to_make == 0 || g->was_starved;
}

static void begin(struct group *g)
{
	const size_t limits = pipeline_limits(g->own) + pipeline_limits(g->intake->common);

	STAILQ_CONCAT(&g->todo, &g->offer.messages);
	g->offer.count = 0;
	g->offer.bytes = 0;
	g->is_begun = true;
	if (g->one_batch && !g->comes_again && limits > 0)
		g->taken_ns = mem_zero(limits * sizeof *g->taken_ns);
}

/* Nobody waits for what was not stored. */
static void give_back(struct group *g)
{
	if (!g->taken_ns)
		return;
	pipeline_give_back(g->own, g->taken_ns);
	pipeline_give_back(g->intake->common, g->taken_ns + pipeline_limits(g->own));
	g->hold_own_ns = g->hold_common_ns = 0;
}

bool processors_run(struct group *g, struct evaluator *ev)
{
	if (g->maker && g->to_make > 0 && !make_messages(g, ev))
		return false;
	if (!g->is_begun)
		begin(g);
	if (g->one_batch && (pipeline_needs_batch(g->own) || pipeline_needs_batch(g->intake->common)))
		work_at_once(g, ev);
	else
		work_singly(g, ev);
	if (has_failed(g))
		give_back(g);
	return STAILQ_EMPTY(&g->todo) || has_failed(g);
}
