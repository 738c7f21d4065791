/*
 * delivery: from pending rows to Kinesis' own acknowledgement.
 *
 * What it is: the thread that takes rows from the journal, renders keys, fills batches, sends PutRecords with up to
 * max_in_flight requests at once, and settles each row by its own entry in a fully understood answer. It holds the
 * stream (keeps everything, probes slowly) when identity, key management or the stream itself is the problem, and goes
 * offline (one probe) when the network is.
 * Promises: 2, 6, 7, 10, 12. Owner: delivery_start's caller.
 * Thread: its own; every function here is called from the intake thread.
 * Fails: start only (region, endpoint, templates); afterwards every failure is a state with a reason.
 * Does not: store anything; what it knows besides the journal is learned anew (promise 3).
 */
#ifndef KSPOOL_DELIVERY_DELIVERY_H
#define KSPOOL_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "journal/journal.h"

struct delivery;

enum delivery_state {
	DELIVERY_STARTING, /* nothing was tried yet */
	DELIVERY_FLOWING,
	DELIVERY_THROTTLED, /* flowing slower than wanted: the service says so */
	DELIVERY_OFFLINE,   /* the network or the service does not answer; one probe at a time */
	DELIVERY_HELD,      /* identity, permission, key management or the stream; one probe at a time */
	DELIVERY_BLOCKED,   /* only records that something on the way refuses are left; new ones are sent */
	DELIVERY_STOPPED,
};

enum { LIMITING_SHARDS = 4 };

/* A shard that takes less than waits for it. */
struct delivery_shard {
	char name[129];     /* "": no answer named it */
	uint32_t records_s; /* stored a second, of late; 0: it takes nothing */
	uint32_t waiting;   /* records in memory */
	uint64_t parked;    /* rows that wait on disk */
	char key[64];       /* the partition key that weighs most, cut; "": not known */
	uint32_t key_percent;
};

/*
 * What the intake thread knows of delivery. Another state or code is told at once, and before anything that is settled
 * in it; the rest at most every 100 ms.
 */
struct delivery_status {
	enum delivery_state state;
	int64_t since_ms; /* wall clock */
	char code[96];    /* "AccessDeniedException", "connect", ... */
	char reason[512];
	int64_t next_probe_ms;    /* wall clock; 0: none */
	uint32_t in_flight;       /* requests */
	uint64_t link_bytes_s;    /* bytes acknowledged a second while something was on its way; 0: not known */
	uint32_t link_rtt_ms;     /* without the way out of the request; 0: not known */
	uint64_t request_bytes;   /* data and keys of a request, at most, by service and link */
	bool link_is_thin;        /* it bounds what is sent */
	uint32_t waiting_records; /* in memory, not in flight */
	uint32_t refused_records; /* of these: refused on the way (413), asked about again and again */
	struct delivery_shard shards[LIMITING_SHARDS]; /* those with most waiting, most first */
	uint32_t shard_count;                          /* of these */
	uint32_t shards_limited;                       /* all in all */
	uint64_t memory_bytes;
	int64_t last_ack_ms; /* wall clock; 0: none */
	char stream[600];
	char region[64];
	char host[256];
	char provider[64];
	char access_key_id[160];
	int64_t credentials_expire_ms;
};

const char *delivery_state_name(enum delivery_state state);

/* The config must outlive the delivery. Starts offline without complaint: needs no network and no credentials. */
enum err delivery_start(const struct config *config, struct journal *journal, struct delivery **ret,
                        struct error *e) MUST_CHECK;
/* The newest. */
void delivery_status(struct delivery *d, struct delivery_status *ret);
/* Takes over a reloaded configuration (kept by the caller until stop). */
enum err delivery_reload(struct delivery *d, const struct config *config, struct error *e) MUST_CHECK;
/*
 * Try again now instead of waiting for the next probe, and send a batch that is still filling (`kspool drain`, and the
 * end of a finite input: the last batch does not wait for its period).
 */
void delivery_kick(struct delivery *d);
/* Asks the thread to count one proof that it gets to its work; any thread. */
void delivery_prove(struct delivery *d);
uint64_t delivery_proofs(const struct delivery *d);
/* How long one message or processor has kept the thread that prepares batches; any thread. 0: nothing does. */
int64_t delivery_prepare_ns(const struct delivery *d);
/* No input will bring more: from now on the last batch does not wait for its period. */
void delivery_drain(struct delivery *d);
/*
 * Takes no new rows, waits up to timeout_ns for requests in flight and a batch being prepared, settles what was
 * answered, gives back what was tried with its attempts, joins the thread. All else is pending in the journal, as it
 * always was. Returns how many messages were in unanswered requests. Frees d. Accepts null.
 */
uint64_t delivery_stop(struct delivery *d, int64_t timeout_ns);
/* From any thread (second signal): makes a running delivery_stop return soon. */
void delivery_stop_now(struct delivery *d);

#endif
