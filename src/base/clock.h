/*
 * clock: the only reader of time.
 *
 * What it is: monotonic time for timers and ages within one run; wall time for signatures, display and what is stored;
 * allowances of processor time for what a stranger's bytes make a thread do. clock_test_set() freezes them all,
 * clock_test_advance() moves them all.
 * Promises: 11 (no step of the wall clock moves a timer).
 * Owner: nothing to own.
 * Thread: any; the test functions while nobody else reads.
 * Fails: never.
 * Does not: know time zones, or the clock of a service.
 */
#ifndef KSPOOL_BASE_CLOCK_H
#define KSPOOL_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, MS_PER_S = 1000 };
#define NS_PER_S INT64_C(1000000000)

/* Since the machine was started, without the time it slept; goes on over restarts of this process. */
int64_t clock_mono_ns(void);
int64_t clock_mono_ms(void);
/* Which start of the machine that was; 0: the system does not say. */
uint64_t clock_boot_id(void);
/* Since 1970-01-01T00:00:00Z. */
int64_t clock_wall_ns(void);
int64_t clock_wall_ms(void);

/* What this thread worked. */
int64_t clock_thread_ns(void);
/*
 * A share of this thread's own time. What the machine keeps the thread from does not count, or a loaded machine would
 * fail what is innocent. It costs one look at the monotonic clock until an eighth of it is over.
 */
struct allowance {
	int64_t ns;       /* 0: without end */
	int64_t began_ns; /* monotonic */
	int64_t until_ns; /* of the thread's time; 0: not looked at so far */
};

void allowance_begin(struct allowance *a, int64_t ns);
bool allowance_is_spent(struct allowance *a);
/* About how much is left. */
int64_t allowance_left_ns(const struct allowance *a);

void clock_test_set(int64_t mono_ns, int64_t wall_ns);
void clock_test_advance(int64_t ns);
/* As after another start of the machine: uptime is what clock_test_set said, and the boot is this one. */
void clock_test_boot(uint64_t id);
void clock_test_end(void);
/* Stands still where it is; false: a test had set it, and it stays so. And goes on. */
bool clock_test_stop(void);
void clock_test_go_on(void);

#endif
