/*
 * What stands beside the messages of a file that was set aside, sound or not: it comes back, or is forgotten and
 * counted, and the ledger says of each message what became of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "rig/faultfs.h"
#include "rig/faultsql.h"
#include "rig/lives.h"
#include "store/store_internal.h"

enum { MESSAGES = 40, LEFT = 10, SHELF = 1, WAIT = MESSAGES - LEFT - SHELF };

static const char aside[] = ".quarantine-20260101T000000Z-000";

/* Blocks of ten: 3 to 7 and 24 to 28 have left, 9 waits for long, 10 is on the shelf; two keys and a position. */
static struct store *fill(struct spooldir *d)
{
	static char reason[] = "too large";
	const struct store_settlement some[] = {
	    {.id = 9, .kind = SETTLE_RETRY, .attempts = 4, .wait_ms = 3600000, .code = "Throttled"},
	    {.id = 10, .kind = SETTLE_DEAD, .attempts = 3, .code = "x", .reason = reason},
	};
	struct store *s = life_begin(d);
	struct error e;
	bool is_new;

	life_append(s, 0, MESSAGES);
	life_settle(s, 3, 7);
	life_settle(s, 24, 28);
	must(store_begin(s, &e) == ERR_OK && store_settle(s, some, 2, &e) == ERR_OK &&
	     store_position_put(s, "file", "12", &e) == ERR_OK &&
	     store_cache_add(s, "cache", "a", 1, INT64_MAX, &is_new, &e) == ERR_OK &&
	     store_cache_add(s, "cache", "b", 1, INT64_MAX, &is_new, &e) == ERR_OK && store_commit(s, &e) == ERR_OK);
	return s;
}

/* Every column of every row that comes back as it was. */
static const char *rows_beside(struct store *s, char *text, size_t size)
{
	static const char *const rows[] = {
	    "SELECT quote(key) || quote(value) || checksum FROM positions",
	    "SELECT quote(cache) || quote(key) || expires_ms || ',' || checksum FROM cache",
	    "SELECT quote(copy) || imported_ms || ',' || messages || ',' || first_id || ',' || checksum FROM imports",
	    "SELECT path || after_id || ',' || salvaged || ',' || done || ',' || checksum FROM salvage"
	    " WHERE path LIKE '%:.quarantine-2025%'",
	    "SELECT id || ',' || died_ms || ',' || attempts || code || reason || note_checksum FROM dead",
	    "SELECT first_id || ',' || lead_ms || ',' || checksum FROM clock",
	    "SELECT id || ',' || attempts || code FROM failures",
	};
	size_t used = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		sqlite3_stmt *st = NULL;

		assert_int_equal(sqlite3_prepare_v2(s->db, rows[i], -1, &st, NULL), SQLITE_OK);
		for (int n = 0; sqlite3_step(st) == SQLITE_ROW || n == 0; n++) { /* each has one */
			used += (size_t)snprintf(text + used, size - used, "%s\n",
			                         (const char *)sqlite3_column_text(st, 0));
			assert_true(used < size);
		}
		(void)sqlite3_finalize(st);
	}
	return text;
}

static void set_aside(const struct spooldir *d)
{
	char from[400], to[400];

	(void)snprintf(to, sizeof to, "%s", spooldir_file(d, aside));
	must(rename(d->path, to) == 0);
	(void)snprintf(from, sizeof from, "%s", spooldir_file(d, "-wal"));
	(void)snprintf(to, sizeof to, "%s%s-wal", d->path, aside);
	must(rename(from, to) == 0 || errno == ENOENT);
}

static bool note_is(struct store *s, const char *code, const char *reason, int attempts)
{
	char sql[300];

	(void)snprintf(sql, sizeof sql,
	               "SELECT count(*) FROM dead WHERE id = 10 AND code = '%s' AND reason = '%s' AND attempts = %d",
	               code, reason, attempts);
	return life_number(s, sql) == 1;
}

static bool has_key(struct store *s, const char *key)
{
	struct error e;
	bool has = false;

	assert_int_equal(store_cache_has(s, "cache", key, 1, &has, &e), ERR_OK);
	return has;
}

static bool has_position(struct store *s)
{
	struct error e;
	char *value = NULL;
	bool is_damaged, is;

	assert_int_equal(store_position_get(s, "file", &value, &is_damaged, &e), ERR_OK);
	is = value && strcmp(value, "12") == 0;
	free(value);
	return is;
}

