#include "delivery/queues/waiting.h"

#include <stdlib.h>

#include "base/mem.h"

static void swap(struct waiting *w, size_t a, size_t b)
{
	struct record *r = w->items[a];

	w->items[a] = w->items[b];
	w->items[b] = r;
}

/* What is due at once goes in the order of ids. */
static bool is_before(const struct record *a, const struct record *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->id < b->id;
}

static void sink(struct waiting *w, size_t at)
{
	for (;;) {
		size_t least = at, left = 2 * at + 1;

		for (size_t child = left; child <= left + 1 && child < w->count; child++)
			if (is_before(w->items[child], w->items[least]))
				least = child;
		if (least == at)
			return;
		swap(w, at, least);
		at = least;
	}
}

void waiting_put(struct waiting *w, struct record *r)
{
	size_t at = w->count;

	if (w->count == w->capacity) {
		w->capacity = w->capacity ? w->capacity * 2 : 64;
		w->items = mem_grow(w->items, w->capacity, sizeof(struct record *));
	}
	w->items[w->count++] = r;
	while (at > 0 && is_before(w->items[at], w->items[(at - 1) / 2])) {
		swap(w, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

struct record *waiting_first(const struct waiting *w) { return w->count ? w->items[0] : NULL; }

struct record *waiting_take(struct waiting *w)
{
	struct record *r = waiting_first(w);

	if (!r)
		return NULL;
	w->items[0] = w->items[--w->count];
	sink(w, 0);
	return r;
}

void waiting_hasten(struct waiting *w, int64_t now_ns, int64_t within_ns, double (*unit)(void *), void *arg)
{
	for (size_t i = 0; i < w->count; i++) {
		int64_t due = now_ns + (int64_t)(unit(arg) * (double)within_ns);

		if (w->items[i]->throttled && w->items[i]->due_ns > due)
			w->items[i]->due_ns = due;
	}
	for (size_t i = w->count / 2; i-- > 0;)
		sink(w, i);
}

void waiting_fini(struct waiting *w)
{
	for (size_t i = 0; i < w->count; i++)
		record_free(w->items[i]);
	free(w->items);
	w->items = NULL;
	w->count = w->capacity = 0;
}
