#include "delivery/rows.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_BUCKETS = 256 };

static size_t bucket_of(const struct rows *rows, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (rows->bucket_count - 1);
}

static void widen(struct rows *rows)
{
	size_t old_count = rows->bucket_count;
	struct row **old = rows->buckets;

	rows->bucket_count = old_count ? old_count * 2 : FIRST_BUCKETS;
	rows->buckets = mem_zero(rows->bucket_count * sizeof(struct row *));
	for (size_t i = 0; i < old_count; i++) {
		struct row *next;

		for (struct row *row = old[i]; row; row = next) {
			struct row **slot = &rows->buckets[bucket_of(rows, row->id)];

			next = row->next;
			row->next = *slot;
			*slot = row;
		}
	}
	free(old);
}

struct row *rows_find(const struct rows *rows, uint64_t id)
{
	if (rows->count == 0)
		return NULL;
	for (struct row *row = rows->buckets[bucket_of(rows, id)]; row; row = row->next)
		if (row->id == id)
			return row;
	return NULL;
}

struct row *rows_add(struct rows *rows, uint64_t id, uint32_t row_bytes)
{
	struct row *row, **slot;

	if (rows_find(rows, id))
		return NULL;
	if (rows->count >= rows->bucket_count)
		widen(rows);
	row = mem_zero(sizeof *row);
	row->id = id;
	row->row_bytes = row_bytes;
	row->kind = SETTLE_DELIVERED;
	slot = &rows->buckets[bucket_of(rows, id)];
	row->next = *slot;
	*slot = row;
	rows->count++;
	return row;
}

void rows_remove(struct rows *rows, struct row *row)
{
	struct row **slot = &rows->buckets[bucket_of(rows, row->id)];

	while (*slot != row) {
		must(*slot);
		slot = &(*slot)->next;
	}
	*slot = row->next;
	rows->count--;
	free(row);
}

/* Dead outlasts given back outlasts delivered. */
static int gravity(enum settle_kind kind) { return kind == SETTLE_DEAD ? 2 : kind == SETTLE_RETRY ? 1 : 0; }

bool row_decide(struct row *row, enum settle_kind kind, uint32_t attempts, int64_t next_ms, const char *code,
                char *reason)
{
	must(row->remaining > 0);
	row->remaining--;
	if (kind == SETTLE_DELIVERED)
		row->delivered++;
	if (gravity(kind) > gravity(row->kind)) {
		free(row->reason);
		row->kind = kind;
		row->next_ms = next_ms;
		row->code = code;
		row->reason = reason;
	} else {
		free(reason);
	}
	if (attempts > row->attempts)
		row->attempts = attempts;
	return row->remaining == 0;
}

void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->bucket_count; i++) {
		struct row *next;

		for (struct row *row = rows->buckets[i]; row; row = next) {
			next = row->next;
			free(row->reason);
			free(row);
		}
	}
	free(rows->buckets);
	rows->buckets = NULL;
	rows->bucket_count = rows->count = 0;
}
