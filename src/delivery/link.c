#include "delivery/link.h"

#include <math.h>
#include <string.h>

#define STEADY_NS (NS_PER_S / 2) /* less says little */
#define STEADY_BYTES 2048
#define WHOLE_NS (NS_PER_S / 4)
#define WHOLE_BYTES (32 << 10)   /* what lies between swallows little of it */
#define MEMORY_NS (4 * NS_PER_S) /* what went before weighs as much as so long a measurement */
#define FULL_ROUND_TRIPS 8       /* a way out that takes so many is no slow start */
#define LONG_NS NS_PER_S
#define SOON_NS (NS_PER_S / 20) /* less is chance, beside a round trip of more */
#define MARGIN 1.05             /* the next begins a little early: a line that waits is lost */
#define SHORT_WAIT 0.03         /* of the way out: not worth a second request */

static double seconds(int64_t ns) { return (double)ns / (double)NS_PER_S; }

void link_init(struct link *l, bool is_blind)
{
	memset(l, 0, sizeof *l);
	l->bytes = is_blind ? 0 : LINK_FIRST_BYTES;
	l->weight = 1.5;
	l->is_blind = is_blind;
	l->is_finding = !is_blind;
}

/* What was measured: bytes, in what time. */
struct measured {
	uint64_t bytes;
	int64_t ns;
};

/* Long enough on its way to have filled the line: without the first second, or as a whole when it is large. */
static bool is_full(const struct transport_link *way, struct measured *ret)
{
	*ret = (struct measured){way->steady_bytes, way->steady_ns};
	if (way->upload_ns < FULL_ROUND_TRIPS * way->rtt_ns && way->upload_ns < LINK_TARGET_NS / 2)
		return false;
	if (way->steady_ns >= STEADY_NS && way->steady_bytes >= STEADY_BYTES)
		return true;
	*ret = (struct measured){way->wire_bytes, way->upload_ns};
	return way->wire_bytes >= WHOLE_BYTES && way->upload_ns >= WHOLE_NS;
}

/* A round trip is not the line's: what left in less was soon gone. */
static double at_least(const struct transport_link *way, int64_t took_ns)
{
	int64_t heard_ns = way->heard_ns > 0 ? way->heard_ns : took_ns;
	int64_t least_ns = heard_ns < SOON_NS ? heard_ns : SOON_NS, ns = heard_ns - way->rtt_ns;

	ns = ns < least_ns ? least_ns : ns;
	return ns > 0 ? (double)way->wire_bytes / seconds(ns) : 0;
}

static void learn_goodput(struct link *l, int64_t took_ns, uint32_t in_flight, const struct transport_link *way)
{
	double rate, part;
	struct measured full;

	if (!is_full(way, &full)) { /* it carried this at least, service and all */
		rate = at_least(way, took_ns);
		l->goodput = rate > l->goodput ? rate : l->goodput;
	} else {
		rate = (double)full.bytes / seconds(full.ns);
		if (!l->is_thin) /* the others shared it */
			rate *= in_flight;
		part = l->is_thin ? (double)full.ns / (double)(full.ns + MEMORY_NS) : 1;
		l->goodput += part * (rate - l->goodput);
		l->is_thin = true;
	}
	if (l->goodput > LINK_THIN_BYTES_S)
		l->is_thin = false;
}

/* The least of late: what answers wait for besides grows it slowly. */
static void learn_round_trip(struct link *l, const struct transport_link *way)
{
	int64_t seen_ns = way->heard_ns - way->upload_ns > way->rtt_ns ? way->heard_ns - way->upload_ns : way->rtt_ns;

	if (seen_ns <= 0)
		return;
	if (l->rtt_ns == 0 || seen_ns < l->rtt_ns)
		l->rtt_ns = seen_ns;
	else
		l->rtt_ns += (seen_ns - l->rtt_ns) / 32;
}

static void learn_size(struct link *l, uint64_t bytes)
{
	double fits = l->goodput * seconds(LINK_TARGET_NS) / l->weight, twice = 2 * (double)l->bytes;
	bool was_full = bytes >= l->bytes / 2;

	if (l->bytes == 0 && !l->is_thin)
		return;
	if (l->is_thin)
		fits = l->bytes > 0 && twice < fits ? twice : fits;
	else if (was_full && twice > fits) /* all was acknowledged soon: what takes its time is the service */
		fits = twice;
	else if (fits < (double)l->bytes)
		fits = (double)l->bytes;
	l->bytes = fits < LINK_FIRST_BYTES ? LINK_FIRST_BYTES : (uint64_t)fits;
	if (!l->is_thin && (double)l->bytes * l->weight > LINK_THIN_BYTES_S * seconds(LINK_TARGET_NS))
		l->bytes = 0;
}

void link_answered(struct link *l, uint64_t bytes, int64_t took_ns, uint32_t in_flight,
                   const struct transport_link *way)
{
	l->is_blind = !way->is_known;
	if (l->is_blind) {
		l->bytes = 0;
		l->is_thin = l->is_finding = false;
		return;
	}
	if (bytes > 0 && way->wire_bytes > 0)
		l->weight += ((double)way->wire_bytes / (double)bytes - l->weight) / 2;
	l->upload_ns = way->upload_ns;
	l->wait_ns = took_ns > way->upload_ns ? took_ns - way->upload_ns : 0;
	learn_goodput(l, took_ns, in_flight, way);
	learn_round_trip(l, way);
	learn_size(l, bytes);
	l->is_finding = !l->is_thin && took_ns > LONG_NS && l->bytes > 0 && l->bytes < LINK_FINDING_BYTES;
}

void link_lost(struct link *l, uint64_t bytes, int64_t took_ns)
{
	if (l->is_blind)
		return;
	l->is_finding = true;
	if (took_ns < LONG_NS)
		return;
	if (l->bytes > 0 && l->bytes < bytes)
		bytes = l->bytes;
	l->bytes = bytes / 2 > LINK_FIRST_BYTES ? bytes / 2 : LINK_FIRST_BYTES;
}

void link_sent(struct link *l, uint64_t bytes, int64_t now_ns)
{
	double takes_s = l->is_thin ? (double)bytes * l->weight / (l->goodput * MARGIN) : 0;

	if (l->free_ns < now_ns)
		l->free_ns = now_ns;
	l->free_ns += (int64_t)(takes_s * (double)NS_PER_S);
}

/* As many as are out while one waits for its answer, and one more that goes out. */
static uint32_t depth(const struct link *l)
{
	double ways;

	if (l->is_finding || l->upload_ns <= 0)
		return 1;
	ways = (double)l->wait_ns / (double)l->upload_ns;
	if (ways < SHORT_WAIT)
		return 1;
	return ways > LINK_DEPTH_MOST - 1 ? LINK_DEPTH_MOST : 1 + (uint32_t)ceil(ways);
}

int64_t link_due_ns(const struct link *l, uint32_t in_flight)
{
	if (in_flight == 0)
		return INT64_MIN;
	if (!l->is_thin)
		return l->is_finding ? INT64_MAX : INT64_MIN;
	return in_flight < depth(l) ? l->free_ns : INT64_MAX;
}