static const struct harm {
	const char *sql;
	uint64_t lost; /* marks of messages that had left */
	uint64_t possible;
	bool note, key, waits, clock;
} harms[] = {
    {"SELECT 1", 0, 0, true, true, true, true},
    {"UPDATE dead SET reason = 'too late'", 0, 0, false, true, true, true},
    {"UPDATE dead SET attempts = 2", 0, 0, false, true, true, true},
    {"UPDATE cache SET expires_ms = expires_ms - 1 WHERE key = x'61'", 0, 1, true, false, true, true},
    {"UPDATE cache SET checksum = 7 WHERE key = x'61'", 0, 1, true, false, true, true},
    {"ALTER TABLE cache DROP COLUMN checksum", 0, 0, true, true, true, true}, /* of an older kspool */
    {"UPDATE partial SET bytes = bytes + 7 WHERE block_id = 21", 5, 5, true, true, true, true},
    {"UPDATE partial SET settled = 60000 WHERE block_id = 21", 5, 512, true, true, true, true},
    {"UPDATE partial SET settled = 100 WHERE block_id = 21", 5, 100, true, true, true, true},
    /* of one that nobody knows of, too: each of them is counted once */
    {"UPDATE partial SET bytes = bytes + 7 WHERE block_id = 21; DELETE FROM partial WHERE block_id = 1", 10, 10, true,
     true, true, true},
    {"UPDATE failures SET attempts = 2", 0, 0, true, true, false, true},
    {"INSERT INTO clock (first_id, lead_ms, checksum) VALUES (15, 77, 5)", 0, 0, true, true, true, false},
};

static void expect(struct store *s, const struct harm *h)
{
	life_expect(s, MESSAGES, LEFT - h->lost, WAIT + h->lost, 0);
	assert_int_equal(store_ledger(s)->dead, SHELF);
	if (h->clock) /* else none has a time of its own */
		assert_int_equal(life_waiting(s, 0), WAIT + h->lost - h->waits);
	if (h->note)
		assert_true(note_is(s, "x", "too large", 3));
	else
		assert_true(note_is(s, STORE_NOTE_LOST_CODE, STORE_NOTE_LOST_REASON, 0));
	assert_int_equal(has_key(s, "a"), h->key);
	assert_true(has_key(s, "b"));
	assert_true(has_position(s));
	assert_int_equal(store_retrying(s), h->waits);
	if (store_possible_duplicates(s) != h->possible)
		fail_msg("%s: %u may have been sent twice", h->sql, (unsigned)store_possible_duplicates(s));
	assert_int_equal(s->lead_count, 1);
	assert_int_equal(s->leads[0].lead_ms == CLOCK_LEAD_UNKNOWN, !h->clock);
}

static void what_stands_beside_the_messages_comes_back_or_is_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir d;
		struct store *s = fill(&d);

		life_sql(s, harms[i].sql);
		store_abandon(s);
		set_aside(&d);
		s = life_open(&d, NULL);
		expect(s, &harms[i]);
		/* No step ended within a page: of none is noted how far it was read. */
		assert_int_equal(life_number(s, "SELECT count(*) FROM salvage WHERE path LIKE 'part:%'"), 0);
		life_close(s);
		if (life_problems(&d, NULL, 0) > 0)
			fail_msg("%s: there are problems", harms[i].sql);
		s = life_open(&d, NULL);
		expect(s, &harms[i]);
		life_end(&d, s);
	}
}

/* What stands there is what was written, checksums too: else the next damage to it would not be seen. */
static void what_stands_beside_the_messages_comes_back_as_it_was(void **state)
{
	static char before[8000], after[8000];
	struct spooldir d;
	struct store *s = fill(&d);

	(void)state;
	life_sql(
	    s,
	    "INSERT INTO salvage VALUES ('pages:.quarantine-20250101T000000Z-000', 3, 2, 1,"
	    " side_sum(9, 'pages:.quarantine-20250101T000000Z-000', 3, 2, 1)),"
	    "('bad:.quarantine-20250101T000000Z-000:7', 7, 2, 0,"
	    " side_sum(9, 'bad:.quarantine-20250101T000000Z-000:7', 7, 2, 0)),"
	    "('part:.quarantine-20250101T000000Z-000:', 4, 1, 0,"
	    " side_sum(9, 'part:.quarantine-20250101T000000Z-000:', 4, 1, 0));"
	    "INSERT INTO imports SELECT copy, 1, 2, 3, side_sum(11, copy, 1, 2, 3)"
	    " FROM (SELECT CAST(zeroblob(32) || x'11223344556677889900112233445566' || zeroblob(16) AS BLOB) AS copy)");
	(void)rows_beside(s, before, sizeof before);
	store_abandon(s);
	set_aside(&d);
	s = life_open(&d, NULL);
	assert_string_equal(rows_beside(s, after, sizeof after), before);
	life_end(&d, s);
}

