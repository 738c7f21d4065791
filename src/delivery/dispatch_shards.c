/*
 * dispatch_shards: what waits in memory and on disk for a shard that is full, and what is told of it.
 *
 * Invariants:
 * 1. Shards are told apart from the first answer with too much refused until none was limited for TOGETHER_NS.
 * 2. A parked row is in no queue and has no claim; its id stands once, with its shard or among the lost.
 * 3. What processors made is never parked: it goes back as a failed try does, where all of its rows can. What is known
 *    of a row that was tried is in `tried` while it is parked, and its again when it is read. In order no row is parked
 *    while one that was asked back is newer, nor a unit that was tried.
 * 4. A shard's queue takes at most a quarter of the memory, a sixteenth when it takes nothing, all of them together
 * half; but for cut rows, and in order units that were tried.
 */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "kinesis/hash.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

enum {
	FETCH_MOST = 1024,
	AWAY_PART = 8,    /* of the memory: what ids of a key's rows on disk may take before reading slows down */
	FRUITLESS = 8192, /* rows parked in a row, with none for a shard that is free, until reading pauses */
	SATED_EACH = 64,  /* rows parked until it is looked whether anybody is to be read for */
	HUNGRY_PART = 4,
	DEAD_PART = 4,
	DEAD_ASKED = 2,
	TRIED_PART = 16, /* of the memory: what is known of tried rows on disk */
	/* Of what was tried in another life, or is made of several rows, and finds no room: its shard takes nothing, or
	 * something. */
	RETURN_WAIT_S = 30,
	RETURN_SOON_S = 5,
};
#define TOGETHER_NS (30 * NS_PER_S)
#define RELIEVE_NS (INT64_C(20) * NS_PER_MS)
#define PAUSE_FIRST_NS (INT64_C(50) * NS_PER_MS)
#define PAUSE_MOST_NS (INT64_C(500) * NS_PER_MS)
#define SATED_NS (2 * NS_PER_S) /* more than until it is looked again */

static uint64_t memory_bytes(const struct dispatch *d) { return 2 * d->set.policy.cost_bytes; }

/* How much of the memory what waits for one shard may have. */
static uint64_t most_cost(const struct dispatch *d)
{
	const struct shard *s;
	uint64_t limited = 0;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		limited++;
	return memory_bytes(d) / 2 / (limited > 2 ? limited : 2);
}

/* One that takes nothing, however often it is asked, needs less: that, and the first when it takes something again. */
static uint64_t queue_most(const struct shard *s, uint64_t most)
{
	return s->rate.is_dead && s->rate.probes >= DEAD_ASKED ? most / DEAD_PART : most;
}

static uint64_t most_rows(const struct dispatch *d, uint64_t most_bytes)
{
	return d->set.policy.memory_count == 0
	           ? UINT64_MAX
	           : 2 * d->set.policy.memory_count * (most_bytes >> 10) / ((memory_bytes(d) >> 10) + 1) + 1;
}

/* A row and nothing else. */
static bool is_one_row(const struct record *r) { return !r->tracked && !r->origin; }

static bool is_of_rows(const struct record *r)
{
	bool is = is_one_row(r);

	for (uint32_t i = 0; i < r->part_count; i++)
		is &= is_one_row(r->parts[i]);
	return is;
}

/* Nothing else became of that row, so that it is sent again with nothing that was stored. */
static bool is_all_of(const struct dispatch *d, uint64_t id)
{
	const struct row *row = tracked_find(&d->tracked, id);

	return row && row->remaining == 1 && row->delivered == 0;
}

/* Of one that was made by processors: all its rows go back with it. */
static bool may_return(const struct dispatch *d, const struct record *r)
{
	bool may = !r->parts;

	for (uint32_t i = 0; may && r->origin && i < r->origin->count; i++)
		may = is_all_of(d, r->origin->ids[i]);
	return may && (r->origin || is_all_of(d, r->id));
}

