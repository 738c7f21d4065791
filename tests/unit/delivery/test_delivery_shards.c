/* Shards with limits of their own, in virtual time: who is full delays only itself, and is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatch_internal.h"
#include "kinesis/hash.h"
#include "rig/sanitizer.h"
#include "rig/shard_world.h"

/* What the world counted at a moment. */
struct mark {
	uint64_t stored[8], offered[8], all_stored, all_offered;
};

static struct mark mark(const struct world *w)
{
	struct mark m = {.all_stored = w->stored, .all_offered = w->offered};

	for (size_t i = 0; i < w->shard_count && i < 8; i++) {
		m.stored[i] = w->shards[i].stored;
		m.offered[i] = w->shards[i].offered;
	}
	return m;
}

static double rate(const struct world *w, const struct mark *since, size_t shard, double seconds)
{
	return (double)(w->shards[shard].stored - since->stored[shard]) / seconds;
}

static double uploads(const struct world *w, const struct mark *since)
{
	return (double)(w->offered - since->all_offered) / (double)(w->stored - since->all_stored);
}

#define at_least(value, bound)                                                                                    \
	do {                                                                                                      \
		double value_ = (value), bound_ = (bound);                                                        \
		if (value_ < bound_)                                                                              \
			fail_msg("%s:%d %s is %.3f, less than %.3f", __FILE__, __LINE__, #value, value_, bound_); \
	} while (0)
#define at_most(value, bound)                                                                                     \
	do {                                                                                                      \
		double value_ = (value), bound_ = (bound);                                                        \
		if (value_ > bound_)                                                                              \
			fail_msg("%s:%d %s is %.3f, more than %.3f", __FILE__, __LINE__, #value, value_, bound_); \
	} while (0)

static void set_burst(struct world *w, double burst_s)
{
	for (size_t i = 0; i < w->shard_count; i++) {
		w->shards[i].burst_s = burst_s;
		w->shards[i].records = burst_s * w->shards[i].records_s;
		w->shards[i].bytes = burst_s * w->shards[i].bytes_s;
	}
}

/* Four full shards, fixed windows and buckets, limited by records or by bytes. */
static void a_full_stream_is_full(void **state)
{
	static const double BURSTS[] = {0, 1, 0.25};
	static const uint32_t BYTES[] = {200, 20000};

	(void)state;
	for (size_t b = 0; b < 3; b++)
		for (size_t k = 0; k < 2; k++) {
			const struct world_rows rows = {.count = 100000, .bytes = BYTES[k]};
			struct world *w = world_new(4, 20 * NS_PER_MS, 7);
			double limit = BYTES[k] == 200 ? 1000.0 : (double)((1 << 20) / (BYTES[k] + 20));
			struct mark begun;

			set_burst(w, BURSTS[b]);
			world_add(w, &rows);
			world_run(w, (k == 0 ? 8 : 20) * NS_PER_S);
			begun = mark(w);
			world_run(w, (k == 0 ? 10 : 30) * NS_PER_S);
			for (size_t i = 0; i < 4; i++)
				at_least(rate(w, &begun, i, k == 0 ? 10 : 30), 0.95 * limit);
			at_most(uploads(w, &begun), 1.09);
			world_free(w);
		}
}

/* One of four takes nothing, by throttling or by failing, named or not; the other three have no limit. */
static void a_dead_shard_delays_only_its_own(void **state)
{
	const struct world_rows rows = {.count = 120000, .bytes = 100};
	double free_rate;
	struct world *w = world_new(4, 20 * NS_PER_MS, 7);
	struct mark begun;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		w->shards[i].records_s = 0;
	world_add(w, &rows);
	world_run(w, NS_PER_S / 2);
	free_rate = (double)w->shards[1].stored * 2;
	world_free(w);
	for (int kind = 0; kind < 3; kind++) {
		struct world_node *n;
		struct delivery_status status = {0};

		w = world_new(4, 20 * NS_PER_MS, 7);
		w->is_silent = kind == 1;
		for (size_t i = 0; i < 4; i++)
			w->shards[i].records_s = 0;
		w->shards[0].mood = kind == 2 ? WORLD_FAILS : WORLD_THROTTLES;
		n = world_add(w, &rows);
		world_run(w, NS_PER_S / 2);
		begun = (struct mark){0};
		for (size_t i = 1; i < 4; i++)
			at_least(rate(w, &begun, i, 0.5), 0.95 * free_rate);
		world_run(w, 10 * NS_PER_S);
		at_most((double)(w->shards[0].offered), 0.05 * (double)w->stored);
		assert_int_equal(world_delivered(n), w->stored);
		dispatch_status(world_dispatch(n), w->now_ns, w->wall_ms, &status);
		assert_int_equal(status.shards_limited, 1);
		assert_int_equal(status.shards[0].records_s, 0);
		assert_string_equal(status.shards[0].name, kind == 0 ? "shardId-000000000000" : "");
		assert_true(status.state == DELIVERY_THROTTLED || status.state == DELIVERY_FLOWING);
		w->shards[0].mood = WORLD_TAKES;
		world_run(w, 6 * NS_PER_S);
		at_least((double)w->shards[0].stored, 1000);
		world_run(w, 60 * NS_PER_S);
		assert_int_equal(world_delivered(n), rows.count);
		assert_int_equal(world_other_ends(n), 0);
		world_free(w);
	}
}

static void a_slow_shard_is_used_to_its_limit(void **state)
{
	const struct world_rows rows = {.count = 400000, .bytes = 100};

	(void)state;
	for (double limit = 20; limit <= 500; limit *= IS_SANITIZED ? 25 : 5) {
		struct world *w = world_new(4, 20 * NS_PER_MS, 3);
		struct mark begun;

		w->shards[2].records_s = limit;
		set_burst(w, 1);
		for (size_t i = 0; i < 4; i++)
			w->shards[i].records_s = i == 2 ? limit : 2000;
		world_add(w, &rows);
		world_run(w, 10 * NS_PER_S);
		begun = mark(w);
		world_run(w, 20 * NS_PER_S);
		at_least(rate(w, &begun, 2, 20), 0.9 * limit);
		at_least(rate(w, &begun, 0, 20), 0.8 * 2000);
		world_free(w);
	}
}

/* Six of ten keys go to the first quarter of the hashes. */
static void crowded(void *arg, uint64_t id, char *text)
{
	struct hasher *h = arg;

	for (unsigned salt = 0;; salt++) {
		(void)snprintf(text, 64, "%" PRIu64 "-%u", id, salt);
		if ((hasher_key(h, text, strlen(text)) >> 62 == 0) == (id % 10 < 6))
			return;
	}
}

static void a_crowded_shard_is_full_and_the_others_go_on(void **state)
{
	struct world *w = world_new(4, 20 * NS_PER_MS, 5);
	const struct world_rows rows = {.count = 60000, .bytes = 100, .key_of = crowded, .arg = w->hasher};
	struct mark begun;

	(void)state;
	world_add(w, &rows);
	world_run(w, 4 * NS_PER_S);
	begun = mark(w);
	world_run(w, 4 * NS_PER_S);
	at_least(rate(w, &begun, 0, 4), 950);
	for (size_t i = 1; i < 4; i++)
		at_least((double)w->shards[i].stored, 7500); /* of 8,000 there are: they do not wait for the first */
	world_run(w, 40 * NS_PER_S);
	assert_int_equal(w->stored, rows.count);
	world_free(w);
}

/* Where all of many shards refuse alike the stream is limited, and full; one that takes nothing is told from them. */
static void many_shards_are_full_together(void **state)
{
	const struct world_rows rows = {.count = 900000, .bytes = 100};

	(void)state;
	for (int dead = IS_SANITIZED ? 4 : 0; dead <= 4; dead += 2) {
		struct world *w = world_new(16, 50 * NS_PER_MS, 7);
		struct mark begun;

		for (int i = 0; i < dead; i++)
			w->shards[i].mood = i % 2 ? WORLD_FAILS : WORLD_THROTTLES;
		world_add(w, &rows);
		world_run(w, 10 * NS_PER_S);
		begun = mark(w);
		world_run(w, 20 * NS_PER_S);
		at_least((double)(w->stored - begun.all_stored) / 20, 0.95 * 1000 * (16 - dead));
		at_most(uploads(w, &begun), 1.1);
		world_free(w);
	}
}

static void five_share_one_shard(void **state)
{
	const struct world_rows rows = {.count = 100000, .bytes = 200};

	(void)state;
	for (int64_t apart = 0; apart <= 3; apart += 3) {
		struct world *w = world_new(1, 20 * NS_PER_MS, 7);
		struct world_node *n[5];
		uint64_t before[5];
		struct mark begun;

		for (int i = 0; i < 5; i++) {
			n[i] = world_add(w, &rows);
			world_run(w, apart * NS_PER_S);
		}
		world_run(w, 5 * NS_PER_S);
		begun = mark(w);
		for (int i = 0; i < 5; i++)
			before[i] = world_delivered(n[i]);
		world_run(w, 30 * NS_PER_S);
		at_least(rate(w, &begun, 0, 30), 900);
		for (int i = 0; i < 5; i++)
			at_least((double)(world_delivered(n[i]) - before[i]) / 30, 90);
		world_free(w);
	}
}

/* The last one too: it is long until one is refused again and again, and no time to wait longer each time. */
static void what_is_refused_by_chance_costs_nothing(void **state)
{
	static const struct {
		double part;
		size_t shards;
	} cases[] = {{0, 4}, {0.01, 4}, {0.02, 1}, {0.02, 4}, {0.05, 1}};
	double clean = 0;

	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		const struct world_rows rows = {.count = 250000, .bytes = 100};
		struct world *w = world_new(cases[k].shards, 50 * NS_PER_MS, 11);
		struct world_node *n;
		int ticks = 0;

		for (size_t i = 0; i < cases[k].shards; i++)
			w->shards[i].records_s = 0;
		w->random_refused = cases[k].part;
		n = world_add(w, &rows);
		for (; world_delivered(n) < rows.count && ticks < 1000; ticks++)
			world_run(w, NS_PER_S / 100);
		if (cases[k].part <= 0)
			clean = ticks;
		else
			at_most(ticks, clean / (1 - cases[k].part) + 40); /* eight round trips more at the end */
		at_most((double)w->offered * (1 - cases[k].part), 1.01 * (double)w->stored);
		world_free(w);
	}
}

/* Of fifty answers a second one has more refused than usual, sooner or later. */
static void one_unlucky_answer_makes_no_limit(void **state)
{
	static const double PARTS[] = {0.02, 0.028};

	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed += IS_SANITIZED ? 3 : 1)
		for (size_t k = 0; k < 2; k++) {
			const struct world_rows rows = {.count = 3000000, .bytes = 100};
			struct world *w = world_new(1, 50 * NS_PER_MS, seed);
			struct mark begun;

			w->shards[0].records_s = 0;
			w->random_refused = PARTS[k];
			w->is_silent = true;
			w->line_bytes_s = 1e7;
			world_add(w, &rows);
			world_run(w, 2 * NS_PER_S);
			begun = mark(w);
			world_run(w, 20 * NS_PER_S);
			at_least((double)(w->stored - begun.all_stored), 9.5 * (double)begun.all_stored);
			world_free(w);
		}
}

