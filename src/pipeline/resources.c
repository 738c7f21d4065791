/* What processors share by label: processor_resources, rate_limit_resources, cache_resources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/processors.h"
#include "config/tree.h"
#include "pipeline/stage_internal.h"

static const struct config_node *member_of(const struct config_node *map, const char *key)
{
	for (size_t i = 0; map->kind == NODE_MAP && i < map->count; i++)
		if (strcmp(map->children[i].key, key) == 0)
			return &map->children[i];
	return NULL;
}

static const char *label_of(const struct config_node *entry)
{
	const struct config_node *label = member_of(entry, "label");

	return label && label->kind == NODE_SCALAR && label->scalar ? label->scalar : "";
}

const struct config_node *stage_find_resource(const struct config_node *resources, const char *label)
{
	for (size_t i = 0; resources && resources->kind == NODE_LIST && i < resources->count; i++)
		if (*label && strcmp(label_of(&resources->children[i]), label) == 0)
			return &resources->children[i];
	return NULL;
}

static const struct processor_row *find_row(const char *slot, const char *name)
{
	for (const struct processor_row *row = processor_rows; row->name; row++)
		if (strcmp(row->slot, slot) == 0 && strcmp(row->name, name) == 0)
			return row;
	return NULL;
}

/* The member of an entry that names its component; null after a fault. */
static const struct config_node *component_of(struct compiler *c, const char *slot, const struct config_node *entry)
{
	const struct config_node *found = NULL;

	if (entry->kind != NODE_MAP) {
		stage_compile_fault(c, entry, "expected a %s and its label, not %s", slot, tree_kind_name(entry));
		return NULL;
	}
	for (size_t i = 0; i < entry->count; i++) {
		const struct config_node *child = &entry->children[i];
		const struct config_node at = stage_key_place(child);

		if (strcmp(child->key, "label") == 0 || child->repeated)
			continue;
		if (!find_row(slot, child->key))
			stage_unknown_component(c, child, slot);
		else if (found)
			stage_compile_fault(c, &at, "both %s and %s are given: one of them must go", found->key,
			                    child->key);
		else
			found = child;
	}
	if (!found && entry->count <= (size_t)(*label_of(entry) != '\0'))
		stage_compile_fault(c, entry, "names no %s; see `kspool list processors`", slot);
	return found;
}

struct place {
	char path[COMPILER_PATH_MAX];
};

/* From here on faults are told of under the entry's path, such as "cache_resources.seen". */
static struct place enter_entry(struct compiler *c, const char *list, const struct config_node *entry)
{
	struct place place;

	memcpy(place.path, c->path, sizeof place.path);
	(void)snprintf(c->path, sizeof c->path, "%s.%s", list, label_of(entry));
	return place;
}

static void leave_entry(struct compiler *c, const struct place *place) { memcpy(c->path, place->path, sizeof c->path); }

static void step_into(struct compiler *c, const struct config_node *node)
{
	size_t length = strlen(c->path);

	(void)snprintf(c->path + length, sizeof c->path - length, ".%s", node->key);
}

bool stage_read_rate_limit(struct compiler *c, const struct config_node *entry, struct options_rate_limit_local *ret)
{
	struct place place = enter_entry(c, "rate_limit_resources", entry);
	const struct config_node *settings = component_of(c, "rate_limit", entry);

	if (settings) {
		step_into(c, settings);
		fields_read(c, options_rate_limit_local(), settings, ret);
	}
	leave_entry(c, &place);
	return settings;
}

static int64_t memory_ttl_ns(struct compiler *c, const struct config_node *node)
{
	struct options_cache_memory o;

	fields_read(c, options_cache_memory(), node, &o);
	/* As in Redpanda Connect, where only a compaction makes an entry expire. */
	return o.compaction_interval_ns > 0 ? o.default_ttl_ns : INT64_MAX;
}

static int64_t ttlru_ttl_ns(struct compiler *c, const struct config_node *node)
{
	struct options_cache_ttlru o;

	fields_read(c, options_cache_ttlru(), node, &o);
	return o.ttl_ns > 0 ? o.ttl_ns : o.default_ttl_ns;
}

static int64_t lru_ttl_ns(struct compiler *c, const struct config_node *node)
{
	struct options_cache_lru o;

	fields_read(c, options_cache_lru(), node, &o);
	options_free(options_cache_lru(), &o);
	return INT64_MAX;
}

int64_t stage_read_cache_ttl_ns(struct compiler *c, const struct config_node *entry)
{
	static const struct {
		const char *name;
		int64_t (*ttl_ns)(struct compiler *c, const struct config_node *node);
	} kinds[] = {{"memory", memory_ttl_ns}, {"ttlru", ttlru_ttl_ns}, {"lru", lru_ttl_ns}};
	struct place place = enter_entry(c, "cache_resources", entry);
	const struct config_node *settings = component_of(c, "cache", entry);
	int64_t ttl_ns = 0;

	for (size_t i = 0; settings && i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(settings->key, kinds[i].name) != 0)
			continue;
		step_into(c, settings);
		ttl_ns = kinds[i].ttl_ns(c, settings);
	}
	leave_entry(c, &place);
	return ttl_ns;
}

void stage_compile_resource(struct compiler *c, const struct config_node *user, const struct config_node *entry,
                            struct stages *ret)
{
	const struct resource_use use = {.entry = entry, .outer = c->uses};
	char path[COMPILER_PATH_MAX];

	memset(ret, 0, sizeof *ret);
	for (const struct resource_use *outer = c->uses; outer; outer = outer->outer)
		if (outer->entry == entry) {
			stage_compile_fault(c, user, "processor resource %s uses itself", label_of(entry));
			return;
		}
	memcpy(path, c->path, sizeof path);
	(void)snprintf(c->path, sizeof c->path, "processor_resources");
	c->uses = &use;
	stages_compile_items(c, entry, 1, label_of(entry), ret);
	c->uses = use.outer;
	memcpy(c->path, path, sizeof path);
}

static size_t entries(const struct config_node *list) { return list && list->kind == NODE_LIST ? list->count : 0; }

void stage_check_resources(struct compiler *c)
{
	const struct config *config = c->config;

	for (size_t i = 0; i < entries(config->rate_limit_resources); i++) {
		struct options_rate_limit_local limit;

		(void)stage_read_rate_limit(c, &config->rate_limit_resources->children[i], &limit);
	}
	for (size_t i = 0; i < entries(config->cache_resources); i++)
		(void)stage_read_cache_ttl_ns(c, &config->cache_resources->children[i]);
	for (size_t i = 0; i < entries(config->processor_resources); i++) {
		const struct config_node *entry = &config->processor_resources->children[i];
		struct stages stages;

		stage_compile_resource(c, entry, entry, &stages);
		stages_free(&stages);
	}
}
