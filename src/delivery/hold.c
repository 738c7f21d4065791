/*
 * Invariants:
 * 1. A probe is under way, or its time is set, only while HELD or OFFLINE.
 * 2. Time held is counted once: entered_ns while it lasts, held_total_ns after.
 * 3. code and reason are empty when STARTING, FLOWING or STOPPED, and no other time.
 */
#include "delivery/hold.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#define ILLEGAL (-1)

static const char *const state_names[] = {"starting", "flowing", "throttled", "offline", "held", "blocked", "stopped"};
static const char *const event_names[] = {"acked", "throttled", "calm", "lost", "refused", "blocked", "stop"};

/* clang-format off */
/* Rows: enum delivery_state. Columns: enum hold_event. */
static const int moves[][HOLD_EVENTS] = {
    {DELIVERY_FLOWING, DELIVERY_THROTTLED, ILLEGAL, DELIVERY_OFFLINE, DELIVERY_HELD, DELIVERY_BLOCKED, DELIVERY_STOPPED},
    {DELIVERY_FLOWING, DELIVERY_THROTTLED, ILLEGAL, DELIVERY_OFFLINE, DELIVERY_HELD, DELIVERY_BLOCKED, DELIVERY_STOPPED},
    {DELIVERY_THROTTLED, DELIVERY_THROTTLED, DELIVERY_FLOWING, DELIVERY_OFFLINE, DELIVERY_HELD, DELIVERY_BLOCKED, DELIVERY_STOPPED},
    {DELIVERY_FLOWING, DELIVERY_THROTTLED, DELIVERY_FLOWING, DELIVERY_OFFLINE, DELIVERY_HELD, ILLEGAL, DELIVERY_STOPPED},
    {DELIVERY_FLOWING, DELIVERY_THROTTLED, ILLEGAL, DELIVERY_OFFLINE, DELIVERY_HELD, ILLEGAL, DELIVERY_STOPPED},
    {DELIVERY_FLOWING, DELIVERY_THROTTLED, DELIVERY_FLOWING, DELIVERY_OFFLINE, DELIVERY_HELD, DELIVERY_BLOCKED, DELIVERY_STOPPED},
    {ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL, ILLEGAL},
};
/* clang-format on */

const char *delivery_state_name(enum delivery_state state) { return state_names[state]; }

const char *hold_event_name(enum hold_event event) { return event_names[event]; }

bool hold_next(enum delivery_state state, enum hold_event event, enum delivery_state *ret)
{
	if (moves[state][event] == ILLEGAL)
		return false;
	*ret = (enum delivery_state)moves[state][event];
	return true;
}

void hold_init(struct hold *h, int64_t wall_ms)
{
	memset(h, 0, sizeof *h);
	h->state = DELIVERY_STARTING;
	h->since_wall_ms = wall_ms;
}

static void count_move(const struct hold *h, enum delivery_state old, bool was_on)
{
	bool is_on = hold_is_on(h);

	if (is_on && !was_on)
		metric_add(M_OUTPUT_CONNECTION_LOST, 1);
	if (!is_on && h->state != DELIVERY_STOPPED && (was_on || old == DELIVERY_STARTING))
		metric_add(M_OUTPUT_CONNECTION_UP, 1);
	if (h->state == DELIVERY_HELD)
		metric_add(M_HOLDS, 1);
	metric_set(M_HELD, is_on);
}

/* The one setter. */
static void set_state(struct hold *h, enum hold_event event, int64_t now_ns, int64_t wall_ms)
{
	enum delivery_state old = h->state, new;
	bool was_on = hold_is_on(h);

	must(hold_next(old, event, &new));
	must(was_on || (!h->probing && h->next_probe_ns == 0));
	if (new == old)
		return;
	h->state = new;
	h->since_wall_ms = wall_ms;
	if (was_on && !hold_is_on(h)) {
		h->held_total_ns += now_ns - h->entered_ns;
		h->left_ns = now_ns;
		h->probing = false;
		h->next_probe_ns = 0;
	}
	if (!was_on && hold_is_on(h)) {
		h->entered_ns = now_ns;
		h->number++;
	}
	if (!hold_is_on(h) && new != DELIVERY_BLOCKED &&new != DELIVERY_THROTTLED)
		h->code[0] = h->reason[0] = '\0';
	count_move(h, old, was_on);
	LOG(hold_is_on(h) || new == DELIVERY_BLOCKED ? LOG_WARN : LOG_INFO, "delivery state",
	    LOG_S("old", state_names[old]), LOG_S("event", event_names[event]), LOG_S("new", state_names[new]),
	    LOG_S("code", h->code), LOG_S("reason", h->reason));
}

