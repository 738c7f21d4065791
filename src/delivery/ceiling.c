#include "delivery/ceiling.h"

static uint64_t half_of(uint64_t bytes, uint64_t floor) { return bytes / 2 < floor ? floor : bytes / 2; }

void ceiling_limit(struct ceiling *c, uint64_t most_bytes)
{
	c->most_bytes = most_bytes;
	if (c->service_bytes == 0 || c->service_bytes > most_bytes)
		c->service_bytes = most_bytes;
}

uint64_t ceiling_bytes(const struct ceiling *c)
{
	uint64_t least = c->service_bytes;

	if (c->link_bytes > 0 && c->link_bytes < least)
		least = c->link_bytes;
	return c->way_bytes > 0 && c->way_bytes < least ? c->way_bytes : least;
}

uint64_t ceiling_refused(struct ceiling *c, uint64_t request_bytes)
{
	uint64_t half = half_of(request_bytes, CEILING_SERVICE_FLOOR);

	if (half >= c->service_bytes)
		return 0;
	c->service_bytes = half;
	c->taken = 0;
	c->patience = c->patience == 0                      ? CEILING_PATIENCE
	              : c->patience < CEILING_PATIENCE_MOST ? c->patience * 2
	                                                    : CEILING_PATIENCE_MOST;
	return half;
}

void ceiling_taken(struct ceiling *c, uint64_t request_bytes)
{
	if (c->service_bytes >= c->most_bytes || request_bytes < c->service_bytes / 2)
		return;
	if (++c->taken < c->patience)
		return;
	c->taken = 0;
	c->service_bytes = c->service_bytes * 2 < c->most_bytes ? c->service_bytes * 2 : c->most_bytes;
}

bool ceiling_timed_out(struct ceiling *c, uint64_t request_bytes)
{
	uint64_t half = half_of(request_bytes, CEILING_LINK_FLOOR);

	if (c->link_bytes > 0 && c->link_bytes <= half)
		return false;
	c->link_bytes = half;
	return true;
}

void ceiling_answered(struct ceiling *c, uint64_t request_bytes)
{
	if (c->link_bytes == 0 || request_bytes < c->link_bytes / 2)
		return;
	c->link_bytes *= 2;
	if (c->link_bytes >= c->service_bytes)
		c->link_bytes = 0;
}
