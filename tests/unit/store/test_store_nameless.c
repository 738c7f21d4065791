/*
 * A spool of the first release names itself nowhere. What another spool has is told from it all the same, at its first
 * start, however often that is killed: it chooses its name before anything else.
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
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/byte_order.h"
#include "base/crc32c.h"
#include "rig/faultfs.h"
#include "rig/lives.h"
#include "rig/sanitizer.h"
#include "store/files/flight_file.h"
#include "store/store_internal.h"

enum { GROUP = 10, DELIVERED = 5, MINE = 60, OTHERS = 80, AT_EACH = IS_SANITIZED ? 11 : 3, POINTS_MAX = 400 };

static void run_sql(sqlite3 *db, const char *sql)
{
	char *text = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
		fail_msg("%s: %s", sql, text);
}

static void put_row(sqlite3 *db, uint64_t id, const struct message *m)
{
	unsigned char head[24];
	sqlite3_stmt *st;
	uint32_t sum;

	put_little(head, id, 8);
	put_little(head + 8, (uint64_t)m->received_ms, 8);
	put_little(head + 16, m->meta_bytes, 4);
	put_little(head + 20, m->body_bytes, 4);
	sum = crc32c(crc32c(crc32c(0, head, sizeof head), message_meta(m), m->meta_bytes), message_body(m),
	             m->body_bytes);
	assert_int_equal(sqlite3_prepare_v2(db, "INSERT INTO messages VALUES (?1, ?2, ?3, ?4, ?5)", -1, &st, NULL),
	                 SQLITE_OK);
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)id);
	(void)sqlite3_bind_int64(st, 2, m->received_ms);
	(void)sqlite3_bind_int64(st, 3, (int32_t)sum);
	(void)sqlite3_bind_blob(st, 4, message_meta(m), (int)m->meta_bytes, SQLITE_STATIC);
	(void)sqlite3_bind_blob(st, 5, message_body(m), (int)m->body_bytes, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	(void)sqlite3_finalize(st);
}

static void put_ledger(sqlite3 *db, uint64_t accepted, uint64_t delivered, uint64_t pending_bytes)
{
	const uint64_t numbers[11] = {accepted + 1, accepted, delivered, accepted - delivered, 0, 0, 0, 0, 0, 0,
	                              pending_bytes};
	unsigned char bytes[sizeof numbers];
	char sql[300];

	for (size_t i = 0; i < 11; i++)
		put_little(bytes + i * 8, numbers[i], 8);
	(void)snprintf(sql, sizeof sql,
	               "INSERT OR REPLACE INTO ledger VALUES (1, %llu, %llu, %llu, %llu, 0, 0, 0, 0, 0, 0, %llu, %d)",
	               (unsigned long long)numbers[0], (unsigned long long)accepted, (unsigned long long)delivered,
	               (unsigned long long)numbers[3], (unsigned long long)pending_bytes,
	               (int)(int32_t)crc32c(0, bytes, sizeof bytes));
	run_sql(db, sql);
}

static void put_old_tide(const struct spooldir *d, uint64_t id)
{
	unsigned char tide[32] = "kspltide\1";

	put_little(tide + 16, id, 8);
	put_little(tide + 28, crc32c(0, tide, 28), 4);
	spooldir_store(spooldir_file(d, ".tide"), tide, sizeof tide);
}

static uint64_t bytes_of(const struct message *m) { return m->meta_bytes + m->body_bytes; }

static sqlite3 *old_begin(const struct spooldir *d)
{
	size_t count;
	char *text = (char *)spooldir_load(KSPOOL_SOURCE_DIR "/schema/0001-spool.sql", &count);
	sqlite3 *db;

	text = realloc(text, count + 1);
	assert_non_null(text);
	text[count] = '\0';
	assert_int_equal(sqlite3_open(d->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL), SQLITE_OK);
	run_sql(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id ="
	            " 0x4b53504c; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; BEGIN");
	run_sql(db, text);
	put_ledger(db, 0, 0, 0);
	run_sql(db, "PRAGMA user_version = 1; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
	free(text);
	return db;
}

/* As the first release leaves one: messages n + 1 .. n + count, of which the first were delivered; killed, or stopped.
 */
