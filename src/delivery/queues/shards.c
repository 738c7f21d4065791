/*
 * Invariants:
 * 1. Intervals ascend and do not touch: items[i]->last < items[i + 1]->first.
 * 2. No two shards have the same name, "" apart.
 * 3. `queued` and `cost` are the sums over all shards.
 * 4. A blind map has one shard, which has every hash.
 */
#include "delivery/queues/shards.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { LEARNED_WINDOW = 4096, CONTRADICTED_MOST = LEARNED_WINDOW / 16 };

void shards_init(struct shards *all)
{
	memset(all, 0, sizeof *all);
	LIST_INIT(&all->listed);
}

/* Index of the first shard that ends at or behind hash. */
static size_t seek(const struct shards *all, uint64_t hash)
{
	size_t low = 0, high = all->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (all->items[middle]->last < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct shard *shards_find(const struct shards *all, uint64_t hash)
{
	size_t at = seek(all, hash);

	return at < all->count && all->items[at]->first <= hash ? all->items[at] : NULL;
}

static struct shard *insert(struct shards *all, size_t at, uint64_t hash, const char *name)
{
	struct shard *s;

	if (all->count == SHARDS_MOST)
		return NULL;
	if (all->count == all->capacity) {
		all->capacity = all->capacity ? all->capacity * 2 : 16;
		all->items = mem_grow(all->items, all->capacity, sizeof(struct shard *));
	}
	memmove(all->items + at + 1, all->items + at, (all->count - at) * sizeof(struct shard *));
	all->count++;
	s = mem_zero(sizeof *s);
	s->first = s->last = hash;
	strncpy(s->name, name, sizeof s->name - 1);
	TAILQ_INIT(&s->queue);
	return all->items[at] = s;
}

void shards_list(struct shards *all, struct shard *s)
{
	bool wanted = s->rate.is_limited || s->parked.ids > 0 || s->count > 0;

	if (wanted && !s->is_listed)
		LIST_INSERT_HEAD(&all->listed, s, link);
	else if (!wanted && s->is_listed)
		LIST_REMOVE(s, link);
	s->is_listed = wanted;
}

/* What waited for it has no shard any more. */
static void forget(struct shards *all, size_t at, struct record_queue *strays)
{
	struct shard *s = all->items[at];
	struct record *r;

	while ((r = shards_take(all, s)))
		TAILQ_INSERT_TAIL(strays, r, link);
	all->losses += s->parked.ids > 0;
	parked_join(&all->lost, &s->parked);
	if (s->is_listed)
		LIST_REMOVE(s, link);
	free(s);
	memmove(all->items + at, all->items + at + 1, (all->count - at - 1) * sizeof(struct shard *));
	all->count--;
}

static size_t index_of(const struct shards *all, const struct shard *s)
{
	size_t at = seek(all, s->first);

	must(all->items[at] == s);
	return at;
}

/* Makes its interval reach to hash; who lies between was something else's. */
static void extend(struct shards *all, struct shard *s, uint64_t hash, struct record_queue *strays)
{
	while (hash > s->last) {
		size_t next = index_of(all, s) + 1;

		if (next == all->count || all->items[next]->first > hash) {
			s->last = hash;
		} else {
			all->contradicted += all->items[next]->name[0] != '\0';
			forget(all, next, strays);
		}
	}
	while (hash < s->first) {
		size_t at = index_of(all, s);

		if (at == 0 || all->items[at - 1]->last < hash) {
			s->first = hash;
		} else {
			all->contradicted += all->items[at - 1]->name[0] != '\0';
			forget(all, at - 1, strays);
		}
	}
}

/* Neighbours first: the others are looked through only when a shard is new. */
static struct shard *by_name(const struct shards *all, size_t at, const char *name)
{
	if (at < all->count && strcmp(all->items[at]->name, name) == 0)
		return all->items[at];
	if (at > 0 && strcmp(all->items[at - 1]->name, name) == 0)
		return all->items[at - 1];
	for (size_t i = 0; i < all->count && name[0]; i++)
		if (strcmp(all->items[i]->name, name) == 0)
			return all->items[i];
	return NULL;
}

static void go_blind(struct shards *all, struct record_queue *strays)
{
	while (all->count > 0)
		forget(all, all->count - 1, strays);
	all->is_blind = true;
	insert(all, 0, 0, "")->last = UINT64_MAX;
}

static bool is_contradictory(struct shards *all)
{
	if (++all->learned > LEARNED_WINDOW) {
		all->learned /= 2;
		all->contradicted /= 2;
	}
	return all->contradicted > CONTRADICTED_MOST;
}

struct shard *shards_learn(struct shards *all, uint64_t hash, const char *name, struct record_queue *strays)
{
	struct shard *s = shards_find(all, hash), *known;
	struct shard_rate inherited = {0};
	size_t at;

	if (s && (all->is_blind || !name[0] || strcmp(s->name, name) == 0))
		return s;
	if (is_contradictory(all)) {
		go_blind(all, strays);
		return all->items[0];
	}
	at = seek(all, hash);
	if (s) {
		all->contradicted += s->name[0] != '\0';
		inherited = s->name[0] ? inherited : s->rate;
		forget(all, at, strays);
	}
	known = by_name(all, at, name);
	if (!known) {
		known = insert(all, at, hash, name);
		if (known)
			known->rate = inherited;
		return known;
	}
	extend(all, known, hash, strays);
	return known;
}

/* API reference, ShardId: [a-zA-Z0-9_.-]+ */
static bool is_of_a_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void shards_named(const char *text, char ret[SHARD_NAME_BYTES])
{
	static const char before[] = "for shard ";
	const char *at = strstr(text, before);
	size_t n = 0;

	ret[0] = '\0';
	if (!at)
		return;
	at += sizeof before - 1;
	while (n < SHARD_NAME_BYTES - 1 && is_of_a_name(at[n]))
		n++;
	memcpy(ret, at, n);
	ret[n] = '\0';
}

static void count(struct shards *all, struct shard *s, const struct record *r)
{
	must(r->message);
	s->count++;
	s->rows += record_rows(r);
	s->cost += message_cost(r->message);
	all->queued++;
	all->cost += message_cost(r->message);
	shards_list(all, s);
}

void shards_queue_last(struct shards *all, struct shard *s, struct record *r)
{
	TAILQ_INSERT_TAIL(&s->queue, r, link);
	count(all, s, r);
}

void shards_queue_first(struct shards *all, struct shard *s, struct record *r)
{
	TAILQ_INSERT_HEAD(&s->queue, r, link);
	count(all, s, r);
}

static struct record *take(struct shards *all, struct shard *s, struct record *r)
{
	must((r == NULL) == (s->count == 0));
	if (!r)
		return NULL;
	TAILQ_REMOVE(&s->queue, r, link);
	s->count--;
	s->rows -= record_rows(r);
	s->cost -= message_cost(r->message);
	all->queued--;
	all->cost -= message_cost(r->message);
	return r;
}

struct record *shards_take(struct shards *all, struct shard *s) { return take(all, s, TAILQ_FIRST(&s->queue)); }

struct record *shards_take_last(struct shards *all, struct shard *s)
{
	return take(all, s, TAILQ_LAST(&s->queue, record_queue));
}

void shards_fini(struct shards *all)
{
	for (size_t i = 0; i < all->count; i++) {
		struct record *r;

		while ((r = shards_take(all, all->items[i])))
			record_free(r);
		parked_fini(&all->items[i]->parked);
		free(all->items[i]);
	}
	parked_fini(&all->lost);
	free(all->items);
	shards_init(all);
}
