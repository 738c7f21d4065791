/*
 * dispatch: who is sent when, and what happens on each outcome; a state machine without threads, sockets or clock.
 *
 * What it is: messages come in, requests go out through a port, answers come back, settlements go out through a port.
 * Time is an argument, randomness a port, so that one seed replays anything.
 * Promises: 2 (a row is settled DELIVERED only by its own entries), 6 (holds what it was given and one copy of each
 * payload), 7 (what may have been stored and is sent again is counted).
 * Owner: dispatch owns messages, records and requests from the moment it gets or makes them. Thread: delivery.
 * Fails: never; every failure is a state, a wait or a settlement with a reason.
 * Does not: render keys or run processors (prepare.h), sign, write the journal.
 */
#ifndef KSPOOL_DELIVERY_DISPATCH_H
#define KSPOOL_DELIVERY_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/delivery.h"
#include "delivery/dispatch_types.h"

struct dispatch;

struct dispatch *dispatch_new(const struct dispatch_settings *settings, const struct dispatch_ports *ports,
                              int64_t now_ns, int64_t wall_ms);
/* No request may be under way, no batch with the preparer. Accepts null. */
void dispatch_free(struct dispatch *d);
void dispatch_configure(struct dispatch *d, const struct dispatch_settings *settings);

/* Takes a message over. */
void dispatch_message(struct dispatch *d, struct message *m, int64_t now_ns, int64_t wall_ms);
/* A row that ports.fetch asked for is not there any more: evicted, set aside, or given to nobody. */
void dispatch_gone(struct dispatch *d, uint64_t id);
/* Sends what may be sent. Returns when it wants to be called again (INT64_MAX: on the next event). */
int64_t dispatch_run(struct dispatch *d, int64_t now_ns, int64_t wall_ms);
/* The batch that ports.prepare kept, and what it became; nothing at all only at the end: its rows stay pending. */
void dispatch_prepared(struct dispatch *d, struct batch *batch, struct prepared *made, int64_t now_ns, int64_t wall_ms);
bool dispatch_is_preparing(const struct dispatch *d);
/* Ends the request and frees it. */
void dispatch_answered(struct dispatch *d, struct request *request, const struct aws_answer *answer, int64_t now_ns,
                       int64_t wall_ms);
/* Probe now, flush the open batch, forget pauses. */
void dispatch_kick(struct dispatch *d, int64_t now_ns);
/* Other credentials came: a held stream is asked at once. */
void dispatch_credentials(struct dispatch *d, int64_t now_ns);
/* No input will bring more: the last batch does not wait for its period. */
void dispatch_drain(struct dispatch *d);
/* After dispatch_stop, nothing in flight or being prepared: gives back what was tried with its attempts, so that they
 * survive the end. */
void dispatch_park(struct dispatch *d);
/* Sends nothing more. */
void dispatch_stop(struct dispatch *d);
uint32_t dispatch_in_flight(const struct dispatch *d);
/* Messages in requests under way. */
uint64_t dispatch_unanswered(const struct dispatch *d);
/* Fills what dispatch knows: state, since, code, reason, next probe, counts. */
void dispatch_status(const struct dispatch *d, int64_t now_ns, int64_t wall_ms, struct delivery_status *ret);
/* The state, or its code, is another than was told. */
bool dispatch_state_is_news(const struct dispatch *d, const struct delivery_status *told);

#endif
