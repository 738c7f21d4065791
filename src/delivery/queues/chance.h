/*
 * chance: what refusals say: chance, a limit, or nobody there.
 *
 * What it is: the one place that decides it, of a shard and of a stream, by two questions with a statistical reason.
 * Is that more than chance brings? By how much likelier (its logarithm) the refusals are by their own part than by the
 * part that chance refuses; CHANCE_SURE says how much is no chance any more. Is it a limit, then? What a limit refuses
 * becomes less when less is sent, and more when more is: of one sender, and of many, since all of them see it. What is
 * refused by chance stays the same part at any speed. So slowing down, and growing, are trials: from what was refused
 * where they began follows what would be refused at another speed by a limit, and by chance, and it is the nearer of
 * both. What is known of chance is borne from then on, for half a minute; then it is measured anew, since it may have
 * been many others after all. Promises: none of its own. Owner: a rate (shard_rate.h, stream_rate.h), dispatch. Thread:
 * delivery. Fails: never. Does not: read the clock, or choose a speed.
 */
#ifndef KSPOOL_DELIVERY_QUEUES_CHANCE_H
#define KSPOOL_DELIVERY_QUEUES_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

/* e^18: looked at a thousand times a second, chance alone goes so far about once in a day. */
#define CHANCE_SURE 18.0
/* Nothing is known of it: of ten records it may refuse three. */
#define CHANCE_UNKNOWN 0.3
/* More is as good as nothing taken. */
#define CHANCE_MOST 0.9

/* Logarithm of how much likelier the refusals are by their own part than by `part`; 0: no more than that is refused. */
double chance_against(double part, double refused, double records);

/* What was taken and refused of late: within a second, or of the last hundred records or so where these took longer. */
struct chance_late {
	double taken, refused;
	int64_t heard_ns;
};

void chance_late_note(struct chance_late *l, uint32_t taken, uint32_t refused, int64_t now_ns);
static inline bool chance_late_is_more(const struct chance_late *l, double part)
{
	return chance_against(part, l->refused, l->taken + l->refused) >= CHANCE_SURE;
}

static inline double chance_late_part(const struct chance_late *l)
{
	return l->refused > 0 ? l->refused / (l->taken + l->refused) : 0;
}

/* Refused in a row, with none taken. Answers that were under way together are one: a full window refuses them all. */
struct chance_row {
	uint32_t records, answers;
	int64_t began_ns, heard_ns; /* the first and the newest of these answers */
	double part;                /* that was refused when the last was taken */
	double elsewhere;           /* of late, where anything is taken */
};

/* An answer to what was sent at sent_ns. part: that is refused of late; of a row, elsewhere. */
void chance_row_note(struct chance_row *row, uint32_t taken, uint32_t refused, double part, int64_t sent_ns,
                     int64_t now_ns);
/* So many are no chance where `part` is usual. */
static inline bool chance_row_is_more(const struct chance_row *row, double part)
{
	return chance_against(part, row->records, row->records) >= CHANCE_SURE;
}
/* Nobody is there: several answers, and more records than the part that was refused before explains. */
bool chance_row_is_dry(const struct chance_row *row);

/* What is refused at other speeds than at the first. */
struct chance_trial {
	double speed;            /* the first; 0: none is under way */
	double refused, records; /* at it */
	double by_limit;         /* records that a limit would let pass at the others, of */
	double others_refused, others;
	uint32_t turns; /* judgements at the others */
	bool is_slow;   /* these are half of the first, or less */
};

struct chance {
	double part;     /* 0: nothing is refused by chance, as far as is known */
	double measured; /* records that say so */
	int64_t since_ns;
	struct chance_trial slower, faster;
};

/* The share that is no more than chance of `records`; at_least: what is borne in any case. */
double chance_borne(const struct chance *c, double at_least, uint32_t records);
enum chance_verdict {
	CHANCE_NOT,  /* slow down */
	CHANCE_HALF, /* it does not look like a limit: half of c->slower.speed will tell */
	CHANCE_OPEN, /* too few records say so far: stay at this speed */
	CHANCE_IS,   /* go back to c->slower.speed, where slowing down began */
};
/* More than is borne was refused at this speed. */
enum chance_verdict chance_ask(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns);
/* No more than that was. True: more was sent, and the same part was refused: no limit is near. */
bool chance_passed(struct chance *c, double speed, double share, uint32_t records, int64_t now_ns);

#endif
