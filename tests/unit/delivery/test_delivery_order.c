/*
 * Order and aggregation in virtual time: what a reader of the stream sees of each key, against the order in which the
 * messages were accepted, while requests fail, are throttled, get lost or are stored without a word.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "delivery/dispatch_internal.h"
#include "kinesis/hash.h"
#include "rig/shard_world.h"

enum { ROWS = 20000, KEYS_MOST = 1000 };

/* A reader: the order of the first copies, for each key. */
struct reader {
	uint32_t keys;
	double skew; /* Zipf's; 0: uniform */
	double sums[KEYS_MOST + 1];
	uint32_t key_of[ROWS + 1];
	bool seen[ROWS + 1];
	uint64_t last[KEYS_MOST]; /* newest first copy */
	uint64_t newest;          /* of all keys */
	uint64_t first_copies, copies, breaches, total_breaches;
	uint64_t poison; /* every so many-th id is refused; 0: none */
};

static void draw_keys(struct reader *r, uint64_t seed)
{
	double sum = 0;

	for (uint32_t k = 0; k < r->keys; k++)
		r->sums[k] = sum += pow(k + 1, -r->skew);
	for (uint64_t id = 1; id <= ROWS; id++) {
		double at;
		uint32_t low = 0, high = r->keys - 1;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		at = (double)(seed >> 11) / 9007199254740992.0 * sum;
		while (low < high) {
			uint32_t middle = (low + high) / 2;

			if (r->sums[middle] < at)
				low = middle + 1;
			else
				high = middle;
		}
		r->key_of[id] = low;
	}
}

static void key_text(void *arg, uint64_t id, char *text)
{
	const struct reader *r = arg;

	(void)snprintf(text, 64, "pump-%" PRIu32, r->key_of[id]);
}

static void on_stored(void *arg, const struct record *record)
{
	struct reader *r = arg;
	uint64_t id = record->id, *last = &r->last[r->key_of[id]];

	r->copies++;
	if (r->seen[id])
		return;
	r->seen[id] = true;
	r->first_copies++;
	r->breaches += id < *last;
	r->total_breaches += id < r->newest;
	if (id > *last)
		*last = id;
	if (id > r->newest)
		r->newest = id;
}

static bool is_poison(void *arg, const struct record *record)
{
	const struct reader *r = arg;

	return r->poison > 0 && record->id % r->poison == 0;
}

static const struct lanes_rules by_key = {.is_on = true, .is_ordered = true, .records = 1};
static const struct lanes_rules checked = {.is_on = true, .is_ordered = true, .records = 500};
static const struct lanes_rules in_total = {.is_on = true, .is_ordered = true, .is_total = true, .records = 1};
static const struct lanes_rules aggregated = {
    .is_on = true, .aggregates = true, .target_bytes = 25600, .period_ns = 100 * NS_PER_MS, .records = 1};
static const struct lanes_rules both = {.is_on = true,
                                        .is_ordered = true,
                                        .aggregates = true,
                                        .target_bytes = 25600,
                                        .period_ns = 100 * NS_PER_MS,
                                        .records = 1};

struct play {
	const struct lanes_rules *rules;
	uint32_t keys;
	double skew;
	size_t shards;
	uint32_t bytes;
	uint64_t memory;
	int64_t rtt_ms;
};

static struct reader *reader_new(const struct play *p, uint64_t seed)
{
	struct reader *r = calloc(1, sizeof *r);

	assert_non_null(r);
	r->keys = p->keys;
	r->skew = p->skew;
	draw_keys(r, seed);
	return r;
}

static struct world *begin(const struct play *p, struct reader *r, uint64_t seed, struct world_node **ret)
{
	const struct world_rows rows = {.count = ROWS,
	                                .bytes = p->bytes,
	                                .key_of = key_text,
	                                .arg = r,
	                                .memory_bytes = p->memory,
	                                .lanes = *p->rules};
	struct world *w = world_new(p->shards, p->rtt_ms * NS_PER_MS, seed);

	w->on_stored = on_stored;
	w->is_poison = is_poison;
	w->arg = r;
	*ret = world_add(w, &rows);
	return w;
}

