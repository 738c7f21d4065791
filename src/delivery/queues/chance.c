#include "delivery/queues/chance.h"

#include <math.h>

#include "base/clock.h"

#define SLOWED_TO 0.5
#define SURE 3.0 /* deviations: each of many senders asks again and again */
#define KNOWN_NS (30 * NS_PER_S)

static double deviation(double part, uint32_t records) { return records > 0 ? sqrt(part * (1 - part) / records) : 1; }

double chance_borne(const struct chance *c, double at_least, uint32_t records)
{
	double borne = 0;

	if (c->part > 0) {
		double most = (1 + c->part) / 2; /* then only half passes of what did */

		borne = c->part + 2 * deviation(c->part, records);
		borne = borne < most ? borne : most;
	}
	return (borne > at_least ? borne : at_least) + (records > 0 ? 1.0 / records : 1); /* one more is chance */
}

static void begin(struct chance *c, double speed, double share)
{
	c->speed = speed;
	c->share = share;
	c->records = 0;
	c->refused = 0;
}

enum chance_verdict chance_ask(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns)
{
	double was = 1 - c->share, slowed = c->speed / speed, by_limit, moved, taken;

	if (share >= 1) /* it takes nothing at all: another matter */
		return CHANCE_NOT;
	if (c->speed <= 0)
		begin(c, speed, share);
	if (speed > SLOWED_TO * c->speed)
		return CHANCE_NOT;
	c->records += records;
	c->refused += share * records;
	taken = 1 - c->refused / c->records;
	by_limit = was * slowed < 1 ? was * slowed : 1; /* the part that a limit would let pass at this speed */
	moved = sqrt(was * by_limit);                   /* half of the way there */
	if (taken > moved) {
		begin(c, speed, share);
		return CHANCE_NOT;
	}
	if (taken + SURE * deviation(1 - taken, c->records) > moved)
		return CHANCE_OPEN;
	c->part = 1 - taken;
	c->since_ns = now_ns;
	return CHANCE_IS;
}

void chance_passed(struct chance *c, double share, uint32_t records, int64_t now_ns)
{
	c->speed = 0; /* the records are those of the part */
	if (now_ns - c->since_ns > KNOWN_NS ||
	    share + SURE * hypot(deviation(c->part, records), deviation(c->part, c->records)) < c->part)
		c->part = 0;
}