static void make_old(struct spooldir *d, uint64_t n, uint32_t count, bool stopped)
{
	uint64_t bytes = 0;
	sqlite3 *db;

	spooldir_make(d);
	db = old_begin(d);
	for (uint32_t i = 1; i <= count; i++) {
		struct message *m = spooldir_message(n + i, life_bytes(n + i));

		if (i % GROUP == 1)
			run_sql(db, "BEGIN");
		put_row(db, i, m);
		bytes += bytes_of(m);
		message_free(m);
		if (i % GROUP == 0) {
			put_ledger(db, i, 0, bytes);
			run_sql(db, "COMMIT");
		}
	}
	for (uint32_t i = 1; i <= DELIVERED; i++) {
		struct message *m = spooldir_message(n + i, life_bytes(n + i));

		bytes -= bytes_of(m);
		message_free(m);
	}
	run_sql(db, "BEGIN; DELETE FROM messages WHERE id <= 5");
	put_ledger(db, count, DELIVERED, bytes);
	run_sql(db, "COMMIT");
	if (stopped)
		run_sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	put_old_tide(d, count);
	spooldir_store(spooldir_file(d, ".lock"), "", 0);
}

enum { COMPANIONS = 5, OF_LOG = 1, OF_TIDE = 2, OF_LEFT = 4, OF_FLIGHT = 8, OF_LOCK = 16 };
static const char *const companions[COMPANIONS] = {"-wal", ".tide", ".left", ".flight", ".lock"};
enum { MIGRATED, BORN_NEW, KINDS };
static struct spooldir others[KINDS];

static void put_flight(const struct spooldir *d, struct spool_id id)
{
	uint64_t n[FLIGHT_NUMBERS] = {[AT_MAGIC] = FLIGHT_MAGIC, [AT_SPOOL_HIGH] = id.high, [AT_SPOOL_LOW] = id.low};

	files_flight_sum_all(n);
	spooldir_store(spooldir_file(d, ".flight"), n, sizeof n);
}

static int begin(void **state)
{
	(void)state;
	make_old(&others[MIGRATED], LIFE_OTHERS, OTHERS, false);
	spooldir_make(&others[BORN_NEW]);
	for (int i = 0; i < KINDS; i++) {
		struct store *s = life_open(&others[i], NULL);

		if (i == BORN_NEW)
			life_append(s, LIFE_OTHERS, OTHERS);
		else
			life_append(s, LIFE_OTHERS + OTHERS, 20);
		life_settle(s, 11, 15);
		put_flight(&others[i], s->id);
		store_abandon(s);
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++)
		spooldir_remove(&others[i]);
	return 0;
}

static int count_of(unsigned which) { return __builtin_popcount(which); }

static void bring(const struct spooldir *from, unsigned which, const struct spooldir *to)
{
	for (int i = 0; i < COMPANIONS; i++)
		if (which & 1U << i)
			life_bring(from, companions[i], to);
}

static void expect_mine(const struct spooldir *d, const char *what, unsigned which, uint64_t at)
{
	struct store_report report;
	struct store *s = life_open(d, &report);
	const struct store_ledger *l = store_ledger(s);
	const uint32_t waiting = life_waiting(s, 0);

	if (waiting != MINE - DELIVERED || l->pending != waiting || l->accepted != MINE || l->damaged != 0)
		fail_msg("%s, companions %#x, killed at %llu: %u wait, accepted %llu delivered %llu damaged %llu: %s",
		         what, which, (unsigned long long)at, (unsigned)waiting, (unsigned long long)l->accepted,
		         (unsigned long long)l->delivered, (unsigned long long)l->damaged, report.warning);
	life_close(s);
	s = life_open(d, &report);
	if (report.strangers || report.warning[0])
		fail_msg("%s, companions %#x, killed at %llu, the second start: %s", what, which,
		         (unsigned long long)at, report.warning);
	life_close(s);
}

