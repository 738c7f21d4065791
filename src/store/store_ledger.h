/*
 * store_ledger: what became of every accepted message, in numbers.
 *
 * What it is: the states of ledger.def as counts, and what else is known of the spool without reading it.
 * Promises: 9 (accepted is the sum of the states at every commit), 11 (no clock ends a message or keeps it waiting).
 * Owner: the store; what is returned by pointer holds until the next commit.
 * Thread: the store's.
 * Fails: store_next_retry_ms as the store; nothing else, where a number that cannot be read is 0.
 * Does not: count rows (store_recount does); count an open group.
 */
#ifndef KSPOOL_STORE_STORE_LEDGER_H
#define KSPOOL_STORE_STORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct store;

struct store_ledger {
	uint64_t accepted;
#define LEDGER_STATE(id, column, meaning) uint64_t column; /* meaning stands in ledger.def */
#include "base/ledger.def"
};

struct store_state {
	struct store_ledger ledger;
	uint64_t pending_bytes;
	uint64_t next_id;
	uint64_t retrying;          /* rows of `failures` */
	int64_t oldest_received_ms; /* as the wall clock stands; 0: none */
	int64_t next_retry_ms;      /* earliest time a failed message is due, as the wall clock stands; 0: none */
	uint64_t database_bytes;
	uint64_t wal_bytes;
	uint64_t free_bytes;             /* of the file system */
	uint64_t unexpected_settlements; /* settlements of ids that were not there and might be gone */
	uint64_t checkpoints;
	uint64_t aside_files, aside_unread; /* sets of files set aside; those not read to their end */
	bool aside_waits;                   /* for room: what they hold comes back when messages have left */
	bool upgrade_waits;                 /* likewise, to bring the messages of an older kspool into blocks */
	uint64_t written_bytes;             /* to the database and its log, by this thread since it started */
	uint64_t stored_bytes;              /* payload of messages appended since the spool was opened */
};

void store_state(struct store *s, struct store_state *ret);
/*
 * The spool's own time: milliseconds that go on with the machine's uptime, also over restarts within one boot, stand
 * still while it is off or asleep, and never jump. What waits, waits in it.
 */
int64_t store_clock_ms(const struct store *s);
/* The wall clock of today at the moment at which message `id` was received, when its own wall clock said received_ms.
 */
int64_t store_clock_received(const struct store *s, uint64_t id, int64_t received_ms);
/* 2020-01-01: kspool did not exist, and no clock that says so was set. */
#define CLOCK_UNSET_MS INT64_C(1577836800000)
/* 100 years: more is nobody's age, and fits no clock. */
#define CLOCK_AGE_MOST_MS INT64_C(3155760000000)
/* How old that makes it: from 0 to CLOCK_AGE_MOST_MS. */
int64_t store_clock_age_ms(const struct store *s, uint64_t id, int64_t received_ms);
/* As of the last commit; cheap. */
const struct store_ledger *store_ledger(const struct store *s);
uint64_t store_pending_bytes(const struct store *s);
uint64_t store_next_id(const struct store *s);
uint64_t store_retrying(const struct store *s);
/* Messages that were sent, or will be, though they may be stored already: since the spool began, as of the last commit.
 */
uint64_t store_possible_duplicates(const struct store *s);
/* errno of the last write of PATH.tide, without which a database that is lost takes its counts with it; 0: it worked.
 */
int store_tide_trouble(const struct store *s);
/* Likewise of PATH.left, without which what comes back with an old page may hide what is gone. */
int store_left_trouble(const struct store *s);
bool store_left_lacks_room(const struct store *s);
/* Damaged messages of which no person was told: kspool check ends badly until kspool repair has. */
uint64_t store_damaged_untold(const struct store *s);
/* How many messages could be with the service after the last commit that changed the ledger. */
uint64_t store_handed(const struct store *s);
/* Changes with each group that moves a message, the open one included: PATH.flight knows by it which commit it fits. */
uint64_t store_moves(const struct store *s);
/* What the open group's commit notes as these two, when it changes the ledger. */
void store_note_flight(struct store *s, uint64_t possible, uint64_t handed);
/* So many possible duplicates ever, at least: a commit of its own. */
enum err store_put_possible(struct store *s, uint64_t possible, struct error *e) MUST_CHECK;
/* Earliest own time (store_ledger.h) at which a failed message that was not handed out is due; 0: none. */
enum err store_next_retry_ms(struct store *s, int64_t *ret, struct error *e) MUST_CHECK;

#endif
