#include "bloblang/formats/grouping.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 8 };

bool grouping_add(struct grouping *g, const char *key, size_t length, struct value v, bool replaces)
{
	if (arena_is_spent(g->arena))
		return false;
	if (g->count == g->capacity) {
		uint32_t capacity = g->capacity ? g->capacity * 2 : FIRST_CAPACITY;
		struct grouping_pair *pairs =
		    arena_grow(g->arena, g->pairs, g->capacity * sizeof *pairs, capacity * sizeof *pairs);

		if (!pairs)
			return false;
		g->pairs = pairs;
		g->capacity = capacity;
	}
	g->pairs[g->count] = (struct grouping_pair){key, (uint32_t)length, g->count, replaces, v};
	g->count++;
	return true;
}

static int key_order(const struct grouping_pair *a, const struct grouping_pair *b)
{
	uint32_t n = a->length < b->length ? a->length : b->length;
	int order = n ? memcmp(a->key, b->key, n) : 0;

	return order ? order : a->length < b->length ? -1 : a->length > b->length;
}

static int pair_order(const void *x, const void *y)
{
	const struct grouping_pair *a = x, *b = y;
	int order = key_order(a, b);

	return order ? order : a->order < b->order ? -1 : 1;
}

/* qsort() copies all of them. False when that passes a limit. */
static bool sort_pairs(struct grouping *g)
{
	size_t bytes = g->count * sizeof *g->pairs;

	if (g->count < 2)
		return true;
	if (!arena_hold(g->arena, bytes))
		return false;
	qsort(g->pairs, g->count, sizeof *g->pairs, pair_order);
	arena_let_go(g->arena, bytes);
	return true;
}

struct value grouping_object(struct grouping *g)
{
	struct value object;

	if (!sort_pairs(g) || !arena_fits(g->arena, g->count * sizeof *object.object->pairs))
		return value_object(g->arena, 0);
	object = value_object(g->arena, g->count);
	for (uint32_t i = 0, end; i < g->count && !arena_is_spent(g->arena); i = end) {
		struct value v = g->pairs[i].value;

		for (end = i + 1; end < g->count && key_order(&g->pairs[i], &g->pairs[end]) == 0; end++)
			if (g->pairs[end].replaces)
				v = g->pairs[end].value;
		if (end - i > 1 && !g->pairs[end - 1].replaces && arena_fits(g->arena, (end - i) * sizeof v)) {
			v = value_array(g->arena, end - i);
			for (uint32_t k = i; k < end; k++)
				value_array_push(g->arena, v, g->pairs[k].value);
		}
		value_object_append(g->arena, object, g->pairs[i].key, g->pairs[i].length, v);
	}
	return object;
}
