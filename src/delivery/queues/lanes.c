/*
 * Invariants:
 * 1. A lane is in the table while it has a record, here or elsewhere, or a row on disk; else it rests, or is freed.
 * 2. A queue is in ascending ids; in order nothing of a lane goes past a smaller id that waits on disk.
 * 3. A lane is in `ripe` or `filling` exactly when it may give a record: it has one, and in order nothing is elsewhere
 *    (or fewer than rules.records in the same run) and nothing before it is on disk.
 * 4. `records` is the sum of all counts. A lane is in `behind` exactly when it has rows on disk or on their way back.
 */
#include "delivery/queues/lanes.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/random.h"
#include "kinesis/aggregate.h"

enum { FIRST_PLACES = 64 };

void lanes_init(struct lanes *all, const struct lanes_rules *rules)
{
	*all = (struct lanes){.rules = *rules, .seed = random_u64() | 1};
	TAILQ_INIT(&all->ripe);
	TAILQ_INIT(&all->filling);
	TAILQ_INIT(&all->resting);
	TAILQ_INIT(&all->behind);
}

/* FNV-1a from a secret start, mixed: keys are a stranger's, and must not be able to meet in one place. */
static uint32_t hash_of(const struct lanes *all, const char *key, size_t bytes)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ all->seed;

	for (size_t i = 0; i < bytes; i++) {
		h = (h ^ (unsigned char)key[i]) * all->seed;
		h ^= h >> 32;
	}
	return (uint32_t)(h >> 16);
}

static struct lane **place_of(const struct lanes *all, uint32_t hash) { return &all->table[hash & (all->places - 1)]; }

static void grow(struct lanes *all)
{
	struct lane **old = all->table;
	size_t places = all->places;

	all->places = places ? 2 * places : FIRST_PLACES;
	all->table = mem_zero(all->places * sizeof(struct lane *));
	all->cost += (all->places - places) * sizeof(struct lane *);
	for (size_t i = 0; i < places; i++)
		for (struct lane *l = old[i], *next; l; l = next) {
			struct lane **to = place_of(all, l->hash);

			next = l->next;
			l->next = *to;
			*to = l;
		}
	free(old);
}

static uint64_t cost_of(const struct lane *l) { return sizeof *l + l->key_bytes; }

static uint32_t key_bytes_of(const struct lanes *all, const struct record *r)
{
	return all->rules.is_total ? 0 : r->key_bytes;
}

struct lane *lanes_find(const struct lanes *all, const struct record *r)
{
	const uint32_t bytes = key_bytes_of(all, r), hash = hash_of(all, r->key, bytes);
	struct lane *l = all->places ? *place_of(all, hash) : NULL;

	while (l && (l->hash != hash || l->key_bytes != bytes || memcmp(l->key, r->key, bytes) != 0))
		l = l->next;
	return l;
}

struct lane *lanes_of(struct lanes *all, const struct record *r)
{
	const uint32_t bytes = key_bytes_of(all, r), hash = hash_of(all, r->key, bytes);
	struct lane *l = lanes_find(all, r);

	if (l)
		return l;
	if (all->count >= all->places)
		grow(all);
	l = mem_zero(sizeof *l + bytes);
	TAILQ_INIT(&l->queue);
	l->hash = hash;
	l->before_id = UINT64_MAX;
	l->key_bytes = bytes;
	memcpy(l->key, r->key, bytes);
	l->next = *place_of(all, hash);
	*place_of(all, hash) = l;
	all->count++;
	all->cost += cost_of(l);
	return l;
}

static void leave_turns(struct lanes *all, struct lane *l)
{
	if (l->place == LANE_RIPE)
		TAILQ_REMOVE(&all->ripe, l, turn);
	else if (l->place == LANE_FILLS)
		TAILQ_REMOVE(&all->filling, l, turn);
	else if (l->place == LANE_RESTS)
		TAILQ_REMOVE(&all->resting, l, turn);
	all->resting_count -= l->place == LANE_RESTS;
	l->place = LANE_IDLE;
}

static void end_lane(struct lanes *all, struct lane *l)
{
	struct lane **at = place_of(all, l->hash);

	must(l->place == LANE_IDLE && l->count == 0 && !lane_is_behind(l));
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	all->count--;
	all->cost -= cost_of(l);
	free(l->mark.text);
	free(l);
}

static bool may_give(const struct lanes *all, const struct lane *l)
{
	const struct record *r = TAILQ_FIRST(&l->queue);

	if (!r)
		return false;
	return !all->rules.is_ordered || (l->out == 0 && r->id < l->before_id);
}

static bool is_full(const struct lanes *all, const struct lane *l)
{
	const struct record *r = TAILQ_FIRST(&l->queue);

	/* What is on disk comes when this has left. */
	return !all->rules.aggregates || r->id <= l->plain_to || lane_is_behind(l) ||
	       l->bytes + aggregate_frame_bytes(r->key_bytes, r->hash_key_bytes) + r->key_bytes >=
	           all->rules.target_bytes;
}

