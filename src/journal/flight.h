/*
 * flight: how many messages are with the service, in a file that survives the process.
 *
 * What it is: counts in PATH.flight, written with each request that begins, each that is answered, and each commit that
 * settles; without a sync, so a killed process leaves them as they were. Where answers were lost, what may be doubled
 * by it is synced before the next request, so that a power cut leaves that count, or a little more. What was under way,
 * or answered and not yet settled, when a run ended is sent again by the next, which counts it first. Where the file is
 * older than the database (its `state` differs), after a power cut (it is of another boot), and where it was put back
 * from elsewhere (it is another file), the bound is what the last commit noted as handed over.
 * Promises: 7 (each possible duplicate is counted, and the count survives).
 * Owner: the journal.
 * Thread: the journal's for flight_settling, flight_settled, flight_look; delivery's else; one for open and close.
 * Fails: never; a file that cannot be written costs the count of one crash its tightness. One that cannot be taken away
 * either ends the run before anything is sent (is_stale).
 * Does not: know which messages they are; count what a person doubles (store_copy.h).
 */
#ifndef KSPOOL_JOURNAL_FLIGHT_H
#define KSPOOL_JOURNAL_FLIGHT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct flight {
	int fd; /* -1: not in a file */
	char *path;
	_Atomic int trouble;      /* errno of the last write; 0: it worked */
	_Atomic int name_trouble; /* likewise of making it anew under its name */
	_Atomic bool is_held;     /* by delivery while it counts, or by the journal while it makes the file anew */
	_Atomic bool is_unsure;   /* one failed: the file has another name now, which tells the next start */
	/*
	 * It could be neither written nor taken away: the next start will believe what it says, and count nothing of
	 * what is sent from now on. on_stale is told, on whichever thread; null: nobody. It must not return.
	 */
	_Atomic bool is_stale;
	void (*on_stale)(const struct error *reason);
	void (*on_doubt)(void *arg); /* more is possible than before: on delivery's thread; null: nobody */
	void *arg;
	uint64_t spool[2], opened; /* possible, when this run began */
	uint64_t here;             /* the boot, and the file */
	uint64_t state;            /* as the last commit left it */
	bool was_anothers;         /* what the file said when it was opened was of another spool, and is not counted */
	bool was_damaged;          /* of what it said some is not what was written, and is not counted */
	_Atomic uint64_t possible;
	uint64_t sending, delivered; /* in requests under way; by answers, since the file was opened */
	uint64_t settled;            /* of those delivered: by commits */
	uint64_t ceiling, spare;     /* possible, as it is on the disk; how far that is ahead */
	int64_t raised_ns, sync_ns;  /* monotonic: when it came there, and how long that took */
};

/* What the database says when a spool is opened. */
struct flight_start {
	const char *path;         /* of the spool */
	uint64_t possible;        /* duplicates ever */
	uint64_t handed, pending; /* pending: what comes back later is part of it */
	uint64_t state;           /* changes with each commit that moves a message */
	uint64_t spool[2];        /* whose it is */
	bool unclean;
	bool is_anew; /* it began anew, or is older than the last run left it: `state` is none of the last run's */
};

/* Returns how many the last run may have sent and not settled; they are counted in `possible` from now on. */
uint64_t flight_open(struct flight *f, const struct flight_start *start);
void flight_close(struct flight *f);
/* On the journal's thread, between commits. True: it was deleted, replaced or overwritten while it was open, and is
 * made anew. */
bool flight_look(struct flight *f) MUST_CHECK;
/* What is_stale means, as an error. */
enum err flight_stale(const struct flight *f, struct error *e);
/* A request begins. Waits for the disk when more is possible than it knows. */
void flight_send(struct flight *f, uint64_t messages);
/* It ended: so many of its messages were taken, so many may have been. */
void flight_end(struct flight *f, uint64_t messages, uint64_t delivered, uint64_t possible);
/* Before a commit that will make it so: a killed process may leave it done. */
void flight_settling(struct flight *f, uint64_t messages, uint64_t state);
/* After a commit: messages of flight_end's `delivered` that are settled. */
void flight_settled(struct flight *f, uint64_t messages, uint64_t state);

#endif
