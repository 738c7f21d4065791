#include "aws/identity/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "aws/identity/imds.h"

#define NO_REGION "no region: set output.aws_kinesis.region or AWS_REGION"

static void on_region(struct imds *m, const struct transport_answer *a, const struct error *error)
{
	struct region_question *q = m->arg;
	struct error e;

	if (a && a->status == 200 && endpoint_region_valid(a->body)) {
		char region[64];

		(void)snprintf(region, sizeof region, "%s", a->body);
		q->done(q, region, NULL);
		return;
	}
	if (a)
		(void)error_set(&e, ERR_CONFIG, NO_REGION " (asked IMDS: it named no region, status %d)", a->status);
	else
		(void)error_set(&e, ERR_CONFIG, NO_REGION " (asked IMDS: %s)", error->text);
	q->done(q, NULL, &e);
}

enum err region_ask(struct region_question *q, struct error *e)
{
	struct imds *m;
	struct error why;

	if (q->context->offline)
		return error_set(e, ERR_CONFIG, NO_REGION " (IMDS was not to be asked)");
	m = mem_zero(sizeof *m);
	m->context = q->context;
	m->done = on_region;
	m->arg = q;
	q->state = m;
	if (imds_open(m, &why) == ERR_OK) {
		imds_get(m, "/latest/meta-data/placement/region");
		return ERR_OK;
	}
	region_stop(q);
	return error_set(e, ERR_CONFIG, NO_REGION " (asked IMDS: %s)", why.text);
}

void region_stop(struct region_question *q)
{
	if (q->state)
		imds_stop(q->state);
	free(q->state);
	q->state = NULL;
}
