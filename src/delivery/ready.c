/*
 * Invariants:
 * 1. count is the number of records in the queue, bytes the sum of what they account for.
 * 2. The queue is empty, count is 0 and bytes are 0: all three or none.
 * 3. A record that is ready has its message in memory.
 */
#include "delivery/ready.h"

#include "base/check.h"

static void check(const struct ready *q)
{
	must(TAILQ_EMPTY(&q->queue) == (q->count == 0));
	must(q->count > 0 || q->bytes == 0);
}

static void count_in(struct ready *q, const struct record *r)
{
	must(r->message);
	q->count++;
	q->bytes += record_accounted(r);
}

void ready_init(struct ready *q)
{
	TAILQ_INIT(&q->queue);
	q->count = 0;
	q->bytes = 0;
}

void ready_put_last(struct ready *q, struct record *r)
{
	check(q);
	TAILQ_INSERT_TAIL(&q->queue, r, link);
	count_in(q, r);
}

void ready_put_first(struct ready *q, struct record *r)
{
	check(q);
	TAILQ_INSERT_HEAD(&q->queue, r, link);
	count_in(q, r);
}

struct record *ready_first(const struct ready *q) { return TAILQ_FIRST(&q->queue); }

void ready_end_batch(struct ready *q)
{
	struct record *last = TAILQ_LAST(&q->queue, record_queue);

	if (last)
		last->ends_batch = true;
}

static struct record *take(struct ready *q, struct record *r)
{
	check(q);
	if (r) {
		TAILQ_REMOVE(&q->queue, r, link);
		q->count--;
		q->bytes -= record_accounted(r);
	}
	return r;
}

struct record *ready_take(struct ready *q) { return take(q, TAILQ_FIRST(&q->queue)); }

struct record *ready_take_last(struct ready *q) { return take(q, TAILQ_LAST(&q->queue, record_queue)); }

void ready_fini(struct ready *q)
{
	struct record *r;

	while ((r = ready_take(q)))
		record_free(r);
}
