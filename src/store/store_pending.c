/*
 * What of the blocks is pending: marks of what left one.
 *
 * Invariants:
 * 1. Marks ascend by block. Begin and end of a group drop them all; between groups one is what `partial` says.
 * 2. A dirty mark belongs to the open group.
 */
#include "store/store_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/failpoint.h"
#include "base/mem.h"

/* Index of the first mark at or above the block. */
static size_t seek(const struct block_marks *marks, uint64_t id)
{
	size_t low = 0, high = marks->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (marks->items[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool store_marks_has(const struct store *s, uint64_t block_id)
{
	size_t at = seek(&s->marks, block_id);

	return at < s->marks.count && s->marks.items[at].id == block_id;
}

static enum err load(struct store *s, uint64_t block_id, uint32_t count, struct block_mark *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PARTIAL_GET);
	int rc;

	*ret = (struct block_mark){.id = block_id, .count = count};
	sql_bind_u64(st, 1, block_id);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = mark_read(st, 0, block_id, count, s->tag);
	s->mend_is_due |= ret->is_lost;
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read what left a block");
}

enum err store_marks_get(struct store *s, uint64_t block_id, uint32_t count, struct block_mark **ret, struct error *e)
{
	struct block_marks *marks = &s->marks;
	size_t at = seek(marks, block_id);
	struct block_mark mark;
	enum err err;

	if (at == marks->count || marks->items[at].id != block_id) {
		err = load(s, block_id, count, &mark, e);
		if (err != ERR_OK)
			return err;
		if (marks->count == marks->capacity) {
			marks->capacity = marks->capacity ? marks->capacity * 2 : 16;
			marks->items = mem_grow(marks->items, marks->capacity, sizeof *marks->items);
		}
		memmove(marks->items + at + 1, marks->items + at, (marks->count - at) * sizeof *marks->items);
		marks->items[at] = mark;
		marks->count++;
	}
	*ret = &marks->items[at];
	return ERR_OK;
}

static enum err delete_of(struct store *s, enum store_statement id, uint64_t block_id, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);

	sql_bind_u64(st, 1, block_id);
	if (id == ST_BLOCKS_DELETE_RUN)
		sql_bind_u64(st, 2, block_id);
	return store_run(s, st, e, "delete a block");
}

static enum err put(struct store *s, const struct block_mark *m, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_PARTIAL_PUT);

	sql_bind_u64(st, 1, m->id);
	(void)sqlite3_bind_int64(st, 2, m->settled);
	sql_bind_u64(st, 3, m->bytes);
	(void)sqlite3_bind_int64(st, 4, mark_checksum(m, s->tag));
	(void)sqlite3_bind_blob64(st, 5, m->bits, sizeof m->bits, SQLITE_STATIC);
	return store_run(s, st, e, "note what left a block");
}

enum err store_marks_flush(struct store *s, struct error *e)
{
	enum err err = ERR_OK;

	for (size_t i = 0; i < s->marks.count && err == ERR_OK; i++) {
		struct block_mark *m = &s->marks.items[i];

		if (!m->is_dirty)
			continue;
		must(s->in_group && m->settled <= m->count);
		if (m->settled < m->count) {
			err = put(s, m, e);
			m->is_stored = true;
		} else {
			err = delete_of(s, ST_BLOCKS_DELETE_RUN, m->id, e);
			if (err == ERR_OK && sqlite3_changes(s->db) != 1)
				err = error_set(e, ERR_DAMAGED, "%s: block %" PRIu64 " was read, and is not there",
				                s->path, m->id);
			if (err == ERR_OK && m->is_stored)
				err = delete_of(s, ST_PARTIAL_DELETE, m->id, e);
		}
		m->is_dirty = false;
	}
	return err;
}

void store_set_waits(struct store *s, bool waits) { s->backlog_waits = waits; }

static enum block_wish wish_of(const struct store *s)
{
	if (s->options.compress == STORE_COMPRESS_NEVER)
		return BLOCK_AS_IS;
	return s->backlog_waits || s->options.compress == STORE_COMPRESS_ALWAYS ? BLOCK_SMALL : BLOCK_QUICK;
}

enum err store_block_flush(struct store *s, struct error *e)
{
	struct packed_block b;
	sqlite3_stmt *st;
	enum err err;

	if (s->fill.count == 0)
		return ERR_OK;
	must(s->in_group);
	block_pack(&s->packer, &s->fill, wish_of(s), s->tag, &b);
	store_stands_from(&s->now.blocks_from, s->fill.first);
	st = store_statement(s, ST_BLOCK_INSERT);
	for (int i = 0; i < 4; i++)
		(void)sqlite3_bind_int64(st, i + 1, b.numbers[i]);
	(void)sqlite3_bind_int64(st, 5, b.checksum);
	(void)sqlite3_bind_int64(st, 6, b.numbers[4]);
	(void)sqlite3_bind_int64(st, 7, b.numbers[5]);
	(void)sqlite3_bind_blob64(st, 8, b.body, b.body_bytes, SQLITE_STATIC);
	err = store_run(s, st, e, "insert");
	s->stored_block_bytes = b.body_bytes;
	s->lag.group_messages += s->fill.count;
	s->lag.group_bytes += s->fill.bytes;
	block_fill_clear(&s->fill);
	FAILPOINT("after_insert");
	return err;
}
