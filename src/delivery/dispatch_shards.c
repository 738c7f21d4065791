/*
 * dispatch_shards: what answers teach of shards, and what waits on disk for one that is full.
 *
 * Invariants:
 * 1. Shards are told apart from the first answer with too much refused until none was limited for TOGETHER_NS.
 * 2. A parked row is in no queue and has no claim; its id stands once, with its shard or among the lost.
 * 3. What was tried, or was made of several rows, is never parked: what is known of it would be forgotten.
 * 4. A shard's queue takes at most a quarter of the memory, all of them together half, what was tried apart.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

enum {
	FETCH_MOST = 1024,
	FRUITLESS = 8192,   /* rows parked in a row, with none for a shard that is free, until reading pauses */
	RETURN_WAIT_S = 30, /* of what was tried in another life and finds no room */
};
#define TOGETHER_NS (30 * NS_PER_S)
#define FETCH_AGAIN_NS (5 * NS_PER_S) /* what was asked back and did not come is gone: set aside, or evicted */
#define GONE_AGAIN_NS (INT64_C(200) * NS_PER_MS) /* and so is what stood behind it, most likely */
#define PAUSE_FIRST_NS (INT64_C(50) * NS_PER_MS)
#define PAUSE_MOST_NS (INT64_C(500) * NS_PER_MS)
#define RATE_MEMORY_S 5.0

static uint64_t memory_bytes(const struct dispatch *d) { return 2 * d->set.policy.cost_bytes; }

static bool is_told(const struct answer *a, uint32_t i, char name[SHARD_NAME_BYTES])
{
	const struct outcome *o;

	name[0] = '\0';
	if (a->entries[i].stored) {
		strncat(name, answer_shard(a, i), SHARD_NAME_BYTES - 1);
		return name[0] != '\0';
	}
	o = outcome_find(OUTCOME_RECORD, false, 0, answer_code(a, i), answer_text(a, i));
	shards_named(answer_text(a, i), name);
	return o->action == ACTION_SLOWER || o->action == ACTION_AGAIN;
}

static bool is_refused(const struct answer *a, uint32_t i)
{
	char name[SHARD_NAME_BYTES];

	return !a->entries[i].stored && is_told(a, i, name);
}

static uint32_t count_refused(const struct answer *a)
{
	uint32_t n = 0;

	for (uint32_t i = 0; a->stored < a->count && i < a->count; i++)
		n += is_refused(a, i);
	return n;
}

/* Too much was refused, or what was refused here and there fills the memory. */
static bool must_tell_apart(const struct dispatch *d, const struct answer *a)
{
	uint32_t refused = count_refused(a);

	if (refused == 0)
		return false;
	return refused > SHARD_TOLERATED * a->count ||
	       (d->set.policy.memory_count > 0 && d->waiting.count > d->set.policy.memory_count / 4);
}

static void learn(struct dispatch *d, const struct request *q, const struct answer *a)
{
	struct record_queue strays = TAILQ_HEAD_INITIALIZER(strays);

	for (uint32_t i = 0; i < q->count; i++) {
		char name[SHARD_NAME_BYTES];

		if (is_told(a, i, name))
			(void)shards_learn(&d->ready.shards, ready_hash(&d->ready, q->records[i]), name, &strays);
	}
	ready_put_strays(&d->ready, &strays);
}

static void note_taken(struct shard *s, uint32_t records, int64_t now_ns)
{
	double lasted = (double)(now_ns - s->taken_at_ns) / (double)NS_PER_S, weight;

	s->taken_waits += records;
	if (lasted < 1)
		return;
	weight = s->taken_at_ns == 0 ? 1 : lasted < RATE_MEMORY_S ? lasted / RATE_MEMORY_S : 1;
	s->taken_s += weight * ((double)s->taken_waits / (s->taken_at_ns == 0 ? 1 : lasted) - s->taken_s);
	s->taken_waits = 0;
	s->taken_at_ns = now_ns;
}

static struct shard *share_in(struct dispatch *d, struct record *r, bool is_taken, bool is_refused_now)
{
	struct shard *s = ready_shard(&d->ready, r);
	double cost = shard_cost(record_accounted(r));

