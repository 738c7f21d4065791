/*
 * Invariants:
 * 1. A row is in the tree exactly while records of it are undecided, or while dispatch counts them.
 * 2. remaining falls with every decision and is never asked for below 0.
 * 3. kind only moves up the order of gravity.
 */
#include "delivery/tracked.h"

#include <search.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

static int by_id(const void *a, const void *b)
{
	uint64_t x = ((const struct row *)a)->id, y = ((const struct row *)b)->id;

	return (x > y) - (x < y);
}

struct row *tracked_find(const struct tracked *rows, uint64_t id)
{
	const struct row key = {.id = id};
	struct row **found = tfind(&key, &rows->tree, by_id);

	return found ? *found : NULL;
}

struct row *tracked_add(struct tracked *rows, uint64_t id, uint32_t row_bytes)
{
	struct row *row;

	if (tracked_find(rows, id))
		return NULL;
	row = mem_zero(sizeof *row);
	row->id = id;
	row->row_bytes = row_bytes;
	row->kind = SETTLE_DELIVERED;
	must(tsearch(row, &rows->tree, by_id)); /* null only without memory, which ends the process everywhere */
	rows->count++;
	return row;
}

void tracked_remove(struct tracked *rows, struct row *row)
{
	must(rows->count > 0 && row->remaining == 0);
	must(tdelete(row, &rows->tree, by_id));
	rows->count--;
	free(row);
}

/* Dead outlasts expired outlasts given back outlasts delivered. */
static int gravity(enum settle_kind kind)
{
	static const enum settle_kind order[] = {SETTLE_RETRY, SETTLE_EXPIRED, SETTLE_DEAD};

	for (int i = 0; i < 3; i++)
		if (order[i] == kind)
			return i + 1;
	return 0;
}

bool tracked_decide(struct row *row, enum settle_kind kind, uint32_t attempts, int64_t wait_ms, const char *code,
                    char *reason)
{
	must(row->remaining > 0);
	row->remaining--;
	if (kind == SETTLE_DELIVERED)
		row->delivered++;
	if (gravity(kind) > gravity(row->kind)) {
		free(row->reason);
		row->kind = kind;
		row->wait_ms = wait_ms;
		row->code = code;
		row->reason = reason;
	} else {
		free(reason);
	}
	if (attempts > row->attempts)
		row->attempts = attempts;
	return row->remaining == 0;
}

static void free_row(void *p)
{
	struct row *row = p;

	free(row->reason);
	free(row);
}

void tracked_fini(struct tracked *rows)
{
	tdestroy(rows->tree, free_row);
	rows->tree = NULL;
	rows->count = 0;
}