void hold_move(struct hold *h, enum hold_event event, int64_t now_ns, int64_t wall_ms)
{
	must(event != HOLD_LOST && event != HOLD_REFUSED && event != HOLD_BLOCKED && event != HOLD_THROTTLED);
	set_state(h, event, now_ns, wall_ms);
}

void hold_throttle(struct hold *h, const char *code, const char *reason, int64_t now_ns, int64_t wall_ms)
{
	(void)snprintf(h->code, sizeof h->code, "%s", code);
	(void)snprintf(h->reason, sizeof h->reason, "%s", reason);
	set_state(h, HOLD_THROTTLED, now_ns, wall_ms);
}

void hold_block(struct hold *h, const char *code, const char *reason, int64_t now_ns, int64_t wall_ms)
{
	if (hold_is_on(h))
		return;
	(void)snprintf(h->code, sizeof h->code, "%s", code);
	(void)snprintf(h->reason, sizeof h->reason, "%s", reason);
	set_state(h, HOLD_BLOCKED, now_ns, wall_ms);
}

static void set_probe(struct hold *h, const struct hold_waits *waits, int64_t now_ns)
{
	int64_t half_ns = h->wait_ns / 2;

	h->probing = false;
	h->next_probe_ns = now_ns + half_ns + (int64_t)(waits->random * (double)(h->wait_ns - half_ns));
}

static void lengthen(struct hold *h, const struct hold_waits *waits)
{
	h->wait_ns = h->wait_ns > waits->max_ns / 2 ? waits->max_ns : h->wait_ns * 2;
	if (h->wait_ns < waits->initial_ns)
		h->wait_ns = waits->initial_ns;
}

void hold_fail(struct hold *h, enum hold_event event, bool was_probe, const char *code, const char *reason,
               const struct hold_waits *waits, int64_t now_ns, int64_t wall_ms)
{
	bool was_on = hold_is_on(h);

	must(event == HOLD_LOST || event == HOLD_REFUSED);
	if (was_on && !was_probe)
		return;
	if (was_on) {
		metric_add(M_OUTPUT_CONNECTION_FAILED, 1);
		lengthen(h, waits);
	} else if (h->left_ns != 0 && now_ns - h->left_ns < 2 * h->wait_ns) {
		lengthen(h, waits);
	} else {
		h->wait_ns = waits->initial_ns < waits->max_ns ? waits->initial_ns : waits->max_ns;
	}
	(void)snprintf(h->code, sizeof h->code, "%s", code);
	(void)snprintf(h->reason, sizeof h->reason, "%s", reason);
	set_state(h, event, now_ns, wall_ms);
	set_probe(h, waits, now_ns);
}

void hold_probe_again(struct hold *h, const struct hold_waits *waits, int64_t now_ns)
{
	must(hold_is_on(h));
	lengthen(h, waits);
	set_probe(h, waits, now_ns);
}

void hold_ask_soon(struct hold *h, const struct hold_waits *waits, int64_t now_ns)
{
	must(hold_is_on(h));
	if (h->probing)
		return;
	h->wait_ns = waits->initial_ns < waits->max_ns ? waits->initial_ns : waits->max_ns;
	set_probe(h, waits, now_ns);
}

int64_t hold_active_ns(const struct hold *h, int64_t now_ns)
{
	return now_ns - h->held_total_ns - (hold_is_on(h) ? now_ns - h->entered_ns : 0);
}
