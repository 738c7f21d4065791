/*
 * shard_rate: how fast one shard may be sent to, as its own answers teach.
 *
 * What it is: nothing at all until more than SHARD_TOLERATED of what went to the shard was refused; then a bucket that
 * fills at `speed`, in steps. Speed is counted in shard-seconds a second: 1 is what the service sells as one shard
 * (1,000 records and 1 MiB a second, whichever is used up first), so that one number serves small and large records.
 * An interval with too much refused lowers it by that share; one without, in which the shard could have taken more,
 * raises it a little, by more the longer nothing was refused. Somewhat too fast is right: then the shard is full, and
 * of a hundred records two or three are uploaded twice. Increase by a part of the root and decrease by a share make
 * several senders to one shard alike in time. A shard that takes nothing is asked with one record every second or two.
 * Promises: 3 (learned anew after a start). Owner: the shard. Thread: delivery. Fails: never.
 * Does not: read clock or chance, or know what waits.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_SHARD_RATE_H
#define KSPOOL_DELIVERY_QUEUES_SHARD_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "delivery/queues/chance.h"

#define SHARD_RECORDS_S 1000 /* source: Kinesis quotas, PutRecords a shard */
#define SHARD_BYTES_S (1 << 20)
#define SHARD_TOLERATED 0.03
#define SHARD_STEP_NS (INT64_C(100) * NS_PER_MS)
#define SHARD_PROBE_NS NS_PER_S /* of a shard that takes nothing */
#define SHARD_PROBE_MOST_NS (5 * NS_PER_S / 2)

struct shard_rate {
	bool is_limited;
	bool is_finding; /* nothing was too much yet: it may double */
	bool is_dead;    /* a whole interval in which it took nothing */
	double speed;    /* shard-seconds a second; while it is free: taken of late */
	double too_much; /* a speed that was, not long ago; 0: not known */
	struct chance chance;
	double tokens; /* shard-seconds that may be sent now; below 0 after a record larger than the bucket */
	/* of answers to what was sent since changed_ns, in shard-seconds */
	double taken, refused;
	uint32_t records;
	uint32_t own; /* records that its speed let go since */
	int64_t changed_ns;
	int64_t heard_ns; /* when the newest that was answered was sent; while it is free: when it answered */
	uint32_t clean;   /* records taken since one was refused */
	struct chance_late late;
	struct chance_row row;
	uint32_t probes;  /* since it is dead */
	uint32_t easy;    /* intervals in a row in which less than half of what is tolerated was refused */
	uint32_t leaps;   /* beyond what was too much, in a row */
	int64_t leapt_ns; /* when the newest was */
	int64_t filled_ns;
	uint64_t random;    /* of the length of a step */
	int64_t refused_ns; /* when something last was */
	int64_t short_ns;   /* when something last waited for tokens */
	int64_t sent_ns;
};

/* Records of one answer that went to the shard, in shard-seconds. */
struct shard_share {
	uint32_t records_taken, records_refused;
	double taken, refused;
	double usual; /* part that is refused of what goes to any shard: no more than that says nothing of this one */
	double elsewhere; /* part that is refused of all that is sent, of late */
	double late;      /* shard-seconds a second that it took of late, as far as the stream's speed says */
	bool is_of_many;  /* shards: others may send to it who do not see us slow down */
	double even;      /* its part of what a stream takes of us that many fill; 1: not known to be such */
};

/* What a record uses up. */
double shard_cost(uint64_t accounted_bytes);
/* An answer to what was sent at sent_ns. True when the shard is limited from now on and was not before. */
bool shard_rate_answered(struct shard_rate *r, const struct shard_share *share, int64_t sent_ns, int64_t now_ns);
/* May a record go to it now? Something wants to. */
bool shard_rate_allows(struct shard_rate *r, int64_t now_ns);
void shard_rate_sent(struct shard_rate *r, double cost, int64_t now_ns);
/* When it may be asked again; now or before: at once. */
int64_t shard_rate_due_ns(const struct shard_rate *r, int64_t now_ns);

#endif
