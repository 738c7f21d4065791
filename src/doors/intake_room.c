/* intake_room: whether doors may read on: the memory bound, and the hold that a rate_limit processor asks for. */
#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "doors/intake.h"

static void on_hold_over(evutil_socket_t fd, short what, void *arg)
{
	struct intake *i = arg;

	(void)fd;
	(void)what;
	i->hold_until_ns = 0;
	if (i->on_room)
		i->on_room(i->arg);
}

void intake_hold(struct intake *i, int64_t until_ns)
{
	int64_t left_ns = until_ns - clock_mono_ns();
	struct timeval tv;

	if (left_ns <= 0 || until_ns <= i->hold_until_ns)
		return;
	i->hold_until_ns = until_ns;
	tv = (struct timeval){.tv_sec = left_ns / NS_PER_S, .tv_usec = (left_ns % NS_PER_S) / NS_PER_US + 1};
	(void)evtimer_add(i->hold, &tv);
}

void intake_room_open(struct intake *i)
{
	i->hold = evtimer_new(i->base, on_hold_over, i);
	must(i->hold);
}

void intake_room_close(struct intake *i) { event_free(i->hold); }

void intake_charge(struct intake *i, uint64_t bytes)
{
	i->memory_bytes += bytes;
	budget_tell(BUDGET_DOORS, i->memory_bytes);
}

void intake_release(struct intake *i, uint64_t bytes)
{
	must(i->memory_bytes >= bytes);
	i->memory_bytes -= bytes;
	budget_tell(BUDGET_DOORS, i->memory_bytes);
}

bool intake_takes(const struct intake *i) { return TAILQ_EMPTY(&i->kept) && i->hold_until_ns == 0; }

bool intake_is_full(const struct intake *i) { return i->memory_bytes >= i->memory_limit_bytes; }

bool intake_has_room(const struct intake *i) { return !intake_is_full(i) && intake_takes(i); }
