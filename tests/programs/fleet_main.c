/*
 * fleet_main SCENARIO NODES SHARDS SECONDS SEED ROWS [v]: many dispatchers before one stream, in virtual time.
 *
 * Each node is the dispatcher of the daemon with a journal of rows of 200 bytes under even keys, of which it has ROWS
 * in memory. What is judged begins with the scenario's event and lasts SECONDS:
 *
 * - outage: nobody is reached for ten minutes, while rows pile up without end; then everybody is, at once.
 * - reshard: all have a backlog; the shards become twice as many others.
 * - small: all together bring 1.25 times what the stream takes, until a minute after the last has begun.
 *
 * Prints one line: the figures, and what is missed. Exit status 1 when one is. v: a line for each second besides.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rig/shard_world.h"

enum { WITHIN_S = 60, SPAN_S = 10, BEGIN_S = 60, BODY_BYTES = 200, SHARD_LIMIT = 1000 };

#define LEAST_USE 0.9
#define MOST_UPLOADS 1.3
#define MOST_PEAK 2.0

struct fleet {
	struct world *w;
	size_t nodes, shards;
	uint64_t rows;
	int seconds;
	bool is_verbose;
	/* of each node */
	uint64_t *delivered;
	int *idle_s;
	/* of each second */
	uint64_t *stored, *requests;
	int longest_idle_s;
};

static void begin(struct fleet *f, double per_second, int over_s)
{
	const struct world_rows rows = {.count = UINT64_C(1) << 40,
	                                .bytes = BODY_BYTES,
	                                .memory_rows = f->rows,
	                                .memory_bytes = f->rows * 1024,
	                                .per_second = per_second};
	size_t begun = 0;

	for (int s = 1; s <= over_s * 10; s++) {
		size_t until = f->nodes * (size_t)s / (size_t)(over_s * 10);

		for (; begun < until; begun++)
			(void)world_add(f->w, &rows);
		world_run(f->w, NS_PER_S / 10);
	}
}

static void look(struct fleet *f, int second)
{
	for (size_t i = 0; i < f->nodes; i++) {
		uint64_t now = world_delivered(f->w->nodes[i]);

		f->idle_s[i] = now > f->delivered[i] ? 0 : f->idle_s[i] + 1;
		f->delivered[i] = now;
		f->longest_idle_s = f->idle_s[i] > f->longest_idle_s ? f->idle_s[i] : f->longest_idle_s;
	}
	if (f->is_verbose)
		printf("%4d s: %" PRIu64 " stored in %" PRIu64 " requests, longest idle %d s\n", second,
		       f->stored[second], f->requests[second], f->longest_idle_s);
}

static void watch(struct fleet *f)
{
	for (size_t i = 0; i < f->nodes; i++)
		f->delivered[i] = world_delivered(f->w->nodes[i]);
	for (int s = 0; s < f->seconds; s++) {
		uint64_t stored = f->w->stored, requests = f->w->requests;

		world_run(f->w, NS_PER_S);
		f->stored[s] = f->w->stored - stored;
		f->requests[s] = f->w->requests - requests;
		look(f, s);
	}
}

/* The worst ten seconds from the first minute on, as a part of what the stream takes. */
static double least_use(const struct fleet *f)
{
	double limit = (double)f->w->shard_count * SHARD_LIMIT * SPAN_S, least = 1;

	for (int s = WITHIN_S; s + SPAN_S <= f->seconds; s++) {
		double sum = 0;

		for (int i = s; i < s + SPAN_S; i++)
			sum += (double)f->stored[i];
		least = sum / limit < least ? sum / limit : least;
	}
	return least;
}

static double peak(const struct fleet *f)
{
	double most = 0, sum = 0;

	for (int s = 0; s < f->seconds; s++) {
		sum += (double)f->requests[s];
		most = (double)f->requests[s] > most ? (double)f->requests[s] : most;
	}
	return sum > 0 ? most * f->seconds / sum : 0;
}

static int judge(const struct fleet *f, const char *scenario, uint64_t stored, uint64_t offered)
{
	double use = least_use(f), uploads = (double)(f->w->offered - offered) / (double)(f->w->stored - stored),
	       waves = peak(f);
	bool bad = use < LEAST_USE || f->longest_idle_s > WITHIN_S || uploads > MOST_UPLOADS || waves > MOST_PEAK;

	printf(
	    "%-8s %zu nodes, %zu shards, %d s: use %.1f %%%s, longest at 0 %d s%s, uploads %.2f%s, peak %.2f%s: %s\n",
	    scenario, f->nodes, f->w->shard_count, f->seconds, 100 * use, use < LEAST_USE ? " (90)" : "",
	    f->longest_idle_s, f->longest_idle_s > WITHIN_S ? " (60)" : "", uploads,
	    uploads > MOST_UPLOADS ? " (1.30)" : "", waves, waves > MOST_PEAK ? " (2)" : "", bad ? "missed" : "good");
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

static bool prepare(struct fleet *f, const char *scenario)
{
	double each = (double)f->shards * SHARD_LIMIT / (double)f->nodes;

	if (strcmp(scenario, "outage") == 0) {
		f->w->is_away = true;
		begin(f, 0, BEGIN_S);
		world_run(f->w, 600 * NS_PER_S);
		f->w->is_away = false;
	} else if (strcmp(scenario, "reshard") == 0) {
		begin(f, 0, BEGIN_S);
		world_run(f->w, 120 * NS_PER_S);
		world_reshard(f->w, 2 * f->shards);
	} else if (strcmp(scenario, "small") == 0) {
		begin(f, 1.25 * each, BEGIN_S);
		world_run(f->w, WITHIN_S * NS_PER_S);
	} else {
		return false;
	}
	return true;
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (*end || n == 0) {
		fprintf(stderr, "fleet_main: %s is no number from 1 on\n", text);
		exit(EXIT_FAILURE);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct fleet f;
	uint64_t stored, offered;
	int status = EXIT_FAILURE;

	(void)setvbuf(stdout, NULL, _IOLBF, 0);

	if (argc < 7) {
		fprintf(stderr, "usage: fleet_main outage|reshard|small NODES SHARDS SECONDS SEED ROWS [v]\n");
		return EXIT_FAILURE;
	}
	f = (struct fleet){.nodes = number(argv[2]),
	                   .shards = number(argv[3]),
	                   .seconds = (int)number(argv[4]),
	                   .rows = number(argv[6]),
	                   .is_verbose = argc > 7};
	f.w = world_new(f.shards, 100 * NS_PER_MS, number(argv[5]));
	f.w->rtt_spread = 0.8;
	f.delivered = mem_zero(f.nodes * sizeof *f.delivered);
	f.idle_s = mem_zero(f.nodes * sizeof *f.idle_s);
	f.stored = mem_zero((size_t)f.seconds * sizeof *f.stored);
	f.requests = mem_zero((size_t)f.seconds * sizeof *f.requests);
	if (prepare(&f, argv[1])) {
		stored = f.w->stored;
		offered = f.w->offered;
		watch(&f);
		status = judge(&f, argv[1], stored, offered);
	} else {
		fprintf(stderr, "fleet_main: no scenario %s\n", argv[1]);
	}
	world_free(f.w);
	free(f.delivered);
	free(f.idle_s);
	free(f.stored);
	free(f.requests);
	return status;
}
