#include "base/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/check.h"

enum { BUCKETS = 64 * 4 };

static const struct metric_info infos[METRIC_COUNT] = {
#define METRIC(id, kind, name, labels, unit, text) {#id, METRIC_##kind, name, labels, unit, text},
#include "base/metrics.def"
#undef METRIC
};

static _Atomic int64_t values[METRIC_COUNT];

/* The side turn % 2 is whole; the other is the writer's, so that a reader that took long has to look again, and no
 * more. */
static struct {
	_Atomic uint64_t turn;
	atomic_bool joined[2][METRIC_COUNT]; /* what was ever set together */
	_Atomic int64_t sides[2][METRIC_COUNT];
} together;

/* One histogram for each TIMING row, found by its position among them. */
static struct timing {
	_Atomic int64_t sum_ns;
	_Atomic uint64_t buckets[BUCKETS];
} timings[] = {
#define TIMING_ROW_COUNTER
#define TIMING_ROW_GAUGE
#define TIMING_ROW_TIMING {0},
#define METRIC(id, kind, name, labels, unit, text) TIMING_ROW_##kind
#include "base/metrics.def"
#undef METRIC
};

const struct metric_info *metric_info(enum metric m) { return &infos[m]; }

static struct timing *timing_of(enum metric m)
{
	size_t n = 0;

	must(infos[m].kind == METRIC_TIMING);
	for (int i = 0; i < (int)m; i++)
		n += infos[i].kind == METRIC_TIMING;
	return &timings[n];
}

void metric_add(enum metric m, uint64_t n) { atomic_fetch_add_explicit(&values[m], (int64_t)n, memory_order_relaxed); }

void metric_set(enum metric m, int64_t value) { atomic_store_explicit(&values[m], value, memory_order_relaxed); }

int64_t metric_get(enum metric m) { return atomic_load_explicit(&values[m], memory_order_relaxed); }

void metric_set_together(const struct metric_value *set, size_t count)
{
	const uint64_t turn = atomic_load(&together.turn);
	const int now = (int)(turn % 2), next = 1 - now;

	for (int m = 0; m < METRIC_COUNT; m++) {
		atomic_store_explicit(&together.sides[next][m], atomic_load(&together.sides[now][m]),
		                      memory_order_release);
		atomic_store_explicit(&together.joined[next][m], atomic_load(&together.joined[now][m]),
		                      memory_order_release);
	}
	for (size_t i = 0; i < count; i++) {
		atomic_store_explicit(&together.sides[next][set[i].metric], set[i].value, memory_order_release);
		atomic_store_explicit(&together.joined[next][set[i].metric], true, memory_order_release);
	}
	atomic_store(&together.turn, turn + 1);
	for (size_t i = 0; i < count; i++) /* whoever sees it sees the turn */
		atomic_store_explicit(&values[set[i].metric], set[i].value, memory_order_release);
}

void metric_get_all(int64_t ret[METRIC_COUNT])
{
	uint64_t turn;

	do {
		turn = atomic_load(&together.turn);
		for (int m = 0; m < METRIC_COUNT; m++) /* acquired: what it shows tells of its turn too */
			ret[m] = atomic_load_explicit(
			    atomic_load_explicit(&together.joined[turn % 2][m], memory_order_acquire)
			        ? &together.sides[turn % 2][m]
			        : &values[m],
			    memory_order_acquire);
	} while (atomic_load(&together.turn) != turn);
}

/* Four buckets an octave: the two bits below the highest set bit choose the quarter. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned octave;

	if (ns < 4)
		return (unsigned)ns;
	octave = 63U - (unsigned)__builtin_clzll(ns);
	return octave * 4 + (unsigned)(ns >> (octave - 2) & 3);
}

static int64_t bucket_top_ns(unsigned bucket)
{
	unsigned octave = bucket / 4;

	if (bucket < 8)
		return bucket;
	return (int64_t)(((UINT64_C(4) + bucket % 4 + 1) << (octave - 2)) - 1);
}

void metric_observe_ns(enum metric m, int64_t ns)
{
	struct timing *t = timing_of(m);

	if (ns < 0)
		ns = 0;
	atomic_fetch_add_explicit(&t->sum_ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&t->buckets[bucket_of((uint64_t)ns)], 1, memory_order_relaxed);
	metric_add(m, 1);
}

int64_t metric_sum_ns(enum metric m) { return atomic_load_explicit(&timing_of(m)->sum_ns, memory_order_relaxed); }

int64_t metric_quantile_ns(enum metric m, double q)
{
	struct timing *t = timing_of(m);
	uint64_t total = 0, wanted;

	for (unsigned i = 0; i < BUCKETS; i++)
		total += atomic_load_explicit(&t->buckets[i], memory_order_relaxed);
	if (total == 0)
		return 0;
	wanted = (uint64_t)(q * (double)total);
	for (unsigned i = 0; i < BUCKETS; i++) {
		uint64_t n = atomic_load_explicit(&t->buckets[i], memory_order_relaxed);

		if (n > wanted)
			return bucket_top_ns(i);
		wanted -= n;
	}
	return bucket_top_ns(BUCKETS - 1);
}
