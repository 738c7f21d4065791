/*
 * ownclock: the machine's clocks as a test sets them, and a spool whose times are asked for.
 *
 * What it is: clock_gettime under its own name, so that each clock is what it is to the system. Thread: one.
 */
#ifndef KSPOOL_TESTS_OWNCLOCK_H
#define KSPOOL_TESTS_OWNCLOCK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig/spooldir.h"
#include "store/store_internal.h"

#define DAY_MS INT64_C(86400000)
#define NOW_MS INT64_C(1790000000000)

#define ok(call)                                                                      \
	do {                                                                          \
		struct error e_ = {0};                                                \
		struct error *e = &e_;                                                \
		if ((call) != ERR_OK)                                                 \
			fail_msg("%s:%d %s: %s", __FILE__, __LINE__, #call, e_.text); \
	} while (0)

static int64_t uptime_ms, asleep_ms, wall_ms;

/* The system's, so that each clock is what it is there. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	const int64_t ms = id == CLOCK_MONOTONIC ? uptime_ms : id == CLOCK_BOOTTIME ? uptime_ms + asleep_ms : wall_ms;

	if (id != CLOCK_MONOTONIC && id != CLOCK_BOOTTIME && id != CLOCK_REALTIME)
		return (int)syscall(SYS_clock_gettime, id, ret);
	*ret = (struct timespec){.tv_sec = ms / MS_PER_S, .tv_nsec = ms % MS_PER_S * NS_PER_MS};
	return 0;
}

static inline void set_clocks(int64_t uptime, int64_t wall)
{
	uptime_ms = uptime;
	wall_ms = wall;
}

static inline void let_sleep(int64_t ms)
{
	asleep_ms += ms;
	wall_ms += ms;
}

static inline void let_pass(int64_t ms) { set_clocks(uptime_ms + ms, wall_ms + ms); }

static inline void set_wall(int64_t wall) { set_clocks(uptime_ms, wall); }

static inline struct store *open_it(const struct spooldir *d)
{
	struct store_options o = spooldir_options(d);
	struct store *s = NULL;

	ok(store_open(&o, &s, NULL, e));
	return s;
}

static inline void append_now(struct store *s)
{
	struct message *m = message_new(NULL, 0, "x", 1, clock_wall_ms());

	ok(store_begin(s, e));
	ok(store_append(s, m, e));
	ok(store_commit(s, e));
	message_free(m);
}

static inline void fail_for(struct store *s, uint64_t id, int64_t wait_ms)
{
	const struct store_settlement item = {.id = id, .kind = SETTLE_RETRY, .wait_ms = wait_ms, .code = "T"};

	ok(store_begin(s, e));
	ok(store_settle(s, &item, 1, e));
	ok(store_commit(s, e));
}

/* How long the first retry waits still. */
static inline int64_t waits_ms(struct store *s)
{
	struct error e;
	int64_t next_ms;

	assert_int_equal(store_next_retry_ms(s, &next_ms, &e), ERR_OK);
	return next_ms - store_clock_ms(s);
}

/* Of message `id`, as delivery would find it. */
static inline int64_t age_ms(struct store *s, uint64_t id)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t count;
	uint64_t last;
	int64_t age;

	ok(store_read_range(s, id, id, 1, UINT64_MAX, &list, &count, &last, e));
	assert_int_equal(count, 1);
	age = clock_mono_ms() - STAILQ_FIRST(&list)->accepted_ms;
	message_list_free(&list);
	return age;
}

/* Of the last message that waits. */
static inline int64_t last_age_ms(struct store *s) { return age_ms(s, s->now.next_id - 1); }

static inline bool is_known(struct store *s)
{
	bool known = false;

	ok(store_cache_has(s, "c", "k", 1, &known, e));
	return known;
}

#endif
