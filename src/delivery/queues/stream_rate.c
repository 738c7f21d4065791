#include "delivery/queues/stream_rate.h"

#include <math.h>

#define SPEED_LEAST 0.001
#define SPEED_FIRST 0.05 /* no less, however little was sent before */
#define INTERVAL_NS NS_PER_S
#define SOON_NS (INT64_C(250) * NS_PER_MS) /* where what is refused is known to be chance */
#define LONG_NS (3 * NS_PER_S)
#define ENOUGH_RECORDS 25
#define MEMORY_RECORDS 100.0
#define CLEAN_RECORDS 133 /* SHARD_TOLERATED of them is four: that none was refused is no chance */
#define FALL_MOST 3.0     /* one bad second says not more */
#define GROWTH 0.02       /* a second, of the root */
#define GROWTH_MOST 0.04  /* of the speed */
#define BEST_FADES 0.1    /* ten times slower than what is of late */
#define FREE_NS (5 * NS_PER_S)
#define STEP_RECORDS 25 /* that go together, within a second */

static double seconds(int64_t ns) { return (double)ns / (double)NS_PER_S; }

static void set_speed(struct stream_rate *r, double speed, int64_t now_ns)
{
	r->speed = speed < SPEED_LEAST ? SPEED_LEAST : speed;
	r->changed_ns = r->heard_ns = now_ns;
	r->taken = r->refused = 0;
	r->records = 0;
}

/* Within about a second. */
static void remember(struct stream_rate *r, double taken_by_all, int64_t now_ns)
{
	double left = r->heard_ns > 0 ? exp(-seconds(now_ns - r->heard_ns)) : 0;

	r->heard_ns = now_ns;
	r->began_ns = r->began_ns > 0 ? r->began_ns : now_ns;
	r->speed = r->speed * left + taken_by_all;
	r->best = fmax(r->best * pow(left, BEST_FADES), r->speed);
}

static void forget(struct stream_rate *r)
{
	*r = (struct stream_rate){.best = r->speed, .share = r->share, .late = r->late, .began_ns = r->began_ns};
}

static void limit(struct stream_rate *r, int64_t now_ns)
{
	const struct stream_rate was = *r;

	forget(r);
	r->is_limited = r->is_finding = true;
	r->best = was.best;
	r->random = (uint64_t)now_ns * UINT64_C(0x9e3779b97f4a7c15);
	r->filled_ns = r->refused_ns = r->short_ns = now_ns;
	set_speed(r, fmax(was.speed, SPEED_FIRST), now_ns);
}

static double growth(const struct stream_rate *r)
{
	double part = GROWTH / sqrt(r->speed);

	return part < GROWTH_MOST ? part : GROWTH_MOST;
}

static void too_much(struct stream_rate *r, double share, int64_t now_ns)
{
	double less = r->speed * (1 - (share - r->chance.part - SHARD_TOLERATED / 2));
	enum chance_verdict verdict = chance_ask(&r->chance, r->speed, share, r->records, now_ns);

	less = less > r->speed / FALL_MOST ? less : r->speed / FALL_MOST;
	r->is_finding = false;
	set_speed(r,
	          verdict == CHANCE_HALF  ? r->chance.slower.speed / 2
	          : verdict == CHANCE_NOT ? less
	                                  : r->speed, /* it may be a crowd that does not see us slow down */
	          now_ns);
}

static void judge(struct stream_rate *r, int64_t now_ns)
{
	double share = r->refused / (r->taken + r->refused);
	int64_t heard = r->heard_ns - r->changed_ns;

	if (heard < LONG_NS &&
	    (heard < (r->is_finding && r->chance.part > 0 ? SOON_NS : INTERVAL_NS) || r->records < ENOUGH_RECORDS))
		return;
	if (share > chance_borne(&r->chance, SHARD_TOLERATED, r->records)) {
		too_much(r, share, now_ns);
		return;
	}
	r->is_finding |= chance_passed(&r->chance, r->speed, share, r->records, now_ns);
	if (r->short_ns < r->changed_ns) { /* it could not have taken more: nothing was learned */
		set_speed(r, r->speed, now_ns);
	} else if (r->is_finding ? r->refused <= 0 || r->chance.part > 0
	                         : r->refused <= 0 && r->clean > CLEAN_RECORDS) {
		set_speed(r, 2 * r->speed, now_ns);
	} else {
		set_speed(r, r->speed * (1 + seconds(now_ns - r->changed_ns) * growth(r)), now_ns);
	}
}