/* The journal would give it again when its wait is over, not when it is asked for. */
static bool is_noted(const struct record *r)
{
	bool is = r->is_noted;

	for (uint32_t i = 0; i < r->part_count; i++)
		is |= r->parts[i]->is_noted;
	return is;
}

bool dispatch_may_park(const struct dispatch *d, const struct record *r)
{
	if (!is_of_rows(r) || (r->tries > 0 && tries_bytes(&d->tried) >= memory_bytes(d) / TRIED_PART))
		return false;
	if (d->set.lanes.is_ordered) /* a unit is sent again as it was; who may have been passed is known here alone */
		return (r->attempts == 0 || r->lane) && (r->tries == 0 || (!r->parts && d->set.lanes.records == 1));
	return !is_noted(r);
}

static void note_tries(struct dispatch *d, const struct record *r, bool noted)
{
	for (uint32_t i = 0; r->parts && i < r->part_count; i++)
		tries_note(&d->tried, r->parts[i]->id, r, noted);
	if (!r->parts)
		tries_note(&d->tried, r->id, r, noted);
}

/* Where rows of its key are counted, in order: by its place in the stream, so that a shard's are together. */
static size_t place_of(struct dispatch *d, struct record *r)
{
	uint64_t hash =
	    r->hash_key_bytes ? hasher_key(d->ready.hasher, r->key, r->key_bytes) : ready_hash(&d->ready, r);

	return hash >> 54;
}

bool dispatch_is_asked(struct dispatch *d, struct record *r)
{
	uint32_t *behind;

	if (!parked_remove(&d->asked, r->id))
		return false;
	r->was_lost = d->asked_of_lost;
	behind = d->set.lanes.is_ordered ? &d->behind[place_of(d, r)] : NULL;
	if (behind && *behind > 0)
		--*behind;
	return true;
}

bool dispatch_shards_gone(struct dispatch *d, uint64_t id)
{
	if (!parked_remove(&d->asked, id))
		return false;
	d->behind_has_gone = true;
	return true;
}

/* Whose place a row had that is gone is not known: when none is left, none is behind any. */
static void forget_gone(struct dispatch *d)
{
	const struct shard *s;

	if (!d->behind_has_gone || d->asked.ids > 0 || d->ready.shards.lost.ids > 0)
		return;
	LIST_FOREACH (s, &d->ready.shards.listed, link)
		if (s->parked.ids > 0)
			return;
	memset(d->behind, 0, sizeof d->behind);
	d->behind_has_gone = false;
}

static void note_parked(struct dispatch *d, struct parked *to, size_t place, uint64_t id)
{
	if (parked_add(to, id))
		d->behind[place]++;
}

/* Back to disk without a write: the journal forgets that it gave it. */
static void release(struct dispatch *d, struct parked *to, struct record *r)
{
	size_t place = d->set.lanes.is_ordered ? place_of(d, r) : 0;

	for (uint32_t i = 0; r->parts && i < r->part_count; i++)
		note_parked(d, to, place, r->parts[i]->id);
	if (!r->parts)
		note_parked(d, to, place, r->id);
	note_tries(d, r, false);
	metric_add(M_ROWS_PARKED, record_rows(r));
	dispatch_settle(d, r, SETTLE_RELEASE, NULL, NULL, 0);
}

/* Every shard is full and has rows here, or on disk: there is no one to read for. */
static bool is_sated(const struct dispatch *d)
{
	const struct shards *all = &d->ready.shards;
	uint64_t most = most_cost(d), known = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct shard *s = all->items[i];

		known += s->last - s->first;
		if (!s->rate.is_limited || (s->parked.ids == 0 && s->cost <= most / HUNGRY_PART))
			return false;
	}
	return !d->set.lanes.is_ordered && known > UINT64_MAX / HUNGRY_PART * (HUNGRY_PART - 1);
}

