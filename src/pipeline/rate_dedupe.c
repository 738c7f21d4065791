/*
 * rate_limit and dedupe: processors with a resource behind them.
 *
 * rate_limit never waits: it takes its tokens and tells the caller until when to take no more work, so that the average
 * keeps the limit and no thread sleeps; or it takes none, when the caller would not wait so long (pipeline_passes). A
 * resource's tokens are shared by all processors that name it in one pipeline. dedupe gives its key to the origin; the
 * journal decides (see pipeline.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/stage_internal.h"

enum { KEY_MAX_BYTES = 64 << 10 };

struct rate {
	size_t users; /* processors */
	size_t index; /* in what a list shares */
	int64_t interval_ns;
	int64_t count;
	int64_t next_ns; /* monotonic time at which everything taken so far is paid */
};

/* The tokens of a resource, made when the first processor of a list names it. */
static struct rate *rate_of(struct compiler *c, const struct config_node *entry)
{
	struct options_rate_limit_local limit;
	struct rate *rate;

	for (size_t i = 0; i < c->rates.count; i++)
		if (c->rates.items[i].entry == entry) {
			c->rates.items[i].rate->users++;
			return c->rates.items[i].rate;
		}
	if (!stage_read_rate_limit(c, entry, &limit))
		return NULL;
	rate = mem_zero(sizeof *rate);
	rate->count = limit.count;
	rate->interval_ns = limit.interval_ns;
	rate->users = 1;
	rate->index = c->rates.count;
	c->rates.items = mem_grow(c->rates.items, c->rates.count + 1, sizeof *c->rates.items);
	c->rates.items[c->rates.count++] = (struct rate_use){.entry = entry, .rate = rate};
	return rate;
}

static void process_rate_limit_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct options_processor_rate_limit o;
	const struct config_node *entry;

	fields_read(c, options_processor_rate_limit(), node, &o);
	entry = o.resource ? stage_find_resource(c->config->rate_limit_resources, o.resource) : NULL;
	if (o.resource && !entry)
		stage_compile_fault(c, node, "there is no rate limit resource labelled %s", o.resource);
	if (entry)
		*ret_state = rate_of(c, entry);
	options_free(options_processor_rate_limit(), &o);
}

void rate_give_back(struct rate *rate, int64_t taken_ns) { rate->next_ns -= taken_ns; }

static void rate_free(void *state)
{
	struct rate *rate = state;

	if (--rate->users == 0)
		free(rate);
}

static void process_rate_limit_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                   struct batches *out)
{
	struct rate *rate = s->state;
	const struct passing *may = r->passing;
	const int64_t now_ns = clock_mono_ns(), cost_ns = (int64_t)batch->count * (rate->interval_ns / rate->count);
	int64_t next_ns;

	/* One interval's worth may be used at once; what is beyond is paid by waiting. */
	if (rate->next_ns < now_ns - rate->interval_ns)
		rate->next_ns = now_ns - rate->interval_ns;
	next_ns = rate->next_ns + cost_ns;
	if (may->taken_ns && next_ns - now_ns > may->most_wait_ns) {
		const bool never = may->taken_ns[rate->index] + cost_ns > rate->interval_ns + may->most_wait_ns;

		r->limited_ns = never ? INT64_MAX : next_ns - now_ns - may->most_wait_ns;
	} else {
		rate->next_ns = next_ns;
		if (may->taken_ns)
			may->taken_ns[rate->index] += cost_ns;
		if (next_ns > now_ns && next_ns > r->not_before_ns)
			r->not_before_ns = next_ns;
	}
	stage_pass(batch, out);
}

struct dedupe {
	char *cache;
	int64_t ttl_ms;
	struct bloblang_template *key;
};

static void process_dedupe_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct dedupe *d = mem_zero(sizeof *d);
	struct options_processor_dedupe o;
	const struct config_node *entry;
	const char *text;
	size_t length;

	*ret_state = d;
	fields_read(c, options_processor_dedupe(), node, &o);
	d->key = stage_compile_template(c, &o.key);
	if (o.key.text && d->key && bloblang_template_constant(d->key, &text, &length))
		stage_compile_warning(c, node,
		                      "key is one text for all messages: every message but the first is a duplicate");
	d->cache = take(o.cache);
	options_free(options_processor_dedupe(), &o);
	if (c->at_output)
		stage_compile_fault(
		    c, node,
		    "dedupe works in pipeline.processors, where its key is stored together with the message; at flush "
		    "a message that is sent again would be taken for its own duplicate");
	entry = d->cache ? stage_find_resource(c->config->cache_resources, d->cache) : NULL;
	if (d->cache && !entry)
		stage_compile_fault(c, node, "there is no cache resource labelled %s", d->cache);
	if (entry)
		d->ttl_ms = stage_read_cache_ttl_ns(c, entry) / NS_PER_MS;
}

static void dedupe_free(void *state)
{
	struct dedupe *d = state;

	free(d->cache);
	bloblang_template_free(d->key);
	free(d);
}

static void process_dedupe_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                               struct batches *out)
{
	const struct dedupe *d = s->state;
	struct buf key;

	buf_init(&key, KEY_MAX_BYTES);
	for (size_t i = 0; i < batch->count && !stage_is_spent(s, r); i++) {
		struct message_batch context = stage_batch(batch, i);
		struct error e = {.code = ERR_OK};

		buf_clear(&key);
		if (bloblang_template_render(d->key, r->evaluator, &context, &key, &e) != ERR_OK)
			stage_fail(s, r, batch->items[i], e.text);
		else if (stage_keep(s, r, STAGE_ORIGIN_BYTES + strlen(d->cache) + key.len))
			message_set_origin(batch->items[i],
			                   origin_with_key(batch->items[i]->origin, d->cache, d->ttl_ms,
			                                   key.data ? key.data : "", key.len));
	}
	buf_fini(&key);
	stage_pass(batch, out);
}

const struct stage_row process_dedupe = {.name = "dedupe",
                                         .compile = process_dedupe_compile,
                                         .run = process_dedupe_run,
                                         .free = dedupe_free,
                                         .filters_late = true};

const struct stage_row process_rate_limit = {
    .name = "rate_limit", .compile = process_rate_limit_compile, .run = process_rate_limit_run, .free = rate_free};
