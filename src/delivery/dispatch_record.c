/* dispatch_record: what becomes of one record: settled, set aside, or waiting for its next try. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "delivery/dispatch_internal.h"

/* What the service asks for may exceed our own wait by this much: botocore's rule for x-amz-retry-after. */
enum { RETRY_AFTER_EXCESS_S = 5 };

/* Full jitter over a base that grows as Redpanda Connect's does (1.5 times a try), or doubles for throttling. */
int64_t dispatch_wait_ns(struct dispatch *d, uint32_t tries, bool throttled)
{
	double base = (double)d->set.backoff_initial_ns;
	double most = (double)(throttled ? d->set.throttle_max_ns : d->set.backoff_max_ns);
	int64_t wait;

	for (uint32_t i = 1; i < tries && base < most; i++)
		base *= throttled ? 2 : 1.5;
	if (base > most && (tries > 1 || throttled))
		base = most;
	wait = (int64_t)(d->ports.unit(d->ports.arg) * base);
	return wait > NS_PER_MS ? wait : NS_PER_MS;
}

static int64_t wait_asked_for(int64_t wait_ns, int64_t retry_after_ms)
{
	int64_t asked = retry_after_ms > 0 && retry_after_ms < INT64_MAX / NS_PER_MS ? retry_after_ms * NS_PER_MS : 0;
	int64_t most = wait_ns + RETRY_AFTER_EXCESS_S * NS_PER_S;

	return asked <= wait_ns ? wait_ns : asked < most ? asked : most;
}

static void settle_row(struct dispatch *d, const struct store_settlement *s, uint32_t row_bytes)
{
	if (s->kind == SETTLE_DELIVERED)
		metric_add(M_OUTPUT_SENT, 1);
	d->ports.settle(d->ports.arg, s, row_bytes);
}

static void settle_tracked(struct dispatch *d, uint64_t id, const struct store_settlement *piece)
{
	struct row *row = rows_find(&d->rows, id);
	struct store_settlement s;
	uint32_t row_bytes;

	must(row);
	if (!row_decide(row, piece->kind, piece->attempts, piece->next_ms, piece->code,
	                piece->reason ? mem_string(piece->reason) : NULL))
		return;
	if (row->kind == SETTLE_RETRY && row->delivered > 0)
		metric_add(M_POSSIBLE_DUPLICATES, 1);
	s = (struct store_settlement){.id = id,
	                              .kind = row->kind,
	                              .attempts = row->attempts,
	                              .next_ms = row->next_ms,
	                              .code = row->code,
	                              .reason = row->reason};
	row_bytes = row->row_bytes;
	rows_remove(&d->rows, row);
	settle_row(d, &s, row_bytes);
}

void dispatch_settle(struct dispatch *d, struct record *r, enum settle_kind kind, const char *code, char *reason,
                     int64_t next_ms)
{
	struct store_settlement s = {
	    .id = r->id, .kind = kind, .attempts = r->attempts, .next_ms = next_ms, .code = code, .reason = reason};

	if (kind == SETTLE_DELIVERED)
		metric_add(M_PAYLOAD_OUT, record_accounted(r));
	if (r->message)
		d->memory_bytes -= message_cost(r->message);
	if (!r->tracked) {
		settle_row(d, &s, r->row_bytes);
	} else {
		if (!r->origin)
			settle_tracked(d, r->id, &s);
		for (uint32_t i = 0; r->origin && i < r->origin->count; i++)
			settle_tracked(d, r->origin->ids[i], &s);
		free(reason);
	}
	record_free(r);
}

void dispatch_filtered(struct dispatch *d, uint64_t id, uint32_t row_bytes, bool set_aside)
{
	struct store_settlement s = {.id = id, .kind = SETTLE_FILTERED};

	if (set_aside) {
		s.kind = SETTLE_DEAD;
		s.code = "filtered";
		s.reason = mem_string("dropped by a processor");
	}
	settle_row(d, &s, row_bytes);
}

void dispatch_dead(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text)
{
	/* Not the text: a refusal may quote the key. The shelf (kspool dead) has it. */
	LOG_LIMITED(LOG_WARN, "message set aside", LOG_U("id", r->id), LOG_S("code", said),
	            LOG_U("attempts", r->attempts));
	dispatch_settle(d, r, SETTLE_DEAD, code,
	                strcmp(code, said) == 0 ? mem_string(text) : mem_format("%s: %s", said, text), 0);
}

static bool is_exhausted(const struct dispatch *d, const struct record *r, int64_t active_ns, int64_t wait_ns)
{
	if (d->set.max_retries > 0 && r->tries > d->set.max_retries)
		return true;
	return d->set.backoff_elapsed_ns > 0 && active_ns - r->first_failure_ns + wait_ns > d->set.backoff_elapsed_ns;
}

void dispatch_again(struct dispatch *d, struct record *r, const struct verdict *v)
{
	bool throttled = v->outcome->action == ACTION_SLOWER;
	int64_t active_ns = hold_active_ns(&d->hold, d->now_ns), wait;

	metric_add(v->outcome->metric, 1);
	if (v->outcome->may_be_stored)
		metric_add(M_POSSIBLE_DUPLICATES, record_rows(r));
	if (v->outcome->counts_as_attempt) {
		r->attempts++;
		r->tries++;
		if (r->first_failure_ns < 0)
			r->first_failure_ns = active_ns;
	}
	if (d->set.dead_after_attempts > 0 && r->attempts >= d->set.dead_after_attempts) {
		dispatch_dead(d, r, v->code, v->said, v->text);
		return;
	}
	if (dispatch_is_too_old(d, r)) {
		dispatch_dead(d, r, "TooOld", v->said, v->text);
		return;
	}
	wait = wait_asked_for(dispatch_wait_ns(d, r->tries, throttled), v->retry_after_ms);
	if (v->outcome->counts_as_attempt && is_exhausted(d, r, active_ns, wait)) {
		dispatch_settle(d, r, SETTLE_RETRY, v->code, mem_format("%s: %s", v->said, v->text),
		                d->wall_ms + wait / NS_PER_MS);
		return;
	}
	r->throttled = throttled;
	r->due_ns = d->now_ns + wait;
	waiting_put(&d->waiting, r);
}