/* Faults of every kind at once; in the end all is there, and nothing came before what was accepted before it. */
static void first_copies_are_in_order(void **state)
{
	static const struct play plays[] = {
	    {&by_key, 1000, 1, 4, 100, 0, 5},
	    {&by_key, 30, 0, 4, 100, 1 << 20, 2},
	    {&by_key, 1000, 1, 1, 1000, 1 << 20, 5},
	    {&both, 1000, 1, 4, 100, 0, 20},
	    {&both, 5, 1, 2, 300, 2 << 20, 20},
	    {&both, 1000, 0, 8, 1000, 1 << 20, 20},
	    {&both, 1, 0, 1, 100, 0, 50},
	};

	(void)state;
	for (uint64_t i = 0; i < sizeof plays / sizeof *plays; i++)
		for (uint64_t seed = 1; seed <= 2; seed++) {
			struct reader *r = reader_new(&plays[i], seed);
			struct world_node *n;
			struct world *w = begin(&plays[i], r, 100 * i + seed, &n);
			int64_t breaches = metric_get(M_ORDER_BREACHES);

			for (size_t s = 0; s < w->shard_count; s++)
				w->shards[s].records_s = 2000;
			w->random_refused = 0.05;
			w->random_lost = 0.02;
			w->random_late = 0.1;
			for (int round = 0; round < 400 && world_delivered(n) < ROWS; round++) {
				if (round == 3)
					world_split(w, 0);
				if (round == 6)
					w->shards[0].mood = WORLD_THROTTLES;
				if (round == 20)
					w->shards[0].mood = WORLD_FAILS;
				if (round == 40)
					w->shards[0].mood = WORLD_TAKES;
				world_run(w, 5 * NS_PER_S);
			}
			if (world_delivered(n) != ROWS || r->breaches != 0 || world_other_ends(n) != 0)
				fail_msg("play %" PRIu64 " seed %" PRIu64 ": %" PRIu64 " delivered, %" PRIu64
				         " out of order, %" PRIu64 " ended otherwise",
				         i, seed, world_delivered(n), r->breaches, world_other_ends(n));
			assert_int_equal(r->first_copies, ROWS);
			assert_int_equal(metric_get(M_ORDER_BREACHES), breaches);
			world_free(w);
			free(r);
		}
}

/*
 * A shard that takes nothing for a minute, and loses some of what waits on disk for it: the others get all of theirs
 * meanwhile, and in the end everything came in order.
 */
static void a_dead_shard_starves_nobody(void **state)
{
	static const struct play plays[] = {
	    {&by_key, 40, 0, 4, 1000, 1 << 20, 5}, {&by_key, 1000, 1, 4, 1000, 1 << 20, 5},
	    {&by_key, 1000, 0, 2, 100, 0, 2},      {&both, 40, 0, 4, 1000, 1 << 20, 20},
	    {&both, 1000, 1, 4, 1000, 2 << 20, 5}, {&checked, 200, 0, 4, 1000, 1 << 20, 5},
	};

	(void)state;
	for (uint64_t i = 0; i < sizeof plays / sizeof *plays; i++)
		for (int mood = WORLD_THROTTLES; mood <= WORLD_FAILS; mood++) {
			struct reader *r = reader_new(&plays[i], 11);
			struct world_node *n;
			struct world *w = begin(&plays[i], r, 10 * i + (uint64_t)mood, &n);
			struct hasher *h = hasher_new();
			uint64_t live = 0, stored = 0;

			for (size_t s = 0; s < w->shard_count; s++)
				w->shards[s].records_s = 0;
			for (uint64_t id = 1; id <= ROWS; id++) {
				char key[64];

				key_text(r, id, key);
				live += hasher_key(h, key, (uint32_t)strlen(key)) >= w->shards[1].first;
			}
			w->shards[0].mood = (enum world_mood)mood;
			w->random_gone = 0.01;
			world_run(w, 60 * NS_PER_S);
			for (uint64_t id = 1; id <= ROWS; id++)
				stored += r->seen[id];
			if (stored < live * 95 / 100)
				fail_msg("play %" PRIu64 " mood %d: %" PRIu64 " of %" PRIu64, i, mood, stored, live);
			w->shards[0].mood = WORLD_TAKES;
			world_run(w, 120 * NS_PER_S);
			if (world_delivered(n) + world_gone(n) != ROWS ||
			    (plays[i].rules != &checked && r->breaches != 0))
				fail_msg("play %" PRIu64 " mood %d: %" PRIu64 " delivered, %" PRIu64 " gone, %" PRIu64
				         " out of order",
				         i, mood, world_delivered(n), world_gone(n), r->breaches);
			hasher_free(h);
			world_free(w);
			free(r);
		}
}

