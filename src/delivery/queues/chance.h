/*
 * chance: the part that is refused however fast or slow we send.
 *
 * What it is: an experiment that slowing down makes anyhow. What a limit refuses becomes less when less is sent: of one
 * sender, and of many, since all of them see it and slow down. What is refused by chance stays the same part. So it is
 * noted at which speed slowing down began and how much was refused there; at a speed at which a limit would have let
 * everything pass, half of it or less, the part that is accepted has risen, or it is chance. What is known of chance is
 * borne from then on, for half a minute; then it is measured anew, since it may have been many others after all.
 * Promises: none of its own. Owner: a rate (shard_rate.h, stream_rate.h). Thread: delivery. Fails: never.
 * Does not: read the clock, or choose a speed.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_CHANCE_H
#define KSPOOL_DELIVERY_QUEUES_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	double part; /* 0: nothing is refused by chance, as far as is known */
	int64_t since_ns;
	double speed, share; /* where slowing down began, and what was refused there; 0: nothing is too much */
	double refused;      /* at half of that speed or less, of */
	uint32_t records;
};

/* The share that is no more than chance of `records`; at_least: what is borne in any case. */
double chance_borne(const struct chance *c, double at_least, uint32_t records);
enum chance_verdict {
	CHANCE_NOT,  /* slow down */
	CHANCE_OPEN, /* too few records say so far: stay at this speed */
	CHANCE_IS,   /* go back to `speed` of *c, where slowing down began */
};
/* More than is borne was refused at this speed. */
enum chance_verdict chance_ask(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns);
/* No more than that was. */
void chance_passed(struct chance *c, double share, uint32_t records, int64_t now_ns);

#endif
