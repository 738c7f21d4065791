/* dispatch_take: what a batch became: each record is ready, suspect or set aside, and rows that vanished are settled.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "delivery/dispatch_internal.h"

/* One more record stands for the rows of this one. */
static void track(struct dispatch *d, struct record *r)
{
	r->tracked = true;
	d->tracked_records++;
	for (uint32_t i = 0; i < record_rows(r); i++) {
		struct row *row = tracked_find(&d->tracked, r->origin ? r->origin->ids[i] : r->id);

		must(row);
		row->remaining++;
	}
}

static void settle_vanished(struct dispatch *d, const struct prepared_row *vanished)
{
	struct store_settlement s = {.id = vanished->id, .kind = SETTLE_FILTERED};

	if (d->set.kspool.processor_filter == FILTER_SET_ASIDE) {
		s.kind = SETTLE_DEAD;
		s.code = "filtered";
		s.reason = mem_string("dropped by a processor");
	}
	dispatch_gone(d, vanished->id);
	tracked_remove(&d->tracked, tracked_find(&d->tracked, vanished->id));
	dispatch_settle_row(d, &s, vanished->row_bytes);
}

static void take_rows(struct dispatch *d, const struct prepared *made)
{
	for (size_t i = 0; i < made->row_count; i++)
		must(tracked_add(&d->tracked, made->rows[i].id, made->rows[i].row_bytes));
	for (size_t i = 0; made->row_count > 0 && i < made->count; i++)
		track(d, made->records[i].record);
	for (size_t i = 0; i < made->row_count; i++)
		if (tracked_find(&d->tracked, made->rows[i].id)->remaining == 0)
			settle_vanished(d, &made->rows[i]);
}

/* What is known of its rows from before they waited on disk. */
static void remember(struct dispatch *d, struct record *r)
{
	if (!r->origin)
		tries_give_back(&d->tried, r->id, r);
	for (uint32_t i = 0; r->origin && i < r->origin->count; i++)
		tries_give_back(&d->tried, r->origin->ids[i], r);
}

void dispatch_take_prepared(struct dispatch *d, struct prepared *made, int64_t since_ns)
{
	take_rows(d, made);
	for (size_t i = 0; i < made->count; i++) {
		struct prepared_record *p = &made->records[i];

		p->record->since_ns = since_ns;
		remember(d, p->record);
		d->memory_bytes += message_cost(p->record->message);
		if (p->code || (!d->set.lanes.is_on && suspects_know(&d->suspects, p->record->id)))
			dispatch_gone(d, p->record->id); /* it is nobody's who asked for it */
		if (p->code)
			dispatch_dead(d, p->record, p->code, p->code, p->reason);
		else if (d->set.lanes.is_on && (d->set.lanes.is_ordered || !suspects_know(&d->suspects, p->record->id)))
			dispatch_lane_put(d, p->record);
		else if (suspects_know(&d->suspects, p->record->id))
			suspects_put(&d->suspects, p->record);
		else
			dispatch_put_ready(d, p->record);
		free(p->reason);
	}
	free(made->records);
	free(made->rows);
}
