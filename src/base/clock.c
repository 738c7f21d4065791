#include "base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

static _Atomic bool frozen;
static _Atomic int64_t frozen_mono_ns, frozen_wall_ns;
static _Atomic uint64_t boot_id; /* 0: not asked yet */

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_mono_ns(void) { return frozen ? frozen_mono_ns : read_clock(CLOCK_MONOTONIC); }

int64_t clock_mono_ms(void) { return clock_mono_ns() / NS_PER_MS; }

uint64_t clock_boot_id(void)
{
	char text[64] = "";
	ssize_t count = 0;
	uint64_t id = boot_id;
	int fd = id ? -1 : open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		count = read(fd, text, sizeof text);
		(void)close(fd);
	}
	for (ssize_t i = 0; i < count; i++) /* FNV-1a */
		id = ((i == 0 ? UINT64_C(0xcbf29ce484222325) : id) ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	id &= INT64_MAX;
	boot_id = id;
	return id;
}

int64_t clock_wall_ns(void) { return frozen ? frozen_wall_ns : read_clock(CLOCK_REALTIME); }

int64_t clock_wall_ms(void) { return clock_wall_ns() / NS_PER_MS; }

void allowance_begin(struct allowance *a, int64_t ns)
{
	*a = (struct allowance){.ns = ns, .began_ns = clock_mono_ns()};
}

int64_t clock_thread_ns(void) { return frozen ? frozen_mono_ns : read_clock(CLOCK_THREAD_CPUTIME_ID); }

bool allowance_is_spent(struct allowance *a)
{
	int64_t early_ns = a->ns / 8, now_ns;

	if (a->ns == 0 || clock_mono_ns() - a->began_ns < early_ns)
		return false;
	now_ns = clock_thread_ns();
	if (a->until_ns == 0)
		a->until_ns = now_ns + a->ns - early_ns;
	return now_ns >= a->until_ns;
}

int64_t allowance_left_ns(const struct allowance *a)
{
	int64_t left_ns;

	if (a->ns == 0)
		return INT64_MAX;
	left_ns = a->until_ns ? a->until_ns - clock_thread_ns() : a->ns;
	return left_ns > 0 ? left_ns : 0;
}

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

void clock_test_boot(uint64_t id) { boot_id = id; }

void clock_test_end(void)
{
	frozen = false;
	boot_id = 0;
}

bool clock_test_stop(void)
{
	if (frozen)
		return false;
	clock_test_set(read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_REALTIME));
	return true;
}

void clock_test_go_on(void) { frozen = false; }