/* The last ones are asked for again and again: that of ten refused nine none is taken now and then is no wonder. */
static void a_burst_of_which_most_is_refused_by_chance_is_soon_over(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (int64_t rtt_ms = 1; rtt_ms <= 50; rtt_ms += 49) {
			const struct world_rows rows = {.count = 1000, .bytes = 100};
			struct world *w = world_new(1, rtt_ms * NS_PER_MS, seed);
			struct world_node *n;

			w->shards[0].records_s = 0;
			w->random_refused = 0.9;
			w->is_silent = true;
			n = world_add(w, &rows);
			world_run(w, 12 * NS_PER_S);
			at_least((double)world_delivered(n), 1000);
			world_free(w);
		}
}

/* Less sent, the same part refused: it is not the rate, and what is accepted is what there is. */
static void what_chance_refuses_again_and_again_is_no_limit(void **state)
{
	static const double PARTS[] = {0.3, 0.67, 0.9};

	(void)state;
	for (size_t shards = 1; shards <= 4; shards += 3)
		for (size_t k = 0; k < 3; k++) {
			const struct world_rows rows = {.count = 3000000, .bytes = 100};
			struct world *w = world_new(shards, 50 * NS_PER_MS, 11);

			for (size_t i = 0; i < shards; i++)
				w->shards[i].records_s = 0;
			w->random_refused = PARTS[k];
			world_add(w, &rows);
			for (int t = 0; t < 20 && w->stored < 5000; t++)
				world_run(w, NS_PER_S);
			at_least((double)w->stored, 5000);
			at_most((double)w->offered / (double)w->stored * (1 - PARTS[k]), 1.1);
			world_free(w);
		}
}

