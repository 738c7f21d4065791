/*
 * Copies in the form of the first release: what is in them, held against schema/0001-spool.sql by a reader that shares
 * nothing with the store; and the way back, by this kspool's own migration.
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
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "rig/copy_faults.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "store/files/sql_schema.h"

enum { WAIT_MS = 40000, TTL_MS = 3000000, ALL = 60, TAKES = 100 };

#define UPTIME_MS INT64_C(5000000)
#define WALL_MS INT64_C(1800000000000)

static void set_clock(int64_t passed_ms, int64_t step_ms)
{
	clock_test_set((UPTIME_MS + passed_ms) * 1000000, (WALL_MS + passed_ms + step_ms) * 1000000);
}

/* Bit by bit, as the first release's table of 256 amounts to. */
static uint32_t crc_of(uint32_t crc, const void *data, size_t bytes)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static uint32_t crc_number(uint32_t crc, uint64_t n, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		const unsigned char byte = (unsigned char)(n >> (8 * i));

		crc = crc_of(crc, &byte, 1);
	}
	return crc;
}

static int64_t signed_of(uint32_t crc) { return (int32_t)~crc; }

/* Of columns id, received_ms, checksum, meta, body. */
static void expect_sum(sqlite3_stmt *st)
{
	const uint32_t meta = (uint32_t)sqlite3_column_bytes(st, 3), body = (uint32_t)sqlite3_column_bytes(st, 4);
	uint32_t crc = crc_number(UINT32_MAX, (uint64_t)sqlite3_column_int64(st, 0), 8);

	crc = crc_number(crc, (uint64_t)sqlite3_column_int64(st, 1), 8);
	crc = crc_number(crc_number(crc, meta, 4), body, 4);
	crc = crc_of(crc, sqlite3_column_blob(st, 3), meta);
	crc = crc_of(crc, sqlite3_column_blob(st, 4), body);
	assert_int_equal(sqlite3_column_int64(st, 2), signed_of(crc));
}

/* Of columns key, value, checksum: the zero byte between them is the text's own. */
static void expect_position_sum(sqlite3_stmt *st)
{
	const char *key = (const char *)sqlite3_column_text(st, 0), *value = (const char *)sqlite3_column_text(st, 1);
	const uint32_t crc = crc_of(UINT32_MAX, key, strlen(key) + 1);

	assert_int_equal(sqlite3_column_int64(st, 2), signed_of(crc_of(crc, value, strlen(value))));
}

/* Of columns next_id .. pending_bytes, checksum, with which a spool of the first release adds up. */
static void expect_ledger_sum(sqlite3_stmt *st)
{
	uint32_t crc = UINT32_MAX;
	int64_t ends = 0;

	for (int i = 0; i < 11; i++)
		crc = crc_number(crc, (uint64_t)sqlite3_column_int64(st, i), 8);
	for (int i = 2; i < 10; i++)
		ends += sqlite3_column_int64(st, i);
	assert_int_equal(sqlite3_column_int64(st, 1), ends);
	assert_int_equal(sqlite3_column_int64(st, 11), signed_of(crc));
}

/* Each row of it is looked at; how many there are. */
static int64_t rows_in(sqlite3 *db, const char *sql, void (*look)(sqlite3_stmt *st))
{
	sqlite3_stmt *st = NULL;
	int64_t rows = 0;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

	if (rc != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		rows++;
		if (look)
			look(st);
	}
	assert_int_equal(rc, SQLITE_DONE);
	(void)sqlite3_finalize(st);
	return rows;
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return n;
}

static sqlite3 *open_plain(const char *path)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	return db;
}

static sqlite3 *model;

/* type, name, tbl_name, sql: as the first release made it, and compares when it starts. */
static void expect_of_model(sqlite3_stmt *st)
{
	sqlite3_stmt *same = NULL;

	assert_int_equal(sqlite3_prepare_v2(model,
	                                    "SELECT count(*) FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND"
	                                    " tbl_name = ?3 AND sql IS ?4",
	                                    -1, &same, NULL),
	                 SQLITE_OK);
	for (int i = 0; i < 4; i++)
		(void)sqlite3_bind_value(same, i + 1, sqlite3_column_value(st, i));
	assert_int_equal(sqlite3_step(same), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(same, 0), 1);
	(void)sqlite3_finalize(same);
}

