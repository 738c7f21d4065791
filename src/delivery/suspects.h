/*
 * suspects: records of a request that something on the way does not take (413), and no smaller request helps, or that
 * is refused in words nobody knows.
 *
 * What it is: a queue beside the ready one, with a size and a pace of its own. A request of suspects that is taken lets
 * the next be twice as large; one that is refused makes it half as large; the next one begins at a place of chance, so
 * that the good ones leave wherever they are. Who was refused alone comes behind all others. Some refusals cost
 * nothing; then each waits, probe_initial while there is who was not tried alone, then doubling to probe_max, until one
 * is taken again. Promises: 2 (nobody is set aside for it: a gateway may be mended), 6 (who is too many goes back to
 * the journal and is known when it returns), 12 (everyone else goes on). Owner: dispatch; the queue owns its records.
 * Thread: delivery. Fails: never. Does not: send, settle, or look at the clock.
 */
#ifndef KSPOOL_DELIVERY_SUSPECTS_H
#define KSPOOL_DELIVERY_SUSPECTS_H

#include "delivery/hold.h"
#include "delivery/queues/record.h"

enum {
	SUSPECTS_CREDIT = 20,     /* refusals without a wait */
	SUSPECTS_NEW_CREDIT = 10, /* that a new group has at least */
	SUSPECTS_EARNED = 8,      /* by a request that was taken */
	SUSPECTS_KNOWN = 1024,    /* a power of two */
};

struct suspects {
	struct record_queue queue;   /* may be good: refused in company only */
	struct record_queue refused; /* alone */
	uint32_t count;
	uint32_t untried; /* of these: in `queue` */
	uint64_t bytes;   /* accounted */
	uint32_t limit;   /* records of the next request */
	uint32_t credit;  /* refusals until one waits */
	int64_t wait_ns;  /* the newest; 0: none */
	int64_t due_ns;
	int64_t refused_ns; /* when the newest refusal came; 0: never */
	bool in_flight;     /* a request of them */
	uint64_t known[SUSPECTS_KNOWN];
};

void suspects_init(struct suspects *s);
/* A request of so many records became suspects, which are put one by one: they are asked about soon. */
void suspects_begin(struct suspects *s, uint32_t records, int64_t now_ns);
/* Last in the queue, and known from now on. */
void suspects_put(struct suspects *s, struct record *r);
/* Where a request of them begins: random is 0..1. Null when there is none. It stays. */
struct record *suspects_begin_at(const struct suspects *s, double random);
/* The one behind it; null: the request ends there. */
struct record *suspects_behind(const struct record *r);
void suspects_take(struct suspects *s, struct record *r);
/* This row was a suspect: the newest of those whose ids end alike are remembered. */
bool suspects_know(const struct suspects *s, uint64_t id);
/* A request of so many of them was refused. */
void suspects_refused(struct suspects *s, uint32_t records, const struct hold_waits *waits, int64_t now_ns);
/* A request of so many of them was taken. */
void suspects_taken(struct suspects *s, uint32_t records, int64_t now_ns);
/* Asked for by a person, or the way is open again: no wait. */
void suspects_hasten(struct suspects *s, int64_t now_ns);
/* When the next request of them may go; INT64_MAX: not before an event. */
int64_t suspects_due_ns(const struct suspects *s);
/* Frees the records. */
void suspects_fini(struct suspects *s);

#endif