static void insert_filling(struct lanes *all, struct lane *l)
{
	struct lane *before = TAILQ_LAST(&all->filling, lane_turns);

	while (before && before->due_ns > l->due_ns)
		before = TAILQ_PREV(before, lane_turns, turn);
	if (before)
		TAILQ_INSERT_AFTER(&all->filling, before, l, turn);
	else
		TAILQ_INSERT_HEAD(&all->filling, l, turn);
}

/* It has nothing. What was stored of it last is known a while longer. */
static void rest(struct lanes *all, struct lane *l)
{
	leave_turns(all, l);
	if (!l->mark.text) {
		end_lane(all, l);
		return;
	}
	l->place = LANE_RESTS;
	TAILQ_INSERT_TAIL(&all->resting, l, turn);
	if (++all->resting_count > LANES_RESTING) {
		l = TAILQ_FIRST(&all->resting);
		leave_turns(all, l);
		end_lane(all, l);
	}
}

/* Where it belongs after a change; frees it when it has nothing. */
static void settle_place(struct lanes *all, struct lane *l)
{
	enum lane_place place = !may_give(all, l) ? LANE_IDLE : is_full(all, l) ? LANE_RIPE : LANE_FILLS;

	if (place != l->place && (place != LANE_IDLE || l->place != LANE_RESTS)) {
		leave_turns(all, l);
		l->place = place;
		if (place == LANE_FILLS) {
			l->due_ns = TAILQ_FIRST(&l->queue)->since_ns + all->rules.period_ns;
			insert_filling(all, l);
		} else if (place == LANE_RIPE) {
			TAILQ_INSERT_TAIL(&all->ripe, l, turn);
		}
	}
	if (l->count == 0 && l->out == 0 && !lane_is_behind(l))
		rest(all, l);
}

static uint64_t item_bytes(const struct record *r)
{
	return aggregate_item_bytes(r->hash_key_bytes > 0, r->data_bytes);
}

static void count_in(struct lanes *all, struct lane *l, const struct record *r)
{
	l->count++;
	l->bytes += item_bytes(r);
	l->cost += message_cost(r->message);
	all->records++;
}

static struct record *take_out(struct lanes *all, struct lane *l, struct record *r)
{
	TAILQ_REMOVE(&l->queue, r, link);
	must(l->count > 0 && all->records > 0);
	l->count--;
	l->bytes -= item_bytes(r);
	l->cost -= message_cost(r->message);
	all->records--;
	return r;
}

void lanes_put(struct lanes *all, struct lane *l, struct record *r, bool is_back)
{
	struct record *before = TAILQ_LAST(&l->queue, record_queue);

	must(r->message);
	while (before && before->id > r->id)
		before = TAILQ_PREV(before, record_queue, link);
	if (before)
		TAILQ_INSERT_AFTER(&l->queue, before, r, link);
	else
		TAILQ_INSERT_HEAD(&l->queue, r, link);
	count_in(all, l, r);
	r->lane = NULL;
	if (is_back) {
		must(l->out > 0);
		l->out--;
	}
	settle_place(all, l);
}

void lanes_put_by_itself(struct lanes *all, struct lane *l, struct record *r)
{
	if (r->id > l->single_to)
		l->single_to = r->id;
	lanes_put(all, l, r, true);
}

void lanes_left(struct lanes *all, struct lane *l)
{
	must(l->out > 0);
	l->out--;
	settle_place(all, l);
}

struct record *lanes_take_newest(struct lanes *all, struct lane *l)
{
	struct record *r = TAILQ_LAST(&l->queue, record_queue);

	if (!r)
		return NULL;
	(void)take_out(all, l, r);
	if (l->count == 0)
		leave_turns(all, l);
	return r;
}

struct lane *lanes_next(const struct lanes *all, int64_t now_ns, bool force)
{
	struct lane *l = TAILQ_FIRST(&all->filling);

	/* Who waited for its time is as old as who is full: neither stands behind the other for ever. */
	if (l && l->due_ns <= now_ns)
		return l;
	if (!TAILQ_EMPTY(&all->ripe))
		return TAILQ_FIRST(&all->ripe);
	return force ? l : NULL;
}

/* What was joined before goes again as it is: no reader takes an aggregate out of an aggregate. */
static bool goes_with(const struct record *first, const struct record *r)
{
	return !r->parts && r->key_bytes == first->key_bytes && memcmp(r->key, first->key, r->key_bytes) == 0 &&
	       r->hash_key_bytes == first->hash_key_bytes &&
	       (r->hash_key_bytes == 0 || memcmp(record_hash_key(r), record_hash_key(first), r->hash_key_bytes) == 0);
}

