/*
 * Invariants:
 * 1. A node never changes what it stands for: ids, key and place are set when it is made. Only its fate changes, and
 *    sealing forgets parents of a node without keys.
 * 2. ids are ascending and distinct; those of a derived node are its parent's, and lie there: a node costs the same,
 *    however many it stands for. A holder holds its own, and is an ancestor.
 * 3. keyed is true if and only if the node or one of its parents has a key.
 * 4. No node has one parent twice.
 * 5. A fate holds for one commit; in it UNDECIDED becomes KEPT or KNOWN and stays so.
 */
#include "message/origin.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

/* ids null: those of the first parent. */
static struct origin *make(struct origin *const *parents, size_t parent_count, const uint64_t *ids, size_t count)
{
	struct origin *o;

	must(parent_count <= UINT32_MAX && count <= UINT32_MAX);
	o = mem_zero(sizeof *o + (ids ? count * sizeof *ids : 0));
	o->references = 1;
	if (ids) {
		o->count = (uint32_t)count;
		o->ids = memcpy(o->own_ids, ids, count * sizeof *ids);
	} else {
		o->count = parents[0]->count;
		o->ids = parents[0]->ids;
		o->holder = origin_ref(parents[0]->holder ? parents[0]->holder : parents[0]);
	}
	o->parent_count = (uint32_t)parent_count;
	o->parents = parent_count ? mem_array(parent_count, sizeof(struct origin *)) : NULL;
	for (size_t i = 0; i < parent_count; i++) {
		o->parents[i] = origin_ref(parents[i]);
		o->keyed |= parents[i]->keyed;
	}
	return o;
}

struct origin *origin_new(uint64_t id) { return make(NULL, 0, &id, id != 0); }

struct origin *origin_ref(struct origin *o)
{
	must(o->references > 0 && o->references < UINT32_MAX);
	o->references++;
	return o;
}

/* Long chains are let go of without recursion: only a join goes deeper. */
void origin_unref(struct origin *o)
{
	while (o) {
		struct origin *next = o->parent_count ? o->parents[0] : NULL;

		must(o->references > 0);
		if (--o->references > 0)
			return;
		for (uint32_t i = 1; i < o->parent_count; i++)
			origin_unref(o->parents[i]);
		origin_unref(o->holder); /* has nothing above it when it goes with this one: see origin_seal */
		if (o->key)
			free(o->key->cache);
		free(o->key);
		free(o->parents);
		free(o);
		o = next;
	}
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* All ids of the nodes, ascending, each once. */
static uint64_t *union_of(struct origin *const *parents, size_t parent_count, size_t *ret_count)
{
	size_t total = 0, used = 0, distinct = 0;
	uint64_t *ids;

	for (size_t i = 0; i < parent_count; i++)
		total += parents[i]->count;
	ids = mem_array(total ? total : 1, sizeof *ids);
	for (size_t i = 0; i < parent_count; i++) {
		memcpy(ids + used, parents[i]->ids, parents[i]->count * sizeof *ids);
		used += parents[i]->count;
	}
	qsort(ids, total, sizeof *ids, compare_ids);
	for (size_t i = 0; i < total; i++)
		if (distinct == 0 || ids[distinct - 1] != ids[i])
			ids[distinct++] = ids[i];
	*ret_count = distinct;
	return ids;
}

static int compare_nodes(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (struct origin *const *)a, y = (uintptr_t) * (struct origin *const *)b;

	return (x > y) - (x < y);
}

/* Each once, the first in front. */
static size_t distinct_nodes(struct origin *const *nodes, size_t count, struct origin **ret)
{
	size_t distinct = 1;

	memcpy(ret, nodes, count * sizeof *ret);
	qsort(ret + 1, count - 1, sizeof *ret, compare_nodes);
	for (size_t i = 1; i < count; i++)
		if (ret[i] != ret[0] && (distinct == 1 || ret[i] != ret[distinct - 1]))
			ret[distinct++] = ret[i];
	return distinct;
}

static struct origin *join(struct origin *const *nodes, size_t count, bool ids_of_all)
{
	struct origin **parents, *o;
	size_t parent_count, id_count = 0;
	uint64_t *ids = NULL;

	must(count > 0);
	parents = mem_array(count, sizeof(struct origin *));
	parent_count = distinct_nodes(nodes, count, parents);
	if (ids_of_all && parent_count > 1)
		ids = union_of(parents, parent_count, &id_count);
	o = parent_count == 1 ? origin_ref(parents[0]) : make(parents, parent_count, ids, id_count);
	free(ids);
	free(parents);
	return o;
}

struct origin *origin_join(struct origin *const *parents, size_t count) { return join(parents, count, true); }

struct origin *origin_add(struct origin *const *parents, size_t count) { return join(parents, count, false); }

struct origin *origin_with_key(struct origin *parent, const char *cache, int64_t ttl_ms, const void *key, size_t bytes)
{
	struct origin *o = make(&parent, 1, NULL, 0);

	o->key = mem_alloc(sizeof *o->key + bytes);
	o->key->cache = mem_string(cache);
	o->key->ttl_ms = ttl_ms;
	o->key->bytes = bytes;
	memcpy(o->key->key, key, bytes);
	o->keyed = true;
	return o;
}

struct origin *origin_with_place(struct origin *parent, uint32_t line, uint32_t place)
{
	struct origin *o = make(&parent, 1, NULL, 0);

	must(line != 0);
	o->line = line;
	o->place = place;
	return o;
}

uint32_t origin_place(const struct origin *o, uint32_t line)
{
	while (o->line != line) {
		must(o->parent_count > 0);
		o = o->parents[0];
	}
	return o->place;
}

void origin_seal(struct origin *o)
{
	if (o->keyed)
		return;
	for (uint32_t i = 0; i < o->parent_count; i++)
		origin_unref(o->parents[i]);
	free(o->parents);
	o->parents = NULL;
	o->parent_count = 0;
	if (o->holder)
		origin_seal(o->holder);
}

uint64_t origin_cost(const struct origin *o)
{
	const struct origin *below = NULL;
	uint64_t bytes = 0;

	for (; o && o->references == (below && below->holder == o ? 2 : 1);
	     below = o, o = o->parent_count ? o->parents[0] : NULL) {
		bytes += sizeof *o + o->parent_count * sizeof(struct origin *);
		bytes += o->holder ? 0 : o->count * sizeof *o->ids;
		bytes += o->key ? sizeof *o->key + o->key->bytes + strlen(o->key->cache) : 0;
	}
	return bytes;
}

enum origin_fate origin_fate(const struct origin *o, uint64_t commit)
{
	return o->decided_in == commit ? o->fate : ORIGIN_UNDECIDED;
}

void origin_decide(struct origin *o, uint64_t commit, enum origin_fate fate)
{
	must(fate != ORIGIN_UNDECIDED && commit != 0);
	must(origin_fate(o, commit) == ORIGIN_UNDECIDED);
	o->fate = fate;
	o->decided_in = commit;
}
