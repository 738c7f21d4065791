/*
 * dispatch_learn: what answers teach of shards, and of the stream as a whole.
 *
 * Invariants:
 * 1. Of one answer a shard is judged once, by all records that went to it.
 * 2. The stream is limited only where each of many shards has too few of our records to be judged by them.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_internal.h"

enum {
	SHARDS_MANY = 8,
	BARREN_FEW = 2,
	USUAL_RECORDS = 25, /* of one answer, that say what is usual */
};
#define RATE_MEMORY_S 5.0
#define USUAL_MOST 0.5 /* a shard that refuses all is told from the others however much they refuse */
#define THIN 0.1       /* shard-seconds a second */

static bool is_told(const struct answer *a, uint32_t i, char name[SHARD_NAME_BYTES])
{
	const struct outcome *o;

	name[0] = '\0';
	if (a->entries[i].stored) {
		strncat(name, answer_shard(a, i), SHARD_NAME_BYTES - 1);
		return name[0] != '\0';
	}
	o = outcome_find(OUTCOME_RECORD, false, 0, answer_code(a, i), answer_text(a, i));
	shards_named(answer_text(a, i), name);
	return o->action == ACTION_SLOWER || o->action == ACTION_AGAIN;
}

static bool is_refused(const struct answer *a, uint32_t i)
{
	char name[SHARD_NAME_BYTES];

	return !a->entries[i].stored && is_told(a, i, name);
}

/* The stream is full. A failure is its shard's own. */
static bool is_throttled(const struct answer *a, uint32_t i)
{
	return !a->entries[i].stored &&
	       outcome_find(OUTCOME_RECORD, false, 0, answer_code(a, i), answer_text(a, i))->action == ACTION_SLOWER;
}

static uint32_t count_refused(const struct answer *a)
{
	uint32_t n = 0;

	for (uint32_t i = 0; a->stored < a->count && i < a->count; i++)
		n += is_refused(a, i);
	return n;
}

/* More was refused of late than chance brings, or what was refused here and there fills the memory. */
static bool must_tell_apart(struct dispatch *d, const struct answer *a)
{
	uint32_t refused = count_refused(a);

	chance_late_note(&d->late, a->stored, refused, d->now_ns);
	if (refused == 0)
		return false;
	return chance_late_is_more(&d->late, SHARD_TOLERATED) || chance_row_is_more(&d->dry, SHARD_TOLERATED) ||
	       (d->set.policy.memory_count > 0 && d->waiting.count > d->set.policy.memory_count / 4);
}

static void learn(struct dispatch *d, const struct request *q, const struct answer *a)
{
	struct record_queue strays = TAILQ_HEAD_INITIALIZER(strays);

	for (uint32_t i = 0; i < q->count; i++) {
		char name[SHARD_NAME_BYTES];

		if (is_told(a, i, name))
			(void)shards_learn(&d->ready.shards, ready_hash(&d->ready, q->records[i]), name, &strays);
	}
	ready_put_strays(&d->ready, &strays);
}

static void note_taken(struct shard *s, uint32_t records, int64_t now_ns)
{
	double lasted = (double)(now_ns - s->taken_at_ns) / (double)NS_PER_S, weight;

	s->taken_waits += records;
	if (lasted < 1)
		return;
	weight = s->taken_at_ns == 0 ? 1 : lasted < RATE_MEMORY_S ? lasted / RATE_MEMORY_S : 1;
	s->taken_s += weight * ((double)s->taken_waits / (s->taken_at_ns == 0 ? 1 : lasted) - s->taken_s);
	s->taken_waits = 0;
	s->taken_at_ns = now_ns;
}

static struct shard *share_in(struct dispatch *d, struct record *r, bool is_taken, bool is_refused_now)
{
	struct shard *s = ready_shard(&d->ready, r);
	double cost = shard_cost(record_accounted(r));

	if (!s || (!is_taken && !is_refused_now))
		return NULL;
	s->share.records_taken += is_taken;
	s->share.records_refused += is_refused_now;
	s->share.taken += is_taken ? cost : 0;
	s->share.refused += is_refused_now ? cost : 0;
	if (s->rate.is_limited)
		heavy_add(&s->heavy, ready_hash(&d->ready, r), r->key, r->key_bytes);
	return s;
}

/* Many shards, each of which has too few records of ours to be judged by them. */
static bool is_thin(const struct dispatch *d)
{
	size_t count = d->ready.shards.count;

	return count >= SHARDS_MANY && stream_rate_of_late(&d->stream) < THIN * (double)count;
}