static void park(struct dispatch *d, struct shard *s, struct record *r)
{
	release(d, &s->parked, r);
	shards_list(&d->ready.shards, s);
	if (!d->is_sated && d->fruitless % SATED_EACH == 0 && (d->is_sated = is_sated(d)))
		d->rest_until_ns = d->now_ns + SATED_NS;
	if (++d->fruitless % FRUITLESS == 0) {
		int64_t pause = PAUSE_FIRST_NS;

		for (uint32_t i = FRUITLESS; i < d->fruitless && pause < PAUSE_MOST_NS; i += FRUITLESS)
			pause *= 2;
		d->rest_until_ns = d->now_ns + (pause < PAUSE_MOST_NS ? pause : PAUSE_MOST_NS);
	}
}

/* What nobody could send is read slowly. */
void dispatch_put_away(struct dispatch *d, struct lane *l, struct record *r)
{
	lanes_add_away(&d->lanes, l, r->id);
	metric_add(M_ROWS_PARKED, 1);
	dispatch_settle(d, r, SETTLE_RELEASE, NULL, NULL, 0);
	if (d->lanes.away_bytes >= memory_bytes(d) / AWAY_PART)
		d->rest_until_ns = d->now_ns + PAUSE_FIRST_NS;
}

/* Rows of that place go to disk that were here: what its keys have among the lost goes there too, when it comes. */
static void note_moved(struct dispatch *d, size_t place)
{
	d->moved[place] |= d->ready.shards.lost.ids > 0 || d->asked_of_lost;
}

static void park_from_memory(struct dispatch *d, struct shard *s, struct record *r)
{
	if (d->set.lanes.is_ordered)
		note_moved(d, place_of(d, r));
	park(d, s, r);
}

static bool may_go(const struct dispatch *d, const struct record *r)
{
	return dispatch_may_park(d, r) && (!d->set.lanes.is_ordered || d->asked.ids == 0 || r->id > d->asked_most);
}

/* What a key has behind what is elsewhere goes to disk, newest first, as far as it may: to where its newest are. */
static void shed(struct dispatch *d, struct shard *s, struct lane *l)
{
	const bool is_behind = lane_is_behind(l); /* on their way back too */
	struct record *r;

	while ((r = lanes_take_newest(&d->lanes, l))) {
		if (is_behind ? !dispatch_may_park(d, r) : !may_go(d, r)) {
			lanes_put(&d->lanes, l, r, false);
			return;
		}
		if (is_behind)
			dispatch_put_away(d, l, r);
		else
			park_from_memory(d, s, r);
	}
}

/* It goes with all that its key has, here and on disk. False: it cannot. */
static bool park_lane(struct dispatch *d, struct shard *s, struct record *r)
{
	struct lane *l = r->lane;
	size_t place = place_of(d, r), n;
	uint64_t ids[FETCH_MOST];

	if (l->out > 1 || l->asked.ids > 0)
		return false;
	shed(d, s, l);
	if (l->count > 0)
		return false;
	note_moved(d, place);
	while ((n = lanes_give_away(&d->lanes, l, ids, FETCH_MOST)) > 0)
		for (size_t i = 0; i < n; i++)
			note_parked(d, &s->parked, place, ids[i]);
	(void)shards_take_last(&d->ready.shards, s);
	park_from_memory(d, s, r);
	return true;
}

/* Until what is here is gone, of a shard that takes something. */
static int64_t return_wait_ms(const struct shard *s)
{
	double wait_s = s->count / (s->taken_s + 1);

	wait_s = s->rate.is_dead ? RETURN_WAIT_S : wait_s < 1 ? 1 : wait_s < RETURN_SOON_S ? wait_s : RETURN_SOON_S;
	return (int64_t)(wait_s * MS_PER_S);
}

/* Its attempts are written down. */
static void give_back(struct dispatch *d, const struct shard *s, struct record *r)
{
	if (tries_bytes(&d->tried) < memory_bytes(d) / TRIED_PART)
		note_tries(d, r, true);
	dispatch_settle(d, r, SETTLE_RETRY, "ShardFull", mem_string("its shard takes less than waits for it"),
	                return_wait_ms(s));
}

