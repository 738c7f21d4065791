#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "delivery/dispatch_internal.h"

struct hold_waits dispatch_hold_waits(struct dispatch *d)
{
	int64_t max_ns = d->set.kspool.probe_max_ns;

	if (d->is_answered && max_ns > d->set.kspool.throttle_max_ns)
		max_ns = d->set.kspool.throttle_max_ns;
	return (struct hold_waits){
	    .initial_ns = d->set.kspool.probe_initial_ns, .max_ns = max_ns, .random = d->ports.unit(d->ports.arg)};
}

void dispatch_hold(struct dispatch *d, enum hold_event event, bool was_probe, const char *said, const char *text)
{
	struct hold_waits waits;

	d->is_answered &= event == HOLD_LOST;
	waits = dispatch_hold_waits(d);
	if (dispatch_is_silent(d) && (was_probe || !d->hold.probing)) { /* what was waited for failed */
		was_probe = true;
		d->silence = 0;
	}
	hold_fail(&d->hold, event, was_probe, said, text, &waits, d->now_ns, d->wall_ms);
	pace_restart(&d->pace, d->now_ns);
}

int64_t dispatch_untried_due_ns(const struct dispatch *d)
{
	if (!hold_is_on(&d->hold) || d->untried != d->hold.number || d->others >= REFUSED_IN_A_ROW)
		return INT64_MAX;
	return d->others == 0 ? INT64_MIN : d->asked_ns + d->set.kspool.probe_initial_ns;
}

/* What was heard of the requests under way. */
struct heard {
	int64_t last_ns;     /* INT64_MAX: none waits for anybody */
	const char *waiting; /* for what */
	bool moves;          /* one that was silent when the stream went offline */
};

/*
 * A request that waits for its answer, or for a connection, says it by itself, unless another was answered since. Those
 * that go out share the line: one that moves speaks for all of them.
 */
static struct heard listen_to(const struct dispatch *d)
{
	struct heard h = {.last_ns = INT64_MAX};
	int64_t sending_ns = INT64_MIN;
	const struct request *q;

	LIST_FOREACH (q, &d->requests.list, link) {
		int64_t at_ns;
		enum transport_wait wait = d->ports.moved(d->ports.arg, q, &at_ns);

		if (at_ns == INT64_MAX)
			continue;
		h.moves |= wait != TRANSPORT_CONNECTING && q->hold != d->hold.number && at_ns > d->hold.entered_ns;
		if (at_ns < d->last_answer_ns)
			at_ns = d->last_answer_ns;
		if (wait == TRANSPORT_SENDING) {
			sending_ns = at_ns > sending_ns ? at_ns : sending_ns;
		} else if (at_ns < h.last_ns) {
			h.last_ns = at_ns;
			h.waiting = wait == TRANSPORT_WAITING ? "all of a request was acknowledged and nothing answers"
			                                      : "no connection stands";
		}
	}
	if (sending_ns != INT64_MIN && sending_ns < h.last_ns) {
		h.last_ns = sending_ns;
		h.waiting = "nothing more of a request is acknowledged";
	}
	return h;
}

int64_t dispatch_listen(struct dispatch *d)
{
	struct hold_waits waits;
	struct heard h;
	bool is_long;
	char text[128];

	if (!d->ports.moved || d->requests.count == 0 || d->phase == DISPATCH_STOPPING ||
	    (hold_is_on(&d->hold) && !dispatch_is_silent(d)))
		return INT64_MAX;
	h = listen_to(d);
	is_long = h.last_ns != INT64_MAX && d->now_ns - h.last_ns >= SILENCE_S * NS_PER_S;
	if (hold_is_on(&d->hold)) {
		if (!h.moves || is_long) /* one that goes out is no answer to another */
			return d->now_ns + NS_PER_S;
		hold_move(&d->hold, HOLD_CALM, d->now_ns, d->wall_ms);
	}
	if (h.last_ns == INT64_MAX)
		return INT64_MAX;
	if (!is_long)
		return h.last_ns + SILENCE_S * NS_PER_S;
	waits = dispatch_hold_waits(d);
	(void)snprintf(text, sizeof text, "the endpoint has been silent for over %d s: %s", SILENCE_S, h.waiting);
	hold_fail(&d->hold, HOLD_LOST, false, "Silent", text, &waits, d->now_ns, d->wall_ms);
	d->silence = d->hold.number;
	d->silenced_ns = d->now_ns;
	d->ports.connections_suspect(d->ports.arg); /* a probe beside it goes over one of its own */
	return d->now_ns + NS_PER_S;
}

void dispatch_note_throttled(struct dispatch *d, const char *said, const char *text)
{
	(void)snprintf(d->throttled_code, sizeof d->throttled_code, "%s", said);
	(void)snprintf(d->throttled_text, sizeof d->throttled_text, "%s", text);
}

bool dispatch_is_calm(const struct dispatch *d)
{
	bool is_empty = d->requests.count == 0 && dispatch_held(d) == 0 && metric_get(M_LEDGER_PENDING) <= 0;

	return d->hold.state == DELIVERY_THROTTLED && !pace_is_throttled(&d->pace, d->now_ns) &&
	       (d->last_ack_ns >= d->pace.throttled_ns || is_empty);
}

void dispatch_is_there(struct dispatch *d)
{
	d->is_answered = false;
	d->offline.count = 0;
	d->identity.count = 0;
}

void dispatch_works(struct dispatch *d)
{
	bool was_on = hold_is_on(&d->hold);

	dispatch_is_there(d);
	if (pace_is_throttled(&d->pace, d->now_ns))
		hold_throttle(&d->hold, d->throttled_code, d->throttled_text, d->now_ns, d->wall_ms);
	else
		hold_move(&d->hold, HOLD_ACKED, d->now_ns, d->wall_ms);
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

void dispatch_note_dry(struct dispatch *d, const struct request *q, bool is_dry)
{
	/* What the row itself refused says nothing of what went before it. */
	chance_row_note(&d->dry, is_dry ? 0 : 1, q->count, is_dry ? 0 : chance_late_part(&d->late), q->sent_ns,
	                d->now_ns);
}

static const char stopped[] = "kspool stopped before the next try";

/* A record that was tried in this run; the others are simply pending in the journal. */
static void park(struct dispatch *d, struct record *r)
{
	if (r->tries > 0 && !d->set.lanes.is_ordered)
		dispatch_settle(d, r, SETTLE_RETRY, "Stopped", mem_string(stopped), 0);
	else
		record_free(r);
}

/* The same of one that waits on disk; whether it still does, the journal knows. */
static void note_stopped(struct dispatch *d, const struct tries_row *row)
{
	const struct store_settlement s = {.id = row->id,
	                                   .kind = SETTLE_RETRY,
	                                   .is_note = true,
	                                   .attempts = row->attempts,
	                                   .code = "Stopped",
	                                   .reason = mem_string(stopped)};

	dispatch_settle_row(d, &s, 0);
}

void dispatch_park(struct dispatch *d)
{
	struct tries_row row;
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
	while ((r = doubts_take(&d->doubts)))
		park(d, r);
	while (tries_take(&d->tried, &row))
		if (!row.is_noted && !d->set.lanes.is_ordered)
			note_stopped(d, &row);
}

void dispatch_stop(struct dispatch *d)
{
	if (d->phase != DISPATCH_STOPPING && d->requests.count == 0)
		hold_move(&d->hold, HOLD_STOP, d->now_ns, d->wall_ms);
	d->phase = DISPATCH_STOPPING;
}