static void judge(struct dispatch *d, struct shard *s, double taken_by_all, int64_t sent_ns, bool *ret_changed)
{
	bool was = s->rate.is_limited;

	s->share.usual = d->usual;
	s->share.elsewhere = dispatch_is_dry(d) ? 0 : chance_late_part(&d->late);
	s->share.late = taken_by_all > 0 ? s->share.taken / taken_by_all * stream_rate_taken(&d->stream, d->now_ns) : 0;
	s->share.is_of_many = d->ready.shards.count >= SHARDS_MANY;
	s->share.even = s->share.is_of_many ? d->stream.best / (double)d->ready.shards.count : 1;
	if (shard_rate_answered(&s->rate, &s->share, sent_ns, d->now_ns)) {
		*ret_changed = true;
		LOG_LIMITED(LOG_WARN, "shard limits", LOG_S("shard", s->name),
		            LOG_U("refused", s->share.records_refused), LOG_U("taken", s->share.records_taken));
	}
	note_taken(s, s->share.records_taken, d->now_ns);
	s->share = (struct shard_share){0};
	if (was && !s->rate.is_limited)
		ready_unlimit(&d->ready, s);
	shards_list(&d->ready.shards, s);
	if (s->rate.is_limited)
		d->limited_ns = d->now_ns;
}

/*
 * Its shard is limited, and the stream is not, or its shard takes nothing at all, or has not for some records: a few
 * shards that take nothing must not slow down the stream to where nobody learns that it is only they. Nor must a free
 * one that has enough of us to be judged by itself.
 */
static bool is_for_itself(struct dispatch *d, struct record *r, bool is_refused_now)
{
	const struct shard *s = ready_shard(&d->ready, r);

	if (!s)
		return false;
	if (!s->rate.is_limited)
		return s->rate.speed >= THIN || (is_refused_now && s->rate.row.records >= BARREN_FEW);
	return !d->stream.is_limited || s->rate.is_dead;
}

/* What went to shards that are not limited for themselves says how the stream as a whole is. */
static struct shard_share share_of_stream(struct dispatch *d, struct request *q, const struct answer *a,
                                          double *ret_taken_by_all)
{
	struct shard_share share = {0};

	*ret_taken_by_all = 0;
	for (uint32_t i = 0; i < q->count; i++) {
		struct record *r = q->records[i];
		bool is_refused_now = is_throttled(a, i);
		double cost = shard_cost(record_accounted(r));

		*ret_taken_by_all += a->entries[i].stored ? cost : 0;
		if ((!a->entries[i].stored && !is_refused_now) || is_for_itself(d, r, is_refused_now))
			continue;
		share.records_taken += !is_refused_now;
		share.records_refused += is_refused_now;
		*(is_refused_now ? &share.refused : &share.taken) += cost;
	}
	return share;
}

static void note_each(struct dispatch *d, struct request *q, const struct answer *a, double taken_by_all)
{
	struct shard *touched[KINESIS_REQUEST_RECORDS];
	uint32_t count = 0;
	bool changed = false;

	ready_tell_apart(&d->ready);
	learn(d, q, a);
	for (uint32_t i = 0; i < q->count; i++) {
		struct shard *s = share_in(d, q->records[i], a->entries[i].stored, is_refused(a, i));

		if (s && s->share.records_taken + s->share.records_refused == 1)
			touched[count++] = s;
	}
	for (uint32_t i = 0; i < count; i++)
		judge(d, touched[i], taken_by_all, q->sent_ns, &changed);
	if (changed)
		ready_sort(&d->ready);
}

void dispatch_note_shards(struct dispatch *d, struct request *q, const struct answer *a)
{
	double taken_by_all;
	struct shard_share share = share_of_stream(d, q, a, &taken_by_all);
	uint32_t records = share.records_taken + share.records_refused;

	/* Where all shards refuse alike it is not for any of them. */
	d->usual = 0;
	if (is_thin(d)) {
		d->usual = records < USUAL_RECORDS ? 0 : (double)share.records_refused / records;
		d->usual = d->usual > d->stream.share ? d->usual : d->stream.share;
		d->usual = d->usual < USUAL_MOST ? d->usual : USUAL_MOST;
	}
	if (must_tell_apart(d, a) || d->ready.by_shard)
		note_each(d, q, a, taken_by_all);
	if (a->stored == 0 && dispatch_is_dry(d)) {
		stream_rate_resume(&d->stream, &d->stream_before, d->now_ns);
		return;
	}
	share = share_of_stream(d, q, a, &taken_by_all);
	if (stream_rate_answered(&d->stream, &share, taken_by_all, is_thin(d), q->sent_ns, d->now_ns))
		LOG_LIMITED(LOG_WARN, "stream limits", LOG_U("refused", share.records_refused),
		            LOG_U("taken", share.records_taken));
	if (a->stored > 0)
		d->stream_before = d->stream;
}

bool dispatch_is_one_shards(struct dispatch *d, const struct request *q, const struct answer *a)
{
	const struct shards *all = &d->ready.shards;

	for (uint32_t i = 0; i < q->count; i++) {
		const struct shard *s = ready_shard(&d->ready, q->records[i]);

		if (!s || !s->rate.is_limited || a->entries[i].stored)
			return false;
	}
	for (size_t i = 0; i < all->count; i++)
		if (!all->items[i]->rate.is_limited)
			return true;
	return false;
}