static void all_in_one_order(void **state)
{
	static const struct play play = {&in_total, 50, 1, 4, 100, 0, 1};
	struct reader *r = reader_new(&play, 3);
	struct world_node *n;
	struct world *w = begin(&play, r, 3, &n);

	(void)state;
	w->random_refused = 0.01;
	w->random_lost = 0.001;
	world_run(w, 200 * NS_PER_S);
	assert_int_equal(world_delivered(n), ROWS);
	assert_int_equal(r->total_breaches, 0);
	world_free(w);
	free(r);
}

/* Several of a key in a request: what is out of order is counted, exactly. */
static void breaches_are_counted(void **state)
{
	static const struct play play = {&checked, 50, 1, 2, 100, 0, 10};
	struct reader *r = reader_new(&play, 4);
	struct world_node *n;
	struct world *w = begin(&play, r, 4, &n);
	int64_t before = metric_get(M_ORDER_BREACHES);

	(void)state;
	world_run(w, NS_PER_S / 2);
	assert_int_equal(r->breaches, 0);
	assert_int_equal(metric_get(M_ORDER_BREACHES), before);
	w->random_refused = 0.01;
	world_run(w, 100 * NS_PER_S);
	assert_int_equal(world_delivered(n), ROWS);
	assert_true(r->breaches > 0);
	assert_true(metric_get(M_ORDER_BREACHES) - before >= (int64_t)r->breaches);
	world_free(w);
	free(r);
}

/* Messages a second until `most` were stored, or for ten seconds. */
static double rate_of(const struct play *p, uint64_t most)
{
	struct reader *r = reader_new(p, 5);
	struct world_node *n;
	struct world *w = begin(p, r, 5, &n);
	int64_t began_ns = w->now_ns;
	double rate;

	for (size_t i = 0; i < w->shard_count; i++)
		w->shards[i].records_s = 0;
	while (r->first_copies < most && w->now_ns - began_ns < 10 * NS_PER_S)
		world_run(w, 20 * NS_PER_MS);
	rate = (double)r->first_copies * (double)NS_PER_S / (double)(w->now_ns - began_ns);
	assert_int_equal(r->breaches, 0);
	world_free(w);
	free(r);
	return rate;
}

/*
 * No key is faster than a unit a round trip: the hottest of 1,000 by Zipf has 13 % of all, so that in one window of
 * reading 150 messages a second leave plain, and 3,593 in aggregates of 24.
 */
static void a_hot_key_bounds_what_it_must(void **state)
{
	static const struct play plain = {&by_key, 1000, 1, 4, 1024, 0, 50}, joined = {&both, 1000, 1, 4, 1024, 0, 50};
	double rate;

	(void)state;
	rate = rate_of(&plain, 15000);
	if (rate < 0.9 * 150)
		fail_msg("plain: %.0f messages/s", rate);
	rate = rate_of(&joined, 15000);
	if (rate < 0.9 * 3593)
		fail_msg("aggregated: %.0f messages/s", rate);
}

static void aggregates_take_fewer_records(void **state)
{
	static const struct play play = {&aggregated, 20, 0, 2, 100, 0, 10};
	struct reader *r = reader_new(&play, 6);
	struct world_node *n;
	struct world *w = begin(&play, r, 6, &n);
	int64_t saved = metric_get(M_PUT_UNITS_SAVED), joined = metric_get(M_AGGREGATED);

	(void)state;
	world_run(w, 20 * NS_PER_S);
	assert_int_equal(world_delivered(n), ROWS);
	assert_int_equal(r->first_copies, ROWS);
	if (w->stored > ROWS / 50)
		fail_msg("%" PRIu64 " records", w->stored);
	assert_true(metric_get(M_AGGREGATED) - joined > ROWS * 9 / 10);
	assert_int_equal(metric_get(M_PUT_UNITS_SAVED) - saved, ROWS - (int64_t)w->stored);
	world_free(w);
	free(r);
}