uint32_t lanes_take(struct lanes *all, struct lane *l, uint64_t most_bytes, struct record **ret, uint32_t most)
{
	struct record *r = TAILQ_FIRST(&l->queue);
	const bool joins = all->rules.aggregates && r->id > l->plain_to;
	uint64_t bytes = aggregate_frame_bytes(r->key_bytes, r->hash_key_bytes) + r->key_bytes;
	uint32_t n = 0, limit = joins && !r->parts ? most : 1;

	if (!joins && all->rules.is_ordered && r->id > l->single_to)
		limit = all->rules.records;
	must(may_give(all, l) && most > 0);
	leave_turns(all, l);
	while (r && n < limit && n < most && r->id < l->before_id && (n == 0 || !joins || goes_with(ret[0], r)) &&
	       (n == 0 || !joins || bytes + item_bytes(r) <= most_bytes)) {
		bytes += item_bytes(r);
		ret[n++] = take_out(all, l, r);
		r = TAILQ_FIRST(&l->queue);
	}
	for (uint32_t i = 0; all->rules.is_ordered && i < n; i++)
		ret[i]->lane = l;
	if (all->rules.is_ordered)
		l->out += joins ? 1 : n;
	settle_place(all, l);
	return n;
}

void lanes_hasten(struct lanes *all, int64_t period_ns, int64_t now_ns)
{
	struct lane *l;

	if (all->rules.period_ns > period_ns)
		all->rules.period_ns = period_ns;
	TAILQ_FOREACH (l, &all->filling, turn)
		if (l->due_ns > now_ns + period_ns)
			l->due_ns = now_ns + period_ns;
}

int64_t lanes_due_ns(const struct lanes *all)
{
	const struct lane *l = TAILQ_FIRST(&all->filling);

	return !TAILQ_EMPTY(&all->ripe) ? INT64_MIN : l ? l->due_ns : INT64_MAX;
}

static uint64_t bytes_of(const struct lane *l) { return parked_bytes(&l->away) + parked_bytes(&l->asked); }

/* After a change of what is on disk. */
static void look_behind(struct lanes *all, struct lane *l, uint64_t bytes_before)
{
	uint64_t away = parked_smallest(&l->away), asked = parked_smallest(&l->asked);
	bool was = lane_is_behind(l);

	all->away_bytes += bytes_of(l) - bytes_before;
	l->before_id = away < asked ? away : asked;
	if (!was && lane_is_behind(l))
		TAILQ_INSERT_TAIL(&all->behind, l, behind);
	else if (was && !lane_is_behind(l))
		TAILQ_REMOVE(&all->behind, l, behind);
}

void lanes_add_away(struct lanes *all, struct lane *l, uint64_t id)
{
	uint64_t before = bytes_of(l);

	(void)parked_add(&l->away, id);
	look_behind(all, l, before);
	settle_place(all, l);
}

bool lanes_remove_away(struct lanes *all, struct lane *l, uint64_t id)
{
	uint64_t before = bytes_of(l);

	if (!parked_remove(&l->asked, id))
		return false;
	look_behind(all, l, before);
	return true; /* its record comes with lanes_put, which finds the place */
}

size_t lanes_ask(struct lanes *all, struct lane *l, uint64_t *ret, size_t most)
{
	uint64_t before = bytes_of(l);
	size_t n = parked_take(&l->away, ret, most);

	for (size_t i = 0; i < n; i++)
		(void)parked_add(&l->asked, ret[i]);
	look_behind(all, l, before);
	return n;
}

size_t lanes_give_away(struct lanes *all, struct lane *l, uint64_t *ret, size_t most)
{
	uint64_t before = bytes_of(l);
	size_t n = parked_take(&l->away, ret, most);

	look_behind(all, l, before);
	return n;
}

bool lanes_lose_asked(struct lanes *all, struct lane *l, uint64_t id)
{
	if (!lanes_remove_away(all, l, id))
		return false;
	settle_place(all, l);
	return true;
}

/* Numbers without leading zeros. */
static bool is_greater(const char *a, const char *b)
{
	size_t a_digits = strlen(a), b_digits = strlen(b);

	return a_digits != b_digits ? a_digits > b_digits : strcmp(a, b) > 0;
}

bool lanes_mark(struct lane *l, const char *shard, const char *sequence)
{
	const char *last = l->mark.text;
	bool is_in_order = !last || strcmp(last, shard) != 0 || is_greater(sequence, last + strlen(last) + 1);
	size_t shard_bytes = strlen(shard) + 1, sequence_bytes = strlen(sequence) + 1;

	if (!is_in_order)
		return false;
	free(l->mark.text);
	l->mark.text = mem_alloc(shard_bytes + sequence_bytes);
	memcpy(l->mark.text, shard, shard_bytes);
	memcpy(l->mark.text + shard_bytes, sequence, sequence_bytes);
	return true;
}

void lanes_fini(struct lanes *all)
{
	for (size_t i = 0; i < all->places; i++)
		while (all->table[i]) {
			struct lane *l = all->table[i];

			leave_turns(all, l);
			while (l->count > 0)
				record_free(take_out(all, l, TAILQ_FIRST(&l->queue)));
			uint64_t before = bytes_of(l);

			parked_fini(&l->away);
			parked_fini(&l->asked);
			look_behind(all, l, before);
			end_lane(all, l);
		}
	free(all->table);
	*all = (struct lanes){.rules = all->rules, .seed = all->seed};
}
