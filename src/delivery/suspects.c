#include "delivery/suspects.h"

#include <string.h>

#include "base/check.h"
#include "kinesis/limits.h"

enum { WAIT_SPREAD = 4 }; /* a wait is itself and up to a part of so many more */

void suspects_init(struct suspects *s)
{
	memset(s, 0, sizeof *s);
	TAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->refused);
	s->credit = SUSPECTS_CREDIT;
	s->limit = KINESIS_REQUEST_RECORDS;
}

void suspects_begin(struct suspects *s, uint32_t records, int64_t now_ns)
{
	s->limit = records / 2 > 0 ? records / 2 : 1;
	if (s->credit < SUSPECTS_NEW_CREDIT)
		s->credit = SUSPECTS_NEW_CREDIT;
	s->due_ns = now_ns;
}

void suspects_put(struct suspects *s, struct record *r)
{
	must(r->message);
	TAILQ_INSERT_TAIL(r->refused ? &s->refused : &s->queue, r, link);
	s->count++;
	s->untried += !r->refused;
	s->bytes += record_accounted(r);
	s->known[r->id % SUSPECTS_KNOWN] = r->id;
}

struct record *suspects_begin_at(const struct suspects *s, double random)
{
	struct record *r = s->untried > 0 ? TAILQ_FIRST(&s->queue) : TAILQ_FIRST(&s->refused);
	uint32_t skip = (uint32_t)(random * (s->untried > 0 ? s->untried : s->count));

	while (skip-- > 0 && TAILQ_NEXT(r, link))
		r = TAILQ_NEXT(r, link);
	return r;
}

struct record *suspects_behind(const struct record *r) { return TAILQ_NEXT(r, link); }

void suspects_take(struct suspects *s, struct record *r)
{
	must(s->count > 0);
	TAILQ_REMOVE(r->refused ? &s->refused : &s->queue, r, link);
	s->count--;
	s->untried -= !r->refused;
	s->bytes -= record_accounted(r);
}

bool suspects_know(const struct suspects *s, uint64_t id) { return id != 0 && s->known[id % SUSPECTS_KNOWN] == id; }

void suspects_refused(struct suspects *s, uint32_t records, const struct hold_waits *waits, int64_t now_ns)
{
	s->limit = records / 2 > 0 ? records / 2 : 1;
	s->refused_ns = now_ns;
	if (s->credit > 0) {
		s->credit--;
		s->due_ns = now_ns;
		return;
	}
	s->wait_ns = s->wait_ns == 0 || s->untried > 0 ? waits->initial_ns
	             : s->wait_ns > waits->max_ns / 2  ? waits->max_ns
	                                               : s->wait_ns * 2;
	s->due_ns = now_ns + s->wait_ns + (int64_t)(waits->random / WAIT_SPREAD * (double)s->wait_ns);
}

void suspects_taken(struct suspects *s, uint32_t records, int64_t now_ns)
{
	s->limit = records >= KINESIS_REQUEST_RECORDS / 2 ? KINESIS_REQUEST_RECORDS : records * 2;
	s->credit = s->credit + SUSPECTS_EARNED < SUSPECTS_CREDIT ? s->credit + SUSPECTS_EARNED : SUSPECTS_CREDIT;
	s->wait_ns = 0;
	s->due_ns = now_ns;
}

void suspects_hasten(struct suspects *s, int64_t now_ns)
{
	s->wait_ns = 0;
	s->due_ns = now_ns;
}

int64_t suspects_due_ns(const struct suspects *s) { return s->count == 0 || s->in_flight ? INT64_MAX : s->due_ns; }

void suspects_fini(struct suspects *s)
{
	struct record *r;

	while ((r = suspects_begin_at(s, 0))) {
		suspects_take(s, r);
		record_free(r);
	}
}
