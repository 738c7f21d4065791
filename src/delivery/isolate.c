/*
 * Invariants:
 * 1. isolations.records is the sum of the groups' counts.
 * 2. A group has one half in flight at most, and suspects or a half in flight: else it has ended.
 * 3. A record is in one group, in the ready queue, in the heap of the waiting or in a request: one of them.
 */
#include "delivery/isolate.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { MISSES_MOST = 8 };

static struct isolation *begin(struct isolations *all, int64_t now_ns)
{
	struct isolation *s = mem_zero(sizeof *s);

	TAILQ_INIT(&s->suspects);
	s->due_ns = now_ns;
	LIST_INSERT_HEAD(&all->list, s, link);
	return s;
}

static void add_suspect(struct isolations *all, struct isolation *s, struct record *r)
{
	TAILQ_INSERT_TAIL(&s->suspects, r, link);
	s->count++;
	all->records++;
}

static struct record *take_suspect(struct isolations *all, struct isolation *s)
{
	struct record *r = TAILQ_FIRST(&s->suspects);

	must(!r == (s->count == 0) && s->count <= all->records);
	if (r) {
		TAILQ_REMOVE(&s->suspects, r, link);
		s->count--;
		all->records--;
	}
	return r;
}

static void end(struct isolations *all, struct ready *ready, struct isolation *s)
{
	must(!s->in_flight && s->count <= all->records);
	all->records -= s->count;
	ready_put_strays(ready, &s->suspects);
	LIST_REMOVE(s, link);
	free(s);
}

/* The record at one reading of a position goes alone; false: there is none. */
static bool use_hint(struct isolations *all, struct request *q, uint32_t hint, enum isolate_reading reading,
                     int64_t now_ns)
{
	uint32_t back = reading == READING_FROM_1;
	struct isolation *s;

	if (all->proved != READING_NONE && all->proved != reading)
		return false;
	if (hint < back || hint - back >= q->count || !q->records[hint - back])
		return false;
	s = begin(all, now_ns);
	s->reading = reading;
	add_suspect(all, s, request_take(q, hint - back));
	return true;
}

/* The records at the positions named go alone; true when there were such. */
static bool use_hints(struct isolations *all, struct ready *ready, struct request *q, const struct complaint *said,
                      bool careful, int64_t now_ns)
{
	struct record *before = NULL;
	bool used = false;

	if (!said || all->misses >= MISSES_MOST)
		return false;
	for (uint32_t h = 0; h < said->position_count && (h == 0 || all->proved != READING_NONE); h++) {
		used = use_hint(all, q, said->positions[h], READING_FROM_1, now_ns) || used;
		used = use_hint(all, q, said->positions[h], READING_FROM_0, now_ns) || used;
	}
	for (uint32_t i = 0; used && careful && q->records[i]; i++)
		before = q->records[i];
	if (before)
		before->ends_batch = true;
	for (uint32_t i = q->count; used && i-- > 0;)
		if (q->records[i])
			ready_put_first(ready, request_take(q, i));
	return used;
}

bool isolate_refused(struct isolations *all, struct ready *ready, struct request *q, const struct complaint *said,
                     bool careful, int64_t now_ns)
{
	struct isolation *s;

	must(q->count > 1);
	if (q->isolation)
		isolate_release(all, ready, q); /* the half that was sent has it */
	else if (use_hints(all, ready, q, said, careful, now_ns))
		return true;
	s = begin(all, now_ns);
	for (uint32_t i = 0; i < q->count; i++)
		add_suspect(all, s, request_take(q, i));
	return false;
}

void isolate_proved(struct isolations *all, const struct request *q)
{
	if (!q->isolation || q->isolation->reading == READING_NONE)
		return;
	all->proved = q->isolation->reading;
	all->misses = 0;
}

void isolate_release(struct isolations *all, struct ready *ready, struct request *q)
{
	struct isolation *s = q->isolation;

	must(s->in_flight);
	s->in_flight = false;
	q->isolation = NULL;
	end(all, ready, s);
}

void isolate_answered(struct isolations *all, struct ready *ready, struct request *q, int64_t now_ns)
{
	struct isolation *s = q->isolation;

	must(s->in_flight);
	if (s->reading != READING_NONE && (all->proved == READING_NONE || all->proved == s->reading)) {
		all->proved = READING_NONE;
		all->misses++;
	}
	s->in_flight = false;
	s->due_ns = now_ns;
	q->isolation = NULL;
	if (s->count == 0)
		end(all, ready, s);
}

void isolate_failed(struct isolations *all, struct request *q, int64_t due_ns)
{
	struct isolation *s = q->isolation;

	must(s->in_flight);
	for (uint32_t i = q->count; i-- > 0;) {
		struct record *r = request_take(q, i);

		TAILQ_INSERT_HEAD(&s->suspects, r, link);
		s->count++;
		all->records++;
	}
	s->in_flight = false;
	s->due_ns = due_ns;
	q->isolation = NULL;
}

struct isolation *isolate_next(const struct isolations *all, int64_t now_ns)
{
	struct isolation *s;

	LIST_FOREACH (s, &all->list, link)
		if (!s->in_flight && s->due_ns <= now_ns)
			return s;
	return NULL;
}

uint32_t isolate_take_half(struct isolations *all, struct isolation *s, uint32_t most, struct record **half)
{
	uint32_t want = (s->count + 1) / 2, count = 0;

	must(!s->in_flight && s->count > 0 && most > 0);
	want = want < most ? want : most;
	while (count < want)
		half[count++] = take_suspect(all, s);
	return count;
}

void isolate_sent(struct isolation *s, struct request *q)
{
	must(!s->in_flight);
	q->isolation = s;
	s->in_flight = true;
}

void isolate_not_sent(struct isolations *all, struct ready *ready, struct isolation *s)
{
	if (s->count == 0)
		end(all, ready, s);
}

int64_t isolate_due_ns(const struct isolations *all)
{
	const struct isolation *s;
	int64_t due = INT64_MAX;

	LIST_FOREACH (s, &all->list, link)
		if (!s->in_flight && s->due_ns < due)
			due = s->due_ns;
	return due;
}

void isolate_fini(struct isolations *all)
{
	struct isolation *s;

	while ((s = LIST_FIRST(&all->list))) {
		struct record *r;

		while ((r = take_suspect(all, s)))
			record_free(r);
		LIST_REMOVE(s, link);
		free(s);
	}
}
