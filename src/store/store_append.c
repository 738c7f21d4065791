/* Messages come in: each gets its id and its row, or is refused before anything of it is written. */
#include "store/store_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { DEAD_BYTES = 128 }; /* what stands on the shelf beside a message and the reason */

static enum err check_size(const struct store *s, const struct message *m, struct error *e)
{
	uint64_t bytes = (uint64_t)m->meta_bytes + m->body_bytes;

	if (s->options.max_message_bytes && m->body_bytes > s->options.max_message_bytes)
		return error_set(e, ERR_TOOBIG, "the message has %" PRIu32 " bytes, the limit is %" PRIu64,
		                 m->body_bytes, s->options.max_message_bytes);
	if (bytes > ROW_MOST_BYTES)
		return error_set(e, ERR_TOOBIG, "the message has %" PRIu64 " bytes with its metadata", bytes);
	return ERR_OK;
}

enum err store_admit(struct store *s, const struct message_list *list, uint64_t beside, struct error *e)
{
	const struct message *m;
	uint64_t bytes = 0;
	enum err admitted;

	must(s->in_group);
	STAILQ_FOREACH (m, list, link) {
		enum err err = check_size(s, m, e);

		if (err != ERR_OK)
			return err;
		bytes += (uint64_t)m->meta_bytes + m->body_bytes;
	}
	s->group_beside += beside;
	admitted = store_make_room(s, bytes, e);
	if (admitted != ERR_OK)
		s->group_beside -= beside;
	return admitted;
}

static void count_in(struct store *s, struct message *m)
{
	m->id = s->now.next_id++;
	s->now.ledger.accepted++;
	s->now.ledger.pending++;
	s->now.pending_bytes += (uint64_t)m->meta_bytes + m->body_bytes;
	s->stored_bytes += m->body_bytes;
}

/* Into the block that is being filled, or the next; one that is too large for any stands alone. */
static enum err insert(struct store *s, struct message *m, struct error *e)
{
	const struct store_row row = row_of(s->now.next_id, m, s->tag);
	enum err err;

	must(s->in_group);
	err = store_leads_note(s, e);
	if (err == ERR_OK && !block_add(&s->fill, &row)) {
		err = store_block_flush(s, e);
		if (err == ERR_OK && !block_add(&s->fill, &row)) {
			sqlite3_stmt *st = store_statement(s, ST_INSERT);

			row_put(st, 1, &row);
			err = store_run(s, st, e, "insert");
		}
	}
	if (err == ERR_OK)
		count_in(s, m);
	return err;
}

enum err store_append(struct store *s, struct message *m, struct error *e)
{
	enum err err = check_size(s, m, e);

	must(s->in_group);
	if (err == ERR_OK)
		err = store_make_room(s, (uint64_t)m->meta_bytes + m->body_bytes, e);
	return err == ERR_OK ? insert(s, m, e) : err;
}

enum err store_append_list(struct store *s, struct message_list *list, struct error *e)
{
	struct message *m;
	enum err err = ERR_OK;

	STAILQ_FOREACH (m, list, link)
		if (err == ERR_OK)
			err = insert(s, m, e);
	return err;
}

uint64_t store_room_of_dead(const struct message *m)
{
	return (uint64_t)m->meta_bytes + m->body_bytes + (m->failure ? strlen(m->failure->reason) : 0) + DEAD_BYTES;
}

enum err store_append_dead(struct store *s, struct message *m, const char *code, struct error *e)
{
	uint64_t id = s->now.next_id;
	sqlite3_stmt *st;
	enum err err;

	must(s->in_group);
	err = store_make_room(s, 0, e); /* the shelf is bounded by the disk alone */
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_DEAD_INSERT);
	row_bind(st, 1, id, m, s->tag);
	(void)sqlite3_bind_int64(st, 6, clock_wall_ms());
	(void)sqlite3_bind_int64(st, 7, m->attempts);
	(void)sqlite3_bind_text(st, 8, code, -1, SQLITE_STATIC);
	row_bind_text(st, 9, m->failure ? m->failure->reason : NULL);
	err = store_run(s, st, e, "set aside");
	if (err != ERR_OK)
		return err;
	m->id = id;
	s->now.next_id++;
	s->now.ledger.accepted++;
	s->now.ledger.dead++;
	return ERR_OK;
}

void store_count_filtered(struct store *s, uint32_t count)
{
	must(s->in_group);
	s->now.ledger.accepted += count;
	s->now.ledger.filtered += count;
}
