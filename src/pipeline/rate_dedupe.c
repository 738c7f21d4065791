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

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/stage.h"

enum { COUNT_DEFAULT = 1000, KEY_MAX_BYTES = 64 << 10 };

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

void process_rate_limit_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	const struct config_node *settings, *entry;
	struct rate *rate;
	const char *label;
	struct fields f;

	fields_begin(&f, c, node);
	label = fields_text(&f, "resource", NULL, true);
	fields_end(&f);
	entry = label ? resource_find(c->config->rate_limit_resources, label) : NULL;
	settings = entry ? member_of(entry, "local") : NULL;
	if (label && !entry)
		compile_fault(c, node, "there is no rate limit resource labelled %s", label);
	else if (entry && !settings)
		compile_fault(c, entry, "rate limit %s: only `local` is part of kspool", label);
	if (!settings)
		return;
	rate = mem_zero(sizeof *rate);
	fields_begin(&f, c, settings);
	rate->count = fields_int(&f, "count", COUNT_DEFAULT);
	rate->interval_ns = fields_duration_ns(&f, "interval", NS_PER_S);
	fields_end(&f);
	if (rate->count < 1)
		compile_fault(c, settings, "field count: expected at least 1");
	*ret_state = rate;
}

void process_rate_limit_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
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
	process_noop_run(s, r, batch, out);
}

struct dedupe {
	char *cache;
	int64_t ttl_ms;
	struct bloblang_template *key;
	bool drop_on_error;
};

/* Types of caches whose entries live for a time; wherever they would live elsewhere, here they live in the spool. */
static int64_t ttl_of(struct compiler *c, const struct config_node *node, const char *label)
{
	static const struct {
		const char *type;
		const char *ttl; /* null: for ever */
		int64_t fallback_ns;
	} types[] = {
	    {"memory", "default_ttl", 300 * NS_PER_S},
	    {"ttlru", "default_ttl", 300 * NS_PER_S},
	    {"lru", NULL, INT64_MAX},
	};
	const struct config_node *entry = resource_find(c->config->cache_resources, label);

	if (!entry)
		compile_fault(c, node, "there is no cache resource labelled %s", label);
	for (size_t i = 0; entry && i < sizeof types / sizeof *types; i++) {
		const struct config_node *settings = member_of(entry, types[i].type);
		struct fields f;

		if (!settings)
			continue;
		fields_begin(&f, c, settings);
		return (types[i].ttl ? fields_duration_ns(&f, types[i].ttl, types[i].fallback_ns)
		                     : types[i].fallback_ns) /
		       NS_PER_MS;
	}
	if (entry)
		compile_fault(c, entry, "cache %s: only memory, lru and ttlru are part of kspool", label);
	return 0;
}

void process_dedupe_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct dedupe *d = mem_zero(sizeof *d);
	const char *label;
	struct fields f;

	*ret_state = d;
	fields_begin(&f, c, node);
	label = fields_text(&f, "cache", NULL, true);
	d->key = fields_template(&f, "key", NULL, true);
	d->drop_on_error = fields_bool(&f, "drop_on_err", true);
	fields_end(&f);
	if (strncmp(c->path, "output", 6) == 0)
		compile_fault(
		    c, node,
		    "dedupe works in pipeline.processors, where its key is stored together with the message; at flush "
		    "a message that is sent again would be taken for its own duplicate");
	d->cache = mem_string(label ? label : "");
	if (label)
		d->ttl_ms = ttl_of(c, node, label);
}

void dedupe_free(void *state)
{
	struct dedupe *d = state;

	free(d->cache);
	bloblang_template_free(d->key);
	free(d);
}

void process_dedupe_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
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
	process_noop_run(s, r, batch, out);
}