static void make_room(struct dispatch *d, struct shard *s, uint64_t most)
{
	uint64_t own = queue_most(s, most), rows = most_rows(d, own);
	struct record *r;

	while (s->count > 1 && memory_bytes(d) > 0 && (s->cost > own || s->rows > rows)) {
		r = TAILQ_LAST(&s->queue, record_queue);
		if (may_go(d, r) && parked_bytes(&s->parked) < most / 4) {
			if (!r->lane)
				park(d, s, shards_take_last(&d->ready.shards, s));
			else if (!park_lane(d, s, r))
				return;
		} else if (!d->set.lanes.is_ordered && (is_of_rows(r) ? r->attempts > 0 : may_return(d, r))) {
			give_back(d, s, shards_take_last(&d->ready.shards, s));
		} else {
			return;
		}
	}
}

/* Others wait on disk before it. */
static bool is_behind(const struct dispatch *d, const struct shard *s, const struct record *r)
{
	return s && s->rate.is_limited && s->parked.ids > 0 && !r->is_back && !r->lane && dispatch_may_park(d, r);
}

void dispatch_put_ready(struct dispatch *d, struct record *r)
{
	struct shard *s = ready_shard(&d->ready, r);

	if (!d->set.lanes.is_on)
		r->is_back = dispatch_is_asked(d, r);
	if (is_behind(d, s, r)) {
		park(d, s, r);
		return;
	}
	ready_put_last(&d->ready, r);
	if (s && s->rate.is_limited)
		make_room(d, s, most_cost(d));
	else
		d->fruitless = 0;
}

/* What waits for a full shard has a quarter of the memory with all that its keys have behind it. */
static void relieve_shard(struct dispatch *d, struct shard *s, uint64_t most)
{
	uint64_t rows = most_rows(d, most), cost = s->cost, count = s->rows;
	struct record *r;

	TAILQ_FOREACH (r, &s->queue, link)
		if (r->lane) {
			cost += r->lane->cost;
			count += r->lane->count;
		}
	TAILQ_FOREACH_REVERSE(r, &s->queue, record_queue, link)
	{
		if (cost <= most && count <= rows)
			break;
		if (!r->lane || parked_bytes(&s->parked) >= most / 4)
			continue;
		cost -= r->lane->cost;
		count -= r->lane->count;
		shed(d, s, r->lane);
		cost += r->lane->cost;
		count += r->lane->count;
	}
	s->lanes_cost = cost - s->cost;
	make_room(d, s, most);
}

bool dispatch_is_pressed(const struct dispatch *d)
{
	uint64_t waits = d->lanes.records + d->ready.shards.queued, most = d->set.policy.memory_count;

	return d->set.lanes.is_ordered && !d->set.lanes.is_total && memory_bytes(d) > 0 &&
	       (d->memory_bytes >= memory_bytes(d) / 2 || (most > 0 && waits >= most));
}

/* What failed comes to its shard's queue without a look at how much is there. */
static void make_rooms(struct dispatch *d)
{
	uint64_t most = most_cost(d);
	struct shard *s;

	LIST_FOREACH (s, &d->ready.shards.listed, link)
		if (s->rate.is_limited)
			make_room(d, s, most);
}

/* Returns when it wants to be called again. */
static int64_t relieve(struct dispatch *d)
{
	bool pressed = dispatch_is_pressed(d);
	uint64_t most = most_cost(d);
	struct shard *s;

	if (pressed && d->now_ns - d->relieved_ns < RELIEVE_NS)
		return d->relieved_ns + RELIEVE_NS;
	LIST_FOREACH (s, &d->ready.shards.listed, link) {
		s->lanes_cost = 0;
		if (pressed && s->rate.is_limited)
			relieve_shard(d, s, most);
	}
	if (pressed)
		d->relieved_ns = d->now_ns;
	return pressed ? d->now_ns + RELIEVE_NS : INT64_MAX;
}

