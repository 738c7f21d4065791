/* What the dispatcher says of itself. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "delivery/dispatch_internal.h"

uint32_t dispatch_held(const struct dispatch *d)
{
	return d->ready.count + d->ready.shards.queued + (uint32_t)d->waiting.count + d->batcher.messages +
	       d->preparing.messages + d->isolations.records + d->suspects.count + d->doubts.count + d->lanes.records;
}

/* When the stream is asked again; INT64_MAX: it is not waited for. */
static int64_t next_question_ns(const struct dispatch *d)
{
	if (d->hold.state == DELIVERY_BLOCKED)
		return suspects_due_ns(&d->suspects);
	return hold_is_on(&d->hold) && !d->hold.probing ? d->hold.next_probe_ns : INT64_MAX;
}

void dispatch_status(const struct dispatch *d, int64_t now_ns, int64_t wall_ms, struct delivery_status *ret)
{
	const struct hold *h = &d->hold;
	int64_t next_ns = next_question_ns(d);

	ret->state = h->state;
	ret->since_ms = h->since_wall_ms;
	(void)snprintf(ret->code, sizeof ret->code, "%s", h->code);
	(void)snprintf(ret->reason, sizeof ret->reason, "%s", h->reason);
	ret->next_probe_ms =
	    next_ns == INT64_MAX ? 0 : wall_ms + (next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS : 0);
	ret->in_flight = d->requests.count;
	ret->link_bytes_s = (uint64_t)d->link.goodput;
	ret->link_rtt_ms = (uint32_t)(d->link.rtt_ns / NS_PER_MS);
	ret->request_bytes = ceiling_bytes(&d->ceiling);
	ret->link_is_thin = d->link.is_thin;
	ret->waiting_records = dispatch_held(d);
	ret->refused_records = d->suspects.count + d->doubts.count;
	dispatch_shards_status(d, ret);
	ret->memory_bytes = d->memory_bytes;
	ret->last_ack_ms = d->last_ack_wall_ms;
}

bool dispatch_state_is_news(const struct dispatch *d, const struct delivery_status *told)
{
	return d->hold.state != told->state || strcmp(d->hold.code, told->code) != 0;
}
