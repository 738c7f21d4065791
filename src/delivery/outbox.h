/*
 * outbox: settlements and credit on their way to the journal.
 *
 * What it is: settlements are grouped; a group goes when it is full or when outbox_flush is called (once a turn: an
 * answer's records share a group). A full lane makes groups wait here, and their credit with them.
 * Promises: 6 (what waits is bounded by the credit itself). Owner: the delivery thread. Thread: delivery.
 * Fails: never; what the lane refuses waits. Does not: decide how a row ends.
 */
#ifndef KSPOOL_DELIVERY_OUTBOX_H
#define KSPOOL_DELIVERY_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/journal.h"

struct outbox_group {
	struct store_settlements *settlements;
	uint32_t rows;
	uint64_t bytes; /* message_cost of its rows */
};

struct outbox {
	struct journal *journal;
	struct store_settlements *open;
	uint32_t open_rows;
	uint64_t open_bytes;
	struct outbox_group *waiting; /* a ring */
	size_t first, count, capacity;
	uint64_t owed_rows, owed_bytes; /* credit not yet given */
	uint64_t step_rows, step_bytes; /* credit is given in steps of this */
};

/* Gives the whole credit. */
void outbox_init(struct outbox *o, struct journal *journal, uint32_t rows, uint64_t bytes);
/* Takes the settlement's reason over. row_bytes: metadata and body of the row as it was handed over. */
void outbox_settle(struct outbox *o, const struct store_settlement *settlement, uint32_t row_bytes);
/* A row that was released is wanted again. */
void outbox_fetch(struct outbox *o, uint64_t id);
/* Posts what can be posted. all: give every bit of credit that is owed. */
void outbox_flush(struct outbox *o, bool all);
bool outbox_is_empty(const struct outbox *o);
/* Frees what could not be posted: those rows stay pending in the journal. */
void outbox_fini(struct outbox *o);

#endif
