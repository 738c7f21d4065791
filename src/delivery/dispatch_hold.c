#include "base/check.h"
#include "base/mem.h"
#include "delivery/dispatch_internal.h"

struct hold_waits dispatch_hold_waits(struct dispatch *d)
{
	return (struct hold_waits){.initial_ns = d->set.kspool.probe_initial_ns,
	                           .max_ns = d->set.kspool.probe_max_ns,
	                           .random = d->ports.unit(d->ports.arg)};
}

void dispatch_hold(struct dispatch *d, enum hold_event event, bool was_probe, const char *said, const char *text)
{
	struct hold_waits waits = dispatch_hold_waits(d);

	hold_fail(&d->hold, event, was_probe, said, text, &waits, d->now_ns, d->wall_ms);
	pace_restart(&d->pace, d->now_ns);
}

void dispatch_works(struct dispatch *d)
{
	bool was_on = hold_is_on(&d->hold);

	d->offline.count = 0;
	d->identity.count = 0;
	hold_move(&d->hold, pace_is_throttled(&d->pace, d->now_ns) ? HOLD_THROTTLED : HOLD_ACKED, d->now_ns,
	          d->wall_ms);
	if (was_on)
		suspects_hasten(&d->suspects, d->now_ns);
}

void dispatch_probe_over(struct dispatch *d, const struct request *q)
{
	struct hold_waits waits;

	if (!q->probe || !hold_is_on(&d->hold) || !d->hold.probing)
		return;
	waits = dispatch_hold_waits(d);
	hold_probe_again(&d->hold, &waits, d->now_ns);
}

bool dispatch_fails(struct dispatch *d, struct streak *s, const struct request *q)
{
	if (s->count > 0 && q->sent_ns <= s->event_ns)
		return false;
	s->event_ns = d->now_ns;
	s->count++;
	return true;
}

/* A record that was tried in this run; the others are simply pending in the journal. */
static void park(struct dispatch *d, struct record *r)
{
	if (r->tries > 0 && !d->set.lanes.is_ordered)
		dispatch_settle(d, r, SETTLE_RETRY, "Stopped", mem_string("kspool stopped before the next try"), 0);
	else
		record_free(r);
}

void dispatch_park(struct dispatch *d)
{
	struct record *r;
	struct shard *s;

	must(d->phase == DISPATCH_STOPPING && d->requests.count == 0 && !d->preparing.batch);
	while ((r = ready_take(&d->ready)))
		park(d, r);
	while ((r = waiting_take(&d->waiting)))
		park(d, r);
	LIST_FOREACH (s, &d->ready.shards.listed, link)
		while ((r = shards_take(&d->ready.shards, s)))
			park(d, r);
	while ((r = suspects_begin_at(&d->suspects, 0))) {
		suspects_take(&d->suspects, r);
		park(d, r);
	}
}

void dispatch_stop(struct dispatch *d)
{
	if (d->phase != DISPATCH_STOPPING && d->requests.count == 0)
		hold_move(&d->hold, HOLD_STOP, d->now_ns, d->wall_ms);
	d->phase = DISPATCH_STOPPING;
}
