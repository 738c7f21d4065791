/*
 * Small keyed tables: positions of sources, keys of processors, and how the wall clock stood when messages were
 * received.
 *
 * Invariants:
 * 1. leads[] ascends by first_id; what lies behind leads_durable belongs to the open group.
 * 2. A row that is not what was written is as if it were not there: read, or sent, again, and counted.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/mem.h"

/* For the sum of a position, which goes by the bytes alone. */
static struct stored_value text_value(const char *text)
{
	return (struct stored_value){.bytes = (const unsigned char *)text, .count = strlen(text)};
}

enum err store_position_put(struct store *s, const char *key, const char *value, struct error *e)
{
	const struct stored_value k = text_value(key), v = text_value(value);

	const int64_t checksum = side_position_sum(&k, &v, s->tag);
	sqlite3_stmt *st = store_statement(s, ST_POSITION_GET);
	uint64_t old = 0;
	enum err err;
	int rc;

	must(s->in_group);
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		old = sql_column_u64(st, 1);
	(void)sqlite3_reset(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_fail(s, rc, e, "note a position");
	st = store_statement(s, rc == SQLITE_ROW ? ST_POSITION_MOVE : ST_POSITION_KEEP);
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, value, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 3, checksum);
	err = store_run(s, st, e, "note a position");
	if (err != ERR_OK)
		return err;
	s->rows.positions_sum += (uint64_t)checksum - old;
	if (rc == SQLITE_DONE)
		store_rows_come_back(&s->rows.positions, &s->rows.positions_gone);
	return ERR_OK;
}

/* What a damaged position told is read again from its start, which duplicates and does not lose. */
enum err store_position_get(struct store *s, const char *key, char **ret, bool *ret_damaged, struct error *e)
{
	const struct stored_value k = text_value(key);
	sqlite3_stmt *st = store_statement(s, ST_POSITION_GET);
	int rc;

	*ret = NULL;
	*ret_damaged = false;
	(void)sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(st, 0);
		const struct stored_value v = text_value(text ? text : "");

		*ret_damaged = !text || !side_position_is_sound(&k, &v, sqlite3_column_int64(st, 1), s->tag);
		if (!*ret_damaged) {
			*ret = mem_string(text);
			*ret_damaged = s->rows.positions_off != 0 ||
			               side_position_is_old(&k, &v, sqlite3_column_int64(st, 1), s->tag);
		}
	} else {
		/* It may be the key that is damaged, or the row that is gone. */
		*ret_damaged = rc == SQLITE_DONE && s->positions_lost + s->rows.positions_gone > 0;
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a position");
}

static void bind_key(sqlite3_stmt *st, const char *cache, const void *key, size_t key_bytes)
{
	(void)sqlite3_bind_text(st, 1, cache, -1, SQLITE_STATIC);
	(void)sqlite3_bind_blob64(st, 2, key_bytes ? key : "", key_bytes, SQLITE_STATIC);
}

void store_count_possible(struct store *s, uint64_t messages)
{
	must(s->in_group);
	s->now.possible = store_most(s->now.possible, s->possible_noted);
	s->now.possible += messages;
	s->possible_in_group += messages;
}

uint64_t store_take_possible(struct store *s)
{
	const uint64_t messages = s->possible_untold;

	s->possible_untold = 0;
	return messages;
}

static enum err cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t now_ms,
                          bool *ret, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_CACHE_GET);
	int rc;

	bind_key(st, cache, key, key_bytes);
	rc = sqlite3_step(st);
	*ret = rc == SQLITE_ROW && sqlite3_column_int64(st, 0) > now_ms;
	if (rc == SQLITE_ROW && sqlite3_column_int(st, 1) == 0) { /* sent again is better than kept back for another */
		*ret = false;
		s->mend_is_due = true;
		if (s->in_group)
			store_count_possible(s, 1);
	}
	(void)sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : store_fail(s, rc, e, "read a cache key");
}

enum { KEY_BYTES = 64 }; /* beside a key, in the table and in its index */

/* It stands in the table and in its index, and what does not fit there has pages of its own. */
uint64_t store_room_of_key(const struct store *s, size_t key_bytes)
{
	const uint64_t page = s->page_bytes;
	const uint64_t each = key_bytes < page / 8 ? key_bytes : (key_bytes / page + 2) * page;

	return 2 * (each + KEY_BYTES);
}

enum err store_cache_has(struct store *s, const char *cache, const void *key, size_t key_bytes, bool *ret,
                         struct error *e)
{
	return cache_has(s, cache, key, key_bytes, store_clock_ms(s), ret, e);
}

