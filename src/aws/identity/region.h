/*
 * region: the instance's region from IMDS, asked when nothing else names one.
 *
 * What it is: one question to IMDS.
 * Promises: 10 (the error says what to set).
 * Owner: the caller embeds the struct; region_stop after each region_ask.
 * Thread: the event base's.
 * Fails: region_ask at once, or done with a null region; both with an error.
 * Does not: set the region anywhere.
 */
#ifndef KSPOOL_AWS_IDENTITY_REGION_H
#define KSPOOL_AWS_IDENTITY_REGION_H

#include "aws/identity/provider.h"

struct region_question {
	struct identity_context *context;
	/* region is null when IMDS has none: error says why. */
	void (*done)(struct region_question *q, const char *region, const struct error *error);
	void *arg;
	void *state;
};

/* An error when it cannot be asked at all; else done follows from the loop. */
enum err region_ask(struct region_question *q, struct error *e) MUST_CHECK;
void region_stop(struct region_question *q);

#endif
