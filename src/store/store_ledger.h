/*
 * store_ledger: what became of every accepted message, in numbers.
 *
 * What it is: the states of ledger.def as counts, and what else is known of the spool without reading it.
 * Promises: 9 (accepted is the sum of the states at every commit).
 * Owner: the store; what is returned by pointer holds until the next commit.
 * Thread: the store's.
 * Fails: never; a number that cannot be read is 0.
 * Does not: count rows (store_recount does); count an open group.
 */
#ifndef KSPOOL_STORE_STORE_LEDGER_H
#define KSPOOL_STORE_STORE_LEDGER_H

#include <stdint.h>

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
	int64_t oldest_received_ms; /* 0: none */
	int64_t next_retry_ms;      /* earliest time a failed message is due; 0: none */
	uint64_t database_bytes;
	uint64_t wal_bytes;
	uint64_t free_bytes;             /* of the file system */
	uint64_t unexpected_settlements; /* settlements of ids that were not there and might be gone */
	uint64_t checkpoints;
	uint64_t written_bytes; /* to the database and its log, by this thread since it started */
	uint64_t stored_bytes;  /* payload and metadata of messages appended since the spool was opened */
};

void store_state(struct store *s, struct store_state *ret);
/* As of the last commit; cheap. */
const struct store_ledger *store_ledger(const struct store *s);
uint64_t store_pending_bytes(const struct store *s);
uint64_t store_next_id(const struct store *s);
uint64_t store_retrying(const struct store *s);
/* Earliest time a failed message that was not handed out is due; 0: none. */
int64_t store_next_retry_ms(struct store *s);

#endif
