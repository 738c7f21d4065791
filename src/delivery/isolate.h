/*
 * isolate: the one record for which a whole request was refused.
 *
 * What it is: groups of suspects. Where the service names positions, the records there are sent alone and the rest goes
 * on together: counted from 0 and from 1 until one of them was refused, by that reading from then on, and not any more
 * when records that were named are taken again and again. Otherwise
 * halves, or less (culprits.h): the first is sent; when it is taken the culprit is in the rest, when it is refused it
 * is in it and the rest is free. By halves at most log2(500) + 1 extra requests name a culprit, and it is only named
 * when it was refused alone. Promises: 2 (nobody is set aside for a neighbour), 12 (the neighbours go on). Owner:
 * dispatch; a group owns its suspects. Thread: delivery. Fails: never. Does not: send, settle, or decide that a record
 * refused alone is at fault (dispatch_answer.c).
 */
#ifndef KSPOOL_DELIVERY_ISOLATE_H
#define KSPOOL_DELIVERY_ISOLATE_H

#include "kinesis/answer.h"
#include "delivery/queues/ready.h"
#include "delivery/request.h"

/* How a position in a refusal is read. */
enum isolate_reading { READING_NONE, READING_FROM_0, READING_FROM_1 };

struct isolation {
	LIST_ENTRY(isolation) link;
	struct record_queue suspects;
	uint32_t count;
	int64_t due_ns;
	bool in_flight;               /* a half of it */
	enum isolate_reading reading; /* by which its one record was named */
};

LIST_HEAD(isolation_list, isolation);

struct isolations {
	struct isolation_list list;
	uint32_t records;            /* suspects of all */
	enum isolate_reading proved; /* NONE: not known */
	uint32_t misses;             /* named, and taken; in a row */
};

/*
 * A request of several was refused for one of its records, which are all back in memory: they are suspects now. Of
 * `said` (may be null) the positions are used. careful: those before the first position go by themselves, so that one
 * after the other is not refused with none accepted between. True: positions were.
 */
bool isolate_refused(struct isolations *all, struct ready *ready, struct request *q, const struct complaint *said,
                     bool careful, int64_t now_ns);
/* The one record of a group was refused alone: where a position named it, that reading is right. */
void isolate_proved(struct isolations *all, const struct request *q);
/* The culprit is in the request: the isolation it came from ends, and the records left there are free. */
void isolate_release(struct isolations *all, struct ready *ready, struct request *q);
/* The request was understood: its records are dealt with, the search goes on with those left. */
void isolate_answered(struct isolations *all, struct ready *ready, struct request *q, int64_t now_ns);
/* The request failed for another reason: its records are suspects again, and wait until due_ns. */
void isolate_failed(struct isolations *all, struct request *q, int64_t due_ns);
/* A group with a half to send, or null. */
struct isolation *isolate_next(const struct isolations *all, int64_t now_ns);
/* Takes the half to send into `half`, which has room for KINESIS_REQUEST_RECORDS, or `most`; returns how many. */
uint32_t isolate_take_half(struct isolations *all, struct isolation *s, uint32_t most, struct record **half);
/* The half is under way as q. */
void isolate_sent(struct isolation *s, struct request *q);
/* Nothing of the half was worth sending: an empty group ends. */
void isolate_not_sent(struct isolations *all, struct ready *ready, struct isolation *s);
/* When the next half may be sent; INT64_MAX: nothing to wait for. */
int64_t isolate_due_ns(const struct isolations *all);
/* Frees the records. */
void isolate_fini(struct isolations *all);

#endif
