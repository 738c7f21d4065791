#include "pipeline/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "config/faults.h"
#include "pipeline/stage_internal.h"

/* What a batch may take, in what one message may; once more as much, in a hurry, when that is over. */
enum { RUN_TIMES = 4 };
/* What a part of one may still make when all is made, as one of so many: no more than what is innocent needs. */
enum { RUN_PARTS = 500 };

struct pipeline {
	struct stages stages;
	int64_t most_bytes; /* what processors may make of one batch */
	int64_t time_ns;    /* what they may take for it */
	bool was_starved;   /* the last run */
	bool needs_batch;
	int64_t used_ns, made_bytes; /* pipeline_goes_on */
};

static const struct stage_row *const stage_rows[] = {
#define PROCESSOR(row) &row,
#include "pipeline/stages.def"
#undef PROCESSOR
};

void compiler_init(struct compiler *c, const struct config *config, const char *path, struct config_faults *faults)
{
	*c = (struct compiler){.config = config,
	                       .faults = faults,
	                       .rows = stage_rows,
	                       .row_count = sizeof stage_rows / sizeof *stage_rows};
	compiler_move(c, path);
}

void compiler_move(struct compiler *c, const char *path)
{
	(void)snprintf(c->path, sizeof c->path, "%s", path);
	c->at_output = strncmp(path, "output", 6) == 0;
	c->stages = 0;
}

void compiler_fini(struct compiler *c)
{
	for (size_t i = 0; i < c->metrics.count; i++) {
		free(c->metrics.items[i].name);
		free(c->metrics.items[i].labels);
	}
	free(c->metrics.items);
	free(c->rates.items);
}

enum err pipeline_compile(const struct config_node *nodes, const struct config *config, const char *path,
                          struct pipeline **ret, struct config_faults *faults)
{
	size_t before = faults_count_errors(faults);
	struct pipeline *p = mem_zero(sizeof *p);
	struct compiler c;

	/* With what its evaluator may have no more than intake can be given: it must not wait for what never comes. */
	p->most_bytes = (int64_t)(config->kspool.memory_bytes / 2);
	p->time_ns = RUN_TIMES * config->kspool.process_time_ns;
	compiler_init(&c, config, path, faults);
	stages_compile(&c, nodes, &p->stages);
	p->needs_batch = c.needs_batch;
	compiler_fini(&c);
	if (faults_count_errors(faults) > before) {
		pipeline_free(p);
		return ERR_CONFIG;
	}
	*ret = p;
	return ERR_OK;
}

struct evaluator *pipeline_evaluator_new(const struct config *config, bool leaves_room)
{
	struct evaluator *ev = evaluator_new();

	evaluator_limit(ev, config->kspool.memory_bytes, config->kspool.process_time_ns, leaves_room);
	return ev;
}

bool pipeline_was_starved(const struct pipeline *p) { return p->was_starved; }

bool pipeline_needs_batch(const struct pipeline *p) { return p && p->needs_batch; }

void pipeline_goes_on(struct pipeline *p, int64_t used_ns, int64_t made_bytes)
{
	p->used_ns = used_ns;
	p->made_bytes = made_bytes;
}

int64_t pipeline_used_ns(const struct pipeline *p, int64_t used_ns, int64_t more_ns)
{
	return used_ns < p->time_ns && more_ns > p->time_ns - used_ns ? p->time_ns : used_ns + more_ns;
}

bool pipeline_is_empty(const struct pipeline *p) { return !p || p->stages.count == 0; }

/* Nothing of a spent run is what its processors were to make of it. */
static void flag_spent(const struct runner *r, struct pipeline_batch *batch)
{
	LOG_LIMITED(LOG_ERROR, "processors given up", LOG_S("path", r->spent_at->where.path), LOG_S("reason", r->spent),
	            LOG_U("messages", batch->count));
	metric_add(M_PROCESSOR_ERROR, batch->count);
	for (size_t i = 0; i < batch->count; i++)
		if (i == 0)
			message_fail(batch->items[i], &r->spent_at->where, r->spent);
		else
			message_fail_like(batch->items[i], batch->items[0]);
}

int64_t pipeline_run(struct pipeline *p, struct evaluator *ev, struct pipeline_batch *batch)
{
	struct runner r = {.evaluator = ev, .leaves_room = evaluator_leaves_room(ev)};
	struct batches batches = {0};
	int64_t left_bytes;

	for (size_t i = 0; i < batch->count; i++)
		if (!batch->items[i]->origin)
			message_set_origin(batch->items[i], origin_new(batch->items[i]->id));
	r.live_bytes = stage_batch_cost(batch);
	/* What came in was charged already, and is never too much by itself. */
	r.first_bytes = r.live_bytes;
	left_bytes = p->most_bytes - p->made_bytes;
	r.most_bytes = r.live_bytes + (left_bytes > p->most_bytes / RUN_PARTS ? left_bytes : p->most_bytes / RUN_PARTS);
	runner_begin(&r, p->time_ns, p->time_ns / RUN_TIMES, p->used_ns);
	evaluator_ask(ev, runner_make, &r);
	batches_add(&batches, batch);
	stages_run(&p->stages, &r, &batches);
	batches_join(&batches, batch);
	if (r.spent)
		flag_spent(&r, batch);
	for (size_t i = 0; i < batch->count; i++)
		origin_seal(batch->items[i]->origin);
	evaluator_ask(ev, NULL, NULL);
	(void)evaluator_arena(ev); /* what the last message needed is not kept */
	budget_give((uint64_t)r.charged_bytes);
	p->was_starved = r.starved;
	return r.not_before_ns;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	stages_free(&p->stages);
	free(p);
}
