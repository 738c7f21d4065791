#include "delivery/queues/tries.h"

#include <search.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { NODE_BYTES = 64 }; /* of libc's tree, and what the allocator takes for both */

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct tries_row *)a)->id, y = ((const struct tries_row *)b)->id;

	return (x > y) - (x < y);
}

void tries_note(struct tries *t, uint64_t id, const struct record *r, bool is_noted)
{
	struct tries_row *row, **at;

	if (r->tries == 0)
		return;
	row = mem_zero(sizeof *row);
	row->id = id;
	at = tsearch(row, &t->tree, by_id);
	must(at);
	if (*at == row)
		t->count++;
	else
		free(row);
	(*at)->first_failure_ns = r->first_failure_ns;
	(*at)->attempts = r->attempts;
	(*at)->tries = r->tries;
	(*at)->is_noted = is_noted;
}

/* False: nothing is known of it. */
static bool take(struct tries *t, uint64_t id, struct tries_row *ret)
{
	const struct tries_row key = {.id = id};
	struct tries_row **found = t->count > 0 ? tfind(&key, &t->tree, by_id) : NULL, *row;

	if (!found)
		return false;
	row = *found;
	*ret = *row;
	must(tdelete(row, &t->tree, by_id));
	free(row);
	t->count--;
	return true;
}

void tries_give_back(struct tries *t, uint64_t id, struct record *r)
{
	struct tries_row row;

	if (!take(t, id, &row))
		return;
	r->attempts = row.attempts > r->attempts ? row.attempts : r->attempts;
	r->tries = row.tries > r->tries ? row.tries : r->tries;
	if (r->first_failure_ns < 0 || row.first_failure_ns < r->first_failure_ns)
		r->first_failure_ns = row.first_failure_ns;
	r->is_noted = row.is_noted;
}

void tries_forget(struct tries *t, uint64_t id)
{
	struct tries_row ignored;

	(void)take(t, id, &ignored);
}

bool tries_take(struct tries *t, struct tries_row *ret)
{
	/* The root: a node begins with its row. */
	return t->count > 0 && take(t, (*(struct tries_row **)t->tree)->id, ret);
}

size_t tries_bytes(const struct tries *t) { return t->count * (sizeof(struct tries_row) + NODE_BYTES); }

void tries_fini(struct tries *t)
{
	tdestroy(t->tree, free);
	*t = (struct tries){0};
}
