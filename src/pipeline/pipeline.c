/*
 * Invariants:
 * 1. What a run leaves has an origin each, which is sealed.
 * 2. What a run charged to the budget it gives back, or says: then it is its caller's.
 * 3. time and hurry_ns are where the last part ended; only the rest of the same batch begins there.
 */
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
	struct allowance time;       /* where the last part ended */
	int64_t hurry_ns;
	struct rate_uses rates;
	struct passing passing;
	int64_t limited_ns; /* the last run */
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

static void append(struct stages *to, struct stages *more)
{
	if (more->count > 0) {
		to->items = mem_grow(to->items, to->count + more->count, sizeof *to->items);
		memcpy(to->items + to->count, more->items, more->count * sizeof *to->items);
		to->count += more->count;
	}
	free(more->items);
}

enum err pipeline_compile_lists(const struct pipeline_list *lists, size_t count, const struct config *config,
                                struct pipeline **ret, struct config_faults *faults)
{
	size_t before = faults_count_errors(faults);
	struct pipeline *p = mem_zero(sizeof *p);
	struct compiler c;

	/* With what its evaluator may have no more than intake can be given: it must not wait for what never comes. */
	p->most_bytes = (int64_t)(config->kspool.memory_bytes / 2);
	p->time_ns = RUN_TIMES * config->kspool.process_time_ns;
	compiler_init(&c, config, lists[0].path, faults);
	for (size_t i = 0; i < count; i++) {
		struct stages more;

		compiler_move(&c, lists[i].path);
		stages_compile(&c, lists[i].nodes, &more);
		append(&p->stages, &more);
	}
	p->needs_batch = c.needs_batch;
	p->rates = c.rates;
	c.rates = (struct rate_uses){0};
	compiler_fini(&c);
	if (faults_count_errors(faults) > before) {
		pipeline_free(p);
		return ERR_CONFIG;
	}
	*ret = p;
	return ERR_OK;
}

enum err pipeline_compile(const struct config_node *nodes, const struct config *config, const char *path,
                          struct pipeline **ret, struct config_faults *faults)
{
	const struct pipeline_list list = {.nodes = nodes, .path = path};

	return pipeline_compile_lists(&list, 1, config, ret, faults);
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

size_t pipeline_limits(const struct pipeline *p) { return p ? p->rates.count : 0; }

void pipeline_passes(struct pipeline *p, int64_t most_wait_ns, int64_t *taken_ns)
{
	p->passing = (struct passing){.most_wait_ns = most_wait_ns, .taken_ns = taken_ns};
}

int64_t pipeline_limited_ns(const struct pipeline *p) { return p->limited_ns; }

void pipeline_give_back(struct pipeline *p, const int64_t *taken_ns)
{
	for (size_t i = 0; i < pipeline_limits(p); i++)
		rate_give_back(p->rates.items[i].rate, taken_ns[i]);
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

static void set_origin(struct message *m)
{
	if (!m->origin)
		message_set_origin(m, origin_new(m->id));
}

/* All that r may make, by now. */
static void begin_run(struct pipeline *p, struct evaluator *ev, struct runner *r, int64_t left_bytes)
{
	r->most_bytes =
	    r->live_bytes + (left_bytes > p->most_bytes / RUN_PARTS ? left_bytes : p->most_bytes / RUN_PARTS);
	evaluator_ask(ev, runner_make, r);
}

static void end_run(struct pipeline *p, struct evaluator *ev, const struct runner *r, struct pipeline_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		origin_seal(batch->items[i]->origin);
	evaluator_ask(ev, NULL, NULL);
	(void)evaluator_arena(ev); /* what the last message needed is not kept */
	metric_add(M_PROCESSOR_RECEIVED, r->received);
	metric_add(M_PROCESSOR_SENT, r->sent);
	p->was_starved = r->starved;
	p->limited_ns = r->limited_ns;
}

static void run_batch(struct pipeline *p, struct evaluator *ev, struct runner *r, struct pipeline_batch *batch)
{
	struct batches batches = {0};

	for (size_t i = 0; i < batch->count; i++)
		set_origin(batch->items[i]);
	r->live_bytes = stage_batch_cost(batch);
	/* What came in was charged already, and is never too much by itself. */
	r->first_bytes = r->live_bytes;
	begin_run(p, ev, r, p->most_bytes - p->made_bytes);
	batches_add(&batches, batch);
	stages_run(&p->stages, r, &batches);
	batches_append(&batches, batch);
	if (r->spent)
		flag_spent(r, batch);
	end_run(p, ev, r, batch);
}

int64_t pipeline_run(struct pipeline *p, struct evaluator *ev, struct pipeline_batch *batch)
{
	struct runner r = {.evaluator = ev, .passing = &p->passing, .leaves_room = evaluator_leaves_room(ev)};

	runner_begin(&r, p->time_ns, p->time_ns / RUN_TIMES, p->used_ns);
	run_batch(p, ev, &r, batch);
	budget_give((uint64_t)r.charged_bytes);
	return r.not_before_ns;
}

/* Its limits are its own, but for the time. */
static void run_alone(struct pipeline *p, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	const int64_t cost_bytes = (int64_t)stage_cost(m) + STAGE_BATCH_BYTES;
	struct pipeline_batch made;

	set_origin(m);
	r->live_bytes += cost_bytes;
	r->first_bytes += cost_bytes;
	r->most_bytes = r->live_bytes + r->kept_bytes + p->most_bytes;
	r->spent = NULL;
	made.count = to->count;
	stages_run_one(&p->stages, r, m, to);
	if (r->spent) {
		made = (struct pipeline_batch){.items = to->items + made.count, .count = to->count - made.count};
		flag_spent(r, &made);
	}
}

/* The next message may be made too. */
static bool goes_on(const struct runner *r, int64_t enough_bytes)
{
	return enough_bytes == INT64_MAX ||
	       (r->live_bytes - r->first_bytes < enough_bytes && (r->charged_bytes == 0 || budget_take(0, true)));
}

size_t pipeline_run_part(struct pipeline *p, struct evaluator *ev, const struct pipeline_batch *from,
                         struct pipeline_part *part, struct pipeline_batch *ret)
{
	struct runner r = {.evaluator = ev, .passing = &p->passing, .leaves_room = evaluator_leaves_room(ev)};
	size_t taken = 0;

	if (part->is_rest) {
		r.time = p->time;
		r.hurry_ns = p->hurry_ns;
	} else {
		runner_begin(&r, p->time_ns, p->time_ns / RUN_TIMES, 0);
	}
	if (p->needs_batch) {
		for (; taken < from->count; taken++)
			pipeline_batch_add(ret, from->items[taken]);
		run_batch(p, ev, &r, ret);
	} else {
		begin_run(p, ev, &r, 0);
		do
			run_alone(p, &r, from->items[taken++], ret);
		while (taken < from->count && goes_on(&r, part->enough_bytes));
		end_run(p, ev, &r, ret);
	}
	p->time = r.time;
	p->hurry_ns = r.hurry_ns;
	part->charged_bytes = (uint64_t)r.charged_bytes;
	part->not_before_ns = r.not_before_ns;
	return taken;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	stages_free(&p->stages);
	free(p->rates.items);
	free(p);
}
