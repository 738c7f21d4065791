/*
 * rows: journal rows whose records are not simply themselves.
 *
 * When processors cut or join messages, a row is settled only when all it became is. Promise 2: DELIVERED only when
 * every record it is part of was acknowledged; one dead record makes it dead; one given back makes it wait again (and
 * what was delivered of it is then a possible duplicate). Rows that are their own single record never come here. Owner:
 * dispatch.
 */
#ifndef KSPOOL_DELIVERY_ROWS_H
#define KSPOOL_DELIVERY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store_settlement.h"

struct row {
	struct row *next;
	uint64_t id;
	uint32_t remaining; /* records not yet decided */
	uint32_t delivered; /* records acknowledged */
	uint32_t row_bytes;
	enum settle_kind kind; /* DELIVERED until something worse happened */
	uint32_t attempts;
	int64_t next_ms;
	const char *code;
	char *reason;
};

struct rows {
	struct row **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

/* A new row with nothing remaining; null when it is there already. */
struct row *rows_add(struct rows *rows, uint64_t id, uint32_t row_bytes);
struct row *rows_find(const struct rows *rows, uint64_t id);
/* Frees the row; its reason is the caller's. */
void rows_remove(struct rows *rows, struct row *row);
/*
 * One record of the row was decided. Takes `reason` over. True when the row is: `kind`, `attempts`, `next_ms`, `code`,
 * `reason` then say how.
 */
bool row_decide(struct row *row, enum settle_kind kind, uint32_t attempts, int64_t next_ms, const char *code,
                char *reason);
void rows_fini(struct rows *rows);

#endif
