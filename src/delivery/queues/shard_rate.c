/*
 * Invariants:
 * 1. speed lies between SPEED_LEAST and SPEED_MOST while limited.
 * 2. Only answers to what was sent after the last change say anything of the speed since.
 */
#include "delivery/queues/shard_rate.h"

#include <math.h>

#define SPEED_LEAST 0.0001
#define SPEED_MOST 100000.0
#define SPEED_SOLD 1.0  /* what the service sells as one shard */
#define SPEED_FIRST 0.5 /* others may send to it too: no more than twice what it took, */
#define SPEED_FEW 0.03  /* or this */
#define SPEED_AWAKE 0.1 /* took something after it took nothing */
#define BUCKET_S 0.25
#define INTERVAL_NS NS_PER_S   /* of one judgement: a whole window of the service */
#define LONG_NS (3 * NS_PER_S) /* enough for a judgement, however few the records */
#define ENOUGH_RECORDS 25
#define SOON_NS (INT64_C(250) * NS_PER_MS) /* below what the service sells nothing is risked */
#define MUCH 0.1
#define GROWTH 0.02
#define GROWTH_MOST 0.12                    /* of the speed: of a hundred senders each has few answers */
#define CALM_NS (INT64_C(1200) * NS_PER_MS) /* more than a window */
#define CALM_RECORDS 75                     /* SHARD_TOLERATED of them is three: that none was refused is no chance */
#define NEAR 0.95
#define PROBES_SOON 8
#define EASY_RECORDS 133 /* half of what is tolerated of them is two */
#define EASY_FEW 2
#define EASY_MOST 6            /* GROWTH << 6: more than double */
#define FREE_NS (5 * NS_PER_S) /* neither short nor refused for so long: not limited any more */

static double seconds(int64_t ns) { return (double)ns / (double)NS_PER_S; }

double shard_cost(uint64_t accounted_bytes)
{
	double by_bytes = (double)accounted_bytes / SHARD_BYTES_S;

	return by_bytes > 1.0 / SHARD_RECORDS_S ? by_bytes : 1.0 / SHARD_RECORDS_S;
}

static void set_speed(struct shard_rate *r, double speed, int64_t now_ns)
{
	r->speed = speed < SPEED_LEAST ? SPEED_LEAST : speed > SPEED_MOST ? SPEED_MOST : speed;
	r->changed_ns = r->heard_ns = now_ns;
	r->taken = r->refused = 0;
	r->records = r->own = 0;
}

static void forget(struct shard_rate *r) { *r = (struct shard_rate){.late = r->late, .row = r->row}; }

static double usual_part(const struct shard_rate *r, const struct shard_share *s)
{
	double part = s->usual > r->chance.part ? s->usual : r->chance.part;

	return part > SHARD_TOLERATED ? part : SHARD_TOLERATED;
}

static void limit(struct shard_rate *r, const struct shard_share *s, int64_t now_ns)
{
	double late = r->speed > s->late ? r->speed : s->late, first = 2 * s->even;

	if (first > SPEED_FIRST || 2 * late > SPEED_FIRST)
		first = late > SPEED_FIRST ? late : SPEED_FIRST;
	first = first > SPEED_FEW ? first : SPEED_FEW;
	forget(r);
	r->is_limited = r->is_finding = true;
	r->random = (uint64_t)now_ns * UINT64_C(0x9e3779b97f4a7c15);
	r->filled_ns = r->refused_ns = r->short_ns = r->sent_ns = now_ns;
	set_speed(r, first, now_ns + INTERVAL_NS); /* what was sent before used up what comes next */
	r->tokens = -first * 3 / 4;
}

/* Of late, so that what a busy shard took weighs against one record that it did not; or all in a row, however slowly.
 */
static bool is_too_much(const struct shard_rate *r, const struct shard_share *s)
{
	double part = usual_part(r, s);

	return chance_late_is_more(&r->late, part) || chance_row_is_more(&r->row, part);
}

/* What it took within about a second. */
static void remember(struct shard_rate *r, const struct shard_share *s, int64_t now_ns)
{
	r->speed = r->speed * (r->heard_ns > 0 ? exp(-seconds(now_ns - r->heard_ns)) : 0) + s->taken;
	r->heard_ns = now_ns;
}

/* As much as it took, or a little less than before when that is nearly all. */
static void slower(struct shard_rate *r, double share, int64_t now_ns)
{
	double took = r->taken / seconds(r->heard_ns - r->changed_ns) / (1 - r->chance.part);
	bool is_dry = r->is_dead || chance_row_is_dry(&r->row);

	share -= r->chance.part;
	if (took < r->speed / 3 && (r->taken > 0 || !is_dry))
		took = r->speed / 3; /* one bad second says not more */

	r->probes = r->is_dead ? r->probes : 0;
	r->is_dead = r->taken <= 0 && is_dry;
	r->is_finding = false;
	r->easy = 0;
	r->too_much = r->is_dead ? 0 : r->speed;
	r->leaps = 0;
	set_speed(r,
	          share <= MUCH     ? r->speed * (1 - (share - SHARD_TOLERATED / 2))
	          : took < r->speed ? took
	                            : r->speed,
	          now_ns);
}

