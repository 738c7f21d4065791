#include "delivery/queues/doubts.h"

#include <string.h>

#include "base/check.h"

void doubts_init(struct doubts *all)
{
	memset(all, 0, sizeof *all);
	TAILQ_INIT(&all->fresh);
	TAILQ_INIT(&all->due);
}

void doubts_put(struct doubts *all, struct record *r)
{
	must(r->message);
	TAILQ_INSERT_TAIL(&all->fresh, r, link);
	all->count++;
	all->bytes += record_accounted(r);
}

void doubts_settle(struct doubts *all)
{
	TAILQ_CONCAT(&all->due, &all->fresh, link);
	all->due_count = all->count;
}

struct record *doubts_take(struct doubts *all)
{
	struct record_queue *queue = all->due_count > 0 ? &all->due : &all->fresh;
	struct record *r = TAILQ_FIRST(queue);

	must(!r == (all->count == 0));
	if (!r)
		return NULL;
	TAILQ_REMOVE(queue, r, link);
	all->due_count -= queue == &all->due;
	all->count--;
	all->bytes -= record_accounted(r);
	return r;
}

void doubts_fini(struct doubts *all)
{
	struct record *r;

	while ((r = doubts_take(all)))
		record_free(r);
}
