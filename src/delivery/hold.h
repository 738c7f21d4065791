/*
 * hold: the state of the stream, and when it is asked again.
 *
 * What it is: one state (delivery.h), one table of moves, one setter that logs old, event and new. A pair that cannot
 * happen is a bug. While HELD or OFFLINE exactly one probe is under way at a time; its wait doubles from probe_initial
 * to probe_max, and goes on from where it was when the stream fails again soon after. Requests that fail together count
 * once.
 * Promises: 10 (the state says what is wrong and since when). Owner: dispatch. Thread: delivery.
 * Fails: never. Does not: send the probe.
 */
#ifndef KSPOOL_DELIVERY_HOLD_H
#define KSPOOL_DELIVERY_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/delivery.h"

enum hold_event {
	HOLD_ACKED,     /* the service answered as it should */
	HOLD_THROTTLED, /* it refuses for rate */
	HOLD_CALM,    /* stored again and no throttling for a while; nothing left that is refused; what was silent moves
	                 again */
	HOLD_LOST,    /* it cannot be reached, or does not work */
	HOLD_REFUSED, /* it does not let us */
	HOLD_BLOCKED, /* what is left is refused on the way, all else went */
	HOLD_STOP,
	HOLD_EVENTS,
};

struct hold {
	enum delivery_state state;
	int64_t since_wall_ms;
	uint32_t number;       /* of the present or the last time held or offline */
	int64_t entered_ns;    /* monotonic: when the present HELD or OFFLINE began */
	int64_t left_ns;       /* monotonic: when the last one ended; 0: never */
	int64_t held_total_ns; /* time spent in ended ones */
	int64_t wait_ns;       /* between probes */
	int64_t next_probe_ns;
	bool probing; /* the probe is under way */
	char code[96];
	char reason[512];
};

/* True: *ret is the state after; false: the pair is a bug. */
bool hold_next(enum delivery_state state, enum hold_event event, enum delivery_state *ret);
const char *hold_event_name(enum hold_event event);

void hold_init(struct hold *h, int64_t wall_ms);
static inline bool hold_is_on(const struct hold *h)
{
	return h->state == DELIVERY_OFFLINE || h->state == DELIVERY_HELD;
}
/* ACKED, CALM, STOP. */
void hold_move(struct hold *h, enum hold_event event, int64_t now_ns, int64_t wall_ms);
/* THROTTLED, with the newest that said so. */
void hold_throttle(struct hold *h, const char *code, const char *reason, int64_t now_ns, int64_t wall_ms);
struct hold_waits {
	int64_t initial_ns;
	int64_t max_ns;
	double random; /* 0..1 */
};
/* LOST, REFUSED. was_probe: the failed request was the probe (others of the same trouble change nothing). */
void hold_fail(struct hold *h, enum hold_event event, bool was_probe, const char *code, const char *reason,
               const struct hold_waits *waits, int64_t now_ns, int64_t wall_ms);
/* Nothing else is under way or could be sent. Harmless while it is on. */
void hold_block(struct hold *h, const char *code, const char *reason, int64_t now_ns, int64_t wall_ms);
/* The probe came back without deciding anything. */
void hold_probe_again(struct hold *h, const struct hold_waits *waits, int64_t now_ns);
/* While it is on: what failed says little of the next probe, which waits as the first did. */
void hold_ask_soon(struct hold *h, const struct hold_waits *waits, int64_t now_ns);
/* Time that counts against budgets: monotonic without what was spent held. */
int64_t hold_active_ns(const struct hold *h, int64_t now_ns);

#endif