/* What the service sells is passed in steps, each after more patience: a bucket lets more through for a while. */
static bool is_calm(const struct shard_rate *r, int64_t now_ns)
{
	int64_t patience = CALM_NS * (r->speed < SPEED_SOLD ? 1 : 1 + r->leaps);

	return now_ns - r->refused_ns > patience && now_ns - r->leapt_ns > patience && r->clean > CALM_RECORDS;
}

/* Nothing was refused for long: half of the way to what was too much, or beyond it when that is near. */
static double leap(struct shard_rate *r, int64_t now_ns)
{
	static const double BEYOND[] = {1.05, 1.15, 1.4, 2};
	double half_way = (r->speed + r->too_much) / 2;

	if (r->too_much <= 0 || r->speed > NEAR * r->too_much) {
		double factor = BEYOND[r->leaps < 3 ? r->leaps : 3];

		r->is_finding = ++r->leaps > 1;
		r->leapt_ns = now_ns;
		r->too_much = 0;
		return r->speed * factor;
	}
	return half_way < 2 * r->speed ? half_way : 2 * r->speed;
}

/*
 * A second. By a part of the root: several senders to one shard become alike. Where little is refused interval after
 * interval though the shard gets all it may, that is chance, and says nothing of its limit.
 */
static double grow(struct shard_rate *r, double share)
{
	double slowly =
	           GROWTH * sqrt(r->speed) < GROWTH_MOST * r->speed ? GROWTH * sqrt(r->speed) : GROWTH_MOST * r->speed,
	       quickly = r->speed * ldexp(GROWTH, r->easy < EASY_MOST ? (int)r->easy : EASY_MOST);

	if (share - r->chance.part >= SHARD_TOLERATED / 2)
		r->easy = 0;
	else if (r->records > EASY_RECORDS)
		r->easy++;
	return r->easy > EASY_FEW ? quickly : slowly;
}

static void faster(struct shard_rate *r, double share, int64_t now_ns)
{
	double speed = r->speed;

	if (r->short_ns < r->changed_ns) { /* it could not have taken more: nothing was learned */
		set_speed(r, speed, now_ns);
		return;
	}
	if (r->is_dead) {
		speed = SPEED_AWAKE;
		r->is_finding = true;
	} else if (r->is_finding && speed < SPEED_SOLD && r->refused <= 0) {
		speed = speed * 2 < SPEED_SOLD ? speed * 2 : SPEED_SOLD;
	} else if (r->is_finding && r->chance.part > 0) {
		speed *= 2;
	} else if (is_calm(r, now_ns)) {
		speed = leap(r, now_ns);
	} else {
		speed += seconds(now_ns - r->changed_ns) * grow(r, share);
	}
	r->is_dead = false;
	set_speed(r, speed, now_ns);
}

/* No limit is near. */
static void find(struct shard_rate *r)
{
	r->is_finding = true;
	r->too_much = 0;
	r->easy = r->leaps = 0;
}

/* More than chance was refused: less, or what went before, if less does not help. */
static void too_much(struct shard_rate *r, double share, bool may_be_crowd, int64_t now_ns)
{
	switch (chance_ask(&r->chance, r->speed, share, r->records, now_ns)) {
	case CHANCE_NOT:
		slower(r, share, now_ns);
		return;
	case CHANCE_HALF:
		set_speed(r, r->chance.slower.speed / 2, now_ns);
		return;
	case CHANCE_OPEN:
		set_speed(r, r->speed, now_ns);
		return;
	case CHANCE_IS:
		if (may_be_crowd) {
			set_speed(r, r->speed, now_ns);
			return;
		}
		find(r);
		set_speed(r, r->chance.slower.speed, now_ns);
	}
}

/* It need not be a whole interval. */
static bool is_plain(const struct shard_rate *r, double share, double borne)
{
	if (r->chance.part > 0)
		return share <= borne && r->records >= ENOUGH_RECORDS;
	return r->refused <= 0 && r->speed < SPEED_SOLD;
}

/* Much more came to it than its speed let go: what was not known to be its. That says nothing of the speed. */
static bool is_of_strays(const struct shard_rate *r) { return r->records > 2 * (r->own + ENOUGH_RECORDS); }

static void judge(struct shard_rate *r, const struct shard_share *s, int64_t now_ns)
{
	double borne = chance_borne(&r->chance, s->usual > SHARD_TOLERATED ? s->usual : SHARD_TOLERATED, r->records);
	double sum = r->taken + r->refused, share = sum > 0 ? r->refused / sum : 0;
	int64_t heard = r->heard_ns - r->changed_ns;
	bool is_whole = heard >= LONG_NS || (heard >= INTERVAL_NS && r->records >= ENOUGH_RECORDS);
	bool is_waking = r->is_dead && r->taken > 0;

	if (is_whole && !is_waking && is_of_strays(r)) {
		set_speed(r, r->speed, now_ns);
		return;
	}
	if (is_whole && !is_waking && share > borne) {
		too_much(r, share, s->is_of_many && r->speed < SPEED_SOLD, now_ns);
		return;
	}
	if (is_whole && !is_waking && chance_passed(&r->chance, r->speed, share, r->records, now_ns))
		find(r);
	if (is_whole || is_waking || (r->is_finding && heard >= SOON_NS && is_plain(r, share, borne)))
		faster(r, share, now_ns);
}

