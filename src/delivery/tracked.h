/*
 * tracked: journal rows whose records are not simply themselves.
 *
 * What it is: when processors cut or join messages, a row is settled only when all it became is. One dead record makes
 * it dead, else one expired makes it expired, else one given back makes it wait again (and what was delivered of it is
 * then a possible duplicate). Rows that are their own single record never come here.
 * Promises: 2 (DELIVERED only when every record it is part of was acknowledged), 7.
 * Owner: dispatch. Thread: delivery. Fails: never. Does not: settle; it says how.
 */
#ifndef KSPOOL_DELIVERY_TRACKED_H
#define KSPOOL_DELIVERY_TRACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store_settlement.h"

struct row {
	uint64_t id;
	uint32_t remaining; /* records not yet decided */
	uint32_t delivered; /* records acknowledged */
	uint32_t row_bytes;
	enum settle_kind kind; /* DELIVERED until something worse happened */
	uint32_t attempts;
	int64_t wait_ms;
	const char *code;
	char *reason;
};

struct tracked {
	void *tree; /* of tsearch, by id */
	size_t count;
};

/* A new row with nothing remaining; null when it is there already. */
struct row *tracked_add(struct tracked *rows, uint64_t id, uint32_t row_bytes);
struct row *tracked_find(const struct tracked *rows, uint64_t id);
/* Of a row with nothing remaining. Frees it; its reason is the caller's. */
void tracked_remove(struct tracked *rows, struct row *row);
/*
 * One record of the row was decided. Takes `reason` over. True when the row is: `kind`, `attempts`, `wait_ms`, `code`,
 * `reason` then say how.
 */
bool tracked_decide(struct row *row, enum settle_kind kind, uint32_t attempts, int64_t wait_ms, const char *code,
                    char *reason);
void tracked_fini(struct tracked *rows);

#endif
