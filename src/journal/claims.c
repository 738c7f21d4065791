#include "journal/claims.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_SLOTS = 1024 };

/* Ids are dense and ascending: 64 neighbours share a block of slots, so that a batch touches few cache lines. */
static size_t home_of(const struct claims *c, uint64_t id)
{
	uint64_t block = (id >> 6) * UINT64_C(0x9e3779b97f4a7c15) >> 32;

	return (size_t)(block << 6 | (id & 63)) & (c->capacity - 1);
}

static size_t find(const struct claims *c, uint64_t id)
{
	size_t i = home_of(c, id);

	while (c->slots[i].id != 0 && c->slots[i].id != id)
		i = (i + 1) & (c->capacity - 1);
	return i;
}

static void grow(struct claims *c)
{
	struct claims bigger = {.capacity = c->capacity ? c->capacity * 2 : FIRST_SLOTS, .count = c->count};

	bigger.slots = mem_zero(bigger.capacity * sizeof *bigger.slots);
	for (size_t i = 0; i < c->capacity; i++)
		if (c->slots[i].id != 0)
			bigger.slots[find(&bigger, c->slots[i].id)] = c->slots[i];
	free(c->slots);
	*c = bigger;
}

void claims_fini(struct claims *c)
{
	free(c->slots);
	*c = (struct claims){0};
}

void claims_add(struct claims *c, uint64_t id, uint32_t bytes)
{
	size_t i;

	if (c->count * 2 >= c->capacity)
		grow(c);
	i = find(c, id);
	must(id != 0 && c->slots[i].id == 0);
	c->slots[i] = (struct claim_slot){.id = id, .bytes = bytes};
	c->count++;
}

bool claims_get(const struct claims *c, uint64_t id, uint32_t *ret_bytes)
{
	size_t i;

	if (c->count == 0 || id == 0)
		return false;
	i = find(c, id);
	if (c->slots[i].id == 0)
		return false;
	if (ret_bytes)
		*ret_bytes = c->slots[i].bytes;
	return true;
}

/* Later slots of the same run move up, so that no search ends too early. */
static void close_gap(struct claims *c, size_t gap)
{
	size_t i = gap;

	for (;;) {
		size_t home;

		i = (i + 1) & (c->capacity - 1);
		if (c->slots[i].id == 0)
			break;
		home = home_of(c, c->slots[i].id);
		if (((i - home) & (c->capacity - 1)) >= ((i - gap) & (c->capacity - 1))) {
			c->slots[gap] = c->slots[i];
			gap = i;
		}
	}
	c->slots[gap].id = 0;
}

bool claims_remove(struct claims *c, uint64_t id, uint32_t *ret_bytes)
{
	size_t i;

	if (!claims_get(c, id, ret_bytes))
		return false;
	i = find(c, id);
	close_gap(c, i);
	c->count--;
	return true;
}

void ranges_fini(struct ranges *r)
{
	free(r->items);
	*r = (struct ranges){0};
}

/* Index of the first range that ends at or after `id`. */
static size_t seek(const struct ranges *r, uint64_t id)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].last < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void ranges_add(struct ranges *r, uint64_t first, uint64_t last)
{
	size_t at = seek(r, first > 0 ? first - 1 : 0);
	size_t end = at;

	must(first <= last);
	while (end < r->count && r->items[end].first <= last + 1) {
		first = r->items[end].first < first ? r->items[end].first : first;
		last = r->items[end].last > last ? r->items[end].last : last;
		end++;
	}
	if (end == at) {
		if (r->count == r->capacity) {
			r->capacity = r->capacity ? r->capacity * 2 : 16;
			r->items = mem_grow(r->items, r->capacity, sizeof *r->items);
		}
		memmove(r->items + at + 1, r->items + at, (r->count - at) * sizeof *r->items);
		r->count++;
	} else {
		memmove(r->items + at + 1, r->items + end, (r->count - end) * sizeof *r->items);
		r->count -= end - at - 1;
	}
	r->items[at] = (struct id_range){first, last};
}

void ranges_drop_upto(struct ranges *r, uint64_t last)
{
	if (r->count == 0 || last < r->items[0].first)
		return;
	if (last < r->items[0].last) {
		r->items[0].first = last + 1;
		return;
	}
	memmove(r->items, r->items + 1, (r->count - 1) * sizeof *r->items);
	r->count--;
}