/*
 * Of what comes from among the lost. What of its key was moved is with its shard. Where no shard is known it is among
 * the lost too, and comes before it: but for what was lost since it was asked for. Else all would go round for ever,
 * for nothing that is not sent says whose it is.
 */
static bool is_behind_moved(const struct dispatch *d, const struct shard *s, size_t place)
{
	return d->moved[place] && (s || d->asked_losses != d->ready.shards.losses);
}

bool dispatch_park_behind(struct dispatch *d, struct record *r)
{
	struct shard *s = ready_shard(&d->ready, r);
	size_t place;

	if (!d->set.lanes.is_ordered) {
		if (!is_behind(d, s, r))
			return false;
		park(d, s, r);
		return true;
	}
	place = place_of(d, r);
	if (r->is_back ? !r->was_lost || !is_behind_moved(d, s, place) : d->behind[place] == 0)
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
		d->asked_most = ids[i] > d->asked_most ? ids[i] : d->asked_most;
		d->ports.fetch(d->ports.arg, ids[i]);
	}
}

static void fetch_for(struct dispatch *d, struct shard *s, uint64_t most)
{
	uint64_t each = s->count > 0 ? s->cost / s->count : most / FETCH_MOST;
	uint64_t rows = most_rows(d, most) / 2;

	if (s->cost + s->lanes_cost > most / 2 || s->rows > rows)
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

/* One round at a time: what was asked for comes, or the journal says that it is gone (set aside, evicted). */
static void fetch_all(struct dispatch *d)
{
	uint64_t most = most_cost(d);
	struct shard *s;

	if (d->asked.ids > 0)
		return;
	d->asked_most = 0;
	d->asked_of_lost = d->ready.shards.lost.ids > 0;
	d->asked_losses = d->ready.shards.losses;
	if (!d->asked_of_lost)
		memset(d->moved, 0, sizeof d->moved);
	/* In order what lost its shard is older than what waits for its shard now. */
	if (d->ready.count < KINESIS_REQUEST_RECORDS)
		fetch(d, &d->ready.shards.lost, FETCH_MOST);
	if (d->set.lanes.is_ordered && (d->asked.ids > 0 || d->ready.shards.lost.ids > 0))
		return;
	LIST_FOREACH (s, &d->ready.shards.listed, link)
		fetch_for(d, s, queue_most(s, most));
}

int64_t dispatch_tend_shards(struct dispatch *d)
{
	struct shard *s, *next;
	int64_t relieve_ns;

	if (!d->ready.by_shard || d->phase == DISPATCH_STOPPING)
		return INT64_MAX;
	relieve_ns = relieve(d);
	make_rooms(d);
	forget_gone(d);
	fetch_all(d);
	if (d->is_sated)
		d->rest_until_ns = (d->is_sated = is_sated(d)) ? d->now_ns + SATED_NS : d->now_ns;
	for (s = LIST_FIRST(&d->ready.shards.listed); s; s = next) {
		next = LIST_NEXT(s, link);
		end_by_age(d, s);
		shards_list(&d->ready.shards, s);
	}
	if (!LIST_EMPTY(&d->ready.shards.listed) || d->ready.shards.lost.ids > 0)
		return relieve_ns < d->now_ns + NS_PER_S ? relieve_ns : d->now_ns + NS_PER_S;
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
	const struct record *r;

	memset(ret, 0, sizeof *ret);
	memcpy(ret->name, s->name, sizeof ret->name);
	ret->records_s = s->rate.is_dead ? 0 : (uint32_t)(s->taken_s + 0.5);
	ret->waiting = s->count;
	ret->parked = s->parked.ids;
	TAILQ_FOREACH (r, &s->queue, link)
		if (r->lane) {
			ret->waiting += r->lane->count;
			ret->parked += r->lane->away.ids + r->lane->asked.ids;
		}
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
