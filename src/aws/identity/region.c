#include "aws/identity/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "aws/identity/imds.h"

static void on_region(struct imds *m, const struct transport_answer *a)
{
	struct region_question *q = m->arg;

	if (a && a->status == 200 && endpoint_region_valid(a->body)) {
		char region[64];

		(void)snprintf(region, sizeof region, "%s", a->body);
		q->done(q, region);
		return;
	}
	if (a)
		(void)snprintf(m->reason, sizeof m->reason, "did not name a region (status %d)", a->status);
	(void)snprintf(q->reason, sizeof q->reason,
	               "no region: set output.aws_kinesis.region or AWS_REGION (asked IMDS: %.150s)", m->reason);
	q->done(q, NULL);
}

bool region_ask(struct region_question *q)
{
	struct imds *m;

	if (q->context->offline) {
		(void)snprintf(q->reason, sizeof q->reason,
		               "no region: set output.aws_kinesis.region or AWS_REGION (IMDS was not to be asked)");
		return false;
	}
	m = mem_zero(sizeof *m);
	m->context = q->context;
	m->done = on_region;
	m->arg = q;
	q->state = m;
	if (imds_open(m)) {
		imds_get(m, "/latest/meta-data/placement/region");
		return true;
	}
	(void)snprintf(q->reason, sizeof q->reason,
	               "no region: set output.aws_kinesis.region or AWS_REGION (asked IMDS: %.150s)", m->reason);
	region_stop(q);
	return false;
}

void region_stop(struct region_question *q)
{
	if (q->state)
		imds_stop(q->state);
	free(q->state);
	q->state = NULL;
}
