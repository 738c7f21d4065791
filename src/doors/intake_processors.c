/*
 * Redpanda Connect's processors on the way in.
 *
 * Every message of a run has its place as the id of its origin, so that afterwards it is known which of them something
 * still stands for: the others were filtered, and are counted so in the same commit (promise 9).
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

/* Runs one pipeline; what it asks for goes to the group. */
static void run_pipeline(struct group *g, struct pipeline *p, struct evaluator *ev, struct pipeline_batch *batch)
{
	int64_t until_ns;

	if (!p || batch->count == 0)
		return;
	until_ns = pipeline_run(p, ev, batch);
	if (until_ns > g->hold_until_ns)
		g->hold_until_ns = until_ns;
	g->was_starved |= pipeline_was_starved(p) && !must_go_on(g);
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
	run_pipeline(g, g->intake->common, ev, batch);
	vanished = pipeline_vanished(batch, before, count, before + count);
	if (copies.items) {
		set_aside_copies(g, &copies, count, before + count, vanished);
		vanished = 0;
	}
	free(before);
	return (uint32_t)vanished;
}

/* Back into the group. An origin without keys has told all it knows. */
static void take_back(struct group *g, struct message *m)
{
	struct intake *i = g->intake;

	must(m->id == 0 && (m->origin || g->was_starved));
	if (m->origin && !m->origin->keyed)
		message_set_origin(m, NULL);
	if (m->body_bytes > i->max_message_bytes) {
		AUTOFREE char *reason = mem_format("a processor made a message of %u bytes; the limit is %llu",
		                                   m->body_bytes, (unsigned long long)i->max_message_bytes);

		group_set_aside(g, m, reason);
		return;
	}
	if (m->failure && i->config->kspool.processor_error == FAILED_SET_ASIDE) {
		group_set_aside(g, m, m->failure->reason);
		return;
	}
	message_fail(m, NULL, NULL);
	STAILQ_INSERT_TAIL(&g->offer.messages, m, link);
	g->offer.count++;
	g->offer.bytes += message_cost(m);
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
			take_back(g, batch->items[n]);
	}
	batch->count = 0;
}

/* Message by message, each in a batch of its own; marked together unless the last run died here. */
static void work_singly(struct group *g, struct evaluator *ev)
{
	const int64_t since_ns = clock_mono_ns();
	bool is_careful = poison_is_careful(POISON_INTAKE);
	struct pipeline_batch one = {0};
	struct message *m;

	if (!is_careful)
		poison_begin(POISON_INTAKE, 0, UINT64_MAX);
	while (!g->was_starved && (m = STAILQ_FIRST(&g->todo)) && clock_mono_ns() - since_ns < SLICE_MS * NS_PER_MS) {
		STAILQ_REMOVE_HEAD(&g->todo, link);
		pipeline_batch_add(&one, m);
		work_on(g, ev, &one, is_careful ? number_of(&one) : 0);
	}
	if (!is_careful)
		poison_end(POISON_INTAKE);
	pipeline_batch_fini(&one);
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

bool processors_run(struct group *g, struct evaluator *ev)
{
	if (!g->is_begun) {
		STAILQ_CONCAT(&g->todo, &g->offer.messages);
		g->offer.count = 0;
		g->offer.bytes = 0;
		g->is_begun = true;
	}
	if (g->one_batch)
		work_at_once(g, ev);
	else
		work_singly(g, ev);
	return STAILQ_EMPTY(&g->todo) || g->was_starved;
}