/* One refused message of an aggregate is found, and is the only one that is set aside. */
static void poison_is_found(void **state)
{
	static const struct lanes_rules *const rules[] = {&by_key, &aggregated, &both};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const struct play play = {rules[i], 40, 0, 2, 100, 0, 10};
		struct reader *r = reader_new(&play, 7);
		struct world_node *n;
		struct world *w = begin(&play, r, 7, &n);

		r->poison = 500;
		world_run(w, 300 * NS_PER_S);
		assert_int_equal(world_delivered(n), ROWS - ROWS / 500);
		assert_int_equal(world_other_ends(n), ROWS / 500);
		assert_true(i == 1 || r->breaches == 0);
		world_free(w);
		free(r);
	}
}

/* Of a key with a message that is refused: what came before it is stored, and nothing else is. */
static uint64_t stored_wrongly(const struct reader *r)
{
	bool waits[KEYS_MOST] = {false};
	uint64_t wrong = 0;

	for (uint64_t id = 1; id <= ROWS; id++) {
		waits[r->key_of[id]] |= id % r->poison == 0;
		wrong += r->seen[id] == waits[r->key_of[id]];
	}
	return wrong;
}

/*
 * Requests with such a message are refused as a whole, by something on the way or in words nobody knows: its key waits
 * for it, the others go on, and when it is mended all is in order.
 */
static void a_key_waits_for_what_is_refused_on_the_way(void **state)
{
	static const struct world_refusal bars[] = {{413, "<html>no</html>"},
	                                            {400, "{\"__type\":\"NeverHeardOf\",\"message\":\"no\"}"}};
	static const struct play plays[] = {{&by_key, 400, 0, 4, 100, 0, 5},
	                                    {&both, 400, 0, 4, 100, 0, 5},
	                                    {&checked, 400, 0, 4, 100, 0, 5},
	                                    {&checked, 40, 1, 1, 100, 0, 20},
	                                    {&both, 40, 0, 2, 1000, 4 << 20, 5}};

	(void)state;
	for (size_t i = 0; i < sizeof plays / sizeof *plays; i++)
		for (size_t b = 0; b < 2; b++) {
			struct reader *r = reader_new(&plays[i], 21);
			struct world_node *n;
			struct world *w = begin(&plays[i], r, 30 + i, &n);
			int64_t breaches = metric_get(M_ORDER_BREACHES);
			uint64_t wrong;

			r->poison = 3000;
			w->bars = &bars[b];
			for (size_t s = 0; s < w->shard_count; s++)
				w->shards[s].records_s = w->shards[s].bytes_s = 0;
			world_run(w, 120 * NS_PER_S);
			wrong = stored_wrongly(r);
			w->is_poison = NULL;
			world_run(w, 200 * NS_PER_S);
			if (wrong > 0 || r->breaches > 0 || world_delivered(n) != ROWS)
				fail_msg("play %zu, %s: %" PRIu64 " stored or not against the order, %" PRIu64
				         " out of it, %" PRIu64 " delivered",
				         i, bars[b].body, wrong, r->breaches, world_delivered(n));
			assert_int_equal(metric_get(M_ORDER_BREACHES), breaches);
			world_free(w);
			free(r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_copies_are_in_order),
	    cmocka_unit_test(all_in_one_order),
	    cmocka_unit_test(breaches_are_counted),
	    cmocka_unit_test(a_hot_key_bounds_what_it_must),
	    cmocka_unit_test(aggregates_take_fewer_records),
	    cmocka_unit_test(poison_is_found),
	    cmocka_unit_test(a_dead_shard_starves_nobody),
	    cmocka_unit_test(a_key_waits_for_what_is_refused_on_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
