#include "delivery/culprits.h"

#include "kinesis/limits.h"

#define SEARCHED 4.0 /* a request has so large a part of the distance */
#define NAMED 2.0
#define GONE 2.0  /* distances without one */
#define KEPT 0.75 /* of what was known before, at each refusal: four of them say how it is */
/* Where none was refused for long: the first changes nothing, each of the next ones more. */
#define LONG (SEARCHED * KINESIS_REQUEST_RECORDS)

void culprits_init(struct culprits *c) { *c = (struct culprits){.taken = LONG}; }

void culprits_taken(struct culprits *c, uint32_t records)
{
	c->taken += records;
	c->since += records;
	if (c->since >= LONG || c->found <= 0)
		culprits_init(c);
}

void culprits_refused(struct culprits *c, double good)
{
	c->taken = c->taken * (c->found > 0 ? KEPT : 1) + good;
	c->found = c->found * KEPT + 1;
	c->since = 0;
}

uint32_t culprits_records(const struct culprits *c, bool are_named, uint32_t most)
{
	double apart, records;

	if (c->found <= 0)
		return most;
	apart = c->taken / c->found > c->since / GONE ? c->taken / c->found : c->since / GONE;
	records = apart / (are_named ? NAMED : SEARCHED);
	return records >= most ? most : records > 1 ? (uint32_t)records : 1;
}
