/*
 * Open addressing with linear probing.
 *
 * Invariants:
 * 1. capacity is 0 or a power of two, and at most half of the slots are used: every search ends at a free one.
 * 2. From its home to its slot no slot is free: a removed id leaves a mark, unless the slot behind it is free.
 * 3. count <= used; used - count slots are marks.
 * 4. An id stands at most once. Ids 0 and UINT64_MAX never stand.
 * 5. Ranges ascend and never touch: between two of them at least one id is missing.
 */
#include "journal/claims.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_SLOTS = 1024 };
static const uint64_t removed = UINT64_MAX;

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

/* Larger, or rid of what was removed. */
static void rebuild(struct claims *c)
{
	const bool is_crowded = c->count * 4 >= c->capacity;
	struct claims new = {
	    .capacity = is_crowded ? c->capacity * 2 : c->capacity, .count = c->count, .used = c->count};

	if (new.capacity == 0)
		new.capacity = FIRST_SLOTS;
	new.slots = mem_zero(new.capacity * sizeof *new.slots);
	for (size_t i = 0; i < c->capacity; i++)
		if (c->slots[i].id != 0 && c->slots[i].id != removed)
			new.slots[find(&new, c->slots[i].id)] = c->slots[i];
	free(c->slots);
	*c = new;
}

void claims_fini(struct claims *c)
{
	free(c->slots);
	*c = (struct claims){0};
}

bool claims_add(struct claims *c, uint64_t id, uint32_t bytes)
{
	size_t i;

	if (c->used * 2 >= c->capacity)
		rebuild(c);
	must(c->count <= c->used && c->used * 2 < c->capacity);
	must(id != 0 && id != removed);
	i = find(c, id);
	if (c->slots[i].id != 0)
		return false;
	c->slots[i] = (struct claim_slot){.id = id, .bytes = bytes};
	c->count++;
	c->used++;
	return true;
}

struct claim_slot *claims_find(const struct claims *c, uint64_t id)
{
	size_t i;

	if (c->count == 0 || id == removed)
		return NULL;
	i = find(c, id);
	return c->slots[i].id == 0 ? NULL : &c->slots[i];
}

void claims_orphan(struct claims *c)
{
	for (size_t i = 0; i < c->capacity; i++)
		c->slots[i].is_orphan = true;
}

/* Rows leave mostly in the order they came: whole runs are removed, and freed when their last one goes. */
bool claims_remove(struct claims *c, uint64_t id, uint32_t *ret_bytes)
{
	const struct claim_slot *slot = claims_find(c, id);
	size_t i;

	if (!slot)
		return false;
	if (ret_bytes)
		*ret_bytes = slot->bytes;
	i = (size_t)(slot - c->slots);
	c->slots[i].id = removed;
	c->count--;
	if (c->slots[(i + 1) & (c->capacity - 1)].id != 0)
		return true;
	for (; c->slots[i].id == removed; i = (i - 1) & (c->capacity - 1)) {
		c->slots[i].id = 0;
		c->used--;
	}
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

bool ranges_take(struct ranges *r, uint64_t last, uint64_t *ret)
{
	if (r->count == 0 || r->items[0].first > last)
		return false;
	*ret = r->items[0].first;
	ranges_drop_upto(r, *ret);
	return true;
}
