#include "daemon/rates.h"

void rates_sample(struct rates *r, int64_t now_ns, int64_t accepted, int64_t delivered)
{
	r->samples[r->next].at_ns = now_ns;
	r->samples[r->next].accepted = accepted;
	r->samples[r->next].delivered = delivered;
	r->next = (r->next + 1) % RATES_WINDOW;
	if (r->count < RATES_WINDOW)
		r->count++;
}

static double seconds(const struct rates *r, size_t *ret_first, size_t *ret_last)
{
	*ret_last = (r->next + RATES_WINDOW - 1) % RATES_WINDOW;
	*ret_first = r->count < RATES_WINDOW ? 0 : r->next;
	if (r->count < 2)
		return 0;
	return (double)(r->samples[*ret_last].at_ns - r->samples[*ret_first].at_ns) / 1e9;
}

double rates_accepted(const struct rates *r)
{
	size_t first, last;
	double s = seconds(r, &first, &last);

	return s > 0 ? (double)(r->samples[last].accepted - r->samples[first].accepted) / s : 0;
}

double rates_delivered(const struct rates *r)
{
	size_t first, last;
	double s = seconds(r, &first, &last);

	return s > 0 ? (double)(r->samples[last].delivered - r->samples[first].delivered) / s : 0;
}

double rates_time_to_drain(const struct rates *r, uint64_t pending)
{
	double shrink = rates_delivered(r) - rates_accepted(r);

	if (pending == 0)
		return 0;
	return shrink > 0 ? (double)pending / shrink : -1;
}
