#include "daemon/stop_times.h"

#include "base/clock.h"

static const int64_t DOORS_LEAST_NS = 10 * NS_PER_S;

struct stop_times stop_times_from(int64_t limit_ns, int64_t now_ns)
{
	const int64_t last_ns = limit_ns / 4, doors_ns = limit_ns - last_ns;
	struct stop_times t = {.limit_ns = limit_ns};

	t.doors_until_ns = now_ns + (doors_ns > DOORS_LEAST_NS ? doors_ns : DOORS_LEAST_NS);
	t.until_ns = t.doors_until_ns + last_ns;
	return t;
}

int64_t stop_times_left_ns(const struct stop_times *t, int64_t now_ns)
{
	const int64_t left_ns = t->until_ns - now_ns;

	if (left_ns <= 0)
		return 0;
	return left_ns < t->limit_ns ? left_ns : t->limit_ns;
}
