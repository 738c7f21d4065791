/*
 * Messages go to the shelf: out of where they stand first, so that what they leave is the room they take.
 *
 * Invariants:
 * 1. What goes to the shelf has left its block, or its row, before it is written anew, in the same group.
 * 2. A step of the shelf is all that a block still holds, or one message that stands alone, where there is that much:
 * the database need not grow for either, and the log takes no more than what is written.
 */
#include "store/store_shelve.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

static enum err put_on_shelf(struct store *s, const struct store_settlement *item, const struct store_row *row,
                             struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_DEAD_INSERT);

	row_put(st, 1, row);
	(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 7, item->attempts);
	row_bind_text(st, 8, item->code);
	row_bind_text(st, 9, item->reason);
	return store_run(s, st, e, "set aside");
}

/* Its bytes are SQLite's, and go with its row. */
static enum err shelve_alone(struct store *s, const struct store_settlement *item, const struct store_row *found,
                             struct error *e)
{
	struct store_row row = *found;
	AUTOFREE char *bytes = mem_alloc(row.meta_bytes + row.body_bytes + 1);
	enum err err;

	if (row.meta)
		row.meta = memcpy(bytes, row.meta, row.meta_bytes);
	if (row.body)
		row.body = memcpy(bytes + row.meta_bytes, row.body, row.body_bytes);
	(void)store_statement(s, ST_READ);
	err = store_settle_run(s, item, 1, e);
	return err == ERR_OK ? put_on_shelf(s, item, &row, e) : err;
}

/* How many of items[0..count) stand in the block that is read, and go to the shelf. */
static size_t length_in_block(const struct store *s, const struct store_settlement *items, size_t count,
                              struct block_mark *mark)
{
	const struct stored_block *b = s->block;
	size_t n = 1;

	while (n < count && items[n].kind == SETTLE_DEAD && items[n].id > items[n - 1].id &&
	       items[n].id - b->id < b->count && !items[n].may_be_gone && !block_bit(mark, items[n].id))
		n++;
	return n;
}

/* The block keeps what it showed when its row is gone. */
static enum err shelve_of_block(struct store *s, const struct store_settlement *items, size_t count, struct error *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < count && err == ERR_OK; i++)
		err = store_settle_run(s, &items[i], 1, e);
	if (err == ERR_OK)
		err = store_marks_flush(s, e);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		const struct store_row *found = block_row(s->block, items[i].id);

		err = put_on_shelf(s, &items[i], found ? found : &(struct store_row){.id = items[i].id}, e);
	}
	return err;
}

enum err store_shelve(struct store *s, const struct store_settlement *items, size_t count, size_t *ret_count,
                      struct error *e)
{
	struct pending p;
	enum err err = store_find(s, items[0].id, &p, e);

	*ret_count = 1;
	if (err != ERR_OK)
		return err;
	if (!p.is_there)
		return store_settle_run(s, items, 1, e);
	if (!p.mark)
		return shelve_alone(s, items, &p.row, e);
	*ret_count = length_in_block(s, items, count, p.mark);
	return shelve_of_block(s, items, *ret_count, e);
}

/* The block that the message stands in, as its row says; first 0: it stands alone, or is gone. */
struct around {
	uint64_t first, last;
	uint64_t stays;  /* messages that have not left */
	uint64_t stored; /* bytes of its body */
};

static enum err look_around(struct store *s, uint64_t id, struct around *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_BLOCK_AROUND);
	int rc;

	*ret = (struct around){0};
	sql_bind_u64(st, 1, id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const uint64_t first = sql_column_u64(st, 0);
		const uint32_t count = block_count(sqlite3_column_int64(st, 1));

		if (id - first < count)
			*ret = (struct around){
			    .first = first,
			    .last = first + count - 1,
			    .stays = store_beyond(count, sql_column_u64(st, 3)),
			    .stored = sql_column_u64(st, 2),
			};
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for a block");
}

enum err store_shelf_step(struct store *s, const struct store_settlement *items, size_t count, struct shelf_step *ret,
                          struct error *e)
{
	struct around b;
	enum err err = look_around(s, items[0].id, &b, e);

	*ret = (struct shelf_step){.count = 1, .log = store_room_of(&items[0])};
	if (err != ERR_OK || b.first == 0)
		return err;
	while (ret->count < count && items[ret->count].kind == SETTLE_DEAD && items[ret->count].id <= b.last &&
	       items[ret->count].id > items[ret->count - 1].id)
		ret->log += store_room_of(&items[ret->count++]);
	ret->rows = ret->count < b.stays ? ret->log : store_beyond(ret->log, 2 * b.stored);
	return ERR_OK;
}
