/*
 * dispatch_internal: the dispatcher's state, and what its files give each other.
 *
 * What it is: one struct of parts, each with its own file and invariants. Calls go one way: dispatch.c and
 * dispatch_answer.c over dispatch_pick.c, dispatch_suspects.c, dispatch_take.c, dispatch_lanes.c, dispatch_shards.c,
 * dispatch_record.c, dispatch_unit.c and dispatch_hold.c over the parts. Promises: those of dispatch.h. Owner:
 * dispatch_new and dispatch_free. Thread: delivery. Fails: never. Does not: reach beyond these files and the tests.
 */
#ifndef KSPOOL_DELIVERY_DISPATCH_INTERNAL_H
#define KSPOOL_DELIVERY_DISPATCH_INTERNAL_H

#include "base/clock.h"
#include "kinesis/answer.h"
#include "kinesis/outcome.h"
#include "delivery/ceiling.h"
#include "delivery/culprits.h"
#include "delivery/dispatch.h"
#include "delivery/hold.h"
#include "delivery/isolate.h"
#include "delivery/link.h"
#include "delivery/queues/doubts.h"
#include "delivery/queues/pace.h"
#include "delivery/queues/lanes.h"
#include "delivery/queues/ready.h"
#include "delivery/queues/stream_rate.h"
#include "delivery/queues/tries.h"
#include "delivery/suspects.h"
#include "delivery/tracked.h"
#include "delivery/queues/waiting.h"

enum {
	OFFLINE_AFTER = 3,        /* failures in a row, each sent after the one before was known */
	IDENTITY_TRIES = 3,       /* refreshed credentials or corrected clocks in a row before the stream is held */
	REFUSED_IN_A_ROW = 20,    /* records refused for themselves with no other accepted: it may not be the records */
	REFUSED_EACH = 8,         /* requests so refused in a row: it may be each record */
	REFUSED_ASKED_SOON = 300, /* so many may be asked about at the pace of the first probe */
	SLOW_PART = 4,            /* an answer after this part of request_timeout came late */
	SILENCE_S = 5 /* a request without an answer for so long, and none came to another: nobody is there */
};

/* Failures in a row. Requests that were under way together fail together: that is one. */
struct streak {
	uint32_t count;
	int64_t event_ns; /* when the last that counted was known */
};

/* A batch that is with the preparer, messages and all. */
struct preparing {
	struct batch *batch; /* null: none */
	uint32_t messages;
	uint64_t bytes; /* of memory_bytes */
};

/* Messages that ended by kspool.expire_after and are not logged yet. */
struct expiry {
	uint64_t messages;
	int64_t oldest_ms;
};

enum dispatch_phase {
	DISPATCH_RUNNING,
	DISPATCH_DRAINING, /* no input will bring more */
	DISPATCH_STOPPING, /* sends nothing more; the end */
};

