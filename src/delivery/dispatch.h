/*
 * dispatch: who is sent when, and what happens on each outcome; a state machine without threads, sockets or clock.
 *
 * What it is: messages come in, requests go out through a port, answers come back, settlements go out through a port.
 * Time is an argument, randomness a port, so that one seed replays anything. Promises: 2 (a row is settled DELIVERED
 * only by its own entries), 6 (holds what it was given and one copy of each payload), 7 (what may have been stored and
 * is sent again is counted). Owner: dispatch owns messages, records and requests from the moment it gets or makes them.
 * Thread: delivery. Fails: never; every failure is a state, a wait or a settlement with a reason.
 */
#ifndef KSPOOL_DELIVERY_DISPATCH_H
#define KSPOOL_DELIVERY_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "kinesis/putrecords.h"
#include "store/store_settlement.h"
#include "aws/client.h"
#include "delivery/batcher.h"
#include "delivery/delivery.h"
#include "delivery/record.h"
#include "delivery/rows.h"

struct dispatch;
struct isolation;

/* A request under way. The sink may use `aws`; all else is dispatch's. */
struct request {
	LIST_ENTRY(request) link;
	struct aws_request aws;
	struct putrecords put;
	struct record **records;
	struct isolation *isolation; /* null: ordinary */
	uint64_t payload_bytes;
	int64_t sent_ns;
	uint32_t count;
	bool probe;
};

struct dispatch_settings {
	const char *stream; /* name or ARN */
	enum putrecords_wire wire;
	uint32_t max_in_flight;
	uint32_t request_records;
	uint64_t request_bytes; /* data and keys */
	bool fills;             /* no batching policy: fill requests from what is there */
	struct batcher_policy policy;
	int64_t linger_ns;
	uint64_t max_retries; /* 0: no limit */
	int64_t backoff_initial_ns, backoff_max_ns, backoff_elapsed_ns;
	int64_t throttle_max_ns;
	int64_t request_timeout_ns; /* 0: not known, the link's speed is not learned */
	int64_t probe_initial_ns, probe_max_ns;
	uint64_t dead_after_attempts; /* 0: never */
	int64_t dead_after_age_ns;    /* 0: never */
};

struct dispatch_ports {
	void *arg;
	/* Must end in exactly one dispatch_answered, not from inside. */
	void (*send)(void *arg, struct request *request);
	/* The reason (may be null) changes hands. */
	void (*settle)(void *arg, const struct store_settlement *settlement, uint32_t row_bytes);
	/*
	 * Makes records of a complete batch: dispatch_add and its companions; takes messages out by setting items null.
	 * Returns the monotonic time before which it wants no other batch (a rate limit); 0: none.
	 */
	int64_t (*prepare)(void *arg, struct dispatch *d, struct batch *batch);
	double (*unit)(void *arg); /* uniform in [0, 1) */
	void (*credentials_stale)(void *arg);
	void (*clock_learn)(void *arg, int64_t server_wall_ms);
	void (*connections_suspect)(void *arg);
};

struct dispatch *dispatch_new(const struct dispatch_settings *settings, const struct dispatch_ports *ports,
                              int64_t now_ns, int64_t wall_ms);
/* No request may be under way. Accepts null. */
void dispatch_free(struct dispatch *d);
void dispatch_configure(struct dispatch *d, const struct dispatch_settings *settings);

/* Takes a message over. */
void dispatch_message(struct dispatch *d, struct message *m, int64_t now_ns, int64_t wall_ms);
/* Sends what may be sent. Returns when it wants to be called again (INT64_MAX: on the next event). */
int64_t dispatch_run(struct dispatch *d, int64_t now_ns, int64_t wall_ms);
/* Ends the request and frees it. */
void dispatch_answered(struct dispatch *d, struct request *request, const struct aws_answer *answer, int64_t now_ns,
                       int64_t wall_ms);
/* Probe now, flush the open batch, forget pauses. */
void dispatch_kick(struct dispatch *d, int64_t now_ns);
/* No input will bring more: the last batch does not wait for its period. */
void dispatch_drain(struct dispatch *d);
/* After dispatch_stop, nothing in flight: gives back what was tried with its attempts, so that they survive the end. */
void dispatch_park(struct dispatch *d, int64_t wall_ms);
/* Sends nothing more. */
void dispatch_stop(struct dispatch *d);
uint32_t dispatch_in_flight(const struct dispatch *d);
/* Messages in requests under way. */
uint64_t dispatch_unanswered(const struct dispatch *d);
/* Fills what dispatch knows: state, since, code, reason, next probe, counts. */
void dispatch_status(const struct dispatch *d, int64_t now_ns, int64_t wall_ms, struct delivery_status *ret);

/* For prepare. */
void dispatch_add(struct dispatch *d, struct record *r);
void dispatch_set_aside(struct dispatch *d, struct record *r, const char *code, const char *reason);
void dispatch_filtered(struct dispatch *d, uint64_t id, uint32_t row_bytes, bool set_aside);
struct rows *dispatch_rows(struct dispatch *d);

#endif
