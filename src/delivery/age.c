#include "delivery/age.h"

#include "base/clock.h"

void age_init(struct age *a, int64_t now_ns, int64_t wall_ms)
{
	*a = (struct age){.now_ns = now_ns, .wall_ms = wall_ms};
}

void age_tick(struct age *a, int64_t now_ns, int64_t wall_ms)
{
	int64_t step_ms = (wall_ms - a->wall_ms) - (now_ns - a->now_ns) / NS_PER_MS;

	if (step_ms >= AGE_STEP_MS || step_ms <= -AGE_STEP_MS) {
		a->stepped_ms += step_ms;
		a->last_ms = step_ms;
		a->last_ns = now_ns;
	}
	a->now_ns = now_ns;
	a->wall_ms = wall_ms;
}

int64_t age_enter(const struct age *a, int64_t received_ms)
{
	if (received_ms < AGE_CLOCK_UNSET_MS)
		return AGE_NONE;
	if (a->last_ms > 0 && a->now_ns - a->last_ns < AGE_ON_THE_WAY_NS && a->wall_ms - received_ms >= a->last_ms)
		received_ms += a->last_ms;
	if (received_ms > a->wall_ms)
		received_ms = a->wall_ms;
	return received_ms - a->stepped_ms;
}

int64_t age_of_ms(const struct age *a, int64_t entered_ms)
{
	int64_t age_ms = a->wall_ms - a->stepped_ms - entered_ms;

	return age_ms > 0 ? age_ms : 0;
}