static enum err put_key(struct store *s, enum store_statement id, const char *cache, const void *key, size_t key_bytes,
                        int64_t expires_ms, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, id);

	bind_key(st, cache, key, key_bytes);
	(void)sqlite3_bind_int64(st, 3, expires_ms);
	return store_run(s, st, e, "add a cache key");
}

static enum err cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t now_ms,
                          int64_t expires_ms, bool *ret_was_new, struct error *e)
{
	sqlite3_stmt *st;
	bool known = false;
	enum err err = cache_has(s, cache, key, key_bytes, now_ms, &known, e);

	*ret_was_new = !known;
	if (err != ERR_OK || known)
		return err;
	st = store_statement(s, ST_CACHE_EXPIRE);
	(void)sqlite3_bind_int64(st, 1, now_ms);
	err = store_run(s, st, e, "expire cache keys");
	if (err != ERR_OK)
		return err;
	s->rows.keys = store_beyond(s->rows.keys, (uint64_t)sqlite3_changes(s->db));
	err = put_key(s, ST_CACHE_ADD, cache, key, key_bytes, expires_ms, e);
	if (err == ERR_OK && sqlite3_changes(s->db) == 0) /* one that has expired, or is damaged, stands there still */
		return put_key(s, ST_CACHE_PUT, cache, key, key_bytes, expires_ms, e);
	s->rows.keys += err == ERR_OK;
	return err;
}

enum err store_cache_add(struct store *s, const char *cache, const void *key, size_t key_bytes, int64_t ttl_ms,
                         bool *ret_was_new, struct error *e)
{
	int64_t now_ms = store_clock_ms(s);
	bool own_group = !s->in_group;
	enum err err = own_group ? store_begin(s, e) : ERR_OK;

	if (err == ERR_OK)
		err = cache_add(s, cache, key, key_bytes, now_ms,
		                ttl_ms < INT64_MAX - now_ms ? now_ms + ttl_ms : INT64_MAX, ret_was_new, e);
	if (err == ERR_OK && own_group)
		err = store_commit(s, e);
	return err;
}

static void add_lead(struct store *s, uint64_t first_id, int64_t lead)
{
	if (s->lead_count == s->lead_capacity) {
		s->lead_capacity = s->lead_capacity ? s->lead_capacity * 2 : 8;
		s->leads = mem_grow(s->leads, s->lead_capacity, sizeof *s->leads);
	}
	s->leads[s->lead_count++] = (struct clock_lead){first_id, lead};
}

static int64_t lead_checksum(uint64_t first_id, int64_t lead, uint32_t tag)
{
	return sum_numbers(tag, SUM_OF_LEAD, (const uint64_t[]){first_id, (uint64_t)lead}, 2);
}

static enum err put_lead(struct store *s, uint64_t first_id, int64_t lead, struct error *e)
{
	sqlite3_stmt *st = store_statement(s, ST_CLOCK_PUT);

	sql_bind_u64(st, 1, first_id);
	(void)sqlite3_bind_int64(st, 2, lead);
	(void)sqlite3_bind_int64(st, 3, lead_checksum(first_id, lead, s->tag));
	return store_run(s, st, e, "note the clock");
}

static bool is_same_lead(int64_t one, int64_t other)
{
	if (one == CLOCK_LEAD_UNKNOWN || other == CLOCK_LEAD_UNKNOWN)
		return one == other;
	return llabs(one - other) < CLOCK_STEP_MS;
}

enum err store_leads_note(struct store *s, struct error *e)
{
	return s->lead_is_noted ? ERR_OK : store_leads_note_as(s, store_clock_lead(s), e);
}

enum err store_leads_note_as(struct store *s, int64_t lead, struct error *e)
{
	const struct clock_lead *last = s->lead_count > 0 ? &s->leads[s->lead_count - 1] : NULL;
	enum err err;

	s->lead_is_noted = true;
	if (last && is_same_lead(lead, last->lead_ms))
		return ERR_OK;
	err = put_lead(s, s->now.next_id, lead, e);
	if (err != ERR_OK)
		return err;
	add_lead(s, s->now.next_id, lead);
	return ERR_OK;
}

enum err store_clock_stamp(struct store *s, const struct message_list *list, struct error *e)
{
	const enum err err = STAILQ_EMPTY(list) ? ERR_OK : store_leads_note(s, e);
	const int64_t ahead_ms = store_clock_ms(s) - clock_mono_ms();
	struct message *m;

	if (err != ERR_OK)
		return err;
	STAILQ_FOREACH (m, list, link) {
		const int64_t by_lead_ms = m->accepted_ms + ahead_ms + s->leads[s->lead_count - 1].lead_ms;

		if (llabs(by_lead_ms - m->received_ms) >= 2 * CLOCK_STEP_MS) /* a lead may be one off by itself */
			m->received_ms = by_lead_ms;
	}
	return ERR_OK;
}