/* Chance and a limit: the limit is reached. */
static void what_chance_refuses_hides_no_limit(void **state)
{
	const struct world_rows rows = {.count = 3000000, .bytes = 100};
	struct world *w = world_new(4, 50 * NS_PER_MS, 11);
	struct mark begun;

	(void)state;
	w->random_refused = 0.3;
	world_add(w, &rows);
	world_run(w, 20 * NS_PER_S);
	begun = mark(w);
	world_run(w, 30 * NS_PER_S);
	at_least((double)(w->stored - begun.all_stored) / 30, 0.6 * 4000);
	at_most(uploads(w, &begun), 2.6);
	world_free(w);
}

/* Shards are split while one of them is full; nothing is lost, and the halves are full in their turn. */
/* A line of 100 KB/s, which is what limits: a dead shard costs its own part and no more. */
static void over_a_thin_line_a_dead_shard_delays_only_its_own(void **state)
{
	const struct world_rows rows = {.count = 120000, .bytes = 200};
	double solo[2];

	(void)state;
	for (int64_t rtt_ms = 20; rtt_ms <= 600; rtt_ms *= 30)
		for (int kind = 0; kind < 3; kind++) {
			static const enum world_mood MOODS[] = {WORLD_TAKES, WORLD_THROTTLES, WORLD_FAILS};
			struct world *w = world_new(4, rtt_ms * NS_PER_MS, 7);
			struct mark begun;

			w->line_bytes_s = 1e5;
			w->shards[0].mood = MOODS[kind];
			world_add(w, &rows);
			world_run(w, 20 * NS_PER_S);
			begun = mark(w);
			world_run(w, 60 * NS_PER_S);
			solo[kind > 0] = rate(w, &begun, 1, 60) + rate(w, &begun, 2, 60) + rate(w, &begun, 3, 60);
			if (kind > 0)
				at_least(solo[1], 0.95 * solo[0]);
			at_most(uploads(w, &begun), 1.1);
			world_free(w);
		}
}

