/*
 * A shard takes nothing from one moment on, while the stream flows: what was under way to it fails, goes back to disk,
 * and the other shards go on as before. Each try is known to the end, wherever the row was meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "delivery/dispatch_internal.h"
#include "rig/sanitizer.h"
#include "rig/shard_world.h"

enum { FLOWS_S = 3, LEARNING_S = 4, DIES_S = 5, ROWS_MEMORY = 12000 };

struct scene {
	const char *name;
	enum world_mood mood;
	size_t shards, dying;
	int64_t rtt_ms;
	uint32_t bytes;
	bool is_silent; /* refusals name no shard */
	double limit;   /* records a second of each shard; 0: none */
	struct lanes_rules lanes;
};

/* Until it is known that it takes nothing at all: some round trips, and as many questions. */
static int64_t learning_ns(const struct scene *s)
{
	const int64_t trips_ns = 10 * s->rtt_ms * NS_PER_MS;

	return trips_ns > LEARNING_S * NS_PER_S ? trips_ns : LEARNING_S * NS_PER_S;
}

static double others(const struct world *w, const struct scene *s)
{
	uint64_t n = 0;

	for (size_t i = s->dying; i < s->shards; i++)
		n += w->shards[i].stored;
	return (double)n;
}

/* What waits for those that died: of the memory's rows and bytes, whichever is more. */
static double part_of_dead(const struct dispatch *d)
{
	double rows = 0, bytes = 0;
	const struct shard *s;

	LIST_FOREACH (s, &d->ready.shards.listed, link) {
		rows += s->rate.is_dead ? (double)s->count / ROWS_MEMORY : 0;
		bytes += s->rate.is_dead ? (double)s->cost / (2 * (double)d->set.policy.cost_bytes) : 0;
	}
	return rows > bytes ? rows : bytes;
}

static bool bad(const struct scene *s, const char *what, double is, double must_be)
{
	print_message("%s, %zu of %zu shards, %" PRId64 " ms, %" PRIu32 " bytes: %s %.3f, not %.3f\n", s->name,
	              s->dying, s->shards, s->rtt_ms, s->bytes, what, is, must_be);
	return true;
}

static struct world *begin(const struct scene *s, const struct world_rows *rows)
{
	struct world *w = world_new(s->shards, s->rtt_ms * NS_PER_MS, 7);

	w->is_silent = s->is_silent;
	for (size_t i = 0; i < s->shards; i++)
		w->shards[i].records_s = s->limit;
	(void)world_add(w, rows);
	world_run(w, FLOWS_S * NS_PER_S);
	return w;
}

/* What the others get where nobody dies. */
static double undisturbed(const struct scene *s, const struct world_rows *rows)
{
	struct world *w = begin(s, rows);
	double before, got;

	world_run(w, learning_ns(s));
	before = others(w, s);
	world_run(w, DIES_S * NS_PER_S);
	got = others(w, s) - before;
	world_free(w);
	return got;
}

static bool fails(const struct scene *s)
{
	const struct world_rows rows = {.count = UINT64_C(1) << 40, .bytes = s->bytes, .lanes = s->lanes};
	const double alone = undisturbed(s, &rows);
	struct world *w = begin(s, &rows);
	struct dispatch *d = world_dispatch(w->nodes[0]);
	/* Where only memory limits them, they have what the dead one had too. */
	const double part = s->limit > 0 ? 0.95 : 1.1;
	double before, most = 0;
	uint64_t stored = 0, asked;
	bool is_bad = false;

	w->counts_tries = !s->lanes.is_on;
	for (size_t i = 0; i < s->dying; i++)
		w->shards[i].mood = s->mood;
	world_run(w, learning_ns(s));
	before = others(w, s);
	asked = w->shards[0].offered;
	for (int i = 0; i < DIES_S * 10; i++) {
		world_run(w, NS_PER_S / 10);
		most = part_of_dead(d) > most ? part_of_dead(d) : most;
	}
	if (others(w, s) - before < part * alone)
		is_bad = bad(s, "the others' part", (others(w, s) - before) / alone, part);
	if (most > 0.07 * (double)s->dying)
		is_bad = bad(s, "of the memory", most, 0.07 * (double)s->dying);
	if (w->shards[0].offered - asked > 4 * DIES_S)
		is_bad = bad(s, "asked the dead one", (double)(w->shards[0].offered - asked), 4 * DIES_S);
	for (size_t i = 0; i < s->dying; i++) {
		w->shards[i].mood = WORLD_TAKES;
		stored += w->shards[i].stored;
	}
	world_run(w, 5 * NS_PER_S);
	for (size_t i = 0; i < s->dying; i++)
		stored -= w->shards[i].stored;
	if (-(double)(int64_t)stored < 1000)
		is_bad = bad(s, "stored after it", -(double)(int64_t)stored, 1000);
	world_free(w);
	return is_bad;
}

static void the_others_go_on(void **state)
{
	static const struct lanes_rules BY_KEY = {.is_on = true, .is_ordered = true, .records = 1},
	                                TOGETHER = {.is_on = true,
	                                            .aggregates = true,
	                                            .target_bytes = 25000,
	                                            .period_ns = NS_PER_S / 10};
	static const struct scene SCENES[] = {
	    {"throttles", WORLD_THROTTLES, 4, 1, 200, 200, false, 0, {0}},
	    {"fails", WORLD_FAILS, 4, 1, 200, 200, false, 0, {0}},
	    {"throttles without a name", WORLD_THROTTLES, 4, 1, 200, 200, true, 0, {0}},
	    {"large ones", WORLD_FAILS, 4, 1, 200, 4000, false, 0, {0}},
	    {"two", WORLD_FAILS, 4, 2, 200, 200, false, 0, {0}},
	    {"far", WORLD_THROTTLES, 4, 1, 600, 200, false, 0, {0}},
	    {"limited", WORLD_FAILS, 4, 1, 50, 200, false, 1000, {0}},
	    {"in order", WORLD_THROTTLES, 4, 1, 200, 200, false, 0, BY_KEY},
	    {"together", WORLD_FAILS, 4, 1, 200, 200, false, 0, TOGETHER},
	};
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof SCENES / sizeof *SCENES; i += IS_SANITIZED ? 8 : 1)
		wrong += fails(&SCENES[i]);
	if (wrong > 0)
		fail_msg("%zu scenes", wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_others_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
