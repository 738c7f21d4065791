/*
 * region: the instance's region from IMDS, asked when nothing else names one.
 *
 * Owner: the caller embeds the struct; region_stop after each region_ask. Thread: the event base's.
 */
#ifndef KSPOOL_AWS_IDENTITY_REGION_H
#define KSPOOL_AWS_IDENTITY_REGION_H

#include <stdbool.h>

#include "aws/identity/provider.h"

struct region_question {
	struct identity_context *context;
	/* region is null when IMDS has none: reason says why. */
	void (*done)(struct region_question *q, const char *region);
	void *arg;
	char reason[256];
	void *state;
};

/* False when it cannot be asked at all (reason is set); else done follows from the loop. */
bool region_ask(struct region_question *q);
void region_stop(struct region_question *q);

#endif
