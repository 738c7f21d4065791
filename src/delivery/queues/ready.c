/*
 * Invariants:
 * 1. count is the number of records in the common queue, bytes the sum of what they account for.
 * 2. The queue is empty, count is 0 and bytes are 0: all three or none.
 * 3. A record that is ready has its message in memory.
 * 4. While shards are not told apart no shard is known and nothing waits for one.
 */
#include "delivery/queues/ready.h"

#include "base/check.h"
#include "kinesis/hash.h"

static void check(const struct ready *q)
{
	must(TAILQ_EMPTY(&q->queue) == (q->count == 0));
	must(q->count > 0 || q->bytes == 0);
	must(q->by_shard || (q->shards.count == 0 && q->shards.queued == 0));
}

static void count_in(struct ready *q, const struct record *r)
{
	must(r->message);
	q->count++;
	q->bytes += record_accounted(r);
}

void ready_init(struct ready *q)
{
	*q = (struct ready){.hasher = hasher_new()};
	TAILQ_INIT(&q->queue);
	shards_init(&q->shards);
}

uint64_t ready_hash(struct ready *q, struct record *r)
{
	if (!r->is_hashed) {
		r->hash = r->hash_key_bytes ? hash_of_number(record_hash_key(r), r->hash_key_bytes)
		                            : hasher_key(q->hasher, r->key, r->key_bytes);
		r->is_hashed = true;
	}
	return r->hash;
}

struct shard *ready_shard(struct ready *q, struct record *r)
{
	return q->by_shard ? shards_find(&q->shards, ready_hash(q, r)) : NULL;
}

static struct shard *limited_shard(struct ready *q, struct record *r)
{
	struct shard *s = ready_shard(q, r);

	return s && s->rate.is_limited ? s : NULL;
}

bool ready_is_limited(struct ready *q, struct record *r) { return limited_shard(q, r) != NULL; }

void ready_put_last(struct ready *q, struct record *r)
{
	struct shard *s = limited_shard(q, r);

	check(q);
	if (s) {
		shards_queue_last(&q->shards, s, r);
		return;
	}
	TAILQ_INSERT_TAIL(&q->queue, r, link);
	count_in(q, r);
}

void ready_put_first(struct ready *q, struct record *r)
{
	struct shard *s = limited_shard(q, r);

	check(q);
	if (s) {
		shards_queue_first(&q->shards, s, r);
		return;
	}
	TAILQ_INSERT_HEAD(&q->queue, r, link);
	count_in(q, r);
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

struct record *ready_first(struct ready *q)
{
	struct record *r;
	struct shard *s;

	while ((r = TAILQ_FIRST(&q->queue)) && (s = limited_shard(q, r)))
		shards_queue_last(&q->shards, s, take(q, r));
	return r;
}

void ready_end_batch(struct ready *q)
{
	struct record *last = TAILQ_LAST(&q->queue, record_queue);

	if (last)
		last->ends_batch = true;
}

struct record *ready_take(struct ready *q) { return take(q, ready_first(q)); }

struct record *ready_take_last(struct ready *q) { return take(q, TAILQ_LAST(&q->queue, record_queue)); }

void ready_tell_apart(struct ready *q) { q->by_shard = true; }

void ready_tell_nothing(struct ready *q)
{
	must(LIST_EMPTY(&q->shards.listed) && q->shards.queued == 0);
	shards_fini(&q->shards);
	q->by_shard = false;
}

void ready_put_strays(struct ready *q, struct record_queue *strays)
{
	struct record *r;

	while ((r = TAILQ_LAST(strays, record_queue))) {
		TAILQ_REMOVE(strays, r, link);
		ready_put_first(q, r);
	}
}

void ready_sort(struct ready *q)
{
	struct record *r, *next;
	struct shard *s;

	for (r = TAILQ_FIRST(&q->queue); r; r = next) {
		next = TAILQ_NEXT(r, link);
		if ((s = limited_shard(q, r)))
			shards_queue_last(&q->shards, s, take(q, r));
	}
}

void ready_unlimit(struct ready *q, struct shard *s)
{
	struct record *r;

	must(!s->rate.is_limited);
	while ((r = shards_take_last(&q->shards, s)))
		ready_put_first(q, r);
	shards_list(&q->shards, s);
}

int64_t ready_shards_due_ns(const struct ready *q, int64_t now_ns)
{
	const struct shard *s;
	int64_t due = INT64_MAX, its;

	LIST_FOREACH (s, &q->shards.listed, link)
		if (s->count > 0 && (its = shard_rate_due_ns(&s->rate, now_ns)) < due)
			due = its;
	return due;
}

void ready_fini(struct ready *q)
{
	struct record *r;

	while ((r = take(q, TAILQ_FIRST(&q->queue))))
		record_free(r);
	shards_fini(&q->shards);
	hasher_free(q->hasher);
}