struct dispatch {
	struct dispatch_settings set;
	struct dispatch_ports ports;
	struct batcher batcher;
	struct lanes lanes;
	struct aggregate_writer *aggregates; /* null: not configured */
	uint64_t answers;                    /* understood, while there is an order */
	uint32_t keys_held;                  /* by a message that is refused */
	struct preparing preparing;
	struct ready ready;
	struct waiting waiting;
	struct isolations isolations;
	struct culprits culprits;
	struct suspects suspects;
	struct doubts doubts;
	char doubted_code[96]; /* of the newest refusal */
	struct requests requests;
	struct tracked tracked;
	struct tries tried;
	uint64_t answer_delivered, answer_possible; /* messages, of the answer being dealt with */
	struct hold hold;
	struct pace pace;
	struct ceiling ceiling;
	struct link link;
	struct stream_rate stream, stream_before; /* the newest answer that brought something */
	double usual; /* part that is refused wherever it goes, in the answer being dealt with or of late */
	/* The newest throttling, while there is any. */
	char throttled_code[96];
	char throttled_text[512];
	bool is_answered;      /* the newest failure was the service's own: it is asked soon again */
	int64_t silenced_ns;   /* when requests under way last began to hear nothing */
	uint32_t silence;      /* hold.number of one that only silence says; 0: none */
	uint32_t untried;      /* the same, of one that only refusals say, and those it was asked with since; 0: none */
	uint32_t others;       /* how many these are */
	struct streak offline; /* the network or the service does not answer */
	struct streak identity;  /* REFRESH and SKEW */
	struct chance_late late; /* refused by shards, wherever it goes */
	struct chance_row dry;   /* answered, and nothing stored: refused for rate, or failed */
	int64_t asked_ns;        /* when the newest request was sent */
	struct streak barren;    /* refused on the way, records that were no suspects before */
	struct expiry expiry;
	uint32_t refused;     /* alone by the service, in a row */
	uint32_t turned_away; /* requests, for what is in them, in a row */
	enum dispatch_phase phase;
	enum putrecords_wire wire; /* what is spoken now */
	bool flush;                /* the open batch does not wait */
	double random;             /* of the answer being dealt with: what failed with it waits together */
	int64_t limited_ns;        /* when a shard last was limited */
	struct parked asked;       /* parked rows that are on their way back */
	uint64_t asked_most;       /* the largest id of these */
	bool asked_of_lost;        /* shards.lost's were among them */
	uint64_t asked_losses;     /* shards.losses, when these were asked for */
	/* In order, by the upper bits of the hash: */
	uint32_t behind[1024];    /* parked rows and those on their way back */
	bool behind_has_gone;     /* rows among these are gone */
	bool moved[1024];         /* parked since shards.lost has rows: what comes from there goes behind them */
	int64_t relieved_ns;      /* when full shards last gave memory back */
	int64_t rest_until_ns;    /* from reading rows for shards that are full */
	bool is_sated;            /* no shard is read for */
	int64_t picked_ns;        /* when limited shards last were looked through to be sent to */
	uint32_t fruitless;       /* rows parked since the last for a shard that is free */
	uint64_t memory_bytes;    /* messages and bodies */
	uint64_t tracked_records; /* records that tracked.h knows the rows of */
	int64_t pull_after_ns;    /* no batch is taken before */
	int64_t now_ns, wall_ms;  /* of the event being handled */
	int64_t last_ack_wall_ms;
	int64_t last_ack_ns, last_answer_ns; /* monotonic; 0: never. Stored something; came at all */
};

/* What an outcome says, with the words to keep. */
struct verdict {
	const struct outcome *outcome;
	const char *code; /* static storage: goes to the journal */
	const char *said; /* the service's code, or the transport's word */
	const char *text;
	int64_t retry_after_ms;            /* -1: none */
	const struct complaint *complaint; /* null: not the service's own words */
};

/* An event begins. */
static inline void dispatch_tick(struct dispatch *d, int64_t now_ns, int64_t wall_ms)
{
	d->now_ns = now_ns;
	d->wall_ms = wall_ms;
}

/* Of what was accepted at accepted_ms by the monotonic clock; what came in the middle of this event has none. */
static inline int64_t dispatch_age_ms(const struct dispatch *d, int64_t accepted_ms)
{
	int64_t age_ms = d->now_ns / NS_PER_MS - accepted_ms;

	return age_ms > 0 ? age_ms : 0;
}

/* What x-amz-retry-after or Retry-After asks for; 0: nothing. */
static inline int64_t dispatch_asked_ns(int64_t retry_after_ms)
{
	return retry_after_ms > 0 && retry_after_ms < INT64_MAX / NS_PER_MS ? retry_after_ms * NS_PER_MS : 0;
}

/* A record more than there are rows has no row's credit. */
static inline uint64_t dispatch_held_bytes(const struct dispatch *d)
{
	uint64_t more = d->tracked_records > d->tracked.count ? d->tracked_records - d->tracked.count : 0;

	return d->memory_bytes + more * ROW_BOOKKEEPING;
}

/*
 * More is held than rows ever cost, and their bodies, a third larger: processors made it. Nothing is prepared while
 * requests or what is ready may give memory back, and what fails goes back to disk.
 */
static inline bool dispatch_is_full(const struct dispatch *d)
{
	const uint64_t rows_bytes = 2 * d->set.policy.cost_bytes;

	return rows_bytes > 0 && dispatch_held_bytes(d) > rows_bytes / 3 * 4;
}

/* dispatch_status.c */
/* Messages and records that wait. */
uint32_t dispatch_held(const struct dispatch *d);

/* dispatch_unit.c */
/* Records of one key, each with its message, become one; of one by itself nothing is made. l: their lane, in order. */
struct record *dispatch_unit(struct dispatch *d, struct record *const *parts, uint32_t count, struct lane *l);
/* The unit is refused: which part it is will be seen when each goes alone. */
void dispatch_take_apart(struct dispatch *d, struct record *unit);
/* A record that comes back from a request is the next one again. */
void dispatch_first(struct dispatch *d, struct record *r);
/* It was stored. */
void dispatch_count_unit(const struct record *unit);

