/* dispatch_unit: several records become one, and what that saves. */
#include <stdlib.h>

#include "base/metrics.h"
#include "delivery/dispatch_internal.h"
#include "delivery/queues/unit.h"

enum { PUT_UNIT = 25600 }; /* pricing page: a record is paid by begun 25 KB */

struct record *dispatch_unit(struct dispatch *d, struct record *const *parts, uint32_t count, struct lane *l)
{
	const struct record *first = parts[0];
	struct record *r;

	r = count > 1 ? unit_join(d->aggregates, parts, count, &d->memory_bytes) : parts[0];
	r->lane = l;
	if (r == first)
		return r;
	r->tries = first->tries;
	r->first_failure_ns = first->first_failure_ns;
	return r;
}

void dispatch_count_unit(const struct record *unit)
{
	uint64_t alone = 0, together = (record_accounted(unit) + PUT_UNIT - 1) / PUT_UNIT;

	for (uint32_t i = 0; i < unit->part_count; i++)
		alone += (record_accounted(unit->parts[i]) + PUT_UNIT - 1) / PUT_UNIT;
	metric_add(M_AGGREGATES, 1);
	metric_add(M_AGGREGATED, unit->rows);
	metric_add(M_PUT_UNITS_SAVED, alone > together ? alone - together : 0);
}

/* Refused for itself: which part it is will be seen when each goes alone. */
void dispatch_take_apart(struct dispatch *d, struct record *unit)
{
	struct lane *l = unit->lane;
	uint32_t n;
	struct record **parts = unit_split(unit, &n, &d->memory_bytes);

	if (l)
		l->plain_to = parts[n - 1]->id;
	for (uint32_t i = n; i-- > 0;)
		if (l)
			lanes_put(&d->lanes, l, parts[i], false);
		else
			ready_put_first(&d->ready, parts[i]);
	if (l)
		lanes_left(&d->lanes, l);
	free(parts);
}

void dispatch_first(struct dispatch *d, struct record *r)
{
	if (r->lane && d->set.lanes.records > 1) {
		lanes_put(&d->lanes, r->lane, r, true); /* with the others of its request, in their order */
	} else {
		/* It waits no longer than who is there: by itself it is no request worth sending. */
		const struct record *first = ready_first(&d->ready);

		r->since_ns = first ? first->since_ns : d->now_ns;
		ready_put_first(&d->ready, r);
	}
}
