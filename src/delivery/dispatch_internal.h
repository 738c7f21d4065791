/* dispatch_internal: what dispatch.c, dispatch_answer.c and isolate.c share; nobody else includes it. */
#ifndef KSPOOL_DELIVERY_DISPATCH_INTERNAL_H
#define KSPOOL_DELIVERY_DISPATCH_INTERNAL_H

#include "base/clock.h"
#include "kinesis/answer.h"
#include "kinesis/outcome.h"
#include "delivery/dispatch.h"
#include "delivery/hold.h"
#include "delivery/pace.h"
#include "delivery/waiting.h"

enum {
	OFFLINE_AFTER = 3,     /* failures in a row, each sent after the one before was known */
	IDENTITY_TRIES = 3,    /* refreshed credentials or corrected clocks in a row before the stream is held */
	REFUSED_IN_A_ROW = 20, /* records refused for themselves with no other accepted: it is not the records */
	REQUEST_BYTES_FLOOR = 16 << 10, /* shrinking ends here */
	SLOW_PART = 4                   /* an answer after this part of request_timeout shows a slow link */
};
#define DRAIN_WAIT_NS (INT64_C(20) * NS_PER_MS) /* of the last batch, for rows still on their way */

LIST_HEAD(request_list, request);

/* A refused request whose culprit is being looked for: halves are sent, one at a time. */
struct isolation {
	LIST_ENTRY(isolation) link;
	struct record_queue suspects;
	uint32_t count;
	int64_t due_ns;
	bool in_flight;
};

LIST_HEAD(isolation_list, isolation);

struct dispatch {
	struct dispatch_settings set;
	struct dispatch_ports ports;
	struct batcher batcher;
	struct record_queue ready;
	uint32_t ready_count;
	uint64_t ready_bytes; /* accounted */
	struct waiting waiting;
	struct isolation_list isolations;
	struct request_list under_way;
	struct rows rows;
	struct hold hold;
	struct pace pace;
	enum putrecords_wire wire; /* what is spoken now */
	uint64_t request_bytes;    /* ceiling, as learned from refusals */
	uint64_t link_bytes;       /* ceiling, as learned from requests that ran out of time; 0: none */
	uint64_t memory_bytes;     /* messages and bodies */
	int64_t batch_oldest_ns;   /* while prepare runs */
	int64_t pull_after_ns;     /* no batch is taken before */
	int64_t now_ns, wall_ms;   /* of the event being handled */
	int64_t failure_event_ns;  /* when the last failure that counted was known */
	int64_t identity_event_ns;
	int64_t last_ack_wall_ms;
	uint32_t in_flight;
	uint32_t failures;          /* OFFLINE kind, in a row */
	uint32_t identity_failures; /* REFRESH and SKEW, in a row */
	uint32_t refused;           /* set aside by the service, in a row */
	uint32_t isolation_count;
	uint32_t isolated_records;
	bool flush;
	bool draining;
	bool stopping;
};

/* What an outcome says, with the words to keep. */
struct verdict {
	const struct outcome *outcome;
	const char *code; /* static storage: goes to the journal */
	const char *said; /* the service's code, or the transport's word */
	const char *text;
	int64_t retry_after_ms; /* -1: none */
};

static inline uint64_t record_accounted(const struct record *r)
{
	return putrecords_accounted(r->data_bytes, r->key_bytes);
}

void ready_put_last(struct dispatch *d, struct record *r);
void ready_put_first(struct dispatch *d, struct record *r);
struct record *ready_take(struct dispatch *d);

/* Ends the record: settles its rows. Takes reason over. */
void dispatch_settle(struct dispatch *d, struct record *r, enum settle_kind kind, const char *code, char *reason,
                     int64_t next_ms);
/* The service (or a rule) does not take this record. */
void dispatch_dead(struct dispatch *d, struct record *r, const char *code, const char *said, const char *text);
/* A failed try: waits, goes back to the journal, or is set aside by rule. */
void dispatch_again(struct dispatch *d, struct record *r, const struct verdict *v);
void dispatch_hold(struct dispatch *d, enum hold_event event, bool was_probe, const char *said, const char *text);
bool dispatch_is_too_old(const struct dispatch *d, const struct record *r);

struct request *dispatch_compose(struct dispatch *d, struct record **records, uint32_t count);
/* Brings the messages of a request back out of its body. */
void dispatch_restore(struct dispatch *d, struct request *r);

/* isolate.c */
/* The request was refused for one of its records, which are all back in memory; takes them. */
void isolate_refused(struct dispatch *d, struct request *r, const struct verdict *v);
/* An isolation's request was understood: its records are dealt with. */
void isolate_answered(struct dispatch *d, struct request *r);
/* An isolation's request failed for another reason; takes its records back. */
void isolate_failed(struct dispatch *d, struct request *r, int64_t wait_ns);
/* The next half to send, or null. */
struct request *isolate_next(struct dispatch *d);
int64_t isolate_due_ns(const struct dispatch *d);
void isolate_fini(struct dispatch *d);

int64_t dispatch_wait_ns(struct dispatch *d, uint32_t tries, bool throttled);

#endif
