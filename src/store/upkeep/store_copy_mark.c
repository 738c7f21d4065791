/*
 * What tells one copy from another, and what earlier copies brought.
 *
 * A message is known again by its id and the checksum of what it is. A copy of a spool that has no name, of the first
 * release or in its form, may be of any: one message alone may be like another's by chance, and then is none of them.
 */
#include "store/upkeep/store_upkeep_internal.h"

#include <string.h>

#include "base/byte_order.h"
#include "base/cleanup.h"

static void hash_number(struct copy_mark *m, uint64_t n)
{
	for (int i = 0; i < 8; i++) /* FNV-1a */
		m->hash = (m->hash ^ (n >> (8 * i) & 0xff)) * UINT64_C(0x100000001b3);
}

static void mark_message(struct copy_mark *m, uint64_t id, int64_t checksum)
{
	hash_number(m, id);
	hash_number(m, (uint64_t)checksum);
	m->messages++;
}

static int mark_pending(sqlite3 *db, struct copy_mark *m)
{
	struct block_message found;
	struct block_walk w;
	int rc = store_walk_whole(&w, db);

	if (rc != SQLITE_OK)
		return rc;
	while ((rc = walk_next(&w, &found)) == SQLITE_ROW) {
		if (m->first_id == 0) {
			m->first_id = found.row.id;
			m->first_checksum = row_plain_sum(&found.row);
		}
		m->highest = found.row.id;
		mark_message(m, found.row.id, found.is_sound ? row_plain_sum(&found.row) : found.row.checksum);
	}
	walk_close(&w);
	m->lowest = m->first_id;
	return rc;
}

static int mark_dead(sqlite3 *db, struct copy_mark *m)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, "SELECT id, checksum FROM dead ORDER BY id", -1, &st, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			mark_message(m, sql_column_u64(st, 0), sqlite3_column_int64(st, 1));
	return rc;
}

enum err copy_mark_read(struct store *s, sqlite3 *db, struct copy_mark *ret, bool *ret_is_lost, struct error *e)
{
	struct totals totals;
	struct spool_id of;
	bool found;
	int rc;
	enum err err = store_ledger_of(db, &totals, &found, e);

	*ret = (struct copy_mark){.hash = UINT64_C(0xcbf29ce484222325)};
	if (err == ERR_OK && !found)
		err = store_copy_of(s, db, &of, ret_is_lost, e);
	if (err != ERR_OK)
		return err;
	if (found) {
		ret->next_id = totals.next_id;
		ret->accepted = totals.ledger.accepted;
		of = store_totals_id(&totals);
	}
	ret->spool_high = of.high;
	ret->spool_low = of.low;
	rc = mark_pending(db, ret);
	if (rc == SQLITE_DONE)
		rc = mark_dead(db, ret);
	return rc == SQLITE_DONE ? ERR_OK : sql_error(db, rc, e, "read the other spool");
}

static void read_note(const unsigned char *bytes, size_t count, struct taken *to, struct copy_taken *t)
{
	struct copy_mark old;

	if (count > TAKEN_KEY && get_little(bytes, 8) == TAKEN_MAGIC) {
		taken_read(to, bytes + TAKEN_KEY, count - TAKEN_KEY);
		return;
	}
	if (count != MARK_BYTES) /* one that has pieces is longer */
		return;
	memcpy(&old, bytes, MARK_BYTES);
	if (old.highest == 0)
		return;
	t->lowest = t->lowest == 0 || old.lowest < t->lowest ? old.lowest : t->lowest;
	t->highest = old.highest > t->highest ? old.highest : t->highest;
}

/* spool: null: of whichever. */
static enum err read_notes(struct store *s, const struct spool_id *spool, struct taken *to, struct copy_taken *t,
                           struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_IMPORTS_OF);
	int rc;

	if (spool)
		(void)sqlite3_bind_blob(st, 1, spool, sizeof *spool, SQLITE_STATIC);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW)
		read_note(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), to, t);
	(void)sqlite3_reset(st);
	(void)sqlite3_clear_bindings(st);
	return rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "look for other copies");
}

/* How many of its messages are among those. */
static int count_known(sqlite3 *db, struct taken *among, uint64_t *ret)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	struct block_message found;
	struct block_walk w;
	int rc = store_walk_whole(&w, db);

	if (rc != SQLITE_OK)
		return rc;
	while ((rc = walk_next(&w, &found)) == SQLITE_ROW)
		*ret += found.is_sound && taken_has(among, found.row.id, copy_sum(&found.row));
	walk_close(&w);
	if (rc == SQLITE_DONE)
		rc = sqlite3_prepare_v2(db, ROW_SELECT " FROM dead", -1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW)
		if ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			const struct store_row row = row_read(st);

			*ret += taken_has(among, row.id, copy_sum(&row));
		}
	return rc;
}

enum err copy_taken_read(struct store *s, sqlite3 *db, const struct copy_mark *m, struct copy_taken *ret,
                         struct error *e)
{
	static const struct spool_id nobody;
	const struct spool_id its = copy_mark_spool(m);
	const bool has_name = spool_id_is_known(its);
	enum err err = has_name ? read_notes(s, &its, &ret->of_spool, ret, e) : ERR_OK;
	uint64_t known = 0;
	int rc = SQLITE_DONE;

	if (err == ERR_OK)
		err = read_notes(s, has_name ? &nobody : NULL, &ret->of_others, ret, e);
	if (err == ERR_OK && ret->of_others.count > 0)
		rc = count_known(db, &ret->of_others, &known);
	ret->is_same = known >= 2 || (known > 0 && known == m->messages);
	return err != ERR_OK || rc == SQLITE_DONE ? err : sql_error(db, rc, e, "read the other spool");
}

bool copy_was_taken(struct copy_taken *t, uint64_t id, uint32_t sum)
{
	return taken_has(&t->of_spool, id, sum) || (t->is_same && taken_has(&t->of_others, id, sum));
}

bool copy_may_have_been_taken(struct copy_taken *t, uint64_t id, uint32_t sum)
{
	return taken_has(&t->of_spool, id, sum) || taken_went_by(&t->of_spool, id) ||
	       taken_has(&t->of_others, id, sum) || (t->is_same && taken_went_by(&t->of_others, id)) ||
	       (id >= t->lowest && id <= t->highest);
}

void copy_taken_fini(struct copy_taken *t)
{
	taken_fini(&t->of_spool);
	taken_fini(&t->of_others);
}
