#include "delivery/queues/pace.h"

#include <string.h>

void pace_init(struct pace *p, uint32_t max_in_flight)
{
	memset(p, 0, sizeof *p);
	p->window = 1;
	p->max = max_in_flight;
	p->threshold = max_in_flight;
}

void pace_limit(struct pace *p, uint32_t max_in_flight)
{
	p->max = max_in_flight;
	p->threshold = max_in_flight;
	if (p->window > max_in_flight)
		p->window = max_in_flight;
}

bool pace_allows(const struct pace *p, int64_t now_ns, uint32_t in_flight)
{
	return now_ns >= p->pause_until_ns && in_flight < (p->window < 1 ? 1 : (uint32_t)p->window);
}

uint32_t pace_records(const struct pace *p, uint32_t most)
{
	uint32_t part = p->window < 1 ? (uint32_t)(p->window * most) : most;

	return part > 0 ? part : 1;
}

static void grow(struct pace *p, int64_t took_ns)
{
	if (p->window < 1) {
		p->window *= took_ns < PACE_LONG_NS ? 3 : 2;
		return;
	}
	p->window += p->window >= p->threshold ? 1 / p->window : took_ns < PACE_LONG_NS ? 2 : 1;
	if (p->window > p->max)
		p->window = p->max;
}

static void pause(struct pace *p, int64_t now_ns, double random, int64_t least_ns, int64_t longest_ns)
{
	int64_t base = PACE_PAUSE_FIRST_NS;
	int64_t half, wait;

	for (uint32_t i = 0; i < p->level && base < longest_ns; i++)
		base *= 2;
	if (base > longest_ns)
		base = longest_ns;
	/* Half fixed, half by chance: a bound on the rate needs a least wait. */
	half = base / 2;
	wait = half + (int64_t)(random * (double)(base - half));
	/* The service may ask for more, at most 5 s more than ours (botocore's rule for x-amz-retry-after). */
	if (least_ns > wait)
		wait = least_ns < wait + 5 * NS_PER_S ? least_ns : wait + 5 * NS_PER_S;
	p->level++;
	p->pause_set_ns = now_ns;
	p->pause_until_ns = now_ns + wait;
}

static void remember(struct pace *p, uint32_t records, double share)
{
	double weight = (double)records / (records + PACE_MEMORY_RECORDS);

	if (weight < PACE_LEAST_WEIGHT)
		weight = PACE_LEAST_WEIGHT;
	p->share += weight * (share - p->share);
}

void pace_answered(struct pace *p, int64_t now_ns, int64_t sent_ns, uint32_t records, double share, double random,
                   int64_t least_wait_ns, int64_t longest_ns)
{
	remember(p, records, share);
	if (p->share <= PACE_IGNORED_SHARE) {
		if (p->level > 0) {
			p->level = 0;
			p->threshold = p->max;
		}
		grow(p, now_ns - sent_ns);
		return;
	}
	p->throttled_ns = now_ns;
	p->window -= p->share;
	if (p->window < 1)
		p->window = 1;
	p->threshold = p->window;
	if (p->share >= PACE_PAUSE_SHARE && share > 0 && (p->level == 0 || sent_ns > p->pause_set_ns))
		pause(p, now_ns, random, least_wait_ns, longest_ns);
	else if (p->share < PACE_PAUSE_SHARE)
		p->level = 0;
}

void pace_restart(struct pace *p, int64_t until_ns)
{
	p->window = PACE_RESTART;
	p->threshold = p->max;
	if (until_ns > p->pause_until_ns)
		p->pause_until_ns = until_ns;
}

void pace_took(struct pace *p, int64_t took_ns, bool was_shared)
{
	if (!was_shared) {
		p->single_ns = took_ns;
		return;
	}
	if (p->single_ns > 0 && (double)took_ns <= PACE_SHARED_FACTOR * (double)p->single_ns)
		return;
	p->window = p->window > 2 ? p->window - 1 : 1;
	p->threshold = p->window;
}

void pace_note(struct pace *p, int64_t now_ns) { p->throttled_ns = now_ns; }

bool pace_is_throttled(const struct pace *p, int64_t now_ns)
{
	return p->throttled_ns != 0 && now_ns - p->throttled_ns < PACE_CALM_NS;
}
