/*
 * delivery_internal: what delivery.c (other threads' side) and loop.c (the thread) share.
 *
 * What it is: the struct, in three parts by thread. Promises: none of its own. Owner: delivery_start, delivery_stop.
 * Thread: as each part says. Fails: never. Does not: reach beyond these two files.
 */
#ifndef KSPOOL_DELIVERY_DELIVERY_INTERNAL_H
#define KSPOOL_DELIVERY_DELIVERY_INTERNAL_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>

#include "aws/client.h"
#include "delivery/delivery.h"
#include "delivery/dispatch.h"
#include "delivery/outbox.h"
#include "delivery/prepare.h"
#include "delivery/prepare_worker.h"

/* What other threads ask for: bits of `commands`, then a write to wake_fd (both safe in a signal handler). */
enum {
	COMMAND_KICK = 1,
	COMMAND_RELOAD = 2,
	COMMAND_STOP = 4,
	COMMAND_STOP_NOW = 8,
	COMMAND_DRAIN = 16,
	COMMAND_PROVE = 32
};

enum delivery_phase {
	PHASE_RUNNING,
	PHASE_STOPPING,  /* nothing is sent, answers and what is being prepared are waited for */
	PHASE_CANCELLED, /* what did not come in time is given up */
	PHASE_DONE,
};

struct delivery {
	/* any thread */
	atomic_uint commands;
	_Atomic(const struct config *) next_config;
	atomic_int_least64_t stop_timeout_ns;
	int wake_fd;
	_Atomic uint64_t proofs;                  /* COMMAND_PROVE taken */
	_Atomic(struct delivery_status *) newest; /* null: it was taken */
	/* the thread's, from its start to its end */
	pthread_t thread;
	const struct config *config;
	struct journal *journal;
	struct event_base *base;
	struct event *wake_event, *rows_event, *timer_event, *prepared_event;
	struct aws_client *client;
	struct preparer *preparer;
	struct prepare_worker *worker; /* null: what the preparer does takes no time */
	struct message_list arrived;   /* rows that the last turn had no time for */
	struct dispatch *dispatch;
	struct outbox outbox;
	struct delivery_status published;
	int64_t published_ns;
	enum delivery_phase phase;
	int64_t stop_deadline_ns; /* INT64_MAX: none; INT64_MIN: at once */
	uint64_t unanswered;
	/* the intake thread's */
	struct delivery_status seen;
};

void *delivery_loop(void *arg);
/* The settings of the config with the check bound to the preparer. */
void delivery_settings(struct delivery *d, struct dispatch_settings *ret);
void delivery_command(struct delivery *d, unsigned command);
struct dispatch_ports delivery_ports(struct delivery *d);
void delivery_on_event(int fd, short what, void *arg);

#endif
