/*
 * rate_limit and dedupe: processors with a resource behind them.
 *
 * rate_limit never waits: it takes its tokens and tells the caller until when to take no more work, so that the average
 * keeps the limit and no thread sleeps. A resource's tokens are shared by all processors that name it in one pipeline.
 * dedupe gives its key to the origin; the journal decides (see pipeline.h).
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
	int64_t interval_ns;
	int64_t count;
	int64_t next_ns; /* monotonic time at which everything taken so far is paid */
};

static const struct config_node *member_of(const struct config_node *map, const char *key)
{
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->children[i].key, key) == 0)
			return &map->children[i];
	return NULL;
}

static void process_rate_limit_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	const struct config_node *settings, *entry;
	struct options_processor_rate_limit o;
	struct options_rate_limit_local limit;
	AUTOFREE char *label = NULL;
	AUTOFREE char *path = NULL;
	struct rate *rate;

	fields_read(c, options_processor_rate_limit(), node, &o);
	label = take(o.resource);
	entry = label ? stage_find_resource(c->config->rate_limit_resources, label) : NULL;
	settings = entry ? member_of(entry, "local") : NULL;
	if (label && !entry)
		stage_compile_fault(c, node, "there is no rate limit resource labelled %s", label);
	else if (entry && !settings)
		stage_compile_fault(c, entry, "rate limit %s: only `local` is part of kspool", label);
	if (!settings)
		return;
	rate = mem_zero(sizeof *rate);
	path = mem_format("rate_limit_resources.%s.local", label);
	fields_read_resource(c, path, options_rate_limit_local(), settings, &limit);
	rate->count = limit.count;
	rate->interval_ns = limit.interval_ns;
	*ret_state = rate;
}

static void process_rate_limit_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                                   struct batches *out)
{
	struct rate *rate = s->state;
	int64_t now_ns = clock_mono_ns();
	int64_t cost_ns = rate->interval_ns / rate->count;

	/* One interval's worth may be used at once; what is beyond is paid by waiting. */
	if (rate->next_ns < now_ns - rate->interval_ns)
		rate->next_ns = now_ns - rate->interval_ns;
	rate->next_ns += (int64_t)batch->count * cost_ns;
	if (rate->next_ns > now_ns && rate->next_ns > r->not_before_ns)
		r->not_before_ns = rate->next_ns;
	stage_pass(batch, out);
}

struct dedupe {
	char *cache;
	int64_t ttl_ms;
	struct bloblang_template *key;
};

static int64_t memory_ttl_ns(struct compiler *c, const char *path, const struct config_node *node)
{
	struct options_cache_memory o;

	fields_read_resource(c, path, options_cache_memory(), node, &o);
	return o.default_ttl_ns;
}

static int64_t ttlru_ttl_ns(struct compiler *c, const char *path, const struct config_node *node)
{
	struct options_cache_ttlru o;

	fields_read_resource(c, path, options_cache_ttlru(), node, &o);
	return o.default_ttl_ns;
}

static int64_t lru_ttl_ns(struct compiler *c, const char *path, const struct config_node *node)
{
	struct options_cache_lru o;

	fields_read_resource(c, path, options_cache_lru(), node, &o);
	options_free(options_cache_lru(), &o);
	return INT64_MAX;
}

/* How long a cache's entries live; wherever they would live elsewhere, here they live in the spool. */
static int64_t ttl_of(struct compiler *c, const struct config_node *node, const char *label)
{
	static const struct {
		const char *type;
		int64_t (*ttl_ns)(struct compiler *c, const char *path, const struct config_node *node);
	} types[] = {{"memory", memory_ttl_ns}, {"ttlru", ttlru_ttl_ns}, {"lru", lru_ttl_ns}};
	const struct config_node *entry = stage_find_resource(c->config->cache_resources, label);

	if (!entry)
		stage_compile_fault(c, node, "there is no cache resource labelled %s", label);
	for (size_t i = 0; entry && i < sizeof types / sizeof *types; i++) {
		const struct config_node *settings = member_of(entry, types[i].type);
		AUTOFREE char *path = mem_format("cache_resources.%s.%s", label, types[i].type);

		if (settings)
			return types[i].ttl_ns(c, path, settings) / NS_PER_MS;
	}
	if (entry)
		stage_compile_fault(c, entry, "cache %s: only memory, lru and ttlru are part of kspool", label);
	return 0;
}

static void process_dedupe_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct dedupe *d = mem_zero(sizeof *d);
	struct options_processor_dedupe o;

	*ret_state = d;
	fields_read(c, options_processor_dedupe(), node, &o);
	d->key = stage_compile_template(c, &o.key);
	d->cache = take(o.cache);
	options_free(options_processor_dedupe(), &o);
	if (strncmp(c->path, "output", 6) == 0)
		stage_compile_fault(
		    c, node,
		    "dedupe works in pipeline.processors, where its key is stored together with the message; at flush "
		    "a message that is sent again would be taken for its own duplicate");
	if (d->cache)
		d->ttl_ms = ttl_of(c, node, d->cache);
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
	for (size_t i = 0; i < batch->count; i++) {
		struct message_batch context = stage_batch(batch, i);
		struct error e = {.code = ERR_OK};

		buf_clear(&key);
		if (bloblang_template_render(d->key, r->evaluator, &context, &key, &e) == ERR_OK)
			message_set_origin(batch->items[i],
			                   origin_with_key(batch->items[i]->origin, d->cache, d->ttl_ms,
			                                   key.data ? key.data : "", key.len));
		else
			stage_fail(s, batch->items[i], e.text);
	}
	buf_fini(&key);
	stage_pass(batch, out);
}

const struct stage_row process_dedupe = {"dedupe", process_dedupe_compile, process_dedupe_run, dedupe_free};

const struct stage_row process_rate_limit = {"rate_limit", process_rate_limit_compile, process_rate_limit_run, free};
