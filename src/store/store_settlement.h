/*
 * store_settlement: what became of a message, by its id.
 *
 * What it is: plain data on its way from delivery to store_settle. The kinds that end a message are the LEDGER_END rows
 * of ledger.def; one more lets it stay.
 * Promises: 2 (settle by name).
 * Owner: a group owns its items' reasons; it changes hands with its pointer.
 * Thread: any, one at a time.
 * Fails: never; memory for what is in flight comes from the allocator that aborts.
 * Does not: know why; codes and reasons are the caller's words.
 */
#ifndef KSPOOL_STORE_STORE_SETTLEMENT_H
#define KSPOOL_STORE_STORE_SETTLEMENT_H

#include <stdbool.h>
#include <stdint.h>

enum settle_kind {
#define LEDGER_END(id, column, meaning) SETTLE_##id, /* leaves `messages`, counted as that */
#include "base/ledger.def"
	SETTLE_RETRY, /* stays; attempts and the end of its wait are written to `failures` */
	/* The journal's own, never the store's: */
	SETTLE_RELEASE, /* stays, nothing is written, and is not handed out until it is asked for */
	SETTLE_FETCH,   /* was released, and is asked for; no row goes with it */
};

struct store_settlement {
	uint64_t id;
	enum settle_kind kind;
	bool may_be_gone; /* its file was set aside meanwhile: it may not have come back, and nothing follows from it */
	bool is_note;     /* RETRY: it was released, nobody has it, and it may be gone */
	uint32_t bytes;   /* metadata and body of the row when known (the journal fills it in); 0: looked up */
	uint32_t sent;    /* records of it that the service took: what a crash before the commit sends again */
	uint32_t attempts; /* RETRY, DEAD: total so far */
	int64_t wait_ms;   /* RETRY: how long it waits, from its commit on */
	const char *code;  /* RETRY, DEAD: static text such as "ProvisionedThroughputExceededException" */
	char *reason;      /* RETRY, DEAD: owned, may be null */
};

struct store_settlements {
	uint32_t count;
	uint32_t capacity;
	struct store_settlement items[];
};

struct store_settlements *store_settlements_new(uint32_t capacity);
/* `s`, which may be null, with that item, whose reason is taken; at another place. */
struct store_settlements *store_settlements_add(struct store_settlements *s, const struct store_settlement *item);
/* Accepts null. */
void store_settlements_free(struct store_settlements *s);

#endif
