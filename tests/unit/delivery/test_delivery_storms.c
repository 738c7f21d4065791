/*
 * Nothing is taken for a while, in every way a service says so, and then all is: whoever waits is tried within five
 * seconds, however long it lasted and however much waits; and while it lasts a daemon asks once a second at most.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "rig/sanitizer.h"
#include "rig/shard_world.h"

enum {
	WITHIN_S = 5,
	LEARNING_S = 10,     /* until it is known that nobody takes anything */
	LEARNING_ASKS = 130, /* in the meantime, of each node */
	SHARD_SOLD = 1000,
	MUCH = 1 << 30, /* rows: no end of them */
	DRAINS_S = 2,   /* as fast as is sold: fewer rows are none a few seconds later */
};

enum storm { ENTRIES, ENTRIES_UNNAMED, FAILURES, LIMIT_EXCEEDED, THROTTLING, INTERNAL, UNAVAILABLE, STORMS };

static const char *const storm_names[] = {
    "entries", "entries that name no shard", "failed entries", "400 limit", "400 throttling", "500", "503"};

static const struct world_refusal refusals[STORMS] = {
    [LIMIT_EXCEEDED] = {400, "{\"__type\":\"LimitExceededException\",\"message\":\"Rate exceeded\"}"},
    [THROTTLING] = {400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"},
    [INTERNAL] = {500, "{\"__type\":\"InternalFailure\",\"message\":\"x\"}"},
    [UNAVAILABLE] = {503, "<html>no</html>"},
};

struct scene {
	enum storm storm;
	int lasts_s;
	uint64_t rows; /* of each node */
	size_t shards, nodes;
	bool flows; /* before */
	uint64_t seed;
};

static void set_storm(struct world *w, const struct scene *s, bool is_on)
{
	w->is_silent = s->storm == ENTRIES_UNNAMED;
	w->refusal = is_on && refusals[s->storm].status ? &refusals[s->storm] : NULL;
	for (size_t i = 0; i < w->shard_count; i++)
		w->shards[i].mood = !is_on || w->refusal   ? WORLD_TAKES
		                    : s->storm == FAILURES ? WORLD_FAILS
		                                           : WORLD_THROTTLES;
}

static uint64_t waiting(const struct world *w, const struct scene *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->nodes; i++)
		n += s->rows - world_delivered(w->nodes[i]);
	return n;
}

static bool complain(const struct scene *s, const char *what, double is, double must_be)
{
	print_message("%s for %d s, %" PRIu64 " rows, %zu shards, %zu nodes, %s, seed %" PRIu64 ": %s %.1f, not %.1f\n",
	              storm_names[s->storm], s->lasts_s, s->rows, s->shards, s->nodes, s->flows ? "flowing" : "fresh",
	              s->seed, what, is, must_be);
	return false;
}

/* What is asked while nothing is taken. */
static bool bear(struct world *w, const struct scene *s)
{
	const int learning_s = s->lasts_s < LEARNING_S ? s->lasts_s : LEARNING_S, rest_s = s->lasts_s - learning_s;
	uint64_t asked = w->requests;
	bool good = true;

	world_run(w, learning_s * NS_PER_S);
	if (w->requests - asked > LEARNING_ASKS * s->nodes)
		good =
		    complain(s, "requests at first", (double)(w->requests - asked), (double)(LEARNING_ASKS * s->nodes));
	asked = w->requests;
	world_run(w, rest_s * NS_PER_S);
	if (w->requests - asked > (uint64_t)(rest_s + 1) * s->nodes)
		good = complain(s, "requests", (double)(w->requests - asked), (double)((uint64_t)rest_s * s->nodes));
	return good;
}

static bool is_much(const struct scene *s) { return s->rows * s->nodes > DRAINS_S * s->shards * SHARD_SOLD; }

static bool play(const struct scene *s)
{
	const struct world_rows rows = {.count = s->rows, .bytes = 200};
	struct world *w = world_new(s->shards, 20 * NS_PER_MS, s->seed);
	const double sold = (double)(s->shards * SHARD_SOLD);
	uint64_t stored;
	bool good;

	w->rtt_spread = 0.5;
	set_storm(w, s, !s->flows);
	for (size_t i = 0; i < s->nodes; i++)
		(void)world_add(w, &rows);
	if (s->flows)
		world_run(w, 5 * NS_PER_S);
	set_storm(w, s, true);
	good = bear(w, s);
	set_storm(w, s, false);
	world_run(w, WITHIN_S * NS_PER_S);
	stored = w->stored;
	if (!is_much(s) && waiting(w, s) > 0)
		good = complain(s, "wait", (double)waiting(w, s), 0);
	world_run(w, is_much(s) ? NS_PER_S : 0);
	if (is_much(s) && waiting(w, s) > 0 && (double)(w->stored - stored) < 0.5 * sold)
		good = complain(s, "taken a second", (double)(w->stored - stored), sold);
	world_free(w);
	return good;
}

static const int LASTS_S[] = {1, 3, 10, 30, 300};
enum { LASTS = sizeof LASTS_S / sizeof *LASTS_S };

static bool plays_all(void) { return getenv("KSPOOL_EVERY_FAULT") != NULL; }

/*
 * Many rows before a hundred shards cost as much as all others together: one scene a storm, of one node where they
 * flowed before. Of the others each third; with KSPOOL_EVERY_FAULT in the environment all.
 */
static bool is_dear(const struct scene *s) { return s->rows == MUCH && s->shards == 100 && !plays_all(); }

static bool is_played(const struct scene *s, size_t number)
{
	if (is_dear(s))
		return !IS_SANITIZED && s->flows == (s->storm % 2 == 0) && s->lasts_s == LASTS_S[s->storm % LASTS];
	return plays_all() || number % (IS_SANITIZED ? 21 : 3) == 0;
}

static void sweep(bool flows, const uint64_t *rows, size_t sizes)
{
	static const size_t SHARDS[] = {1, 4, 20, 100}, NODES[] = {1, 1, 10};
	size_t bad = 0, number = 0;

	for (int storm = 0; storm < STORMS; storm++)
		for (size_t l = 0; l < LASTS; l++)
			for (size_t r = 0; r < sizes; r++)
				for (size_t h = 0; h < sizeof SHARDS / sizeof *SHARDS; h++) {
					struct scene s = {.storm = (enum storm)storm,
					                  .lasts_s = LASTS_S[l],
					                  .rows = rows[r],
					                  .shards = SHARDS[h],
					                  .nodes = NODES[number / 3 % 3],
					                  .flows = flows,
					                  .seed = ++number};

					if (is_dear(&s) && flows)
						s.nodes = 1;
					if (is_played(&s, number))
						bad += !play(&s);
				}
	if (bad > 0)
		fail_msg("%zu storms", bad);
}

static void a_fresh_daemon_outlives_any_storm(void **state)
{
	static const uint64_t ROWS[] = {1, 10, 80, 1000, MUCH};

	(void)state;
	sweep(false, ROWS, sizeof ROWS / sizeof *ROWS);
}

static void a_stream_that_flowed_flows_again(void **state)
{
	static const uint64_t ROWS[] = {MUCH};

	(void)state;
	sweep(true, ROWS, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_fresh_daemon_outlives_any_storm),
	    cmocka_unit_test(a_stream_that_flowed_flows_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
