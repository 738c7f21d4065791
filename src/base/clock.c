#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static _Atomic bool frozen;
static _Atomic int64_t frozen_mono_ns, frozen_wall_ns;

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void) { return frozen ? frozen_mono_ns : read_clock(CLOCK_MONOTONIC); }

int64_t clock_mono_ms(void) { return clock_mono_ns() / NS_PER_MS; }

int64_t clock_wall_ns(void) { return frozen ? frozen_wall_ns : read_clock(CLOCK_REALTIME); }

int64_t clock_wall_ms(void) { return clock_wall_ns() / NS_PER_MS; }

void clock_test_set(int64_t mono_ns, int64_t wall_ns)
{
	frozen_mono_ns = mono_ns;
	frozen_wall_ns = wall_ns;
	frozen = true;
}

void clock_test_advance(int64_t ns)
{
	frozen_mono_ns += ns;
	frozen_wall_ns += ns;
}

void clock_test_end(void) { frozen = false; }