static void over_a_thin_line_a_slow_shard_is_full(void **state)
{
	const struct world_rows rows = {.count = 240000, .bytes = 200};

	(void)state;
	for (double limit = 20; limit <= 80; limit *= 4) {
		struct world *w = world_new(4, 100 * NS_PER_MS, 7);
		struct mark begun;

		w->line_bytes_s = 4e5;
		w->shards[2].records_s = limit;
		set_burst(w, 1);
		world_add(w, &rows);
		world_run(w, 30 * NS_PER_S);
		begun = mark(w);
		world_run(w, 60 * NS_PER_S);
		at_least(rate(w, &begun, 2, 60), 0.9 * limit);
		at_most(uploads(w, &begun), 1.1);
		world_free(w);
	}
}

static void a_split_is_learned(void **state)
{
	const struct world_rows rows = {.count = 60000, .bytes = 100};
	struct world *w = world_new(2, 20 * NS_PER_MS, 13);
	struct world_node *n = world_add(w, &rows);
	struct mark begun;

	(void)state;
	world_run(w, 5 * NS_PER_S);
	world_split(w, 0);
	world_split(w, 2);
	world_run(w, 2 * NS_PER_S);
	begun = mark(w);
	world_run(w, 5 * NS_PER_S);
	for (size_t i = 0; i < 4; i++)
		at_least(rate(w, &begun, i, 5), 700);
	world_run(w, 40 * NS_PER_S);
	assert_int_equal(world_delivered(n), rows.count);
	world_free(w);
}

