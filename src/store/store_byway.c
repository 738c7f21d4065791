/*
 * Copies of copies: what another spool had itself taken in from elsewhere, be it from this one or from one of which
 * something was taken in here. Its notes say so: their spools, and below which ids there these messages stand.
 */
#include "store/store_byway.h"

#include <stdlib.h>
#include <string.h>

#include "base/byte_order.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"

enum { SPOOL_AT = 32, SPOOL_END = 48, MARK_LEAST = 64, MARK_MOST = 65 /* bytes of a note, store_copy.c */ };

/* A row of `imports`, of a source of any schema that has the table. */
struct byway_note {
	struct stored_value values[4]; /* copy, imported_ms, messages, first_id */
	struct spool_id spool;         /* 0: it has no name, or the note is not what was written */
	bool is_sound;
};

static struct byway_note read_note(sqlite3_stmt *st, uint32_t tag)
{
	const struct stored_value copy = {
	    .type = VALUE_BLOB, .bytes = sqlite3_column_blob(st, 0), .count = (size_t)sqlite3_column_bytes(st, 0)};
	struct byway_note n = {.values = {copy}};

	for (int i = 1; i < 4; i++)
		n.values[i] = (struct stored_value){.type = VALUE_INT, .number = sqlite3_column_int64(st, i)};
	n.is_sound =
	    copy.count >= SPOOL_END &&
	    (sqlite3_column_count(st) < 5 || side_is_sound(tag, SIDE_IMPORT, sqlite3_column_int64(st, 4), n.values, 4));
	if (n.is_sound)
		memcpy(&n.spool, copy.bytes + SPOOL_AT, sizeof n.spool);
	return n;
}

/* Something of that spool was taken in here, or by one of which something was. */
static enum err is_known(struct store *s, struct spool_id spool, bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORTS_OF);
	int rc;

	(void)sqlite3_bind_blob(st, 1, &spool, sizeof spool, SQLITE_STATIC);
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW;
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for other copies");
}

static enum err look(struct store *s, struct byway *c, const struct byway_note *n, struct error *e)
{
	const size_t bytes = n->values[0].count;
	bool known = false;
	enum err err = ERR_OK;

	if (!n->is_sound) { /* whatever it was */
		c->is_shared = c->is_all = true;
		return ERR_OK;
	}
	if (!spool_id_is(n->spool, s->id))
		err = is_known(s, n->spool, &known, e);
	c->is_shared |= known || spool_id_is(n->spool, s->id);
	if (bytes < MARK_LEAST || bytes > MARK_MOST || n->values[3].number == 0)
		return err;
	c->spans = mem_grow(c->spans, c->count + 1, sizeof *c->spans);
	c->spans[c->count++] =
	    (struct byway_span){.first = (uint64_t)n->values[3].number, .count = (uint64_t)n->values[2].number};
	return err;
}

static enum err keep(struct store *s, const struct byway_note *n, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORT_KEEP);
	enum err err;

	if (!n->is_sound || spool_id_is(n->spool, s->id) ||
	    (!spool_id_is_known(n->spool) && n->values[0].count <= MARK_LEAST)) /* it does not say which messages */
		return ERR_OK;
	(void)sqlite3_bind_blob64(st, 1, n->values[0].bytes, n->values[0].count, SQLITE_STATIC);
	for (int i = 1; i < 3; i++)
		(void)sqlite3_bind_int64(st, i + 1, n->values[i].number);
	(void)sqlite3_bind_int64(st, 4, 0); /* an id of that spool, not of this one */
	err = store_run(s, st, e, "note the copy");
	(void)sqlite3_clear_bindings(st);
	return err;
}

enum err store_byway_each(struct store *s, sqlite3 *source, uint32_t tag, struct byway *c, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	enum err err = ERR_OK;
	bool has_imports;
	int rc = sql_has_column(source, "imports", "copy", &has_imports);

	if (rc == SQLITE_OK && !has_imports)
		return ERR_OK; /* of an older kspool */
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(source, "SELECT * FROM imports", -1, &st, NULL);
	if (rc == SQLITE_OK)
		while (err == ERR_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
			const struct byway_note n = read_note(st, tag);

			err = c ? look(s, c, &n, e) : keep(s, &n, e);
		}
	return err != ERR_OK || rc == SQLITE_DONE ? err : sql_error(source, rc, e, "read the other spool");
}

/* The checksum of the note that stands under this name. */
static enum err sum_of_note(struct store *s, const void *copy, size_t bytes, uint64_t *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORT_SUM);
	int rc;

	(void)sqlite3_bind_blob64(st, 1, copy, bytes, SQLITE_STATIC);
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW ? sql_column_u64(st, 0) : 0;
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read what was put back");
}

enum err store_byway_note(struct store *s, uint64_t first_id, uint64_t noted, uint64_t count, struct error *e)
{
	unsigned char copy[MARK_MOST] = {'p', 'u', 't', '-', 'b', 'a', 'c', 'k'};
	const struct stored_value values[4] = {{.type = VALUE_BLOB, .bytes = copy, .count = sizeof copy},
	                                       {.type = VALUE_INT, .number = clock_wall_ms()},
	                                       {.type = VALUE_INT, .number = (int64_t)(noted + count)},
	                                       {.type = VALUE_INT, .number = (int64_t)first_id}};
	sqlite3_stmt *st;
	uint64_t old_sum = 0;
	enum err err = ERR_OK;

	put_little(copy + 8, first_id, 8);
	memcpy(copy + SPOOL_AT, &s->id, sizeof s->id);
	if (noted > 0)
		err = sum_of_note(s, copy, sizeof copy, &old_sum, e);
	if (err != ERR_OK)
		return err;
	st = store_statement(s, ST_IMPORT_PUT);
	(void)sqlite3_bind_blob(st, 1, copy, sizeof copy, SQLITE_STATIC);
	for (int i = 1; i < 4; i++)
		(void)sqlite3_bind_int64(st, i + 1, values[i].number);
	err = store_run(s, st, e, "note what was put back");
	(void)sqlite3_clear_bindings(st);
	if (err != ERR_OK)
		return err;
	put_backs_add(&s->rows.back, first_id + noted, count);
	s->rows.imports += noted == 0;
	s->rows.imports_sum -= old_sum;
	s->rows.imports_sum += (uint64_t)side_sum(s->tag, SIDE_IMPORT, values, 4);
	return ERR_OK;
}

bool store_byway_has(const struct byway *c, uint64_t id)
{
	bool has = c->is_all;

	for (size_t i = 0; i < c->count && !has; i++)
		has = id >= c->spans[i].first && id - c->spans[i].first < c->spans[i].count;
	return c->is_shared && has;
}

void store_byway_fini(struct byway *c)
{
	free(c->spans);
	*c = (struct byway){0};
}