/* How far another file was read, as an older kspool noted it: it is read no more. */
static void notes_of_an_older_kspool_come_back(void **state)
{
	struct spooldir d;
	struct store *s = fill(&d);

	(void)state;
	life_sql(s, "INSERT INTO salvage VALUES ('pages:.quarantine-20250101T000000Z-000', 3, 2, 1, 0);"
	            "ALTER TABLE salvage DROP COLUMN checksum");
	store_abandon(s);
	set_aside(&d);
	s = life_open(&d, NULL);
	expect(s, harms);
	assert_int_equal(life_number(s, "SELECT count(*) FROM salvage WHERE path ="
	                                " 'pages:.quarantine-20250101T000000Z-000' AND after_id = 3"
	                                " AND salvaged = 2 AND done = 1 AND checksum = 0"),
	                 1);
	life_end(&d, s);
}

/* The row that says how much may still come back is not what was written: what was counted as damaged is no more. */
static void how_much_is_awaited_may_be_lost(void **state)
{
	static const char *const kinds[] = {"SELECT 1",
	                                    "UPDATE salvage SET after_id = after_id + 3 WHERE path = 'expected'",
	                                    "UPDATE salvage SET checksum = 9 WHERE path = 'expected'"};
	int tried = 0;

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (uint64_t n = 100; n < 1000; n += 17) { /* a start that ended in the middle */
			struct spooldir d;
			struct store *s = fill(&d);
			struct store_options o = spooldir_options(&d);
			sqlite3 *db = NULL;
			struct error e;
			enum err err;

			store_abandon(s);
			set_aside(&d);
			faultsql_arm(n, SQLITE_NOMEM, false);
			s = NULL;
			err = store_open(&o, &s, NULL, &e);
			faultsql_arm(0, 0, false);
			if (err == ERR_OK) {
				life_end(&d, s);
				break;
			}
			assert_int_equal(sqlite3_open(d.path, &db), SQLITE_OK);
			if (sqlite3_exec(db, kinds[i], NULL, NULL, NULL) == SQLITE_OK)
				tried += sqlite3_changes(db);
			assert_int_equal(sqlite3_close(db), SQLITE_OK);
			s = life_open(&d, NULL);
			expect(s, harms);
			assert_int_equal(s->durable.told, 0);
			life_close(s);
			assert_int_equal(life_problems(&d, NULL, 0), 0);
			spooldir_remove(&d);
		}
	assert_true(tried > 5);
}

static void be_told(const struct spooldir *d)
{
	struct error e;
	struct buf out;

	buf_init(&out, 1 << 16);
	assert_int_equal(store_repair(d->path, &(struct store_repair){0}, &out, &e), ERR_OK);
	buf_fini(&out);
	assert_int_equal(life_problems(d, NULL, 0), 0);
}

/* A person was told of a damaged message, and it comes back: of the next one nobody was told yet. */
static void what_came_back_is_not_what_is_damaged_next(void **state)
{
	struct spooldir d, old;
	struct store *s = life_begin(&d);

	(void)state;
	life_append(s, 0, MESSAGES);
	life_close(s);
	spooldir_make(&old);
	spooldir_copy(&d, &old);
	for (uint64_t id = 5; id <= 15; id += 10) {
		spooldir_damage(d.path, id);
		s = life_open(&d, NULL);
		(void)life_waiting(s, 0); /* which meets it */
		assert_int_equal(life_waiting(s, 0), MESSAGES - 1);
		life_expect(s, MESSAGES, 0, MESSAGES - 1, 1);
		assert_int_equal(life_number(s, "SELECT ifnull(sum(messages), 0) FROM losses"), 1);
		life_close(s);
		assert_int_equal(life_problems(&d, NULL, 0), 1);
		if (id == 15)
			break;
		be_told(&d);
		assert_int_equal(rename(old.path, spooldir_file(&d, aside)), 0);
		s = life_open(&d, NULL);
		life_expect(s, MESSAGES, 0, MESSAGES, 0);
		assert_int_equal(s->durable.told, 0);
		life_close(s);
	}
	spooldir_remove(&old);
	spooldir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_stands_beside_the_messages_comes_back_or_is_counted),
	    cmocka_unit_test(what_stands_beside_the_messages_comes_back_as_it_was),
	    cmocka_unit_test(notes_of_an_older_kspool_come_back),
	    cmocka_unit_test(how_much_is_awaited_may_be_lost),
	    cmocka_unit_test(what_came_back_is_not_what_is_damaged_next),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