/* First 50,000 rows for a dead shard, then a hundred for the others. */
static void dead_first(void *arg, uint64_t id, char *text)
{
	struct hasher *h = arg;

	for (unsigned salt = 0;; salt++) {
		(void)snprintf(text, 64, "%" PRIu64 "-%u", id, salt);
		if ((hasher_key(h, text, strlen(text)) >> 62 == 0) == (id <= 50000))
			return;
	}
}

static void who_stands_behind_a_dead_shards_backlog_is_sent(void **state)
{
	struct world *w = world_new(4, 20 * NS_PER_MS, 5);
	const struct world_rows rows = {.count = 50100, .bytes = 100, .key_of = dead_first, .arg = w->hasher};
	struct world_node *n;

	(void)state;
	w->shards[0].mood = WORLD_THROTTLES;
	n = world_add(w, &rows);
	world_run(w, 10 * NS_PER_S);
	assert_int_equal(world_delivered(n), 100);
	world_free(w);
}

/* An endpoint whose names mean nothing: the stream is one shard, and is used as such. */
static void names_that_contradict_each_other_are_given_up(void **state)
{
	const struct world_rows rows = {.count = 200000, .bytes = 100};
	struct world *w = world_new(4, 20 * NS_PER_MS, 5);
	struct world_node *n = world_add(w, &rows);

	(void)state;
	w->names_lie = true;
	world_run(w, 30 * NS_PER_S);
	at_least((double)world_delivered(n), 0.5 * 30 * 4000);
	at_most((double)w->offered / (double)w->stored, 1.6);
	assert_true(world_dispatch(n)->ready.shards.is_blind);
	world_free(w);
}

/* The first half minute behind a long way counts too, with its first small request and one burst too much. */
static void a_long_way_does_not_delay_the_start(void **state)
{
	static const double BURSTS[] = {0, 1, 0.25};

	(void)state;
	for (size_t shards = 1; shards <= 4; shards *= 4)
		for (size_t b = 0; b < 3; b++) {
			const struct world_rows rows = {.count = 200000, .bytes = 200};
			struct world *w = world_new(shards, 600 * NS_PER_MS, 7);

			set_burst(w, BURSTS[b]);
			world_add(w, &rows);
			world_run(w, 30 * NS_PER_S);
			for (size_t i = 0; i < shards; i++)
				at_least((double)w->shards[i].stored, 0.88 * 30 * 1000);
			at_most((double)w->offered, 1.13 * (double)w->stored);
			world_free(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_long_way_does_not_delay_the_start),
	    cmocka_unit_test(a_full_stream_is_full),
	    cmocka_unit_test(a_dead_shard_delays_only_its_own),
	    cmocka_unit_test(a_slow_shard_is_used_to_its_limit),
	    cmocka_unit_test(a_crowded_shard_is_full_and_the_others_go_on),
	    cmocka_unit_test(many_shards_are_full_together),
	    cmocka_unit_test(five_share_one_shard),
	    cmocka_unit_test(what_is_refused_by_chance_costs_nothing),
	    cmocka_unit_test(one_unlucky_answer_makes_no_limit),
	    cmocka_unit_test(a_burst_of_which_most_is_refused_by_chance_is_soon_over),
	    cmocka_unit_test(what_chance_refuses_again_and_again_is_no_limit),
	    cmocka_unit_test(what_chance_refuses_hides_no_limit),
	    cmocka_unit_test(over_a_thin_line_a_dead_shard_delays_only_its_own),
	    cmocka_unit_test(over_a_thin_line_a_slow_shard_is_full),
	    cmocka_unit_test(a_split_is_learned),
	    cmocka_unit_test(who_stands_behind_a_dead_shards_backlog_is_sent),
	    cmocka_unit_test(names_that_contradict_each_other_are_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
