#include "delivery/ceiling.h"

static uint64_t half_of(uint64_t bytes) { return bytes / 2 < CEILING_FLOOR ? CEILING_FLOOR : bytes / 2; }

void ceiling_limit(struct ceiling *c, uint64_t most_bytes)
{
	if (c->service_bytes == 0 || c->service_bytes > most_bytes)
		c->service_bytes = most_bytes;
}

uint64_t ceiling_bytes(const struct ceiling *c)
{
	return c->link_bytes > 0 && c->link_bytes < c->service_bytes ? c->link_bytes : c->service_bytes;
}

uint64_t ceiling_refused(struct ceiling *c, uint64_t request_bytes)
{
	uint64_t half = half_of(request_bytes);

	if (half >= c->service_bytes)
		return 0;
	c->service_bytes = half;
	return half;
}

bool ceiling_timed_out(struct ceiling *c, uint64_t request_bytes)
{
	uint64_t half = half_of(request_bytes);

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
