#include "delivery/queues/chance.h"

#include <math.h>

#include "base/clock.h"

#define SLOWED_TO 0.5    /* so far that of several senders each would see a limit give way */
#define FASTER_BY 1.25   /* the same, of one that grows */
#define SURE 3.0         /* deviations: each of many senders asks again and again */
#define TURNS 3          /* a full window refuses irregularly */
#define LEAST_PART 0.015 /* half of what is tolerated: less keeps nobody from growing */
#define LATE_RECORDS 100.0
#define ROW_ANSWERS 5 /* a window of the service, or two */
#define KNOWN_NS (30 * NS_PER_S)

double chance_against(double part, double refused, double records)
{
	double own = records > 0 ? refused / records : 0, taken = records - refused;

	if (own <= part || part <= 0)
		return 0;
	return refused * log(own / part) + (taken > 0 ? taken * log((1 - own) / (1 - part)) : 0);
}

void chance_late_note(struct chance_late *l, uint32_t taken, uint32_t refused, int64_t now_ns)
{
	double left = l->heard_ns > 0 ? exp(-(double)(now_ns - l->heard_ns) / (double)NS_PER_S) : 0,
	       records = l->taken + l->refused;

	if (records * left < LATE_RECORDS)
		left = records > LATE_RECORDS ? LATE_RECORDS / records : 1;
	l->heard_ns = now_ns;
	l->taken = l->taken * left + taken;
	l->refused = l->refused * left + refused;
}

void chance_row_note(struct chance_row *row, uint32_t taken, uint32_t refused, double part, int64_t sent_ns,
                     int64_t now_ns)
{
	if (taken > 0) {
		*row = (struct chance_row){.part = part < CHANCE_MOST ? part : CHANCE_MOST};
		return;
	}
	row->elsewhere = part < CHANCE_MOST ? part : CHANCE_MOST;
	row->records += refused;
	if (row->answers > 0 && sent_ns <= row->heard_ns)
		return;
	if (row->answers == 0)
		row->began_ns = now_ns;
	row->heard_ns = now_ns;
	row->answers++;
}

bool chance_row_is_dry(const struct chance_row *row)
{
	double part = fmax(fmax(row->part, row->elsewhere), CHANCE_UNKNOWN);

	return row->answers >= ROW_ANSWERS && chance_against(part, row->records, row->records) >= CHANCE_SURE;
}

static double deviation(double part, double records) { return records > 0 ? sqrt(part * (1 - part) / records) : 1; }

double chance_borne(const struct chance *c, double at_least, uint32_t records)
{
	double borne = 0;

	if (c->part > 0) {
		double most = (1 + c->part) / 2; /* then only half passes of what did */

		borne = c->part + 2 * hypot(deviation(c->part, records), deviation(c->part, c->measured));
		borne = borne < most ? borne : most;
	}
	return (borne > at_least ? borne : at_least) + (records > 0 ? 1.0 / records : 1); /* one more is chance */
}

static void begin(struct chance_trial *t, double speed, double share, uint32_t records)
{
	*t = (struct chance_trial){.speed = speed, .refused = share * records, .records = records};
}

static double first_taken(const struct chance_trial *t) { return 1 - t->refused / t->records; }

static void begin_others(struct chance_trial *t, bool is_slow)
{
	t->others = t->others_refused = t->by_limit = 0;
	t->turns = 0;
	t->is_slow = is_slow;
}

/* That a limit would let pass. */
static double passes(const struct chance_trial *t, double speed)
{
	double part = first_taken(t) * t->speed / speed;

	return part < 1 ? part : 1;
}

static void add(struct chance_trial *t, double speed, double share, uint32_t records)
{
	t->turns++;
	t->others += records;
	t->others_refused += share * records;
	t->by_limit += passes(t, speed) * records;
}

/* Half of the way from what was taken at first to what a limit would let pass. */
static double half_way(const struct chance_trial *t) { return sqrt(first_taken(t) * t->by_limit / t->others); }

static double others_taken(const struct chance_trial *t) { return 1 - t->others_refused / t->others; }

static double others_deviation(const struct chance_trial *t)
{
	return SURE * deviation(t->others_refused / t->others, t->others);
}

/* More is refused though less is sent: what was refused at first was not all of it yet. */
static bool is_more(const struct chance_trial *t)
{
	double first = 1 - first_taken(t);

	return t->others_refused / t->others - first >
	       SURE * deviation(first, t->others < t->records ? t->others : t->records);
}

static void know(struct chance *c, const struct chance_trial *t, int64_t now_ns)
{
	c->part = t->others_refused / t->others;
	c->measured = t->others;
	c->since_ns = now_ns;
}

enum chance_verdict chance_ask(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns)
{
	struct chance_trial *t = &c->slower;
	bool is_slow = speed <= SLOWED_TO * t->speed;

	c->faster.speed = 0;
	if (share >= 1) /* it takes nothing at all: another matter */
		return CHANCE_NOT;
	if (t->speed <= 0)
		begin(t, speed, share, records);
	/* Nor is it judged where a limit would refuse more than half of what it did. */
	if (!is_slow && passes(t, speed) < 1 - t->refused / t->records / 2)
		return CHANCE_NOT;
	if (is_slow && !t->is_slow)
		begin_others(t, is_slow);
	add(t, speed, share, records);
	if ((is_slow && others_taken(t) > half_way(t)) || is_more(t)) {
		begin(t, speed, share, records);
		return CHANCE_NOT;
	}
	if (others_taken(t) + others_deviation(t) > half_way(t) || (!is_slow && t->turns < TURNS))
		return is_slow ? CHANCE_OPEN : CHANCE_NOT;
	if (is_slow) {
		know(c, t, now_ns);
		return CHANCE_IS;
	}
	begin_others(t, false);
	return CHANCE_HALF;
}

/* It grows for other reasons: does more get refused? */
static bool is_free(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns)
{
	struct chance_trial *t = &c->faster;

	if (t->speed <= 0 || speed < t->speed) {
		begin(t, speed, share, records);
		return false;
	}
	if (speed < FASTER_BY * t->speed) {
		t->refused += share * records;
		t->records += records;
		return false;
	}
	add(t, speed, share, records);
	if (t->others_refused < LEAST_PART * t->others ||
	    others_taken(t) - hypot(others_deviation(t), SURE * deviation(1 - first_taken(t), t->records)) <
	        half_way(t))
		return false;
	know(c, t, now_ns);
	begin(t, speed, share, records);
	return true;
}

bool chance_passed(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns)
{
	c->slower.speed = 0;
	if (now_ns - c->since_ns > KNOWN_NS ||
	    share + SURE * hypot(deviation(c->part, records), deviation(c->part, c->measured)) < c->part)
		c->part = 0;
	if (c->part > 0) { /* more records say it */
		c->measured += records;
		c->part += records / c->measured * (share - c->part);
	}
	return is_free(c, speed, share, records, now_ns);
}
