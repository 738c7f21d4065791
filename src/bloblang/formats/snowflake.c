#include "bloblang/formats/snowflake.h"

#include <stdatomic.h>

#include "base/clock.h"

enum { SNOWFLAKE_NODE_BITS = 10, SNOWFLAKE_STEP_BITS = 12 };

#define SNOWFLAKE_EPOCH_MS INT64_C(1288834974657)

int64_t snowflake_make(uint32_t node)
{
	static _Atomic int64_t last; /* milliseconds and step of the newest id */
	int64_t seen = atomic_load(&last), next;

	do { /* when the steps of a millisecond are used up, or the clock goes back, it runs ahead */
		next = (clock_wall_ms() - SNOWFLAKE_EPOCH_MS) << SNOWFLAKE_STEP_BITS;
		if (next <= seen)
			next = seen + 1;
	} while (!atomic_compare_exchange_weak(&last, &seen, next));
	return next >> SNOWFLAKE_STEP_BITS << (SNOWFLAKE_STEP_BITS + SNOWFLAKE_NODE_BITS) |
	       (int64_t)(node & ((1U << SNOWFLAKE_NODE_BITS) - 1)) << SNOWFLAKE_STEP_BITS |
	       (next & ((1 << SNOWFLAKE_STEP_BITS) - 1));
}