/* All that was accepted stood in a log that is not here, what was delivered, too: that the tide mark may tell. */
static void expect_lost(const struct spooldir *d)
{
	struct store *s = life_open(d, NULL);
	const struct store_ledger *l = store_ledger(s);

	life_expect(s, MINE, l->delivered, 0, MINE - l->delivered);
	assert_true(l->delivered == 0 || l->delivered == DELIVERED);
	life_close(s);
}

static void copy_old(const struct spooldir *from, struct spooldir *to)
{
	spooldir_make(to);
	spooldir_copy(from, to);
	for (int i = 0; i < COMPANIONS; i++)
		if (access(spooldir_file(from, companions[i]), F_OK) == 0)
			life_bring(from, companions[i], to);
}

/* Any one or two of another's beside one that no new kspool has started. */
static void companions_with_a_name_are_strangers_to_it(void **state)
{
	(void)state;
	for (int stopped = 0; stopped < 2; stopped++) {
		struct spooldir old;

		make_old(&old, 0, MINE, stopped);
		for (int kind = 0; kind < KINDS; kind++)
			for (unsigned which = 0; which < 1U << COMPANIONS; which++) {
				const bool loses = !stopped && which & OF_LOG;
				char text[4000];
				struct spooldir d;
				uint64_t problems;

				if (count_of(which) > 2 || (loses && which & (OF_TIDE | OF_LOCK))) /* nothing tells */
					continue;
				copy_old(&old, &d);
				bring(&others[kind], which, &d);
				problems = life_problems(&d, text, sizeof text);
				if ((problems > 0) != (which != 0))
					fail_msg("companions %#x: %s", which, text);
				if (loses)
					expect_lost(&d);
				else
					expect_mine(&d, stopped ? "stopped" : "killed", which, 0);
				assert_int_equal(life_count_files(&d, ".stranger-"), (which & OF_LOG) != 0);
				spooldir_remove(&d);
			}
		spooldir_remove(&old);
	}
}

static bool start_killed(const struct spooldir *d, uint64_t at)
{
	const pid_t child = fork();
	int status;

	if (child == 0) {
		faultfs_arm(FAULTFS_CHANGES, at, FAULTFS_KILL, false);
		store_abandon(life_open(d, NULL));
		faultfs_arm(0, 0, 0, false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status);
}

/* Likewise beside one whose first start was killed at each of its operations. */
static void a_start_that_was_killed_knows_its_own(void **state)
{
	(void)state;
	for (int stopped = 0; stopped < 2; stopped++) {
		struct spooldir old;
		bool killed = true;

		make_old(&old, 0, MINE, stopped);
		for (uint64_t at = 1 + (uint64_t)stopped; killed; at += AT_EACH) {
			struct spooldir begun;

			assert_true(at < POINTS_MAX);
			copy_old(&old, &begun);
			killed = start_killed(&begun, at);
			for (unsigned which = 0; which < 1U << COMPANIONS; which++) {
				const int kind = (int)((at + which) % KINDS);
				struct spooldir d;

				/* With another that is of its spool nothing tells it from ours; and PATH.flight, which
				 * the journal writes, is not here to speak for us. */
				if (count_of(which) > 2 || (!stopped && which & OF_LOG && which != OF_LOG) ||
				    (!stopped && count_of(which) == 2 && which & OF_TIDE))
					continue;
				copy_old(&begun, &d);
				bring(&others[kind], which, &d);
				if (stopped || !(which & OF_LOG))
					expect_mine(&d, stopped ? "stopped" : "killed", which, at);
				else
					expect_lost(&d);
				spooldir_remove(&d);
			}
			spooldir_remove(&begun);
		}
		spooldir_remove(&old);
	}
}

/* After a power cut it may be: killed at any operation, the start knows its log all the same. */
static void a_tide_mark_that_is_behind_speaks_against_nothing(void **state)
{
	struct spooldir old;
	bool killed = true;

	(void)state;
	make_old(&old, 0, MINE, false);
	put_old_tide(&old, MINE - GROUP);
	for (uint64_t at = 1; killed; at++) {
		struct store_report report;
		struct spooldir d;
		struct store *s;

		assert_true(at < POINTS_MAX);
		copy_old(&old, &d);
		killed = start_killed(&d, at);
		s = life_open(&d, &report);
		if (report.strangers)
			fail_msg("killed at %llu: %s", (unsigned long long)at, report.warning);
		store_abandon(s);
		expect_mine(&d, "short", 0, at);
		spooldir_remove(&d);
	}
	spooldir_remove(&old);
}

/* Nothing went into the database yet: the log is all there is, and nothing speaks against it. */
static void a_database_copied_with_its_log_is_whole(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		const uint32_t left = OTHERS - 5 + (kind == MIGRATED ? 20 - DELIVERED : 0);
		struct store_report report;
		struct spooldir d;
		struct store *s;

		spooldir_make(&d);
		life_bring(&others[kind], "", &d);
		bring(&others[kind], OF_LOG, &d);
		s = life_open(&d, &report);
		if (report.strangers || life_waiting(s, LIFE_OTHERS) != left)
			fail_msg("%u of %u: %s", (unsigned)life_waiting(s, LIFE_OTHERS), (unsigned)left,
			         report.warning);
		life_close(s);
		spooldir_remove(&d);
	}
}

