/*
 * watchdog: whether every thread still gets its work done.
 *
 * What it is: at each look journal and delivery are asked something only their own threads can answer, and the workers
 * of doors and delivery say how long they have been at one step of their work. The intake thread's proof is that it
 * looks at all. Promises: 10, 11: systemd hears WATCHDOG=1 only while all of them answer. Owner: the daemon. Thread:
 * intake. Fails: never; a journal whose lane is full is asked at the next look. Does not: restart anything: that is
 * systemd's.
 */
#ifndef KSPOOL_DAEMON_WATCHDOG_H
#define KSPOOL_DAEMON_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct delivery;
struct doors;
struct journal;

struct watchdog {
	struct journal *journal;
	struct delivery *delivery;
	int64_t process_time_ns; /* kspool.process_time */
	bool journal_owes;       /* it was asked and has not answered */
	int64_t journal_asked_ns;
	uint64_t proofs_wanted; /* of delivery */
};

/* Null when all do; else the one that does not. doors may be null. */
const char *watchdog_look(struct watchdog *w, const struct doors *doors);

#endif
