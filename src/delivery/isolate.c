/*
 * isolate: the one record for which a whole request was refused.
 *
 * Where the service names positions, the records there (both readings, counted from 0 and from 1) are sent alone and
 * the rest goes on together; once, since a position may mean something else. Otherwise halves: the first half is sent;
 * when it is taken the culprit is in the other one, when it is refused it is in it and the other half is free. At most
 * log2(500) + 1 extra requests name a culprit, and it is only named when it was refused alone.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

enum { MOST_HINTS = 4 };

static struct isolation *add_isolation(struct dispatch *d)
{
	struct isolation *s = mem_zero(sizeof *s);

	TAILQ_INIT(&s->suspects);
	s->due_ns = d->now_ns;
	LIST_INSERT_HEAD(&d->isolations, s, link);
	d->isolation_count++;
	return s;
}

static void add_suspect(struct dispatch *d, struct isolation *s, struct record *r)
{
	TAILQ_INSERT_TAIL(&s->suspects, r, link);
	s->count++;
	d->isolated_records++;
}

static struct record *take_suspect(struct dispatch *d, struct isolation *s)
{
	struct record *r = TAILQ_FIRST(&s->suspects);

	if (r) {
		TAILQ_REMOVE(&s->suspects, r, link);
		s->count--;
		d->isolated_records--;
	}
	return r;
}

static void end_isolation(struct dispatch *d, struct isolation *s)
{
	struct record *r;

	while ((r = take_suspect(d, s)))
		ready_put_first(d, r);
	LIST_REMOVE(s, link);
	d->isolation_count--;
	free(s);
}

/* The records at the positions named go alone; true when there were such. */
static bool use_hints(struct dispatch *d, struct request *q, const char *text)
{
	uint32_t hints[MOST_HINTS];
	size_t count = complaint_positions(text, hints, MOST_HINTS);
	bool used = false;

	for (size_t h = 0; h < count; h++)
		for (uint32_t back = 0; back < 2; back++) {
			uint32_t at = hints[h] - back;

			if (hints[h] < back || at >= q->count || !q->records[at] || q->records[at]->hinted)
				continue;
			add_suspect(d, add_isolation(d), q->records[at]);
			q->records[at] = NULL;
			used = true;
		}
	for (uint32_t i = q->count; used && i-- > 0;)
		if (q->records[i]) {
			q->records[i]->hinted = true;
			ready_put_first(d, q->records[i]);
			q->records[i] = NULL;
		}
	return used;
}

void isolate_refused(struct dispatch *d, struct request *q, const struct verdict *v)
{
	struct isolation *s = q->isolation;

	if (q->count == 1) {
		struct record *r = q->records[0];

		q->records[0] = NULL;
		if (s) {
			s->in_flight = false;
			end_isolation(d, s);
		}
		q->isolation = NULL;
		if (d->refused < REFUSED_IN_A_ROW) {
			d->refused++;
			r->attempts++;
			dispatch_dead(d, r, v->code, v->said, v->text);
			return;
		}
		ready_put_first(d, r);
		dispatch_hold(d, HOLD_REFUSED, q->probe, v->said,
		              "record after record is refused and none accepted: it is not the records");
		return;
	}
	LOG_LIMITED(LOG_WARN, "request refused for one of its records", LOG_U("records", q->count),
	            LOG_S("code", v->said));
	if (s) {
		/* The half that was sent has it; the other one is free. */
		s->in_flight = false;
		end_isolation(d, s);
		q->isolation = NULL;
	} else if (use_hints(d, q, v->text)) {
		return;
	}
	s = add_isolation(d);
	for (uint32_t i = 0; i < q->count; i++) {
		add_suspect(d, s, q->records[i]);
		q->records[i] = NULL;
	}
}

void isolate_answered(struct dispatch *d, struct request *q)
{
	struct isolation *s = q->isolation;

	s->in_flight = false;
	s->due_ns = d->now_ns;
	q->isolation = NULL;
	if (s->count == 0)
		end_isolation(d, s);
}

void isolate_failed(struct dispatch *d, struct request *q, int64_t wait_ns)
{
	struct isolation *s = q->isolation;

	for (uint32_t i = q->count; i-- > 0;) {
		TAILQ_INSERT_HEAD(&s->suspects, q->records[i], link);
		s->count++;
		d->isolated_records++;
		q->records[i] = NULL;
	}
	s->in_flight = false;
	s->due_ns = d->now_ns + wait_ns;
	q->isolation = NULL;
}

static struct request *send_half(struct dispatch *d, struct isolation *s)
{
	struct record *half[KINESIS_REQUEST_RECORDS];
	uint32_t want = (s->count + 1) / 2, count = 0;
	struct request *q;

	while (count < want)
		half[count++] = take_suspect(d, s);
	q = dispatch_compose(d, half, count);
	q->isolation = s;
	s->in_flight = true;
	return q;
}

struct request *isolate_next(struct dispatch *d)
{
	struct isolation *s;

	LIST_FOREACH (s, &d->isolations, link)
		if (!s->in_flight && s->count > 0 && s->due_ns <= d->now_ns)
			return send_half(d, s);
	return NULL;
}

int64_t isolate_due_ns(const struct dispatch *d)
{
	const struct isolation *s;
	int64_t due = INT64_MAX;

	LIST_FOREACH (s, &d->isolations, link)
		if (!s->in_flight && s->count > 0 && s->due_ns < due)
			due = s->due_ns;
	return due;
}

void isolate_fini(struct dispatch *d)
{
	struct isolation *s;

	while ((s = LIST_FIRST(&d->isolations))) {
		struct record *r;

		while ((r = take_suspect(d, s)))
			record_free(r);
		LIST_REMOVE(s, link);
		free(s);
	}
}
