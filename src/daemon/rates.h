/*
 * rates: messages a second, from one sample a second.
 *
 * What it is: a ring of the last RATES_WINDOW samples of two counters.
 * Promises: none of its own. Owner: plain data; zeroed is empty. Thread: intake.
 * Fails: never; without two samples every rate is 0.
 * Does not: read clocks or counters.
 */
#ifndef KSPOOL_DAEMON_RATES_H
#define KSPOOL_DAEMON_RATES_H

#include <stddef.h>
#include <stdint.h>

enum { RATES_WINDOW = 15 };

struct rates {
	struct {
		int64_t at_ns;
		int64_t accepted;
		int64_t delivered;
	} samples[RATES_WINDOW];
	size_t count;
	size_t next;
};

void rates_sample(struct rates *r, int64_t now_ns, int64_t accepted, int64_t delivered);
/* Over the window; 0 until two samples exist. */
double rates_accepted(const struct rates *r);
double rates_delivered(const struct rates *r);
/* Seconds until `pending` messages are gone at the present rates; -1 when they do not get fewer. */
double rates_time_to_drain(const struct rates *r, uint64_t pending);

#endif
