#include "delivery/batcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void batcher_init(struct batcher *b, const struct batcher_policy *policy)
{
	memset(b, 0, sizeof *b);
	STAILQ_INIT(&b->closed);
	b->policy = *policy;
}

void batcher_set_policy(struct batcher *b, const struct batcher_policy *policy) { b->policy = *policy; }

static void close_open(struct batcher *b, enum metric mechanism)
{
	b->open->mechanism = mechanism;
	STAILQ_INSERT_TAIL(&b->closed, b->open, link);
	b->open = NULL;
}

static void append(struct pipeline_batch *list, struct message *m)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? list->capacity * 2 : 64;
		list->items = mem_grow(list->items, list->capacity, sizeof(struct message *));
	}
	list->items[list->count++] = m;
}

static bool would_pass(const struct batcher *b, const struct message *m)
{
	const struct batcher_policy *p = &b->policy;

	return (p->payload_bytes && b->open->payload_bytes + m->body_bytes > p->payload_bytes) ||
	       (p->cost_bytes && b->open->cost_bytes + message_cost(m) > p->cost_bytes);
}

void batcher_add(struct batcher *b, struct message *m, int64_t age_ns, int64_t now_ns)
{
	const struct batcher_policy *p = &b->policy;
	struct batch *open;

	if (b->open && would_pass(b, m))
		close_open(b, M_BATCH_SIZE);
	if (!b->open) {
		b->open = mem_zero(sizeof *b->open);
		b->open->first_id = UINT64_MAX;
		b->open->oldest_ns = age_ns > 0 && age_ns < p->period_ns ? now_ns - age_ns : now_ns;
	}
	open = b->open;
	append(&open->list, m);
	open->first_id = m->id < open->first_id ? m->id : open->first_id;
	open->last_id = m->id > open->last_id ? m->id : open->last_id;
	open->payload_bytes += m->body_bytes;
	open->cost_bytes += message_cost(m);
	b->messages++;
	if ((p->count && open->list.count >= p->count) || (p->memory_count && open->list.count >= p->memory_count))
		close_open(b, M_BATCH_COUNT);
	else if ((p->payload_bytes && open->payload_bytes >= p->payload_bytes) ||
	         (p->cost_bytes && open->cost_bytes >= p->cost_bytes))
		close_open(b, M_BATCH_SIZE);
	else if (p->check && p->check(p->arg, open))
		close_open(b, M_BATCH_CHECK);
}

struct batch *batcher_take(struct batcher *b, int64_t now_ns, bool flush)
{
	struct batch *batch = STAILQ_FIRST(&b->closed);

	if (!batch && b->open && (flush || now_ns >= batcher_due_ns(b))) {
		bool by_time = now_ns >= batcher_due_ns(b);

		close_open(b, by_time ? M_BATCH_PERIOD : M_BATCH_FLUSH);
		batch = STAILQ_FIRST(&b->closed);
	}
	if (!batch)
		return NULL;
	STAILQ_REMOVE_HEAD(&b->closed, link);
	b->messages -= (uint32_t)batch->list.count;
	metric_add(batch->mechanism, !batch->is_rest);
	return batch;
}

void batcher_put_back(struct batcher *b, struct batch *batch)
{
	batch->is_rest = true;
	STAILQ_INSERT_HEAD(&b->closed, batch, link);
	b->messages += (uint32_t)batch->list.count;
}

int64_t batcher_due_ns(const struct batcher *b)
{
	if (!STAILQ_EMPTY(&b->closed))
		return INT64_MIN;
	if (!b->open || b->policy.period_ns <= 0)
		return INT64_MAX;
	return b->open->oldest_ns + b->policy.period_ns;
}

void batch_free(struct batch *batch)
{
	if (!batch)
		return;
	for (size_t i = 0; i < batch->list.count; i++)
		message_free(batch->list.items[i]);
	free(batch->list.items);
	free(batch);
}

void batcher_fini(struct batcher *b)
{
	struct batch *batch;

	while ((batch = STAILQ_FIRST(&b->closed))) {
		STAILQ_REMOVE_HEAD(&b->closed, link);
		batch_free(batch);
	}
	batch_free(b->open);
	b->open = NULL;
}