	if (!s || (!is_taken && !is_refused_now))
		return NULL;
	s->share.records_taken += is_taken;
	s->share.records_refused += is_refused_now;
	s->share.taken += is_taken ? cost : 0;
	s->share.refused += is_refused_now ? cost : 0;
	if (s->rate.is_limited)
		heavy_add(&s->heavy, ready_hash(&d->ready, r), r->key, r->key_bytes);
	return s;
}

static void judge(struct dispatch *d, struct shard *s, int64_t sent_ns, bool *ret_changed)
{
	bool was = s->rate.is_limited;

	if (shard_rate_answered(&s->rate, &s->share, sent_ns, d->now_ns)) {
		*ret_changed = true;
		LOG_LIMITED(LOG_WARN, "shard limits", LOG_S("shard", s->name),
		            LOG_U("refused", s->share.records_refused), LOG_U("taken", s->share.records_taken));
	}
	note_taken(s, s->share.records_taken, d->now_ns);
	s->share = (struct shard_share){0};
	if (was && !s->rate.is_limited)
		ready_unlimit(&d->ready, s);
	shards_list(&d->ready.shards, s);
	if (s->rate.is_limited)
		d->limited_ns = d->now_ns;
}

void dispatch_note_shards(struct dispatch *d, struct request *q, const struct answer *a)
{
	struct shard *touched[KINESIS_REQUEST_RECORDS];
	uint32_t count = 0;
	bool changed = false;

	if (!d->ready.by_shard && !must_tell_apart(d, a))
		return;
	ready_tell_apart(&d->ready);
	learn(d, q, a);
	for (uint32_t i = 0; i < q->count; i++) {
		struct shard *s = share_in(d, q->records[i], a->entries[i].stored, is_refused(a, i));

		if (s && s->share.records_taken + s->share.records_refused == 1)
			touched[count++] = s;
	}
	for (uint32_t i = 0; i < count; i++)
		judge(d, touched[i], q->sent_ns, &changed);
	if (changed)
		ready_sort(&d->ready);
}

bool dispatch_is_one_shards(struct dispatch *d, const struct request *q, const struct answer *a)
{
	const struct shards *all = &d->ready.shards;

	for (uint32_t i = 0; i < q->count; i++) {
		const struct shard *s = ready_shard(&d->ready, q->records[i]);

		if (!s || !s->rate.is_limited || a->entries[i].stored)
			return false;
	}
	for (size_t i = 0; i < all->count; i++)
		if (!all->items[i]->rate.is_limited)
			return true;
	return false;
}

/* How much of the memory what waits for one shard may have. */
static uint64_t most_cost(const struct dispatch *d)
{
	const struct shard *s;
	uint64_t limited = 0;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		limited++;
	return memory_bytes(d) / 2 / (limited > 2 ? limited : 2);
}

static uint64_t most_rows(const struct dispatch *d, uint64_t most_bytes)
{
	return d->set.policy.memory_count == 0
	           ? UINT64_MAX
	           : 2 * d->set.policy.memory_count * (most_bytes >> 10) / ((memory_bytes(d) >> 10) + 1) + 1;
}

static bool may_park_one(const struct record *r)
{
	return r->tries == 0 && (r->attempts == 0 || r->lane) && !r->tracked && !r->origin;
}

bool dispatch_may_park(const struct record *r)
{
	bool may = may_park_one(r);

	for (uint32_t i = 0; i < r->part_count; i++)
		may &= may_park_one(r->parts[i]);
	return may;
}

/* Null where there is no order. */
static uint32_t *behind_of(struct dispatch *d, struct record *r)
{
	return d->set.lanes.is_ordered ? &d->behind[ready_hash(&d->ready, r) >> 54] : NULL;
}

bool dispatch_is_asked(struct dispatch *d, struct record *r)
{
	uint32_t *behind;

	if (!parked_remove(&d->asked, r->id))
		return false;
	r->was_lost = d->asked_of_lost;
	behind = behind_of(d, r);
	if (behind && *behind > 0)
		--*behind;
	return true;
}

bool dispatch_is_gone(const struct dispatch *d, int64_t asked_ns)
{
	if (!d->set.lanes.is_ordered)
		return d->now_ns - asked_ns >= (d->gone_rounds > 0 ? GONE_AGAIN_NS : FETCH_AGAIN_NS);
	if (d->batcher.messages > 0 || d->preparing.batch)
		return false; /* it may have come, and was not looked at yet */
	return d->newest_ns - asked_ns >= FETCH_AGAIN_NS;
}