/* dispatch_record.c */
/* Ends the record: settles its rows. Takes reason over. */
void dispatch_settle(struct dispatch *d, struct record *r, enum settle_kind kind, const char *code, char *reason,
                     int64_t wait_ms);
/* The service (or a rule) does not take this record. */
void dispatch_dead(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text);
/* That one request may have. */
static inline uint32_t dispatch_request_records(const struct dispatch *d)
{
	return (uint32_t)d->set.kspool.max_request_records;
}
/* It was tried as often as may be. */
static inline bool dispatch_is_dead(const struct dispatch *d, const struct record *r)
{
	return d->set.kspool.dead_after_attempts > 0 && r->attempts >= d->set.kspool.dead_after_attempts;
}
/* A failed try: waits, goes back to the journal, or is set aside by rule. */
void dispatch_again(struct dispatch *d, struct record *r, const struct verdict *v);
/* Messages that are sent again though the service may have them. */
static inline void dispatch_count_possible(struct dispatch *d, uint32_t messages)
{
	metric_add(M_POSSIBLE_DUPLICATES, messages);
	d->answer_possible += messages;
}
/* Its turn has come. Null when a rule of age ended it instead; another when it ended parts of it. */
struct record *dispatch_within_age(struct dispatch *d, struct record *r);
/* The same for a message before it becomes a record: only kspool.expire_after. */
bool dispatch_expire_message(struct dispatch *d, struct message *m);
/* One row; the settlement's reason changes hands. */
void dispatch_settle_row(struct dispatch *d, const struct store_settlement *s, uint32_t row_bytes);
int64_t dispatch_wait_ns(const struct dispatch *d, uint32_t tries, bool throttled);

/* dispatch_pick.c; each null when nothing may go */
/*
 * Records whose wait is over first, then new ones up to the batch's end. A probe is a new one when there is any: what
 * failed before says less of the stream, and would keep all others waiting.
 */
struct request *dispatch_next_ordinary(struct dispatch *d, uint32_t limit, bool is_probe);
/* The next half of a group in isolation, without those whose time is over. */
struct request *dispatch_next_isolated(struct dispatch *d);
/* One that was refused alone before, by itself. */
struct request *dispatch_next_doubt(struct dispatch *d);
/* Suspects, as many as were taken or refused last time say. */
struct request *dispatch_next_suspects(struct dispatch *d, uint32_t limit);
/* Where record after record was refused, from the other end: the next in turn is likely to be like those before it. */
struct request *dispatch_next_from_end(struct dispatch *d);

/* dispatch_shards.c */
/* What an answer that was understood says of shards; before its records are dealt with. */
void dispatch_note_shards(struct dispatch *d, struct request *q, const struct answer *a);
/* All of it went to shards that take nothing, and another does: the service works. */
bool dispatch_is_one_shards(struct dispatch *d, const struct request *q, const struct answer *a);
/* A record that may be sent: ready, or back to disk when too much waits for its shard. */
void dispatch_put_ready(struct dispatch *d, struct record *r);
/* Nothing is known of it that would be forgotten on disk, nor in order sent again as another. */
bool dispatch_may_park(const struct dispatch *d, const struct record *r);
/* It was asked back from disk, and is here now. */
bool dispatch_is_asked(struct dispatch *d, struct record *r);
/* Of one that may be parked: it goes to disk when others of its shard, or in order others whose hashes are near, wait
 * there before it. */
bool dispatch_park_behind(struct dispatch *d, struct record *r);
/* A row that was asked back for a shard does not come. False: it was not. */
bool dispatch_shards_gone(struct dispatch *d, uint64_t id);
/* Back to disk, to be asked for when its key has room. */
void dispatch_put_away(struct dispatch *d, struct lane *l, struct record *r);
/* In order: half of the memory is in use. */
bool dispatch_is_pressed(const struct dispatch *d);
/* Fills shards, shard_count and shards_limited. */
void dispatch_shards_status(const struct dispatch *d, struct delivery_status *ret);
/* Asks for parked rows that have room now. Returns when it wants to be called again. */
int64_t dispatch_tend_shards(struct dispatch *d);

