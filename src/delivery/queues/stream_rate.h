/*
 * stream_rate: how fast a stream may be sent to that many others fill too.
 *
 * What it is: nothing at all until more is refused than shards by themselves account for (shard_rate.h); then a bucket
 * for all that goes to no limited shard. Of ten thousand senders before a hundred shards each has a record for one
 * shard in ten seconds: no shard's answers say anything then, those of all together do. It begins with what was taken
 * of late, falls by the refused share, and grows by a part of itself, which is less the faster it is, so that those who
 * came late get their part; it doubles where nothing is refused for long. Speed is counted in shard-seconds a second.
 * Promises: 3 (learned anew after a start). Owner: dispatch. Thread: delivery. Fails: never.
 * Does not: read clock or chance, or tell shards apart.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_STREAM_RATE_H
#define KSPOOL_DELIVERY_QUEUES_STREAM_RATE_H

#include "delivery/queues/shard_rate.h"

struct stream_rate {
	bool is_limited;
	bool is_finding; /* nothing was too much since it is limited */
	double speed;    /* while it is free: taken of late */
	double best;     /* the most that was taken of late, not long ago, when it was free */
	double tokens;
	double share; /* refused of late */
	/* of answers to what was sent since changed_ns */
	double taken, refused;
	uint32_t records;
	uint32_t clean;   /* records taken since one was refused */
	int64_t began_ns; /* the first answer; 0: none yet */
	int64_t changed_ns, heard_ns, filled_ns, refused_ns;
	int64_t short_ns; /* when something last waited for tokens */
	uint64_t random;  /* of the length of a step */
	struct chance chance;
	struct chance_late late;
};

/*
 * An answer to what was sent at sent_ns, of which shards took taken_by_all shard-seconds; share: without those that are
 * limited for themselves. may_limit: else it is free. True when the stream is limited from now on.
 */
bool stream_rate_answered(struct stream_rate *r, const struct shard_share *share, double taken_by_all, bool may_limit,
                          int64_t sent_ns, int64_t now_ns);
/* Nothing was taken since it was as `before`: that says nothing of a speed. */
void stream_rate_resume(struct stream_rate *r, const struct stream_rate *before, int64_t now_ns);
/* Shard-seconds a second: its speed, or the most that was taken not long ago. */
static inline double stream_rate_of_late(const struct stream_rate *r) { return r->is_limited ? r->speed : r->best; }
/* Shard-seconds a second that were taken of late; 0: not known, or it is limited. A first burst is no speed. */
double stream_rate_taken(const struct stream_rate *r, int64_t now_ns);
/* May a record go now? Something wants to. */
bool stream_rate_allows(struct stream_rate *r, int64_t now_ns);
void stream_rate_sent(struct stream_rate *r, double cost);
/* When it may be asked again; now or before: at once. */
int64_t stream_rate_due_ns(const struct stream_rate *r, int64_t now_ns);

#endif