/* No interval is waited for. */
static void die(struct shard_rate *r, int64_t now_ns)
{
	r->is_dead = true;
	r->is_finding = false;
	r->too_much = 0;
	r->probes = r->leaps = r->easy = 0;
	set_speed(r, r->speed, now_ns);
}

/* Nothing was taken for longer than a window: no speed is so low, and what it refused says nothing of one. */
static bool was_barren(const struct shard_rate *r, const struct shard_share *s)
{
	return chance_row_is_more(&r->row, usual_part(r, s)) && r->row.heard_ns - r->row.began_ns > CALM_NS;
}

bool shard_rate_answered(struct shard_rate *r, const struct shard_share *s, int64_t sent_ns, int64_t now_ns)
{
	double part;

	if (s->records_taken + s->records_refused == 0)
		return false;
	chance_late_note(&r->late, s->records_taken, s->records_refused, now_ns);
	if (r->is_limited && !r->is_dead && s->records_taken > 0 && was_barren(r, s)) {
		find(r);
		set_speed(r, r->speed, now_ns);
	}
	part = s->records_taken > 0 ? fmax(usual_part(r, s), chance_late_part(&r->late)) : s->elsewhere;
	chance_row_note(&r->row, s->records_taken, s->records_refused, part, sent_ns, now_ns);
	if (!r->is_limited) {
		remember(r, s, now_ns);
		if (!is_too_much(r, s))
			return false;
		limit(r, s, now_ns);
		r->is_dead = chance_row_is_dry(&r->row);
		return true;
	}
	if (s->records_refused > 0) {
		r->refused_ns = now_ns;
		r->clean = 0;
	}
	r->clean += s->records_taken;
	if (!r->is_dead && chance_row_is_dry(&r->row))
		die(r, now_ns);
	if (sent_ns >= r->changed_ns) {
		r->taken += s->taken;
		r->refused += s->refused;
		r->records += s->records_taken + s->records_refused;
		r->heard_ns = sent_ns > r->heard_ns ? sent_ns : r->heard_ns;
		judge(r, s, now_ns);
	}
	if (now_ns - r->refused_ns > FREE_NS && now_ns - r->short_ns > FREE_NS)
		forget(r);
	return false;
}

/*
 * Faster shards are filled in smaller steps, so that a step is no burst. No two steps are alike: of several senders in
 * step one would always come when the others have taken what there was.
 */
static int64_t step_ns(const struct shard_rate *r)
{
	int64_t even_ns = r->speed <= 1  ? SHARD_STEP_NS
	                  : r->speed < 5 ? (int64_t)((double)SHARD_STEP_NS / r->speed)
	                                 : SHARD_STEP_NS / 5;

	return even_ns / 4 * 3 + (int64_t)(r->random >> 40) * (even_ns / 2) / (1 << 24);
}

static void fill(struct shard_rate *r, int64_t now_ns)
{
	int64_t lasted = now_ns - r->filled_ns;

	if (lasted < step_ns(r))
		return;
	r->filled_ns = now_ns;
	r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	r->tokens += r->speed * seconds(lasted);
	if (r->tokens > r->speed * BUCKET_S)
		r->tokens = r->speed * BUCKET_S;
}

static int64_t probe_wait_ns(const struct shard_rate *r)
{
	return r->probes < PROBES_SOON ? SHARD_PROBE_NS : SHARD_PROBE_MOST_NS;
}

bool shard_rate_allows(struct shard_rate *r, int64_t now_ns)
{
	if (!r->is_limited)
		return true;
	fill(r, now_ns);
	if (r->tokens > 0 && !r->is_dead)
		return true;
	r->short_ns = now_ns;
	return now_ns - r->sent_ns >= probe_wait_ns(r);
}

void shard_rate_sent(struct shard_rate *r, double cost, int64_t now_ns)
{
	if (!r->is_limited)
		return;
	r->tokens = r->tokens > 0 ? r->tokens - cost : r->tokens; /* a probe is no debt */
	r->sent_ns = now_ns;
	r->own++;
	r->probes += r->is_dead;
}

int64_t shard_rate_due_ns(const struct shard_rate *r, int64_t now_ns)
{
	int64_t probe_ns = r->sent_ns + probe_wait_ns(r), due_ns;

	if (!r->is_limited || (r->tokens > 0 && !r->is_dead))
		return now_ns;
	due_ns = r->filled_ns + step_ns(r);
	if (r->tokens < 0) /* steps until the debt is paid */
		due_ns = r->filled_ns + (int64_t)(-r->tokens / r->speed * (double)NS_PER_S) + step_ns(r);
	return !r->is_dead && due_ns < probe_ns ? due_ns : probe_ns;
}