/* Back to disk without a write: the journal forgets that it gave it. */
static void release(struct dispatch *d, struct parked *to, struct record *r)
{
	uint32_t *behind = behind_of(d, r);

	if (behind)
		*behind += r->parts ? r->part_count : 1;
	for (uint32_t i = 0; r->parts && i < r->part_count; i++)
		(void)parked_add(to, r->parts[i]->id);
	if (!r->parts)
		(void)parked_add(to, r->id);
	metric_add(M_ROWS_PARKED, record_rows(r));
	dispatch_settle(d, r, SETTLE_RELEASE, NULL, NULL, 0);
}

static void park(struct dispatch *d, struct shard *s, struct record *r)
{
	/* In order what lost its shard is asked for first, and is older than what its shard has now. */
	release(d, d->set.lanes.is_ordered && r->was_lost ? &d->ready.shards.lost : &s->parked, r);
	shards_list(&d->ready.shards, s);
	if (++d->fruitless % FRUITLESS == 0) {
		int64_t pause = PAUSE_FIRST_NS;

		for (uint32_t i = FRUITLESS; i < d->fruitless && pause < PAUSE_MOST_NS; i += FRUITLESS)
			pause *= 2;
		d->rest_until_ns = d->now_ns + (pause < PAUSE_MOST_NS ? pause : PAUSE_MOST_NS);
	}
}

/* With all that its key has behind it. */
static void park_lane(struct dispatch *d, struct shard *s, struct record *r)
{
	struct lane *l = r->lane;
	struct record *behind;

	while ((behind = lanes_take_newest(&d->lanes, l)))
		park(d, s, behind);
	park(d, s, r);
}

/* All that its key has here may go with it. */
static bool lane_may_park(const struct lane *l)
{
	const struct record *r;

	TAILQ_FOREACH (r, &l->queue, link)
		if (!dispatch_may_park(r))
			return false;
	return l->out == 1;
}

/* Its key's rows on disk are asked for by the key, not by the shard: it stays. */
static bool may_park_now(const struct record *r)
{
	return dispatch_may_park(r) && (!r->lane || (!lane_is_behind(r->lane) && lane_may_park(r->lane)));
}

static void make_room(struct dispatch *d, struct shard *s)
{
	uint64_t most = most_cost(d), rows = most_rows(d, most);
	struct record *r;

	/* In order nothing goes to disk past what comes from there. */
	while (s->count > 1 && memory_bytes(d) > 0 && (d->asked.ids == 0 || !d->set.lanes.is_ordered) &&
	       (s->cost > most || s->count > rows)) {
		r = TAILQ_LAST(&s->queue, record_queue);
		if (may_park_now(r) && parked_bytes(&s->parked) < most / 4) {
			(void)shards_take_last(&d->ready.shards, s);
			if (r->lane)
				park_lane(d, s, r);
			else
				park(d, s, r);
		} else if (r->attempts > 0 && r->tries == 0 && !r->lane)
			dispatch_settle(d, shards_take_last(&d->ready.shards, s), SETTLE_RETRY, "ShardFull",
			                mem_string("its shard takes less than waits for it"), RETURN_WAIT_S * MS_PER_S);
		else
			return;
	}
}

void dispatch_put_ready(struct dispatch *d, struct record *r)
{
	struct shard *s = ready_shard(&d->ready, r);
	bool is_back = r->is_back || (!d->set.lanes.is_on && dispatch_is_asked(d, r));

	if (s && s->rate.is_limited && s->parked.ids > 0 && !is_back && !r->lane && dispatch_may_park(r)) {
		park(d, s, r); /* others wait on disk before it */
		return;
	}
	ready_put_last(&d->ready, r);
	if (s && s->rate.is_limited)
		make_room(d, s);
	else
		d->fruitless = 0;
}

bool dispatch_park_behind(struct dispatch *d, struct record *r)
{
	struct shard *s = ready_shard(&d->ready, r);

	if (*behind_of(d, r) == 0)
		return false;
	if (s)
		park(d, s, r);
	else
		release(d, &d->ready.shards.lost, r);
	return true;
}

