#include "delivery/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { GROUP = 512, CREDIT_STEPS = 128 };

void outbox_init(struct outbox *o, struct journal *journal, uint32_t rows, uint64_t bytes)
{
	memset(o, 0, sizeof *o);
	o->journal = journal;
	o->owed_rows = rows;
	o->owed_bytes = bytes;
	o->step_rows = rows / CREDIT_STEPS + 1;
	o->step_bytes = bytes / CREDIT_STEPS + 1;
}

static void put_waiting(struct outbox *o, struct store_settlements *settlements, uint32_t rows, uint64_t bytes)
{
	if (o->count == o->capacity) {
		size_t capacity = o->capacity ? o->capacity * 2 : 16;
		struct outbox_group *ring = mem_array(capacity, sizeof *ring);

		for (size_t i = 0; i < o->count; i++)
			ring[i] = o->waiting[(o->first + i) % o->capacity];
		free(o->waiting);
		o->waiting = ring;
		o->capacity = capacity;
		o->first = 0;
	}
	o->waiting[(o->first + o->count++) % o->capacity] = (struct outbox_group){settlements, rows, bytes};
}

static void close_open(struct outbox *o)
{
	if (!o->open)
		return;
	put_waiting(o, o->open, o->open_rows, o->open_bytes);
	o->open = NULL;
	o->open_rows = 0;
	o->open_bytes = 0;
}

static void put(struct outbox *o, const struct store_settlement *settlement)
{
	if (!o->open)
		o->open = store_settlements_new(GROUP);
	o->open->items[o->open->count++] = *settlement;
	if (o->open->count == o->open->capacity)
		close_open(o);
}

void outbox_settle(struct outbox *o, const struct store_settlement *settlement, uint32_t row_bytes)
{
	o->open_rows++;
	o->open_bytes += sizeof(struct message) + row_bytes;
	put(o, settlement);
}

void outbox_fetch(struct outbox *o, uint64_t id)
{
	put(o, &(const struct store_settlement){.id = id, .kind = SETTLE_FETCH});
}

static void give_credit(struct outbox *o, bool all)
{
	uint32_t rows = o->owed_rows < UINT32_MAX ? (uint32_t)o->owed_rows : UINT32_MAX;

	if (rows == 0 && o->owed_bytes == 0)
		return;
	if (!all && o->owed_rows < o->step_rows && o->owed_bytes < o->step_bytes)
		return;
	journal_credit(o->journal, rows, o->owed_bytes);
	o->owed_rows -= rows;
	o->owed_bytes = 0;
}

void outbox_flush(struct outbox *o, bool all)
{
	close_open(o);
	while (o->count > 0) {
		struct outbox_group *g = &o->waiting[o->first];

		if (!journal_settle(o->journal, g->settlements))
			break;
		o->owed_rows += g->rows;
		o->owed_bytes += g->bytes;
		o->first = (o->first + 1) % o->capacity;
		o->count--;
	}
	give_credit(o, all);
}

bool outbox_is_empty(const struct outbox *o) { return !o->open && o->count == 0; }

void outbox_fini(struct outbox *o)
{
	close_open(o);
	for (size_t i = 0; i < o->count; i++)
		store_settlements_free(o->waiting[(o->first + i) % o->capacity].settlements);
	free(o->waiting);
	memset(o, 0, sizeof *o);
}
