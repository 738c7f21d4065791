/* intake_room: whether doors may read on: the memory bound, and the holds that rate_limit processors ask for. */
#include <stdlib.h>

#include <event2/event.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/held.h"
#include "doors/intake.h"

enum { SHED_MS = 100, LARGE_S = 5, MADE_OWN_BYTES = 4 << 20 };

static void set_hold_timer(struct intake *i)
{
	const int64_t now_ns = clock_mono_ns();
	int64_t left_ns = INT64_MAX;
	const struct limit_hold *h;
	struct timeval tv;

	SLIST_FOREACH (h, &i->holds, link)
		if (h->until_ns > now_ns && h->until_ns - now_ns < left_ns)
			left_ns = h->until_ns - now_ns;
	tv = (struct timeval){.tv_sec = left_ns / NS_PER_S, .tv_usec = (left_ns % NS_PER_S) / NS_PER_US + 1};
	if (left_ns < INT64_MAX)
		(void)evtimer_add(i->hold, &tv);
}

static void on_hold_over(evutil_socket_t fd, short what, void *arg)
{
	struct intake *i = arg;

	(void)fd;
	(void)what;
	set_hold_timer(i);
	if (i->on_room)
		i->on_room(i->arg);
}

void intake_hold(struct intake *i, const struct pipeline *of, int64_t until_ns)
{
	struct limit_hold *h;

	if (until_ns <= clock_mono_ns())
		return;
	SLIST_FOREACH (h, &i->holds, link)
		if (h->of == of)
			break;
	if (!h) {
		h = mem_zero(sizeof *h);
		h->of = of;
		SLIST_INSERT_HEAD(&i->holds, h, link);
	}
	if (until_ns > h->until_ns)
		h->until_ns = until_ns;
	set_hold_timer(i);
}

int64_t intake_held_ns(const struct intake *i, const struct pipeline *own)
{
	const struct limit_hold *h;
	int64_t until_ns = 0, now_ns;

	SLIST_FOREACH (h, &i->holds, link)
		if ((h->of == own || h->of == i->common) && h->until_ns > until_ns)
			until_ns = h->until_ns;
	if (until_ns == 0 || i->stopping)
		return 0;
	now_ns = clock_mono_ns();
	return until_ns > now_ns ? until_ns - now_ns : 0;
}

const char *intake_is_limited(const struct intake *i, const struct pipeline *own)
{
	return intake_held_ns(i, own) > LIMIT_WAIT_MS * NS_PER_MS
	           ? "a rate_limit of its processors was used up by what came before"
	           : NULL;
}

/* Only what is unfinished is asked to go: what is whole leaves by itself. Else many bodies that came at once would hold
 * all there is, and each wait for the others' memory. */
static void on_shed(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = {.tv_usec = SHED_MS * 1000};
	struct intake *i = arg;

	(void)fd;
	(void)what;
	while (intake_is_full(i) && (i->small_waits || i->outstanding == 0) &&
	       held_unfinished_bytes() > i->memory_limit_bytes / 2 && held_shed(HELD_YOUNG_MS * NS_PER_MS))
		continue;
	i->small_waits = false;
	if (intake_is_full(i) || i->large_next)
		(void)evtimer_add(i->shed, &again);
	if (i->on_room)
		i->on_room(i->arg);
}

void intake_room_open(struct intake *i)
{
	i->hold = evtimer_new(i->base, on_hold_over, i);
	i->shed = evtimer_new(i->base, on_shed, i);
	must(i->hold && i->shed);
}

void intake_room_close(struct intake *i)
{
	struct limit_hold *h;

	while ((h = SLIST_FIRST(&i->holds))) {
		SLIST_REMOVE_HEAD(&i->holds, link);
		free(h);
	}
	event_free(i->hold);
	event_free(i->shed);
}

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

bool intake_may_be_large(struct intake *i, const void *who)
{
	const struct timeval soon = {.tv_usec = SHED_MS * 1000};
	const int64_t now_ns = clock_mono_ns();

	if (i->large == who)
		return true;
	if (i->large && now_ns - i->large_ns < LARGE_S * NS_PER_S) {
		if (!i->large_next)
			i->large_next = who;
		if (!evtimer_pending(i->shed, NULL))
			(void)evtimer_add(i->shed, &soon);
		return false;
	}
	i->large = who;
	i->large_ns = now_ns;
	if (i->large_next == who)
		i->large_next = NULL;
	return true;
}

void intake_is_still_large(struct intake *i, const void *who)
{
	if (i->large == who)
		i->large_ns = clock_mono_ns();
}

void intake_is_not_large(struct intake *i, const void *who)
{
	const struct timeval now = {0};

	if (i->large_next == who)
		i->large_next = NULL;
	if (i->large != who)
		return;
	/* whoever waits for it has it now: an owner that has more would ask before anybody is told */
	i->large = i->large_next;
	i->large_ns = clock_mono_ns();
	i->large_next = NULL;
	if (i->large)
		(void)evtimer_add(i->shed, &now);
}

bool intake_takes(const struct intake *i) { return TAILQ_EMPTY(&i->kept); }

int64_t intake_room_to_make(const struct intake *i)
{
	const uint64_t most = intake_most_bytes(i) + MADE_OWN_BYTES;

	return most > i->memory_bytes ? (int64_t)(most - i->memory_bytes) : 0;
}

bool intake_is_full(const struct intake *i) { return i->memory_bytes >= i->memory_limit_bytes; }

/* What is unfinished gives way then: at once to a small one, and to its like when nothing whole is on its way. */
static bool is_full(struct intake *i)
{
	const struct timeval now = {0};

	if (intake_is_full(i) && !evtimer_pending(i->shed, NULL))
		(void)evtimer_add(i->shed, &now);
	return intake_is_full(i);
}

bool intake_has_room_for_small(struct intake *i)
{
	i->small_waits |= is_full(i);
	return i->memory_bytes < i->memory_limit_bytes / 8 * 9 && intake_takes(i);
}

bool intake_has_room(struct intake *i) { return !is_full(i) && intake_takes(i); }