/* Asks for rows again that have room now. */
static void fetch(struct dispatch *d, struct parked *from, size_t most)
{
	uint64_t ids[FETCH_MOST];
	size_t n = parked_take(from, ids, most < FETCH_MOST ? most : FETCH_MOST);

	for (size_t i = 0; i < n; i++) {
		(void)parked_add(&d->asked, ids[i]);
		d->ports.fetch(d->ports.arg, ids[i]);
	}
	d->asked_ns = d->now_ns;
}

static void fetch_for(struct dispatch *d, struct shard *s, uint64_t most)
{
	uint64_t each = s->count > 0 ? s->cost / s->count : most / FETCH_MOST;
	uint64_t rows = most_rows(d, most) / 2;

	if (s->cost > most / 2 || s->count > rows)
		return;
	if (most / 2 / (each + 1) < rows)
		rows = most / 2 / (each + 1) + 1;
	fetch(d, &s->parked, rows);
}

static void end_by_age(struct dispatch *d, struct shard *s)
{
	struct record *r;

	while ((r = shards_take(&d->ready.shards, s)) && !(r = dispatch_within_age(d, r)))
		;
	if (r)
		shards_queue_first(&d->ready.shards, s, r);
}

/* One round at a time: what was asked for comes, or is gone (set aside, evicted) when it does not. */
static void fetch_all(struct dispatch *d)
{
	uint64_t most = most_cost(d);
	struct shard *s;

	if (d->asked.ids > 0 && !dispatch_is_gone(d, d->asked_ns))
		return;
	d->gone_rounds = d->asked.ids > 0;
	parked_fini(&d->asked);
	d->asked_of_lost = d->ready.shards.lost.ids > 0;
	/* In order what lost its shard is older than what waits for its shard now. */
	if (d->ready.count < KINESIS_REQUEST_RECORDS)
		fetch(d, &d->ready.shards.lost, FETCH_MOST);
	if (d->set.lanes.is_ordered && (d->asked.ids > 0 || d->ready.shards.lost.ids > 0))
		return;
	LIST_FOREACH (s, &d->ready.shards.listed, link)
		fetch_for(d, s, most);
}

int64_t dispatch_tend_shards(struct dispatch *d)
{
	struct shard *s, *next;

	if (!d->ready.by_shard || d->phase == DISPATCH_STOPPING)
		return INT64_MAX;
	fetch_all(d);
	for (s = LIST_FIRST(&d->ready.shards.listed); s; s = next) {
		next = LIST_NEXT(s, link);
		end_by_age(d, s);
		shards_list(&d->ready.shards, s);
	}
	if (!LIST_EMPTY(&d->ready.shards.listed) || d->ready.shards.lost.ids > 0)
		return d->now_ns + NS_PER_S;
	if (d->now_ns - d->limited_ns > TOGETHER_NS && d->asked.ids == 0) {
		ready_tell_nothing(&d->ready);
		memset(d->behind, 0, sizeof d->behind);
	}
	return INT64_MAX;
}

static uint64_t waits_for(const struct shard *s) { return s->count + s->parked.ids; }

static void tell(const struct shard *s, struct delivery_shard *ret)
{
	double share = 0;
	const struct heavy_key *key = heavy_first(&s->heavy, &share);

	memset(ret, 0, sizeof *ret);
	memcpy(ret->name, s->name, sizeof ret->name);
	ret->records_s = s->rate.is_dead ? 0 : (uint32_t)(s->taken_s + 0.5);
	ret->waiting = s->count;
	ret->parked = s->parked.ids;
	if (key) {
		memcpy(ret->key, key->text, sizeof ret->key);
		ret->key_percent = (uint32_t)(share * 100 + 0.5);
	}
}

void dispatch_shards_status(const struct dispatch *d, struct delivery_status *ret)
{
	const struct shard *most[LIMITING_SHARDS] = {0}, *s;

	LIST_FOREACH (s, &d->ready.shards.listed, link) {
		const struct shard *one = s;

		if (!s->rate.is_limited)
			continue;
		ret->shards_limited++;
		for (size_t i = 0; i < LIMITING_SHARDS && one; i++)
			if (!most[i] || waits_for(one) > waits_for(most[i])) {
				const struct shard *less = most[i];

				most[i] = one;
				one = less;
			}
	}
	for (; ret->shard_count < LIMITING_SHARDS && most[ret->shard_count]; ret->shard_count++)
		tell(most[ret->shard_count], &ret->shards[ret->shard_count]);
	metric_set(M_SHARDS_LIMITED, ret->shards_limited);
}