/* By counts alone: what it had counted never goes back. */
static void a_log_of_the_same_age_is_held_against_the_counts(void **state)
{
	struct spooldir mine, other, d;
	char text[4000];

	(void)state;
	make_old(&mine, 0, MINE, true);
	make_old(&other, LIFE_OTHERS, OTHERS, false);
	copy_old(&mine, &d);
	bring(&other, OF_LOG, &d);
	assert_true(life_problems(&d, text, sizeof text) > 0);
	assert_non_null(strstr(text, "the log is another spool's"));
	expect_mine(&d, "stopped", OF_LOG, 0);
	assert_int_equal(life_count_files(&d, ".stranger-"), 1);
	spooldir_remove(&d);
	spooldir_remove(&mine);
	spooldir_remove(&other);
}

/* It stands for a start that has not begun: what it says must be durable before anything of that start is. */
static void the_name_is_chosen_before_anything_is_written(void **state)
{
	struct spooldir old;

	(void)state;
	make_old(&old, 0, MINE, true);
	for (uint64_t n = 1; n <= 4; n++) { /* written, cut, synced; there is no room for it */
		struct store_options o;
		struct store *s = NULL;
		struct spooldir d;
		struct error e;
		size_t count;

		copy_old(&old, &d);
		o = spooldir_options(&d);
		faultfs_arm(FAULTFS_CHANGES, n < 4 ? n : 1, n < 4 ? EIO : ENOSPC, false);
		assert_int_equal(store_open(&o, &s, NULL, &e), n < 4 ? ERR_DISK : ERR_NOSPACE);
		assert_int_equal(faultfs_failed(), 1);
		assert_non_null(strstr(faultfs_what(), ".lock"));
		faultfs_arm(0, 0, 0, false);
		if (!strstr(e.text, "cannot write the spool's name"))
			fail_msg("%s", e.text);
		free(spooldir_load(spooldir_file(&d, "-wal"), &count));
		assert_int_equal(count, 0);
		expect_mine(&d, "refused", 0, 0);
		spooldir_remove(&d);
	}
	spooldir_remove(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(companions_with_a_name_are_strangers_to_it),
	    cmocka_unit_test(a_start_that_was_killed_knows_its_own),
	    cmocka_unit_test(a_tide_mark_that_is_behind_speaks_against_nothing),
	    cmocka_unit_test(a_database_copied_with_its_log_is_whole),
	    cmocka_unit_test(a_log_of_the_same_age_is_held_against_the_counts),
	    cmocka_unit_test(the_name_is_chosen_before_anything_is_written),
	};

	faultfs_skip_syncs();
	return cmocka_run_group_tests(tests, begin, end);
}