/* The row that schema/ gives to each spool has no checksum; of what kspools between schema 3 and 5 wrote, nothing is
 * believed. */
bool store_lead_is_sound(sqlite3_stmt *st, uint32_t tag)
{
	const int64_t checksum = sqlite3_column_int64(st, 2);

	if (checksum == 0)
		return sqlite3_column_int64(st, 0) == 0 && sqlite3_column_int64(st, 1) == 0;
	return sum_is_ours(checksum, tag) &&
	       lead_checksum(sql_column_u64(st, 0), sqlite3_column_int64(st, 1), sum_tag(checksum)) == checksum;
}

/* What no message that waits was received under is left out; what it says is looked at, for it may have stood higher.
 */
static enum err read_leads(struct store *s, bool *ret_sound, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	size_t rows = 0;
	int rc = sqlite3_prepare_v2(
	    s->db,
	    "SELECT first_id, lead_ms, checksum, first_id >= coalesce((SELECT max(c.first_id)"
	    " FROM clock AS c WHERE c.first_id <= coalesce((SELECT min(i) FROM (SELECT min(id) AS i FROM messages"
	    " UNION ALL SELECT min(id) FROM blocks)), 9223372036854775807)), 0)"
	    " FROM clock ORDER BY first_id",
	    -1, &st, NULL);

	s->lead_count = 0;
	*ret_sound = true;
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			rows++;
			*ret_sound &= store_lead_is_sound(st, s->tag) && s->lead_count < CLOCK_LEADS_MAX;
			if (*ret_sound && sqlite3_column_int(st, 3))
				add_lead(s, sql_column_u64(st, 0), sqlite3_column_int64(st, 1));
		}
	*ret_sound &= rows > 0; /* a new spool has one */
	return rc == SQLITE_DONE ? ERR_OK : sql_error(s->db, rc, e, "read the clock");
}

/*
 * One row that is not what was written may have stood at any other id: of none of the messages that wait it is known
 * how the clock stood, and none is too old. Messages from now on get a row of their own.
 */
static void forget_leads(struct store *s)
{
	s->lead_count = 0;
	add_lead(s, 0, CLOCK_LEAD_UNKNOWN);
	s->leads_durable = s->lead_count;
	s->leads_are_lost = true;
}

enum err store_leads_load(struct store *s, uint64_t print, struct store_report *report, struct error *e)
{
	bool sound;
	enum err err = read_leads(s, &sound, e);

	s->leads_durable = s->lead_count;
	if (err != ERR_OK || (sound && (print == 0 || print == store_leads_last(s))))
		return err;
	forget_leads(s);
	if (report)
		store_warn(report, sound ? "rows of the clock were gone: no message that waits now is too old"
		                         : "a row of the clock was damaged: no message that waits now is too old");
	return ERR_OK;
}

enum err store_leads_mend(struct store *s, struct error *e)
{
	enum err err;

	if (!s->leads_are_lost)
		return ERR_OK;
	err = store_exec(s, "DELETE FROM clock", e, "clear the clock");
	if (err == ERR_OK)
		err = put_lead(s, 0, CLOCK_LEAD_UNKNOWN, e);
	s->leads_are_lost = err != ERR_OK;
	return err;
}

enum err store_leads_look(struct store *s, struct error *e)
{
	CLEANUP(sql_finish) sqlite3_stmt *st = NULL;
	bool found = false;
	int rc = sqlite3_prepare_v2(s->db, "SELECT first_id, lead_ms FROM clock", -1, &st, NULL);

	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			const uint64_t id = sql_column_u64(st, 0);

			/* one that knew nothing gives way to what came back */
			found |= store_lead_print(id, sqlite3_column_int64(st, 1)) == s->lead_untold ||
			         store_lead_print(id, CLOCK_LEAD_UNKNOWN) == s->lead_untold;
		}
	if (rc != SQLITE_DONE)
		return store_fail(s, rc, e, "read the clock");
	s->lead_untold = found ? 0 : s->lead_untold;
	return ERR_OK;
}

enum err store_leads_tell(struct store *s, struct store_report *report, struct error *e)
{
	enum err err;

	forget_leads(s);
	store_warn(report, "rows of the clock did not come back: no message that waits now is too old");
	err = store_leads_mend(s, e);
	s->clock_is_due =
	    true; /* the tide mark is written with the ledger's row, and names the last one from then on */
	s->lead_untold = err == ERR_OK ? 0 : s->lead_untold;
	return err;
}