bool stream_rate_answered(struct stream_rate *r, const struct shard_share *s, double taken_by_all, bool may_limit,
                          int64_t sent_ns, int64_t now_ns)
{
	uint32_t records = s->records_taken + s->records_refused;

	chance_late_note(&r->late, s->records_taken, s->records_refused, now_ns);
	if (records > 0)
		r->share +=
		    (double)records / (records + MEMORY_RECORDS) * ((double)s->records_refused / records - r->share);
	if (r->is_limited && !may_limit)
		forget(r);
	if (!r->is_limited) {
		remember(r, taken_by_all, now_ns);
		if (!may_limit || !chance_late_is_more(&r->late, SHARD_TOLERATED))
			return false;
		limit(r, now_ns);
		return true;
	}
	if (records == 0)
		return false;
	if (s->records_refused > 0) {
		r->refused_ns = now_ns;
		r->clean = 0;
	}
	r->clean += s->records_taken;
	if (sent_ns >= r->changed_ns) {
		r->taken += s->taken;
		r->refused += s->refused;
		r->records += records;
		r->heard_ns = sent_ns > r->heard_ns ? sent_ns : r->heard_ns;
		judge(r, now_ns);
	}
	if (now_ns - r->refused_ns > FREE_NS && now_ns - r->short_ns > FREE_NS)
		forget(r);
	return false;
}

void stream_rate_resume(struct stream_rate *r, const struct stream_rate *before, int64_t now_ns)
{
	*r = *before;
	r->tokens = 0;
	r->refused_ns = r->short_ns = now_ns;
	if (r->is_limited)
		set_speed(r, r->speed, now_ns);
}

double stream_rate_taken(const struct stream_rate *r, int64_t now_ns)
{
	return r->is_limited || r->began_ns == 0 || now_ns - r->began_ns < LONG_NS ? 0 : r->speed;
}

/* So long that a request is worth its while, and no two alike: senders in step would come in waves. */
static int64_t step_ns(const struct stream_rate *r)
{
	double even_s = (double)STEP_RECORDS / SHARD_RECORDS_S / r->speed,
	       chance = (double)(r->random >> 40) / (1 << 24);

	even_s = even_s < seconds(SHARD_STEP_NS) ? seconds(SHARD_STEP_NS) : even_s > 1 ? 1 : even_s;
	return (int64_t)(even_s * (0.75 + chance / 2) * (double)NS_PER_S);
}

bool stream_rate_allows(struct stream_rate *r, int64_t now_ns)
{
	int64_t lasted = now_ns - r->filled_ns;

	if (!r->is_limited)
		return true;
	if (lasted >= step_ns(r)) {
		r->filled_ns = now_ns;
		r->tokens += r->speed * seconds(lasted < 2 * NS_PER_S ? lasted : 2 * NS_PER_S);
		r->random = r->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		if (r->tokens > r->speed * 2)
			r->tokens = r->speed * 2;
	}
	if (r->tokens <= 0)
		r->short_ns = now_ns;
	return r->tokens > 0;
}

void stream_rate_sent(struct stream_rate *r, double cost)
{
	if (r->is_limited)
		r->tokens -= cost;
}

int64_t stream_rate_due_ns(const struct stream_rate *r, int64_t now_ns)
{
	double debt_s = r->tokens < 0 ? -r->tokens / r->speed : 0;
	int64_t step = step_ns(r);

	if (!r->is_limited || r->tokens > 0)
		return now_ns;
	return r->filled_ns +
	       (debt_s * (double)NS_PER_S > (double)step ? (int64_t)(debt_s * (double)NS_PER_S) + 1 : step);
}