/* dispatch_lanes.c */
void dispatch_lanes_begin(struct dispatch *d);
void dispatch_lanes_end(struct dispatch *d);
/* A new record, where lanes are on. */
void dispatch_lane_put(struct dispatch *d, struct record *r);
/* Makes the next unit ready. False: it is no lane's turn. force: those that fill too. */
bool dispatch_lanes_give(struct dispatch *d, bool force);
/* Asks for rows of lanes that have room. Returns when it wants to be called again. */
int64_t dispatch_tend_lanes(struct dispatch *d);
/* Records of a checked order whose wait is over go with the others of their key. */
void dispatch_lanes_collect(struct dispatch *d);
/* Another request has records of its key, or one before it came back to its lane: it goes there too. */
bool dispatch_lane_holds_back(struct dispatch *d, struct record *r);
/* The request is under way: 1; answered: -1. */
void dispatch_lanes_sent(const struct request *q, int by);
/* Whether the service stored each key's records in their order; before they are dealt with. */
void dispatch_lanes_check(struct dispatch *d, struct request *q, const struct answer *a);
/* Refused for itself: taken apart, set aside, or its key waits. */
void dispatch_refused(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text);

/* dispatch_suspects.c */
/*
 * Something between here and the service refuses the request, and a smaller one will not do. It may be mended, so
 * nothing is set aside; a few such requests in a row with none taken, and the stream is held.
 */
void dispatch_refused_on_way(struct dispatch *d, struct request *q, const struct verdict *v);
/*
 * Of q, which has no other or stored none: refused for itself, as it seems. Set aside where others are taken; kept, and
 * the stream is held, where one after the other is refused.
 */
void dispatch_refused_alone(struct dispatch *d, struct request *q, struct record *r, const struct verdict *v);
/* Something was stored: who was refused before it was refused for itself, or is asked about once more. */
void dispatch_others_taken(struct dispatch *d);
/* Held, by what records are refused for; q: the newest that was, or null. */
void dispatch_hold_refused(struct dispatch *d, const struct request *q, const char *said);
/* Nothing is left to ask with but records that are in doubt: the stream is held. */
void dispatch_doubts_tend(struct dispatch *d);

/* dispatch_take.c */
/* What a batch became is ready, set aside or filtered. Frees what `made` points to. */
void dispatch_take_prepared(struct dispatch *d, struct prepared *made, int64_t since_ns);

/* The newest that was asked about alone was refused, nothing was taken for long, and nobody names them: it may be each,
 * so the next goes alone. */
static inline bool dispatch_refuses_each(const struct dispatch *d)
{
	return d->refused > 0 && d->turned_away >= REFUSED_EACH && d->isolations.proved == READING_NONE;
}

/* Where requests are refused whole for some of their records. */
static inline uint32_t dispatch_searched_records(const struct dispatch *d, uint32_t most)
{
	if (dispatch_refuses_each(d))
		return 1;
	return culprits_records(&d->culprits, d->isolations.proved != READING_NONE, most);
}

/* dispatch_hold.c */
struct hold_waits dispatch_hold_waits(struct dispatch *d);
/* LOST or REFUSED: held or offline, probes only. */
void dispatch_hold(struct dispatch *d, enum hold_event event, bool was_probe, const char *said, const char *text);
/* Offline while requests under way hear nothing. Returns when it wants to be called again. */
int64_t dispatch_listen(struct dispatch *d);
/* Offline, and nothing has failed yet. */
static inline bool dispatch_is_silent(const struct dispatch *d)
{
	return hold_is_on(&d->hold) && d->silence == d->hold.number;
}
/* It refuses for rate, in these words. */
void dispatch_note_throttled(struct dispatch *d, const char *said, const char *text);
/* Throttled, and not any more: for a while nothing was refused, and something was stored since, or nothing is left. */
bool dispatch_is_calm(const struct dispatch *d);
/* The service answers, whatever it says. */
void dispatch_is_there(struct dispatch *d);
/* The same, and as it should, rate apart. */
void dispatch_works(struct dispatch *d);
/* Whatever the probe brought, it is over. */
void dispatch_probe_over(struct dispatch *d, const struct request *q);
/* It was answered, and whether anything came of it. */
void dispatch_note_dry(struct dispatch *d, const struct request *q, bool is_dry);
/*
 * Held by what is refused: when what it was never asked with may go, which may be taken: the first at once, the next
 * ones at the pace of the first probe, until so many were refused in a row that it is the stream. INT64_MAX: as any
 * probe.
 */
int64_t dispatch_untried_due_ns(const struct dispatch *d);
/* One request a second is enough. */
static inline bool dispatch_is_dry(const struct dispatch *d) { return chance_row_is_dry(&d->dry); }
/* One more failure in a row, when the request was sent after the last that counted. True when it counts. */
bool dispatch_fails(struct dispatch *d, struct streak *s, const struct request *q);

#endif
