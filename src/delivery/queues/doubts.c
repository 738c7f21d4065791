#include "delivery/queues/doubts.h"

#include <string.h>

#include "base/check.h"

void doubts_init(struct doubts *all)
{
	memset(all, 0, sizeof *all);
	TAILQ_INIT(&all->fresh);
	TAILQ_INIT(&all->due);
}

void doubts_put(struct doubts *all, struct record *r, const struct doubt_words *words, uint32_t hold)
{
	const uint32_t fresh = all->count - all->due_count;

	must(r->message && all->count < DOUBTS_MOST);
	if (fresh == 0)
		all->hold = hold;
	all->words[fresh] = *words;
	TAILQ_INSERT_TAIL(&all->fresh, r, link);
	all->count++;
	all->bytes += record_accounted(r);
}

struct record *doubts_take_fresh(struct doubts *all, struct doubt_words *ret)
{
	struct record *r = TAILQ_FIRST(&all->fresh);

	if (!r)
		return NULL;
	*ret = all->words[0];
	memmove(&all->words[0], &all->words[1], sizeof all->words - sizeof all->words[0]);
	TAILQ_REMOVE(&all->fresh, r, link);
	all->count--;
	all->bytes -= record_accounted(r);
	return r;
}

void doubts_settle(struct doubts *all)
{
	TAILQ_CONCAT(&all->due, &all->fresh, link);
	all->due_count = all->count;
}

struct record *doubts_take(struct doubts *all)
{
	struct record *r = TAILQ_FIRST(&all->due);
	struct doubt_words words;

	if (!r)
		return doubts_take_fresh(all, &words);
	TAILQ_REMOVE(&all->due, r, link);
	all->due_count--;
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