/* Whatever is in it, the first release finds nothing wrong with it. */
static void expect_old(const char *path)
{
	static const char tables[] = "SELECT type, name, tbl_name, sql FROM sqlite_schema";
	size_t bytes;
	unsigned char *head = spooldir_load(path, &bytes);
	sqlite3 *db = open_plain(path);

	assert_int_equal(schema_steps[0].version, 1);
	assert_int_equal(sqlite3_open(":memory:", &model), SQLITE_OK);
	assert_int_equal(sqlite3_exec(model, schema_steps[0].sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(rows_in(db, tables, expect_of_model), rows_in(model, tables, NULL));
	(void)sqlite3_close(model);
	assert_int_equal(number_of(db, "PRAGMA user_version"), 1);
	assert_int_equal(number_of(db, "PRAGMA application_id"), 0x4b53504c);
	assert_int_equal(number_of(db, "PRAGMA auto_vacuum"), 2);
	assert_int_equal(rows_in(db, "PRAGMA integrity_check", NULL), 1);
	assert_int_equal(head[18], 1); /* no log belongs to it */
	(void)rows_in(db, "SELECT id, received_ms, checksum, meta, body FROM messages", expect_sum);
	(void)rows_in(db, "SELECT id, received_ms, checksum, meta, body FROM dead", expect_sum);
	(void)rows_in(db, "SELECT key, value, checksum FROM positions", expect_position_sum);
	assert_int_equal(rows_in(db,
	                         "SELECT next_id, accepted, delivered, pending, dead, expired, evicted, damaged,"
	                         " filtered, purged, pending_bytes, checksum FROM ledger WHERE one = 1",
	                         expect_ledger_sum),
	                 1);
	assert_int_equal(number_of(db,
	                           "SELECT pending = (SELECT count(*) FROM messages) AND dead = (SELECT count(*) FROM"
	                           " dead) AND damaged >= (SELECT count(*) FROM damaged) AND pending_bytes = (SELECT"
	                           " coalesce(sum(ifnull(length(meta), 0) + length(body)), 0) FROM messages)"
	                           " AND next_id > (SELECT max(id) FROM (SELECT id FROM messages UNION ALL SELECT id"
	                           " FROM dead UNION ALL SELECT id FROM damaged UNION ALL SELECT 0)) FROM ledger"),
	                 1);
	assert_int_equal(number_of(db, "SELECT count(*) FROM failures WHERE id NOT IN (SELECT id FROM messages)"), 0);
	(void)sqlite3_close(db);
	free(head);
}

/* Ids 1 .. 5 and 31 are delivered, 11 and 12 failed and wait, 21 and 22 are on the shelf, 60 is filtered: as many as
 * are in blocks, in parts of blocks and alone. */
static struct store *make_all(struct spooldir *d)
{
	static char not_now[] = "not now", no_stream[] = "no such stream", none[] = "";
	static const struct store_settlement items[] = {
	    {.id = 11, .kind = SETTLE_RETRY, .attempts = 3, .wait_ms = WAIT_MS, .code = "Slow", .reason = not_now},
	    {.id = 12, .kind = SETTLE_RETRY, .attempts = 1, .wait_ms = WAIT_MS, .code = "", .reason = none},
	    {.id = 21, .kind = SETTLE_DEAD, .attempts = 9, .code = "Bad", .reason = no_stream},
	    {.id = 22, .kind = SETTLE_DEAD, .attempts = 0, .code = "", .reason = none},
	    {.id = ALL, .kind = SETTLE_FILTERED},
	};
	struct store *s;
	bool is_new;
	struct error e;

	set_clock(0, 0);
	s = life_begin(d);
	life_append(s, 0, ALL);
	life_settle(s, 1, 5);
	life_settle(s, 31, 31);
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (size_t i = 0; i < sizeof items / sizeof *items; i++)
		assert_int_equal(store_settle(s, &items[i], 1, &e), ERR_OK);
	assert_int_equal(store_position_put(s, "file", "1234:5", &e), ERR_OK);
	assert_int_equal(store_position_put(s, "other", "", &e), ERR_OK);
	assert_int_equal(store_cache_add(s, "seen", "k\0y", 3, TTL_MS, &is_new, &e), ERR_OK);
	assert_int_equal(store_commit(s, &e), ERR_OK);
	return s;
}

/* By way of a copy, as the command makes it. */
static enum err export_old(struct store *s, const char *target, struct store_old_copy *ret, struct error *e)
{
	char copy[400];
	enum err err;

	(void)snprintf(copy, sizeof copy, "%s.whole", target);
	err = store_export(s, copy, e);
	if (err == ERR_OK)
		err = store_export_old(copy, target, NULL, ret, e);
	(void)unlink(copy);
	return err;
}

static void expect_export(struct store *s, const char *target, uint64_t waiting, uint64_t dead, uint64_t damaged)
{
	struct store_old_copy old;
	struct error e;

	if (export_old(s, target, &old, &e) != ERR_OK)
		fail_msg("%s", e.text);
	assert_int_equal(old.waiting, waiting);
	assert_int_equal(old.dead, dead);
	assert_int_equal(old.damaged, damaged);
	expect_old(target);
}

static void a_copy_is_what_the_first_release_writes(void **state)
{
	struct spooldir d;
	struct store *s = make_all(&d);
	struct stat st;
	char target[400];
	sqlite3 *db;

	(void)state;
	(void)snprintf(target, sizeof target, "%s.old", d.path);
	expect_export(s, target, ALL - 9, 2, 0);
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	db = open_plain(target);
	assert_int_equal(number_of(db, "SELECT count(*) FROM messages WHERE id BETWEEN 6 AND 59 AND id NOT IN (21, 22,"
	                               " 31)"),
	                 ALL - 9);
	assert_int_equal(number_of(db, "SELECT next_id FROM ledger"), ALL + 1);
	assert_int_equal(number_of(db, "SELECT accepted = 60 AND delivered = 6 AND pending = 51 AND dead = 2 AND"
	                               " filtered = 1 AND damaged = 0 FROM ledger"),
	                 1);
	assert_int_equal(number_of(db, "SELECT count(*) FROM failures WHERE (id = 11 AND attempts = 3 AND code = 'Slow'"
	                               " AND reason = 'not now') OR (id = 12 AND attempts = 1)"),
	                 2);
	assert_int_equal(number_of(db, "SELECT min(next_ms) FROM failures"), WALL_MS + WAIT_MS);
	assert_int_equal(number_of(db, "SELECT max(next_ms) FROM failures"), WALL_MS + WAIT_MS);
	assert_int_equal(number_of(db, "SELECT count(*) FROM dead WHERE (id = 21 AND attempts = 9 AND code = 'Bad' AND"
	                               " reason = 'no such stream') OR (id = 22 AND attempts = 0)"),
	                 2);
	assert_int_equal(number_of(db, "SELECT count(*) FROM positions WHERE (key = 'file' AND value = '1234:5') OR"
	                               " (key = 'other' AND value = '')"),
	                 2);
	assert_int_equal(number_of(db, "SELECT count(*) FROM cache WHERE cache = 'seen' AND key = x'6b0079'"), 1);
	assert_int_equal(number_of(db, "SELECT expires_ms FROM cache"), WALL_MS + TTL_MS);
	(void)sqlite3_close(db);
	life_end(&d, s);
}

/* The wall clock is far from the spool's own time: the first release knows nothing but the wall clock. */
static void times_are_the_wall_clocks(void **state)
{
	static const int64_t steps_ms[] = {-INT64_C(30) * 86400000, INT64_C(30) * 86400000};

	(void)state;
	for (size_t i = 0; i < sizeof steps_ms / sizeof *steps_ms; i++) {
		struct spooldir d;
		struct store *s;
		char target[400];
		sqlite3 *db;

		s = make_all(&d);
		set_clock(1000, steps_ms[i]);
		(void)snprintf(target, sizeof target, "%s.old", d.path);
		expect_export(s, target, ALL - 9, 2, 0);
		db = open_plain(target);
		assert_int_equal(number_of(db, "SELECT min(next_ms) FROM failures"), WALL_MS + steps_ms[i] + WAIT_MS);
		assert_int_equal(number_of(db, "SELECT max(next_ms) FROM failures"), WALL_MS + steps_ms[i] + WAIT_MS);
		assert_int_equal(number_of(db, "SELECT expires_ms FROM cache"), WALL_MS + steps_ms[i] + TTL_MS);
		(void)sqlite3_close(db);
		life_end(&d, s);
	}
}

static void expect_messages(struct store *s, uint64_t count)
{
	struct message_list list = STAILQ_HEAD_INITIALIZER(list);
	uint32_t found;
	uint64_t last;
	struct message *m;
	struct error e;

	assert_int_equal(store_read(s, 0, TAKES, UINT64_MAX, &list, &found, &last, &e), ERR_OK);
	assert_int_equal(found, count);
	while ((m = STAILQ_FIRST(&list)) != NULL) {
		STAILQ_REMOVE_HEAD(&list, link);
		assert_true(spooldir_is_message(m, m->id, life_bytes(m->id)));
		message_free(m);
	}
}

static bool is_dead_as_made(void *arg, const struct store_dead *dead)
{
	int *count = arg;

	assert_true(dead->id == 21 || dead->id == 22);
	assert_int_equal(dead->attempts, dead->id == 21 ? 9 : 0);
	assert_false(dead->is_damaged);
	++*count;
	return true;
}

/* It is an old spool like any other: this kspool brings it up. And a copy like any other: this kspool takes it in. */
static void the_way_back_loses_nothing(void **state)
{
	struct spooldir d, back, other;
	struct store *s = make_all(&d);
	struct store_ledger ledger = *store_ledger(s);
	const uint64_t bytes = store_pending_bytes(s), next_id = store_next_id(s);
	struct store *again;
	char *position = NULL;
	bool is_damaged, knows = false;
	uint64_t rows;
	int dead = 0;
	struct error e;

	(void)state;
	spooldir_make(&back);
	expect_export(s, back.path, ALL - 9, 2, 0);
	life_end(&d, s);

	again = life_begin(&other);
	assert_int_equal(store_import(again, back.path, false, &rows, &e), ERR_OK);
	assert_int_equal(rows, ALL - 7);
	assert_int_equal(store_retrying(again), 2);
	life_end(&other, again);

	again = life_open(&back, NULL);
	assert_memory_equal(store_ledger(again), &ledger, sizeof ledger);
	assert_int_equal(store_pending_bytes(again), bytes);
	assert_int_equal(store_next_id(again), next_id);
	assert_int_equal(store_retrying(again), 2);
	expect_messages(again, ALL - 11); /* two are not due */
	assert_int_equal(store_dead_walk(again, 0, 10, is_dead_as_made, &dead, &e), ERR_OK);
	assert_int_equal(dead, 2);
	assert_int_equal(store_position_get(again, "file", &position, &is_damaged, &e), ERR_OK);
	assert_string_equal(position, "1234:5");
	assert_false(is_damaged);
	free(position);
	assert_int_equal(store_cache_has(again, "seen", "k\0y", 3, &knows, &e), ERR_OK);
	assert_true(knows);
	life_close(again);
	assert_int_equal(life_problems(&back, NULL, 0), 0);
	spooldir_remove(&back);
}

/* From a spool that the first release wrote, and that was never brought up. */
static void an_old_spool_stays_what_it_is(void **state)
{
	struct spooldir d, old;
	struct store *s = make_all(&d);
	struct store_options options;
	struct store_report report;
	struct store *looked = NULL;
	char target[400];
	sqlite3 *a, *b;
	struct error e;

	(void)state;
	spooldir_make(&old);
	expect_export(s, old.path, ALL - 9, 2, 0);
	life_end(&d, s);
	options = spooldir_options(&old);
	if (store_look(&options, &looked, &report, &e) != ERR_OK)
		fail_msg("%s", e.text);
	(void)snprintf(target, sizeof target, "%s.again", old.path);
	expect_export(looked, target, ALL - 9, 2, 0);
	store_abandon(looked);
	a = open_plain(old.path);
	b = open_plain(target);
	for (size_t i = 0; i < 3; i++) {
		static const char *const sums[] = {"SELECT sum(checksum) FROM messages",
		                                   "SELECT sum(next_ms) FROM failures", "SELECT checksum FROM ledger"};

		assert_int_equal(number_of(a, sums[i]), number_of(b, sums[i]));
	}
	(void)sqlite3_close(a);
	(void)sqlite3_close(b);
	spooldir_remove(&old);
}

/* The first release refuses a copy of which one message is not what was written: such are not among those that wait. */
static void what_is_damaged_is_told_and_stops_nothing(void **state)
{
	static const char *const harms[] = {
	    NULL,
	    "UPDATE messages SET checksum = checksum + 1 WHERE id = 11",
	    "UPDATE dead SET body = x'00' WHERE id = 21",
	    "UPDATE blocks SET body = zeroblob(length(body)) WHERE id = 41",
	    "UPDATE ledger SET accepted = accepted + 1",
	    "UPDATE dead SET reason = 'another' WHERE id = 21",
	    "UPDATE failures SET attempts = 77 WHERE id = 11",
	    "UPDATE positions SET value = '9' WHERE key = 'file'",
	    "DELETE FROM messages WHERE id = 11",
	};
	static const struct {
		int waiting, dead, damaged, gone, failures, positions;
	} want[] = {
	    {ALL - 10, 2, 1, 0, 2, 2},  {ALL - 10, 2, 1, 0, 1, 2}, {ALL - 9, 1, 1, 0, 2, 2},
	    {ALL - 19, 2, 10, 0, 2, 2}, {ALL - 9, 2, 0, 0, 2, 2},  {ALL - 9, 2, 0, 0, 2, 2},
	    {ALL - 9, 2, 0, 0, 1, 2},   {ALL - 9, 2, 0, 0, 2, 1},  {ALL - 10, 2, 0, 1, 1, 2},
	};

	(void)state;
	for (size_t i = 0; i < sizeof harms / sizeof *harms; i++) {
		struct spooldir d, other;
		struct store *s = make_all(&d);
		struct store_options options;
		struct store_report report;
		struct store *again;
		char target[400];
		uint64_t rows;
		sqlite3 *db;
		struct error e;

		if (harms[i])
			life_sql(s, harms[i]);
		store_abandon(s);
		if (!harms[i])
			spooldir_damage(d.path, 45);
		options = spooldir_options(&d);
		if (store_look(&options, &s, &report, &e) != ERR_OK)
			fail_msg("%zu: %s", i, e.text);
		(void)snprintf(target, sizeof target, "%s.old", d.path);
		expect_export(s, target, (uint64_t)want[i].waiting, (uint64_t)want[i].dead, (uint64_t)want[i].damaged);
		store_abandon(s);
		db = open_plain(target);
		assert_int_equal(number_of(db, "SELECT count(*) FROM damaged"), want[i].damaged);
		assert_int_equal(number_of(db, "SELECT damaged FROM ledger"), want[i].damaged + want[i].gone);
		assert_int_equal(number_of(db, "SELECT accepted FROM ledger"), ALL - (i == 4)); /* as far as ids tell */
		assert_int_equal(number_of(db, "SELECT count(*) FROM failures"), want[i].failures);
		assert_int_equal(number_of(db, "SELECT count(*) FROM positions"), want[i].positions);
		assert_int_equal(number_of(db, "SELECT count(*) FROM dead WHERE reason = 'another'"), 0);
		(void)sqlite3_close(db);
		again = life_begin(&other);
		if (store_import(again, target, false, &rows, &e) != ERR_OK)
			fail_msg("%zu: %s", i, e.text);
		assert_int_equal(rows, want[i].waiting + want[i].dead);
		life_end(&other, again);
		spooldir_remove(&d);
	}
}

/* What is to stay free beside the spool does, and where there is no such spool nothing keeps it from being written. */
static void it_takes_no_room_that_is_to_stay_free(void **state)
{
	struct spooldir d;
	struct store *s = life_begin(&d);
	struct store_options options = spooldir_options(&d);
	struct store_old_copy old;
	char copy[400], target[400];
	struct stat st;
	struct error e;

	(void)state;
	assert_int_equal(store_begin(s, &e), ERR_OK);
	for (uint64_t n = 1; n <= 9; n++) {
		struct message *m = spooldir_message(n, 1 << 20);

		assert_int_equal(store_append(s, m, &e), ERR_OK);
		message_free(m);
	}
	assert_int_equal(store_commit(s, &e), ERR_OK);
	(void)snprintf(copy, sizeof copy, "%s.copy", d.path);
	(void)snprintf(target, sizeof target, "%s.old", d.path);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	options.min_free_bytes = UINT64_MAX / 2;
	assert_int_equal(store_export_old(copy, target, &options, &old, &e), ERR_INPUT);
	assert_non_null(strstr(e.text, "kspool.min_free"));
	assert_int_equal(stat(target, &st), -1);
	assert_int_equal(stat(spooldir_file(&d, ".old.kspool-part"), &st), -1);
	options.min_free_bytes = 0;
	assert_int_equal(store_export_old(copy, target, &options, &old, &e), ERR_OK);
	assert_int_equal(old.waiting, 9);
	expect_old(target);
	assert_int_equal(store_export_old(copy, target, NULL, &old, &e), ERR_INPUT); /* replaces none */
	life_end(&d, s);
}

/* One whose n-th operation fails; false when none did. */
static bool export_with_fault(unsigned kinds, uint64_t n, int error, bool *ret_told)
{
	struct spooldir from, to;
	struct store_old_copy old;
	char copy[400];
	struct store *s;
	struct error e;
	struct stat st;
	uint64_t failed;
	enum err err;

	make_spool(&from, 1, ROWS);
	spooldir_make(&to);
	(void)snprintf(copy, sizeof copy, "%s.copy", from.path);
	s = open_it(&from, NULL);
	assert_int_equal(store_export(s, copy, &e), ERR_OK);
	store_abandon(s);
	faultfs_arm(kinds, n, error, false);
	err = store_export_old(copy, to.path, NULL, &old, &e);
	ERRORWATCH_EXPECT(err, &e, NULL, "export", n);
	failed = faultfs_failed();
	faultfs_arm(0, 0, 0, false);
	if (failed == 0)
		assert_int_equal(err, ERR_OK);
	if (failed > 0 && err != ERR_OK)
		if (err != ERR_DISK && (err != ERR_NOSPACE || error != ENOSPC))
			fail_msg("operation %u failed with %d: %s: %s", (unsigned)n, error, error_name(err), e.text);
	*ret_told = err != ERR_OK;
	if (err == ERR_OK || stat(to.path, &st) == 0) {
		expect_old(to.path);
		assert_int_equal(rows_of(&to), ROWS);
	}
	assert_int_equal(stat(spooldir_file(&to, ".kspool-part"), &st), -1);
	spooldir_remove(&from);
	spooldir_remove(&to);
	return failed > 0;
}

static void a_copy_is_whole_or_not_there(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t n = 1;
		bool told;

		while (export_with_fault(faults[i].kinds, n, faults[i].error, &told))
			assert_true((n += SANITIZED_EACH) < POINTS_MAX);
		assert_true(n > faults[i].least);
	}
}

/* A copy that may not be on the disk is no copy. */
static void a_sync_that_fails_is_told(void **state)
{
	bool told = true;
	uint64_t n = 1;

	(void)state;
	for (; export_with_fault(FAULTFS_SYNC, n, EIO, &told); n++)
		assert_true(told);
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_copy_is_what_the_first_release_writes),
	    cmocka_unit_test(times_are_the_wall_clocks),
	    cmocka_unit_test(the_way_back_loses_nothing),
	    cmocka_unit_test(an_old_spool_stays_what_it_is),
	    cmocka_unit_test(what_is_damaged_is_told_and_stops_nothing),
	    cmocka_unit_test(it_takes_no_room_that_is_to_stay_free),
	    cmocka_unit_test(a_copy_is_whole_or_not_there),
	    cmocka_unit_test(a_sync_that_fails_is_told),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
